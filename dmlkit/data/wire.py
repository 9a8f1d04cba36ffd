"""Protobuf's wire format, as far as it takes to find the features in a record without a message object for each."""

from __future__ import annotations

from collections.abc import Iterator

# A number of 64 bits, seven in a byte. A longer one is no number, however long it goes on.
LONGEST_VARINT = 10
# The tags of fields 1 and 2 when they hold bytes.
FIRST_TAG, SECOND_TAG = b"\x0a", b"\x12"


def fields(record: bytes, start: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """The fields of a message whose fields all hold bytes: number, (start, end).

    Raises:
        ValueError: There are others.
        IndexError: The record ends within one.
    """
    while start < end:
        tag, start = read_varint(record, start)
        length, start = read_varint(record, start)
        if tag & 7 != 2 or start + length > end:
            raise ValueError("not a message of byte fields")
        yield tag >> 3, (start, start + length)
        start += length


def once(found: Iterator[tuple[int, tuple[int, int]]]) -> dict[int, tuple[int, int]]:
    """Fields by number.

    Raises:
        ValueError: A field comes twice, and what that means only the protobuf library knows.
    """
    listed = list(found)
    by_number = dict(listed)
    if len(by_number) < len(listed):
        raise ValueError("a field comes twice")
    return by_number


def read_varint(record: bytes, position: int) -> tuple[int, int]:
    """A number, and the place after it.

    Raises:
        ValueError: It has more bytes than a number has.
        IndexError: The record ends within it.
    """
    byte = record[position]
    if byte < 0x80:
        return byte, position + 1
    value = shift = 0
    for place in range(position, position + LONGEST_VARINT):
        byte = record[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    raise ValueError("not a number")


def varint(value: int) -> bytes:
    """A number as it is written."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
