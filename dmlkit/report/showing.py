"""What one sees while a report is made: a bar in a terminal, a line a notebook elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tqdm import tqdm

from dmlkit.report.chapters import Chapter, Plan
from dmlkit.report.wording import duration

FORMAT = "{desc} {percentage:.0f}% {bar:20} {elapsed}{postfix}"


class Lines:
    """One line a notebook.

    Args:
        echo: Says a line.
        plans: The chapters to come.
    """

    def __init__(self, echo: Callable[[str], None], plans: list[Plan]):
        self.echo = echo
        self.widest = max(len(plan.notebook.name) for plan in plans)

    def begin(self, plan: Plan) -> None:
        """A notebook begins."""

    def said(self, line: str) -> None:
        """The notebook printed a line."""

    def moved(self) -> None:
        """A cell is done."""

    def done(self, chapter: Chapter) -> None:
        """Say what became of a notebook."""
        line = f"{chapter.name:{self.widest}}  {chapter.status}"
        if chapter.seconds is not None:
            line += f", {duration(chapter.seconds)}"
        if chapter.status == "not applicable":
            line += f": {chapter.reason}"
        self.echo(line)
        if chapter.failure:
            self.echo(f"  {chapter.notebook}")
            for text in chapter.failure.message.splitlines()[-12:]:
                self.echo(f"  {text}")

    def close(self) -> None:
        """Nothing more comes."""


class Bar(Lines):
    """A bar over the cells of all notebooks, beside it what the running one printed last."""

    def __init__(self, echo: Callable[[str], None], plans: list[Plan]):
        super().__init__(echo, plans)
        # One more than a notebook has: the cell that gives its parameters their values.
        cells = sum(plan.notebook.cells + 1 for plan in plans if plan.reason is None)
        self.bar = tqdm(total=cells, bar_format=FORMAT, dynamic_ncols=True, leave=False)

    def begin(self, plan: Plan) -> None:
        """Name the notebook."""
        self.bar.set_postfix_str("", refresh=False)
        self.bar.set_description(plan.notebook.name)

    def said(self, line: str) -> None:
        """Show the line, shortened."""
        self.bar.set_postfix_str(line[:60])

    def moved(self) -> None:
        """Move the bar."""
        self.bar.update()

    def done(self, chapter: Chapter) -> None:
        """Say what became of a notebook, above the bar."""
        with tqdm.external_write_mode(file=sys.stderr):
            super().done(chapter)

    def close(self) -> None:
        """Take the bar away."""
        self.bar.close()


def shower(echo: Callable[[str], None], plans: list[Plan]) -> Lines:
    """The way of showing progress that suits where we are."""
    return (Bar if sys.stderr.isatty() else Lines)(echo, plans)
