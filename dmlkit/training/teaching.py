"""The runs that teach another: which models' scores are its soft labels."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dmlkit.errors import UsageError
from dmlkit.runs import Run, load_run


def teaching_runs(teachers: Sequence[Run | str | os.PathLike], dataset) -> list[Run]:
    """The teachers' runs.

    Args:
        teachers: Runs, or their folders.
        dataset: What is to be learnt from.

    Raises:
        UsageError: A teacher learnt from other data, or is an ensemble, which has no model to ask.
    """
    runs = [teacher if isinstance(teacher, Run) else load_run(teacher) for teacher in teachers]
    for run in runs:
        if run.record["kind"] != "training":
            raise UsageError(f"{run.path} is an ensemble and has no model to learn from. Name its members.")
        if run.record["data"]["fingerprint"] != dataset.fingerprint:
            raise UsageError(
                f"{run.path} cannot teach on {dataset.name}: it learnt from other data "
                f"({run.record['data']['name']}), perhaps from the very videos that are to be scored."
            )
    return runs
