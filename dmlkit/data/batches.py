"""Records in an epoch's order to padded batches, and the way into ``model.fit``.

Memory is that of a few open files, about `SHUFFLE_BYTES` of records to shuffle, and a few batches.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np

from dmlkit.data.parsing import RecordParser, Video
from dmlkit.data.records import InvalidRecord, Record, count_records, record_error, scan_headers, scan_records
from dmlkit.data.segments import SEGMENT_SECONDS
from dmlkit.data.storage import relative_name
from dmlkit.errors import DataError, UsageError, brief

SHUFFLE_BYTES = 64 << 20
MAX_WINDOW = 16_384  # records to shuffle: enough of tiny ones, and the start stays quick
OPEN_SHARDS = 16  # shards read in turn when shuffling
BATCHES_AHEAD = 2  # batches ready for `fit`
SAMPLED_LENGTHS = 16  # records whose length is looked at to choose a window

RAISE = "raise"
NAMED_IN_RECORD = 20  # skipped records that a run's record names; all are counted

Chosen = Sequence[tuple[str, int | None]]  # shards, and how many of the records of each (None: all)
SAMPLE = "the sample of shards that a cap keeps"  # its seed: the same for every training, epoch and machine


@dataclass
class Skipped:
    """The corrupt records that were skipped, and how many may be; and the videos cut to their shortest modality.

    One object serves a whole training, which counts a record once. `records` is (shard, number of the record) → the
    byte where it begins, and the kind of error; `most` of 0 stops at the first; `cut` is shard → a bit for each record.
    """

    most: int = 0
    records: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)
    cut: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, on_fault: str | Skipped) -> Skipped:
        """From a policy, ``"raise"`` or ``"skip N"``; raises `UsageError` for any other."""
        if isinstance(on_fault, Skipped):
            return on_fault
        if on_fault == RAISE:
            return cls()
        match = re.fullmatch(r"\s*skip\s+(\d{1,15})\s*", on_fault) if isinstance(on_fault, str) else None
        if not match:
            raise UsageError(f"`on_fault` must be 'raise' or 'skip N', as 'skip 9'. Received: {on_fault!r}.")
        return cls(int(match[1]))

    @property
    def policy(self) -> str:
        """The policy that `of` takes."""
        return f"skip {self.most}" if self.most else RAISE

    def add(self, shard: str, number: int, offset: int, *, kind: str, error: DataError) -> None:
        """Count a corrupt record by its place and kind; raises `DataError` if it is one too many."""
        if (shard, number) in self.records:
            return
        if not self.most:
            raise error
        if len(self.records) >= self.most:
            raise DataError(f"{error} It is one too many: `on_fault` ({self.policy}).") from error
        self.records[shard, number] = (offset, kind)

    def to_rows(self) -> list[list]:
        """Every skipped record as plain values, for a checkpoint; of each shard one row for those cut."""
        cut = [[shard, None, f"{bits:x}", "cut"] for shard, bits in self.cut.items()]
        return [[*place, *error] for place, error in self.records.items()] + cut

    def add_rows(self, rows: Iterable[Sequence]) -> None:
        """Count the `to_rows` of this training before it was killed, or of another worker."""
        for shard, number, offset, kind in rows:
            if number is None:
                self.cut[shard] |= int(offset, 16)
            else:
                self.records.setdefault((shard, number), (offset, kind))

    def to_record(self) -> dict:
        """Plain values for a run's record."""
        names = ("shard", "record", "byte", "fault")
        rows = islice(self.records.items(), NAMED_IN_RECORD)
        first = [dict(zip(names, (*place, *error), strict=True)) for place, error in rows]
        by_fault = dict(Counter(kind for _, kind in self.records.values()).most_common())
        cut = sum(bits.bit_count() for bits in self.cut.values())
        return {"records": len(self.records), "by_fault": by_fault, "first": first, "cut": cut}


@dataclass(frozen=True)
class Batches:
    """The batches of one epoch of a split; made by `Dataset.batches`, which describes them.

    Can be iterated any number of times, always with the same videos in the same order. A record that is skipped is not
    replaced: its batch is smaller, and left out if nothing remains of it. Of segments, batches are full all the same,
    and shuffling takes the segments of a video apart.
    """

    dataset: Dataset = field(repr=False)  # noqa: F821
    split: str
    parser: RecordParser = field(repr=False)
    batch_size: int
    shuffle: bool = False
    seed: int = 0
    epoch: int = 0
    balance: float = 0.0
    skipped: Skipped = field(default_factory=Skipped, repr=False, compare=False)
    _errors: list[DataError] = field(default_factory=list, repr=False, compare=False)

    __repr__ = brief

    def __post_init__(self) -> None:
        sampler = self.parser.sampler
        minimum = {"batch_size": (self.batch_size, 1), "seed": (self.seed, 0), "epoch": (self.epoch, 0)}
        minimum |= {"max_frames": (sampler.max_frames, 1)}
        for name, (value, least) in minimum.items():
            if value is not None and value < least:
                raise UsageError(f"`{name}` must be at least {least}. Received: {name}={value}.")
        if not 0 <= self.balance <= 1 or (self.balance and not self.shuffle):
            received = f"Received: balance={self.balance}, shuffle={self.shuffle}."
            raise UsageError(f"`balance` must be from 0 to 1; only a shuffled order is balanced. {received}")
        if self.balance and self.parser.unit == "segment":
            raise UsageError(f"Only videos can be balanced, not segments. Received: balance={self.balance}.")
        if not 0 < sampler.share <= 1:
            raise UsageError(f"`frame_share` must be above 0 and at most 1. Received: {sampler.share}.")

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield one dict of numpy arrays a batch; raises `DataError` that names file, record and byte."""
        rows, whole = self._records(), self.parser.unit != "segment"
        if not whole:
            rows = self._valid(rows)
        if self.shuffle and not whole:
            rng = np.random.default_rng([self.seed, self.epoch, 1])  # the records' has no third word
            size = sum(f.size * (1 if f.coding == "byte" else 4) for f in self.parser.features)
            rows = _shuffle(rows, self._window(SEGMENT_SECONDS * size), rng)
        while found := list(islice(rows, self.batch_size)):
            if videos := list(self._valid(found)) if whole else found:
                yield self.parser.stack(videos)

    def as_tensorflow(self) -> tf.data.Dataset:  # noqa: F821
        """The same batches for ``model.fit``: (inputs by name, with ``num_frames`` at frame level; labels).

        Of segments, with ``rated`` as the third element: Keras's ``sample_weight``, (B, num_classes) as the labels. A
        loss whose `call` keeps the classes apart, reduced by ``"mean_with_sample_weight"``, is the mean over the rated
        pairs; Keras's own cross-entropies are means over the classes before they are weighted.

        Raises `DataError` where the split carries no labels.
        """
        if not self.parser.labelled:
            raise DataError(f"The split {self.split!r} of {self.dataset.path} has no labels to fit to.")
        import tensorflow as tf

        frames, inputs = self.parser.level == "frame", {}
        for feature in self.parser.features:
            shape = (None, None, feature.size) if frames and feature.in_frames else (None, feature.size)
            inputs[feature.name] = tf.TensorSpec(shape, tf.uint8 if feature.coding == "byte" else tf.float32)
        if frames:
            inputs["num_frames"] = tf.TensorSpec((None,), tf.int32)
        targets = ("labels", "rated") if self.parser.unit == "segment" else ("labels",)
        specs = [tf.TensorSpec((None, self.parser.num_classes), tf.float32) for _ in targets]

        def examples() -> Iterator[tuple]:
            try:
                for batch in self:
                    yield {name: batch[name] for name in inputs}, *(batch[name] for name in targets)
            except DataError as error:
                # TensorFlow passes on no more than a text; `reraise_data_errors` finds the error itself here.
                self._errors.append(error)
                raise

        dataset = tf.data.Dataset.from_generator(examples, output_signature=(inputs, *specs))
        return dataset.prefetch(BATCHES_AHEAD)

    @contextmanager
    def reraise_data_errors(self) -> Iterator[None]:
        """Around what consumes `as_tensorflow`: errors of the data are raised as the `DataError` they were."""
        self._errors.clear()
        try:
            yield
        except Exception as error:
            if self._errors:
                raise self._errors[0] from error
            raise

    def _records(self) -> Iterator[Record]:
        _keep_freed_memory()
        shards, dataset, repeats = self.dataset.splits[self.split], self.dataset, self.dataset._repeats
        chosen = [(shard, dataset.limits.get(shard)) for shard in shards]
        if not self.shuffle:
            return _in_order(chosen, dataset.counts)
        rng = np.random.default_rng([self.seed, self.epoch])
        records = _interleave(chosen, rng, dataset.counts)
        if self.balance:
            if (key := (*chosen, self.balance)) not in repeats:
                repeats[key] = repeats_by_shard(self.parser, chosen, self.balance)
            records = _repeat(records, repeats[key], rng)
        if self.parser.unit == "segment":
            return records  # it is they that are shuffled
        headers = chain.from_iterable(map(scan_headers, shards))
        lengths = [length for _, length, error in islice(headers, SAMPLED_LENGTHS) if not error]
        return _shuffle(records, self._window(sum(lengths) // max(1, len(lengths))), rng)

    @staticmethod
    def _window(mean_bytes: int) -> int:
        """How many records or segments of this size are shuffled at a time."""
        return min(MAX_WINDOW, max(1, SHUFFLE_BYTES // max(1, mean_bytes)))

    def _valid(self, records: Iterable[Record]) -> Iterator[Video]:
        for record in records:
            try:
                videos = self.parser.read_rows(record.check())
                if videos and videos[0].cut:
                    self.skipped.cut[relative_name(record.shard, self.dataset.path)] |= 1 << record.number
                yield from videos
            except InvalidRecord as invalid:
                name = relative_name(record.shard, self.dataset.path)
                error = record_error(*record[:3], invalid)
                self.skipped.add(name, record.number, record.offset, kind=invalid.kind, error=error)


def limit_shards(
    shards: Sequence[str], max_videos: int | None, *, root="", limits=None, skip_damaged=False
) -> Chosen:
    """A sample of the shards that holds so many videos, in their order, and the most to take of each.

    Shards that were written one after the other hold videos that are alike, so the first ones would stand for
    themselves alone. The sample is a function of the shards' names in `root`: a larger one holds a smaller one, and of
    some of the chosen shards all are chosen. `limits`: shard → an earlier such limit.
    """
    limits = limits or {}
    if max_videos is None:
        return [(shard, limits.get(shard)) for shard in shards]
    if max_videos < 1:
        raise UsageError(f"`max_videos` must be at least 1. Received: max_videos={max_videos}.")
    chosen, left = {}, max_videos
    names = [f"{SAMPLE}/{relative_name(shard, root)}".encode("utf-8", "surrogateescape") for shard in shards]
    places = (hashlib.sha256(name).digest() for name in names)
    for _, shard in sorted(zip(places, shards, strict=True)):
        if left <= 0:
            break
        chosen[shard] = most = min(left, limits.get(shard, left))
        left -= min(most, count_records(shard, skip_damaged=skip_damaged))
    return [(shard, chosen[shard]) for shard in shards if shard in chosen]


def _in_order(shards: Chosen, expected_counts: Mapping[str, int]) -> Iterator[Record]:
    """Shard after shard, so many records of each."""
    for shard, count in shards:
        yield from islice(scan_records(shard, expected_count=expected_counts.get(shard)), count)


def _interleave(shards: Chosen, rng: np.random.Generator, counts: Mapping[str, int]) -> Iterator[Record]:
    """Shards in random order, `OPEN_SHARDS` open at a time, a record of each in turn."""
    waiting = (_in_order([shards[i]], counts) for i in rng.permutation(len(shards)))
    reading = list(islice(waiting, OPEN_SHARDS))
    while reading:
        remaining = []
        for records in reading:
            found = next(records, None)
            # A shard that has ended gives its place, and its turn, to the next.
            while found is None and (records := next(waiting, None)) is not None:
                found = next(records, None)
            if found is not None:
                remaining.append(records)
                yield found
        reading = remaining


def _shuffle(records: Iterator, window: int, rng: np.random.Generator) -> Iterator:
    """Each record or segment changes places with a random one of the last ``window``, whatever TensorFlow's seed."""
    buffer: list = list(islice(records, window))
    places: list[int] = []
    for record in records:
        # Sampled many at a time: single calls would cost more than all else here.
        places = places or rng.integers(window, size=1024).tolist()
        place = places.pop()
        yield buffer[place]
        buffer[place] = record
    for place in rng.permutation(len(buffer)):
        yield buffer[place]


def expected_repeats(labels: Sequence[Sequence[int]], *, num_classes: int, balance: float) -> np.ndarray:
    """How often each video is shown in an epoch, on average: (videos,) float64.

    In proportion to the mean over its classes of n_c^-balance, n_c being how many videos have the class; in all as
    often as there are videos. One without classes is shown once.
    """
    counts = np.array([len(each) for each in labels], np.int64)
    owners = np.repeat(np.arange(len(labels)), counts)
    flat = np.array([label for each in labels for label in each], np.int64)
    rareness = np.maximum(np.bincount(flat, minlength=num_classes), 1.0) ** -balance
    repeats, known = np.ones(len(labels)), counts > 0
    repeats[known] = np.bincount(owners, rareness[flat], minlength=len(labels))[known] / counts[known]
    if known.any():
        repeats[known] /= repeats[known].mean()
    return repeats


def repeats_by_shard(parser: RecordParser, chosen: Chosen, balance: float) -> dict[str, np.ndarray]:
    """`expected_repeats` of the chosen records of each shard; reads them all."""
    labels, ends = [], []
    for shard, most in chosen:
        for record in islice(scan_records(shard), most):
            labels.append([])
            with suppress(InvalidRecord):  # counts as one without classes; reported when its turn comes
                labels[-1] = sorted(set(parser.read_contexts(record.check())[0][1]))
        ends.append(len(labels))
    repeats = expected_repeats(labels, num_classes=parser.num_classes, balance=balance)
    return dict(zip((shard for shard, _ in chosen), np.split(repeats, ends[:-1]), strict=False))


def sample_repeats(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How often each video is shown in one epoch, int64: ⌊w⌋ times or once more, w on average; in all len(expected).

    The expectations are laid end to end in random order; a video is shown once for every whole number in its stretch.
    """
    order = rng.permutation(len(expected))
    ends = np.cumsum(expected[order])
    ends[-1:] = len(expected)  # up to rounding, the sum
    repeats = np.empty(len(expected), np.int64)
    repeats[order] = np.diff(np.floor(ends + rng.random()).astype(np.int64), prepend=0)
    return repeats


def _repeat(records: Iterator[Record], expected: Mapping, rng: np.random.Generator) -> Iterator[Record]:
    """Each record as many times as an epoch shows it; the records of each shard come in their order."""
    sampled = iter(sample_repeats(np.concatenate([*expected.values(), []]), rng).tolist())
    left = {shard: iter(list(islice(sampled, len(each)))) for shard, each in expected.items()}
    for found in records:
        # Records that a shard has gained since they were counted come once.
        yield from [found] * next(left[found.shard], 1)


def _keep_freed_memory() -> None:
    """Have GNU's C library keep freed blocks of up to 32 MB, 256 MB in all, unless its user has configured it.

    By default, blocks of the size of records and batches go back to the system at once and come again page by page,
    filled with zeros, which takes longer than reading. TensorFlow restores the defaults with each pipeline it makes.
    """
    trim_threshold, mmap_threshold = -1, -3  # parameters of `mallopt`
    if {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"} & os.environ.keys():
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    mallopt(mmap_threshold, 32 << 20)
    mallopt(trim_threshold, 256 << 20)
