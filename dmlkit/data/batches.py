"""Shards to padded batches, and the way into ``model.fit``.

Memory stays flat however many shards there are: a few open files, about `order.SHUFFLE_BYTES` of records to
shuffle, and the batches on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np

from dmlkit.data import balance as balancing
from dmlkit.data import order
from dmlkit.data.faults import ADVICE, FRAMING, RecordFault, where
from dmlkit.data.frames import FrameParser
from dmlkit.data.framing import hop
from dmlkit.data.memory import keep_freed
from dmlkit.data.schema import Dataset
from dmlkit.data.shards import count_places, count_records
from dmlkit.data.skipping import Skipped
from dmlkit.data.videos import VideoParser
from dmlkit.errors import DataError, UsageError

# Batches ready for `fit`.
BATCHES_AHEAD = 2
# Records looked at to learn how long they are.
ACCESS_LOG = 16


@dataclass(frozen=True)
class Batches:
    """The batches of one epoch of a split; made by `Dataset.batches`, whose docstring says what they hold.

    Can be iterated any number of times, always with the same videos in the same order. A record that is left out
    takes no other's place: the batch it would have been in is smaller, and one of which nothing is left is not
    handed out.

    Attributes:
        skipped: The records that were left out.
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
    skipped: Skipped = field(default_factory=Skipped, repr=False, compare=False)
    balance: float = 0.0
    frame_share: float = 1.0
    _faults: list[DataError] = field(default_factory=list, repr=False, compare=False)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield one dict of numpy arrays a batch.

        Raises:
            DataError: A record is damaged or not what the data set says; names file, record number and byte.
        """
        records = self._records()
        while found := list(islice(records, self.batch_size)):
            if videos := list(self._sound(found)):
                yield self._parser.stack(videos)

    def as_tensorflow(self) -> tf.data.Dataset:  # noqa: F821
        """The same batches for ``model.fit``: (inputs by name, with ``num_frames`` at frame level; labels).

        Raises:
            DataError: The split carries no labels.
        """
        self.dataset.require_labels(self.split)
        import tensorflow as tf

        inputs = {}
        for feature in self.dataset.features.values():
            if self.dataset.level == "frame" and feature.in_frames:
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
            frame_share=self.frame_share,
            seed=self.seed,
            epoch=self.epoch,
        )

    def _records(self) -> Iterator[order.RunListing]:
        """Serialized records in the order of this epoch."""
        keep_freed()
        shards = self.dataset.splits[self.split]
        count = count_places if self.skipped.most else count_records
        taken = capped(shards, self.max_videos, count=count)
        holds = self.dataset.counted(self.split)
        if not self.shuffle:
            return order.in_order(taken, holds=holds)
        rng = np.random.default_rng([self.seed, self.epoch])
        records = order.side_by_side(taken, rng, holds=holds)
        if self.balance:
            records = balancing.repeated(records, self._copies(taken), rng)
        return order.shuffled(records, order.window_of(self._mean_length), rng)

    def _copies(self, taken: Sequence[tuple[str, int | None]]) -> dict[str, np.ndarray]:
        """How often each record comes; found once for all epochs."""
        known, key = self.dataset._copies, (*taken, self.balance)
        if key not in known:
            known[key] = balancing.copies_by_shard(self.dataset, taken, self.balance)
        return known[key]

    def _sound(self, records: Sequence[order.RunListing]) -> Iterator:
        """The videos of the records that can be read; the others are left out, or raise."""
        for shard, framed in records:
            try:
                if framed.fault:
                    raise RecordFault(f"{FRAMING[framed.fault]}. {ADVICE[framed.fault]}", kind=framed.fault)
                yield self._parser.read(framed.record)
            except RecordFault as fault:
                error = DataError(f"{where(shard, framed.number, framed.offset)}: {fault}")
                self.skipped.leave_out(
                    self.dataset.relative(shard), framed.number, framed.offset, kind=fault.kind, error=error
                )

    @cached_property
    def _mean_length(self) -> int:
        """Bytes a record, by the first ones."""
        for shard in self.dataset.splits[self.split]:
            lengths = [length for _, length, fault in islice(hop(shard), ACCESS_LOG) if not fault]
            if lengths:
                return max(1, sum(lengths) // len(lengths))
        return 1


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
    on_fault: str | Skipped,
    balance: float = 0.0,
    frame_share: float = 1.0,
) -> Batches:
    """Check the numbers, then build; `Dataset.batches` documents them.

    Raises:
        UsageError: A number is out of its range, or `on_fault` no policy.
    """
    least = {"batch_size": (batch_size, 1), "seed": (seed, 0), "epoch": (epoch, 0)}
    least |= {"max_frames": (max_frames, 1), "max_videos": (max_videos, 1)}
    for name, (value, smallest) in least.items():
        if value is not None and value < smallest:
            raise UsageError(f"`{name}` must be at least {smallest}. Received: {name}={value}.")
    if not 0 <= balance <= 1 or (balance and not shuffle):
        raise UsageError(
            "`balance` must lie between 0 and 1, and only a shuffled order can be balanced. "
            f"Received: balance={balance}, shuffle={shuffle}."
        )
    if not 0 < frame_share <= 1:
        raise UsageError(f"`frame_share` must be above 0 and at most 1. Received: frame_share={frame_share}.")
    return Batches(
        dataset,
        split,
        batch_size,
        shuffle,
        seed,
        epoch,
        frame_choice,
        max_frames,
        max_videos,
        Skipped.of(on_fault),
        balance,
        frame_share,
    )


def capped(
    shards: Sequence[str], max_videos: int | None, *, count: Callable[[str], int] = count_records
) -> list[tuple[str, int | None]]:
    """Which shards hold the first videos, and how many to take of each (None: all).

    The same videos whatever the seed and the epoch, and only as many shards are looked at as are needed.

    Args:
        shards: Sorted.
        max_videos: How many videos; None for all.
        count: Tells how many a shard holds.
    """
    if max_videos is None:
        return [(shard, None) for shard in shards]
    chosen, left = [], max_videos
    for shard in shards:
        if left <= 0:
            break
        chosen.append((shard, left))
        left -= count(shard)
    return chosen
