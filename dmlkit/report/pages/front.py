"""What stands before the chapters: the index page and `results.json`, written when they would tell something new."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dmlkit.report.chapters import EXECUTED, FAILED, INTERRUPTED, Chapter
from dmlkit.report.resuming.digests import digest, file_digest, software
from dmlkit.report.resuming.ground import Ground
from dmlkit.report.resuming.stamps import marks_of
from dmlkit.report.resuming.standing import written

INDEX, RESULTS = "index.html", "results.json"
RAN = (EXECUTED, FAILED, INTERRUPTED)


def write_front(
    chapters: Sequence[Chapter],
    *,
    ground: Ground,
    started: str,
    seconds: float,
    threads: int | None,
    ended: str | None,
) -> float:
    """Write the index page and `results.json`, where they do not stand as they would be written.

    Args:
        chapters: What became of each notebook.
        ground: The data and the conditions.
        started: When this call began, in ISO 8601.
        seconds: How long it took up to now.
        threads: How many each notebook had; None where it might take all.
        ended: `interrupted` or `terminated` where somebody asked for the end.

    Returns:
        How long the last call took that executed anything.
    """
    out, former = ground.out, ground.standing.whole
    call = {"started": started, "seconds": round(seconds, 1), "threads": threads}
    if former and not any(chapter.status in RAN for chapter in chapters):
        call = former["call"]
    whole = {
        "of": digest(
            {
                "chapters": [[chapter.to_record(), chapter.question] for chapter in chapters],
                "runs": marks_of(_folders(out / "runs"), out / "runs"),
                "data": ground.known.mark,
                "conditions": [ground.profile, ground.seed, ground.deterministic],
                "software": software(),
                "ended": ended,
            }
        ),
        "call": call,
    }
    if former != whole | _files(out):
        _write(chapters, ground=ground, call=call, ended=ended)
        ground.standing.whole = whole | _files(out)
    return call["seconds"]


def _write(chapters: Sequence[Chapter], *, ground: Ground, call: dict, ended: str | None) -> None:
    # TensorFlow, pandas and matplotlib come with these.
    from dmlkit.report.pages.index import render_index
    from dmlkit.report.pages.page import write_page
    from dmlkit.report.pages.summary import summarize, write_summary

    summary = summarize(ground.walk, chapters, **call)
    html = render_index(summary, chapters, ended=ended)
    with written(ground.out):
        write_summary(ground.out, summary)
        write_page(ground.out / INDEX, html)


def _folders(runs: Path) -> list[str]:
    return sorted(path.name for path in runs.iterdir() if path.is_dir() and path.name[0] != ".")


def _files(out: Path) -> dict:
    return {"index": file_digest(out / INDEX), "results": file_digest(out / RESULTS)}
