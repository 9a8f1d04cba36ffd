"""One video out of a part by its place, without reading what lies before it."""

from __future__ import annotations

import numpy as np

from dmlkit.data.faults import RecordFault, broken, where
from dmlkit.data.frames import FrameParser
from dmlkit.data.framing import hop, read_at
from dmlkit.data.schema import Dataset
from dmlkit.data.videos import VideoParser
from dmlkit.errors import DataError, UsageError


class Places:
    """The videos of a part by their place in its order, which is that of unshuffled `batches`.

    A shard's headers are walked once, when the first of its videos is asked for.

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
        offset, length = self._spans[shard][number].tolist()
        record = read_at(path, number, offset, length)
        try:
            return self._parser.parse([record])
        except RecordFault as fault:
            raise DataError(f"{where(path, number, offset)}: {fault}") from fault

    def _find(self, place: int) -> tuple[int, int]:
        left = place
        for shard, path in enumerate(self._shards):
            if shard == len(self._spans):
                self._spans.append(_spans(path))
            if 0 <= left < len(self._spans[shard]):
                return shard, left
            left -= len(self._spans[shard])
        raise UsageError(f"The part holds {place - left} videos, counted from 0. Received: place={place}.")


def _spans(path: str) -> np.ndarray:
    """(records, 2): where the header of each record of a shard begins, and how long the record is."""
    spans = []
    for offset, length, fault in hop(path):
        if fault:
            raise broken(path, len(spans), offset, fault)
        spans.append((offset, length))
    return np.array(spans, np.int64).reshape(-1, 2)
