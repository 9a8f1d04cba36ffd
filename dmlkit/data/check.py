"""`check`: read every record of data sets, verify checksums and contents, and count what they hold.

Needs no TensorFlow for local files. Memory grows by 24 bytes a video only: a hash of its id and its place, by which
repeated ids are found.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from dmlkit.data.opening import describe, divided, find_dataset, find_splits, shard_counts
from dmlkit.data.parsing import RecordParser
from dmlkit.data.records import InvalidRecord, is_writable_id, locate, scan_records
from dmlkit.data.schema import FRAMES_APART, MAX_CLASSES, read_dataset_toml, release_of
from dmlkit.data.storage import exists, file_size
from dmlkit.errors import DataError, UsageError, counted, one_line, readable_size, shorten
from dmlkit.runtime import cores, in_processes

BYTES_PER_WORKER = 512 << 20  # with less to read, starting a worker process takes longer
_IDS = np.dtype([("hash", "<u8"), ("shard", "<u4"), ("record", "<u4"), ("byte", "<u8")])


class Fault(NamedTuple):
    """What is wrong with a record of a shard, or with the whole shard (`record` and `byte` are None).

    Kinds: `SHARD_ERRORS`, `CONTENT_ERRORS`, "id", "unreadable", "missing shard", "duplicate id", "refused" (to open).
    """

    shard: str
    record: int | None
    byte: int | None
    kind: str
    what: str


@dataclass(frozen=True)
class Report:
    """The result of a check: the data sets' records, as `to_record` documents them, and the seconds it took."""

    sets: tuple[dict, ...]
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong anywhere."""
        return all(each["whole"] for each in self.sets)

    def to_record(self) -> dict:
        """Everything, as ``dmlkit data check --json`` prints it.

        Returns:
            ``schema`` (1), ``whole``, ``seconds`` and ``sets``, one entry a data set:

            * ``path``, ``name``, ``whole``; ``notes``, those of `open_dataset`; ``level`` (None where no record shows
              it), ``release`` (None for a layout of one's own), ``features`` (name, size, coding, key), ``num_classes``
            * ``shards``, ``bytes``, ``records`` (all that can be separated), ``good_records``
            * ``splits``: name → shards, records, without_labels
            * ``frames`` a video, and ``labels`` a video that has any: min, median, mean, max; None without any
            * ``missing``: modality → videos that lack it; ``cut``: videos cut to the shortest of their modalities
            * ``classes``: those that occur, each with its number of videos
            * ``ratings`` of segments: segments, ratings, present (those that found the class); None without any
            * ``faults``: ``total``, ``by_kind`` and ``list`` of shard, record, byte, kind, what (record and byte are
              None where a file as a whole is meant; of repeated ids at most 10,000 are listed)
        """
        return {"schema": 1, "whole": self.whole, "seconds": round(self.seconds, 3), "sets": [*self.sets]}

    def text(self, *, faults: int = 20) -> str:
        """The same for people, a paragraph a data set with at most `faults` of its faults."""
        lines = [line for each in self.sets for line in (*_describe(each, faults), "")]
        read = readable_size(sum(each["bytes"] for each in self.sets))
        found = sum(each["faults"]["total"] for each in self.sets)
        result = f"Damaged: {counted(found, 'fault')}." if found else "Whole: no faults."
        return "\n".join([*lines, f"{result} Read {read} in {self.seconds:.1f} s."])


def _describe(record: dict, faults: int) -> Iterator[str]:
    yield one_line(f"{record['name']}, {record['path']}")
    if record["level"] is None:
        yield "  layout          unknown, so only checksums were verified"
    else:
        names = (f"{one_line(f['name'])} {f['size']:,} ({f['coding']})" for f in record["features"])
        yield f"  layout          {record['release'] or 'a layout of its own'}, {record['level']} level"
        yield f"                  {', '.join(names)}; {counted(record['num_classes'], 'class', 'classes')}"
    for split, each in record["splits"].items():
        labels = f", {each['without_labels']:,} of them without labels" if each["without_labels"] else ""
        yield f"  {split:16}{each['records']:>10,} in {counted(each['shards'], 'shard')}{labels}"
    for name in ("frames", "labels"):
        if each := record[name]:
            figures = f"median {each['median']:,g}, mean {each['mean']:,.1f}"
            yield f"  {name + ' a video':16}{each['min']:,} to {each['max']:,}, {figures}"
    yield f"  classes         {len(record['classes']):,} of {record['num_classes']:,} occur"
    if each := record["ratings"]:
        found = f"{each['ratings']:,} ratings, {each['present']:,} of them found the class"
        yield f"  rated           {counted(each['segments'], 'segment')}: {found}"
    for modality, videos in record["missing"].items():
        yield f"  missing         {one_line(modality)} in {counted(videos, 'video')}: read as silence, or no words"
    if record["cut"]:
        yield f"  cut             {counted(record['cut'], 'video')} to the shortest modality, by at most {FRAMES_APART}"
    yield from (f"  note            {one_line(note)}" for note in record["notes"])
    kinds = [f"{kind} ({count:,})" for kind, count in Counter(record["faults"]["by_kind"]).most_common()]
    yield f"  faults          {', '.join(kinds) or 'none'}"
    shown = record["faults"]["list"][:faults]
    for fault in shown:
        shard, number, byte, _, what = fault.values()
        yield "    " + one_line(f"{shard if number is None else locate(shard, number, byte)}: {what}")
    if more := record["faults"]["total"] - len(shown):
        yield f"    and {more:,} more (--faults N shows more of them, --json all)"


def check(
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    *,
    jobs: int | None = 1,
    keep: int | None = None,
    progress: bool = False,
) -> Report:
    """Read every record of data sets and report faults and counts.

    Args:
        paths: Folders, with or without a dataset.toml, or single shards; local or remote.
        jobs: Processes; None for as many as the shards are worth, at most the cores.
        keep: How many faults of a data set are kept in full, the first ones; None for all. All are counted.
        progress: Whether to show a progress bar on a terminal.

    Raises:
        UsageError: There is no path, or `jobs` is out of its range.
        DataError: There is nothing at a path, its dataset.toml is wrong, or a worker process died. Faults of the
            shards raise nothing; they are in the report.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"`jobs` must be at least 1. Received: jobs={jobs}.")
    begin = time.perf_counter()
    found: dict[str, list[str] | None] = {}  # data set → its shards, None for all
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        root, chosen = find_dataset(path)
        if chosen is None:
            found[root] = None
        elif (shards := found.setdefault(root, [])) is not None:
            shards += chosen
    if not found:
        raise UsageError("No path to check was given. Give the folder of a data set, or shards.")
    targets = [_inspect(root, shards) for root, shards in found.items()]
    tasks = [(*task, keep) for _, splits, *_ in targets for each in splits.values() for task in each]
    if jobs is None:
        total = sum(file_size(shard) for shard, *_ in tasks if exists(shard))
        jobs = min(cores(), 1 + total // BYTES_PER_WORKER)
    hidden = None if progress else True
    advice = 'Check again with --jobs 1 (in a program, call check() below `if __name__ == "__main__":`).'
    found = in_processes(check_shard, tasks, 0 if 1 in (jobs, len(tasks)) else jobs, advice=advice)
    bar = tqdm(found, total=len(tasks), unit=" shards", leave=False, disable=hidden)
    outcomes = iter(bar)
    sets = tuple(_summarize(target, outcomes, keep) for target in targets)
    return Report(sets, seconds=time.perf_counter() - begin)


def check_shard(shard: str, parser: RecordParser | None, expected: int | None, keep: int | None) -> tuple:
    """Read a shard of so many records (None: unknown): counts (as ("frames", n)), its first faults, its hashed ids."""
    counts, faults, ids = Counter(), [], []

    def add_fault(record: int | None, byte: int | None, kind: str, what: object) -> None:
        counts["faults", kind] += 1
        if keep is None or len(faults) < keep:
            faults.append(Fault(shard, record, byte, kind, str(what)))

    try:
        for record in scan_records(shard, expected_count=expected):
            counts["records"] += record.error not in ("changed", "count")  # which end the shard
            try:
                data = record.check()
                video_id = _count(data, parser, counts) if parser else ""
            except InvalidRecord as problem:
                add_fault(record.number, record.offset, problem.kind, problem)
                continue
            counts["good"] += 1
            if video_id:
                # Among 8 million ids, two others share a hash once in half a million data sets.
                digest = hashlib.blake2b(video_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
                ids.append((int.from_bytes(digest, "little"), 0, record.number, record.offset))
        counts["bytes"] = file_size(shard)
    except DataError as error:
        add_fault(None, None, "unreadable", str(error).removeprefix(f"{shard} "))
    return counts, faults, np.array(ids, _IDS)


def _count(data: bytes, parser: RecordParser, counts: Counter) -> str:
    """Count what a record holds; its video's id, or `InvalidRecord`."""
    video = parser.read(data)
    if not is_writable_id(video.video_id):
        what = f"no file of predictions can hold the id {shorten(repr(video.video_id))}. Give it another."
        raise InvalidRecord(what, kind="id")
    for segment in parser.read_segments(data) if parser.rated else ():
        counts["ratings", "segments"] += 1
        counts["ratings", "ratings"] += len(segment.rated)
        counts["ratings", "present"] += len(segment.labels)
    counts["labels", len(video.labels)] += 1
    counts["frames", video.num_frames] += 1
    counts["cut"] += video.cut
    for label in video.labels:
        counts["classes", label] += 1
    if len(video.values) < len(parser.features):
        counts.update(("missing", each.name) for each in parser.features if each.name not in video.values)
    return video.video_id


def _summarize(target: tuple, outcomes: Iterator[tuple], keep: int | None) -> dict:
    """Add the outcomes of a data set (of `_inspect`) up; of each shard only its faults and ids stay in memory."""
    description, splits, missing, refusal = target
    total, by_split, faults, ids, shards, faulty = Counter(), {}, [], [np.empty(0, _IDS)], [], set()
    for split, tasks in splits.items():
        counts = Counter()
        for (shard, *_), (of_shard, found, hashes) in zip(tasks, islice(outcomes, len(tasks)), strict=True):
            counts.update(of_shard)
            faults += found
            faulty.update(shard for key in of_shard if key[0] == "faults")
            hashes["shard"] = len(shards)
            ids.append(hashes)
            shards.append(shard)
        total.update(counts)
        without = counts["labels", 0]
        by_split[split] = {"shards": len(tasks), "records": counts["records"], "without_labels": without}
    total["faults", "duplicate id"], duplicates = _find_duplicates(shards, np.concatenate(ids))
    total["faults", "missing shard"] = len(missing)
    what = "dataset.toml counts this shard, but it is not there"
    faults += [*duplicates, *(Fault(shard, None, None, "missing shard", what) for shard in missing)]
    # What opening refuses because of a shard's fault is in the list already.
    if refusal and not any(map(refusal.startswith, (*faulty, *missing))):
        total["faults", "refused"] = 1
        faults.insert(0, Fault(description["path"], None, None, "refused", refusal))

    def select(name: str) -> dict:
        return {key[1]: count for key, count in sorted(total.items(), key=str) if key[0] == name and count}

    by_kind, classes, listed = select("faults"), select("classes"), [each._asdict() for each in faults[:keep]]
    return description | {
        "whole": not by_kind,
        "num_classes": description["num_classes"] or max(classes, default=-1) + 1,
        "shards": len(shards),
        "bytes": total["bytes"],
        "records": total["records"],
        "good_records": total["good"],
        "splits": by_split,
        "frames": _distribution(select("frames")),
        "labels": _distribution(select("labels")),
        "ratings": select("ratings") or None,
        "missing": select("missing"),
        "cut": total["cut"],
        "classes": dict(sorted(classes.items())),
        "faults": {"total": sum(by_kind.values()), "by_kind": by_kind, "list": listed},
    }


def _find_duplicates(shards: Sequence[str], ids: np.ndarray) -> tuple[int, list[Fault]]:
    """How many videos repeat the id of an earlier one, and the first of them in full."""
    _, starts, inverse = np.unique(ids["hash"], return_index=True, return_inverse=True)
    earliest = starts[inverse]
    repeated, faults = np.flatnonzero(earliest != np.arange(len(ids))), []
    for pair in zip(ids[repeated[:10_000]], ids[earliest[repeated[:10_000]]], strict=True):
        later, first = ((shards[shard], record, byte) for _, shard, record, byte in map(np.void.item, pair))
        what = f"the video's id is that of an earlier one, {locate(*first)}. Leave one of them out."
        faults.append(Fault(*later, "duplicate id", what))
    return len(repeated), faults


def _distribution(counts: dict[int, int]) -> dict | None:
    """Figures of whole numbers above 0, given how often each occurs."""
    values = np.repeat(np.array([*counts], int), [*counts.values()])
    values = values[values > 0]
    figures = {"min": np.min, "median": np.median, "mean": np.mean, "max": np.max}
    return {name: figure(values).item() for name, figure in figures.items()} if values.size else None


def _inspect(root: str, shards: list[str] | None) -> tuple[dict, dict[str, list[tuple]], list[str], str]:
    """The description of a data set or of some of its shards; split → its shards with their parser and number of
    records (None: unknown); shards that are counted and missing; why `open_dataset` refuses it, or an empty text.
    """
    settings, refusal, dataset = read_dataset_toml(root), "", None
    splits, notes = find_splits(root, settings, shards)
    counts, missing = shard_counts(root, settings, splits)
    try:
        dataset = describe(root, settings, splits, notes, num_classes=0)
        notes = divided(dataset, partly=shards is not None).notes
    except DataError as error:
        refusal = str(error)
    parsers, release = dict.fromkeys(splits), None
    if dataset:
        # Labels are counted, and compared with what the vocabulary or dataset.toml name, if they do.
        known = replace(dataset, num_classes=dataset.num_classes or MAX_CLASSES)
        parsers = {split: known.parser(split) for split in splits}
        release = release_of(dataset.id_key, dataset.features.values())
    description = {
        "path": root,
        "name": settings.name or posixpath.basename(root) or root,
        "level": dataset and dataset.level,
        "release": "generated data" if settings.generated else release and release[0],
        "notes": list(notes),
        "features": [asdict(feature) for feature in dataset.features.values()] if dataset else [],
        "num_classes": dataset and dataset.num_classes,
    }
    tasks = {name: [(shard, parsers[name], counts.get(shard)) for shard in splits[name]] for name in splits}
    return description, tasks, missing if shards is None else [], refusal
