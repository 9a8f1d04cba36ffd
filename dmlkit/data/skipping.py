"""What happens at a faulty record: reading stops, or goes on without it as long as there are not too many."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dmlkit.errors import DataError, UsageError

RAISE = "raise"
_SKIP = re.compile(r"skip\s+(\d{1,15})")
# So many are named in a run's record; all are counted.
NAMED = 20


@dataclass
class Skipped:
    """The faulty records that were left out, and how many may be.

    One object goes through a whole training, in which the same record is met once an epoch and counted once.

    Args:
        most: How many records may be left out; 0 stops at the first.
        records: (shard, number of the record) → the byte where it begins, and the kind of fault.
    """

    most: int = 0
    records: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, on_fault: str | Skipped) -> Skipped:
        """What a policy says: ``"raise"`` or ``"skip N"``.

        Raises:
            UsageError: It is neither.
        """
        if isinstance(on_fault, Skipped):
            return on_fault
        if on_fault == RAISE:
            return cls()
        if not (isinstance(on_fault, str) and (found := _SKIP.fullmatch(on_fault.strip()))):
            raise UsageError(
                "`on_fault` must be 'raise' or 'skip N', with the number of records that may be left out for N, such "
                f"as 'skip 100'. Received: {on_fault!r}."
            )
        return cls(int(found[1]))

    @property
    def policy(self) -> str:
        """What `of` would make it of."""
        return f"skip {self.most}" if self.most else RAISE

    def leave_out(self, shard: str, number: int, offset: int, *, kind: str, error: DataError) -> None:
        """Count a faulty record.

        Args:
            shard: Its file; as the run's record is to name it.
            number: Of the record in the file.
            offset: Byte at which it begins.
            kind: A key of `FRAMING` or `CONTENT` in `dmlkit.data.faults`.
            error: Raised where no more may be left out.

        Raises:
            DataError: One record too many.
        """
        if (shard, number) in self.records:
            return
        if len(self.records) < self.most:
            self.records[shard, number] = (offset, kind)
            return
        if not self.most:
            raise error
        raise DataError(
            f"{error} It is one too many: as many faulty records as `on_fault` ({self.policy}) allows were left out "
            "before it."
        ) from error

    def to_rows(self) -> list[list]:
        """Every record left out as plain values, for a checkpoint."""
        return [[*place, *fault] for place, fault in self.records.items()]

    def add_rows(self, rows: Iterable[Sequence]) -> None:
        """Count what `to_rows` told once, of this training before it was killed or of another worker."""
        for shard, number, offset, kind in rows:
            self.records.setdefault((shard, number), (offset, kind))

    def to_record(self) -> dict:
        """What a run's record says of it."""
        return {
            "records": len(self.records),
            "by_fault": dict(Counter(kind for _, kind in self.records.values()).most_common()),
            "first": [
                {"shard": shard, "record": number, "byte": offset, "fault": kind}
                for shard, number, offset, kind in self.to_rows()[:NAMED]
            ],
        }
