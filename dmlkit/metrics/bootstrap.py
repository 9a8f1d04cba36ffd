"""Bootstrap intervals over videos: of one system's GAP, and of the difference of two systems on the same videos.

Resampling videos changes no score, only how often each pair counts. So the pooled pairs are sorted once, and every
resample is two weighted sums by score over them, equal to GAP of the videos literally resampled.

A system may be trained under several seeds: its GAP is then the mean over these members. Videos are resampled for all
members of both systems at once, so that what hard videos do to every member cancels in the difference. With one seed on
a side the interval is over videos, for this seed: how far systems vary with the seed differs too much between them (a
kernel machine hardly does) for the other side's deviation to be borrowed. With several on every side it is over videos
and seeds (`over_seeds`), as in the analysis of several readers of the same cases with readers nested in treatments:
Obuchowski and Rockette 1995, Hillis 2007. Seeds of the two sides count as independent, which is too wide where one side
contains the other, as an ensemble its member.

Differs from the paper: it states no intervals and trains every model once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.ranking import TopPairs, check_count, gap_of_pairs, sum_of_steps, top_pairs

FEWEST_FOR_A_TEST = 100  # scored videos; of fewer an interval may be shown, but no test is claimed
# What an interval is over: where nothing was trained twice, and where each side has several seeds.
FOR_THIS_SEED, OVER_SEEDS = "over videos, for this seed", "over videos and seeds"
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
    videos: int

    @property
    def over(self) -> str:
        """The sources of variation that the interval covers."""
        several = sum(side.deviation is not None for side in (self.a, self.b))
        return (FOR_THIS_SEED, "over videos, for these seeds", OVER_SEEDS)[several]

    @property
    def seed_bound(self) -> float | None:
        """The difference that seeds alone exceed once in 20 times, where one side's deviation is known; else None.

        That is Student's t · s √(1/K + 1), with the deviation s of the side that has K seeds taken for both.
        """
        known = [side for side in (self.a, self.b) if side.deviation is not None]
        if len(known) != 1:
            return None
        seeds = len(known[0].values)
        return _student(0.95, seeds - 1) * known[0].deviation * math.sqrt(1 / seeds + 1)

    @property
    def excludes_zero(self) -> bool | None:
        """Whether the whole interval lies on one side of 0; None of fewer than `FEWEST_FOR_A_TEST` videos."""
        low, high = self.interval
        return None if self.videos < FEWEST_FOR_A_TEST else low > 0 or high < 0

    @property
    def significant(self) -> bool | None:
        """Whether A and B differ; None where nothing is claimed: of few videos, or of one seed a side."""
        if not self.excludes_zero:
            return self.excludes_zero
        return None if self.over == FOR_THIS_SEED else abs(self.difference) > (self.seed_bound or 0)

    @property
    def verdict(self) -> str:
        """The result of the test in words."""
        if self.excludes_zero is None:
            return too_few(self.videos)
        if not self.excludes_zero:
            return "not significant (CI includes 0)"
        if self.significant is None:
            return "excludes 0 over videos (one seed)"
        if not self.significant:
            return f"no verdict (seeds alone may differ by {self.seed_bound:.4f})"
        return "significant" if self.seed_bound is None else "significant over videos (these seeds)"


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
    return percentiles(resampled_gaps([pairs], resamples=resamples, seed=seed)[0], level)


def compare_gaps(
    a: Sequence[TopPairs], b: Sequence[TopPairs], *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> GapComparison:
    """How much higher the mean GAP of A's members is than that of B's, on the same videos, resampled together.

    `a` and `b` hold the top pairs of each member, one a seed; the settings are those of `gap_interval`. The interval is
    `over_seeds` where both have several seeds, else the percentiles of the resampled differences.
    """
    members = [*a, *b]
    if any(not np.array_equal(pairs.true_labels, members[0].true_labels) for pairs in members):
        raise ValueError("The members must have scored the same videos, in the same order.")
    gaps = resampled_gaps(members, resamples=resamples, seed=seed)
    sides, videos = (gaps[: len(a)], gaps[len(a) :]), len(members[0].true_labels)
    of_a, of_b = (Spread.of([gap_of_pairs(pairs) for pairs in side]) for side in (a, b))
    differences = sides[0].mean(axis=0) - sides[1].mean(axis=0)
    if len(a) > 1 and len(b) > 1:
        # The videos' effect on a single member is part of the deviation over members already.
        alone = [np.var(side - side.mean(axis=0), axis=1).sum() / (len(side) - 1) for side in sides]
        variance = np.var(differences) - alone[0] / len(a) - alone[1] / len(b)
        interval = over_seeds([of_a.values, of_b.values], variance, videos=videos, level=level)
    else:
        interval = percentiles(differences, level)
    return GapComparison(of_a, of_b, of_a.mean - of_b.mean, interval, videos)


def over_seeds(
    systems: Sequence[Sequence[float]], variance: float, *, videos: int, level: float = 0.95
) -> Interval:
    """The interval over videos and seeds of a system's mean, or of the first system's mean minus the second's.

    The half-width is Student's t · √(variance + Σ s²/K), where s is the deviation of a system over its K seeds and the
    degrees of freedom follow Welch and Satterthwaite; never less than t · √(Σ s²/K), with the seeds' own. (Two seeds
    that happen to be close would otherwise pass the videos' many degrees of freedom on to the deviation of the seeds.)

    Args:
        systems: Of one or two systems the value under each of at least two seeds.
        variance: Of the mean, or the difference, over samples of the videos: what all members have in common. Nothing
            where an estimate is negative.
        videos: How many there are.
        level: The share of intervals that hold the true value.
    """
    seeds = [(float(np.var(values, ddof=1)) / len(values), len(values) - 1) for values in systems]
    common = (max(float(variance), 0.0), max(videos - 1, 1))
    center = float(np.mean(systems[0])) - (float(np.mean(systems[1])) if len(systems) > 1 else 0.0)
    half = max(_half_width([common, *seeds], level), _half_width(seeds, level))
    return Interval(center - half, center + half)


def _half_width(parts: Sequence[tuple[float, int]], level: float) -> float:
    """Student's t · √(Σ variance), of independent parts: their variances, each with its degrees of freedom."""
    total = sum(variance for variance, _ in parts)
    if not total:
        return 0.0
    freedom = total**2 / sum(variance**2 / each for variance, each in parts)
    return _student(level, freedom) * math.sqrt(total)


def too_few(videos: int) -> str:
    """Why no test is claimed of fewer than `FEWEST_FOR_A_TEST` videos; empty of more."""
    few = videos < FEWEST_FOR_A_TEST
    return f"too few videos for a test ({videos:,.0f} < {FEWEST_FOR_A_TEST})" if few else ""


def mean_interval(
    values: ArrayLike,
    *,
    videos: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """As `gap_interval`, of the mean of values; those that are NaN are left out.

    `videos` names each value's video where several share one: videos are resampled, with all their values.
    """
    values = np.asarray(values, np.float64).ravel()
    known, videos = ~np.isnan(values), np.arange(values.size) if videos is None else np.asarray(videos)
    _, video = np.unique(videos[known], return_inverse=True)
    counts, sums = np.bincount(video), np.bincount(video, values[known])
    shape = (check_count(resamples, name="resamples"), counts.size)
    chosen = np.random.default_rng(seed).integers(counts.size, size=shape)
    return percentiles(sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1), level)


def resampled_gaps(systems: Sequence[TopPairs], *, resamples: int, seed: int) -> np.ndarray:
    """GAP of videos resampled as in `gap_interval`, the same samples for every system: (systems, resamples)."""
    videos = len(systems[0].scores)
    if videos == 0:
        raise ValueError("An interval needs at least one video. Received: 0 videos.")
    gaps = np.empty((len(systems), check_count(resamples, name="resamples")))
    counts, rng = [_pair_counts(pairs) for pairs in systems], np.random.default_rng(seed)
    for start in range(0, gaps.shape[1], _BLOCK_RESAMPLES):
        block = gaps[:, start : start + _BLOCK_RESAMPLES]
        samples = (rng.integers(videos, size=videos) for _ in range(block.shape[1]))
        # How often each video counts: (videos, resamples of the block).
        weights = np.stack(
            [np.bincount(sample, minlength=videos) for sample in samples], axis=1, dtype=np.int32
        )
        for row, own, pairs in zip(block, counts, systems, strict=True):
            columns = [np.ascontiguousarray((each @ weights).T) for each in own]
            row[:] = list(map(_gap_of_counts, *columns, pairs.true_labels @ weights))
    return gaps


def percentiles(values: np.ndarray, level: float) -> Interval:
    """The middle `level` of the values."""
    _check_level(level)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie between 0 and 1, both excluded. Received: level={level!r}.")


def _student(level: float, freedom: float) -> float:
    """The half-width of the middle `level` of Student's t."""
    from scipy.special import stdtrit

    _check_level(level)
    return float(stdtrit(freedom, (1 + level) / 2))


def _pair_counts(pairs: TopPairs) -> list:
    """How many correct pairs, and how many pairs, each video has at each score: sparse (scores, videos)."""
    from scipy.sparse import csr_array

    scores, correct = pairs.scores.ravel(), pairs.correct.ravel()
    # Only scores with a correct pair are thresholds that count, and no pair below the lowest of them does.
    thresholds, videos = np.unique(scores[correct]), len(pairs.scores)
    places = np.searchsorted(thresholds, scores, side="right") - 1
    places = np.stack([places, np.repeat(np.arange(videos), pairs.scores.shape[1])])
    counted = (places[:, correct], places[:, places[0] >= 0])
    shape = (thresholds.size, videos)
    return [csr_array((np.ones(each.shape[1], np.int32), tuple(each)), shape=shape) for each in counted]


def _gap_of_counts(new: np.ndarray, between: np.ndarray, true_labels: int) -> float:
    """`average_precision` from the numbers of correct pairs, and of pairs, at ascending scores."""
    present = np.flatnonzero(new)
    if not present.size:
        return 0.0
    return sum_of_steps(new[present], np.cumsum(between[::-1])[::-1][present], int(true_labels))
