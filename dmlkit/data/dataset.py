"""A data set: a described folder of shards, and the ways to read it."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from dmlkit.data.batches import RAISE, Batches, Skipped
from dmlkit.data.parsing import FRAME_CHOICES, FrameSampler, RecordParser
from dmlkit.data.records import (
    FOOTER_BYTES,
    InvalidRecord,
    count_records,
    damage_error,
    file_size,
    locate,
    open_file,
    read_bytes,
    read_record_at,
    relative_name,
    scan_headers,
    scan_records,
)
from dmlkit.data.schema import SPLITS, Feature
from dmlkit.errors import DataError, UsageError, choose, nearest


@dataclass(frozen=True)
class Dataset:
    """A folder of shards, described. Made by `open_dataset`.

    Attributes:
        path, name: The folder, and what reports call it.
        level: ``"video"`` or ``"frame"``.
        features: The modalities by name, in a fixed order.
        num_classes, class_names: How many classes there are, and a name for each.
        splits: ``"train"``, ``"tuning"``, ``"validate"``, ``"test"`` (those there are) → shards, sorted.
        labelled: The splits whose records carry labels.
        notes: What was inferred or divided, one sentence each, for reports.
        generated: Whether the data were generated.
        class_kinds: A kind for each class, where the vocabulary has them.
        records_per_shard, truth_files, counts: As in dataset.toml; shards by their full paths.
    """

    path: str
    name: str
    level: str
    features: dict[str, Feature]
    num_classes: int
    class_names: tuple[str, ...] = field(repr=False)  # thousands of them, as of the shards
    splits: dict[str, tuple[str, ...]] = field(repr=False)
    labelled: frozenset[str]
    notes: tuple[str, ...] = ()
    generated: bool = False
    class_kinds: tuple[str, ...] | None = field(default=None, repr=False)
    records_per_shard: int | None = None
    truth_files: dict[str, str] = field(default_factory=dict, repr=False)
    counts: dict[str, int] = field(default_factory=dict, repr=False)
    _counted: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    _repeats: dict[tuple, dict] = field(default_factory=dict, repr=False, compare=False)

    def batches(
        self,
        split: str,
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        frame_choice: str = "first",
        max_frames: int | None = None,
        frame_share: float = 1.0,
        max_videos: int | None = None,
        on_fault: str | Skipped = RAISE,
        balance: float = 0.0,
    ) -> Batches:
        """One epoch of a split, as dicts of numpy arrays.

        ``"id"`` (B,) str; each modality by name: (B, T, D) uint8 (byte coding) or float32, zeros after a video's
        last frame, T the batch's longest video (frame level), or (B, D) float32 (video level; texts at both, as
        bags of 0 and 1); ``"num_frames"`` (B,) int32 (frame level); ``"labels"`` (B, num_classes) float32 of 0 and 1
        (where the split has labels).

        Args:
            split: One of the data set's splits.
            batch_size: Videos a batch; the last one may have fewer.
            shuffle: False: shards sorted, records in order. True: an order that is a function of seed and epoch.
            seed: For the order and for random frames.
            epoch: Counted from 0.
            frame_choice: ``"first"``, ``"uniform"`` or ``"random"``: which frames stay of a video longer than
                ``max_frames``.
            max_frames: The most frames a video; None keeps all.
            frame_share: How many of the frames that stay are shown, resampled each epoch; 1 shows all.
            max_videos: Only the first videos of the split, the same in every epoch and for every seed.
            on_fault: ``"raise"`` at the first corrupt record, or ``"skip N"``: skip at most N of them.
            balance: Where shuffled, how much more often videos of rare classes come than those of common ones, from
                0, each once, to 1, each class about as often as any other; as many as there are come in any case.

        Raises:
            UsageError: An unknown split, frame choice or policy, or a number out of range.

        Paper: §Future work, training on randomly sampled frames (``frame_choice="random"``, ``frame_share``).
        Differs from the paper: padded to the longest video of the batch, not to 300 frames.
        """
        shards = self._shards(split)
        choose(FRAME_CHOICES, frame_choice, what="frame choice")
        return Batches(
            root=self.path,
            split=split,
            shards=shards,
            parser=self.parser(split, FrameSampler(frame_choice, max_frames, frame_share, seed, epoch)),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            epoch=epoch,
            max_videos=max_videos,
            balance=balance,
            skipped=Skipped.of(on_fault),
            expected_counts=self.expected_counts(split),
            repeats=self._repeats,
        )

    def num_videos(self, split: str, *, on_fault: str | Skipped = RAISE) -> int:
        """The number of videos of a split, without reading them: as dataset.toml counts them, or by the headers.

        Where `on_fault` is to skip corrupt records, they are counted nevertheless; else `DataError` names the first.
        """
        known, skip = self.expected_counts(split), Skipped.of(on_fault).most > 0
        counted = {} if skip else self._counted
        for shard in self._shards(split):
            if shard not in known and shard not in counted:
                counted[shard] = count_records(shard, skip_damaged=skip)
        return sum(known[shard] if shard in known else counted[shard] for shard in self._shards(split))

    def expected_counts(self, split: str) -> dict[str, int]:
        """Shard → the records it should hold, of those shards of a split of which dataset.toml says so."""
        shards = self._shards(split)
        alike = {} if self.records_per_shard is None else dict.fromkeys(shards[:-1], self.records_per_shard)
        return alike | {shard: self.counts[shard] for shard in shards if shard in self.counts}

    def require_labels(self, split: str) -> None:
        """Refuse, by a `DataError`, a split on which nothing can be trained or measured."""
        self._shards(split)
        if split not in self.labelled:
            raise DataError(
                f"The split {split!r} of {self.path} carries no labels, so nothing can be trained or measured on it. "
                f"Splits with labels: {', '.join(each for each in SPLITS if each in self.labelled) or 'none'}."
            )

    def truth(self, split: str) -> dict[str, dict[int, np.ndarray]]:
        """For generated data, the frames that made each label: video id → class → frame numbers, int64, sorted.

        The training split's file holds the tuning split's videos, too. Empty for data that come without such a file.
        """
        self._shards(split)
        name = self.truth_files.get(split) or (self.truth_files.get("train") if split == "tuning" else None)
        videos = json.loads(read_bytes(posixpath.join(self.path, name))) if name else {}
        return {
            video_id: {int(label): np.array(frames, dtype=np.int64) for label, frames in classes.items()}
            for video_id, classes in videos.items()
        }

    @cached_property
    def fingerprint(self) -> str:
        """A digest of these data: equal after a move to another folder, different after most changes.

        From the schema and, of every shard, its name, size and last four bytes (the checksum of its last record). A
        change within earlier records that keeps a shard's size is not noticed here.
        """
        schema = [self.level, self.num_classes, [vars(feature) for feature in self.features.values()]]
        digest = hashlib.sha256(json.dumps(schema, sort_keys=True).encode())
        for split, shards in sorted(self.splits.items()):
            for shard in shards:
                size = file_size(shard)
                digest.update(f"{split} {relative_name(shard, self.path)} {size} ".encode())
                with open_file(shard) as file:
                    file.seek(max(0, size - FOOTER_BYTES))
                    digest.update(file.read(FOOTER_BYTES))
        return digest.hexdigest()

    def parser(self, split: str, sampler: FrameSampler | None = None) -> RecordParser:
        """What turns the records of a split into arrays."""
        features = tuple(self.features.values())
        return RecordParser(
            self.level, features, self.num_classes, split in self.labelled, sampler or FrameSampler()
        )

    def _shards(self, split: str) -> tuple[str, ...]:
        if split not in self.splits:
            raise UsageError(
                f"{self.path} has no split {split!r}.{nearest(split, self.splits)} "
                f"Its splits are: {', '.join(self.splits)}."
            )
        return self.splits[split]


def read_contexts(dataset: Dataset, split: str, *, labelled: bool = False) -> Iterator[tuple[str, list[int]]]:
    """Each video's id and classes, in the order of unshuffled `Dataset.batches`, without features and TensorFlow.

    Raises `DataError` where a record is invalid, or the split must be `labelled` and is not.
    """
    dataset.num_videos(split)  # finds a shard that ends too early
    if labelled:
        dataset.require_labels(split)
    parser, counts = dataset.parser(split), dataset.expected_counts(split)
    for shard in dataset.splits[split]:
        for record in scan_records(shard, expected_count=counts.get(shard)):
            try:
                yield parser.read_context(record.check())
            except InvalidRecord as invalid:
                raise record.located(invalid) from invalid


def with_tuning(dataset: Dataset) -> Dataset:
    """The same data with the tuning split as part of the training split, for training once more after tuning.

    The tuning shards come first, so that a cap on the training videos leaves none of them out.
    """
    counts = dataset.expected_counts("tuning") | dataset.expected_counts("train")
    others = {split: shards for split, shards in dataset.splits.items() if split not in ("tuning", "train")}
    return replace(
        dataset,
        splits={"train": dataset.splits["tuning"] + dataset.splits["train"], **others},
        labelled=dataset.labelled - {"tuning"},
        # What holds of all shards of a split but its last holds of neither of the two in one.
        records_per_shard=None,
        counts=dataset.counts | counts,
    )


class VideoReader:
    """Single videos of a split by their index in the order of unshuffled `Dataset.batches`.

    A shard's headers are scanned once, when the first of its videos is asked for; nothing before a video is read.
    """

    def __init__(self, dataset: Dataset, split: str):
        dataset.num_videos(split)  # finds a shard that ends too early
        self._shards = dataset.splits[split]
        self._spans: list[np.ndarray] = []  # of each shard scanned so far: (records, 2) offset and length
        self._parser = dataset.parser(split)

    def read(self, index: int) -> dict[str, np.ndarray]:
        """A batch of one video, all its frames; `Dataset.batches` says what it holds.

        Raises `UsageError` where the split has no such video, `DataError` where it cannot be read.
        """
        left = index
        for place, shard in enumerate(self._shards):
            if place == len(self._spans):
                headers = list(scan_headers(shard))
                for number, (offset, _, error) in enumerate(headers):
                    if error:
                        raise damage_error(shard, number, offset, error)
                self._spans.append(np.array([each[:2] for each in headers], np.int64).reshape(-1, 2))
            if 0 <= left < len(self._spans[place]):
                break
            left -= len(self._spans[place])
        else:
            raise UsageError(
                f"The split holds {index - left} videos, counted from 0. Received: index={index}."
            )
        offset, length = self._spans[place][left].tolist()
        try:
            return self._parser.parse([read_record_at(shard, left, offset, length)])
        except InvalidRecord as invalid:
            raise DataError(f"{locate(shard, left, offset)}: {invalid}") from invalid
