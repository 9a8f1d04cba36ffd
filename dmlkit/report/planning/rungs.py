"""Which rungs a notebook trains, told by its metadata `trains` without running it.

    [{"chapter": "bi-gru"}, {"ablations_for": "bi-gru", "if": "beside"}, {"beyond": "poolings", "if": "beyond"}]

Each entry has one kind, a name in `KINDS`; `"if"` names a bool parameter of the notebook, without which it trains none
of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dmlkit.errors import DataError, UsageError, choose
from dmlkit.experiments import (
    CHECKPOINTS,
    AnyExperiment,
    Ensemble,
    Experiment,
    baselines_for,
    beyond_for,
    find,
)

if TYPE_CHECKING:
    from dmlkit.report.chapters import Plan
    from dmlkit.report.planning.notebooks import Notebook
    from dmlkit.report.planning.parameters import Parameter
    from dmlkit.runs import Run
    from dmlkit.training import Study

Rungs = dict[str, AnyExperiment]


def _chapter(study: Study, name: str, before: Rungs) -> Iterable[AnyExperiment]:
    return study.chapter(name)


def _named(study: Study, names: Sequence[str], before: Rungs) -> Iterable[AnyExperiment]:
    return [find(name) for name in names]


def _side_questions(study: Study, chapter: str, before: Rungs) -> Iterable[AnyExperiment]:
    # Keras is imported with it: not before somebody plans in earnest.
    from dmlkit.experiments import ablations_for

    return ablations_for(chapter, study.profile)


def _fusion_variants(study: Study, wanted: bool, before: Rungs) -> Iterable[AnyExperiment]:
    from dmlkit.experiments import fusion_variants

    return fusion_variants(study.experiments, study.profile).values()


def _ensemble_of_all(study: Study, wanted: bool, before: Rungs) -> Iterable[AnyExperiment]:
    members = tuple(
        name for name, rung in study.experiments.items() if name in before and isinstance(rung, Experiment)
    )
    # It combines what is there, so a member that is missing is not trained for it.
    return [Ensemble(name=OF_ALL, title="Ensemble of all rungs", members=members)] if len(members) > 1 else []


def _beyond(study: Study, group: str, before: Rungs) -> Iterable[AnyExperiment]:
    return beyond_for(study.dataset.level, group).values()


def _checkpoints(study: Study, wanted: bool, before: Rungs) -> Iterable[AnyExperiment]:
    return [CHECKPOINTS[study.dataset.level]]


def _bases(study: Study, wanted: bool, before: Rungs) -> Iterable[AnyExperiment]:
    return baselines_for(study.dataset.level, modalities=tuple(study.dataset.features)).values()


def _best_together(study: Study, wanted: bool, before: Rungs) -> Iterable[AnyExperiment]:
    from dmlkit.training import best_ensemble_members

    # Which they are is known once all are there.
    return [best_ensemble_members(study)]


def _ladder(study: Study, wanted: bool, before: Rungs) -> Iterable[AnyExperiment]:
    return [] if before.keys() & study.experiments.keys() else study.experiments.values()


OF_ALL = "ensemble-of-all"
# They combine what is there; nothing is trained for them.
OF_THERE = (OF_ALL, "ensemble-of-best")

# Kind → the rungs, from the study, what the entry says, and the rungs that are there by then.
KINDS: dict[str, Callable[[Study, object, Rungs], Iterable[AnyExperiment]]] = {
    "chapter": _chapter,  # the ladder's rungs of a chapter
    "experiments": _named,  # rungs by name
    "ablations": _side_questions,  # what stands beside a chapter
    "fusion_variants": _fusion_variants,  # true: the fusions from other starts
    "ensemble_of_all": _ensemble_of_all,  # true: every rung of the ladder that is there, combined
    "checkpoints": _checkpoints,  # true: one training's models at the ends of its cycles, combined
    "baselines": _bases,  # true: the ladder's rungs that those beyond it stand against
    "beyond": _beyond,  # a group of rungs beyond the ladder
    "best_ensemble": _best_together,  # true: the best rungs that are there, combined
    "ladder": _ladder,  # true: the whole ladder, where none of it is there
}


def check_trains(trains: Iterable[Mapping], parameters: Iterable[Parameter], *, where: str) -> None:
    """Hold the entries of a notebook's metadata against what can be read.

    Args:
        trains: The entries.
        parameters: The notebook's.
        where: What to call the notebook in a message.

    Raises:
        UsageError: An entry is of an unknown kind or none, or its `"if"` names no bool parameter.
    """
    switches = {parameter.name for parameter in parameters if parameter.type == "bool"}
    for entry in trains:
        kinds = [name for name in entry if name != "if"] if isinstance(entry, Mapping) else []
        if len(kinds) != 1:
            raise UsageError(f"An entry of `trains` in {where} has not one kind but {len(kinds)}: {entry}.")
        choose(KINDS, kinds[0], what=f"kind of training in {where}")
        if "if" in entry:
            choose(dict.fromkeys(switches), entry["if"], what=f"true-or-false parameter in {where}")


def rungs_of(notebook: Notebook, values: Mapping[str, object], *, study: Study, before: Rungs) -> Rungs:
    """The rungs a notebook trains under its values, or reads where they are trained already.

    Args:
        notebook: The notebook.
        values: Of its parameters, where they are not the defaults.
        study: Its data set and profile decide which rungs there are.
        before: The rungs that are there when it starts.

    Returns:
        Name → rung in the order of training, an ensemble's members before it; without what the data set cannot serve.
    """
    values = {parameter.name: parameter.default for parameter in notebook.parameters} | dict(values)
    found: Rungs = {}
    for entry in notebook.trains:
        if not values.get(entry.get("if"), True):
            continue
        kind = next(name for name in entry if name != "if")
        for rung in KINDS[kind](study, entry[kind], before | found):
            if study.not_applicable_reason(rung) is None:
                found |= _members(rung) | {rung.name: rung}
    return found


def _members(rung: AnyExperiment) -> Rungs:
    combined = isinstance(rung, Ensemble) and rung.name not in OF_THERE
    found: Rungs = {}
    # Teachers are trained before who follows them; each may have some of its own.
    for name in rung.members if combined else getattr(rung, "teachers", ()):
        found |= _members(find(name)) | {name: find(name)}
    return found


def run_of(rung: AnyExperiment, study: Study) -> Run | DataError | None:
    """The run of a rung; the error where it is damaged, None where there is none."""
    try:
        return study.find(rung)
    except DataError as error:
        return error


def planned_rungs(plans: Iterable[Plan], study: Study) -> list[Rungs]:
    """The rungs of each plan in its order: later notebooks find what earlier ones trained.

    Args:
        plans: In the order of the notebooks.
        study: Tells which rungs there are, and which are trained already.
    """
    before: Rungs = {name: rung for name, rung in study.experiments.items() if run_of(rung, study)}
    found = []
    for each in plans:
        found.append({} if each.reason else rungs_of(each.notebook, each.values, study=study, before=before))
        before = before | found[-1]
    return found
