"""mAP over videos that come in parts, exact and in memory that does not grow with their number.

Half precision has 15,361 values from 0 to 1. How often each class had each of them, and how often where it was
true, is all that its average precision asks; so scores are counted, not kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.checks import checked_count
from dmlkit.metrics.precision import MeanAveragePrecision, average_precision, mean_of_classes, sum_of_steps

# As whole numbers, halves from 0 to 1 keep their order; this many there are, 1.0 the last.
_VALUES = int(np.float16(1).view(np.uint16)) + 1
_MINUS_ZERO = int(np.float16(-0.0).view(np.uint16))
# Videos held before they are counted: so many make a class's counting worth its call.
_HELD = 4096
_ROWS = 32


class ScoreCounts:
    """mAP over videos that come in parts: `update` with each part, `merge` workers, ask for the `result`.

    Exact: the same bits as `mean_average_precision` of the same half-precision scores, in any order and any
    grouping. Memory: up to 4,096 videos, two bytes a score; with the first video beyond, four bytes for each class
    and value (237 MB for 3,862 classes), however many follow; and four bytes a true label.

    Args:
        num_classes: How many classes each video is scored for.

    Raises:
        ValueError: `num_classes` is not a whole number of at least 1.

    Paper: §Measure (mAP). Differs from the paper: see `average_precision_by_class`.
    """

    def __init__(self, num_classes: int):
        self.num_classes = checked_count(num_classes, name="num_classes")
        self._held: list[np.ndarray] = []
        self._held_videos = 0
        self._counts: np.ndarray | None = None
        # A true label as class x values + value.
        self._true: list[np.ndarray] = []

    def update(self, scores: ArrayLike, labels: ArrayLike) -> None:
        """Add videos. Nothing is added where an error is raised.

        Args:
            scores: (videos, classes) from 0 to 1; rounded to half precision.
            labels: (videos, classes), any type; true where not zero.

        Raises:
            ValueError: The shapes differ, or a score is NaN or not between 0 and 1.
        """
        scores, labels = np.asarray(scores), np.asarray(labels)
        if scores.ndim != 2 or scores.shape != labels.shape or scores.shape[1] != self.num_classes:
            raise ValueError(
                f"`scores` and `labels` must have the shape (videos, {self.num_classes}). "
                f"Received: scores={scores.shape}, labels={labels.shape}."
            )
        values = np.array(scores, np.float16).view(np.uint16)
        if values.size and values.max() >= _VALUES:
            # Negative numbers have their first bit set, NaN and infinity lie above 1.
            values[values == _MINUS_ZERO] = 0
            if values.max() >= _VALUES:
                raise ValueError("`scores` must be numbers from 0 to 1.")
        # Flat places and a remainder: numpy finds them several times faster than pairs of row and column.
        videos, classes = np.divmod(np.flatnonzero(labels), self.num_classes)
        self._add_true(classes.astype(np.uint32) * np.uint32(_VALUES) + values[videos, classes])
        self._hold(values)

    def merge(self, other: ScoreCounts) -> None:
        """Add what another one has seen; the other stays as it is.

        Raises:
            ValueError: The two count other numbers of classes.
        """
        if other.num_classes != self.num_classes:
            raise ValueError(
                "Only counts of the same classes can be merged. "
                f"Received: num_classes={self.num_classes}, other.num_classes={other.num_classes}."
            )
        for codes in tuple(other._true):
            self._add_true(codes)
        for values in tuple(other._held):
            self._hold(values)
        if other._counts is not None:
            if self._counts is None:
                self._counts = np.zeros_like(other._counts)
            self._counts += other._counts

    def by_class(self) -> np.ndarray:
        """(classes,) float64: each class's average precision; NaN for a class that no video has."""
        result = np.full(self.num_classes, np.nan)
        true = np.sort(np.concatenate([*self._true, np.empty(0, np.uint32)]))
        occurring, times = np.unique(true // _VALUES, return_counts=True)
        correct_of = np.split((true % _VALUES).astype(np.intp), np.cumsum(times)[:-1])
        if self._counts is not None and self._held:
            self._count()
        held = np.concatenate([*self._held, np.empty((0, self.num_classes), np.uint16)])
        for label, correct in zip(occurring, correct_of, strict=False):  # no label at all: one empty part
            if self._counts is None:
                result[label] = average_precision(np.sort(held[:, label]), correct, correct.size)
            else:
                result[label] = _of_counts(self._counts[label], correct)
        return result

    def result(self) -> MeanAveragePrecision:
        """The mAP of all videos so far, as `mean_average_precision` gives it. Asking changes nothing."""
        return mean_of_classes(self.by_class())

    def state(self) -> dict[str, np.ndarray]:
        """What was seen, as plain arrays that a file or a network can carry."""
        nothing = np.empty((0, self.num_classes), np.uint16)
        return {
            "held": np.concatenate([*self._held, nothing]),
            "counts": np.empty((0, _VALUES), np.uint32) if self._counts is None else self._counts,
            "true": np.concatenate([*self._true, np.empty(0, np.uint32)]),
        }

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> ScoreCounts:
        """What `state` told."""
        counts = cls(state["held"].shape[1])
        counts._add_true(np.asarray(state["true"], np.uint32))
        counts._hold(np.asarray(state["held"], np.uint16))
        if len(state["counts"]):
            counts._counts = np.array(state["counts"], np.uint32)
        return counts

    def _hold(self, values: np.ndarray) -> None:
        if not len(values):
            return
        self._held.append(values)
        self._held_videos += len(values)
        if self._held_videos > _HELD:
            self._count()

    def _count(self) -> None:
        """Let go of the videos held, into the counts."""
        by_class = np.empty((self.num_classes, self._held_videos), np.uint16)
        place = 0
        for values in self._held:
            for start in range(
                0, len(values), _ROWS
            ):  # so few rows stay in the cache while they become columns
                rows = values[start : start + _ROWS]
                by_class[:, place : place + len(rows)] = rows.T
                place += len(rows)
        if self._counts is None:
            # Pages that no score falls on are never touched, and take no memory.
            self._counts = np.zeros((self.num_classes, _VALUES), np.uint32)
        for counts, values in zip(self._counts, by_class, strict=True):
            seen = np.bincount(values)
            counts[: seen.size] += seen.astype(np.uint32)
        self._held, self._held_videos = [], 0

    def _add_true(self, codes: np.ndarray) -> None:
        if codes.size:
            self._true.append(codes)


def _of_counts(counts: np.ndarray, correct: np.ndarray) -> float:
    """`average_precision` of a class whose values were counted."""
    thresholds, new = np.unique(correct, return_counts=True)
    between = np.add.reduceat(counts, thresholds, dtype=np.int64)
    all_above = np.cumsum(between[::-1])[::-1]
    return sum_of_steps(new, all_above, correct.size)
