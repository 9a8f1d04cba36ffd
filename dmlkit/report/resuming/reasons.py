"""Why a notebook would be executed: what has changed since it was executed last."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from dmlkit.report.chapters import Plan
from dmlkit.report.planning.parameter_help import tell_value
from dmlkit.report.resuming.stamps import made_of, marks_of, read_stamp

NEW = "new"


def why_executed(
    plan: Plan, notebook: Path, *, data: str | None, runs: Path, coming: Collection[str] = ()
) -> str | None:
    """What has changed since a notebook was executed, or None where nothing has.

    Args:
        plan: What would be executed.
        notebook: The executed notebook.
        data: The mark of the data set; None where it is not there yet.
        runs: The report's folder of runs.
        coming: Names of rungs that notebooks before it would train.
    """
    if not notebook.exists():
        return NEW
    told = read_stamp(notebook)
    if told is None:
        return "it was not finished, or was altered since"
    # As a file gives it back: a tuple is a list there.
    now = json.loads(json.dumps(made_of(plan, data=data or "")))
    former = told.get("made_of") or {}
    changes = [line for part, tell in PARTS.items() for line in tell(former.get(part), now[part])]
    changes += _runs(told["runs"], marks_of(told["runs"], runs), coming)
    return "; ".join(changes) or None


def _values(former: Mapping | None, now: Mapping) -> list[str]:
    former = former or {}
    return [
        f"the parameter {name} changed ({_was(former, name)} → {_was(now, name)})"
        for name in [*now, *(name for name in former if name not in now)]
        if former.get(name, ...) != now.get(name, ...)
    ]


def _was(values: Mapping, name: str) -> str:
    return tell_value(values[name]) if name in values else "its default"


def _software(former: Mapping | None, now: Mapping) -> list[str]:
    former = former or {}
    changed = [name for name in now if former.get(name) != now[name]]
    # Its files change with the version, so that the version tells more.
    if "dmlkit" in changed:
        changed.remove("package")
    return [
        "dmlkit's files changed"
        if name == "package"
        else f"{name} changed ({former.get(name)} → {now[name]})"
        for name in changed
    ]


def _runs(former: Mapping, now: Mapping, coming: Collection[str]) -> list[str]:
    told = []
    for run, mark in now.items():
        if former[run] != mark:
            what = "is gone" if mark is None else "is there now" if former[run] is None else "changed"
            told.append(f"the run {run} {what}")
        elif mark is None and _rung(run) in coming:
            told.append(f"the run of {_rung(run)}, which it reads, would be trained")
    return told


def _rung(run: str) -> str:
    """The rung of a run's folder, which is called `lr-` and eight letters of its fingerprint."""
    return run.rpartition("-")[0]


# A part of what an execution starts from → how a change of it is told.
PARTS = {
    "notebook": lambda former, now: ["its source changed"] if former != now else [],
    "values": _values,
    "data": lambda former, now: ["the data changed"] if former != now else [],
    "software": _software,
}
