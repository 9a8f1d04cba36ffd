"""What the last call left in the report's folder, so that the next one need not look at everything again."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dmlkit.errors import UsageError
from dmlkit.files import atomic_write, file_lock
from dmlkit.report.resuming.digests import data_mark

FILE = ".report.json"
LOCK = ".lock"
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Standing:
    """The report's own record, `.report.json`.

    Args:
        data: What is known of the data set, with the marks under which it holds.
        pages: Name → out of what its page was made, and the mark of the page.
        whole: The same of `results.json` and the index page, and when they last told of an execution.
    """

    data: dict = field(default_factory=dict)
    pages: dict[str, dict] = field(default_factory=dict)
    whole: dict = field(default_factory=dict)


def read_standing(out: Path) -> Standing:
    """Read the record of a report; an empty one where there is none or it cannot be read."""
    try:
        told = Standing(**json.loads((out / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Standing()
    return told if all(isinstance(each, dict) for each in vars(told).values()) else Standing()


def write_standing(out: Path, standing: Standing) -> None:
    """Write the record of a report, whole or not at all; nothing where it already says so."""
    if standing != read_standing(out):
        with atomic_write(out / FILE) as temporary:
            temporary.write_text(json.dumps(asdict(standing), indent=1), encoding="utf-8")


@contextmanager
def sole_report(out: Path) -> Iterator[None]:
    """Make the folder of a report, and hold it for one process at a time.

    Where the report comes to nothing, the folders that were made for it go again.

    Raises:
        UsageError: It cannot be made or written to, or another process makes a report in it.
    """
    inner = (out / "notebooks", out / "runs")
    with ExitStack() as stack:
        try:
            made = [folder for folder in (out, *out.parents) if not folder.exists()]
            stack.push(lambda kind, *about: _take_away(made) if kind else None)
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(file_lock(out / LOCK, taken=lambda holder: _refuse(out, holder)))
            made_within = [folder for folder in inner if not folder.exists()]
            stack.push(lambda kind, *about: _take_away(made_within) if kind else None)
            for folder in inner:
                folder.mkdir(exist_ok=True)
            _sweep(out)
        except OSError as error:
            raise UsageError(
                f"The report cannot be written to {out}: {error.strerror or error}. Name another folder with --out."
            ) from error
        yield


def _take_away(made: Sequence[Path]) -> None:
    """Remove folders that were made, if nothing but a lock that nobody holds is in them."""
    for folder in made:
        with suppress(OSError):  # it holds something
            if [path.name for path in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()
            folder.rmdir()


def check_place(out: Path) -> None:
    """Hold a report's folder, there or not, against what `sole_report` would meet; nothing is made.

    Raises:
        UsageError: It could not be written to.
    """
    try:
        nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        why = "a file stands there" if not nearest.is_dir() else "it may not be written to"
        if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
            return
        why += f" ({nearest})" if nearest != out else ""
    except OSError as error:
        why = error.strerror or str(error)
    raise UsageError(f"The report cannot be written to {out}: {why}. Name another folder with --out.")


def check_same_data(out: Path, data: str | os.PathLike) -> None:
    """Hold a folder that nobody named against what is in it: two data sets' folders may have one name.

    Raises:
        UsageError: It holds the report of other data, which lie elsewhere.
    """
    former = read_standing(out).data.get("holds") or {}
    if former.get("path") in (None, os.path.abspath(data)):
        return
    if "://" not in os.fspath(data) and not os.path.exists(data):  # opening it will say so
        return
    mark = data_mark(data, without=out)
    if mark is None or mark != former.get("mark"):  # the same data may have been moved
        raise UsageError(
            f"{out} holds the report of other data, {former['path']}, and would be overwritten with that of {data}. "
            "Name another folder with --out; this one too, if you mean it."
        )


def _refuse(out: Path, holder: str) -> None:
    raise UsageError(
        f"A report is being made in {out} by {holder}. Wait until it has ended, or name another folder with --out."
    )


def _sweep(out: Path) -> None:
    """Take away what a killed report had begun to write."""
    begun = re.compile(r"\.\d+\..+")
    hidden = [path for path in out.iterdir() if begun.fullmatch(path.name)]
    hidden += [path for path in (out / "notebooks").iterdir() if path.name[0] == "."]
    for path in hidden:
        if path.is_file():
            path.unlink()


@contextmanager
def written(out: Path) -> Iterator[None]:
    """Around the writing of a report's files, and nothing else: a full disk is one paragraph.

    Raises:
        UsageError: Something could not be written.
    """
    try:
        yield
    except OSError as error:
        advice = "Make room." if error.errno in FULL else "Mend that."
        what = f" ({os.path.basename(error.filename)})" if error.filename else ""
        raise UsageError(
            f"The report in {out} could not be written: {error.strerror or error}{what}. What stood there before is "
            f"whole. {advice} The same command then goes on where it stopped."
        ) from error
