"""Two systems on the same videos, each trained once or under several seeds.

A system's GAP is the mean over its members, one a seed. Videos are drawn again for all members of both at once,
so that what hard videos do to every member is taken out of the difference. The interval speaks of other
videos; what other seeds do is in the spread of the members, and only there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.bootstrap import Interval, check_level, percentiles, resampled_gaps
from dmlkit.metrics.checks import checked_count
from dmlkit.metrics.gap import gap_of_pairs
from dmlkit.metrics.top import TopPairs


@dataclass(frozen=True)
class Spread:
    """One measure under several seeds.

    Args:
        values: One a seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """The standard deviation of a sample (divided by seeds - 1); None of a single seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    @property
    def low(self) -> float:
        """The lowest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The highest."""
        return max(self.values)


class GapComparison(NamedTuple):
    """GAP of A beside GAP of B.

    `difference`: mean of A minus mean of B; `interval`: where it lies over draws of videos; `a_ahead`: the
    share of draws in which A is higher, a draw without a difference counted half.
    """

    a: Spread
    b: Spread
    difference: float
    interval: Interval
    a_ahead: float


class ClassDifferences(NamedTuple):
    """Average precision by class, the classes that A gains most first; equal ones by number.

    `classes`, `videos`: each class's number and how many videos have it; `a`, `b`: its average precision, the
    mean over seeds; `difference`: `a - b`.
    """

    classes: np.ndarray
    videos: np.ndarray
    a: np.ndarray
    b: np.ndarray
    difference: np.ndarray


def compare_gaps(
    a: Sequence[TopPairs],
    b: Sequence[TopPairs],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> GapComparison:
    """How much higher the mean GAP of A's members is than that of B's, on the same videos.

    Args:
        a, b: The top pairs of each member, all of the same videos in the same order.
        level: The share of resamples inside the interval, between 0 and 1.
        resamples: How many times as many videos are drawn, with replacement.
        seed: As in `gap_interval`.

    Raises:
        ValueError: A side has no member, the members differ in their videos, or a setting is out of range.

    Differs from the paper: it states no intervals and trains every model once.
    """
    check_level(level)
    members = [*a, *b]
    if not a or not b:
        raise ValueError(f"Each side needs at least one member. Received: {len(a)} and {len(b)}.")
    if any(not np.array_equal(pairs.true_labels, members[0].true_labels) for pairs in members):
        raise ValueError("The members must speak of the same videos in the same order, and these do not.")
    gaps = resampled_gaps(members, resamples=resamples, seed=seed)
    drawn = gaps[: len(a)].mean(axis=0) - gaps[len(a) :].mean(axis=0)
    of_a, of_b = (Spread(tuple(gap_of_pairs(pairs) for pairs in side)) for side in (a, b))
    return GapComparison(
        a=of_a,
        b=of_b,
        difference=of_a.mean - of_b.mean,
        interval=percentiles(drawn, level),
        a_ahead=float(np.mean(drawn > 0) + np.mean(drawn == 0) / 2),
    )


def compare_classes(
    a: Sequence[ArrayLike], b: Sequence[ArrayLike], videos: ArrayLike, *, least: int = 5
) -> ClassDifferences:
    """In which classes A is ahead of B, and in which behind.

    Args:
        a, b: (classes,) of each member, from `average_precision_by_class` on the same videos.
        videos: (classes,) how many videos have each class.
        least: Classes of fewer videos are left out: their average precision is chance.

    Raises:
        ValueError: A side has no member, the shapes differ, or `least` is not a whole number of at least 1.

    Differs from the paper: it compares no classes.
    """
    videos = np.asarray(videos)
    shapes = {np.shape(member) for member in (*a, *b)} | {videos.shape}
    if not len(a) or not len(b) or len(shapes) != 1:
        raise ValueError(
            "Each side needs at least one member, all of the shape (classes,) of `videos`. "
            f"Received: {len(a)} and {len(b)} members, shapes {sorted(shapes)}."
        )
    classes = np.flatnonzero(videos >= checked_count(least, name="least"))
    of_a, of_b = (np.mean([np.asarray(member)[classes] for member in side], axis=0) for side in (a, b))
    order = np.argsort(of_b - of_a, kind="stable")
    return ClassDifferences(
        classes=classes[order],
        videos=videos[classes][order],
        a=of_a[order],
        b=of_b[order],
        difference=(of_a - of_b)[order],
    )
