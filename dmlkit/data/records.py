"""Shards and their records: TFRecord files, read on after damage, and the protobuf messages in them.

A record lies between a header (its length in 8 bytes, little endian, and their checksum in 4) and a footer (the
record's checksum in 4). Checksums are CRC-32C, rotated and shifted as TFRecord does. Local files are read by plain
`open`; what holds ``://`` (``gs://``, ``hdfs://``, ``ram://``) goes through ``tf.io.gfile``. The messages,
``tf.train.Example`` and ``tf.train.SequenceExample``, are defined here once more, because importing TensorFlow takes
seconds and hundreds of megabytes in every process.

Differs from ``tf.data.TFRecordDataset``: that names neither record nor byte, and ends at the first damaged record.
"""

from __future__ import annotations

import glob
import os
import posixpath
import shutil
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessages
from google_crc32c import value as crc32c

from dmlkit.errors import DataError, UsageError
from dmlkit.files import atomic_write
from dmlkit.paths import is_remote

SUFFIX = ".tfrecord"
MAX_DEPTH = 3  # folders below the data set's own in which shards are looked for
HEADER_BYTES, FOOTER_BYTES = 12, 4
READ_BYTES = 1 << 20  # one read of a file
_LENGTH_AND_CRC, _CRC = struct.Struct("<QI"), struct.Struct("<I")
_CRC_SHIFT = 0xA282EAD8

_FETCH_AGAIN = "Fetch the file again, or move it out of the data set."
# What can be wrong with a shard around its records, and what to do.
SHARD_ERRORS = {
    "length checksum": f"the shard is damaged, the checksum of the record's length is wrong. {_FETCH_AGAIN}",
    "record checksum": f"the shard is damaged, its checksum is wrong. {_FETCH_AGAIN}",
    "cut off": f"the shard is damaged, the file ends within the record. {_FETCH_AGAIN}",
    "changed": "the file grew or shrank while it was read. Read it again once nothing writes to it any more.",
    "count": "the shard ends here, but dataset.toml counts another number of records in it. Fetch the file again, or "
    "correct dataset.toml.",
}
# What can be wrong with an intact record's content.
CONTENT_ERRORS = ("not a record", "label", "not finite", "size", "coding", "frames")
ID_KEYS = ("id", "video_id")


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
    with _readable(path) as file:
        size, number, offset = file_size(path), 0, 0
        header = file.read(HEADER_BYTES)
        while offset < size:
            length, error = _parse_header(header, size - offset)
            if error:
                yield Record(path, number, offset, None, error)
                expected_count = None  # the stretch may have been any number of records
                offset = _find_header(file, offset + 1, size)
                file.seek(offset)
                header = file.read(HEADER_BYTES)
            else:
                data = file.read(length)
                rest = file.read(FOOTER_BYTES + HEADER_BYTES)  # the footer, and the next header with it
                if len(data) < length or len(rest) < FOOTER_BYTES:
                    break  # shorter by now than it was
                damaged = masked_crc(data) != _CRC.unpack_from(rest)[0]
                yield Record(path, number, offset, data, "record checksum" if damaged else None)
                header = rest[FOOTER_BYTES:]
                offset += HEADER_BYTES + length + FOOTER_BYTES
            number += 1
        if offset < size or file_size(path) != size:
            yield Record(path, number, offset, None, "changed")
        elif expected_count not in (None, number):
            yield Record(path, number, offset, None, "count")


def scan_headers(path: str | os.PathLike) -> Iterator[tuple[int, int, str | None]]:
    """Offset and length of each record of `scan_records`, and None or what is wrong with its header."""
    path = os.fspath(path)
    with _readable(path, buffering=0) as file:  # read-ahead would be thrown away with each seek
        size, offset = file_size(path), 0
        while offset < size:
            file.seek(offset)
            length, error = _parse_header(file.read(HEADER_BYTES), size - offset)
            yield offset, length, error
            end = offset + HEADER_BYTES + length + FOOTER_BYTES
            offset = _find_header(file, offset + 1, size) if error else end


def read_records(path: str | os.PathLike) -> Iterator[bytes]:
    """The records of a shard; raises `DataError` at the first damage, naming file, record and byte."""
    for record in scan_records(path):
        if record.error:
            raise record_error(*record[:3], record.error)
        yield record.data


def read_record_at(path: str, number: int, offset: int, length: int) -> bytes:
    """One record, located by `scan_headers`; raises `DataError` where it is damaged or no longer there."""
    with _readable(path, buffering=0) as file:
        file.seek(offset + HEADER_BYTES)
        data, footer = file.read(length), file.read(FOOTER_BYTES)
    if len(footer) < FOOTER_BYTES:
        raise record_error(path, number, offset, "changed")
    if masked_crc(data) != _CRC.unpack(footer)[0]:
        raise record_error(path, number, offset, "record checksum")
    return data


def first_records(shards: Sequence[str], count: int) -> list[Record]:
    """The intact ones among the first records of the first shard that has any; raises `DataError` if there are none."""
    for shard in shards:
        found = list(islice(scan_records(shard), count))
        if intact := [record for record in found if not record.error]:
            return intact
        if found:
            raise record_error(*found[0][:3], found[0].error)
    raise DataError(f"The shards hold no records: {shards[0]} and the {len(shards) - 1} after it are empty.")


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
    """The next byte from `start` on where the header of a record within the file begins; `size` if there is none."""
    while start + HEADER_BYTES + FOOTER_BYTES <= size:
        file.seek(start)
        block = file.read(READ_BYTES)
        places = len(block) - HEADER_BYTES + 1
        if places < 1:
            break
        # Every eight bytes as a length, and the four after them. Nearly all are far too long, and zeros are no header;
        # only of the others is the checksum computed.
        lengths = np.ndarray((places,), "<u8", block, strides=(1,))
        checksums = np.ndarray((places,), "<u4", block, offset=8, strides=(1,))
        limit = size - HEADER_BYTES - FOOTER_BYTES - start
        for place in np.flatnonzero((lengths <= limit) & ((lengths | checksums) != 0)).tolist():
            if int(lengths[place]) <= limit - place and is_header(block[place : place + HEADER_BYTES]):
                return start + place
        start += places
    return size


def is_header(header: bytes) -> bool:
    """Whether these bytes are a header: a length, and its own checksum."""
    return len(header) == HEADER_BYTES and masked_crc(header[:8]) == _CRC.unpack_from(header, 8)[0]


def masked_crc(data: bytes) -> int:
    """The CRC-32C of some bytes as TFRecord writes it."""
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + _CRC_SHIFT) & 0xFFFFFFFF


@contextmanager
def _readable(path: str, *, buffering: int = READ_BYTES) -> Iterator:
    """The file, opened; what goes wrong with it as a whole becomes a `DataError`."""
    try:
        with open_file(path, buffering=buffering) as file:
            yield file
    except Exception as error:
        code = getattr(error, "error_code", None)  # TensorFlow's; 5 is NOT_FOUND
        if isinstance(error, FileNotFoundError) or code == 5:
            raise DataError(f"{path} is not there (any more). Put it back.") from error
        if isinstance(error, OSError) or code:
            why = getattr(error, "strerror", None) or error
            raise DataError(f"{path} cannot be read ({why}). {_FETCH_AGAIN}") from error
        raise


def frame_record(data: bytes) -> bytes:
    """A record with its header and footer, as a shard holds it."""
    length = struct.pack("<Q", len(data))
    return length + _CRC.pack(masked_crc(length)) + data + _CRC.pack(masked_crc(data))


def write_shard(path: str | os.PathLike, records: Iterable[bytes]) -> int:
    """Write serialized records as a shard, which appears whole or not at all, and return their number."""
    path, count = os.fspath(path), 0
    if folder := posixpath.dirname(path):
        _gfile().makedirs(folder) if is_remote(path) else os.makedirs(folder, exist_ok=True)
    with open_to_write(path) as file:
        for data in records:
            file.write(frame_record(data))
            count += 1
    return count


@contextmanager
def open_to_write(path: str) -> Iterator:
    """A new file, opened to write bytes; it appears whole or not at all."""
    if not is_remote(path):
        with atomic_write(Path(path)) as temporary, temporary.open("wb") as file:
            yield file
        return
    folder, name = posixpath.split(path)
    # The name does not end in .tfrecord, so that nobody who lists the folder meanwhile takes it for a shard.
    partial = posixpath.join(folder, f".{name}.{os.getpid()}.partial")
    try:
        with _gfile().GFile(partial, "wb") as file:
            yield file
        _gfile().rename(partial, path, overwrite=True)
    finally:
        if exists(partial):
            _gfile().remove(partial)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A hidden local folder, which takes the place of `out` once it is finished and is removed after an error."""
    out = out.absolute()
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an earlier process of this number
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}. It was removed.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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


def read_context(features: Features) -> tuple[str, list[int]]:
    """A video's name and classes, of an example's features or a sequence example's context; empty where absent."""
    entries = features.feature
    names = [name for key in ID_KEYS if key in entries for name in entries[key].bytes_list.value[:1]]
    labels = list(entries["labels"].int64_list.value) if "labels" in entries else []
    return names[0].decode("utf-8", "replace") if names else "", labels


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
    *, frames: Mapping[str, np.ndarray], video_id: str, labels: Sequence[int] | None, texts=None, id_key="id"
) -> bytes:
    """One frame-level record, a ``tf.train.SequenceExample``; the other arguments are those of `serialize_video`.

    Args:
        frames: Key in the record (``rgb``) → array (time, size), `ValueError` for any other shape; uint8 is written as
            one string of bytes a frame (YouTube-8M's way), anything else as floats.
    """
    record = SequenceExample()
    _set_context(record.context, video_id, labels, texts, id_key)
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


# Files and folders, local or remote: local ones without TensorFlow, whose import takes seconds.


def readable_path(path: str | os.PathLike) -> str:
    """A path of data as it is used: without a last slash, ``~`` as the home folder; `UsageError` where it is empty."""
    text = os.path.expanduser(os.fspath(path))
    if not text.strip():
        raise UsageError("The path of the data is empty. Name a folder, or a dot for the one you are in.")
    return text.rstrip("/") or "/"


def exists(path: str) -> bool:
    """Whether there is such a file or folder; `DataError` where it is an address that cannot be reached."""
    if not is_remote(path):
        return os.path.exists(path)
    try:
        return _gfile().exists(path)
    except Exception as error:  # TensorFlow's own, of another class for each service and each reason
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path} cannot be reached: {reason}. Check the address, the network and your rights, or copy the data to "
            "this machine."
        ) from error


def is_folder(path: str) -> bool:
    """Whether there is such a folder."""
    return _gfile().isdir(path) if is_remote(path) else os.path.isdir(path)


def file_size(path: str) -> int:
    """The bytes of a file."""
    return _gfile().stat(path).length if is_remote(path) else os.stat(path).st_size


def open_file(path: str, *, buffering: int = READ_BYTES):
    """The file, opened to read bytes."""
    return _gfile().GFile(path, "rb") if is_remote(path) else open(path, "rb", buffering=buffering)


def read_bytes(path: str) -> bytes:
    """A small file's bytes."""
    with open_file(path) as file:
        return file.read()


def list_shards(root: str) -> tuple[str, ...]:
    """All ``*.tfrecord`` in a folder and at most three folders deep, sorted; raises `DataError` if there are none."""
    advice = "Give the folder of a data set, or make one (`dmlkit data synthesize DIR`)."
    if not is_folder(root):
        raise DataError(f"There is no folder {root}. {advice}")
    patterns = ["*/" * depth + f"*{SUFFIX}" for depth in range(MAX_DEPTH + 1)]
    return match_shards(root, patterns, f"No shards (*{SUFFIX}) in {root}, {MAX_DEPTH} levels deep. {advice}")


def match_shards(root: str, patterns: Sequence[str], message: str) -> tuple[str, ...]:
    """The files in a folder that match any of the patterns, sorted; `DataError` of this message if there are none."""
    if is_remote(root):
        found = {path for pattern in patterns for path in _gfile().glob(posixpath.join(root, pattern))}
    else:
        found = {path for each in patterns for path in glob.glob(posixpath.join(glob.escape(root), each))}
    if not found:
        raise DataError(message)
    return tuple(sorted(found))


def relative_name(path: str, root: str) -> str:
    """The name of a shard within the data set's folder."""
    return path.removeprefix(root).lstrip("/") if is_remote(path) else posixpath.relpath(path, root)


def _gfile():
    from dmlkit.runtime import quiet_startup

    with quiet_startup():
        import tensorflow as tf

        return tf.io.gfile
