"""The index page: the ladder on top, then the notebooks, then under which conditions."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

from dmlkit.plots import ladder
from dmlkit.report.chapters import (
    EXECUTED,
    FAILED,
    INTERRUPTED,
    MEANINGS,
    NOT_APPLICABLE,
    NOT_RUN,
    Chapter,
    Report,
)
from dmlkit.report.pages.rendering import render_page
from dmlkit.report.pages.wording import date, duration

PARTS = {
    "train": "training",
    "tuning": "tuning",
    "validate": "validation",
    "test": "test",
}
STATUSES = (EXECUTED, FAILED, INTERRUPTED, NOT_RUN, NOT_APPLICABLE)
# How a notebook ended → what to say of it.
ENDINGS = {
    "terminated": "was interrupted",
    "interrupted": "was interrupted",
    "kernel died": "lost its kernel",
    "time limit": "ran out of time",
    "data": "stopped at damaged data",
    "cell": "stopped at an error",
    "page": "was executed, but its page could not be made",
    "disk": "could not be written",
}


def render_index(summary: Mapping, chapters: Sequence[Chapter], *, ended: str | None = None) -> str:
    """The index page of a report.

    Args:
        summary: What `results.json` holds.
        chapters: What became of each notebook.
        ended: `interrupted` or `terminated` where somebody asked for the end.
    """
    chapters = [chapter.standing for chapter in chapters]
    code = Report(out=Path(), chapters=tuple(chapters), seconds=0, ended=ended).exit_code
    rows = summary["ladder"]
    gaps = [row["gap"] for row in rows if row["gap"] is not None]
    return render_page(
        "index.html.j2",
        **summary,
        shown=[_chapter(chapter, summary["started"]) for chapter in chapters],
        incomplete=bool(ended) or any(chapter.status == INTERRUPTED for chapter in chapters),
        counted=_counted(chapters),
        code=code,
        meaning=MEANINGS.get(code, "nothing failed"),
        own_threads=summary.get("threads"),
        rows=[_shown(row, best=bool(gaps) and row["gap"] == max(gaps)) for row in rows],
        map_classes=next((row["map_classes"] for row in rows if row["map_classes"]), None),
        plot=_picture(rows, summary["data"]) if gaps else None,
        parts=[_part(name, summary) for name in PARTS if name in summary["data"]["videos"]],
        when=date(summary["started"]),
        took=duration(summary["seconds"]),
        took_in_all=duration(sum(chapter.seconds or 0 for chapter in chapters)),
    )


def _chapter(chapter: Chapter, started: str) -> dict:
    """A notebook's line, and what is said of it at the top where it did not end well."""
    how = chapter.failure and ENDINGS.get(chapter.failure.kind, "did not finish")
    before = chapter.executed is not None and _moment(chapter.executed) < _moment(started)
    told = [chapter.status, duration(chapter.seconds)]
    return {
        "name": chapter.name,
        "title": chapter.title,
        "question": chapter.question,
        "page": chapter.html.name if chapter.html else None,
        "status": ", ".join(filter(None, told)),
        "when": date(chapter.executed) if before else None,
        "kind": chapter.status.replace(" ", "-"),
        "why": chapter.reason if chapter.status in (NOT_RUN, NOT_APPLICABLE) else None,
        "missing": chapter.status == NOT_RUN,
        "failed": chapter.status == FAILED,
        "how": how,
        "message": chapter.failure.message if chapter.failure else "",
    }


def _moment(iso: str) -> datetime:
    return datetime.fromisoformat(iso)


def _counted(chapters: Sequence[Chapter]) -> str:
    """`6 executed, 1 failed, 1 not run`."""
    counts = Counter(chapter.status for chapter in chapters)
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])


def _shown(row: Mapping, *, best: bool) -> dict:
    """A row of the ladder as text."""

    def text(name: str, form: str) -> str:
        return "" if row[name] is None else format(row[name], form)

    absent = row["gap"] is None
    low, high = text("gap_low", ".4f"), text("gap_high", ".4f")
    return {
        "title": row["title"],
        "kind": "absent" if absent else "best" if best else "",
        "why": f"{row['status']}: {row['reason']}" if row["reason"] else row["status"],
        "absent": absent,
        "gap": text("gap", ".4f"),
        "interval": f"{low} – {high}" if low else "",
        "map": text("map", ".4f"),
        "hit_at_one": text("hit_at_one", ".4f"),
        "perr": text("perr", ".4f"),
        "parameters": text("parameters", ",d"),
        "training": duration(row["training_seconds"]),
        "paper_gap": text("paper_gap", ".5f"),
    }


def _part(name: str, summary: Mapping) -> dict:
    """How many videos a part has, and how many of them were read under the profile."""
    there = summary["data"]["videos"][name]
    return {"name": PARTS[name], "videos": there, "read": summary["data"]["read"].get(name)}


def _picture(rows: Sequence[Mapping], data: Mapping) -> dict[str, str]:
    # A picture that is passed on must still say what data it was.
    named = SimpleNamespace(name=data["name"], generated=data["generated"])
    plot = ladder(list(rows), named, title="GAP@20, rung by rung")
    return {"data": base64.b64encode(plot.png()).decode(), "alt": plot.alt}
