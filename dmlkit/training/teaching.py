"""The runs that teach another: whose scores are its soft labels, and how much each of them counts."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dmlkit.errors import UsageError
from dmlkit.experiments import Experiment
from dmlkit.runs import Run, load_run
from dmlkit.training.members import members_of
from dmlkit.training.tricks import Teacher


def teaching_runs(
    teachers: Sequence[Run | str | os.PathLike], dataset, *, experiment: Experiment
) -> list[Run]:
    """The teachers' runs, opened.

    Args:
        teachers: Runs, or their folders.
        dataset: What is to be learnt from.
        experiment: What is to be taught.

    Raises:
        UsageError: The experiment has teachers and none are given, a teacher learnt from other data, or it is an
            ensemble whose way is no weighted mean.
    """
    if experiment.teachers and not teachers:
        raise UsageError(
            f"{experiment.name} follows {', '.join(experiment.teachers)}, and no runs of them are given as teachers. "
            f"`Study.train` and `dmlkit train {experiment.name}` train them first."
        )
    runs = [teacher if isinstance(teacher, Run) else load_run(teacher) for teacher in teachers]
    for run in runs:
        if run.record["data"]["fingerprint"] != dataset.fingerprint:
            raise UsageError(
                f"{run.path} cannot teach on {dataset.name}: it learnt from other data "
                f"({run.record['data']['name']}), perhaps from the very videos that are to be scored."
            )
        for member in members_of(run):
            if member.below:
                raise UsageError(
                    f"{run.path} cannot teach: it combines its members by '{member.by}', which is no weighted mean of "
                    "their scores. Name its members, or an ensemble by 'algorithm_2', 'uniform' or 'found'."
                )
    return runs


def teachers_of(runs: Sequence[Run]) -> list[Teacher]:
    """The models behind the runs and their shares, which sum to 1; an ensemble's share is divided by its weights.

    Args:
        runs: From `teaching_runs`. Each counts as much as any other.
    """
    return [
        Teacher(member.run.model, member.weight / len(runs)) for run in runs for member in members_of(run)
    ]
