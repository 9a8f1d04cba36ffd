"""Ids that stand twice: found by hashes of eight bytes, and named after a second look at their shards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dmlkit.data.checking.shards import Expected
from dmlkit.data.checking.tallies import Fault
from dmlkit.data.records import InvalidRecord, locate, scan_records
from dmlkit.errors import DataError
from dmlkit.text import shorten

# More are counted and not named: where a whole part stands twice, nobody reads them all.
MOST_NAMED = 10_000


def find_duplicates(
    shards: Sequence[str], ids: Sequence[np.ndarray], expected: Expected
) -> tuple[int, list[Fault]]:
    """Every video but the first of each id.

    Args:
        shards: The files, in order.
        ids: What `check_shard` gave for each.
        expected: What the records should hold.

    Returns:
        How many there are, and at most `MOST_NAMED` of them in full.
    """
    hashes = np.concatenate([np.empty(0, np.uint64), *ids])
    ordered = np.sort(hashes)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if not len(twice):
        return 0, []
    places = np.flatnonzero(np.isin(hashes, twice))
    count = len(places) - len(twice)
    ends = np.cumsum([len(each) for each in ids])
    wanted: dict[int, set[int]] = {}
    for place in places[: 2 * MOST_NAMED].tolist():
        shard = int(np.searchsorted(ends, place, side="right"))
        wanted.setdefault(shard, set()).add(place - int(ends[shard] - len(ids[shard])))
    return count, _named([(shards[shard], numbers) for shard, numbers in wanted.items()], expected)


def _named(wanted: Sequence[tuple[str, set[int]]], expected: Expected) -> list[Fault]:
    first: dict[str, str] = {}
    faults: list[Fault] = []
    for shard, numbers in wanted:
        for video_id, record, byte in _looked_up(shard, numbers, expected):
            place = locate(shard, record, byte)
            if (before := first.setdefault(video_id, place)) != place:
                what = f"the id {shorten(video_id)!r} stands twice, first in {before}. Leave one of them out."
                faults.append(Fault(shard, record, byte, "duplicate id", what))
    return faults


def _looked_up(shard: str, numbers: set[int], expected: Expected) -> list[tuple[str, int, int]]:
    """Id, record and byte of the good records of these numbers, counted among those that have an id."""
    parser, found, number = expected.parser(), [], -1
    try:
        for framed in scan_records(shard):
            try:
                seen = None if framed.error else parser.read(framed.data)
            except InvalidRecord:
                continue
            if seen is None or not seen.video_id or not seen.values:
                continue
            number += 1
            if number in numbers:
                found.append((seen.video_id, framed.number, framed.offset))
    except DataError:  # it went away since
        pass
    return found
