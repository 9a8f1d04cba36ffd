"""Shards as files of records: the one TFRecord reader here, which names record and byte and goes on after damage.

A record lies between a header (its length in 8 bytes, little endian, and their checksum in 4) and a footer (the
record's checksum in 4). Checksums are CRC-32C, rotated and shifted as TFRecord does. Local files are read by plain
`open`; what holds ``://`` (``gs://``, ``hdfs://``, ``ram://``) goes through ``tf.io.gfile``.

Differs from ``tf.data.TFRecordDataset``: that names neither record nor byte, and ends at the first damaged record.
"""

from __future__ import annotations

import glob
import os
import posixpath
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from google_crc32c import value as crc32c

from dmlkit.errors import DataError
from dmlkit.files import atomic_write

SUFFIX = ".tfrecord"
MAX_DEPTH = 3  # folders below the data set's own in which shards are looked for
HEADER_BYTES, FOOTER_BYTES = 12, 4
READ_BYTES = 1 << 20  # one read of a file
_LENGTH_AND_CRC = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_CRC_SHIFT = 0xA282EAD8

_FETCH_AGAIN = "Fetch the file again, or move it out of the data set."
# What can be wrong with a shard around its records: kind → description, and what to do.
SHARD_ERRORS = {
    "length checksum": ("the shard is damaged, the checksum of the record's length is wrong", _FETCH_AGAIN),
    "record checksum": ("the shard is damaged, its checksum is wrong", _FETCH_AGAIN),
    "cut off": ("the shard is damaged, the file ends within the record", _FETCH_AGAIN),
    "changed": (
        "the file grew or shrank while it was read",
        "Read it again once nothing writes to it any more.",
    ),
    "count": (
        "the shard ends here, but dataset.toml counts another number of records in it",
        "Fetch the file again, or correct dataset.toml.",
    ),
}
# What can be wrong with an intact record's content: kind → description.
CONTENT_ERRORS = {
    "not a record": "cannot be parsed as the protobuf message it should be",
    "label": "a label outside the data set's classes",
    "not finite": "NaN or infinite values",
    "size": "a feature of another size",
    "coding": "bytes where floats should be, or the reverse",
    "frames": "no frames, or modalities of different lengths",
}


class InvalidRecord(ValueError):
    """A record is not what the data set says: what, and what to do. Its `kind` is a key of the tables above."""

    def __init__(self, message: str, *, kind: str):
        super().__init__(message)
        self.kind = kind


class Record(NamedTuple):
    """One record of a shard, by its number from 0 (a damaged stretch counts as one) and the byte where it begins.

    `data` is None where it cannot be told from the bytes around it; `error` is None or a key of `SHARD_ERRORS`.
    """

    shard: str
    number: int
    offset: int
    data: bytes | None
    error: str | None

    def check(self) -> bytes:
        """The record's data; raises `InvalidRecord` where the shard is damaged."""
        if self.error:
            raise InvalidRecord("{}. {}".format(*SHARD_ERRORS[self.error]), kind=self.error)
        return self.data

    def located(self, problem: object) -> DataError:
        """The error of a problem with this record, which names file, record and byte."""
        return DataError(f"{locate(self.shard, self.number, self.offset)}: {problem}")


def locate(shard: str, number: int, offset: int | None = None) -> str:
    """The location of a record, for messages: file, record and byte."""
    return f"{shard}, record {number} (counted from 0)" + ("" if offset is None else f", byte {offset}")


def damage_error(shard: str, number: int, offset: int, kind: str) -> DataError:
    """The error of a damaged shard; `kind` is a key of `SHARD_ERRORS`."""
    return DataError("{}: {}. {}".format(locate(shard, number, offset), *SHARD_ERRORS[kind]))


# Reading.


def scan_records(path: str | os.PathLike, *, expected_count: int | None = None) -> Iterator[Record]:
    """Every record of a shard, the damaged ones too, and last what is wrong with the file as a whole.

    After a record whose checksum is wrong comes the next one; after a length that is wrong or reaches beyond the file's
    end, the next 12 bytes that are a header by their own checksum. No memory is taken for a length beyond the file.
    `expected_count` is how many records there should be, where that is known: a file cut exactly between two records
    looks intact by itself. Raises `DataError` where the file is missing or cannot be read.
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
    """Offset and length of each record, and None or what is wrong with its header, without reading the records.

    Records are numbered as in `scan_records`; raises `DataError` where the file is missing or cannot be read.
    """
    path = os.fspath(path)
    with _readable(path, buffering=0) as file:  # read-ahead would be thrown away with each seek
        size, offset = file_size(path), 0
        while offset < size:
            file.seek(offset)
            length, error = _parse_header(file.read(HEADER_BYTES), size - offset)
            yield offset, length, error
            next_offset = offset + HEADER_BYTES + length + FOOTER_BYTES
            offset = _find_header(file, offset + 1, size) if error else next_offset


def read_records(path: str | os.PathLike) -> Iterator[bytes]:
    """The records of a shard; raises `DataError` at the first damage, naming file, record and byte."""
    for record in scan_records(path):
        if record.error:
            raise damage_error(*record[:3], record.error)
        yield record.data


def read_record_at(path: str, number: int, offset: int, length: int) -> bytes:
    """One record, located by `scan_headers`; raises `DataError` where it is damaged or no longer there."""
    with _readable(path, buffering=0) as file:
        file.seek(offset + HEADER_BYTES)
        data, footer = file.read(length), file.read(FOOTER_BYTES)
    if len(footer) < FOOTER_BYTES:
        raise damage_error(path, number, offset, "changed")
    if masked_crc(data) != _CRC.unpack(footer)[0]:
        raise damage_error(path, number, offset, "record checksum")
    return data


def first_records(shards: Sequence[str], count: int) -> list[bytes]:
    """The intact ones among the first records of the first shard that has any; raises `DataError` if there are none."""
    for shard in shards:
        found = list(islice(scan_records(shard), count))
        if intact := [record.data for record in found if not record.error]:
            return intact
        if found:
            raise damage_error(*found[0][:3], found[0].error)
    raise DataError(f"The shards hold no records: {shards[0]} and the {len(shards) - 1} after it are empty.")


def count_records(path: str, *, skip_damaged: bool = False) -> int:
    """The number of records of one shard, from their headers; at a damaged one `DataError`, or it counts as one."""
    number = 0
    for number, (offset, _, error) in enumerate(scan_headers(path), start=1):
        if error and not skip_damaged:
            raise damage_error(path, number - 1, offset, error)
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
        # Every eight bytes as a number, and the four behind them. Nearly all are far too long, and zeros are no
        # header; only of the others is the checksum computed.
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
        code = getattr(error, "error_code", None) if is_remote(path) else None  # TensorFlow's; 5 is NOT_FOUND
        if isinstance(error, FileNotFoundError) or code == 5:
            raise DataError(
                f"{path} is not there (any more). Put it back, or open the data set again."
            ) from error
        if isinstance(error, OSError) or code:
            why = getattr(error, "strerror", None) or error
            raise DataError(f"{path} cannot be read ({why}). {_FETCH_AGAIN}") from error
        raise


# Writing.


def frame_record(data: bytes) -> bytes:
    """A record with its header and footer, as a shard holds it."""
    length = struct.pack("<Q", len(data))
    return length + _CRC.pack(masked_crc(length)) + data + _CRC.pack(masked_crc(data))


def write_shard(path: str | os.PathLike, records: Iterable[bytes]) -> int:
    """Write serialized records as one TFRecord file, local or remote, and return their number.

    The file appears whole or not at all; folders above it are made.
    """
    path, count = os.fspath(path), 0
    if folder := posixpath.dirname(path):
        _gfile().makedirs(folder) if is_remote(path) else os.makedirs(folder, exist_ok=True)
    with _open_to_write(path) as file:
        for data in records:
            file.write(frame_record(data))
            count += 1
    return count


def write_bytes(path: str, data: bytes) -> None:
    """Write a small file; it appears whole or not at all."""
    with _open_to_write(path) as file:
        file.write(data)


@contextmanager
def _open_to_write(path: str) -> Iterator:
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


# Files and folders, local or remote: local ones without TensorFlow, whose import takes seconds.


def is_remote(path: str) -> bool:
    """Whether a path is an address that only ``tf.io.gfile`` knows."""
    return "://" in path


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    return _gfile().exists(path) if is_remote(path) else os.path.exists(path)


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
    if not is_folder(root):
        raise DataError(
            f"There is no folder {root}. Give the folder of a data set: one with a dataset.toml or with "
            "*.tfrecord shards (`dmlkit data synthesize DIR` makes one)."
        )
    return match_shards(
        root,
        ["*/" * depth + f"*{SUFFIX}" for depth in range(MAX_DEPTH + 1)],
        f"No shards in {root}: neither a dataset.toml nor a single *{SUFFIX} file, down to {MAX_DEPTH} folders deep. "
        "Give the folder that holds the shards.",
    )


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
