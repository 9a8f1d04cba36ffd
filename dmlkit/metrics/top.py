"""Each video's k highest-scoring classes, and which of them are true.

Of equal scores at the k-th place the lower class is taken, so that the choice depends on nothing but the
scores themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.checks import checked, checked_count, checked_scores, count_labels

# Enough to drown numpy's cost per call, few enough to stay in the processor's cache.
_SCORES_AT_A_TIME = 1 << 19


class TopK(NamedTuple):
    """Every video's best classes, best first: `classes` (videos, k) int, `scores` (videos, k) float."""

    classes: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class TopPairs:
    """What GAP needs to know of each video: k pairs (score, correct) and the number of its true labels.

    Args:
        scores: (videos, k) float, in any order within a video.
        correct: (videos, k) bool: is the class of that score one of the video's labels?
        true_labels: (videos,) int: all true labels of the video, also those outside its k pairs.

    Raises:
        ValueError: The shapes do not fit, a score is NaN, or a video has more correct pairs than labels.
    """

    scores: np.ndarray
    correct: np.ndarray
    true_labels: np.ndarray

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.scores.shape != self.correct.shape:
            raise ValueError(
                "`scores` and `correct` must share one shape (videos, k). "
                f"Received: scores={self.scores.shape}, correct={self.correct.shape}."
            )
        if self.true_labels.shape != self.scores.shape[:1]:
            raise ValueError(
                "`true_labels` must have the shape (videos,). "
                f"Received: true_labels={self.true_labels.shape}, scores={self.scores.shape}."
            )
        if self.correct.dtype != bool:
            raise ValueError(f"`correct` must be booleans. Received: dtype={self.correct.dtype}.")
        if np.isnan(self.scores).any():
            raise ValueError("`scores` must not contain NaN, which has no rank.")
        if (self.correct.sum(axis=1) > self.true_labels).any():
            raise ValueError("`true_labels` must count at least the labels marked in `correct`.")


def top_k_classes(scores: np.ndarray, k: int) -> np.ndarray:
    """The k highest-scoring classes of every video, in the order of the classes.

    Args:
        scores: (videos, classes), without NaN.
        k: How many, at most the number of classes.

    Returns:
        (videos, k) int.
    """
    videos, num_classes = scores.shape
    if k >= num_classes:
        return np.tile(np.arange(num_classes), (videos, 1))
    classes = np.empty((videos, k), np.intp)
    rows = max(1, _SCORES_AT_A_TIME // num_classes)
    for start in range(0, videos, rows):
        part = _at_least_float32(scores[start : start + rows])
        last = num_classes - k
        threshold = np.partition(part, last, axis=1)[:, last, None]
        chosen = part >= threshold
        if np.count_nonzero(chosen) > chosen.shape[0] * k:
            _drop_higher_of_equals(chosen, part, threshold, k)
        # Flat places and a remainder: numpy finds them several times faster than pairs of row and column.
        classes[start : start + rows] = (np.flatnonzero(chosen) % num_classes).reshape(-1, k)
    return classes


def top_k_pairs(scores: ArrayLike, k: int = 20) -> TopK:
    """The k highest-scoring classes of every video with their scores, best first.

    Args:
        scores: (videos, classes).
        k: How many; all classes where there are fewer.

    Returns:
        `TopK(classes, scores)`, both (videos, min(k, classes)); of equal scores the lower class comes first.

    Raises:
        ValueError: `scores` is not (videos, classes) or has a NaN; `k` is not a whole number of at least 1.

    Paper: §Ensemble, Algorithm 2 (sort, keep the top k of every video).
    """
    scores = checked_scores(scores)
    classes = top_k_classes(scores, checked_count(k, name="k"))
    values = np.take_along_axis(scores, classes, axis=1)
    # The classes ascend, so a stable sort leaves the lower of two equals in front.
    order = np.argsort(-values, axis=1, kind="stable")
    return TopK(np.take_along_axis(classes, order, axis=1), np.take_along_axis(values, order, axis=1))


def top_pairs(scores: ArrayLike, labels: ArrayLike, *, top_k: int = 20, name: str = "scores") -> TopPairs:
    """Every video's k best pairs (score, correct), which is all that GAP looks at.

    Args:
        scores: (videos, classes).
        labels: (videos, classes), any type; true where not zero.
        top_k: Pairs a video; all classes where there are fewer.
        name: What the scores are called, for the message.

    Returns:
        Pairs of shape (videos, min(top_k, classes)).

    Raises:
        ValueError: The shapes differ, a value is NaN, or `top_k` is not a whole number of at least 1.

    Paper: §Measure (of every video the 20 highest-scoring labels).
    """
    scores, labels = checked(scores, labels, name=name)
    classes = top_k_classes(scores, checked_count(top_k, name="top_k"))
    return TopPairs(
        scores=_at_least_float32(np.take_along_axis(scores, classes, axis=1)),
        correct=np.take_along_axis(labels, classes, axis=1),
        true_labels=count_labels(labels),
    )


def _at_least_float32(scores: np.ndarray) -> np.ndarray:
    """Half precision as single, which loses nothing and sorts many times faster; the rest as it is."""
    return scores.astype(np.promote_types(scores.dtype, np.float32), copy=False)


def _drop_higher_of_equals(chosen: np.ndarray, scores: np.ndarray, threshold: np.ndarray, k: int) -> None:
    """Where more than k classes reach the threshold, keep the lowest of those that equal it (in place)."""
    crowded = np.flatnonzero(np.count_nonzero(chosen, axis=1) > k)
    above = scores[crowded] > threshold[crowded]
    equal = chosen[crowded] & ~above
    room = k - np.count_nonzero(above, axis=1)[:, None]
    chosen[crowded] = above | (equal & (np.cumsum(equal, axis=1) <= room))
