"""Predictions on disk and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dmlkit.errors import DataError
from dmlkit.files import UnreadableError, read_arrays, write_arrays
from dmlkit.predictions.sparse import Highest, TrueLabels, highest_of

# Videos of a block; of 3,862 classes it takes 48 MB.
BLOCK = 4096


class Block(NamedTuple):
    """Some videos one after another: `ids`, `labels` (None without) and `scores`, as in `Predictions`."""

    ids: np.ndarray
    labels: np.ndarray | None
    scores: np.ndarray


class Predictions:
    """The scores of one part of a data set, in the order in which it is read.

    Of a large part only each video's highest scores are held; `labels` and `scores` then take the memory of all
    of them when they are asked for, and `blocks` does not.

    Args:
        ids: (videos,) text.
        labels: (videos, classes) bool, or None where the part has no labels.
        scores: (videos, classes) float16; classes that were not kept score 0.
        kept: None where every class was kept, else how many a video.
    """

    def __init__(
        self,
        ids: np.ndarray,
        labels: np.ndarray | TrueLabels | None,
        scores: np.ndarray | Highest,
        kept: int | None = None,
    ):
        self.ids = ids
        self.kept = kept
        self._labels = labels
        self._scores = scores

    @cached_property
    def labels(self) -> np.ndarray | None:
        """(videos, classes) bool, or None where the part has no labels."""
        return (
            self._labels.rows(slice(0, len(self.ids)))
            if isinstance(self._labels, TrueLabels)
            else self._labels
        )

    @cached_property
    def scores(self) -> np.ndarray:
        """(videos, classes) float16."""
        return self._scores.rows(slice(None)) if isinstance(self._scores, Highest) else self._scores

    @property
    def num_classes(self) -> int:
        """How many classes each video is scored for."""
        return self._scores.num_classes if isinstance(self._scores, Highest) else self._scores.shape[1]

    def blocks(self) -> Iterator[Block]:
        """All videos in their order, some at a time, so that large parts need little memory."""
        for start in range(0, len(self.ids), BLOCK):
            some = slice(start, min(start + BLOCK, len(self.ids)))
            labels, scores = self._labels, self._scores
            yield Block(
                self.ids[some],
                labels.rows(some)
                if isinstance(labels, TrueLabels)
                else None
                if labels is None
                else labels[some],
                scores.rows(some) if isinstance(scores, Highest) else scores[some],
            )

    def save(self, path: Path) -> None:
        """Write them as one `.npz`, whole or not at all. No pickles."""
        arrays = {"ids": self.ids.astype(np.str_), "num_classes": np.array(self.num_classes)}
        if isinstance(self._labels, TrueLabels):
            arrays["label_videos"], arrays["label_classes"] = self._labels.videos, self._labels.classes
        elif self._labels is not None:
            arrays["label_videos"], arrays["label_classes"] = np.nonzero(self._labels)
        if self.kept is None:
            arrays["scores"] = self.scores
        else:
            dense = isinstance(self._scores, np.ndarray)
            highest = highest_of(self._scores, self.kept) if dense else self._scores
            arrays["top_classes"], arrays["top_scores"] = highest.classes, highest.scores
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote.

        Raises:
            DataError: The file is missing or damaged.
        """
        try:
            return cls._from_arrays(read_arrays(path))
        except (UnreadableError, LookupError, TypeError, ValueError) as error:
            # What is no archive says so itself; what holds other arrays than ours is told by a missing name or
            # a shape that does not fit.
            why = error if isinstance(error, UnreadableError) else f"{path} holds something else, {error}"
            raise DataError(
                f"The scores of this run cannot be read: {why}. Delete the run's folder and train it again."
            ) from error

    @classmethod
    def _from_arrays(cls, arrays: dict[str, np.ndarray]) -> Predictions:
        shape = len(arrays["ids"]), int(arrays["num_classes"])
        kept = None
        if "scores" in arrays:
            scores = arrays["scores"]
            if scores.shape != shape:
                raise ValueError(f"scores of the shape {scores.shape} where {shape} are said to be")
        else:
            kept = arrays["top_classes"].shape[1]
            scores = Highest(_within(arrays["top_classes"], shape[1]), arrays["top_scores"], shape[1])
            if scores.classes.shape != scores.scores.shape or len(scores.classes) != shape[0]:
                raise ValueError(f"scores of the shape {scores.scores.shape} for {shape[0]} videos")
        labels = None
        if "label_videos" in arrays:
            videos, classes = (
                _within(arrays["label_videos"], shape[0]),
                _within(arrays["label_classes"], shape[1]),
            )
            labels = TrueLabels.of(videos, classes, shape)
            if len(videos) != len(classes) or (np.diff(videos) < 0).any():
                raise ValueError("labels that do not belong to its videos")
        return cls(ids=arrays["ids"], labels=labels, scores=scores, kept=kept)

    def in_order_of(self, ids: np.ndarray) -> Predictions | None:
        """The same predictions with their videos in another order; None where they are of other videos.

        Args:
            ids: (videos,) text: the same ids, each once, in the order that is wanted.
        """
        if np.array_equal(ids, self.ids):
            return self
        rows = np.argsort(self.ids)
        order = np.argsort(ids)
        if not np.array_equal(ids[order], self.ids[rows]):
            return None
        place = np.empty_like(rows)
        place[order] = rows
        labels, scores = self._labels, self._scores
        if isinstance(scores, Highest):
            scores = scores._replace(classes=scores.classes[place], scores=scores.scores[place])
        else:
            scores = scores[place]
        if isinstance(labels, TrueLabels):
            labels = labels.in_order(place)
        elif labels is not None:
            labels = labels[place]
        return Predictions(self.ids[place], labels, scores, self.kept)


def _within(places: np.ndarray, end: int) -> np.ndarray:
    if places.size and not 0 <= places.min() <= places.max() < end:
        raise ValueError(f"places up to {places.max()} of {end}")
    return places
