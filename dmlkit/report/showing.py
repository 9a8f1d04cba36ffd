"""What one sees while a report is made: a bar in a terminal, a line a notebook elsewhere."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from tqdm import tqdm

from dmlkit.report.chapters import MEANINGS, Chapter, Plan, Report
from dmlkit.report.pages.wording import duration

FORMAT = "{desc} {percentage:.0f}% {bar:20} {elapsed}{postfix}"
LAST_LINES = 12


class Voice:
    """Says lines for as long as somebody can hear them: a report outlives the pipe or terminal it speaks to.

    Args:
        echo: Says a line.
    """

    def __init__(self, echo: Callable[[str], None]):
        self.echo: Callable[[str], None] | None = echo

    def __call__(self, line: str) -> None:
        """Say a line, now; nothing once that failed."""
        try:
            if self.echo:
                self.echo(line)
                _flush()
        except (OSError, ValueError):  # a ValueError where the file was closed
            self.echo = None
            _let_go()


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _let_go() -> None:
    """What could not be written goes nowhere; else Python tries again at its end, and that fails the command."""
    try:
        _flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


class Lines:
    """One line a notebook.

    Args:
        echo: Says a line.
        plans: The chapters to come.
    """

    def __init__(self, echo: Callable[[str], None], plans: Sequence[Plan]):
        self.echo = echo
        self.widest = max(len(plan.notebook.name) for plan in plans)

    def begin(self, plan: Plan) -> None:
        """A notebook begins."""

    def said(self, name: str, line: str) -> None:
        """A notebook printed a line. Called from the notebook's own thread."""

    def moved(self, name: str) -> None:
        """A cell of a notebook is done. Called from the notebook's own thread."""

    def ending(self, why: str) -> None:
        """The notebooks are being ended."""
        self.echo(f"Ending the notebooks ({why}); what they got done is kept ...")

    def done(self, chapter: Chapter) -> None:
        """Say what became of a notebook: with the last lines of an error, and the file that holds the rest."""
        line = f"{chapter.name:{self.widest}}  {chapter.status}"
        # An unchanged one took its time in another call.
        if chapter.seconds is not None and chapter.status != "unchanged":
            line += f", {duration(chapter.seconds)}"
        if chapter.reason and not chapter.failure:
            line += f": {chapter.reason}"
        self.echo(line)
        if chapter.failure:
            if chapter.notebook:
                self.echo(f"  {chapter.notebook}")
            for text in chapter.failure.message.splitlines()[-LAST_LINES:]:
                self.echo(f"  {text}")

    def close(self) -> None:
        """Nothing more comes."""


class Bar(Lines):
    """A bar over the cells of all notebooks, beside it what one of those running printed last."""

    def __init__(self, echo: Callable[[str], None], plans: Sequence[Plan]):
        super().__init__(echo, plans)
        self.cells = {plan.notebook.name: _cells(plan) for plan in plans}
        self.running: list[str] = []
        self.lock = threading.RLock()
        self.bar = tqdm(total=sum(self.cells.values()), bar_format=FORMAT, dynamic_ncols=True, leave=False)

    def begin(self, plan: Plan) -> None:
        """Name the notebook."""
        with self.lock:
            self.running.append(plan.notebook.name)
            self.bar.set_postfix_str("", refresh=False)
            self.bar.set_description(" + ".join(self.running))

    def said(self, name: str, line: str) -> None:
        """Show the line, shortened; where several notebooks run, with the number of the one that said it."""
        with self.lock:
            who = f"{name.split('-')[0]}: " if len(self.running) > 1 else ""
            self.bar.set_postfix_str(f"{who}{line}"[:60])

    def moved(self, name: str) -> None:
        """Move the bar."""
        with self.lock:
            if self.cells[name] > 0:
                self.cells[name] -= 1
                self.bar.update()

    def ending(self, why: str) -> None:
        """Say so above the bar."""
        with self.lock, tqdm.external_write_mode(file=sys.stderr):
            super().ending(why)

    def done(self, chapter: Chapter) -> None:
        """Say what became of a notebook, above the bar, which leaves its cells behind."""
        with self.lock:
            if chapter.name in self.running:
                self.running.remove(chapter.name)
                self.bar.set_description(" + ".join(self.running), refresh=False)
            self.bar.update(self.cells[chapter.name])
            self.cells[chapter.name] = 0
            with tqdm.external_write_mode(file=sys.stderr):
                super().done(chapter)

    def close(self) -> None:
        """Take the bar away."""
        with self.lock:
            self.bar.close()


def _cells(plan: Plan) -> int:
    # One more than a notebook has: the cell that gives its parameters their values.
    return plan.notebook.cells + 1 if plan.reason is None else 0


def shower(echo: Callable[[str], None], plans: Sequence[Plan]) -> Lines:
    """The way of showing progress that suits where we are."""
    return (Bar if sys.stderr.isatty() else Lines)(echo, plans)


def closing_lines(report: Report) -> list[str]:
    """Where the report is, what became of how many notebooks, and what the exit code means."""
    counts = Counter(chapter.status for chapter in report.chapters)
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    lines = [f"The report is in {report.index}: {told}."]
    if report.exit_code:
        lines.append(f"Exit code {report.exit_code}: {MEANINGS[report.exit_code]}.")
    return lines
