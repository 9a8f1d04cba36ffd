"""What is found and counted in shards, and can be added up in any order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np

from dmlkit.data.records import CONTENT_ERRORS, SHARD_ERRORS, locate

# Of a file, or of records among each other.
FILES = {
    "count": "another number of records than dataset.toml says",
    "missing shard": "dataset.toml counts a shard that is not there",
    "unreadable": "the file is gone or cannot be read",
    "unchecked": "the process that read the file died, twice",
    "no features": "a record without any of the data set's features",
    "level": "a video-level record among frame-level ones, or the reverse",
    "duplicate id": "a video of the same id came before",
}
KINDS = {kind: what for kind, (what, _) in SHARD_ERRORS.items()} | CONTENT_ERRORS | FILES


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        shard: The file.
        record: Its number in the shard, from 0; None where the file as a whole is meant.
        byte: At which the record's header begins; None where the file as a whole is meant.
        kind: A key of `KINDS`.
        what: What is wrong, in words.
    """

    shard: str
    record: int | None
    byte: int | None
    kind: str
    what: str

    def text(self) -> str:
        """Where, and what."""
        place = self.shard if self.record is None else locate(self.shard, self.record, self.byte)
        return f"{place}: {self.what}"


@dataclass
class Tally:
    """Counts over records.

    Attributes:
        records: All that a shard's framing tells apart, good or not.
        good: Those without a fault of their own; only these enter the counts below.
        bytes: Of the files.
        unnamed: Videos without an id.
        frames: Frames a video → videos.
        labels: Classes a video → videos.
        classes: Class → videos.
        missing: Modality → videos that lack it.
        faults: Kind → faults.
    """

    records: int = 0
    good: int = 0
    bytes: int = 0
    unnamed: int = 0
    frames: Counter[int] = field(default_factory=Counter)
    labels: Counter[int] = field(default_factory=Counter)
    classes: Counter[int] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another's counts to these."""
        for entry in fields(self):
            mine, others = getattr(self, entry.name), getattr(other, entry.name)
            if isinstance(mine, Counter):
                mine.update(others)
            else:
                setattr(self, entry.name, mine + others)


class Outcome(NamedTuple):
    """What one shard gave.

    Attributes:
        tally: What was counted; all faults are in it.
        faults: The first of them.
        ids: Hashes of the good records' ids, uint64, in order; of those that have one.
    """

    tally: Tally
    faults: list[Fault]
    ids: np.ndarray
