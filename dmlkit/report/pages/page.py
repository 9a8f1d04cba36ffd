"""The pages of a report: what surrounds an executed notebook, and where its neighbours are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dmlkit.errors import DmlkitError
from dmlkit.files import atomic_write
from dmlkit.report.chapters import FAILED, Chapter, Failure, Plan
from dmlkit.report.pages.wording import date, duration
from dmlkit.report.resuming.digests import digest, file_digest, software
from dmlkit.report.resuming.ground import Ground
from dmlkit.report.resuming.standing import written


@dataclass
class Pages:
    """The pages of one report.

    Args:
        ground: The data and the conditions that each page names.
        among: Name and title of every chapter that has a page, in order.
    """

    ground: Ground
    among: Sequence[tuple[str, str]]

    def write_all(self, chapters: Sequence[Chapter]) -> list[Chapter]:
        """Write the pages of these chapters, and of no others: each knows its neighbours.

        Returns:
            The chapters as `write` gives them.
        """
        self.among = [(chapter.name, chapter.title) for chapter in chapters if chapter.html]
        return [self.write(chapter) for chapter in chapters]

    def write(self, chapter: Chapter) -> Chapter:
        """Write the page of a chapter that was executed, where it does not stand as it would be written.

        Returns:
            The chapter; a failed one without a page where that could not be made.
        """
        if chapter.html is None:
            return chapter
        about = self._about(chapter)
        made_of = digest([about, file_digest(chapter.notebook), software()])
        if self.ground.standing.pages.get(chapter.name) == {"of": made_of, "page": file_digest(chapter.html)}:
            return chapter
        from dmlkit.report.pages.rendering import render_notebook

        try:
            html = render_notebook(chapter.notebook, **about)
        except DmlkitError:
            raise
        except Exception as error:  # of one notebook, which must not cost the others their report
            chapter.html.unlink(missing_ok=True)
            return _pageless(chapter, error)
        with written(self.ground.out):
            write_page(chapter.html, html)
        self.ground.standing.pages[chapter.name] = {"of": made_of, "page": file_digest(chapter.html)}
        return chapter

    def _about(self, chapter: Chapter) -> dict:
        names = [name for name, _ in self.among]
        place = names.index(chapter.name)
        known, profile = self.ground.known, self.ground.profile
        return {
            "title": chapter.title,
            "data": known.name,
            "generated": known.generated,
            "profile": profile,
            "footer": f"Executed on {date(chapter.executed)} in {duration(chapter.seconds)}, on {known.name}, "
            f"under the profile {profile}.",
            "previous": _link(self.among, place - 1),
            "following": _link(self.among, place + 1),
            "pages": names,
        }


def expected_pages(plans: Sequence[Plan], others: Sequence[Chapter]) -> list[tuple[str, str]]:
    """Name and title of every chapter that will have a page if all goes well, in order."""
    named = {plan.notebook.name: plan.notebook.title for plan in plans if plan.reason is None}
    return sorted((named | {chapter.name: chapter.title for chapter in others}).items())


def _pageless(chapter: Chapter, error: Exception) -> Chapter:
    last = (str(error).strip().splitlines() or [""])[-1]
    message = f"Its page could not be made: {type(error).__name__}: {last}".removesuffix(": ")
    failure = chapter.failure or Failure(kind="page", cell=0, message=message)
    return replace(
        chapter,
        status=FAILED,
        html=None,
        reason=chapter.reason if chapter.failure else message,
        failure=failure,
    )


def _link(among: Sequence[tuple[str, str]], place: int) -> dict[str, str] | None:
    if not 0 <= place < len(among):
        return None
    name, title = among[place]
    return {"html": f"{name}.html", "title": title}


def write_page(path: Path, html: str) -> None:
    """Write a page, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
