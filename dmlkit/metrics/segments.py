"""mAP@K of YouTube-8M 2019: how well segments are ranked for each class, where only rated pairs count.

People rated few (segment, class) pairs. For each class all segments are ranked, the K highest are kept, and of these
those that were rated for the class: AP_c = Σ_r precision(r) · correct(r) / N_c, where r counts rated segments only and
N_c all segments that were rated as showing the class. mAP@K is the mean over the classes with N_c > 0.

A ranking has an order and no thresholds, as a submission holds no scores: of equal scores the segment that comes first
is ranked higher, in the arrays and in what is written from them. Only the cut at K takes segments into account that
were not rated for the class.

Source: `segment_eval_inference.py` of the YouTube-8M starter code; docs/explanation/metrics.md lists the differences.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.bootstrap import Interval, percentiles
from dmlkit.metrics.ranking import MeanAveragePrecision, check_count, check_scores_and_labels

SEGMENTS_A_CLASS = 100_000  # K of the competition of 2019
_BLOCK_WEIGHTS = 1 << 20  # of resamples that are computed at once: enough to hide numpy's cost per call


class RatedPairs(NamedTuple):
    """The rated (segment, class) pairs, in the order of the segments: all that mAP@K needs of a split."""

    classes: np.ndarray  # (pairs,) int
    scores: np.ndarray  # (pairs,) float; -inf where the segment is not among the K that are ranked
    correct: np.ndarray  # (pairs,) bool: rated as present?
    videos: np.ndarray | None = None  # (pairs,) the id of the segment's video, for intervals


def rated_pairs(
    scores: ArrayLike,
    labels: ArrayLike,
    rated: ArrayLike,
    *,
    ids: ArrayLike | None = None,
    k: int | None = SEGMENTS_A_CLASS,
) -> RatedPairs:
    """The pairs of arrays (segments, classes), all of one shape; labels of pairs that are not rated do not count.

    Args:
        scores: Finite; a higher one is more likely.
        labels: Not zero where the class is present.
        rated: Not zero where somebody said whether it is.
        ids: (segments,) ``"VIDEO:START"``.
        k: How many segments of each class are ranked; None ranks all.
    """
    scores, labels = check_scores_and_labels(scores, labels)
    rated = np.asarray(rated)
    if rated.shape != scores.shape or not ((rated == 0) | (rated == 1)).all():
        raise ValueError(
            f"`rated` must be 0 or 1, in the shape of `scores`, {scores.shape}. Received: the shape {rated.shape}, or "
            "other values."
        )
    if np.isinf(scores).any():
        raise ValueError("`scores` must be finite. Received: an infinite one.")
    segments, classes = np.nonzero(rated)
    found = scores[segments, classes].astype(np.promote_types(scores.dtype, np.float32))
    if k is not None and len(scores) > check_count(k, name="k"):
        for label in np.unique(classes):
            cut = np.argsort(-scores[:, label].astype(found.dtype), kind="stable")[k:]
            found[(classes == label) & np.isin(segments, cut)] = -np.inf
    if ids is not None:
        if len(ids) != len(scores):
            raise ValueError(f"Each segment needs an id. Received: {len(ids)} ids of {len(scores)} segments.")
        ids = np.array([each.rpartition(":")[0] for each in np.asarray(ids)[segments].tolist()], np.str_)
    return RatedPairs(classes.astype(np.int32), found, labels[segments, classes], ids)


def average_precision_of_pairs(pairs: RatedPairs, num_classes: int) -> np.ndarray:
    """AP_c of each class: (num_classes,), NaN for a class of which no segment was rated as present."""
    order, _, rank = _ranking(pairs)
    classes, correct = pairs.classes[order], pairs.correct[order]
    hits = np.flatnonzero(correct)
    _, first, places, positives = np.unique(
        classes[hits], return_index=True, return_inverse=True, return_counts=True
    )
    precision = (np.arange(hits.size) - first[places] + 1) / (rank[hits] + 1)
    precision[np.isneginf(pairs.scores[order][hits])] = 0
    result = np.full(num_classes, np.nan)
    result[classes[hits[first]]] = np.bincount(places, precision) / positives
    return result


def _ranking(pairs: RatedPairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order by class, score and place; where each pair's class begins in it; and the pair's rank, from 0."""
    order = np.lexsort((-pairs.scores, pairs.classes))  # stable
    _, first, places = np.unique(pairs.classes[order], return_index=True, return_inverse=True)
    return order, first[places], np.arange(order.size) - first[places]


def mean_average_precision_at_k(
    scores: ArrayLike, labels: ArrayLike, rated: ArrayLike, *, k: int = SEGMENTS_A_CLASS
) -> float:
    """mAP@K of arrays (segments, classes); see `rated_pairs`. 0.0 where no segment was rated as showing a class.

    It is that of the submission with these predictions: K counts segments whether rated or not.
    """
    return map_at_k_of_pairs(rated_pairs(scores, labels, rated, k=k))


def map_at_k_of_pairs(pairs: RatedPairs) -> float:
    """mAP@K of pairs already picked; see `mean_average_precision_at_k`."""
    most = pairs.classes.max(initial=-1)
    return MeanAveragePrecision.of(average_precision_of_pairs(pairs, int(most) + 1)).value


def resampled_map_at_k(pairs: RatedPairs, *, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """(resamples,) mAP@K of videos resampled with replacement, each with all its segments.

    A video that is taken twice has each of its segments twice, side by side in the ranking; classes without a segment
    that shows them are left out of a resample's mean. Two systems with pairs of the same videos are resampled alike,
    so that their results can be subtracted.
    """
    if pairs.videos is None or not len(pairs.videos):
        raise ValueError("Resampling takes rated segments and their ids. Received: none.")
    order, first, _ = _ranking(pairs)
    names, video = np.unique(pairs.videos, return_inverse=True)
    classes, correct, video = pairs.classes[order], pairs.correct[order], video[order]
    hits = np.flatnonzero(correct)
    result = np.zeros(check_count(resamples, name="resamples"))
    if not hits.size:
        return result
    listed, starts = ~np.isneginf(pairs.scores[order][hits]), np.unique(classes[hits], return_index=True)[1]
    rng, rows = np.random.default_rng(seed), max(1, _BLOCK_WEIGHTS // order.size)
    for begin in range(0, resamples, rows):
        block = result[begin : begin + rows]
        samples = (rng.integers(names.size, size=names.size) for _ in block)
        counts = np.stack([np.bincount(each, minlength=names.size) for each in samples], dtype=np.int32)
        weights = counts[:, video]  # (resamples of the block, pairs)
        above, wrong = _before(weights, hits, first), _before(weights * ~correct, hits, first)
        weights = weights[:, hits]
        # Copies of a pair follow each other: Σ_{j=1..w} (above - wrong + j) / (above + j), in harmonic numbers.
        harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, (above + weights).max() + 1)))
        gains = (weights - wrong * (harmonic[above + weights] - harmonic[above])) * listed
        positives = np.add.reduceat(weights, starts, axis=1)
        precisions = np.add.reduceat(gains, starts, axis=1) / np.maximum(positives, 1)
        block[:] = precisions.sum(axis=1) / np.maximum(np.count_nonzero(positives, axis=1), 1)
    return result


def _before(weights: np.ndarray, hits: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(resamples, hits) the weight of the pairs of the same class that are ranked above each of some pairs."""
    sums = np.zeros((len(weights), weights.shape[1] + 1), np.int64)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums[:, hits] - sums[:, first[hits]]


def map_at_k_interval(
    pairs: RatedPairs,
    minus: RatedPairs | None = None,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """The bootstrap interval over videos of mAP@K, or of its difference to that of another system on the same pairs.

    Percentiles of `resampled_map_at_k`, moved by a constant so that the mean of the resamples is the measured value:
    copies of a segment stand side by side, which raises the average precision of classes with few segments. (On
    simulated data of 1,000 classes with 40 rated segments each, 97 % of such intervals hold the expected value, but 60
    % of those that are not moved.) `level`, `resamples` and `seed` are those of `gap_interval`.
    """
    systems = [pairs] if minus is None else [pairs, minus]
    same = (
        np.array_equal(getattr(pairs, name), getattr(systems[-1], name))
        for name in ("classes", "correct", "videos")
    )
    if not all(same):
        raise ValueError("Both systems must have scored the same rated pairs, in the same order.")
    measured = [map_at_k_of_pairs(each) for each in systems]
    resampled = [resampled_map_at_k(each, resamples=resamples, seed=seed) for each in systems]
    if minus is not None:
        measured, resampled = [measured[0] - measured[1]], [resampled[0] - resampled[1]]
    return percentiles(resampled[0] - resampled[0].mean() + measured[0], level)


class SegmentPrecision:
    """mAP@K of segments that come in parts: `update` with each part, `merge` workers, then `result`.

    It keeps the rated pairs, nothing else: 13 bytes each and the segment's id. So the cut at K, which takes the other
    segments into account, is not made: the result is exact for every K of at least the number of segments, and says so.
    The order of the parts decides only between equal scores.
    """

    def __init__(self, k: int = SEGMENTS_A_CLASS):
        self.k, self.segments = check_count(k, name="k"), 0
        self.num_classes: int | None = None
        self._parts: list[RatedPairs] = []

    def update(
        self, scores: ArrayLike, labels: ArrayLike, rated: ArrayLike, ids: ArrayLike | None = None
    ) -> None:
        """Add segments, as of `rated_pairs`; intervals need the `ids`. Nothing where a `ValueError` is raised."""
        pairs = rated_pairs(scores, labels, rated, ids=ids, k=None)
        self.add(pairs, segments=np.shape(scores)[0], num_classes=np.shape(scores)[1])

    def merge(self, other: SegmentPrecision) -> None:
        """Add all that another one has seen; the other stays as it is."""
        if other.num_classes is not None:
            self.add(other.pairs(), segments=other.segments, num_classes=other.num_classes)

    def add(self, pairs: RatedPairs, *, segments: int, num_classes: int) -> None:
        """Add the rated pairs of so many segments."""
        if self.num_classes not in (None, num_classes):
            raise ValueError(
                f"All parts must have the same classes. Received: {num_classes}, not {self.num_classes}."
            )
        self._parts = [*self._parts, pairs]
        self.segments, self.num_classes = self.segments + segments, num_classes

    def pairs(self) -> RatedPairs:
        """The rated pairs so far, in the order of the segments."""
        if not self._parts:
            return RatedPairs(np.empty(0, np.int32), np.empty(0), np.empty(0, bool))
        *columns, videos = zip(*self._parts, strict=True)
        known = all(each is not None for each in videos)
        return RatedPairs(*map(np.concatenate, columns), np.concatenate(videos) if known else None)

    def by_class(self) -> np.ndarray:
        """The average precision of each class: (num_classes,), NaN where no segment was rated as showing it."""
        return average_precision_of_pairs(self.pairs(), self.num_classes or 0)

    def result(self) -> dict[str, float | int]:
        """mAP@K of all segments so far.

        Returns:
            `map_at_k`, 0.0 without any positive rating; `k`, for which it is exact: that of the start, or the number of
            segments where there are more; `classes`, over which it is the mean, of `num_classes`; `segments`; `rated`,
            the number of rated pairs.
        """
        mean, rated = MeanAveragePrecision.of(self.by_class()), sum(len(each.classes) for each in self._parts)
        return {
            "map_at_k": mean.value,
            "k": max(self.k, self.segments),
            "classes": mean.classes_counted,
            "num_classes": mean.num_classes,
            "segments": self.segments,
            "rated": rated,
        }
