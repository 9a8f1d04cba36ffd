"""Records to arrays: one video at a time, then stacked into a padded batch.

The values of a modality all have one size, so in a serialized record they lie behind a few constant bytes of protobuf,
at frame level at a fixed distance from each other. They are read from there as one (strided) array, with no copy and no
string for each frame; records that are laid out otherwise are parsed by the protobuf library.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dmlkit.data.layout import USUAL_CONTEXT, ContextCoding
from dmlkit.data.records import ID_KEYS, KINDS, Example, Features, InvalidRecord, SequenceExample
from dmlkit.data.schema import FRAMES_APART, ZERO_BYTE, Feature
from dmlkit.data.segments import SEGMENT_SECONDS, read_ratings, segment_starts
from dmlkit.errors import shorten

# TensorFlow copies arrays that do not begin at a multiple of so many bytes.
ALIGNMENT = 64
MAX_VARINT_BYTES = 10  # a number of 64 bits, seven in a byte
# The tags of protobuf's fields 1 and 2 where they hold bytes.
FIRST_TAG, SECOND_TAG = b"\x0a", b"\x12"


class Video(NamedTuple):
    """One parsed record or segment; of its modalities those that it has: (T, D) in frames, (D,) of the others."""

    video_id: str
    labels: list[int]  # none where the split has none
    num_frames: int  # 0 at video level
    values: dict[str, np.ndarray]
    cut: bool = False  # whether its modalities were cut to the shortest
    rated: list[int] | None = None  # of a segment, the classes that it was rated for


# Choice of the frames of a video that a model reads.


def first_frames(num_frames: int, count: int, *, seed: tuple[int, ...]) -> slice | np.ndarray:
    """The first ``count`` frames, as the starter code does. Paper: §Task and data, 300 s in common use."""
    return slice(0, count)


def uniform_frames(num_frames: int, count: int, *, seed: tuple[int, ...]) -> slice | np.ndarray:
    """The middle frame of each of ``count`` equal stretches of the video."""
    return ((np.arange(count) + 0.5) * num_frames / count).astype(np.int64)


def random_frames(num_frames: int, count: int, *, seed: tuple[int, ...]) -> slice | np.ndarray:
    """``count`` different frames sampled at random, in their order of time. Paper: §Future work."""
    return np.sort(np.random.default_rng(seed).choice(num_frames, count, replace=False))


FRAME_CHOICES = {"first": first_frames, "uniform": uniform_frames, "random": random_frames}


def frame_seed(video_id: str, *, seed: int, epoch: int) -> tuple[int, int, int]:
    """The seed of one video's sample: new each epoch, the same wherever in the order the video comes."""
    return (seed, epoch, zlib.crc32(video_id.encode()))


@dataclass(frozen=True)
class FrameSampler:
    """Selects the frames of a video that a model reads. Paper: §Future work, training on randomly sampled frames.

    ``choice`` (of `FRAME_CHOICES`) and ``max_frames`` define which frames stay of a longer video, ``share`` how many
    of those are shown, at least one, resampled each epoch.
    """

    choice: str = "first"
    max_frames: int | None = None
    share: float = 1.0
    seed: int = 0
    epoch: int = 0

    def select(self, num_frames: int, video_id: str) -> slice | np.ndarray:
        """The frames of one video."""
        most = num_frames if self.max_frames is None else min(num_frames, self.max_frames)
        seed = frame_seed(video_id, seed=self.seed, epoch=self.epoch)
        if self.share < 1 and self.choice == "random":
            # Sampled at once: two samples with one seed would be dependent.
            return random_frames(num_frames, math.ceil(self.share * most), seed=seed)
        whole = most == num_frames
        kept = slice(0, most) if whole else FRAME_CHOICES[self.choice](num_frames, most, seed=seed)
        if self.share == 1:
            return kept
        return np.arange(num_frames)[kept][random_frames(most, math.ceil(self.share * most), seed=seed)]


# A video's texts (its title, its keywords) as a bag of tokens: which of them occur, not how often. No vocabulary is
# kept: a token's index is its hash, which two tokens may share, the more often the smaller the bag.

# Letters and digits of any script. Scripts without spaces between words (Chinese, Thai) give one token per phrase;
# those that write vowels as marks (Devanagari) are divided at them.
_TOKEN = re.compile(r"[^\W_]+")


def tokens(text: str) -> list[str]:
    """Its words, case-folded: ``"My BEST_cats"`` → my, best, cats."""
    # A combining accent is no letter and would divide the word.
    return _TOKEN.findall(unicodedata.normalize("NFKC", text.casefold()))


def token_index(token: str, size: int) -> int:
    """A token's index in a bag of this size: its CRC-32, the same in every process."""
    return zlib.crc32(token.encode()) % size


def bag_of_tokens(texts: Iterable[bytes], size: int) -> np.ndarray:
    """Which tokens occur in texts (UTF-8; invalid bytes end a token): float32 of 0 and 1, (size,)."""
    bag = np.zeros(size, np.float32)
    for text in texts:
        for token in tokens(text.decode("utf-8", "replace")):
            bag[token_index(token, size)] = 1
    return bag


@dataclass(frozen=True)
class RecordParser:
    """Serialized records of one level to arrays.

    A modality that a record lacks is silence (byte 127, or 0.0) for as many frames as the video has, or zeros at video
    level, as early files lack ``mean_audio``; a text that it lacks is one without tokens. Paper: §Task and data.
    """

    level: str
    features: tuple[Feature, ...]
    num_classes: int
    labelled: bool
    sampler: FrameSampler = FrameSampler()
    id_key: str | None = None  # where it shows the release, whose class numbers are not those of another
    context: ContextCoding = USUAL_CONTEXT
    unit: str = "video"  # or "segment", of which each is a row; "whole" is a video whose labels are not read
    rated: bool = False  # whether the records hold ratings of segments

    def parse(self, records: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Records to one batch: `read_rows` and `stack`."""
        return self.stack([row for data in records for row in self.read_rows(data)])

    def stack(self, videos: Sequence[Video]) -> dict[str, np.ndarray]:
        """One batch, padded with zeros to its longest video; `Dataset.batches` describes it."""
        batch: dict[str, np.ndarray] = {"id": np.array([video.video_id for video in videos])}
        frames = self.level == "frame"
        longest = max(video.num_frames for video in videos)
        for feature in self.features:
            byte, in_frames = feature.coding == "byte", frames and feature.in_frames
            shape = (len(videos), longest, feature.size) if in_frames else (len(videos), feature.size)
            array = batch[feature.name] = _aligned_empty(shape, np.uint8 if byte else np.float32)
            missing = ZERO_BYTE if byte else 0.0
            for row, video in zip(array, videos, strict=True):
                values = video.values.get(feature.name, missing)
                if in_frames:
                    row[: video.num_frames] = values
                    row[video.num_frames :] = 0
                else:
                    row[:] = values
        if frames:
            batch["num_frames"] = _aligned_empty((len(videos),), np.int32)
            batch["num_frames"][:] = [video.num_frames for video in videos]
        if self.labelled:
            for name in ("labels", "rated") if self.unit == "segment" else ("labels",):
                array = batch[name] = _aligned_empty((len(videos), self.num_classes), np.float32)
                array.fill(0)
                for row, video in zip(array, videos, strict=True):
                    row[getattr(video, name)] = 1
        return batch

    def read_rows(self, data: bytes) -> list[Video]:
        """What a batch holds of one record: its video, or its segments (none, one or several)."""
        return [self.read(data)] if self.unit != "segment" else self.read_segments(data)

    def read(self, data: bytes) -> Video:
        """One record as a video; raises `InvalidRecord` where it does not match the data set's description."""
        return self._sampled(self._read_whole(data)[1])

    def read_segments(self, data: bytes) -> list[Video]:
        """One record's rated segments, or all of a record of a split without ratings, each as a short video.

        Their ids are ``"VIDEO:START"``, their frames copies, which do not keep the record in memory. Raises
        `InvalidRecord` as `read` and `read_ratings` do.
        """
        context, video = self._read_whole(data)
        found = read_ratings(context, num_classes=self.num_classes, num_frames=video.num_frames)
        if not self.rated:
            if found:
                message = "the record rates segments, the first of its split do not. Divide the split."
                raise InvalidRecord(message, kind="rating")
            found = {start: {} for start in segment_starts(video.num_frames)}
        segments = []
        for start, ratings in found.items():
            frames = np.arange(start, min(start + SEGMENT_SECONDS, video.num_frames))  # which copies them
            shown, name = [label for label, score in ratings.items() if score], f"{video.video_id}:{start}"
            own = self._of_frames(video, frames)._replace(video_id=name, labels=shown, rated=[*ratings])
            segments.append(self._sampled(own))
        return segments

    def _sampled(self, video: Video) -> Video:
        """The frames of it that a model reads."""
        most = self.sampler.max_frames
        if not video.num_frames or (self.sampler.share == 1 and (most is None or video.num_frames <= most)):
            return video
        return self._of_frames(video, self.sampler.select(video.num_frames, video.video_id))

    def _of_frames(self, video: Video, chosen: slice | np.ndarray) -> Video:
        known = [each.name for each in self._numeric if each.name in video.values]
        frames = {name: video.values[name][chosen] for name in known}
        return video._replace(values=video.values | frames, num_frames=len(frames[known[0]]))

    def _read_whole(self, data: bytes) -> tuple[Features, Video]:
        """One record's context, and its video with all frames."""
        context, values = self._split_frames(data) if self.level == "frame" else self._split_video(data)
        self._check_release(context)
        video_id = self.context.read_id(context)
        labels = self._labels(context) if self.unit == "video" else []
        for feature in self._numeric:
            array = values.get(feature.name) if feature.coding == "float" else None
            if array is not None and not np.isfinite(array).all():
                message = f"{feature.key} holds NaN or infinite values. Compute them again, or leave the record out."
                raise InvalidRecord(message, kind="not finite")
        num_frames, cut = 0, False
        if self.level == "frame":
            values = {name: matrix for name, matrix in values.items() if len(matrix)}
        if not values:
            raise self._without_values(data)
        if self.level == "frame":
            lengths = {name: len(matrix) for name, matrix in values.items()}
            num_frames = min(lengths.values())
            if apart := max(lengths.values()) - num_frames:
                if apart > FRAMES_APART:
                    listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
                    what = f"the modalities differ by more than {FRAMES_APART} in their number of frames ({listed})"
                    advice = "Extract them at one rate, or cut them to one length."
                    raise InvalidRecord(f"{what}. {advice}", kind="frames")
                values, cut = {name: matrix[:num_frames] for name, matrix in values.items()}, True
        for feature in (each for each in self.features if not each.in_frames):
            entry = context.feature.get(feature.key)
            if entry and entry.WhichOneof("kind") not in ("bytes_list", None):
                message = f"{feature.key} holds numbers, not texts. Correct the coding in dataset.toml."
                raise InvalidRecord(message, kind="coding")
            if entry and entry.bytes_list.value:
                values[feature.name] = bag_of_tokens(entry.bytes_list.value, feature.size)
        return context, Video(video_id, labels, num_frames, values, cut)

    def read_contexts(self, data: bytes) -> list[tuple[str, list[int], list[int] | None]]:
        """Id, classes and rated classes of each of one record's `read_rows`; of a video without reading its values."""
        if self.unit == "segment":
            return [(each.video_id, each.labels, each.rated) for each in self.read_segments(data)]
        message = self._parse_message(data)
        context = message.context if self.level == "frame" else message.features
        self._check_release(context)
        return [(self.context.read_id(context), self._labels(context), None)]

    def read_start(self, data: bytes) -> np.ndarray:
        """(1,) float32 the second of the video at which one record's frames begin; 0 where it is not known."""
        message = self._parse_message(data)
        context = message.context if self.level == "frame" else message.features
        start = [*context.feature["start_time_seconds"].float_list.value, 0.0][:1]
        return np.array(start if np.isfinite(start[0]) and start[0] > 0 else [0.0], np.float32)

    def _check_release(self, context: Features) -> None:
        if self.id_key is not None and self.id_key not in context.feature:
            for key in context.feature.keys() & {*ID_KEYS}:
                what = f"the id has the key {key!r}, not {self.id_key!r}, as in another release, of other classes"
                raise InvalidRecord(f"{what}. Keep each release in a folder of its own.", kind="release")

    def _labels(self, context: Features) -> list[int]:
        """The classes of a video of a split with labels."""
        if not self.labelled:
            if self.context.other_labels(context):
                message = "the record has labels, the first records of its split have none. Label all of it, or none."
                raise InvalidRecord(message, kind="label")
            return []
        labels = self.context.read_labels(context)
        for label in labels:
            if not 0 <= label < self.num_classes:
                what = f"label {label} is none of the data set's classes, 0 to {self.num_classes - 1:,}"
                advice = "Correct it, or the vocabulary, or num_classes in dataset.toml."
                raise InvalidRecord(f"{what}. {advice}", kind="label")
        return labels

    def _without_values(self, data: bytes) -> InvalidRecord:
        """The error of a record without any modality."""
        record = self._parse_message(data, SequenceExample)
        lists, entries = record.feature_lists.feature_list, record.context.feature
        level = "frame" if lists else "video"
        if level != self.level and (lists or any(len(e.float_list.value) > 1 for e in entries.values())):
            message = f"the record is not of {self.level} level. Keep each level in a folder of its own."
            return InvalidRecord(message, kind="level")
        names = ", ".join(feature.key for feature in self.features)
        keys = shorten(", ".join(sorted(lists or entries)) or "none", 80)
        what, kind = ("no frames of", "frames") if self.level == "frame" else ("none of", "no features")
        return InvalidRecord(f"the video has {what} {names} (its keys: {keys}). Leave it out.", kind=kind)

    def _split_frames(self, data: bytes) -> tuple[Features, dict[str, np.ndarray]]:
        """A sequence example's context, and the frames of each modality it has, (T, D) each."""
        try:
            fields = unique_fields(wire_fields(data, 0, len(data)))
            context = Features.FromString(data[slice(*fields.get(1, (0, 0)))])
            lists = [span for number, span in wire_fields(data, *fields.get(2, (0, 0))) if number == 1]
            entries = [unique_fields(wire_fields(data, *span)) for span in lists]
            spans = {data[slice(*entry[1])]: entry.get(2, (0, 0)) for entry in entries}
        except Exception:
            # Another layout: the protobuf library parses or refuses it.
            return self._split_slowly(data)
        raw, matrices = np.frombuffer(data, dtype=np.uint8), {}
        for feature, prefix, payload in self._prefixes:
            if (span := spans.get(feature.key.encode())) is None:
                continue
            num_frames, rest = divmod(span[1] - span[0], len(prefix) + payload)
            if rest:
                return self._split_slowly(data)
            table = raw[slice(*span)].reshape(num_frames, len(prefix) + payload)
            if (table[:, : len(prefix)] != np.frombuffer(prefix, np.uint8)).any():
                return self._split_slowly(data)
            frames = table[:, len(prefix) :]
            if feature.coding == "float":
                frames = np.ascontiguousarray(frames).view("<f4")
            matrices[feature.name] = frames
        return context, matrices

    def _split_video(self, data: bytes) -> tuple[Features, dict[str, np.ndarray]]:
        """An example's other features, and the values of each modality it has, (D,) each."""
        try:
            start, end = unique_fields(wire_fields(data, 0, len(data)))[1]
            values, others = {}, []
            while start < end:
                if data[start] != FIRST_TAG[0]:
                    raise ValueError("not an entry of a map")
                length, body = read_varint(data, start + 1)
                stop = body + length
                if stop > end:
                    raise ValueError("an entry that ends beyond the message")
                for feature, prefix, payload in self._prefixes:
                    if length == len(prefix) + payload and data.startswith(prefix, body):
                        values[feature.name] = np.frombuffer(data, "<f4", feature.size, body + len(prefix))
                        break
                else:
                    others.append(data[start:stop])
                start = stop
            context = Features.FromString(b"".join(others))
        except Exception:
            return self._split_slowly(data)
        if any(feature.key in context.feature for feature in self._numeric):
            return self._split_slowly(data)
        return context, {each.name: values[each.name] for each in self._numeric if each.name in values}

    def _split_slowly(self, data: bytes) -> tuple[Features, dict[str, np.ndarray]]:
        """The same of a record of either level, by the protobuf library."""
        message, values = self._parse_message(data), {}
        if self.level == "video":
            for feature in self._numeric:
                if feature.key in message.features.feature:
                    values[feature.name] = _values(message.features.feature[feature.key], feature)
            return message.features, values
        lists = message.feature_lists.feature_list
        for feature in self._numeric:
            if feature.key in lists:
                rows = [_values(frame, feature) for frame in lists[feature.key].feature]
                dtype = np.uint8 if feature.coding == "byte" else np.float32
                values[feature.name] = np.array(rows, dtype).reshape(len(rows), feature.size)
        return message.context, values

    def _parse_message(self, data: bytes, kind: type | None = None):
        kind = kind or (SequenceExample if self.level == "frame" else Example)
        try:
            return kind.FromString(data)
        except Exception as error:  # protobuf's own, of another class in each of its implementations
            message = f"not a tf.train.{kind.DESCRIPTOR.name}. The file is of another kind or damaged."
            raise InvalidRecord(message, kind="not a record") from error

    @cached_property
    def _prefixes(self) -> tuple[tuple[Feature, bytes, int], ...]:
        """Of each modality the constant bytes before the values of a frame (or a video), and the bytes of these."""
        found, frames = [], self.level == "frame"
        for each in self._numeric:
            key, byte = each.key.encode(), frames and each.coding == "byte"
            tag, payload = (FIRST_TAG, each.size) if byte else (SECOND_TAG, 4 * each.size)
            # From the inside out: the values in their list, that in its feature, the feature in its list or entry.
            prefix = length_prefix((FIRST_TAG, tag, FIRST_TAG if frames else SECOND_TAG), payload)
            if not frames:
                prefix = length_prefix([FIRST_TAG], len(key)) + key + prefix
            found.append((each, prefix, payload))
        return tuple(found)

    @cached_property
    def _numeric(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features if feature.in_frames)


def _values(entry, feature: Feature) -> np.ndarray:
    """The values of a frame, or of a video."""
    byte, found = feature.coding == "byte", entry.WhichOneof("kind")
    if found != ("bytes_list" if byte else "float_list"):
        coding = "bytes" if byte else "floats"
        what = f"{feature.key} is not written as {coding}, but as {KINDS[found]}"
        advice = "Write it so, keep such records in another folder, or correct the coding in dataset.toml."
        raise InvalidRecord(f"{what}. {advice}", kind="coding")
    data = np.frombuffer(b"".join(entry.bytes_list.value), np.uint8) if byte else entry.float_list.value
    if len(data) != feature.size:
        what = f"{feature.key} has {len(data)} values, but the data set's {feature.name} has {feature.size}"
        advice = "Write all alike, or declare in dataset.toml the modalities to read, each with its size."
        raise InvalidRecord(f"{what}. {advice}", kind="size")
    return np.array(data, np.uint8 if byte else np.float32)


def _aligned_empty(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
    """An array whose values are still to be written, which TensorFlow takes over without a copy."""
    dtype = np.dtype(dtype)
    size = dtype.itemsize * math.prod(shape)
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    begin = -buffer.ctypes.data % ALIGNMENT
    return buffer[begin : begin + size].view(dtype).reshape(shape)


# The wire format, as far as it takes to find features in a record without a message object for each.


def wire_fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Number and (start, end) of each field of a message of byte fields; ValueError or IndexError for any other."""
    while start < end:
        tag, start = read_varint(data, start)
        length, start = read_varint(data, start)
        if tag & 7 != 2 or start + length > end:
            raise ValueError("not a message of byte fields")
        yield tag >> 3, (start, start + length)
        start += length


def unique_fields(fields: Iterator[tuple[int, tuple[int, int]]]) -> dict[int, tuple[int, int]]:
    """Fields by number; ValueError where one comes twice, which is left to the protobuf library."""
    listed = list(fields)
    by_number = dict(listed)
    if len(by_number) < len(listed):
        raise ValueError("a field comes twice")
    return by_number


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A number, and the place after it; ValueError or IndexError where there is none."""
    byte = data[position]
    if byte < 0x80:
        return byte, position + 1
    value = shift = 0
    for place in range(position, position + MAX_VARINT_BYTES):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    raise ValueError("not a number")


def length_prefix(tags: Sequence[bytes], payload: int) -> bytes:
    """The constant bytes before a payload of fixed size, nested in fields of these tags, the innermost first."""
    prefix = b""
    for tag in tags:
        length, varint = len(prefix) + payload, b""
        while length >= 0x80:
            varint, length = varint + bytes([length & 0x7F | 0x80]), length >> 7
        prefix = tag + varint + bytes([length]) + prefix
    return prefix
