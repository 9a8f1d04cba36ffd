"""What several runs said of the same videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from dmlkit.metrics import average_precision_by_class
from dmlkit.runs import Run


def same_data(runs: Mapping[str, Run]) -> dict[str, Run]:
    """Those of the runs that were trained on the same data as the first of them."""
    marks = [run.record["data"]["fingerprint"] for run in runs.values()]
    return {name: run for (name, run), mark in zip(runs.items(), marks, strict=True) if mark == marks[0]}


def common_videos(runs: Mapping[str, Run]) -> dict[str, dict[str, int]]:
    """Video → run → its row in the run's predictions, for the videos that every run has scored."""
    rows = {
        name: {video: row for row, video in enumerate(run.predictions.ids.tolist())}
        for name, run in runs.items()
    }
    first = next(iter(rows.values()), {})
    return {
        video: {name: places[video] for name, places in rows.items()}
        for video in first
        if all(video in places for places in rows.values())
    }


def precision_by_class(
    runs: Mapping[str, Run],
    common: Mapping[str, Mapping[str, int]],
    *,
    names: Callable[[Run], Sequence[str]],
) -> pd.DataFrame:
    """Average precision by class, a column a run, over the videos they have in common.

    Args:
        runs: Name → run.
        common: What `common_videos` gives of them.
        names: A run's class names.

    Returns:
        A row a class that occurs, its number as index: `name`, `videos`, and a column a run.
    """
    if not common:
        return pd.DataFrame(columns=["name", "videos", *runs], index=pd.Index([], name="class"))
    rows = {name: np.array([places[name] for places in common.values()]) for name in runs}
    first, run = next(iter(runs.items()))
    labels = run.predictions.labels[rows[first]]
    table = pd.DataFrame({"name": list(names(run)), "videos": labels.sum(axis=0)})
    for name, run in runs.items():
        table[name] = average_precision_by_class(run.predictions.scores[rows[name]], labels)
    table.index.name = "class"
    return table[table["videos"] > 0]
