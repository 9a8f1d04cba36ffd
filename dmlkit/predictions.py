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


def _highest(scores: np.ndarray | csr_array, kept: int) -> csr_array:
    """Dense scores (videos, classes) with the highest `kept` of each video alone; sparse ones as they are."""
    if isinstance(scores, csr_array):
        return scores
    classes = np.sort(np.argpartition(-scores, kept - 1, axis=1)[:, :kept])
    return _sparse(classes, np.take_along_axis(scores, classes, axis=1), scores.shape)


def _sparse(classes: np.ndarray, scores: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Scores (videos, kept) of as many classes each, ascending, by their bits: scipy has no half precision."""
    bits = scores.astype(np.float16).view(np.uint16)
    return csr_array((bits.ravel(), classes.ravel(), np.arange(shape[0] + 1) * classes.shape[1]), shape=shape)


class Predictions:
    """The scores of one split of a data set, in the order in which it is read.

    Of a large split only each video's highest scores are held; `labels` and `scores` then take the memory of all of
    them when they are asked for, and `blocks` does not.

    Args:
        ids: (videos,) text.
        labels: (videos, classes) bool, dense or sparse, or None where the split has no labels.
        scores: (videos, classes) float16, dense, or the highest of each video alone.
        kept: None where every class was kept, else how many per video.
    """

    def __init__(self, ids: np.ndarray, labels, scores, kept: int | None = None):
        self.ids, self._labels, self._scores, self.kept = ids, labels, scores, kept

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
        if not isinstance(self._scores, csr_array):
            return self._scores
        lowest = self.kept_pairs()[1].min(axis=1)
        return self._with(np.nextafter(lowest, np.float16(0))[:, None])

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
        if not isinstance(self._scores, csr_array):
            return self._scores
        dense = np.empty(self._scores.shape, np.float16)
        dense[:] = missing
        videos = np.repeat(np.arange(len(self.ids)), np.diff(self._scores.indptr))
        dense[videos, self._scores.indices] = self._scores.data.view(np.float16)
        return dense

    @property
    def num_classes(self) -> int:
        """Number of classes each video is scored for."""
        return self._scores.shape[1]

    def kept_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Each video's kept classes, ascending, and their scores: (videos, kept) int and float16, or of all classes."""
        if not isinstance(self._scores, csr_array):
            return np.broadcast_to(np.arange(self.num_classes), self._scores.shape), self._scores
        shape = (len(self.ids), self.kept)
        return self._scores.indices.reshape(shape), self._scores.data.view(np.float16).reshape(shape)

    def take(self, rows: slice | np.ndarray) -> Predictions:
        """The predictions of some videos, by their places."""
        labels = None if self._labels is None else self._labels[rows]
        return Predictions(self.ids[rows], labels, self._scores[rows], self.kept)

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
        arrays = {"ids": self.ids.astype(np.str_), "num_classes": np.array(self.num_classes)}
        if self._labels is not None:
            arrays["label_videos"], arrays["label_classes"] = self._labels.nonzero()
        if self.kept is None:
            arrays["scores"] = self.scores
        else:
            top, shape = _highest(self._scores, self.kept), (len(self.ids), self.kept)
            arrays["top_classes"] = top.indices.reshape(shape).astype(np.int32)
            arrays["top_scores"] = top.data.reshape(shape).view(np.float16)
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote; a `DataError` where the file is missing or damaged."""
        labels = None
        try:
            arrays = read_arrays(path)
            shape = len(arrays["ids"]), int(arrays["num_classes"])
            if (scores := arrays.get("scores")) is None:
                scores = _sparse(arrays["top_classes"], arrays["top_scores"], shape)
                scores.check_format()
            if scores.shape != shape:
                raise ValueError(f"its scores do not fit {shape[0]} videos of {shape[1]} classes")
            kept = None if "scores" in arrays else arrays["top_classes"].shape[1]
            if "label_videos" in arrays:
                true = np.ones(len(arrays["label_videos"]), bool)
                labels = csr_array((true, (arrays["label_videos"], arrays["label_classes"])), shape=shape)
        except (UnreadableError, LookupError, TypeError, ValueError) as error:
            # Another file's arrays lack a name or have other shapes.
            reason = error if isinstance(error, UnreadableError) else f"{path} holds something else, {error}"
            raise DataError(
                f"The scores of this run cannot be read: {reason}. Delete the run's folder and train it again."
            ) from error
        return cls(arrays["ids"], labels, scores, kept)


def concatenate(blocks: Iterable[Predictions], *, kept: int | None = None) -> Predictions:
    """Blocks as one, with each video's `kept` highest scores; where None, with all that are not too large in total.

    Blocks are cut as they come: no more than `LARGEST_DENSE` bytes are ever held dense.
    """
    ids, labels, scores, held = [], [], [], 0
    for block in blocks:
        ids.append(block.ids)
        labels.append(None if block.labels is None else csr_array(block.labels))
        scores.append(block.scores)
        held += block.scores.nbytes
        if kept is None and held > LARGEST_DENSE and block.scores.shape[1] > KEPT_CLASSES:
            kept = KEPT_CLASSES
        if kept is not None:
            scores = [_highest(each, kept) for each in scores]
    together = np.concatenate(scores) if kept is None else csr_array(vstack(scores))
    sparse = None if labels[0] is None else csr_array(vstack(labels))
    return Predictions(np.concatenate(ids), sparse, together, kept)
