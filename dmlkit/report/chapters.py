"""What a report consists of: chapters, each a notebook with values, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dmlkit.report.planning.notebooks import Notebook

EXECUTED, UNCHANGED, FAILED = "executed", "unchanged", "failed"
NOT_RUN, NOT_APPLICABLE, INTERRUPTED = "not run", "not applicable", "interrupted"

# How a chapter, or the whole report, ended → the command's exit code. The first that occurred is the report's.
EXIT_CODES = {
    "terminated": 143,
    "interrupted": 130,
    "kernel died": 5,
    "time limit": 6,
    "data": 3,
    "cell": 4,
    "page": 4,
    "disk": 2,
}
# What a code means, for the line at the end.
MEANINGS = {
    143: "terminated; the same command goes on where it stopped",
    130: "interrupted; the same command goes on where it stopped",
    6: "a notebook ran into its time limit",
    5: "a kernel died",
    4: "a cell failed, or a page could not be made",
    3: "data were missing or damaged",
    2: "a notebook could not be written",
}


@dataclass(frozen=True)
class Plan:
    """A notebook that is to run, with its values; or the reason why it does not.

    Args:
        notebook: The notebook.
        values: The value of each parameter that is given, by name.
        reason: Why the data set cannot serve it; None where it can.
        rungs: Names of the rungs that it trains under its values.
    """

    notebook: Notebook
    values: Mapping[str, object] = field(default_factory=dict)
    reason: str | None = None
    rungs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """How a notebook ended before its last cell.

    Args:
        kind: A key of `EXIT_CODES`.
        cell: The position of the cell in the executed notebook, counted from 0.
        message: What happened, in a line or a few.
    """

    kind: str
    cell: int
    message: str


@dataclass(frozen=True)
class Chapter:
    """One notebook of a report and what became of it.

    Args:
        name: `05-attention`.
        title: Its title.
        question: The question it answers.
        status: `executed`, `unchanged`, `failed`, `interrupted`, `not run` or `not applicable`.
        reason: Why it was not run or is not applicable, or how it failed.
        seconds: How long it ran; None where it did not.
        executed: When it began to run, in ISO 8601; None where it did not.
        html: Its page; None where it did not run.
        notebook: The executed notebook; None where it did not run.
        failure: How it failed.
    """

    name: str
    title: str
    question: str
    status: str
    reason: str | None = None
    seconds: float | None = None
    executed: str | None = None
    html: Path | None = None
    notebook: Path | None = None
    failure: Failure | None = None

    @property
    def standing(self) -> Chapter:
        """The chapter as pages and results tell of it: whatever call executed it, it is executed."""
        return replace(self, status=EXECUTED) if self.status == UNCHANGED else self

    def to_record(self) -> dict:
        """Plain values for `results.json`; the page by its name within the report's folder."""
        return {
            "name": self.name,
            "title": self.title,
            "status": self.standing.status,
            "reason": self.reason,
            "executed": self.executed,
            "seconds": self.seconds,
            "html": self.html.name if self.html else None,
        }


@dataclass(frozen=True)
class Report:
    """A finished report.

    Args:
        out: Its folder.
        chapters: What became of each notebook, in order.
        seconds: How long the last call took that executed anything.
        ended: `interrupted` or `terminated` where somebody asked for the end; None otherwise.
    """

    out: Path
    chapters: tuple[Chapter, ...]
    seconds: float
    ended: str | None = None

    @property
    def index(self) -> Path:
        """The index page."""
        return self.out / "index.html"

    @property
    def exit_code(self) -> int:
        """0, or what `EXIT_CODES` has for the worst that happened."""
        kinds = {self.ended} | {chapter.failure.kind for chapter in self.chapters if chapter.failure}
        return next((code for kind, code in EXIT_CODES.items() if kind in kinds), 0)
