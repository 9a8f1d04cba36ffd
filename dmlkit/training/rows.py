"""One rung of a ladder as a row: what `results.json` holds and what the notebooks' tables show."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dmlkit.experiments import AnyExperiment, Missing
from dmlkit.runs import Run, to_frame

# Why a rung of the ladder has no run, where its own chapter has not been asked for.
ELSEWHERE = {"beyond": "the chapter 08-beyond trains it, with --beyond"}

COLUMNS = (
    "name", "title", "status", "reason", "gap", "gap_low", "gap_high", "map", "map_classes", "hit_at_one", "perr",
    "parameters", "training_seconds", "epochs", "seconds_an_epoch", "videos_per_second", "videos", "paper_gap",
    "experiment", "run",
)  # fmt: skip


def row(rung: AnyExperiment, run: Run | None, reason: str | None) -> dict:
    """A rung's row; what there is no run for is None.

    Args:
        rung: The rung.
        run: Its finished run, if there is one.
        reason: Why the data set cannot serve it, if it cannot.
    """
    if run is None:
        status = "missing" if isinstance(rung, Missing) else "not applicable" if reason else "not trained"
        metrics, record = {}, {}
    else:
        status, metrics, record = "trained", run.metrics, run.record
    low, high = metrics.get("gap_interval", (None, None))
    seconds, epochs = record.get("seconds", {}), record.get("epochs")
    # What was trained once more took its time too.
    trained = epochs and epochs + record.get("refit", {}).get("epochs", 0)
    return {
        "name": rung.name,
        "title": rung.title,
        "status": status,
        "reason": reason or (ELSEWHERE.get(rung.chapter) if run is None else None),
        "gap": metrics.get("gap"),
        "gap_low": low,
        "gap_high": high,
        "map": metrics.get("map"),
        "map_classes": metrics.get("map_classes"),
        "hit_at_one": metrics.get("hit_at_one"),
        "perr": metrics.get("perr"),
        "parameters": record.get("parameters"),
        "training_seconds": seconds.get("training"),
        "epochs": epochs,
        "seconds_an_epoch": _over(seconds.get("training"), trained),
        "videos_per_second": _over(metrics.get("videos"), seconds.get("scoring")),
        "videos": metrics.get("videos"),
        "paper_gap": rung.paper_gap,
        "experiment": None if isinstance(rung, Missing) else rung.to_record(),
        "run": None if run is None else run.path.name,
    }


def _over(amount: float | None, by: float | None) -> float | None:
    """A rate; None where either was not measured: an ensemble has no epochs, an older run no time of scoring."""
    return round(amount / by, 3) if amount is not None and by else None


def as_table(rows: Sequence[dict]) -> pd.DataFrame:
    """The rows under their titles; the columns are there without a row too."""
    return to_frame(rows, columns=list(COLUMNS)).set_index("title")
