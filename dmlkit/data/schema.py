"""What a data set is: its level, its modalities by name, its classes, its splits."""

from __future__ import annotations

import hashlib
import json
import posixpath
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dmlkit.data.files import read_whole
from dmlkit.data.frame_choice import FRAME_CHOICES
from dmlkit.data.skipping import RAISE, Skipped
from dmlkit.errors import DataError, UsageError, choose, nearest

if TYPE_CHECKING:
    from dmlkit.data.batches import Batches

LEVELS = ("video", "frame")
NUMBERS = ("byte", "float")
TEXT = "text"
CODINGS = (*NUMBERS, TEXT)
# Places of a bag of tokens, where nobody chose: room for a title's words, not for a language's.
TEXT_SIZE = 512
# More places than the tokens of any language; a bag is as long as this for every video.
LARGEST_BAG = 1 << 20
SPLITS = ("train", "tuning", "validate", "test")


@dataclass(frozen=True)
class Feature:
    """One modality: its name, the length of its vector, how that is stored, and its key in the records.

    Attributes:
        name: ``"rgb"``, ``"audio"``, ...
        size: Values a frame (or a video).
        coding: ``"byte"`` (one byte a value, to be dequantised), ``"float"``, or ``"text"``: texts, read as a bag of
            `size` hashed tokens, one a video at either level (`dmlkit.data.texts`).
        key: ``"mean_rgb"``, ``"audio_embedding"``, ...
    """

    name: str
    size: int
    coding: str
    key: str

    def __post_init__(self) -> None:
        if self.coding not in CODINGS:
            raise DataError(
                f"The coding of the feature {self.name!r} must be one of {', '.join(CODINGS)}. "
                f"Received: {self.coding!r}.{nearest(self.coding, CODINGS)}"
            )
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise DataError(
                f"The size of the feature {self.name!r} must be a whole number above 0, not {self.size!r}."
            )
        if self.coding == TEXT and self.size > LARGEST_BAG:
            raise DataError(
                f"The bag of tokens of the text {self.name!r} may have at most {LARGEST_BAG:,} places. "
                f"Received: size={self.size}."
            )

    @property
    def in_frames(self) -> bool:
        """Whether each frame has its own, at frame level."""
        return self.coding != TEXT


@dataclass(frozen=True)
class Dataset:
    """A folder of shards, described. Made by `open_dataset`.

    Attributes:
        path: The folder.
        name: What reports call it.
        level: ``"video"`` or ``"frame"``.
        features: The modalities by name, in a fixed order.
        num_classes: How many classes there are.
        class_names: Their names, one a class.
        splits: ``"train"``, ``"tuning"``, ``"validate"``, ``"test"`` (those there are) → shards, sorted.
        labelled: The splits whose records carry labels.
        notes: What was inferred or divided, one sentence each, for reports.
        generated: Whether the data were generated.
        class_kinds: A kind for each class, where the vocabulary has them.
        records_per_shard: What dataset.toml says that every shard but a split's last holds.
        truth_files: Split → the file that says which frames made each label.
        counts: Shard → the records it holds, of those that dataset.toml counts.
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
    _counts: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    _copies: dict[tuple, dict] = field(default_factory=dict, repr=False, compare=False)

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
            frame_share: How many of the frames that stay are shown, drawn anew each epoch; 1 shows all.
            max_videos: Only the first videos of the split, the same in every epoch and for every seed.
            on_fault: ``"raise"`` at the first faulty record, or ``"skip N"``: leave out at most N of them.
            balance: Where shuffled, how much more often videos of rare classes come than those of common ones, from
                0, each once, to 1, each class about as often as any other; as many as there are come in any case.

        Raises:
            UsageError: An unknown split, frame choice or policy, or a number out of range.

        Paper: §Future work, training on randomly sampled frames (``frame_choice="random"``, ``frame_share``).
        Differs from the paper: padded to the longest video of the batch, not to 300 frames.
        """
        from dmlkit.data.batches import make_batches

        self._shards(split)
        choose(FRAME_CHOICES, frame_choice, what="frame choice")
        return make_batches(
            self,
            split,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            epoch=epoch,
            frame_choice=frame_choice,
            max_frames=max_frames,
            frame_share=frame_share,
            max_videos=max_videos,
            on_fault=on_fault,
            balance=balance,
        )

    def num_videos(self, split: str, *, on_fault: str | Skipped = RAISE) -> int:
        """The number of videos of a split, without reading them: as dataset.toml counts them, or off the headers.

        Args:
            split: One of the data set's splits.
            on_fault: As in `batches`; where faulty records are left out, they are counted here nevertheless.

        Raises:
            UsageError: An unknown split or policy.
            DataError: A shard is cut off or a header damaged, and `on_fault` is to raise.
        """
        from dmlkit.data.shards import count_places, count_records

        shards = self._shards(split)
        known = self.counted(split)
        if Skipped.of(on_fault).most:
            return sum(known[shard] if shard in known else count_places(shard) for shard in shards)
        for shard in shards:
            if shard not in known and shard not in self._counts:
                self._counts[shard] = count_records(shard)
        return sum(known[shard] if shard in known else self._counts[shard] for shard in shards)

    def counted(self, split: str) -> dict[str, int]:
        """Shard → the records it should hold, of those shards of a split of which dataset.toml says so.

        Raises:
            UsageError: An unknown split.
        """
        shards = self._shards(split)
        alike = {} if self.records_per_shard is None else dict.fromkeys(shards[:-1], self.records_per_shard)
        return alike | {shard: self.counts[shard] for shard in shards if shard in self.counts}

    def require_labels(self, split: str) -> None:
        """Refuse a split on which nothing can be trained or measured.

        Raises:
            UsageError: An unknown split.
            DataError: It has no labels.
        """
        self._shards(split)
        if split not in self.labelled:
            raise DataError(
                f"The split {split!r} of {self.path} carries no labels, so nothing can be trained or measured on it. "
                f"Splits with labels: {', '.join(each for each in SPLITS if each in self.labelled) or 'none'}."
            )

    def truth(self, split: str) -> dict[str, dict[int, np.ndarray]]:
        """For generated data, the frames that made each label: video id → class → frame numbers, int64, sorted.

        The tuning part's videos are told by the file of the training split it was taken from. Empty for data that
        come without such a file.

        Raises:
            UsageError: An unknown split.
        """
        self._shards(split)
        name = self.truth_files.get(split) or (self.truth_files.get("train") if split == "tuning" else None)
        if name is None:
            return {}
        told = json.loads(read_whole(posixpath.join(self.path, name)))
        return {
            video_id: {int(label): np.array(frames, dtype=np.int64) for label, frames in classes.items()}
            for video_id, classes in told.items()
        }

    @cached_property
    def fingerprint(self) -> str:
        """A name for these data: equal after a move to another folder, other after most changes.

        From the schema and, of every shard, its name, size and last four bytes (the checksum of its last record).
        A change within earlier records that keeps a shard's size is not told; one that is no longer as it was written
        is met when the records are read, by their own checksums.
        """
        from dmlkit.data.framing import size_of
        from dmlkit.data.shards import tail

        said = [self.level, self.num_classes, [vars(feature) for feature in self.features.values()]]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for split, shards in sorted(self.splits.items()):
            for shard in shards:
                size = size_of(shard)
                digest.update(f"{split} {self.relative(shard)} {size} ".encode() + tail(shard, size))
        return digest.hexdigest()

    def relative(self, shard: str) -> str:
        """The name of a shard within the folder."""
        if "://" in shard:
            return shard.removeprefix(self.path).lstrip("/")
        return posixpath.relpath(shard, self.path)

    def _shards(self, split: str) -> tuple[str, ...]:
        if split not in self.splits:
            raise UsageError(
                f"{self.path} has no split {split!r}.{nearest(split, self.splits)} "
                f"Its splits are: {', '.join(self.splits)}."
            )
        return self.splits[split]
