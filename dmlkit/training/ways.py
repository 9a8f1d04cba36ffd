"""Ways to combine the same runs, side by side, and how different the runs are; no run is left on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dmlkit.evaluation import (
    WAYS,
    TopPairs,
    Weights,
    combine,
    gap_interval_of_pairs,
    gap_of_pairs,
    overlap,
    shortlist,
    top_pairs,
)
from dmlkit.predictions import Predictions
from dmlkit.runs import Run
from dmlkit.training.ensembling import combinable, parts_of, side_by_side, tuning_of


def compare_ways(runs: Sequence[Run | str | os.PathLike]) -> pd.DataFrame:
    """Every way to combine some runs, and the best of them alone: a row a way.

    A way is to be chosen by its GAP on the tuning part, as its weights are; the one on the validation part is
    what came of it.

    Args:
        runs: Runs, or their folders, on the same data.

    Returns:
        The best member first, then the ways in the order of `evaluation.WAYS`: tuning GAP, validation GAP, its
        interval, and the weights in the order of the runs. No row for fewer than two runs.

    Raises:
        UsageError: Runs on different data, or of different videos.

    Paper: §Ensemble, Algorithm 2, which is the first way.
    """
    columns = ["tuning GAP@20", "validation GAP@20", "from", "to", "weights"]
    if len(runs) < 2:
        return pd.DataFrame(columns=columns)
    members = combinable(runs)
    best = max(members, key=lambda run: run.tuning_gap)
    low, high = best.measures["gap_interval"]
    rows = {f"best member: {best.title}": (best.tuning_gap, best.gap, low, high, "–")}
    tuning, validation = tuning_of(members), [run.predictions for run in members]
    looked_at = shortlist(parts_of(tuning))
    weights = {by: way.weigh(looked_at) for by, way in WAYS.items()}
    tuned, scored = _pairs(tuning, weights), _pairs(validation, weights)
    for by in WAYS:
        interval = gap_interval_of_pairs(scored[by])
        said = ", ".join(f"{weight:.2f}" for weight in weights[by].members)
        rows[by] = gap_of_pairs(tuned[by]), gap_of_pairs(scored[by]), interval.low, interval.high, said
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _pairs(parts: Sequence[Predictions], weights: Mapping[str, Weights]) -> dict[str, TopPairs]:
    """Way → every video's best pairs, of scores as they would be stored; each score is widened once for all ways."""
    found = {by: [] for by in weights}
    for blocks in side_by_side(parts):
        scores = [block.scores.astype(np.float32) for block in blocks]
        for by, each in weights.items():
            found[by].append(top_pairs(combine(scores, each, by=by).astype(np.float16), blocks[0].labels))
    return {
        by: TopPairs(
            np.concatenate([pairs.scores for pairs in each]),
            np.concatenate([pairs.correct for pairs in each]),
            np.concatenate([pairs.true_labels for pairs in each]),
        )
        for by, each in found.items()
    }


def compare_members(runs: Sequence[Run | str | os.PathLike]) -> pd.DataFrame:
    """How alike runs are: what share of a video's 20 highest classes two of them have in common, on the tuning part.

    Args:
        runs: Runs, or their folders, on the same data.

    Returns:
        A row and a column a run, under their titles; 1 on the diagonal. Empty for fewer than two runs.

    Raises:
        UsageError: Runs on different data, or of different videos.
    """
    members = combinable(runs) if len(runs) > 1 else []
    shared = np.eye(len(members))
    for first in range(len(members)):
        for other in range(first):
            tuning = tuning_of([members[first], members[other]])
            parts = [(len(a.ids), overlap(a.scores, b.scores)) for a, b in side_by_side(tuning)]
            videos, values = zip(*parts, strict=True)
            shared[first, other] = shared[other, first] = np.average(values, weights=videos)
    titles = [run.title for run in members]
    return pd.DataFrame(shared, index=titles, columns=titles)
