"""Shards to padded batches: order, shuffling, and the way into ``model.fit``.

Memory stays flat however many shards there are: a few open files, about `SHUFFLE_BYTES` of records to shuffle,
and the batches on their way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np
import tensorflow as tf

from dmlkit.data.faults import RecordFault, broken, where
from dmlkit.data.frames import FrameParser
from dmlkit.data.framing import walk
from dmlkit.data.schema import Dataset
from dmlkit.data.shards import count_records, first_records
from dmlkit.data.videos import VideoParser
from dmlkit.errors import DataError, UsageError

SHUFFLE_BYTES = 64 << 20
# No window holds more records than this: tiny records are shuffled well enough, and the start stays quick.
LONGEST_WINDOW = 16_384
# Shards read side by side when shuffling.
OPEN_SHARDS = 16
# Records are read in groups of about this size, so many groups ahead.
READ_BYTES = 2 << 20
MOST_RECORDS = 1024
READ_AHEAD = 4
# Batches ready for `fit`.
BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Batches:
    """The batches of one epoch of a split; made by `Dataset.batches`, whose docstring says what they hold.

    Can be iterated any number of times, always with the same videos in the same order.
    """

    dataset: Dataset
    split: str
    batch_size: int
    shuffle: bool
    seed: int
    epoch: int
    frame_choice: str
    max_frames: int | None
    max_videos: int | None
    _faults: list[DataError] = field(default_factory=list, repr=False, compare=False)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield one dict of numpy arrays a batch.

        Raises:
            DataError: A record is damaged or not what the data set says; names file and record number.
        """
        try:
            for records in self._grouped():
                yield self._parser.parse(records)
        except (RecordFault, tf.errors.OpError) as error:
            raise self._located(error) from error

    def as_tensorflow(self) -> tf.data.Dataset:
        """The same batches for ``model.fit``: (inputs by name, with ``num_frames`` at frame level; labels).

        Raises:
            DataError: The split carries no labels.
        """
        if not self.labelled:
            raise DataError(
                f"The split {self.split!r} of {self.dataset.path} carries no labels, so nothing can be trained or "
                f"measured on it. Splits with labels: {', '.join(sorted(self.dataset.labelled)) or 'none'}."
            )
        inputs = {}
        for feature in self.dataset.features.values():
            if self.dataset.level == "frame":
                dtype = tf.uint8 if feature.coding == "byte" else tf.float32
                inputs[feature.name] = tf.TensorSpec((None, None, feature.size), dtype)
            else:
                inputs[feature.name] = tf.TensorSpec((None, feature.size), tf.float32)
        if self.dataset.level == "frame":
            inputs["num_frames"] = tf.TensorSpec((None,), tf.int32)
        labels = tf.TensorSpec((None, self.dataset.num_classes), tf.float32)

        def pairs() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
            try:
                for batch in self:
                    yield {name: batch[name] for name in inputs}, batch["labels"]
            except DataError as error:
                # TensorFlow hands on no more than a text; `faults_named` finds the error itself here.
                self._faults.append(error)
                raise

        return tf.data.Dataset.from_generator(pairs, output_signature=(inputs, labels)).prefetch(
            BATCHES_AHEAD
        )

    @contextmanager
    def faults_named(self) -> Iterator[None]:
        """Around whatever consumes `as_tensorflow`: its errors that come from the data become `DataError`.

        Raises:
            DataError: Names file and record number. Errors that do not come from the data pass unchanged.
        """
        self._faults.clear()
        try:
            yield
        except Exception as error:
            if self._faults:
                raise self._faults[0] from error
            raise

    @property
    def labelled(self) -> bool:
        """Whether the batches hold ``labels``."""
        return self.split in self.dataset.labelled

    @cached_property
    def _parser(self) -> FrameParser | VideoParser:
        features = tuple(self.dataset.features.values())
        if self.dataset.level == "video":
            return VideoParser(features, self.dataset.num_classes, self.labelled)
        return FrameParser(
            features,
            self.dataset.num_classes,
            self.labelled,
            frame_choice=self.frame_choice,
            max_frames=self.max_frames,
            seed=self.seed,
            epoch=self.epoch,
        )

    def _grouped(self) -> Iterator[list[bytes]]:
        """Serialized records, batch by batch, in the order of this epoch."""
        shards = self.dataset.splits[self.split]
        if not self.shuffle:
            return _cut(_read(_in_order(shards, self.max_videos), self._mean_length), self.batch_size)
        rng = np.random.default_rng([self.seed, self.epoch])
        records = _read(_side_by_side(capped(shards, self.max_videos), rng), self._mean_length)
        window = min(LONGEST_WINDOW, max(1, SHUFFLE_BYTES // self._mean_length))
        return _cut(_shuffled(records, window, rng), self.batch_size)

    @cached_property
    def _mean_length(self) -> int:
        """Bytes a record, by the first ones."""
        lengths = [len(record) for record in first_records(self.dataset.splits[self.split], 16)]
        return max(1, sum(lengths) // len(lengths))

    def _located(self, error: Exception) -> DataError:
        for shard in self.dataset.splits[self.split]:
            for framed in walk(shard):
                if framed.fault:
                    return broken(shard, framed.number, framed.offset, framed.fault)
                try:
                    self._parser.check(framed.record)
                except RecordFault as fault:
                    return DataError(f"{where(shard, framed.number, framed.offset)}: {fault}")
        return DataError(f"Reading the split {self.split!r} of {self.dataset.path} failed: {error}")


def make_batches(
    dataset: Dataset,
    split: str,
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
    epoch: int,
    frame_choice: str,
    max_frames: int | None,
    max_videos: int | None,
) -> Batches:
    """Check the numbers, then build; `Dataset.batches` documents them.

    Raises:
        UsageError: A number is out of its range.
    """
    least = {"batch_size": (batch_size, 1), "seed": (seed, 0), "epoch": (epoch, 0)}
    least |= {"max_frames": (max_frames, 1), "max_videos": (max_videos, 1)}
    for name, (value, smallest) in least.items():
        if value is not None and value < smallest:
            raise UsageError(f"`{name}` must be at least {smallest}. Received: {name}={value}.")
    return Batches(dataset, split, batch_size, shuffle, seed, epoch, frame_choice, max_frames, max_videos)


def capped(shards: Sequence[str], max_videos: int | None) -> list[tuple[str, int]]:
    """Which shards hold the first videos, and how many to take of each (-1: all).

    The same videos whatever the seed and the epoch, and only as many shards are looked at as are needed.

    Args:
        shards: Sorted.
        max_videos: How many videos; None for all.
    """
    if max_videos is None:
        return [(shard, -1) for shard in shards]
    chosen, left = [], max_videos
    for shard in shards:
        if left <= 0:
            break
        chosen.append((shard, left))
        left -= count_records(shard)
    return chosen


def _in_order(shards: Sequence[str], max_videos: int | None) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(list(shards)).take(-1 if max_videos is None else max_videos)


def _side_by_side(shards: Sequence[tuple[str, int]], rng: np.random.Generator) -> tf.data.Dataset:
    """Shards in random order, a record of each in turn."""
    shuffled = [shards[i] for i in rng.permutation(len(shards))]
    paths, counts = [shard for shard, _ in shuffled], [count for _, count in shuffled]
    return tf.data.Dataset.from_tensor_slices((paths, np.array(counts, dtype=np.int64))).interleave(
        lambda path, count: tf.data.TFRecordDataset(path).take(count), cycle_length=OPEN_SHARDS
    )


def _read(records: tf.data.Dataset, mean_length: int) -> Iterator[bytes]:
    """Records one by one, fetched in groups: big enough to be worth the call, small enough to stay in the cache."""
    group = min(MOST_RECORDS, max(1, READ_BYTES // mean_length))
    for read in records.batch(group).prefetch(READ_AHEAD).as_numpy_iterator():
        yield from read


def _shuffled(records: Iterator[bytes], window: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Each record changes places with a random one of the last ``window``.

    Done here and not by ``tf.data``, whose order also hangs on TensorFlow's global seed: a resumed training could
    see another order than the one it resumes.
    """
    held: list[bytes] = list(islice(records, window))
    places: list[int] = []
    for record in records:
        # Drawn many at a time, as a single draw costs more than all else here.
        places = places or rng.integers(window, size=1024).tolist()
        place = places.pop()
        yield held[place]
        held[place] = record
    for place in rng.permutation(len(held)):
        yield held[place]


def _cut(records: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    while group := list(islice(records, size)):
        yield group
