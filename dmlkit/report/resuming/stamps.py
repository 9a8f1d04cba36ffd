"""The stamp in an executed notebook: out of what it was made, so that it need not be made again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from dmlkit.files import atomic_write
from dmlkit.report.chapters import Plan
from dmlkit.report.resuming.digests import digest, file_digest, software

KEY = "dmlkit_report"
RECORD = "run.json"  # as in `dmlkit.runs`, which would bring pandas along
# What stands beside it when a run is finished. Checkpoints and locks come and go, and change nothing.
ABLATIONS = ("history.csv", "model.keras", "predictions.npz", "tuning.npz")


def made_of(plan: Plan, *, data: str) -> dict:
    """All that an execution starts from, part by part, so that one can say which part has changed.

    Args:
        plan: The notebook and its values.
        data: The mark of the data set.
    """
    return {
        "notebook": plan.notebook.digest,
        "values": dict(plan.values),
        "data": data,
        "software": software(),
    }


def stamp_of(plan: Plan, *, data: str) -> str:
    """The mark of all that an execution starts from; the arguments are those of `made_of`."""
    return digest(made_of(plan, data=data))


def looked_at(file: Path, runs: Path) -> dict[str, str | None]:
    """The runs a notebook looked at, by folder → the mark of the record it has now; None where there is none.

    Args:
        file: Where the notebook's process noted them.
        runs: The report's folder of runs, whose runs are told by their names.
    """
    noted = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    home = runs.resolve()
    paths = sorted({Path(line) for line in noted})
    names = [path.name if path.parent == home else str(path) for path in paths]
    return marks_of(names, runs)


def marks_of(names: Iterable[str], runs: Path) -> dict[str, str | None]:
    """Run → the mark of its record and of the sizes of its other files now; None where there is no record."""
    return {name: _mark(runs / name) for name in names}


def _mark(run: Path) -> str | None:
    record = file_digest(run / RECORD)
    return record and digest([record, {name: _size(run / name) for name in ABLATIONS}])


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None


def write_stamp(notebook: Path, told: Mapping) -> None:
    """Write into an executed notebook what it was made out of.

    Args:
        notebook: The file.
        told: `stamp`, `made_of`, `runs`, `executed` and `seconds`.
    """
    content = json.loads(notebook.read_text(encoding="utf-8"))
    content["metadata"].pop(KEY, None)
    content["metadata"][KEY] = dict(told) | {"content": digest(content)}
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)
    with atomic_write(notebook) as temporary:
        # Half a surrogate pair, which a notebook may print, as JSON writes it.
        temporary.write_bytes(f"{text}\n".encode("utf-8", errors="backslashreplace"))


def read_stamp(notebook: Path) -> dict | None:
    """What `write_stamp` wrote; None where the notebook is missing, bears none, or was altered since."""
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        told = content["metadata"].pop(KEY)
        return told if told["content"] == digest(content) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def standing_stamp(plan: Plan, notebook: Path, *, data: str, runs: Path) -> dict | None:
    """The stamp of an executed notebook that need not be executed again, or None.

    Args:
        plan: What would be executed.
        notebook: The executed notebook.
        data: The mark of the data set.
        runs: The report's folder of runs.
    """
    told = read_stamp(notebook)
    if told is None or told["stamp"] != stamp_of(plan, data=data):
        return None
    return told if marks_of(told["runs"], runs) == told["runs"] else None
