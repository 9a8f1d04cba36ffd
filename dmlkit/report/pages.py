"""The pages of a report: what surrounds an executed notebook, and where its neighbours are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmlkit.report.chapters import Chapter
from dmlkit.report.notebooks import Notebook
from dmlkit.report.rendering import render_notebook
from dmlkit.report.wording import date, duration
from dmlkit.writing import put_in_place


@dataclass(frozen=True, kw_only=True)
class Pages:
    """What the pages of one report have in common.

    Args:
        out: The report's folder.
        notebooks: Those that have a page, in order.
        data: What to call the data.
        generated: Whether the data were generated.
        profile: The profile's name.
        started: When, in ISO 8601.
    """

    out: Path
    notebooks: tuple[Notebook, ...]
    data: str
    generated: bool
    profile: str
    started: str

    def render(self, chapter: Chapter) -> str:
        """The page of an executed chapter."""
        names = [notebook.name for notebook in self.notebooks]
        place = names.index(chapter.name)
        return render_notebook(
            chapter.notebook,
            title=chapter.title,
            data=self.data,
            generated=self.generated,
            profile=self.profile,
            footer=f"Executed on {date(self.started)} in {duration(chapter.seconds)}, on {self.data}"
            f", under the profile {self.profile}.",
            previous=self._link(place - 1),
            following=self._link(place + 1),
            pages=names,
        )

    def _link(self, place: int) -> dict[str, str] | None:
        if not 0 <= place < len(self.notebooks):
            return None
        notebook = self.notebooks[place]
        return {"html": f"{notebook.name}.html", "title": notebook.title}


def write_page(path: Path, html: str) -> None:
    """Write a page, whole or not at all."""
    with put_in_place(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
