"""What the plots are given, brought to one shape: runs, rows of the ladder, and what data it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from dmlkit.experiments import baseline_of, find
from dmlkit.runs import to_frame
from dmlkit.text import shorten

NUMBERS = (
    "gap", "gap_low", "gap_high", "map", "hit_at_one", "perr", "parameters", "training_seconds", "epochs",
    "seconds_an_epoch", "videos_per_second", "videos", "paper_gap",
)  # fmt: skip
TEXTS = ("name", "title", "status", "reason", "experiment", "part")


def as_runs(runs) -> list:
    """The runs in a dict, a list or alone, without those that are None.

    Args:
        runs: Name → run, runs, one run, or None.
    """
    if runs is None:
        return []
    if isinstance(runs, Mapping):
        runs = runs.values()
    elif not isinstance(runs, Iterable):
        runs = [runs]
    return [run for run in runs if run is not None]


def as_rows(ladder: pd.DataFrame | list[dict]) -> pd.DataFrame:
    """The rows of `study.ladder()`, `study.beside()` or `study.results()`, numbers as floats, titles as a column."""
    columns = [*TEXTS, *NUMBERS]
    if isinstance(ladder, pd.DataFrame):
        frame = ladder.reset_index().reindex(columns=columns)
    else:
        frame = to_frame(ladder, columns=columns)
    for name in NUMBERS:
        frame[name] = pd.to_numeric(frame[name], errors="coerce").astype(float)
    return frame


def called(row: Mapping) -> str:
    """A row's title; that of a trick with what it changes first, so that it is told from others where it is cut."""
    experiment = row["experiment"]
    if not isinstance(experiment, Mapping) or not experiment.get("trick"):
        return row["title"]
    base = find(baseline_of(row["name"])).title
    return f"{row['title'].removeprefix(f'{base}, ')} ({base})"


def data_of(source) -> str:
    """What data a figure speaks of, in a few words.

    Args:
        source: A data set, a run, or None where it is not known.
    """
    if source is None:
        return ""
    if hasattr(source, "record"):
        data = source.record["data"]
        return "generated data" if data["generated"] else shorten(data["name"], 60)
    return "generated data" if source.generated else shorten(source.name, 60)


def headed(title: str, source) -> str:
    """A title that says what data it is."""
    data = data_of(source)
    return f"{title} · {data}" if data else title
