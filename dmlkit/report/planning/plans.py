"""Which notebooks run on a data set, and with which values: all of it before any kernel starts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmlkit.errors import UsageError
from dmlkit.report.chapters import Plan
from dmlkit.report.planning.notebooks import Notebook, find_notebooks
from dmlkit.report.planning.parameter_file import Given, read_parameter_file
from dmlkit.report.planning.parameters import check_names, values_for
from dmlkit.report.planning.rungs import planned_rungs

if TYPE_CHECKING:
    from dmlkit.training import Study

# What is the same in every notebook → how the command is told.
CORE = {
    "data": "by --data",
    "profile": "by --profile",
    "runs": "by the folder of the report (--out)",
    "seed": "by --seed",
    "deterministic": "by --deterministic",
}


def gather(pairs: Iterable[tuple[str, str]], file: Path | None = None) -> Given:
    """The values that a command line gives by `-p`, and beside them those of a file, which `-p` overrules.

    Raises:
        UsageError: A parameter is given twice by `-p`, or the file cannot be read.
    """
    by_hand: dict[str, object] = {}
    for name, value in pairs:
        if name in by_hand:
            raise UsageError(
                f"The parameter {name!r} is given twice: as {by_hand[name]!r} and as {value!r}. Give it once."
            )
        by_hand[name] = value
    told = Given({}, {}) if file is None else read_parameter_file(file)
    return Given(
        values=told.values | by_hand,
        origins={name: origin for name, origin in told.origins.items() if name not in by_hand},
    )


def check_parameters(
    notebooks: Sequence[Notebook],
    parameters: Mapping[str, object],
    *,
    origins: Mapping[str, str] | None = None,
) -> None:
    """Hold given parameters against those of the notebooks: names, types and which values are allowed.

    Args:
        notebooks: Those that are chosen.
        parameters: Name → value.
        origins: Where values stand (file and line), for the messages.

    Raises:
        UsageError: A name is unknown or belongs to an option of the command, or a value is not one it takes.
    """
    for name, value in parameters.items():
        try:
            _check(notebooks, name, value)
        except UsageError as error:
            origin = (origins or {}).get(name)
            raise UsageError(f"{origin}: {error}" if origin else str(error)) from None


def _check(notebooks: Sequence[Notebook], name: str, value: object) -> None:
    if name in CORE:
        raise UsageError(f"The parameter {name!r} is given {CORE[name]}, once for all notebooks.")
    having = [notebook for notebook in notebooks if name in own_names(notebook)]
    if not having:
        if elsewhere := [each.name for each in _neighbours(notebooks) if name in own_names(each)]:
            raise UsageError(
                f"None of the chosen notebooks has a parameter {name!r}; {', '.join(elsewhere)} "
                f"{'has' if len(elsewhere) == 1 else 'have'} it. Choose one of these too, or leave the parameter out."
            )
        check_names([name], {each for notebook in notebooks for each in own_names(notebook)})
    for notebook in having:
        values_for(notebook.parameters, {name: value}, notebook=notebook.name)


def own_names(notebook: Notebook) -> list[str]:
    """The names of a notebook's parameters that no option of the command gives."""
    return [parameter.name for parameter in notebook.parameters if parameter.name not in CORE]


def _neighbours(notebooks: Sequence[Notebook]) -> list[Notebook]:
    """All notebooks of the study that the chosen ones belong to."""
    return find_notebooks(notebooks[0].path.parent) if notebooks else []


def plan(
    notebooks: Sequence[Notebook], *, dataset, given: Mapping[str, object], study: Study | None = None
) -> list[Plan]:
    """What is to be done for each notebook.

    Args:
        notebooks: In their order.
        dataset: The data set; of it only the level and the modalities count.
        given: Parameter → value, for those notebooks that have it.
        study: Tells which rungs are to be trained; without it, which takes no Keras, the plans name none.
    """
    plans = [
        Plan(
            notebook=notebook,
            values=values_for(notebook.parameters, given, notebook=notebook.name),
            reason=notebook.not_applicable_reason(dataset),
        )
        for notebook in notebooks
    ]
    if study is None:
        return plans
    return [
        replace(each, rungs=tuple(rungs))
        for each, rungs in zip(plans, planned_rungs(plans, study), strict=True)
    ]


def seen_from(folder: Path, path: str | os.PathLike) -> str:
    """A path as an executed notebook finds it: relative where the two are neighbours, so that both may move.

    Args:
        folder: Where the notebook runs.
        path: A local path, or the address of a remote one.
    """
    text = os.fspath(path)
    if "://" in text:
        return text
    here, there = folder.resolve(), Path(text).resolve()
    if os.path.commonpath([here, there]) == here.anchor:
        return str(there)
    return os.path.relpath(there, here)
