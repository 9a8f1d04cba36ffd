"""The protobuf messages of records, ``tf.train.Example`` and ``tf.train.SequenceExample``, without TensorFlow.

Importing ``tf.train`` takes seconds and hundreds of megabytes in every process; these take milliseconds. They are
described in a pool of their own, so that both can live in one process. The same videos always give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

ID_KEYS = ("id", "video_id")
MAX_VARINT_BYTES = 10  # a number of 64 bits, seven in a byte
# The tags of fields 1 and 2 where they hold bytes.
FIRST_TAG, SECOND_TAG = b"\x0a", b"\x12"

_PACKAGE = "dmlkit"
# Message → its fields, numbered from 1: name, type; "[]" before a type means repeated, "{}" a map from strings to it,
# "?" that only one of the message's fields is set.
_MESSAGES = {
    "BytesList": {"value": "[]bytes"},
    "FloatList": {"value": "[]float"},
    "Int64List": {"value": "[]int64"},
    "Feature": {"bytes_list": "?BytesList", "float_list": "?FloatList", "int64_list": "?Int64List"},
    "Features": {"feature": "{}Feature"},
    "FeatureList": {"feature": "[]Feature"},
    "FeatureLists": {"feature_list": "{}FeatureList"},
    "Example": {"features": "Features"},
    "SequenceExample": {"context": "Features", "feature_lists": "FeatureLists"},
}


def _add_field(message: DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith("?"):
        field.oneof_index = 0
    if kind.startswith("{}"):
        # A map is a list of pairs, each a message of its own.
        pair = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        pair.options.map_entry = True
        _add_field(pair, "key", 1, "string")
        _add_field(pair, "value", 2, kind[2:])
        kind = f"[]{message.name}.{pair.name}"
    if kind.startswith("[]"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    kind = kind.lstrip("[]?")
    if kind in ("bytes", "string", "float", "int64"):
        field.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"


def _make_pool() -> DescriptorPool:
    file = FileDescriptorProto(name="dmlkit/messages.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(kind.startswith("?") for kind in fields.values()):
            message.oneof_decl.add(name="kind")
        for number, (field, kind) in enumerate(fields.items(), start=1):
            _add_field(message, field, number, kind)
    pool = DescriptorPool()
    pool.Add(file)
    return pool


_pool = _make_pool()
Feature, Features, Example, SequenceExample = (
    GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
    for name in ("Feature", "Features", "Example", "SequenceExample")
)


def parse_record(data: bytes) -> SequenceExample:
    """A record of either level: an example reads as a sequence example whose context holds everything."""
    return SequenceExample.FromString(data)


def read_context(features: Features) -> tuple[str, list[int]]:
    """A video's name and classes, of an example's features or a sequence example's context; empty where absent."""
    entries, video_id = features.feature, ""
    for key in ID_KEYS:
        if key in entries and (names := entries[key].bytes_list.value):
            video_id = names[0].decode("utf-8", "replace")
            break
    return video_id, list(entries["labels"].int64_list.value) if "labels" in entries else []


def serialize_video(
    *,
    video_id: str,
    labels: Sequence[int] | None,
    features: Mapping[str, np.ndarray],
    texts: Mapping[str, Sequence[str]] | None = None,
    id_key: str = "id",
) -> bytes:
    """One video-level record, a ``tf.train.Example``.

    Args:
        video_id: The video's name.
        labels: Its classes; None leaves the key out, as in test shards.
        features: Key in the record (``mean_rgb``) → values, shape (size,); `ValueError` for any other shape.
        texts: Key in the record (``text``) → texts: a title, keywords.
        id_key: ``"id"`` or ``"video_id"``, which differs between releases.
    """
    record = Example()
    _set_context(record.features, video_id, labels, id_key, texts)
    for key, values in features.items():
        values = np.asarray(values, dtype=np.float32)
        if values.ndim != 1:
            raise ValueError(f"`features[{key!r}]` must have shape (size,). Received: {values.shape}.")
        _set_values(record.features.feature[key], values)
    return record.SerializeToString(deterministic=True)


def serialize_frames(
    *,
    video_id: str,
    labels: Sequence[int] | None,
    frames: Mapping[str, np.ndarray],
    texts: Mapping[str, Sequence[str]] | None = None,
    id_key: str = "id",
) -> bytes:
    """One frame-level record, a ``tf.train.SequenceExample``; the other arguments are those of `serialize_video`.

    Args:
        frames: Key in the record (``rgb``) → array (time, size), `ValueError` for any other shape; uint8 is written as
            one string of bytes a frame (YouTube-8M's way), anything else as floats.
    """
    record = SequenceExample()
    _set_context(record.context, video_id, labels, id_key, texts)
    for key, matrix in frames.items():
        matrix = np.asarray(matrix)
        if matrix.ndim != 2:
            raise ValueError(f"`frames[{key!r}]` must have shape (time, size). Received: {matrix.shape}.")
        feature_list = record.feature_lists.feature_list[key].feature
        for row in matrix:
            _set_values(feature_list.add(), row)
    return record.SerializeToString(deterministic=True)


def _set_context(context: Features, video_id, labels, id_key, texts) -> None:
    entries = context.feature
    entries[id_key].bytes_list.value.append(video_id.encode())
    if labels is not None:
        # Also an empty list is set: a video of no class is not the same as one whose classes are not known.
        entries["labels"].int64_list.SetInParent()
        entries["labels"].int64_list.value.extend(int(label) for label in labels)
    for key, values in (texts or {}).items():
        entries[key].bytes_list.value.extend(text.encode("utf-8", "replace") for text in values)


def _set_values(feature: Feature, row: np.ndarray) -> None:
    """One frame's values, or a video's: bytes as one string, anything else as floats."""
    if row.dtype == np.uint8:
        feature.bytes_list.value.append(row.tobytes())
        return
    feature.float_list.SetInParent()
    if len(row):
        # Packed floats are written as one string of bytes is, so nothing need become a Python number.
        packed = Feature()
        packed.bytes_list.value.append(np.asarray(row, dtype="<f4").tobytes())
        feature.float_list.MergeFromString(packed.bytes_list.SerializeToString())


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
    """Fields by number; ValueError where one comes twice: what that means is left to the protobuf library."""
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
