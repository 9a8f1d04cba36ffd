"""One video out of a part by its place, without reading what lies before it."""

from __future__ import annotations

from functools import partial

import numpy as np
import tensorflow as tf

from dmlkit.data.faults import DAMAGED_ADVICE, RecordFault, where
from dmlkit.data.frames import FrameParser
from dmlkit.data.schema import Dataset
from dmlkit.data.shards import FOOTER, HEADER
from dmlkit.data.videos import VideoParser
from dmlkit.errors import DataError, UsageError


class Places:
    """The videos of a part by their place in its order, which is that of unshuffled `batches`.

    A shard's headers are walked once, when the first of its videos is asked for. The records' checksums are not
    looked at: reading a part in its order does that.

    Args:
        dataset: What `open_dataset` gives.
        split: The part.

    Raises:
        UsageError: An unknown split.
    """

    def __init__(self, dataset: Dataset, split: str):
        dataset.num_videos(split)  # says which splits there are, and finds a shard that ends too early
        self._shards = dataset.splits[split]
        self._labelled = split in dataset.labelled
        self._spans: list[np.ndarray] = []  # of each shard walked so far: (records, 2) begin and length
        settings = (tuple(dataset.features.values()), dataset.num_classes, self._labelled)
        self._parser = FrameParser(*settings) if dataset.level == "frame" else VideoParser(*settings)

    def read(self, place: int) -> dict[str, np.ndarray]:
        """A batch of one video, all its frames; `Dataset.batches` says what it holds.

        Raises:
            UsageError: The part holds no such place.
            DataError: The shard is gone, or the record damaged or not what the data set says.
        """
        shard, number = self._find(place)
        path = self._shards[shard]
        begin, length = self._spans[shard][number].tolist()
        try:
            with _opened(path) as file:
                file.seek(begin)
                record = file.read(length)
        except (OSError, tf.errors.OpError) as error:
            raise _gone(path) from error
        try:
            return self._parser.parse([record])
        except RecordFault as fault:
            raise DataError(f"{where(path, number)}: {fault}") from fault

    def _find(self, place: int) -> tuple[int, int]:
        left = place
        for shard, path in enumerate(self._shards):
            if shard == len(self._spans):
                self._spans.append(_walk(path))
            if 0 <= left < len(self._spans[shard]):
                return shard, left
            left -= len(self._spans[shard])
        raise UsageError(f"The part holds {place - left} videos, counted from 0. Received: place={place}.")


def _walk(path: str) -> np.ndarray:
    """(records, 2): where each record of a shard begins, and how long it is."""
    try:
        size, offset, spans = tf.io.gfile.stat(path).length, 0, []
        with _opened(path) as file:
            while offset + HEADER <= size:
                file.seek(offset)
                length = int.from_bytes(file.read(HEADER)[:8], "little")
                spans.append((offset + HEADER, length))
                offset += HEADER + length + FOOTER
    except (OSError, tf.errors.OpError) as error:
        raise _gone(path) from error
    if offset != size:
        raise DataError(
            f"{where(path, max(0, len(spans) - 1))}: the shard is damaged, the file ends within the record. "
            f"{DAMAGED_ADVICE}"
        )
    return np.array(spans, np.int64).reshape(-1, 2)


def _opened(path: str):
    return partial(tf.io.gfile.GFile if "://" in path else open, path, "rb")()


def _gone(path: str) -> DataError:
    return DataError(f"{path} is not there (any more). Put it back, or open the data set anew.")
