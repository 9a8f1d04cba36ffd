"""Ids, true labels and scores of every video of a split, stored for use without the model.

Scores are measured at half precision everywhere, so that a run, an ensemble of it and a comparison with
it measure the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, vstack

from dmlkit.errors import DataError, counted
from dmlkit.files import UnreadableError, read_arrays, write_arrays
from dmlkit.metrics import RankingMetrics

# Videos of a block; of 3,862 classes it takes 48 MB.
BLOCK = 4096
# Above this many bytes each video's scores are cut to its highest `KEPT_CLASSES`.
LARGEST_DENSE = 256 * 2**20
KEPT_CLASSES = 100


class Predictions:
    """The scores of one split of a data set, in the order in which it is read.

    Of a large split only each video's highest scores are held; `labels` and `scores` then take the memory of all of
    them when they are asked for, and `blocks` does not.

    Args:
        ids: (videos,) text.
        labels: (videos, classes) bool, dense or sparse, or None where the split has no labels.
        scores: (videos, classes) float16, or the highest of each video alone: (videos, kept).
        top: (videos, kept) int, the classes of these, ascending; None where every class was kept.
        num_classes: How many classes there are, where some were not kept.
    """

    def __init__(self, ids: np.ndarray, labels, scores: np.ndarray, top=None, num_classes: int | None = None):
        self.ids, self._labels, self._scores, self._top = ids, labels, scores, top
        self.num_classes = scores.shape[1] if num_classes is None else num_classes
        self.kept = None if top is None else top.shape[1]  # classes per video; None for all

    def __repr__(self) -> str:
        kept = f", the highest {self.kept} scores of each" if self.kept is not None else ""
        labelled = "without labels" if self._labels is None else "with labels"
        classes = counted(self.num_classes, "class", "classes")
        return f"Predictions({counted(len(self.ids), 'video')} × {classes}, {labelled}{kept})"

    @cached_property
    def labels(self) -> np.ndarray | None:
        """(videos, classes) bool, or None where the split has no labels."""
        return self._labels.toarray() if isinstance(self._labels, csr_array) else self._labels

    @cached_property
    def scores(self) -> np.ndarray:
        """(videos, classes) float16; a class that was not kept has the most it can have.

        That is the next number below the video's lowest kept score: the kept ones stay before it. (0 would be certainty
        that the class is absent, which an ensemble with a negative weight turns into its best class.)
        """
        if self._top is None:
            return self._scores
        return self._with(np.nextafter(self._scores.min(axis=1, keepdims=True), np.float16(0)))

    @property
    def kept_scores(self) -> np.ndarray:
        """(videos, classes) float16, 0 where a class was not kept: behind all kept scores of all videos.

        For average precision by class, which compares a class's scores between videos.
        """
        return self._with(0)

    @property
    def is_kept(self) -> np.ndarray:
        """(videos, classes) bool: the classes whose scores are known."""
        return ~np.isnan(self._with(np.nan))

    def _with(self, missing: np.ndarray | float) -> np.ndarray:
        """The scores, with this where a class was not kept."""
        if self._top is None:
            return self._scores
        dense = np.empty((len(self.ids), self.num_classes), np.float16)
        dense[:] = missing
        np.put_along_axis(dense, self._top, self._scores, axis=1)
        return dense

    def kept_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Each video's kept classes, ascending, and their scores: (videos, kept) int and float16, or of all classes."""
        every = np.arange(self.num_classes) if self._top is None else self._top
        return np.broadcast_to(every, self._scores.shape), self._scores

    def take(self, rows: slice | np.ndarray) -> Predictions:
        """The predictions of some videos, by their places."""
        arrays = (self.ids, self._labels, self._scores, self._top)
        return Predictions(*(None if each is None else each[rows] for each in arrays), self.num_classes)

    def blocks(self) -> Iterator[Predictions]:
        """All videos in their order, some at a time, so that large splits need little memory."""
        for start in range(0, len(self.ids), BLOCK):
            yield self.take(slice(start, start + BLOCK))

    def measured(self) -> RankingMetrics:
        """The metrics of labelled videos, some at a time; what was not kept is behind all that was."""
        metrics = RankingMetrics(self.num_classes)
        for block in self.blocks():
            metrics.update(block.kept_scores, block.labels)
        return metrics

    def in_order_of(self, ids: np.ndarray) -> Predictions | None:
        """The same predictions with their videos in the order of `ids`; None where those are of other videos."""
        if np.array_equal(ids, self.ids):
            return self
        rows, order = np.argsort(self.ids), np.argsort(ids)
        if not np.array_equal(ids[order], self.ids[rows]):
            return None
        return self.take(rows[np.argsort(order)])

    def save(self, path: Path) -> None:
        """Write them as one `.npz`, whole or not at all. No pickles."""
        arrays = {
            "ids": self.ids.astype(np.str_),
            "scores": self._scores,
            "num_classes": np.array(self.num_classes),
        }
        if self._top is not None:
            arrays["top_classes"] = self._top
        if self._labels is not None:
            arrays["label_videos"], arrays["label_classes"] = self._labels.nonzero()
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote; a `DataError` where the file is missing or damaged."""
        labels = None
        try:
            arrays = read_arrays(path)
            videos, classes = shape = len(arrays["ids"]), int(arrays["num_classes"])
            scores, top = arrays["scores"], arrays.get("top_classes")
            if scores.shape != (shape if top is None else (videos, top.shape[1])):
                raise ValueError(f"its scores do not fit {videos} videos of {classes} classes")
            if top is not None and not (top.dtype.kind == "i" and np.isin(top, range(classes)).all()):
                raise ValueError(f"its classes are not among {classes}")
            if "label_videos" in arrays:
                true = np.ones(len(arrays["label_videos"]), bool)
                labels = csr_array((true, (arrays["label_videos"], arrays["label_classes"])), shape=shape)
        except (UnreadableError, LookupError, TypeError, ValueError) as error:
            # Another file's arrays lack a name or have other shapes.
            reason = error if isinstance(error, UnreadableError) else f"{path} holds something else, {error}"
            raise DataError(
                f"The scores of this run cannot be read: {reason}. Delete the run's folder and train it again."
            ) from error
        return cls(arrays["ids"], labels, scores, top, classes)


def concatenate(blocks: Iterable[Predictions], *, kept: int | None = None) -> Predictions:
    """Blocks as one, with each video's `kept` highest scores; where None, with all that are not too large in total.

    Blocks are cut as they come: no more than `LARGEST_DENSE` bytes are ever held dense.
    """
    parts, held = [], 0
    for block in blocks:
        labels = None if block.labels is None else csr_array(block.labels)
        parts.append(Predictions(block.ids, labels, block.scores))
        held += block.scores.nbytes
        if kept is None and held > LARGEST_DENSE and block.num_classes > KEPT_CLASSES:
            kept = KEPT_CLASSES
        if kept is not None:
            parts = [_highest(each, kept) for each in parts]
    ids, scores = (np.concatenate([getattr(each, name) for each in parts]) for name in ("ids", "_scores"))
    top = None if kept is None else np.concatenate([each._top for each in parts])
    labels = None if parts[0]._labels is None else csr_array(vstack([each._labels for each in parts]))
    return Predictions(ids, labels, scores, top, parts[0].num_classes)


def _highest(block: Predictions, kept: int) -> Predictions:
    """With the highest `kept` scores of each video alone; where that was done, as they are."""
    if block.kept is not None:
        return block
    top = np.sort(np.argpartition(-block.scores, kept - 1, axis=1)[:, :kept]).astype(np.int32)
    scores = np.take_along_axis(block.scores, top, axis=1)
    return Predictions(block.ids, block._labels, scores, top, block.num_classes)
