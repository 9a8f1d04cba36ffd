"""Labels and scores of which few are not 0."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Highest(NamedTuple):
    """Each video's highest scores; the rest are 0.

    Args:
        classes: (videos, kept) ascending.
        scores: (videos, kept) float16.
        num_classes: How many classes there are.
    """

    classes: np.ndarray
    scores: np.ndarray
    num_classes: int

    def rows(self, chosen) -> np.ndarray:
        """(videos, classes) float16, of some videos or a slice of them."""
        classes = self.classes[chosen]
        scores = np.zeros((len(classes), self.num_classes), np.float16)
        np.put_along_axis(scores, classes, self.scores[chosen], axis=1)
        return scores


class TrueLabels(NamedTuple):
    """Labels as the places of those that are true.

    Args:
        ends: (videos + 1,) where each video's classes begin, and where the last one's end.
        classes: (true labels,) the videos' classes one after another.
        num_classes: How many classes there are.
    """

    ends: np.ndarray
    classes: np.ndarray
    num_classes: int

    @classmethod
    def of(cls, videos: np.ndarray, classes: np.ndarray, shape: tuple[int, int]) -> TrueLabels:
        """From the places (video, class) of the true ones, by video."""
        return cls(np.searchsorted(videos, np.arange(shape[0] + 1)), classes, shape[1])

    @property
    def videos(self) -> np.ndarray:
        """(true labels,) the video of each."""
        return np.repeat(np.arange(len(self.ends) - 1), np.diff(self.ends))

    def rows(self, chosen: slice) -> np.ndarray:
        """(videos, classes) bool, of a slice of the videos."""
        ends = self.ends[chosen.start : chosen.stop + 1]
        labels = np.zeros((len(ends) - 1, self.num_classes), bool)
        labels[np.repeat(np.arange(len(labels)), np.diff(ends)), self.classes[ends[0] : ends[-1]]] = True
        return labels

    def in_order(self, rows: np.ndarray) -> TrueLabels:
        """The same of other videos, or in another order."""
        parts = [self.classes[self.ends[row] : self.ends[row + 1]] for row in rows]
        ends = np.cumsum([0, *map(len, parts)])
        return TrueLabels(ends, np.concatenate([*parts, np.empty(0, self.classes.dtype)]), self.num_classes)


def highest_of(scores: np.ndarray, kept: int) -> Highest:
    """Each video's highest scores: what is measured is what is stored."""
    classes = np.sort(np.argpartition(-scores, kept - 1, axis=1)[:, :kept])
    return Highest(classes.astype(np.int32), np.take_along_axis(scores, classes, axis=1), scores.shape[1])
