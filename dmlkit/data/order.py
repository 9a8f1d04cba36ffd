"""The order in which the records of a split come: shard after shard, or shuffled as a function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from dmlkit.data.framing import Framed, walk_records

SHUFFLE_BYTES = 64 << 20
# No window holds more records than this: tiny records are shuffled well enough, and the start stays quick.
LONGEST_WINDOW = 16_384
# Shards read side by side when shuffling.
OPEN_SHARDS = 16


class RunListing(NamedTuple):
    """A record and the shard it was read from."""

    shard: str
    framed: Framed


def in_order(shards: Sequence[tuple[str, int | None]], *, holds: Mapping[str, int]) -> Iterator[RunListing]:
    """Shard after shard.

    Args:
        shards: And how many records to take of each, None for all.
        holds: Shard → how many records it should hold, of those of which that is known.
    """
    for shard, count in shards:
        for framed in islice(walk_records(shard, holds=holds.get(shard)), count):
            yield RunListing(shard, framed)


def side_by_side(
    shards: Sequence[tuple[str, int | None]], rng: np.random.Generator, *, holds: Mapping[str, int]
) -> Iterator[RunListing]:
    """Shards in random order, `OPEN_SHARDS` open at a time, a record of each in turn; arguments as of `in_order`."""
    waiting = (in_order([shards[i]], holds=holds) for i in rng.permutation(len(shards)))
    reading = list(islice(waiting, OPEN_SHARDS))
    while reading:
        still = []
        for records in reading:
            found = next(records, None)
            # One that has ended gives its place, and its turn, to the next.
            while found is None and (records := next(waiting, None)) is not None:
                found = next(records, None)
            if found is not None:
                still.append(records)
                yield found
        reading = still


def shuffled(records: Iterator[RunListing], window: int, rng: np.random.Generator) -> Iterator[RunListing]:
    """Each record changes places with a random one of the last ``window``.

    Done here and not by ``tf.data``, whose order also hangs on TensorFlow's global seed: a resumed training could
    see another order than the one it resumes.
    """
    held: list[RunListing] = list(islice(records, window))
    places: list[int] = []
    for record in records:
        # Drawn many at a time, as a single draw costs more than all else here.
        places = places or rng.integers(window, size=1024).tolist()
        place = places.pop()
        yield held[place]
        held[place] = record
    for place in rng.permutation(len(held)):
        yield held[place]


def window_of(mean_length: int) -> int:
    """How many records of this many bytes are shuffled with each other."""
    return min(LONGEST_WINDOW, max(1, SHUFFLE_BYTES // mean_length))
