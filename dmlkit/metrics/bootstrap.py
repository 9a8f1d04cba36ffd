"""Bootstrap intervals over videos: of one system's GAP, and of the difference of two systems on the same videos.

Resampling videos changes no score, only how often each pair counts. So the pooled pairs are sorted once, and every
resample is two weighted sums by score over them, equal to GAP of the videos literally resampled.

A system may be trained under several seeds: its GAP is then the mean over these members. Videos are resampled for all
members of both systems at once, so that what hard videos do to every member cancels in the difference. The interval
covers other videos; other seeds are covered by the spread of the members, and only there.

Differs from the paper: it states no intervals and trains every model once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.ranking import TopPairs, check_count, gap_of_pairs, sum_of_steps, top_pairs

FEWEST_FOR_A_TEST = 100  # scored videos; of fewer an interval may be shown, but no test is claimed
_BLOCK_RESAMPLES = 8  # counted at once, so that each pair is looked up once for all of them


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float


class Spread(NamedTuple):
    """One metric under several seeds: `values` one a seed, their mean, lowest and highest."""

    values: tuple[float, ...]
    mean: float
    deviation: float | None  # of a sample (divided by seeds - 1); None of a single seed
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of one value a seed."""
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(tuple(values), float(np.mean(values)), deviation, min(values), max(values))


class GapComparison(NamedTuple):
    """GAP of A against GAP of B."""

    a: Spread
    b: Spread
    difference: float  # mean of A minus mean of B
    interval: Interval  # of the difference
    a_ahead: float  # share of resamples in which A is higher, one without a difference counted half


class ClassDifferences(NamedTuple):
    """Average precision by class, the mean over seeds, the classes that A gains most first; equal ones by number."""

    classes: np.ndarray
    videos: np.ndarray  # how many have the class
    a: np.ndarray
    b: np.ndarray
    difference: np.ndarray  # a - b


def gap_interval(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    top_k: int = 20,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """The percentile bootstrap interval of GAP@k over videos.

    Args:
        level: The share of resamples inside, between 0 and 1.
        resamples: How many times as many videos are resampled, with replacement.
        seed: Resample r takes the videos of the r-th `integers(videos, size=videos)` of
            `np.random.default_rng(seed)`: the same seed gives the same interval.
    """
    pairs = top_pairs(scores, labels, top_k=top_k)
    return gap_interval_of_pairs(pairs, level=level, resamples=resamples, seed=seed)


def gap_interval_of_pairs(
    pairs: TopPairs, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """`gap_interval` from each video's top pairs, without the scores of all classes; the arguments are its own."""
    (gaps,) = resampled_gaps([pairs], resamples=resamples, seed=seed)
    return percentiles(gaps, level)


def compare_gaps(
    a: Sequence[TopPairs], b: Sequence[TopPairs], *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> GapComparison:
    """How much higher the mean GAP of A's members is than that of B's, on the same videos, resampled together.

    `a` and `b` hold the top pairs of each member; the settings are those of `gap_interval`.
    """
    members = [*a, *b]
    if any(not np.array_equal(pairs.true_labels, members[0].true_labels) for pairs in members):
        raise ValueError("The members must have scored the same videos, in the same order.")
    gaps = resampled_gaps(members, resamples=resamples, seed=seed)
    differences = gaps[: len(a)].mean(axis=0) - gaps[len(a) :].mean(axis=0)
    of_a, of_b = (Spread.of([gap_of_pairs(pairs) for pairs in side]) for side in (a, b))
    ahead = float(np.mean(differences > 0) + np.mean(differences == 0) / 2)
    return GapComparison(of_a, of_b, of_a.mean - of_b.mean, percentiles(differences, level), ahead)


def compare_classes(
    a: Sequence[ArrayLike], b: Sequence[ArrayLike], videos: ArrayLike, *, least: int = 5
) -> ClassDifferences:
    """In which classes A is ahead of B, and in which behind.

    Args:
        a, b: (classes,) of each member, from `average_precision_by_class` on the same videos.
        videos: (classes,) how many videos have each class.
        least: Classes of fewer videos are left out: their average precision is chance.
    """
    videos = np.asarray(videos)
    classes = np.flatnonzero(videos >= least)
    of_a, of_b = (np.mean([np.asarray(member)[classes] for member in side], axis=0) for side in (a, b))
    order = np.argsort(of_b - of_a, kind="stable")
    columns = (classes, videos[classes], of_a, of_b, of_a - of_b)
    return ClassDifferences(*(column[order] for column in columns))


def mean_interval(
    values: ArrayLike, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """As `gap_interval`, of the mean of (videos,) values; those that are NaN are left out."""
    values = np.asarray(values, np.float64).ravel()
    values = values[~np.isnan(values)]
    rng = np.random.default_rng(seed)
    samples = range(check_count(resamples, name="resamples"))
    means = np.array([values[rng.integers(values.size, size=values.size)].mean() for _ in samples])
    return percentiles(means, level)


def resampled_gaps(systems: Sequence[TopPairs], *, resamples: int, seed: int) -> np.ndarray:
    """GAP of videos resampled as in `gap_interval`, the same samples for every system: (systems, resamples)."""
    videos = len(systems[0].scores)
    if videos == 0:
        raise ValueError("An interval needs at least one video. Received: 0 videos.")
    gaps = np.empty((len(systems), check_count(resamples, name="resamples")))
    counted = [_PairCounts(pairs) for pairs in systems]
    rng = np.random.default_rng(seed)
    for start in range(0, gaps.shape[1], _BLOCK_RESAMPLES):
        block = gaps[:, start : start + _BLOCK_RESAMPLES]
        samples = (rng.integers(videos, size=videos) for _ in range(block.shape[1]))
        weights = np.stack([np.bincount(sample, minlength=videos) for sample in samples], axis=1)
        block[:] = [system.gaps(weights) for system in counted]
    return gaps


def percentiles(values: np.ndarray, level: float) -> Interval:
    """The middle `level` of the values."""
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie between 0 and 1, both excluded. Received: level={level!r}.")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


class _PairCounts:
    """How many pairs each video has at each score, ready to be summed under any weights of the videos."""

    def __init__(self, pairs: TopPairs):
        videos, k = pairs.scores.shape
        self.true_labels = pairs.true_labels
        scores, correct, video = pairs.scores.ravel(), pairs.correct.ravel(), np.repeat(np.arange(videos), k)
        # Only scores with a correct pair are thresholds that count, and no pair below the lowest of them does.
        thresholds = np.unique(scores[correct])
        threshold = np.searchsorted(thresholds, scores, side="right") - 1
        counted = threshold >= 0
        shape = (thresholds.size, videos)
        self.pairs = _count_matrix(threshold[counted], video[counted], shape)
        self.correct_pairs = _count_matrix(threshold[correct], video[correct], shape)

    def gaps(self, weights: np.ndarray) -> list[float]:
        """GAP with video v counted `weights[v, r]` times, for each r; `average_precision`, weighted."""
        weights = weights.astype(np.int32)
        columns = (self.correct_pairs @ weights).T, (self.pairs @ weights).T, weights.T
        return [self._gap(*each) for each in zip(*map(np.ascontiguousarray, columns), strict=True)]

    def _gap(self, new: np.ndarray, between: np.ndarray, weights: np.ndarray) -> float:
        present = np.flatnonzero(new)
        if not present.size:
            return 0.0
        all_above = np.cumsum(between[::-1])[::-1]
        return sum_of_steps(new[present], all_above[present], int(weights @ self.true_labels))


def _count_matrix(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]):
    from scipy.sparse import csr_array

    return csr_array((np.ones(rows.size, np.int32), (rows, columns)), shape=shape)
