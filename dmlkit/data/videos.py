"""Video-level records (``tf.train.Example``).

A modality has one size, so that a serialized record holds a few bytes that are always the same, then its values:
they are read from there. What is written otherwise takes the protobuf library's road.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dmlkit.data import aligned, messages
from dmlkit.data.faults import RecordFault
from dmlkit.data.labels import Seen, check_classes, multi_hot, read_context
from dmlkit.data.schema import Feature
from dmlkit.data.texts import read_texts
from dmlkit.data.wire import FIRST_TAG, SECOND_TAG, once, read_varint, varint
from dmlkit.data.wire import fields as wire_fields

NOT_AN_EXAMPLE = "not a tf.train.Example. The file is of another kind or damaged."
FEATURES = 1


class Video(NamedTuple):
    """One record, read."""

    video_id: str
    classes: list[int]
    values: dict[str, np.ndarray]


@dataclass(frozen=True)
class VideoParser:
    """Serialized examples to arrays.

    A modality that a record lacks is zeros, as early files lack ``mean_audio``; so is a text without tokens.

    Paper: §Task and data, video level.
    """

    features: tuple[Feature, ...]
    num_classes: int
    labelled: bool

    def read(self, record: bytes) -> Video:
        """One record.

        Raises:
            RecordFault: It is not what the data set says.
        """
        video_id, classes, values = self._split(record)
        if self.labelled:
            check_classes(classes, self.num_classes)
        for feature in self.features:
            if feature.name in values and not np.isfinite(values[feature.name]).all():
                raise RecordFault(
                    f"{feature.key} holds NaN or infinite values. Compute the features anew, or leave it out.",
                    kind="not finite",
                )
        return Video(video_id, classes, values)

    def stack(self, videos: Sequence[Video]) -> dict[str, np.ndarray]:
        """One batch: ``id`` (B,), each modality (B, D) float32, ``labels`` (B, C) where labelled."""
        batch: dict[str, np.ndarray] = {"id": np.array([video.video_id for video in videos])}
        for feature in self.features:
            rows = aligned.empty((len(videos), feature.size), np.float32)
            for row, video in zip(rows, videos, strict=True):
                row[:] = video.values.get(feature.name, 0)
            batch[feature.name] = rows
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
        return Seen(video.video_id, video.classes, 0, tuple(video.values))

    def _split(self, record: bytes) -> tuple[str, list[int], dict[str, np.ndarray]]:
        """A record's name, classes and values."""
        try:
            start, end = once(wire_fields(record, 0, len(record)))[FEATURES]
            values, others = {}, []
            while start < end:
                if record[start] != FIRST_TAG[0]:
                    raise ValueError("not an entry of a map")
                length, body = read_varint(record, start + 1)
                stop = body + length
                if stop > end:
                    raise ValueError("an entry that ends beyond the message")
                for name, size, prefix in self._prefixes:
                    if stop - body == len(prefix) + 4 * size and record.startswith(prefix, body):
                        values[name] = np.frombuffer(record, "<f4", size, body + len(prefix))
                        break
                else:
                    others.append(record[start:stop])
                start = stop
            context = messages.Features.FromString(b"".join(others))
        except Exception:
            # Not laid out as writers do: the protobuf library has the last word.
            return self._split_slowly(record)
        if any(feature.key in context.feature for feature in self._numbers):
            return self._split_slowly(record)
        values = {each.name: values[each.name] for each in self._numbers if each.name in values}
        return *read_context(context), values | read_texts(context, self._texts)

    def _split_slowly(self, record: bytes) -> tuple[str, list[int], dict[str, np.ndarray]]:
        try:
            features = messages.Example.FromString(record).features
        except Exception as error:
            raise RecordFault(NOT_AN_EXAMPLE, kind="not a record") from error
        values = {}
        for feature in self._numbers:
            if feature.key in features.feature:
                values[feature.name] = np.array(features.feature[feature.key].float_list.value, np.float32)
                if len(values[feature.name]) != feature.size:
                    raise RecordFault(wrong_size(feature, len(values[feature.name])), kind="size")
        return *read_context(features), values | read_texts(features, self._texts)

    @cached_property
    def _prefixes(self) -> tuple[tuple[str, int, bytes], ...]:
        """Of each modality its name, its size, and what lies before its values in an entry of the map."""
        found = []
        for feature in self._numbers:
            # From the inside out: the values in their list, the list in its feature, the feature in the entry.
            payload, prefix = 4 * feature.size, b""
            for tag in (FIRST_TAG, SECOND_TAG, SECOND_TAG):
                prefix = tag + varint(len(prefix) + payload) + prefix
            key = feature.key.encode()
            found.append((feature.name, feature.size, FIRST_TAG + varint(len(key)) + key + prefix))
        return tuple(found)

    @cached_property
    def _numbers(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features if feature.in_frames)

    @cached_property
    def _texts(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features if not feature.in_frames)


def wrong_size(feature: Feature, received: int) -> str:
    """The message for a feature of another dimension than the data set's."""
    return (
        f"{feature.key} has {received} values, but the data set's {feature.name} has {feature.size}. "
        "Correct the size in dataset.toml, or keep shards of other dimensions in a folder of their own."
    )
