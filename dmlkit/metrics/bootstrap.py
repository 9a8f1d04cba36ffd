"""How far GAP could have come out otherwise, had other videos been drawn: the bootstrap over videos.

Drawing videos again changes no score, only how often each pair counts. So the pooled pairs are sorted once,
and every resample is two weighted sums by score over them, equal to GAP of the videos literally drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.checks import checked_count
from dmlkit.metrics.gap import gap_of_pairs
from dmlkit.metrics.precision import sum_of_steps
from dmlkit.metrics.top import TopPairs, top_pairs


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
        video = order // pairs.scores.shape[1]
        self.true_labels = pairs.true_labels
        # Only scores at which a true label appears are thresholds that count.
        thresholds, self.first_of_correct = np.unique(scores[correct], return_index=True)
        self.video_of_correct = video[correct]
        first = np.searchsorted(scores, thresholds, side="left")
        # What lies below the lowest of them is never counted.
        lowest = first[0] if first.size else scores.size
        self.video, self.first_of_all = video[lowest:], first - lowest
        # Taking new memory for them each time would take longer than to fetch them.
        self._words = np.empty(self.video.size, np.uint64)

    def gaps(self, weights: np.ndarray) -> list[float]:
        """GAP with video v counted `weights[r, v]` times; `precision.average_precision`, weighted, for each r."""
        if not self.video.size:
            return [0.0] * len(weights)
        # Two resamples in one word of 64 bits, 32 for each: counted at once, for what is slow is to fetch them.
        pairs_of_weights = np.zeros((weights.shape[1], 2), np.uint32)
        pairs_of_weights[:, : len(weights)] = weights.T
        words = pairs_of_weights.view(np.uint64).ravel()
        new = _sums(words[self.video_of_correct], self.first_of_correct)
        # Every place is within; what the mode does is to write straight into `out`.
        np.take(words, self.video, out=self._words, mode="clip")
        every = _sums(self._words, self.first_of_all)
        return [
            _weighted_precision(new[r], every[r], int(weights[r] @ self.true_labels))
            for r in range(len(weights))
        ]


def _sums(words: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(2, thresholds) int64: for either half of the words the sum from each start to the next."""
    return np.add.reduceat(words, starts).view(np.uint32).reshape(-1, 2).T.astype(np.int64)


def _weighted_precision(new: np.ndarray, every: np.ndarray, true_labels: int) -> float:
    """Σ precision · Δrecall from the correct pairs and all pairs at each threshold, the lowest first."""
    drawn = np.flatnonzero(new)
    if not drawn.size:
        return 0.0
    all_above = np.cumsum(every[::-1])[::-1]
    return sum_of_steps(new[drawn], all_above[drawn], true_labels)


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
    # Two resamples at a time: their sums fit the processor's cache, and memory does not grow with their number.
    for first in range(0, gaps.shape[1], 2):
        weights = np.array(
            [
                np.bincount(rng.integers(videos, size=videos), minlength=videos)
                for _ in range(min(2, gaps.shape[1] - first))
            ]
        )
        gaps[:, first : first + 2] = [system.gaps(weights) for system in ranked]
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
