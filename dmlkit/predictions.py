"""What a run said of each video: ids, true labels and scores, kept so that no model is needed again.

Scores are held at half precision everywhere they are measured, so that a run, an ensemble of it and a
comparison with it speak of the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dmlkit.archives import UnreadableError, read_arrays, write_arrays
from dmlkit.errors import DataError

# Above this many bytes a video's scores are cut to its highest `KEPT_CLASSES`.
LARGEST_DENSE = 256 * 2**20
KEPT_CLASSES = 100


@dataclass(frozen=True)
class Predictions:
    """The scores of one part of a data set, in the order in which it is read.

    Args:
        ids: (videos,) text.
        labels: (videos, classes) bool, or None where the part has no labels.
        scores: (videos, classes) float16; classes that were not kept score 0.
        kept: None where every class was kept, else how many a video.
    """

    ids: np.ndarray
    labels: np.ndarray | None
    scores: np.ndarray
    kept: int | None = None

    def save(self, path: Path) -> None:
        """Write them as one `.npz`, whole or not at all. No pickles."""
        arrays = {"ids": self.ids.astype(np.str_), "num_classes": np.array(self.scores.shape[1])}
        if self.labels is not None:
            arrays["label_videos"], arrays["label_classes"] = np.nonzero(self.labels)
        if self.kept is None:
            arrays["scores"] = self.scores
        else:
            arrays["top_classes"] = np.sort(
                np.argpartition(-self.scores, self.kept - 1, axis=1)[:, : self.kept]
            )
            arrays["top_scores"] = np.take_along_axis(self.scores, arrays["top_classes"], axis=1)
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
        else:
            kept = arrays["top_classes"].shape[1]
            scores = np.zeros(shape, np.float16)
            np.put_along_axis(scores, arrays["top_classes"], arrays["top_scores"], axis=1)
        if scores.shape != shape:
            raise ValueError(f"scores of the shape {scores.shape} where {shape} are said to be")
        labels = None
        if "label_videos" in arrays:
            labels = np.zeros(shape, bool)
            labels[arrays["label_videos"], arrays["label_classes"]] = True
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
        return replace(
            self,
            ids=self.ids[place],
            labels=None if self.labels is None else self.labels[place],
            scores=self.scores[place],
        )


def gather(batches, score) -> Predictions:
    """Score every batch and put the results together.

    Args:
        batches: `dataset.batches(...)`.
        score: A function from a batch (a dict of arrays) to scores (videos, classes).

    Raises:
        DataError: A shard is damaged, or a score is not a number.
    """
    ids, labels, scores, kept = [], [], [], None
    held = 0
    for batch in batches:
        batch_scores = np.asarray(score(batch), np.float32)
        if not np.isfinite(batch_scores).all():
            raise DataError(
                f"The model's scores are not numbers from video {batch['id'][0]!r} on: training has diverged. "
                "Train with a lower learning rate."
            )
        ids.append(np.asarray(batch["id"], np.str_))
        if "labels" in batch:
            labels.append(np.asarray(batch["labels"]) > 0)
        scores.append(batch_scores.astype(np.float16))
        held += scores[-1].nbytes
    if not ids:
        raise DataError(
            "There are no videos to score. Check the data set's splits with `dmlkit data show DIR`."
        )
    if held > LARGEST_DENSE and scores[0].shape[1] > KEPT_CLASSES:
        kept = KEPT_CLASSES
    every = np.concatenate(scores)
    return Predictions(
        ids=np.concatenate(ids),
        labels=np.concatenate(labels) if labels else None,
        scores=_only_highest(every, kept) if kept else every,
        kept=kept,
    )


def _only_highest(scores: np.ndarray, kept: int) -> np.ndarray:
    """The scores with all but each video's highest set to 0: what is measured is what is stored."""
    lower = np.argpartition(-scores, kept - 1, axis=1)[:, kept:]
    np.put_along_axis(scores, lower, np.float16(0), axis=1)
    return scores
