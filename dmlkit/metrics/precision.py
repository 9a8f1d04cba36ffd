"""Average precision: the one sum behind GAP and mAP, and AP by class.

Pairs with equal scores form one threshold, as in scikit-learn. Since only thresholds at which a true label
appears add to the sum, sorted scores and two look-ups for each of them are all it takes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.checks import checked

# Columns are copied into rows before they are sorted; a block this wide keeps the copies in the cache.
_CLASSES_AT_A_TIME = 64


class MeanAveragePrecision(NamedTuple):
    """`value`: the mean over the `classes_counted` classes that occur, of `num_classes` in all."""

    value: float
    classes_counted: int
    num_classes: int


def average_precision(ranked: np.ndarray, correct: np.ndarray, true_labels: int) -> float:
    """Σ precision · Δrecall over the distinct scores of one pool of pairs.

    Args:
        ranked: (pairs,) all scores, ascending.
        correct: (correct pairs,) the scores of the pairs that are true, in any order.
        true_labels: The denominator of recall.

    Returns:
        0.0 without a correct pair. The same bits for the same pairs, however they were gathered.

    Paper: §Measure, GAP = Σ_i p(i) Δr(i).
    """
    if not correct.size:
        return 0.0
    thresholds, new = np.unique(correct, return_counts=True)
    return sum_of_steps(new, ranked.size - np.searchsorted(ranked, thresholds, side="left"), true_labels)


def sum_of_steps(new: np.ndarray, all_above: np.ndarray, true_labels: int) -> float:
    """Σ precision · Δrecall, step by step.

    Args:
        new: (thresholds,) correct pairs at each score at which there is one, the lowest score first.
        all_above: (thresholds,) pairs of that score or a higher one.
        true_labels: The denominator of recall.

    Paper: §Measure, GAP = Σ_i p(i) Δr(i).
    """
    correct_above = new.sum() - np.cumsum(new) + new
    return float(np.sum(correct_above / all_above * new) / true_labels)


def average_precision_by_class(scores: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """How well each class ranks its own videos before the others.

    Args:
        scores: (videos, classes).
        labels: (videos, classes), any type; true where not zero.

    Returns:
        (classes,) float64; NaN for a class that no video has.

    Raises:
        ValueError: The shapes differ or a value is NaN.

    Paper: §Measure (mAP). Differs from the paper: the starter code breaks ties at random; here equal scores
    form one threshold, so the figures are scikit-learn's `average_precision_score`.
    """
    scores, labels = checked(scores, labels)
    result = np.full(scores.shape[1], np.nan)
    occurring = np.flatnonzero(labels.any(axis=0))
    sortable = np.promote_types(scores.dtype, np.float32)  # half precision sorts many times slower
    for start in range(0, occurring.size, _CLASSES_AT_A_TIME):
        classes = occurring[start : start + _CLASSES_AT_A_TIME]
        by_class = np.ascontiguousarray(scores[:, classes].T, dtype=sortable)
        true = np.ascontiguousarray(labels[:, classes].T)
        ranked = np.sort(by_class, axis=1)
        for row, label in enumerate(classes):
            correct = by_class[row][true[row]]
            result[label] = average_precision(ranked[row], correct, correct.size)
    return result


def mean_average_precision(scores: ArrayLike, labels: ArrayLike) -> MeanAveragePrecision:
    """The mean of the classes' average precisions, over the classes that occur.

    Args:
        scores: (videos, classes).
        labels: (videos, classes), any type; true where not zero.

    Returns:
        `MeanAveragePrecision(value, classes_counted, num_classes)`; a value of 0.0 where no class occurs.

    Raises:
        ValueError: The shapes differ or a value is NaN.

    Paper: §Measure (mAP).
    """
    return mean_of_classes(average_precision_by_class(scores, labels))


def mean_of_classes(by_class: np.ndarray) -> MeanAveragePrecision:
    """`mean_average_precision` from the average precisions of the classes, NaN for those that do not occur."""
    counted = by_class[~np.isnan(by_class)]
    return MeanAveragePrecision(
        value=float(counted.mean()) if counted.size else 0.0,
        classes_counted=int(counted.size),
        num_classes=int(by_class.size),
    )
