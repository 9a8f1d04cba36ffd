"""One shard, record by record."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dmlkit.data.checking.tallies import Fault, Outcome, Tally
from dmlkit.data.opening import infer_layout
from dmlkit.data.parsing import RecordParser, Video
from dmlkit.data.protos import parse_record
from dmlkit.data.records import InvalidRecord, Record, SHARD_ERRORS, file_size, scan_records
from dmlkit.data.schema import Feature
from dmlkit.errors import DataError

# How often the way through a big shard is told.
STEP_BYTES = 16 << 20
# These lose count of the records, so that their number says nothing more.
_UNCOUNTED = {*SHARD_ERRORS, "unreadable"} - {"record checksum"}
# One byte may be wrong, but then a record further on can be told; so where there is a single one, less is certain.
NO_SHARD = "no record is to be found in it: the file is no TFRecord, or damaged as a whole. Fetch it again."
# Kinds that a record of the other level shows as.
_LACKING = {"frames", "no features"}


@dataclass(frozen=True)
class Expected:
    """What the records of a data set should hold.

    Attributes:
        level: ``"video"`` or ``"frame"``; None where no record told, so that only checksums can be looked at.
        features: The modalities.
        num_classes: None where nothing tells.
    """

    level: str | None
    features: tuple[Feature, ...] = ()
    num_classes: int | None = None

    def parser(self) -> RecordParser | None:
        """What reads the records, or None."""
        if self.level is None:
            return None
        return RecordParser(self.level, self.features, self.num_classes or sys.maxsize, labelled=True)


def check_shard(
    shard: str,
    expected: Expected,
    *,
    exactly: int | None = None,
    at_most: int | None = None,
    keep: int | None = None,
    told: Callable[[int], object] = lambda read: None,
) -> Outcome:
    """Read a shard to its end, whatever is wrong with it.

    Args:
        shard: The file.
        expected: What its records should hold.
        exactly: The records it should have; None where that is not known.
        at_most: The records it may have.
        keep: How many faults are kept in full; None for all. All are counted.
        told: Called now and then with the bytes read since.
    """
    tally, faults = Tally(), []

    def found(kind: str, what: str, record: int | None, byte: int | None) -> None:
        tally.faults[kind] += 1
        if keep is None or len(faults) < keep:
            faults.append(Fault(shard, record, byte, kind, what))

    ids, reached, parser = [], 0, expected.parser()
    for framed in _walked(shard, found):
        tally.records += 1
        if framed.offset - reached >= STEP_BYTES:
            told(framed.offset - reached)
            reached = framed.offset
        if framed.error:
            found(framed.error, SHARD_ERRORS[framed.error][0], framed.number, framed.offset)
            continue
        if parser is None:
            tally.good += 1
            continue
        try:
            seen = parser.read(framed.data)
            if not seen.values:
                keys = ", ".join(feature.key for feature in expected.features)
                raise InvalidRecord(
                    f"the video has none of {keys}. Leave the record out.", kind="no features"
                )
        except InvalidRecord as fault:
            kind, what = _told_apart(fault, framed.data, expected)
            found(kind, what, framed.number, framed.offset)
            continue
        _count(tally, seen, expected)
        if seen.video_id:
            ids.append(hashed(seen.video_id))
    if faults and tally.records == 1 and framed.error == "length checksum" and not framed.offset:
        faults[0] = faults[0]._replace(what=NO_SHARD)
    tally.bytes = size_if_there(shard)
    if not _UNCOUNTED & tally.faults.keys():
        _compare(tally.records, exactly, at_most, tally.bytes, found)
    told(tally.bytes - reached)
    return Outcome(tally, faults, np.frombuffer(b"".join(ids), dtype="<u8"))


def hashed(video_id: str) -> bytes:
    """Eight bytes that stand for an id; among 8 million, two others share theirs once in half a million data sets."""
    return hashlib.blake2b(video_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _walked(shard: str, found: Callable) -> Iterator[Record]:
    try:
        yield from scan_records(shard)
    except DataError as error:
        found("unreadable", str(error).removeprefix(f"{shard} "), None, None)


def _told_apart(fault: InvalidRecord, record: bytes, expected: Expected) -> tuple[str, str]:
    """Kind and words of a fault; a good record of the other level lacks what it is looked at for."""
    if fault.kind in _LACKING:
        layout = infer_layout([parse_record(record)])
        if layout and layout.level != expected.level:
            what = f"a {layout.level}-level record among {expected.level}-level ones."
            return "level", f"{what} Keep each level in a folder of its own."
    return fault.kind, str(fault)


def _count(tally: Tally, seen: Video, expected: Expected) -> None:
    tally.good += 1
    if seen.num_frames:
        tally.frames[seen.num_frames] += 1
    classes = set(seen.labels)
    tally.labels[len(classes)] += 1
    tally.classes.update(classes)
    if not seen.video_id:
        tally.unnamed += 1
    if len(seen.values) < len(expected.features):
        tally.missing.update({feature.name for feature in expected.features}.difference(seen.values))


def _compare(records: int, exactly: int | None, at_most: int | None, size: int, found: Callable) -> None:
    if exactly is not None and records != exactly:
        # The place is that of the first record that is not there, or not counted.
        said = "it was cut between two records" if records < exactly else "it was written anew"
        found(
            "count",
            f"the shard holds {records} records, dataset.toml says {exactly}: {said}, or dataset.toml is of other "
            "data. Fetch the file again, or correct dataset.toml.",
            min(records, exactly),
            size if records < exactly else None,
        )
    elif exactly is None and at_most is not None and records > at_most:
        found(
            "count",
            f"the shard holds {records} records, but records_per_shard in dataset.toml is {at_most}. Correct it there.",
            at_most,
            None,
        )


def size_if_there(shard: str) -> int:
    """Its bytes; 0 where it is not to be read, which is told of the reading."""
    try:
        return file_size(shard)
    except Exception:
        return 0
