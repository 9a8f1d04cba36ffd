"""Ways to combine the same runs, side by side, and how different the runs are; no run is left on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from dmlkit.evaluation import WAYS, GlobalAveragePrecision, Measures, overlap, weigh
from dmlkit.runs import Run
from dmlkit.training.ensembling import combinable, combined, parts_of, side_by_side, tuning_of


def compare_ways(runs: Sequence[Run | str | os.PathLike]) -> pd.DataFrame:
    """Every way to combine some runs, and the best of them alone: a row a way.

    A way is to be chosen by its GAP on the tuning part, as its weights are; the one on the validation part is
    what came of it.

    Args:
        runs: At least two runs, or their folders, on the same data.

    Returns:
        The best member first, then the ways in the order of `evaluation.WAYS`: tuning GAP, validation GAP, its
        interval, and the weights in the order of the runs.

    Raises:
        UsageError: Fewer than two runs, or runs on different data.

    Paper: §Ensemble, Algorithm 2, which is the first way.
    """
    members = combinable(runs)
    best = max(members, key=lambda run: run.tuning_gap)
    low, high = best.measures["gap_interval"]
    rows = {f"best member: {best.title}": (best.tuning_gap, best.gap, low, high, "–")}
    tuning, validation = tuning_of(members), [run.predictions for run in members]
    for by in WAYS:
        weights = weigh(parts_of(tuning), by=by)
        tuned, measures = GlobalAveragePrecision(), Measures(validation[0].num_classes)
        for block in combined(tuning, weights, by=by).blocks():
            tuned.update(block.scores, block.labels)
        for block in combined(validation, weights, by=by).blocks():
            measures.update(block.scores, block.labels)
        interval = measures.gap_interval()
        said = ", ".join(f"{weight:.2f}" for weight in weights.members)
        rows[by] = tuned.result(), measures.result()["gap"], interval.low, interval.high, said
    columns = ["tuning GAP@20", "validation GAP@20", "from", "to", "weights"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def compare_members(runs: Sequence[Run | str | os.PathLike]) -> pd.DataFrame:
    """How alike runs are: what share of a video's 20 highest classes two of them have in common, on the tuning part.

    Args:
        runs: At least two runs, or their folders, on the same data.

    Returns:
        A row and a column a run, under their titles; 1 on the diagonal.

    Raises:
        UsageError: Fewer than two runs, or runs on different data.
    """
    members = combinable(runs)
    shared = np.eye(len(members))
    for first in range(len(members)):
        for other in range(first):
            tuning = tuning_of([members[first], members[other]])
            parts = [(len(a.ids), overlap(a.scores, b.scores)) for a, b in side_by_side(tuning)]
            videos, values = zip(*parts, strict=True)
            shared[first, other] = shared[other, first] = np.average(values, weights=videos)
    titles = [run.title for run in members]
    return pd.DataFrame(shared, index=titles, columns=titles)
