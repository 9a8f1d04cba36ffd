"""What every measure asks of its arguments, said once."""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import ArrayLike


def checked_scores(scores: ArrayLike, *, name: str = "scores") -> np.ndarray:
    """Scores as a floating array (videos, classes); floats keep their precision, the rest becomes float64.

    Args:
        scores: (videos, classes), larger = more likely. Infinite scores are ranked like any other.
        name: What the argument is called, for the message.

    Raises:
        ValueError: Not two-dimensional, without classes, complex, or with a NaN.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"`{name}` must have the shape (videos, classes). Received: {name}={scores.shape}.")
    if scores.dtype.kind == "c":
        raise ValueError(f"`{name}` must be real numbers. Received: dtype={scores.dtype}.")
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    # The smallest of numbers is NaN as soon as one of them is, and finding it makes no array.
    if scores.size and np.isnan(np.min(scores)):
        video, label = np.argwhere(np.isnan(scores))[0]
        raise ValueError(
            f"`{name}` must not contain NaN, which has no rank. Received: NaN for {np.isnan(scores).sum()} of "
            f"{scores.size} scores, the first at video {video}, class {label}."
        )
    return scores


def checked(scores: ArrayLike, labels: ArrayLike, *, name: str = "scores") -> tuple[np.ndarray, np.ndarray]:
    """Scores as `checked_scores` gives them, labels as booleans of the same shape.

    Args:
        scores: (videos, classes).
        labels: (videos, classes), any type; true where not zero.
        name: What the scores are called, for the message.

    Raises:
        ValueError: The shapes differ, or a score or label is NaN.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(
            f"`{name}` and `labels` must share one shape (videos, classes). "
            f"Received: {name}={scores.shape}, labels={labels.shape}."
        )
    scores = checked_scores(scores, name=name)
    if labels.dtype.kind == "f" and labels.size and np.isnan(np.min(labels)):
        raise ValueError(
            f"`labels` must not contain NaN. Received: NaN for {np.isnan(labels).sum()} of {labels.size} labels."
        )
    return scores, labels if labels.dtype == bool else labels != 0


def count_labels(labels: np.ndarray) -> np.ndarray:
    """(videos,) int64: how many labels each video has, from boolean labels (videos, classes)."""
    # Added as bytes into 32 bits, which halves the time of counting them as booleans.
    return labels.view(np.uint8).sum(axis=1, dtype=np.uint32).astype(np.int64)


def checked_count(value: int, *, name: str) -> int:
    """A whole number of at least one.

    Raises:
        ValueError: It is not.
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1 or isinstance(value, bool):
        raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}.")
    return count
