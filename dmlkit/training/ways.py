"""The same runs combined in other ways and without one of them, and how different they are; nothing is left on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dmlkit.errors import choose
from dmlkit.metrics import (
    COMBINERS,
    TopPairs,
    Weights,
    combine,
    gap_interval_of_pairs,
    gap_of_pairs,
    overlap,
    percentiles,
    resampled_gaps,
    shortlist,
    top_pairs,
)
from dmlkit.predictions import Predictions
from dmlkit.runs import Run
from dmlkit.training.ensembling import ALGORITHM_2, combinable, parts_of, side_by_side, tuning_of

TOP_K = 20
RESAMPLES = 500
LEVEL = 0.95


class _Combination(NamedTuple):
    """Some of the members, by their places, and how they are combined."""

    places: tuple[int, ...]
    by: str
    weights: Weights


def compare_combiners(runs: Sequence[Run | str | os.PathLike]) -> pd.DataFrame:
    """Every way to combine some runs, and the best of them alone: a row a way.

    A way is to be chosen by its GAP on the tuning part, as its weights are; the one on the validation part is
    what came of it.

    Args:
        runs: Runs, or their folders, on the same data.

    Returns:
        The best member first, then the ways in the order of `evaluation.COMBINERS`: tuning GAP, validation GAP, its
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
    low, high = best.metrics["gap_interval"]
    rows = {f"best member: {best.title}": (best.tuning_gap, best.gap, low, high, "–")}
    tuning, validation = tuning_of(members), [run.predictions for run in members]
    looked_at = shortlist(parts_of(tuning))
    places = tuple(range(len(members)))
    ways = {by: _Combination(places, by, way.optimize_weights(looked_at)) for by, way in COMBINERS.items()}
    tuned, scored = _pairs(tuning, ways), _pairs(validation, ways)
    for by in COMBINERS:
        interval = gap_interval_of_pairs(scored[by])
        said = ", ".join(f"{weight:.2f}" for weight in ways[by].weights.members)
        rows[by] = gap_of_pairs(tuned[by]), gap_of_pairs(scored[by]), interval.low, interval.high, said
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def leave_one_out(runs: Sequence[Run | str | os.PathLike], *, by: str = ALGORITHM_2) -> pd.DataFrame:
    """What each run adds to an ensemble of them: its GAP, minus that of the others combined anew.

    Whether a member is worth its cost is to be judged on the tuning part; the validation part is what came of it.

    Args:
        runs: At least three runs, or their folders, on the same data.
        by: How they are combined, a name of `evaluation.COMBINERS`.

    Returns:
        A row a run, under its title: its GAP alone on the tuning part, what it adds there, what it adds on the
        validation part, and the 95 % interval of that, paired over videos. No row for fewer than three.

    Raises:
        UsageError: An unknown way, runs on different data, or of different videos.

    Paper: §Ensemble, which adds models without asking what each is worth.
    """
    way = choose(COMBINERS, by, what="way to combine")
    columns = ["alone", "adds, tuning", "adds, validation", "from", "to"]
    if len(runs) < 3:
        return pd.DataFrame(columns=columns)
    members = combinable(runs)
    tuning, validation = tuning_of(members), [run.predictions for run in members]
    every = tuple(range(len(members)))
    chosen = {None: every} | {place: tuple(other for other in every if other != place) for place in every}
    ensembles = {
        left: _Combination(
            there, by, way.optimize_weights(shortlist(parts_of([tuning[place] for place in there])))
        )
        for left, there in chosen.items()
    }
    tuned = {left: gap_of_pairs(pairs) for left, pairs in _pairs(tuning, ensembles).items()}
    scored = _pairs(validation, ensembles)
    drawn = dict(zip(scored, resampled_gaps(list(scored.values()), resamples=RESAMPLES, seed=0), strict=True))
    rows = []
    for place, run in enumerate(members):
        interval = percentiles(drawn[None] - drawn[place], LEVEL)
        gained = gap_of_pairs(scored[None]) - gap_of_pairs(scored[place])
        rows.append((run.tuning_gap, tuned[None] - tuned[place], gained, interval.low, interval.high))
    return pd.DataFrame(rows, index=titles(members), columns=columns)


def titles(runs: Sequence[Run]) -> list[str]:
    """What runs are called, one unlike the other: those of one title by their seeds too."""
    told = [run.title for run in runs]
    told = [
        f"{title}, seed {run.record['seed']}" if told.count(title) > 1 else title
        for run, title in zip(runs, told, strict=True)
    ]
    return [
        f"{title} ({told[: place + 1].count(title)})" if told.count(title) > 1 else title
        for place, title in enumerate(told)
    ]


def _pairs(
    parts: Sequence[Predictions], combinations: Mapping[object, _Combination]
) -> dict[object, TopPairs]:
    """Of each combination every video's best pairs, of scores as they would be stored; each score is widened once."""
    found = {name: [] for name in combinations}
    for blocks in side_by_side(parts):
        scores = [block.scores.astype(np.float32) for block in blocks]
        for name, each in combinations.items():
            together = combine((scores[place] for place in each.places), each.weights, by=each.by)
            found[name].append(top_pairs(together.astype(np.float16), blocks[0].labels))
    return {
        name: TopPairs(
            np.concatenate([pairs.scores for pairs in each]),
            np.concatenate([pairs.correct for pairs in each]),
            np.concatenate([pairs.true_labels for pairs in each]),
        )
        for name, each in found.items()
    }


def compare_members(runs: Sequence[Run | str | os.PathLike]) -> pd.DataFrame:
    """How alike runs are: what share of a video's highest classes two of them have in common, on the tuning part.

    Args:
        runs: Runs, or their folders, on the same data.

    Returns:
        A row and a column a run, under their titles; 1 on the diagonal. Empty for fewer than two runs. `attrs["top_k"]`
        says how many highest: 20, or a fifth of fewer than 100 classes, of which any two models share most others.

    Raises:
        UsageError: Runs on different data, or of different videos.
    """
    members = combinable(runs) if len(runs) > 1 else []
    shared = np.eye(len(members))
    top_k = max(1, min(TOP_K, members[0].predictions.num_classes // 5)) if members else TOP_K
    for first in range(len(members)):
        for other in range(first):
            tuning = tuning_of([members[first], members[other]])
            parts = [(len(a.ids), overlap(a.scores, b.scores, top_k=top_k)) for a, b in side_by_side(tuning)]
            videos, values = zip(*parts, strict=True)
            shared[first, other] = shared[other, first] = np.average(values, weights=videos)
    names = titles(members)
    table = pd.DataFrame(shared, index=names, columns=names)
    table.attrs["top_k"] = top_k
    return table
