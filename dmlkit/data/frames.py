"""Frame-level records (``tf.train.SequenceExample``), a batch at a time.

The frames of a modality all have one size, so in a serialized record they lie at a fixed distance from each
other, a few constant bytes of protobuf before each. They are read from there as one strided array, with no
copy and no string for each frame; what is written otherwise takes the protobuf library's road.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dmlkit.data import aligned, messages
from dmlkit.data.coding import SILENCE
from dmlkit.data.faults import RecordFault
from dmlkit.data.frame_choice import seed_of, shown
from dmlkit.data.labels import Seen, check_classes, multi_hot, read_context
from dmlkit.data.schema import Feature
from dmlkit.data.texts import read_texts
from dmlkit.data.videos import wrong_size
from dmlkit.data.wire import FIRST_TAG, SECOND_TAG, fields, once, varint

# Field numbers of tf.train.SequenceExample.
CONTEXT, FEATURE_LISTS = 1, 2
# Of tf.train.FeatureLists.
MAP = 1


class Video(NamedTuple):
    """One record, read; ``matrices`` (T, D) and ``bags`` (D,) are those of the modalities and texts it has."""

    video_id: str
    classes: list[int]
    num_frames: int
    matrices: dict[str, np.ndarray]
    bags: dict[str, np.ndarray]


@dataclass(frozen=True)
class FrameParser:
    """Serialized sequence examples to padded arrays.

    A modality that a record lacks is silence (byte 127, or 0.0) for as many frames as the video has; a text that it
    lacks is one without tokens.

    Paper: §Task and data, frame level.
    """

    features: tuple[Feature, ...]
    num_classes: int
    labelled: bool
    frame_choice: str = "first"
    max_frames: int | None = None
    frame_share: float = 1.0
    seed: int = 0
    epoch: int = 0

    def stack(self, videos: Sequence[Video]) -> dict[str, np.ndarray]:
        """One batch, padded with zero bytes to its longest video.

        Returns:
            ``id`` (B,), each modality (B, T, D) in uint8 or float32, each text (B, D) float32, ``num_frames`` (B,)
            int32, and ``labels`` (B, C) float32 where labelled.
        """
        longest = max(video.num_frames for video in videos)
        batch: dict[str, np.ndarray] = {"id": np.array([video.video_id for video in videos])}
        for feature in self._in_frames:
            padded = aligned.empty((len(videos), longest, feature.size), _dtype(feature))
            for row, video in zip(padded, videos, strict=True):
                row[: video.num_frames] = video.matrices.get(feature.name, _silence(feature))
                row[video.num_frames :] = 0
            batch[feature.name] = padded
        for feature in self._texts:
            rows = aligned.empty((len(videos), feature.size), np.float32)
            for row, video in zip(rows, videos, strict=True):
                row[:] = video.bags.get(feature.name, 0)
            batch[feature.name] = rows
        batch["num_frames"] = aligned.empty((len(videos),), np.int32)
        batch["num_frames"][:] = [video.num_frames for video in videos]
        if self.labelled:
            batch["labels"] = multi_hot([video.classes for video in videos], self.num_classes)
        return batch

    def parse(self, records: Sequence[bytes]) -> dict[str, np.ndarray]:
        """`read` and `stack`."""
        return self.stack([self.read(record) for record in records])

    def check(self, record: bytes) -> Seen:
        """Look at one record, and say what it holds.

        Raises:
            RecordFault: What is wrong with it.
        """
        video = self.read(record)
        return Seen(video.video_id, video.classes, video.num_frames, (*video.matrices, *video.bags))

    def read(self, record: bytes) -> Video:
        """One record.

        Raises:
            RecordFault: It is not what the data set says.
        """
        context, matrices = self._split(record)
        present = {name: matrix for name, matrix in matrices.items() if len(matrix)}
        lengths = {name: len(matrix) for name, matrix in present.items()}
        if not lengths:
            names = ", ".join(feature.key for feature in self._in_frames)
            raise RecordFault(f"the video has no frames of {names}. Leave the record out.", kind="frames")
        num_frames = max(lengths.values())
        if min(lengths.values()) != num_frames:
            counted = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise RecordFault(
                f"the modalities differ in their number of frames ({counted}). Cut them to one length.",
                kind="frames",
            )
        video_id, classes = read_context(context)
        if self.labelled:
            check_classes(classes, self.num_classes)
        for feature in self._in_frames:
            matrix = present.get(feature.name)
            if matrix is not None and feature.coding == "float" and not np.isfinite(matrix).all():
                raise RecordFault(
                    f"{feature.key} holds NaN or infinite values. Compute the features anew, or leave the record out.",
                    kind="not finite",
                )
        if self.frame_share < 1 or (self.max_frames is not None and num_frames > self.max_frames):
            chosen = shown(
                num_frames,
                choice=self.frame_choice,
                max_frames=self.max_frames,
                share=self.frame_share,
                seed=seed_of(video_id, seed=self.seed, epoch=self.epoch),
            )
            present = {name: matrix[chosen] for name, matrix in present.items()}
            num_frames = len(next(iter(present.values())))
        return Video(video_id, classes, num_frames, present, read_texts(context, self._texts))

    def _split(self, record: bytes) -> tuple[messages.Features, dict[str, np.ndarray]]:
        """A record's context, and the frames of each modality it has, (T, D) each."""
        try:
            parts = once(fields(record, 0, len(record)))
            context = messages.Features.FromString(record[slice(*parts.get(CONTEXT, (0, 0)))])
            entries = [
                once(fields(record, *span))
                for number, span in fields(record, *parts.get(FEATURE_LISTS, (0, 0)))
                if number == MAP
            ]
            spans = {record[slice(*entry[1])]: entry.get(2, (0, 0)) for entry in entries}
        except Exception:
            # Not laid out as writers do: the protobuf library has the last word.
            return self._split_slowly(record)
        raw, matrices = np.frombuffer(record, dtype=np.uint8), {}
        for feature, stencil in zip(self._in_frames, self._stencils, strict=True):
            span = spans.get(feature.key.encode())
            if span is None:
                continue
            matrix = stencil.read(raw[slice(*span)])
            if matrix is None:
                return self._split_slowly(record)
            matrices[feature.name] = matrix
        return context, matrices

    def _split_slowly(self, record: bytes) -> tuple[messages.Features, dict[str, np.ndarray]]:
        try:
            parsed = messages.SequenceExample.FromString(record)
        except Exception as error:
            raise RecordFault(
                "not a tf.train.SequenceExample. The file is of another kind or damaged.",
                kind="not a record",
            ) from error
        lists, matrices = parsed.feature_lists.feature_list, {}
        for feature in self._in_frames:
            if feature.key not in lists:
                continue
            rows = [_row(frame, feature) for frame in lists[feature.key].feature]
            matrices[feature.name] = np.array(rows, dtype=_dtype(feature)).reshape(len(rows), feature.size)
        return parsed.context, matrices

    @cached_property
    def _stencils(self) -> tuple[_Stencil, ...]:
        return tuple(_Stencil.of(feature) for feature in self._in_frames)

    @cached_property
    def _in_frames(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features if feature.in_frames)

    @cached_property
    def _texts(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features if not feature.in_frames)


@dataclass(frozen=True)
class _Stencil:
    """How one frame of a modality is written: constant bytes, then the values."""

    prefix: np.ndarray
    stride: int
    dtype: np.dtype

    @classmethod
    def of(cls, feature: Feature) -> _Stencil:
        byte = feature.coding == "byte"
        payload = feature.size * (1 if byte else 4)
        # From the inside out: the value in its list, the list in its feature, the feature in its feature list.
        prefix = FIRST_TAG + varint(payload)
        prefix = (FIRST_TAG if byte else SECOND_TAG) + varint(len(prefix) + payload) + prefix
        prefix = FIRST_TAG + varint(len(prefix) + payload) + prefix
        return cls(
            np.frombuffer(prefix, dtype=np.uint8), len(prefix) + payload, np.dtype("u1" if byte else "<f4")
        )

    def read(self, raw: np.ndarray) -> np.ndarray | None:
        """The frames (T, D) in a feature list's bytes; None where they are not laid out this way."""
        num_frames, rest = divmod(len(raw), self.stride)
        if rest:
            return None
        table = raw.reshape(num_frames, self.stride)
        if (table[:, : len(self.prefix)] != self.prefix).any():
            return None
        values = table[:, len(self.prefix) :]
        return values if self.dtype == np.uint8 else np.ascontiguousarray(values).view(self.dtype)


def _row(frame: messages.Feature, feature: Feature) -> np.ndarray:
    kind = "bytes_list" if feature.coding == "byte" else "float_list"
    if frame.WhichOneof("kind") != kind:
        raise RecordFault(
            f"the frames of {feature.key} are not written as {'bytes' if feature.coding == 'byte' else 'floats'}, as "
            "the data set says. Correct the coding in dataset.toml.",
            kind="coding",
        )
    values = frame.bytes_list.value if feature.coding == "byte" else frame.float_list.value
    row = (
        np.frombuffer(b"".join(values), np.uint8)
        if feature.coding == "byte"
        else np.array(values, np.float32)
    )
    if len(row) != feature.size:
        raise RecordFault(wrong_size(feature, len(row)), kind="size")
    return row


def _dtype(feature: Feature) -> np.dtype:
    return np.dtype(np.uint8 if feature.coding == "byte" else np.float32)


def _silence(feature: Feature) -> float:
    return SILENCE if feature.coding == "byte" else 0.0
