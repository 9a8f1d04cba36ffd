"""What the last call left in the report's folder, so that the next one need not look at everything again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dmlkit.errors import UsageError
from dmlkit.locks import held
from dmlkit.writing import put_in_place

FILE = ".report.json"
LOCK = ".lock"


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
        with put_in_place(out / FILE) as temporary:
            temporary.write_text(json.dumps(asdict(standing), indent=1), encoding="utf-8")


@contextmanager
def sole_report(out: Path) -> Iterator[None]:
    """Make the folder of a report, and hold it for one process at a time.

    Raises:
        UsageError: It cannot be made or written to, or another process makes a report in it.
    """
    with ExitStack() as stack:
        try:
            for folder in (out / "notebooks", out / "runs"):
                folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(out / LOCK, taken=lambda holder: _refuse(out, holder)))
            _sweep(out)
        except OSError as error:
            raise UsageError(
                f"The report cannot be written to {out}: {error.strerror or error}. Name another folder with --out."
            ) from error
        yield


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
    """Around the writing of a report's files: a full disk is one paragraph.

    Raises:
        UsageError: Something could not be written.
    """
    try:
        yield
    except OSError as error:
        what = f" ({os.path.basename(error.filename)})" if error.filename else ""
        raise UsageError(
            f"The report in {out} could not be written: {error.strerror or error}{what}. What stood there before is "
            "whole. Make room; the same command then goes on where it stopped."
        ) from error
