"""Which notebooks run on a data set, and with which values: all of it before any kernel starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dmlkit.errors import UsageError
from dmlkit.report.chapters import Plan
from dmlkit.report.notebooks import Notebook
from dmlkit.report.parameters import check_names, values_for

# What the command has options for, the same in every notebook; `runs` follows from the report's folder.
CORE = ("data", "profile", "runs", "seed", "deterministic")


def check_parameters(notebooks: Sequence[Notebook], parameters: Mapping[str, object]) -> None:
    """Hold given parameters against those of the notebooks: names and types.

    Raises:
        UsageError: A name is unknown or belongs to an option of the command, or a value is not of its type.
    """
    for name in parameters:
        if name in CORE:
            way = "by the folder of the report" if name == "runs" else f"by --{name}"
            raise UsageError(f"The parameter {name!r} is given {way}, once for all notebooks.")
    check_names(parameters, {each.name for notebook in notebooks for each in notebook.parameters} - set(CORE))
    for notebook in notebooks:
        values_for(notebook.parameters, parameters, notebook=notebook.name)


def plan(notebooks: Sequence[Notebook], *, dataset, given: Mapping[str, object]) -> list[Plan]:
    """What is to be done for each notebook.

    Args:
        notebooks: In their order.
        dataset: The data set.
        given: Parameter → value, for those notebooks that have it.
    """
    return [
        Plan(
            notebook=notebook,
            values=values_for(notebook.parameters, given, notebook=notebook.name),
            reason=notebook.why_not(dataset),
        )
        for notebook in notebooks
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
