"""Shards and their records: TFRecord files, read on after damage, and the protobuf messages in them.

A record lies between a header (its length in 8 bytes, little endian, and their checksum in 4) and a footer (the
record's checksum in 4). Checksums are CRC-32C, rotated and shifted as TFRecord does. The messages, ``tf.train.Example``
and ``tf.train.SequenceExample``, are defined here once more, because importing TensorFlow takes seconds and hundreds of
megabytes in every process. A shard may be compressed as a whole, by GZIP or ZLIB, whatever its name; offsets are then
those of the decompressed bytes.

Differs from ``tf.data.TFRecordDataset``: that names neither record nor byte, and ends at the first damaged record.
"""

from __future__ import annotations

import os
import re
import struct
import unicodedata
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import numpy as np
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessages
from google_crc32c import value as crc32c

from dmlkit.data.storage import FETCH_AGAIN, READ_BYTES, file_size, open_to_write, opened
from dmlkit.errors import DataError, shorten
from dmlkit.paths import is_remote

HEADER_BYTES, FOOTER_BYTES = 12, 4
EMPTY_BYTES = 64  # more than a compressed file without content takes
MOST_INFLATION = 1032  # by which deflate's bytes grow
INFLATED_BYTES = 1 << 16  # decompressed at a time: so much may be lost before the place of damage
_LENGTH_AND_CRC, _CRC = struct.Struct("<QI"), struct.Struct("<I")
_CRC_SHIFT = 0xA282EAD8

# What can be wrong with a shard around its records, and what to do.
SHARD_ERRORS = {
    "length checksum": f"the shard is damaged, the checksum of the record's length is wrong. {FETCH_AGAIN}",
    "record checksum": f"the shard is damaged, its checksum is wrong. {FETCH_AGAIN}",
    "cut off": f"the shard is damaged, the file ends within the record. {FETCH_AGAIN}",
    "compression": "the shard is damaged, it cannot be decompressed from here on (damaged, or the file ends too "
    f"early). {FETCH_AGAIN}",
    "changed": "the file grew or shrank while it was read. Read it again once nothing writes to it any more.",
    "count": "the shard ends here, but dataset.toml counts another number of records in it. Fetch the file again, or "
    "correct dataset.toml.",
}
# What can be wrong with an intact record's content.
CONTENT_ERRORS = (
    *("not a record", "level", "release", "label"),
    *("no features", "frames", "size", "coding", "not finite"),
    *("segment", "rating"),
)
ID_KEYS = ("id", "video_id")
SEGMENT_SECONDS = 5
# Of the lists in a record's context that rate segments: class, start, end, score.
SEGMENT_KEYS = ("segment_labels", "segment_start_times", "segment_end_times", "segment_scores")
KINDS = {"bytes_list": "byte strings", "float_list": "floats", "int64_list": "int64 numbers", None: "nothing"}

# How files begin that lie among shards and are none; what they are, and what to do.
_OTHER_KINDS = {
    rb"version https://git-lfs": "a Git LFS pointer, not the shard. Run `git lfs pull` in its repository.",
    rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--|error)": "a web page, not a shard: the download failed "
    "(a login, a wrong address). Fetch the file itself.",
    rb"PK\x03\x04.{26,80}?\.npy|\x93NUMPY|PAR1": "of NumPy or parquet. Let its name end in .npz, .npy or .parquet, and "
    "make shards of it by `dmlkit data import`.",
    rb"\x89HDF|ARROW1|Obj\x01": "of HDF5, Arrow or Avro. Save it as .npz or parquet, then `dmlkit data import` that.",
    rb"PK\x03\x04|\xfd7zXZ|BZh\d|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!|\x04\x22\x4d\x18|\xff\x06\0\0sNa|.{257}ustar": "an "
    "archive. Unpack it (of compressed shards, those by GZIP and ZLIB are read as they are).",
}
GZIP = b"\x1f\x8b\x08"
MAX_MESSAGE_BYTES = 1 << 28  # of a file that may be one message


class InvalidRecord(ValueError):
    """A record is not what the data set's description requires; `kind` is one of the errors above."""

    def __init__(self, message: str, *, kind: str):
        super().__init__(message)
        self.kind = kind


class Record(NamedTuple):
    """One record (or damaged stretch) of a shard: number from 0, first byte, data if found, key of `SHARD_ERRORS`."""

    shard: str
    number: int
    offset: int
    data: bytes | None
    error: str | None

    def check(self) -> bytes:
        """The record's data; raises `InvalidRecord` where the shard is damaged."""
        if self.error:
            raise InvalidRecord(SHARD_ERRORS[self.error], kind=self.error)
        return self.data


def locate(shard: str, number: int, offset: int | None = None) -> str:
    """The location of a record, for messages: file, record and byte."""
    return f"{shard}, record {number} (counted from 0)" + ("" if offset is None else f", byte {offset}")


def is_writable_id(video: str) -> bool:
    """Whether a file of predictions can hold the id of a video: not an empty one, nor one with a control character, a
    line break or half a surrogate pair. One with a comma or a quotation mark is quoted there.
    """
    return bool(video) and all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in video)


def record_error(shard: str, number: int, offset: int, problem: object) -> DataError:
    """The error of a record, which names file, record and byte; `problem` is a key of `SHARD_ERRORS` or a sentence."""
    return DataError(f"{locate(shard, number, offset)}: {SHARD_ERRORS.get(problem, problem)}")


# Reading.


def scan_records(path: str | os.PathLike, *, expected_count: int | None = None) -> Iterator[Record]:
    """Every record of a shard, the damaged ones too, and last what is wrong with the file as a whole.

    After a length that is wrong or reaches beyond the file's end comes the next header that is right by its own
    checksum. `expected_count` is the number of records, where it is known: a file cut exactly between two records looks
    intact by itself. Raises `DataError` where the file is missing or cannot be read.
    """
    path = os.fspath(path)
    with _open_shard(path) as (file, size, file_bytes):
        number, offset = 0, 0
        header = file.read(HEADER_BYTES)
        while header and offset < size:
            length, error = _parse_header(header, size - offset)
            if not error:
                data = file.read(length)
                rest = file.read(FOOTER_BYTES + HEADER_BYTES)  # the footer, and the next header with it
                if len(data) == length and len(rest) >= FOOTER_BYTES:
                    damaged = masked_crc(data) != _CRC.unpack_from(rest)[0]
                    yield Record(path, number, offset, data, "record checksum" if damaged else None)
                    header = rest[FOOTER_BYTES:]
                    offset += HEADER_BYTES + length + FOOTER_BYTES
                    number += 1
                    continue
                if file_bytes == size:
                    break  # shorter by now than it was
                error = "cut off"
            if error == "cut off" and getattr(file, "damaged", False):
                break
            yield Record(path, number, offset, None, error)
            expected_count = None  # the stretch may have been any number of records
            offset = _find_header(file, offset + 1, size)
            file.seek(offset)
            header = file.read(HEADER_BYTES)
            number += 1
        if file_size(path) != file_bytes or offset < size == file_bytes:
            yield Record(path, number, offset, None, "changed")
        elif getattr(file, "damaged", False):
            yield Record(path, number, offset, None, "compression")
        elif expected_count not in (None, number):
            yield Record(path, number, offset, None, "count")


def scan_headers(path: str | os.PathLike) -> Iterator[tuple[int, int, str | None]]:
    """Offset and length of each record of `scan_records`, and None or what is wrong with its header."""
    path = os.fspath(path)
    # Read-ahead would be thrown away with each seek.
    with _open_shard(path, buffering=0) as (file, size, file_bytes):
        offset = 0
        while offset < size == file_bytes:
            file.seek(offset)
            length, error = _parse_header(file.read(HEADER_BYTES), size - offset)
            yield offset, length, error
            end = offset + HEADER_BYTES + length + FOOTER_BYTES
            offset = _find_header(file, offset + 1, size) if error else end
    if size != file_bytes:  # nothing of a compressed shard can be skipped
        for _, _, offset, data, error in scan_records(path):
            yield offset, len(data or b""), None if data is not None else error


def read_records(path: str | os.PathLike) -> Iterator[bytes]:
    """The records of a shard; raises `DataError` at the first damage, naming file, record and byte."""
    for record in scan_records(path):
        if record.error:
            raise record_error(*record[:3], record.error)
        yield record.data


def read_record_at(path: str, number: int, offset: int, length: int) -> bytes:
    """One record, located by `scan_headers`; raises `DataError` where it is damaged or no longer there."""
    with _open_shard(path, buffering=0) as (file, *_):
        file.seek(offset + HEADER_BYTES)
        data, footer = file.read(length), file.read(FOOTER_BYTES)
    if len(footer) < FOOTER_BYTES:
        raise record_error(path, number, offset, "changed")
    if masked_crc(data) != _CRC.unpack(footer)[0]:
        raise record_error(path, number, offset, "record checksum")
    return data


def is_empty(path: str) -> bool:
    """Whether a local shard holds nothing at all; a remote one is not asked, which takes a connection."""
    with suppress(OSError, DataError):  # reported when it is read
        return not is_remote(path) and file_size(path) <= EMPTY_BYTES and not [*scan_records(path)]
    return False


def count_records(path: str, *, skip_damaged: bool = False) -> int:
    """The number of records of one shard, from their headers; at a damaged one `DataError`, or it counts as one."""
    number = 0
    for number, (offset, _, error) in enumerate(scan_headers(path), start=1):
        if error and not skip_damaged:
            raise record_error(path, number - 1, offset, error)
    return number


def _parse_header(header: bytes, remaining: int) -> tuple[int, str | None]:
    """The length in a header, and None or what is wrong with it; `remaining` bytes of the file begin with it."""
    if len(header) < HEADER_BYTES or remaining < HEADER_BYTES + FOOTER_BYTES:
        return 0, "cut off"
    if not is_header(header):
        return 0, "length checksum"
    length, _ = _LENGTH_AND_CRC.unpack(header)
    return (length, None) if length <= remaining - HEADER_BYTES - FOOTER_BYTES else (0, "cut off")


def _find_header(file, start: int, size: int) -> int:
    """The next byte from `start` on where the header of a record within the file begins; its end if there is none."""
    file.seek(start)
    block = file.read(READ_BYTES)
    while (places := len(block) - HEADER_BYTES + 1) > 0:
        # Every eight bytes as a length, and the four after them. Nearly all are far too long, and zeros are no header;
        # only of the others is the checksum computed.
        lengths = np.ndarray((places,), "<u8", block, strides=(1,))
        checksums = np.ndarray((places,), "<u4", block, offset=8, strides=(1,))
        limit = size - HEADER_BYTES - FOOTER_BYTES - start
        for place in np.flatnonzero((lengths <= limit) & ((lengths | checksums) != 0)).tolist():
            if int(lengths[place]) <= limit - place and is_header(block[place : place + HEADER_BYTES]):
                return start + place
        start += places
        block = block[places:] + file.read(READ_BYTES)
    return min(size, start + len(block))


def is_header(header: bytes) -> bool:
    """Whether these bytes are a header: a length, and its own checksum."""
    return len(header) == HEADER_BYTES and masked_crc(header[:8]) == _CRC.unpack_from(header, 8)[0]


def masked_crc(data: bytes) -> int:
    """The CRC-32C of some bytes as TFRecord writes it."""
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + _CRC_SHIFT) & 0xFFFFFFFF


@contextmanager
def _open_shard(path: str, *, buffering: int = READ_BYTES) -> Iterator[tuple]:
    """A shard, opened: its bytes, decompressed; how many they are, of a compressed one at most; and those of the file.

    Raises `DataError` where it cannot be read, or is a file of another kind.
    """
    with opened(path, buffering=buffering) as (stored, file_bytes):
        file, size, head = stored, file_bytes, stored.read(HEADER_BYTES)
        if not is_header(head):
            inflated = _Inflated(stored)
            begin = inflated.read(HEADER_BYTES)
            # A damaged length, too, may look like compressed bytes.
            if is_header(begin) or (head.startswith(GZIP) if begin else not inflated.damaged):
                file, size = inflated, MOST_INFLATION * file_bytes
                if begin.startswith(GZIP):
                    raise DataError(f"{path} was compressed twice. Decompress it once (`gunzip`).")
            _refuse_other_kinds(path, file)
        file.seek(0)
        yield file, size, file_bytes


class _Inflated:
    """A GZIP or ZLIB file as its decompressed bytes, which end where it is damaged."""

    def __init__(self, stored):
        self._stored = stored
        self._restart()

    def _restart(self) -> None:
        self._stored.seek(0)
        self._inflate = zlib.decompressobj(wbits=47)  # either of the two
        self._ahead, self._position = bytearray(), 0  # decompressed bytes, and where they begin
        self.damaged = False

    def read(self, count: int) -> bytes:
        """The next bytes: fewer only at the end."""
        while len(self._ahead) < count and self._grow():
            pass
        data = bytes(memoryview(self._ahead)[:count])
        del self._ahead[:count]
        self._position += len(data)
        return data

    def seek(self, position: int) -> None:
        """Go to a byte, at most to the end; back means to decompress again."""
        if position < self._position:
            self._restart()
        while self._position < position and self.read(min(READ_BYTES, position - self._position)):
            pass

    def _grow(self) -> bool:
        inflate = self._inflate
        packed = inflate.unconsumed_tail or inflate.unused_data or self._stored.read(INFLATED_BYTES)
        try:
            if inflate.eof:  # another member may follow, after zeros
                while not (packed := packed.lstrip(b"\0")):
                    if not (packed := self._stored.read(INFLATED_BYTES)):
                        return False
                self._inflate = inflate = zlib.decompressobj(wbits=47)
            inflated = inflate.decompress(packed, INFLATED_BYTES)
        except zlib.error:
            packed = inflated = b""
        self._ahead += inflated
        self.damaged = not packed and not inflated
        return not self.damaged


def _refuse_other_kinds(path: str, file) -> None:
    """Raise `DataError` where a file that does not begin as a shard is known to be of another kind."""
    file.seek(0)
    head = file.read(512)
    for begin, what in _OTHER_KINDS.items():
        if re.match(begin, head, re.DOTALL | re.IGNORECASE):
            raise DataError(f"{path} is {what}")
    with suppress(UnicodeDecodeError):
        text = getincrementaldecoder("utf-8")().decode(head)  # may end within a character
        if len(text) > 3 and all(c.isprintable() or c in "\t\n\r" for c in text):
            raise DataError(f"{path} is text ({shorten(text)!r}), not a shard. {FETCH_AGAIN}")
    keys, rest = [], file.read(MAX_MESSAGE_BYTES) if head[:1] in (b"\x0a", b"\x12") else b""
    with suppress(Exception):  # protobuf's own, of another class in each of its implementations
        message = parse_record(head + rest)
        keys = [*message.feature_lists.feature_list, *message.context.feature]
    way = f"dmlkit data import {path} --out DIR"
    if not any(key.endswith("feature/floats") for key in keys):  # but for MediaPipe's
        way = f'dmlkit.data.write_shard("NAME.tfrecord", [open("{path}", "rb").read()])'
    if keys:
        raise DataError(f"{path} is a bare tf.train.Example or SequenceExample. `{way}` makes a shard of it.")


def frame_record(data: bytes) -> bytes:
    """A record with its header and footer, as a shard holds it."""
    length = struct.pack("<Q", len(data))
    return length + _CRC.pack(masked_crc(length)) + data + _CRC.pack(masked_crc(data))


def write_shard(path: str | os.PathLike, records: Iterable[bytes]) -> int:
    """Write serialized records as a shard, which appears whole or not at all, and return their number."""
    count = 0
    with open_to_write(os.fspath(path)) as file:
        for data in records:
            file.write(frame_record(data))
            count += 1
    return count


# Message → its fields, numbered from 1: name, type; "[]" before a type means repeated, "{}" a map from strings to it,
# "?" that only one of the message's fields is set. A pool of their own keeps them apart from TensorFlow's.
_PACKAGE = "dmlkit"
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


def _message_classes() -> dict[str, type]:
    file = FileDescriptorProto(name="dmlkit/messages.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(kind.startswith("?") for kind in fields.values()):
            message.oneof_decl.add(name="kind")
        for number, (field, kind) in enumerate(fields.items(), start=1):
            _add_field(message, field, number, kind)
    return GetMessages([file], DescriptorPool())


_classes = _message_classes()
Feature, Features = _classes[f"{_PACKAGE}.Feature"], _classes[f"{_PACKAGE}.Features"]
Example, SequenceExample = _classes[f"{_PACKAGE}.Example"], _classes[f"{_PACKAGE}.SequenceExample"]


def parse_record(data: bytes) -> SequenceExample:
    """A record of either level: an example reads as a sequence example whose context holds everything."""
    return SequenceExample.FromString(data)


def serialize_video(
    *,
    video_id: str,
    labels: Sequence[int] | None,
    features: Mapping[str, np.ndarray],
    texts: Mapping[str, Sequence[str]] | None = None,
    id_key: str = "id",
) -> bytes:
    """One video-level record, a ``tf.train.Example``; the same video gives the same bytes.

    Args:
        video_id: The video's name.
        labels: Its classes; None leaves the key out, as in test shards.
        features: Key in the record (``mean_rgb``) → values, shape (size,); `ValueError` for any other shape.
        texts: Key in the record (``text``) → texts: a title, keywords.
        id_key: ``"id"`` or ``"video_id"``, which differs between releases.
    """
    record = Example()
    _set_context(record.features, video_id, labels, texts, id_key)
    for key, values in features.items():
        if np.ndim(values) != 1:
            raise ValueError(f"`features[{key!r}]` must have shape (size,). Received: {np.shape(values)}.")
        _set_values(record.features.feature[key], np.asarray(values, np.float32))
    return record.SerializeToString(deterministic=True)


def serialize_frames(
    *,
    frames: Mapping[str, np.ndarray],
    video_id: str,
    labels: Sequence[int] | None,
    texts=None,
    id_key="id",
    ratings: Iterable[tuple[int, int, bool]] | None = None,
) -> bytes:
    """One frame-level record, a ``tf.train.SequenceExample``; the other arguments are those of `serialize_video`.

    Args:
        frames: Key in the record (``rgb``) → array (time, size), `ValueError` for any other shape; uint8 is written as
            one string of bytes a frame (YouTube-8M's way), anything else as floats.
        ratings: Rated segments (`dmlkit.data.segments`): second at which it begins, class, whether it shows the class.
    """
    record = SequenceExample()
    _set_context(record.context, video_id, labels, texts, id_key)
    if ratings is not None:
        rows = [(label, start, start + SEGMENT_SECONDS, present) for start, label, present in ratings]
        entries = [record.context.feature[key] for key in SEGMENT_KEYS]
        lists = [*(entry.int64_list for entry in entries[:3]), entries[3].float_list]
        for place, values in enumerate(lists):
            values.SetInParent()  # also an empty one: a split with ratings is recognised by its first records
            values.value.extend(row[place] for row in rows)
    for key, matrix in frames.items():
        if np.ndim(matrix) != 2:
            raise ValueError(f"`frames[{key!r}]` must have shape (time, size). Received: {np.shape(matrix)}.")
        rows = record.feature_lists.feature_list[key].feature
        for row in np.asarray(matrix):
            _set_values(rows.add(), row)
    return record.SerializeToString(deterministic=True)


def _set_context(context: Features, video_id, labels, texts, id_key) -> None:
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
