"""What a report says in numbers: `results.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from dmlkit.errors import DataError
from dmlkit.experiments import ABLATIONS, beyond_for
from dmlkit.files import atomic_write
from dmlkit.report.chapters import Chapter
from dmlkit.training import Study
from dmlkit.training.provenance import describe_data, hardware, versions

FILE = "results.json"
PARTS = ("train", "tuning", "validate")


def summarize(
    study: Study, chapters: Sequence[Chapter], *, started: str, seconds: float, threads: int | None = None
) -> dict:
    """The ladder, what data it was, and under which conditions.

    Args:
        study: The study whose runs the notebooks left.
        chapters: What became of each notebook.
        started: When, in ISO 8601.
        seconds: How long it took.
        threads: How many each notebook had; None where it might take all.

    Returns:
        What `results.json` holds: plain values, and None where there is no number.
    """
    ladder, beside, beyond, unreadable = [], [], [], None
    try:
        ladder = study.results()
        beside, beyond = (
            [row for row in study.results(rungs) if row["status"] == "trained"]
            for rungs in (ABLATIONS, beyond_for(study.dataset.level))
        )
    except DataError as error:  # a damaged run must not cost the rest of the report
        unreadable = str(error)
    dataset, caps = study.dataset, study.profile.caps
    there = {split: dataset.num_videos(split) for split in dataset.splits}
    return _plain(
        {
            "ladder": ladder,
            "beside": beside,
            "beyond": beyond,
            "unreadable": unreadable,
            "data": describe_data(dataset, videos=there)
            | {"read": {part: _capped(there[part], caps[part]) for part in PARTS if part in there}},
            "generated": dataset.generated,
            "profile": study.profile.to_record(),
            "seed": study.seed,
            "deterministic": study.deterministic,
            "versions": versions(),
            "hardware": hardware(),
            "threads": threads,
            "started": started,
            "seconds": round(seconds, 1),
            "chapters": [chapter.to_record() for chapter in chapters],
        }
    )


def write_summary(folder: Path, summary: Mapping) -> None:
    """Write `results.json`, whole or not at all."""
    text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(folder / FILE) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _capped(count: int, cap: int | None) -> int:
    return count if cap is None else min(count, cap)


def _plain(value: object) -> object:
    """The same without what JSON has no word for: NaN and infinities become None."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
