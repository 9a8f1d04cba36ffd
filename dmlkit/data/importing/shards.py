"""Records into the shards of several parts, side by side; memory holds one record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dmlkit.data.records import frame_record
from dmlkit.errors import UsageError


@contextmanager
def writes(folder: object) -> Iterator[None]:
    """Around what writes: a full disk and the like become an error for a reader's eyes."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written: {error.strerror or error}. Nothing is left of it; name another "
            "folder, or make room."
        ) from error


class ShardWriter:
    """One open shard a part, each full one followed by the next.

    The folder must be one that nobody takes for a data set yet.

    Args:
        folder: Where to.
        records_per_shard: What every shard but a part's last holds.
    """

    def __init__(self, folder: Path, records_per_shard: int):
        self._folder, self._records_per_shard = folder, records_per_shard
        self._open: dict[str, BinaryIO] = {}
        self._last: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()
        self.counts: dict[str, int] = {}

    def add(self, part: str, record: bytes) -> None:
        """Write one record to the part's shard."""
        with writes(self._folder):
            if part not in self._open or self.counts[self._last[part]] == self._records_per_shard:
                self._next(part)
            self._open[part].write(frame_record(record))
        self.counts[self._last[part]] += 1

    def close(self) -> None:
        """Bring everything to its file."""
        with writes(self._folder):
            while self._open:
                self._open.popitem()[1].close()

    def _next(self, part: str) -> None:
        if part in self._open:
            self._open.pop(part).close()
        name = f"{part}{self._numbers[part]:05d}.tfrecord"
        self._open[part] = (self._folder / name).open("wb")
        self._last[part], self.counts[name] = name, 0
        self._numbers[part] += 1
