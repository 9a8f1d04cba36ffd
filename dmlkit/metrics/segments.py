"""mAP@K of YouTube-8M 2019: how well segments are ranked for each class, where only rated pairs count.

For each class all segments are ranked, the K highest kept, and of these the ones that people rated for the class:
AP_c = Σ_r precision(r) · correct(r) / N_c, where r counts rated segments only and N_c are all that were rated to show
it. mAP@K is the mean over the classes with N_c > 0. As a submission holds no scores, there are no thresholds: of equal
scores the segment that comes first is ranked higher.

Source: `segment_eval_inference.py` of the YouTube-8M starter code; docs/explanation/metrics.md lists the differences.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    scores: ArrayLike, labels: ArrayLike, rated: ArrayLike, *, ids=None, k: int | None = SEGMENTS_A_CLASS
) -> RatedPairs:
    """The pairs of arrays (segments, classes), all of one shape; labels of pairs that are not rated do not count.

    Args:
        scores: Finite; a higher one is more likely.
        labels: Not zero where the class is present.
        rated: 1 where the pair was rated, else 0.
        ids: (segments,) ``"VIDEO:START"``, which intervals need.
        k: How many segments of each class are ranked, whether rated or not; None ranks all.
    """
    scores, labels = check_scores_and_labels(scores, labels)
    rated = np.asarray(rated)
    if rated.shape != scores.shape or not ((rated == 0) | (rated == 1)).all() or np.isinf(scores).any():
        raise ValueError(
            f"`scores` must be finite, and `rated` 0 or 1 in the same shape. Received: {scores.shape}, {rated.shape}."
        )
    segments, classes = np.nonzero(rated)
    found = scores[segments, classes].astype(np.promote_types(scores.dtype, np.float32))
    if k is not None and len(scores) > check_count(k, name="k"):
        for label in np.unique(classes):
            cut = np.argsort(-scores[:, label].astype(found.dtype), kind="stable")[k:]
            found[(classes == label) & np.isin(segments, cut)] = -np.inf
    if ids is not None and len(ids) != len(scores):
        raise ValueError(f"Each segment needs an id. Received: {len(ids)} ids of {len(scores)} segments.")
    videos = None if ids is None else videos_of(np.asarray(ids)[segments].tolist())
    return RatedPairs(classes.astype(np.int32), found, labels[segments, classes], videos)


def videos_of(segments: Iterable[str]) -> np.ndarray:
    """The ids of the videos of segments ``"VIDEO:START"``."""
    return np.array([each.rpartition(":")[0] for each in segments], np.str_)


def measure_pairs(
    pairs: RatedPairs, *, segments: int, num_classes: int, k: int = SEGMENTS_A_CLASS
) -> dict[str, float | int]:
    """mAP@K of the rated pairs of so many segments.

    Returns:
        `map_at_k`, 0.0 without any positive rating; `k`; `classes`, over which it is the mean, of `num_classes`;
        `segments`; `rated`, the number of rated pairs.
    """
    classes = np.unique(pairs.classes[pairs.correct]).size
    figures = {"map_at_k": map_at_k_of_pairs(pairs), "k": k, "classes": classes, "num_classes": num_classes}
    return figures | {"segments": segments, "rated": pairs.classes.size}


def interval_over_videos(pairs: RatedPairs) -> dict[str, list[float] | int]:
    """`map_at_k_interval` (low, high), and the number of `videos` that it is over."""
    return {"map_at_k_interval": list(map_at_k_interval(pairs)), "videos": np.unique(pairs.videos).size}


def mean_average_precision_at_k(
    scores: ArrayLike, labels: ArrayLike, rated: ArrayLike, *, k: int = SEGMENTS_A_CLASS
) -> float:
    """mAP@K of arrays as of `rated_pairs`; 0.0 where no segment was rated as showing a class."""
    return map_at_k_of_pairs(rated_pairs(scores, labels, rated, k=k))


def map_at_k_of_pairs(pairs: RatedPairs) -> float:
    """mAP@K of pairs already picked; see `mean_average_precision_at_k`."""
    return float(_of_resamples(_ranked(pairs), np.ones((1, len(pairs.classes)), np.int32))[0])


def _ranked(pairs: RatedPairs) -> RatedPairs:
    """The pairs class by class, in the order of the ranking."""
    order = np.lexsort((-pairs.scores, pairs.classes))  # stable
    return RatedPairs(*(each if each is None else each[order] for each in pairs))


def _of_resamples(ranked: RatedPairs, times: np.ndarray) -> np.ndarray:
    """(rows,) mAP@K where each pair is there so many `times`, (rows, pairs), its copies side by side in the ranking.

    Classes that no segment of a row shows are left out of its mean.
    """
    hits = np.flatnonzero(ranked.correct)
    if not hits.size:
        return np.zeros(len(times))
    starts = np.unique(ranked.classes[hits], return_index=True)[1]
    first = np.searchsorted(ranked.classes, ranked.classes[hits])

    def above(weights: np.ndarray) -> np.ndarray:
        sums = np.cumsum(weights, axis=1, dtype=np.int32)
        sums -= weights
        return sums[:, hits] - sums[:, first]

    ranks, wrong, times = above(times), above(times * ~ranked.correct), times[:, hits]
    # Σ_{j=1..times} (ranks - wrong + j) / (ranks + j), in harmonic numbers.
    harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, (ranks + times).max() + 1)))
    gains = times - wrong * (harmonic[ranks + times] - harmonic[ranks])
    gains *= np.isfinite(ranked.scores[hits])
    gains, positives = (np.add.reduceat(each, starts, axis=1) for each in (gains, times))
    by_class = np.divide(gains, positives, out=np.full(gains.shape, np.nan), where=positives > 0)
    return np.array([MeanAveragePrecision.of(row).value for row in by_class])


def map_at_k_interval(
    pairs: RatedPairs, minus: RatedPairs | None = None, *, resamples: int = 1000, seed: int = 0
) -> Interval:
    """The 95 % interval of mAP@K, or of its difference to that of another system on the same pairs: the bootstrap over
    videos, resampled with replacement, each with all its segments, as in `gap_interval`.

    The percentiles are moved by a constant so that the mean of the resamples is the measured value: copies side by side
    raise the average precision of classes with few segments (docs/explanation/metrics.md).
    """
    systems = [pairs] if minus is None else [pairs, minus]
    for name in ("classes", "correct", "videos"):
        if not np.array_equal(getattr(pairs, name), getattr(systems[-1], name)):
            raise ValueError("Both systems must have scored the same rated pairs, in the same order.")
    if pairs.videos is None or not len(pairs.videos):
        raise ValueError("An interval takes rated segments and their ids. Received: none.")
    measured, values = 0.0, np.zeros(check_count(resamples, name="resamples"))
    for sign, system in zip((1, -1), systems, strict=False):
        ranked, rng = _ranked(system), np.random.default_rng(seed)
        names, video = np.unique(ranked.videos, return_inverse=True)
        measured += sign * map_at_k_of_pairs(system)
        rows = max(1, _BLOCK_WEIGHTS // video.size)
        for block in np.split(values, range(rows, resamples, rows)):
            samples = (rng.integers(names.size, size=names.size) for _ in block)
            counts = np.stack([np.bincount(each, minlength=names.size) for each in samples], dtype=np.int32)
            block += sign * _of_resamples(ranked, counts[:, video])
    return percentiles(values - values.mean() + measured, 0.95)


class SegmentPrecision:
    """mAP@K of segments that come in parts: `update` with each part, then `result`.

    It keeps the rated pairs, nothing else: 13 bytes each and the id of the video. So it cannot cut at K, which takes
    the other segments into account: the result is exact for every K of at least the number of segments.
    The order of the parts decides between equal scores only.
    """

    def __init__(self):
        self._segments, self._num_classes = 0, 0
        self._parts = [RatedPairs(*map(np.empty, (0, 0, 0, 0), (np.int32, np.float32, bool, np.str_)))]

    def update(self, scores: ArrayLike, labels: ArrayLike, rated: ArrayLike, ids: ArrayLike) -> None:
        """Add segments, as of `rated_pairs`. Nothing where a `ValueError` is raised."""
        pairs, (segments, classes) = rated_pairs(scores, labels, rated, ids=ids, k=None), np.shape(scores)
        if self._num_classes not in (0, classes):
            raise ValueError(f"All parts must have {self._num_classes} classes. Received: {classes}.")
        self._parts.append(pairs)
        self._segments, self._num_classes = self._segments + segments, classes

    def pairs(self) -> RatedPairs:
        """The rated pairs so far, in the order of the segments."""
        return RatedPairs(*map(np.concatenate, zip(*self._parts, strict=True)))

    def result(self) -> dict[str, float | int]:
        """mAP@K of all segments so far, as of `measure_pairs`.

        `k` is that for which it is exact: 100,000, or the number of segments where there are more.
        """
        k = max(SEGMENTS_A_CLASS, self._segments)
        return measure_pairs(self.pairs(), segments=self._segments, num_classes=self._num_classes, k=k)
