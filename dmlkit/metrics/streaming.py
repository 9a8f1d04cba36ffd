"""The metrics of `ranking` over videos that come in parts: batches, shards, workers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.bootstrap import Interval, gap_interval_of_pairs
from dmlkit.metrics.ranking import (
    TopPairs,
    check_count,
    check_scores_and_labels,
    correct_of_best,
    gap_of_pairs,
    mean_over_classes,
    sum_of_steps,
    summarize,
    top_pairs,
)

# As whole numbers, half-precision values from 0 to 1 keep their order; so many there are, 1.0 the last.
_HALVES = int(np.float16(1).view(np.uint16)) + 1


class GlobalAveragePrecision:
    """GAP@k over videos that come in parts: `update` with each part, `merge` workers, ask for the `result`.

    Exact: any order and any grouping of the same videos gives the same result. It keeps each video's `top_k` pairs
    (score, correct), five bytes each for scores of up to single precision, and its number of true labels; nothing
    else. It can be pickled, so that a worker can send it.

    Paper: §Measure. Differs from the paper: see `global_average_precision`.
    """

    def __init__(self, top_k: int = 20):
        self.top_k = check_count(top_k, name="top_k")
        self._parts: list[TopPairs] = []

    def update(self, scores: ArrayLike, labels: ArrayLike) -> None:
        """Add videos, (videos, classes); nothing where the shapes differ or a value is NaN (`ValueError`)."""
        self._add(scores, labels)

    def _add(self, scores: ArrayLike, labels: ArrayLike) -> TopPairs:
        self._parts.append(top_pairs(scores, labels, top_k=self.top_k))
        return self._parts[-1]

    def merge(self, other: GlobalAveragePrecision) -> None:
        """Add all that another one of the same `top_k` has seen; the other stays as it is."""
        if other.top_k != self.top_k:
            raise ValueError(
                "Only metrics with the same `top_k` can be merged. "
                f"Received: top_k={self.top_k}, other.top_k={other.top_k}."
            )
        self._parts += tuple(other._parts)

    def pairs(self) -> TopPairs:
        """Every video's best pairs, in the order in which the videos came."""
        parts = self._parts or [top_pairs(np.empty((0, self.top_k)), np.empty((0, self.top_k)))]
        columns = zip(*((each.scores, each.correct, each.true_labels) for each in parts), strict=True)
        return TopPairs(*map(np.concatenate, columns))

    def result(self) -> float:
        """GAP@k of all videos so far; 0.0 where there is no true label. Asking changes nothing."""
        return gap_of_pairs(self.pairs())


class RankingMetrics:
    """`measure` over videos that come in parts: `update` with each part, then ask for the `result`.

    Exact: the same bits as `measure` of the same scores at half precision, in any order and any grouping. Memory
    does not grow with the scores. Half precision has 15,361 values from 0 to 1, and how often each class had each of
    them, and which of them where it was true, is all that mAP needs: four bytes for each class and value (237 MB for
    3,862 classes, of which only those that occur are touched), 108 bytes a video and 4 bytes a true label.

    Paper: §Measure.
    """

    def __init__(self, num_classes: int, *, top_k: int = 20):
        self.num_classes = check_count(num_classes, name="num_classes")
        self._gap = GlobalAveragePrecision(min(check_count(top_k, name="top_k"), num_classes))
        self._counts = np.zeros(num_classes * _HALVES, np.uint32)
        self._first_code = np.arange(num_classes, dtype=np.uint32) * np.uint32(_HALVES)
        self._true_codes = [np.empty(0, np.uint32)]
        self._correct_of_best: dict[int, int] = {}

    def update(self, scores: ArrayLike, labels: ArrayLike) -> None:
        """Add videos, scores from 0 to 1 rounded to half precision; nothing where a `ValueError` is raised."""
        halves = np.asarray(scores, np.float16)
        # Half precision as single loses nothing, and is searched many times faster.
        scores, labels = check_scores_and_labels(halves.astype(np.float32), labels)
        if scores.shape[1] != self.num_classes:
            raise ValueError(
                f"`scores` must have the shape (videos, {self.num_classes}). Received: {scores.shape}."
            )
        if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
            raise ValueError("`scores` must be numbers from 0 to 1.")
        pairs = self._gap._add(scores, labels)
        for n, correct in correct_of_best(scores, labels, pairs).items():
            self._correct_of_best[n] = self._correct_of_best.get(n, 0) + correct
        # A score as class · values + value; -0.0 would be a value of its own.
        codes = self._first_code + np.abs(halves).view(np.uint16)
        np.add.at(self._counts, codes.ravel(), np.uint32(1))
        self._true_codes.append(codes[labels])

    def result(self) -> dict[str, float | int]:
        """What `measure` returns, of all videos so far. Asking changes nothing."""
        mean = mean_over_classes(self._average_precision_by_class())
        return summarize(self.pairs(), self._correct_of_best, mean)

    def pairs(self) -> TopPairs:
        """Every video's best pairs (score, correct), in the order in which the videos came."""
        return self._gap.pairs()

    def gap_interval(self, *, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
        """The bootstrap interval of GAP over all videos so far; see `dmlkit.gap_interval`.

        A seed resamples videos by their position, so another order gives another interval, as another seed does.
        """
        return gap_interval_of_pairs(self.pairs(), level=level, resamples=resamples, seed=seed)

    def _average_precision_by_class(self) -> np.ndarray:
        result, counts = np.full(self.num_classes, np.nan), self._counts.reshape(self.num_classes, _HALVES)
        true = np.sort(np.concatenate(self._true_codes))
        occurring, sizes = np.unique(true // _HALVES, return_counts=True)
        values = np.split((true % _HALVES).astype(np.intp), np.cumsum(sizes)[:-1])
        for label, correct in zip(occurring, values, strict=False):  # without any label: one empty part
            thresholds, new = np.unique(correct, return_counts=True)
            between = np.add.reduceat(counts[label], thresholds, dtype=np.int64)
            all_above = np.cumsum(between[::-1])[::-1]
            result[label] = sum_of_steps(new, all_above, correct.size)
        return result
