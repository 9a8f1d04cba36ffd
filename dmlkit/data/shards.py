"""Shards as files: which there are, how many records they hold, what the first ones look like.

Remote folders work as local ones do. Nothing here reads a shard whole: counting hops from header to header.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from itertools import islice

from dmlkit.data import files
from dmlkit.data.faults import broken
from dmlkit.data.framing import FOOTER, hop, open_file, walk_records
from dmlkit.errors import DataError

SUFFIX = ".tfrecord"
DEEPEST = 3


def list_shards(root: str) -> tuple[str, ...]:
    """All ``*.tfrecord`` in a folder and at most three folders deep, sorted.

    Raises:
        DataError: The folder is missing or holds no shard.
    """
    if not files.is_folder(root):
        raise DataError(
            f"There is no folder {root}. Give the folder of a data set: one with a dataset.toml or with "
            "*.tfrecord shards (`dmlkit data synthesize DIR` makes one)."
        )
    found = sorted(_walk(root, DEEPEST))
    if not found:
        raise DataError(
            f"No shards in {root}: neither a dataset.toml nor a single *{SUFFIX} file, down to {DEEPEST} folders deep. "
            "Give the folder that holds the shards."
        )
    return tuple(found)


def match_shards(root: str, patterns: Sequence[str], *, split: str) -> tuple[str, ...]:
    """The shards of one split, by the patterns of a dataset.toml, sorted.

    Raises:
        DataError: A pattern matches nothing.
    """
    found: set[str] = set()
    for pattern in patterns:
        matches = files.matching(root, pattern)
        if not matches:
            raise DataError(
                f"No shards match {pattern!r}, which dataset.toml in {root} names for the split {split!r}. "
                "Put the shards there, or correct the pattern."
            )
        found.update(matches)
    return tuple(sorted(found))


def count_records(path: str) -> int:
    """The number of records of one shard, from their headers.

    Raises:
        DataError: A header is damaged, or the file ends within a record.
    """
    count = 0
    for offset, _, fault in hop(path):
        if fault:
            raise broken(path, count, offset, fault)
        count += 1
    return count


def count_places(path: str) -> int:
    """The number of records of one shard, where a broken stretch counts as one, as it does in `framing.walk`."""
    return sum(1 for _ in hop(path))


def tail(path: str, size: int) -> bytes:
    """The last four bytes of a shard, which are the checksum of its last record."""
    with open_file(path) as file:
        file.seek(max(0, size - FOOTER))
        return file.read(FOOTER)


def first_records(shards: Sequence[str], count: int) -> list[bytes]:
    """The sound ones among the first records of the first shard that has any.

    Raises:
        DataError: Of a shard none is sound, or all shards are empty.
    """
    for shard in shards:
        seen = list(islice(walk_records(shard), count))
        sound = [framed.record for framed in seen if framed.fault is None]
        if sound:
            return sound
        if seen:
            raise broken(shard, seen[0].number, seen[0].offset, seen[0].fault)
    raise DataError(f"The shards hold no records: {shards[0]} and the {len(shards) - 1} after it are empty.")


def _walk(folder: str, depth: int) -> list[str]:
    shards = []
    for name in files.names_in(folder):
        path = posixpath.join(folder, name)
        if name.startswith("."):
            continue
        if name.endswith(SUFFIX):
            shards.append(path)
        elif depth and files.is_folder(path):
            shards.extend(_walk(path, depth - 1))
    return shards
