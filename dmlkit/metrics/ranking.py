"""Metrics of a ranking: GAP@k, mAP, Hit@1 and PERR, of all videos at once or of videos that come in parts.

GAP and mAP are functions of all scores; `GlobalAveragePrecision` and `RankingMetrics`, which has all four, give the
same bits for batches, shards and workers, and keep no scores. Larger scores are more likely. Other shapes than those of
`dmlkit.metrics`, a NaN, or a `top_k` that is no whole number of at least 1 raise a `ValueError`. Pairs with equal
scores form one threshold, as in scikit-learn, and of equal scores at the k-th place the lower class is taken, so that
no result depends on the order of videos, shards or workers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# Scores in a block of videos: enough to hide numpy's cost per call, few enough for the processor's cache.
_BLOCK_SCORES = 1 << 19
# As whole numbers, half-precision values from 0 to 1 keep their order; so many there are, 1.0 the last.
_HALVES = int(np.float16(1).view(np.uint16)) + 1
# Videos held before their scores are counted class by class: enough for a class's counts to stay in the cache.
_HELD_VIDEOS = 4096
# Columns are copied into rows before they are sorted; a block this wide keeps the copies in the cache.
_BLOCK_CLASSES = 64


class TopK(NamedTuple):
    """Every video's best classes, best first: `classes` (videos, k) int, `scores` (videos, k) float."""

    classes: np.ndarray
    scores: np.ndarray


class TopPairs(NamedTuple):
    """All that GAP needs of each video: k pairs (score, correct) and the number of its true labels."""

    scores: np.ndarray  # (videos, k) float, in any order within a video
    correct: np.ndarray  # (videos, k) bool: is the class of that score one of the video's labels?
    true_labels: np.ndarray  # (videos,) int: all of the video, also those outside its k pairs


class MeanAveragePrecision(NamedTuple):
    """`value`: the mean over the `classes_counted` classes that occur, of `num_classes` in all."""

    value: float
    classes_counted: int
    num_classes: int

    @classmethod
    def of(cls, by_class: np.ndarray) -> MeanAveragePrecision:
        """The mean of (classes,) average precisions, NaN for a class that does not occur."""
        counted = by_class[~np.isnan(by_class)]
        return cls(float(counted.mean()) if counted.size else 0.0, counted.size, by_class.size)


def check_scores(scores: ArrayLike, *, name: str = "scores") -> np.ndarray:
    """Scores as a floating array without NaN; floats keep their precision, the rest becomes float64."""
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"`{name}` must have the shape (videos, classes). Received: {name}={scores.shape}.")
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    # The minimum is NaN as soon as one of them is, and computing it makes no array.
    if scores.size and np.isnan(np.min(scores)):
        video, label = np.argwhere(np.isnan(scores))[0]
        raise ValueError(
            f"`{name}` must not contain NaN, which has no rank. Received: NaN for {np.isnan(scores).sum()} of "
            f"{scores.size} scores, the first at video {video}, class {label}."
        )
    return scores


def check_scores_and_labels(
    scores: ArrayLike, labels: ArrayLike, *, name: str = "scores"
) -> tuple[np.ndarray, np.ndarray]:
    """Scores as `check_scores` gives them, labels as booleans of the same shape."""
    scores, labels = check_scores(scores, name=name), np.asarray(labels)
    if scores.shape != labels.shape:
        raise ValueError(
            f"`{name}` and `labels` must share one shape (videos, classes). "
            f"Received: {name}={scores.shape}, labels={labels.shape}."
        )
    if labels.dtype.kind == "f" and (missing := np.count_nonzero(np.isnan(labels))):
        raise ValueError(
            f"`labels` must not contain NaN. Received: NaN for {missing} of {labels.size} labels."
        )
    return scores, labels if labels.dtype == bool else labels != 0


def check_count(value: int, *, name: str) -> int:
    """The value, if it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}.")
    return int(value)


def count_labels(labels: np.ndarray) -> np.ndarray:
    """(videos,) int64: how many labels each video has, from boolean labels (videos, classes)."""
    # Summed as bytes into 32 bits, in half the time of counting booleans.
    return labels.view(np.uint8).sum(axis=1, dtype=np.uint32).astype(np.int64)


def _at_least_float32(scores: np.ndarray) -> np.ndarray:
    """Half precision as single, which loses nothing and sorts many times faster; the rest as it is."""
    return scores.astype(np.promote_types(scores.dtype, np.float32), copy=False)


def top_k_classes(scores: np.ndarray, k: int) -> np.ndarray:
    """The k highest-scoring classes of every video, in the order of the classes: (videos, min(k, classes)) int."""
    videos, num_classes = scores.shape
    if k >= num_classes:
        return np.tile(np.arange(num_classes), (videos, 1))
    classes = np.empty((videos, k), np.intp)
    rows, last = max(1, _BLOCK_SCORES // num_classes), num_classes - k
    for start in range(0, videos, rows):
        block = _at_least_float32(scores[start : start + rows])
        threshold = np.partition(block, last, axis=1)[:, last, None]
        chosen = block >= threshold
        if np.count_nonzero(chosen) > len(chosen) * k:
            # More than k classes reach the threshold: of those that equal it, the lowest are kept.
            tied = np.flatnonzero(np.count_nonzero(chosen, axis=1) > k)
            above = block[tied] > threshold[tied]
            equal = chosen[tied] & ~above
            room = k - np.count_nonzero(above, axis=1)[:, None]
            chosen[tied] = above | (equal & (np.cumsum(equal, axis=1) <= room))
        # Flat indices and a remainder: numpy finds them several times faster than pairs of row and column.
        classes[start : start + rows] = (np.flatnonzero(chosen) % num_classes).reshape(-1, k)
    return classes


def top_k_pairs(scores: ArrayLike, k: int = 20) -> TopK:
    """The k highest-scoring classes of every video with their scores, best first; of equal ones the lower class.

    Paper: §Ensemble, Algorithm 2 (sort, keep the top k of every video).
    """
    scores = check_scores(scores)
    classes = top_k_classes(scores, check_count(k, name="k"))
    # The classes ascend, so a stable sort leaves the lower of two equals in front.
    order = np.argsort(-np.take_along_axis(scores, classes, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(classes, order, axis=1)
    return TopK(best, np.take_along_axis(scores, best, axis=1))


def top_pairs(scores: ArrayLike, labels: ArrayLike, *, top_k: int = 20) -> TopPairs:
    """Every video's k best pairs (score, correct), which determine GAP.

    Paper: §Measure (of every video the 20 highest-scoring labels).
    """
    scores, labels = check_scores_and_labels(scores, labels)
    classes = top_k_classes(scores, check_count(top_k, name="top_k"))
    best, correct = (np.take_along_axis(each, classes, axis=1) for each in (scores, labels))
    return TopPairs(_at_least_float32(best), correct, count_labels(labels))


def average_precision(ranked: np.ndarray, correct: np.ndarray, true_labels: int) -> float:
    """Σ precision · Δrecall over the distinct scores of one pool; the same bits for the same pairs, in any order.

    `ranked` are all scores, ascending, `correct` those of the pairs that are true; `true_labels` divides recall.

    Paper: §Measure, GAP = Σ_i p(i) Δr(i).
    """
    # Only scores with a correct pair add to the sum, so two look-ups for each of them are enough.
    if not correct.size:
        return 0.0
    thresholds, new = np.unique(correct, return_counts=True)
    return sum_of_steps(new, ranked.size - np.searchsorted(ranked, thresholds, side="left"), true_labels)


def sum_of_steps(new: np.ndarray, all_above: np.ndarray, true_labels: int) -> float:
    """Σ precision · Δrecall from counts at ascending thresholds: correct pairs at, all pairs at or above each."""
    correct_above = new.sum() - np.cumsum(new) + new
    return float(np.sum(correct_above / all_above * new) / true_labels)


def global_average_precision(scores: ArrayLike, labels: ArrayLike, top_k: int = 20) -> float:
    """GAP@k: the pairs of every video's k best classes, pooled, as one ranking.

    The denominator of recall is the number of all true labels, not capped at `top_k` a video; a video without labels
    adds wrong pairs. 0.0 where there is no true label at all.

    Paper: §Measure, GAP = Σ_i p(i) Δr(i). Differs from the paper: the starter code breaks ties at random with
    a fixed seed; here equal scores form one threshold, as in scikit-learn.
    """
    return gap_of_pairs(top_pairs(scores, labels, top_k=top_k))


def gap_of_pairs(pairs: TopPairs) -> float:
    """GAP of pairs already picked; see `global_average_precision`."""
    ranked, correct = np.sort(pairs.scores, axis=None), pairs.scores[pairs.correct]
    return average_precision(ranked, correct, int(pairs.true_labels.sum()))


def precision_recall_curve(pairs: TopPairs) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall at each distinct score, the highest first; Σ precision · Δrecall is their GAP.

    Recall is of all true labels: it ends below 1 where some are outside the k pairs, and is NaN where there is none.
    """
    order = np.argsort(-pairs.scores, axis=None, kind="stable")
    ranked, correct = pairs.scores.ravel()[order], np.cumsum(pairs.correct.ravel()[order])
    last = np.flatnonzero(np.diff(ranked, append=np.inf))  # of equal scores, which are one threshold
    return correct[last] / (last + 1), correct[last] / (pairs.true_labels.sum() or np.nan)


class GlobalAveragePrecision:
    """GAP@k over videos that come in parts: `update` with each part, `merge` workers, then `result`.

    Exact: any order and any grouping of the same videos gives the same result. It keeps each video's `top_k` pairs
    (score, correct), five bytes each for scores of up to single precision, and its number of true labels; nothing
    else. It can be pickled, so that a worker can send it.

    Paper: §Measure. Differs from the paper: see `global_average_precision`.
    """

    def __init__(self, top_k: int = 20):
        self.top_k = check_count(top_k, name="top_k")
        self._parts: list[TopPairs] = []

    def __repr__(self) -> str:
        videos = sum(len(part.true_labels) for part in self._parts)
        return f"GlobalAveragePrecision(top_k={self.top_k}: {videos:,} videos)"

    def update(self, scores: ArrayLike, labels: ArrayLike) -> None:
        """Add videos, (videos, classes); nothing where the shapes differ or a value is NaN (`ValueError`)."""
        self._parts.append(top_pairs(scores, labels, top_k=self.top_k))

    def merge(self, other: GlobalAveragePrecision) -> None:
        """Add all that another one of the same `top_k` has seen; the other stays as it is."""
        if other.top_k != self.top_k:
            raise ValueError(f"`top_k` must be the same to merge. Received: {self.top_k} and {other.top_k}.")
        self._parts = [*self._parts, *other._parts]

    def pairs(self) -> TopPairs:
        """Every video's best pairs, in the order in which the videos came."""
        parts = self._parts or [top_pairs(np.empty((0, self.top_k)), np.empty((0, self.top_k)))]
        return TopPairs(*map(np.concatenate, zip(*parts, strict=True)))

    def result(self) -> float:
        """GAP@k of all videos so far; 0.0 where there is no true label."""
        return gap_of_pairs(self.pairs())


def average_precision_by_class(scores: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Average precision of each class: (classes,), NaN for a class that no video has.

    Paper: §Measure (mAP). Differs from the paper: the starter code breaks ties at random; here equal scores
    form one threshold, so the figures are scikit-learn's `average_precision_score`.
    """
    scores, labels = check_scores_and_labels(scores, labels)
    result = np.full(scores.shape[1], np.nan)
    occurring = np.flatnonzero(labels.any(axis=0))
    for start in range(0, occurring.size, _BLOCK_CLASSES):
        classes = occurring[start : start + _BLOCK_CLASSES]
        by_class = np.ascontiguousarray(_at_least_float32(scores[:, classes]).T)
        true_by_class = np.ascontiguousarray(labels[:, classes].T)
        rows = zip(classes, by_class, np.sort(by_class, axis=1), true_by_class, strict=True)
        for label, values, ranked, true in rows:
            correct = values[true]
            result[label] = average_precision(ranked, correct, correct.size)
    return result


def mean_average_precision(scores: ArrayLike, labels: ArrayLike) -> MeanAveragePrecision:
    """The mean of the classes' average precisions, over the classes that occur; 0.0 where none does.

    Paper: §Measure (mAP).
    """
    return MeanAveragePrecision.of(average_precision_by_class(scores, labels))


def _correct_of_best(scores: np.ndarray, labels: np.ndarray, pairs: TopPairs) -> dict[int, int]:
    """Number of labels n → how many of the n best classes are true, over the videos of so many labels."""
    correct, k = {}, pairs.scores.shape[1]
    # The classes ascend, so a stable sort leaves the lower of two equals in front.
    order = np.argsort(-pairs.scores, axis=1, kind="stable")
    running = np.cumsum(np.take_along_axis(pairs.correct, order, axis=1), axis=1)
    for n in np.unique(pairs.true_labels[pairs.true_labels > 0]).tolist():
        videos = np.flatnonzero(pairs.true_labels == n)
        own = labels[videos[:, None], top_k_classes(scores[videos], n)] if n > k else running[videos, n - 1]
        correct[n] = int(own.sum())
    return correct


class RankingMetrics:
    """GAP@20, Hit@1, PERR and mAP of videos that come in parts: `update` with each part, then `result`.

    Exact: the same bits for the same scores at half precision, in any order and any grouping. Memory does not grow with
    the scores: mAP needs how often each class had each of the 15,361 values that half precision has from 0 to 1, 4
    bytes each (237 MB for 3,862 classes, of which only the values that occur are touched), and 4 bytes a true label.
    Videos take 108 bytes each, and 8 kB a class are reserved to collect them.

    Paper: §Measure. Differs from the paper: the starter code counts a video without labels as 0 in PERR and never
    counts a score of 0 as right; here such videos are left out, and only the order of scores matters.
    """

    def __init__(self, num_classes: int):
        self.num_classes = check_count(num_classes, name="num_classes")
        self._gap = GlobalAveragePrecision(min(20, num_classes))
        self._counts = np.zeros((num_classes, _HALVES), np.uint32)
        # Class by class, so that a class's counts stay in the cache while its videos are counted.
        self._held = np.empty((num_classes, _HELD_VIDEOS), np.uint16)
        self._num_held = 0
        self._true_codes = [np.empty(0, np.uint32)]
        self._correct_of_best: dict[int, int] = {}

    def update(self, scores: ArrayLike, labels: ArrayLike) -> None:
        """Add videos, scores from 0 to 1 rounded to half precision; nothing where a `ValueError` is raised."""
        halves = np.asarray(scores, np.float16)
        scores, labels = check_scores_and_labels(_at_least_float32(halves), labels)
        if scores.shape[1] != self.num_classes:
            raise ValueError(f"`scores` must have {self.num_classes} classes. Received: {scores.shape}.")
        if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
            raise ValueError("`scores` must be numbers from 0 to 1.")
        self._gap.update(scores, labels)
        for n, correct in _correct_of_best(scores, labels, self._gap._parts[-1]).items():
            self._correct_of_best[n] = self._correct_of_best.get(n, 0) + correct
        values = np.abs(halves).view(np.uint16)  # -0.0 would be a value of its own
        videos, classes = np.divmod(np.flatnonzero(labels), self.num_classes)
        # A class and a value in one number, which sorts by class.
        self._true_codes.append(classes.astype(np.uint32) * np.uint32(_HALVES) + values[videos, classes])
        while len(values):
            held = values[: _HELD_VIDEOS - self._num_held]
            self._held[:, self._num_held : self._num_held + len(held)] = held.T
            self._num_held += len(held)
            values = values[len(held) :]
            if self._num_held == _HELD_VIDEOS:
                self._count_held()

    def _count_held(self) -> None:
        for counts, values in zip(self._counts, self._held[:, : self._num_held], strict=True):
            np.add.at(counts, values, np.uint32(1))
        self._num_held = 0

    def pairs(self) -> TopPairs:
        """Every video's best pairs (score, correct), in the order in which the videos came."""
        return self._gap.pairs()

    def result(self) -> dict[str, float | int]:
        """All metrics of all videos so far.

        Returns:
            `gap`; `hit_at_one`, the share of videos whose best class is one of their labels; `perr`, the mean share of
            a labelled video's n best classes that are true, n being the number of its labels; `map`, and `map_classes`,
            the classes that occur, over which it is the mean; `num_classes` and `videos`.
        """
        pairs, mean = self.pairs(), MeanAveragePrecision.of(self.by_class()[0])
        # Pairs ascend by class, so of equal best scores the lowest class is found.
        hits = pairs.correct[np.arange(len(pairs.correct)), np.argmax(pairs.scores, axis=1)]
        labelled, correct = np.count_nonzero(pairs.true_labels), sorted(self._correct_of_best.items())
        return {
            "gap": gap_of_pairs(pairs),
            "hit_at_one": float(np.mean(hits)) if len(hits) else 0.0,
            "perr": float(sum(count / n for n, count in correct) / labelled) if labelled else 0.0,
            "map": mean.value,
            "map_classes": mean.classes_counted,
            "num_classes": mean.num_classes,
            "videos": len(hits),
        }

    def by_class(self) -> tuple[np.ndarray, np.ndarray]:
        """`average_precision_by_class` of all videos so far, and how many of them have each class: (classes,) each."""
        self._count_held()
        result, videos = np.full(self.num_classes, np.nan), np.zeros(self.num_classes, np.int64)
        true = np.sort(np.concatenate(self._true_codes))
        occurring, sizes = np.unique(true // _HALVES, return_counts=True)
        values = np.split((true % _HALVES).astype(np.intp), np.cumsum(sizes)[:-1])
        for label, correct in zip(occurring, values, strict=False):  # without any label: one empty part
            thresholds, new = np.unique(correct, return_counts=True)
            between = np.add.reduceat(self._counts[label], thresholds, dtype=np.int64)
            all_above = np.cumsum(between[::-1])[::-1]
            result[label], videos[label] = sum_of_steps(new, all_above, correct.size), correct.size
        return result, videos
