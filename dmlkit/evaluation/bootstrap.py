"""How far GAP could have come out otherwise, had other videos been drawn: the bootstrap over videos.

Drawing videos again changes no score, only how often each pair counts. So the pooled pairs are sorted once,
and every resample is two weighted cumulative sums over them, equal to GAP of the videos literally drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.evaluation.checks import checked_count
from dmlkit.evaluation.gap import gap_of_pairs
from dmlkit.evaluation.top import TopPairs, top_pairs


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float


class GapDifference(NamedTuple):
    """`difference`: GAP of the first minus GAP of the second; `interval`: where it lies."""

    difference: float
    interval: Interval


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
        scores: (videos, classes).
        labels: (videos, classes), any type; true where not zero.
        top_k: Pairs a video.
        level: The share of resamples inside, between 0 and 1.
        resamples: How many times as many videos are drawn, with replacement.
        seed: Resample r takes the videos of the r-th `integers(videos, size=videos)` of
            `np.random.default_rng(seed)`: the same seed gives the same interval.

    Returns:
        `Interval(low, high)`.

    Raises:
        ValueError: The shapes differ, a value is NaN, there is no video, or a setting is out of range.

    Differs from the paper: it states no intervals.
    """
    pairs = top_pairs(scores, labels, top_k=top_k)
    return gap_interval_of_pairs(pairs, level=level, resamples=resamples, seed=seed)


def gap_interval_of_pairs(
    pairs: TopPairs, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """`gap_interval` where only each video's top pairs are at hand, not the scores of all classes.

    Args:
        pairs: From `top_pairs`, or put together from stored top-k lists.
        level: The share of resamples inside, between 0 and 1.
        resamples: How many times as many videos are drawn, with replacement.
        seed: As in `gap_interval`.

    Returns:
        `Interval(low, high)`.

    Raises:
        ValueError: There is no video, or a setting is out of range.

    Differs from the paper: it states no intervals.
    """
    check_level(level)
    (gaps,) = resampled_gaps([pairs], resamples=resamples, seed=seed)
    return percentiles(gaps, level)


def paired_gap_difference(
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    labels: ArrayLike,
    *,
    top_k: int = 20,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> GapDifference:
    """How much better one system is than another on the same videos, drawn again together.

    Pairing takes out what hard videos do to both, so the interval is narrower than two intervals suggest.

    Args:
        scores_a: (videos, classes), the first system's.
        scores_b: (videos, classes), the second's, for the same videos in the same order.
        labels: (videos, classes), any type; true where not zero.
        top_k: Pairs a video.
        level: The share of resamples inside, between 0 and 1.
        resamples: How many times as many videos are drawn, with replacement.
        seed: As in `gap_interval`.

    Returns:
        `GapDifference(difference, Interval(low, high))`; positive where the first system is better.

    Raises:
        ValueError: The shapes differ, a value is NaN, there is no video, or a setting is out of range.

    Differs from the paper: it states no intervals.
    """
    check_level(level)
    a = top_pairs(scores_a, labels, top_k=top_k, name="scores_a")
    b = top_pairs(scores_b, labels, top_k=top_k, name="scores_b")
    gaps_a, gaps_b = resampled_gaps([a, b], resamples=resamples, seed=seed)
    return GapDifference(gap_of_pairs(a) - gap_of_pairs(b), percentiles(gaps_a - gaps_b, level))


def mean_interval(
    values: ArrayLike, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """The percentile bootstrap interval of a mean over videos.

    Args:
        values: (videos,) a number for each; those that are NaN are left out.
        level: The share of resamples inside, between 0 and 1.
        resamples: How many times as many videos are drawn, with replacement.
        seed: As in `gap_interval`.

    Returns:
        `Interval(low, high)`.

    Raises:
        ValueError: There is no number, or a setting is out of range.
    """
    check_level(level)
    values = np.asarray(values, np.float64).ravel()
    values = values[~np.isnan(values)]
    if not values.size:
        raise ValueError("An interval needs at least one video. Received: 0 numbers.")
    rng = np.random.default_rng(seed)
    draws = range(checked_count(resamples, name="resamples"))
    means = np.array([values[rng.integers(values.size, size=values.size)].mean() for _ in draws])
    return percentiles(means, level)


class _RankedPairs:
    """Pooled pairs in ascending order of score, ready to be counted under any weights of the videos."""

    def __init__(self, pairs: TopPairs):
        order = np.argsort(pairs.scores, axis=None)
        correct = np.flatnonzero(pairs.correct.ravel()[order])
        scores = pairs.scores.ravel()[order]
        k = pairs.scores.shape[1]
        self.true_labels = pairs.true_labels
        self.video = order // k
        self.video_of_correct = self.video[correct]
        # Only scores at which a true label appears are thresholds that count.
        thresholds, first = np.unique(scores[correct], return_index=True)
        self.first_of_all = np.searchsorted(scores, thresholds, side="left")
        self.first_of_correct = np.append(first, correct.size)

    def gap(self, weights: np.ndarray) -> float:
        """GAP with video v counted `weights[v]` times; `precision.average_precision`, weighted."""
        all_below = _counts_below(weights[self.video])
        correct_below = _counts_below(weights[self.video_of_correct])[self.first_of_correct]
        new = np.diff(correct_below)
        drawn = np.flatnonzero(new)
        if not drawn.size:
            return 0.0
        new = new[drawn]
        correct_above = correct_below[-1] - correct_below[drawn]
        all_above = all_below[-1] - all_below[self.first_of_all[drawn]]
        return float(np.sum(correct_above / all_above * new) / (weights @ self.true_labels))


def _counts_below(weights: np.ndarray) -> np.ndarray:
    """(n + 1,): the sum of the weights before each place, then of all."""
    counts = np.zeros(weights.size + 1, np.int64)
    np.cumsum(weights, out=counts[1:])
    return counts


def resampled_gaps(systems: Sequence[TopPairs], *, resamples: int, seed: int) -> np.ndarray:
    """GAP of videos drawn with replacement, the same draws for every system.

    Args:
        systems: The top pairs of each, of the same videos in the same order.
        resamples: How many times as many videos are drawn.
        seed: As in `gap_interval`.

    Returns:
        (systems, resamples) float64.

    Raises:
        ValueError: There is no system or no video, the systems differ in their number of videos, or
            `resamples` is not a whole number of at least 1.
    """
    counts = [pairs.scores.shape[0] for pairs in systems]
    if len(set(counts)) != 1:
        raise ValueError(f"`systems` must be one or more, of the same videos. Received: {counts} videos.")
    videos = counts[0]
    if videos == 0:
        raise ValueError("An interval needs at least one video. Received: 0 videos.")
    gaps = np.empty((len(systems), checked_count(resamples, name="resamples")))
    ranked = [_RankedPairs(pairs) for pairs in systems]
    rng = np.random.default_rng(seed)
    # One resample at a time: its sums fit the processor's cache, and memory does not grow with their number.
    for resample in range(gaps.shape[1]):
        weights = np.bincount(rng.integers(videos, size=videos), minlength=videos)
        gaps[:, resample] = [system.gap(weights) for system in ranked]
    return gaps


def check_level(level: float) -> None:
    """Refuse a `level` that is no share of resamples.

    Raises:
        ValueError: It does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie between 0 and 1, both excluded. Received: level={level!r}.")


def percentiles(values: np.ndarray, level: float) -> Interval:
    """The middle `level` of the values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
