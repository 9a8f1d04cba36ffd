"""The framing of TFRecord files: the one reader of it, which names record and byte and goes on after a fault.

A record lies between a header (its length in 8 bytes, little endian, and their checksum in 4) and a footer (the
record's checksum in 4). Checksums are CRC-32C, turned and shifted as TFRecord does. Local files are read by plain
`open`; of others TensorFlow's `gfile` knows the way.

Differs from ``tf.data.TFRecordDataset``: that names neither record nor byte, and ends at the first fault.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np
from google_crc32c import value as crc32c

from dmlkit.data.faults import broken, gone, unreadable

HEADER, FOOTER = 12, 4
# One read of the file; also what is looked at at once after a broken length.
READ_BYTES = 1 << 20
_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")
_TURN = 0xA282EAD8


class Framed(NamedTuple):
    """One record as it lies in its shard.

    Attributes:
        number: Of the record in its shard, from 0; a broken stretch counts as one.
        offset: Byte at which its header begins.
        record: The record; None where it cannot be told from what lies around it.
        fault: None, or a key of `dmlkit.data.faults.FRAMING`.
    """

    number: int
    offset: int
    record: bytes | None
    fault: str | None


def walk_records(
    path: str | os.PathLike, *, verify: bool = True, holds: int | None = None
) -> Iterator[Framed]:
    """Every record of a shard, the broken ones too, and last what is wrong with the file as a whole.

    After a record whose checksum is wrong comes the next one; after a length that is wrong or reaches beyond the
    file's end, the next place whose 12 bytes are a header by their own checksum. No memory is taken for a length
    before it is known to lie within the file.

    Args:
        path: The shard.
        verify: Whether the records' checksums are looked at; those of the lengths always are.
        holds: How many records there should be, where that is known: a file cut exactly between two records is
            whole by itself.

    Raises:
        DataError: The file is not there, went away meanwhile, or cannot be read.
    """
    path = os.fspath(path)
    with _named(path), open_file(path) as file:
        size, number, offset = size_of(path), 0, 0
        counted = holds is not None
        header = file.read(HEADER)
        while offset < size:
            length, fault = _length(header, size - offset)
            if fault:
                yield Framed(number, offset, None, fault)
                # It may have been any number of records.
                counted = False
                offset = _next_header(file, offset + 1, size)
                file.seek(offset)
                header = file.read(HEADER)
                number += 1
                continue
            record = file.read(length)
            # The footer, and the next header with it.
            rest = file.read(FOOTER + HEADER)
            if len(record) < length or len(rest) < FOOTER:
                break  # Shorter by now than it was.
            wrong = verify and masked(crc32c(record)) != _TAIL.unpack_from(rest)[0]
            yield Framed(number, offset, record, "record checksum" if wrong else None)
            header = rest[FOOTER:]
            offset += HEADER + length + FOOTER
            number += 1
        if offset < size or size_of(path) != size:
            yield Framed(number, offset, None, "changed")
        elif counted and number != holds:
            yield Framed(number, offset, None, "count")


def hop(path: str | os.PathLike) -> Iterator[tuple[int, int, str | None]]:
    """Where each record of a shard begins and how long it is, from the headers alone; the records are not read.

    Numbers and places are those of `walk_records`.

    Yields:
        Byte at which the header begins, length of the record, and None or what is wrong with the header.

    Raises:
        DataError: The file is not there or cannot be read.
    """
    path = os.fspath(path)
    # Read-ahead would be thrown away with each hop.
    with _named(path), open_file(path, buffering=0) as file:
        size, offset = size_of(path), 0
        while offset < size:
            file.seek(offset)
            length, fault = _length(file.read(HEADER), size - offset)
            yield offset, length, fault
            offset = _next_header(file, offset + 1, size) if fault else offset + HEADER + length + FOOTER


def read_records(path: str | os.PathLike) -> Iterator[bytes]:
    """The records of a shard.

    Raises:
        DataError: At the first fault; names file, record and byte.
    """
    for number, offset, record, fault in walk_records(path):
        if fault:
            raise broken(os.fspath(path), number, offset, fault)
        yield record


def read_at(path: str, number: int, offset: int, length: int) -> bytes:
    """One record, by what `hop` told of it.

    Raises:
        DataError: The file is not there, cannot be read or has changed, or the record's checksum is wrong.
    """
    with _named(path), open_file(path, buffering=0) as file:
        file.seek(offset + HEADER)
        read = file.read(length + FOOTER)
    if len(read) < length + FOOTER:
        raise broken(path, number, offset, "changed")
    record = read[:length]
    if masked(crc32c(record)) != _TAIL.unpack_from(read, length)[0]:
        raise broken(path, number, offset, "record checksum")
    return record


def is_header(twelve: bytes) -> bool:
    """Whether these bytes are a header: a length, and its own checksum."""
    return len(twelve) == HEADER and masked(crc32c(twelve[:8])) == _TAIL.unpack_from(twelve, 8)[0]


def masked(checksum: int) -> int:
    """A CRC-32C as TFRecord writes it."""
    return ((checksum >> 15 | checksum << 17) + _TURN) & 0xFFFFFFFF


def frame(record: bytes) -> bytes:
    """A record with its header and footer, as a shard holds it."""
    length = struct.pack("<Q", len(record))
    checksums = (_TAIL.pack(masked(crc32c(part))) for part in (length, record))
    return length + next(checksums) + record + next(checksums)


def open_file(path: str, *, buffering: int = READ_BYTES):
    """The file, opened to read bytes: by plain `open` where it is local."""
    if "://" in path:
        import tensorflow as tf

        return tf.io.gfile.GFile(path, "rb")
    return open(path, "rb", buffering=buffering)


def size_of(path: str) -> int:
    """The bytes of a file."""
    if "://" in path:
        import tensorflow as tf

        return tf.io.gfile.stat(path).length
    return os.stat(path).st_size


@contextmanager
def _named(path: str) -> Iterator[None]:
    """What goes wrong with a file as a whole, as an error for a reader's eyes."""
    try:
        yield
    except FileNotFoundError as error:
        raise gone(path) from error
    except OSError as error:
        raise unreadable(path, error.strerror or error) from error
    except Exception as error:
        # TensorFlow's errors, known without importing it.
        if "://" not in path or not hasattr(error, "error_code"):
            raise
        raise (gone(path) if error.error_code == 5 else unreadable(path, error)) from error


def _length(header: bytes, left: int) -> tuple[int, str | None]:
    """The length that a header tells, and None or what is wrong with it, where `left` bytes are left of the file."""
    if len(header) < HEADER or left < HEADER + FOOTER:
        return 0, "cut off"
    if not is_header(header):
        return 0, "length checksum"
    length, _ = _HEAD.unpack(header)
    return (length, None) if length <= left - HEADER - FOOTER else (0, "cut off")


def _next_header(file, start: int, size: int) -> int:
    """The next byte from `start` on where a header begins whose record lies within the file; `size` if none."""
    while start + HEADER + FOOTER <= size:
        file.seek(start)
        block = file.read(READ_BYTES)
        places = len(block) - HEADER + 1
        if places < 1:
            break
        # Every eight bytes as a number, whether or not they lie evenly.
        lengths = np.ndarray((places,), "<u8", block, strides=(1,))
        # Nearly all are far too long; only the checksums of the others need be worked out.
        within = lengths < size - HEADER - FOOTER - start + 1
        found = np.flatnonzero(within)
        found = found[lengths[found] + found.astype(np.uint64) <= size - HEADER - FOOTER - start]
        if len(found):
            told = np.ndarray((places,), "<u4", block, offset=8, strides=(1,))[found]
            found = found[_checksums(np.frombuffer(block, np.uint8), found) == told]
            if len(found):
                return start + int(found[0])
        start += places
    return size


def _checksums(block: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The masked checksums of the eight bytes at each of many places, uint32."""
    tables, zero = _tables()
    plain = np.full(len(places), zero, np.uint32)
    for i, table in enumerate(tables):
        plain ^= table[block[places + i]]
    return (plain >> np.uint32(15) | plain << np.uint32(17)) + np.uint32(_TURN)


@cache
def _tables() -> tuple[np.ndarray, int]:
    """What each value of each of eight bytes adds to a checksum, (8, 256), and the checksum of eight zeros.

    A cyclic redundancy check is linear: that of some bytes is that of zeros, with what each byte adds put over it.
    """
    zero = crc32c(bytes(8))
    table = [
        [crc32c(bytes(i) + bytes([byte]) + bytes(7 - i)) ^ zero for byte in range(256)] for i in range(8)
    ]
    return np.array(table, np.uint32), zero
