"""The index page: the ladder on top, then the notebooks, then under which conditions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from dmlkit.plots import ladder
from dmlkit.report.chapters import Chapter
from dmlkit.report.rendering import render_page
from dmlkit.report.wording import date, duration

PARTS = {
    "train": "training",
    "tuning": "tuning",
    "validate": "validation",
    "test": "test",
}


def render_index(summary: Mapping, chapters: Sequence[Chapter]) -> str:
    """The index page of a report.

    Args:
        summary: What `results.json` holds.
        chapters: What became of each notebook.
    """
    rows = summary["ladder"]
    gaps = [row["gap"] for row in rows if row["gap"] is not None]
    return render_page(
        "index.html.j2",
        **summary,
        chapters_shown=chapters,
        failures=[chapter for chapter in chapters if chapter.failure],
        rows=[_shown(row, best=bool(gaps) and row["gap"] == max(gaps)) for row in rows],
        map_classes=next((row["map_classes"] for row in rows if row["map_classes"]), None),
        plot=_picture(rows, summary["data"]) if gaps else None,
        parts=[_part(name, summary) for name in PARTS if name in summary["data"]["videos"]],
        when=date(summary["started"]),
        took=duration(summary["seconds"]),
        duration=duration,
    )


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
