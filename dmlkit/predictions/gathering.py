"""A model's scores of batch after batch, and all of them put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from dmlkit.errors import DataError
from dmlkit.predictions.sparse import Highest, TrueLabels, highest_of
from dmlkit.predictions.stored import Block, Predictions

# Above this many bytes a video's scores are cut to its highest `KEPT_CLASSES`.
LARGEST_DENSE = 256 * 2**20
KEPT_CLASSES = 100


def gather(batches, score) -> Predictions:
    """Score every batch and put the results together.

    Args:
        batches: `dataset.batches(...)`.
        score: A function from a batch (a dict of arrays) to scores (videos, classes).

    Raises:
        DataError: A shard is damaged, or a score is not a number.
    """
    return put_together(score_batches(batches, score))


def score_batches(batches, score) -> Iterator[Block]:
    """Score every batch; nothing of it is kept.

    Args:
        batches, score: As for `gather`.

    Raises:
        DataError: A shard is damaged, a score is not a number, or there is no video.
    """
    none = True
    for batch in batches:
        scores = np.asarray(score(batch))
        if not np.isfinite(scores).all():
            raise DataError(
                f"The model's scores are not numbers from video {batch['id'][0]!r} on: training has diverged. "
                "Train with a lower learning rate."
            )
        labels = np.asarray(batch["labels"]) > 0 if "labels" in batch else None
        yield Block(np.asarray(batch["id"], np.str_), labels, scores.astype(np.float16))
        none = False
    if none:
        raise DataError(
            "There are no videos to score. Check the data set's splits with `dmlkit data show DIR`."
        )


def put_together(blocks: Iterable[Block], *, kept: int | None = None) -> Predictions:
    """Blocks as one. Where they are too large in all, each video's highest `KEPT_CLASSES` scores are kept.

    What is too large is cut as it comes: all that is ever held whole is `LARGEST_DENSE`.

    Args:
        blocks: At least one.
        kept: How many scores to keep of each video, whatever the size; None keeps all of what is not too large.
    """
    ids, labels, scores, held = [], [], [], 0
    for block in blocks:
        ids.append(block.ids)
        labels.append(block.labels)
        scores.append(block.scores)
        held += block.scores.nbytes
        if kept is None and held > LARGEST_DENSE and block.scores.shape[1] > KEPT_CLASSES:
            kept = KEPT_CLASSES
        if kept is not None:
            # The block that is one too many takes with it those before.
            scores = [highest_of(part, kept) if isinstance(part, np.ndarray) else part for part in scores]
            labels = [_true(part) if isinstance(part, np.ndarray) else part for part in labels]
    every = np.concatenate(ids)
    if kept is None:
        return Predictions(
            every, None if labels[0] is None else np.concatenate(labels), np.concatenate(scores)
        )
    highest = Highest(
        *(np.concatenate(parts) for parts in list(zip(*scores, strict=True))[:2]), scores[0].num_classes
    )
    if labels[0] is not None:
        counts = np.concatenate([np.diff(part.ends) for part in labels])
        classes = np.concatenate([part.classes for part in labels])
        labels = [TrueLabels(np.cumsum([0, *counts]), classes, highest.num_classes)]
    return Predictions(every, labels[0], highest, kept)


def _true(labels: np.ndarray) -> TrueLabels:
    videos, classes = np.nonzero(labels)
    return TrueLabels.of(videos, classes.astype(np.int32), labels.shape)
