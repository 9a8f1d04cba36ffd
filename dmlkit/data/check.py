"""`check`: read every record of data sets, verify checksums and contents, and count what they hold.

Runs without TensorFlow for local files, in one process or several. Memory does not grow with the number of shards,
except for 24 bytes a video: a hash of its id and its place, by which repeated ids are found.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import posixpath
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from dmlkit.data.opening import find_splits, group_by_split, infer_layout, release_of, shard_counts
from dmlkit.data.parsing import RecordParser, Video
from dmlkit.data.protos import parse_record
from dmlkit.data.records import (
    MAX_DEPTH,
    SHARD_ERRORS,
    InvalidRecord,
    exists,
    file_size,
    is_folder,
    locate,
    scan_records,
)
from dmlkit.data.schema import (
    DATASET_TOML,
    Vocabulary,
    find_vocabulary,
    read_dataset_toml,
    vocabulary_of,
)
from dmlkit.errors import DataError, UsageError
from dmlkit.runtime import cores, interrupts
from dmlkit.text import counted, one_line, readable_size, shorten

SCHEMA = 1  # of the JSON record; another one only where an entry is removed or changes its meaning
# The layout is inferred from the first good records of so many shards, spread over all of them.
SAMPLED_SHARDS, SAMPLED_RECORDS, SEARCHED_RECORDS = 16, 4, 64
# A worker process takes a fraction of a second to start, in which a running one reads this much.
BYTES_PER_WORKER, SHARDS_PER_WORKER = 512 << 20, 2000
CLASSES_NAMED, BINS, MAX_DUPLICATES_LISTED = 5, 10, 10_000
# After these faults the number of records is unknown.
_UNCOUNTABLE = {*SHARD_ERRORS, "unreadable"} - {"record checksum"}
_IDS = np.dtype([("hash", "<u8"), ("shard", "<u4"), ("record", "<u4"), ("byte", "<u8")])


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        shard: The file.
        record: Its number in the shard, from 0; None where the file as a whole is meant.
        byte: Offset of the record's header; None where the file as a whole is meant.
        kind: A key of `dmlkit.data.records.SHARD_ERRORS` or `CONTENT_ERRORS`, or ``"unreadable"``, ``"missing shard"``,
            ``"no features"``, ``"level"`` (of another level than the data set), ``"duplicate id"``.
        what: What is wrong, for a reader.
    """

    shard: str
    record: int | None
    byte: int | None
    kind: str
    what: str

    def text(self) -> str:
        """Place and problem on one line."""
        place = self.shard if self.record is None else locate(self.shard, self.record, self.byte)
        return f"{place}: {self.what}"


class Task(NamedTuple):
    """One shard to check: the records it should or may have, and how many faults to keep in full (None: all).

    Its records should be what `parser` reads; None where no record shows that, so that only checksums are verified.
    """

    shard: str
    parser: RecordParser | None
    exactly: int | None
    at_most: int | None
    keep: int | None


class Outcome(NamedTuple):
    """Of one shard: its counts, its first faults, and hash and place of each good record's id.

    Counted are "records", "good", "bytes", ("frames", n): videos of n frames, ("classes", c): videos of class c, ...
    """

    counts: Counter
    faults: list[Fault]
    ids: np.ndarray


class Target(NamedTuple):
    """One data set to check, or some shards of one: what is known of it, and a task for each shard of each split.

    `known` goes into the report as it is; `missing` shards are counted in dataset.toml.
    """

    known: dict
    tasks: dict[str, list[Task]]
    class_names: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The result of a check: the data sets' records, as `to_record` documents them, seconds and processes."""

    sets: tuple[dict, ...]
    seconds: float
    processes: int

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong anywhere."""
        return all(each["whole"] for each in self.sets)

    def to_record(self) -> dict:
        """Everything, as ``dmlkit data check --json`` prints it.

        Returns:
            ``schema`` (1), ``whole``, ``seconds``, ``processes`` and ``sets``, one entry a data set:

            * ``path``, ``name``, ``whole``; ``level`` (``"video"``, ``"frame"``, None where no record shows it),
              ``release`` (``"YouTube-8M 2017"``, ``"YouTube-8M 2018"``, ``"AudioSet"``, ``"generated data"``, None for
              a layout of one's own), ``features`` (name, size, coding, key), ``num_classes``
            * ``shards``, ``empty_shards``, ``bytes``, ``records`` (all that can be told apart), ``good_records``
            * ``splits``: name → shards, records, without_labels
            * ``frames`` a video, and ``labels`` a video that has any: min, median, mean, max, and ``bins`` of from, to
              (both inclusive) and videos; None where there are none
            * ``without_labels``, ``without_id``: videos; ``missing``: modality → videos that lack it
            * ``classes``: how many ``occur``; the ``commonest`` and ``rarest`` of those (class, name, videos)
            * ``faults``: ``total``, ``by_kind`` and ``list`` of shard, record, byte, kind, what (record and byte are
              None where a file as a whole is meant; of repeated ids at most 10,000 are listed)
        """
        figures = {"seconds": round(self.seconds, 3), "processes": self.processes}
        return {"schema": SCHEMA, "whole": self.whole, **figures, "sets": list(self.sets)}

    def text(self, *, faults: int = 20) -> str:
        """The same for people, a paragraph a data set with at most `faults` of its faults."""
        lines = [line for each in self.sets for line in (*_describe(each, faults), "")]
        read = sum(each["bytes"] for each in self.sets)
        speed = f"{readable_size(read)} in {self.seconds:.1f} s, {readable_size(read / max(self.seconds, 1e-9))}/s"
        found = sum(each["faults"]["total"] for each in self.sets)
        result = f"Damaged: {counted(found, 'fault')}." if found else "Whole: no faults."
        return "\n".join([*lines, f"{result} Read {speed}."])


def _describe(record: dict, faults: int) -> Iterator[str]:
    """The lines of one data set."""
    yield one_line(
        record["path"] if record["name"] in record["path"] else f"{record['name']}, {record['path']}"
    )
    if record["level"] is None:
        yield "  layout          unknown: no good record, so only checksums were verified"
    else:
        features = [f"{one_line(f['name'])} {f['size']:,} ({f['coding']})" for f in record["features"]]
        yield f"  layout          {record['release'] or 'a layout of its own'}, {record['level']} level"
        yield f"                  {', '.join(features)}; {counted(record['num_classes'], 'class', 'classes')}"
    for split, each in record["splits"].items():
        labels = f", {each['without_labels']:,} of them without labels" if each["without_labels"] else ""
        yield f"  {split:16}{each['records']:>10,} in {counted(each['shards'], 'shard')}{labels}"
    for name in ("frames", "labels"):
        if each := record[name]:
            figures = f"median {each['median']:,g}, mean {each['mean']:,.1f}"
            yield f"  {name + ' a video':16}{each['min']:,} to {each['max']:,}, {figures}"
    if (classes := record["classes"])["occur"]:
        yield f"  classes         {classes['occur']:,} of {record['num_classes']:,} occur"
        for name in ("commonest", "rarest"):
            named = (f"{shorten(row['name'], 24)} ({row['videos']:,})" for row in classes[name])
            yield f"    {name:14}{', '.join(named)}"
    for modality, videos in record["missing"].items():
        yield f"  missing         {one_line(modality)} in {counted(videos, 'video')}: read as silence, or no words"
    for name, what in (("without_id", "video"), ("empty_shards", "shard")):
        if record[name]:
            yield f"  {name.replace('_', ' '):16}{counted(record[name], what)}"
    by_kind = sorted(record["faults"]["by_kind"].items(), key=lambda each: -each[1])
    kinds = ", ".join(f"{kind} ({count:,})" for kind, count in by_kind)
    yield f"  faults          {kinds or 'none'}"
    shown = record["faults"]["list"][:faults]
    yield from (f"    {one_line(Fault(**each).text())}" for each in shown)
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
        UsageError: There is no path, or a number is out of its range.
        DataError: There is nothing at a path, no shard in a folder, its dataset.toml is wrong, or a worker process
            died. Faults of the shards raise nothing; they are in the report.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"`jobs` must be at least 1. Received: jobs={jobs}.")
    begin = time.perf_counter()
    targets = find_targets([paths] if isinstance(paths, str | os.PathLike) else paths, keep=keep)
    tasks = [task for target in targets for each in target.tasks.values() for task in each]
    total = sum(_size(task.shard) for task in tasks)
    jobs = jobs or min(cores(), 1 + max(total // BYTES_PER_WORKER, len(tasks) // SHARDS_PER_WORKER))
    hidden = None if progress else True
    with tqdm(total=total, desc="check", unit="B", unit_scale=True, leave=False, disable=hidden) as bar:
        outcomes = _outcomes(tasks, jobs, bar)
        records = tuple(_record(target, outcomes, keep) for target in targets)
    return Report(records, seconds=time.perf_counter() - begin, processes=jobs)


def _outcomes(tasks: Sequence[Task], jobs: int, bar: tqdm) -> Iterator[Outcome]:
    """The outcome of each task, in their order."""
    if jobs == 1 or len(tasks) == 1:
        for outcome in map(check_shard, tasks):
            bar.update(outcome.counts["bytes"])
            yield outcome
        return
    others, done = multiprocessing.active_children(), 0
    # Not forked: TensorFlow may run threads in this process.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context, initializer=_watch_parent)
    try:
        # A terminal's Ctrl-C reaches every process; the workers leave it to this one.
        with interrupts(signal.SIG_IGN):
            outcomes = executor.map(check_shard, tasks, chunksize=max(1, min(64, len(tasks) // (8 * jobs))))
        for outcome in outcomes:
            done += 1
            bar.update(outcome.counts["bytes"])
            yield outcome
    except BrokenProcessPool as error:
        raise DataError(
            f"A worker process of the check died, at or soon after {tasks[min(done, len(tasks) - 1)].shard}. Perhaps "
            "there was too little memory: check again with --jobs 1. (In a program of your own, call check() below "
            '`if __name__ == "__main__":`.)'
        ) from error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            if child not in others:
                child.kill()


def _watch_parent() -> None:
    """In a worker: end with the process that started it, however that ends."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def check_shard(task: Task) -> Outcome:
    """Read a shard to its end, whatever is wrong with it."""
    shard, parser = task.shard, task.parser
    counts, faults, ids, record = Counter(bytes=_size(shard)), [], [], None

    def fault(kind: str, what: str, record: int | None, byte: int | None) -> None:
        counts["faults", kind] += 1
        if task.keep is None or len(faults) < task.keep:
            faults.append(Fault(shard, record, byte, kind, what))

    try:
        for record in scan_records(shard):
            counts["records"] += 1
            if record.error:
                fault(record.error, SHARD_ERRORS[record.error][0], record.number, record.offset)
                continue
            try:
                if parser is not None:
                    video = parser.read(record.data)
                    _count(counts, video, parser)
                    if video.video_id:
                        # Among 8 million ids, two others share a hash once in half a million data sets.
                        digest = hashlib.blake2b(
                            video.video_id.encode("utf-8", "surrogatepass"), digest_size=8
                        )
                        hashed = int.from_bytes(digest.digest(), "little")
                        ids.append((hashed, 0, record.number, record.offset))
                counts["good"] += 1
            except InvalidRecord as problem:
                kind, what, other = problem.kind, str(problem), None
                if kind in ("frames", "no features"):
                    other = infer_layout([parse_record(record.data)])
                if other and other.level != parser.level:
                    kind, what = (
                        "level",
                        f"a {other.level}-level record among {parser.level}-level ones. Separate them.",
                    )
                fault(kind, what, record.number, record.offset)
    except DataError as error:
        fault("unreadable", str(error).removeprefix(f"{shard} "), None, None)
    records, limit = counts["records"], task.at_most if task.exactly is None else task.exactly
    if faults and records == 1 and record.error == "length checksum" and not record.offset:
        faults[0] = faults[0]._replace(what="no record: the file is no TFRecord, or damaged. Fetch it again.")
    wrong = limit is not None and (records > limit or (task.exactly is not None and records < limit))
    if wrong and not any(("faults", kind) in counts for kind in _UNCOUNTABLE):
        cut = records < limit
        cause = "it was cut between two records" if cut else "it was written anew"
        what = f"{records} records, {limit} in dataset.toml: {cause}, or dataset.toml is of other data. Correct one."
        # The place of the first record that is missing or not counted.
        fault("count", what, min(records, limit), counts["bytes"] if cut else None)
    counts["empty"] = int(not records)
    return Outcome(counts, faults, np.array(ids, _IDS))


def _count(counts: Counter, video: Video, parser: RecordParser) -> None:
    if not video.values:
        keys = ", ".join(feature.key for feature in parser.features)
        raise InvalidRecord(f"the video has none of {keys}. Leave the record out.", kind="no features")
    classes = set(video.labels)
    counts["labels", len(classes)] += 1
    counts["without_id"] += not video.video_id
    if video.num_frames:
        counts["frames", video.num_frames] += 1
    for label in classes:
        counts["classes", label] += 1
    if len(video.values) < len(parser.features):
        counts.update(("missing", each.name) for each in parser.features if each.name not in video.values)


def _size(shard: str) -> int:
    """Bytes; 0 where the file cannot be read, which reading it reports."""
    try:
        return file_size(shard)
    except Exception:
        return 0


def _record(target: Target, outcomes: Iterator[Outcome], keep: int | None) -> dict:
    """Take a data set's outcomes and add them up; of each shard only its faults and ids stay in memory."""
    total, splits, faults, ids, shards = Counter(), {}, [], [np.empty(0, _IDS)], []
    for split, tasks in target.tasks.items():
        counts = Counter()
        for task, outcome in zip(tasks, islice(outcomes, len(tasks)), strict=True):
            counts.update(outcome.counts)
            faults += outcome.faults
            outcome.ids["shard"] = len(shards)
            ids.append(outcome.ids)
            shards.append(task.shard)
        total.update(counts)
        records = counts["records"]
        splits[split] = {"shards": len(tasks), "records": records, "without_labels": counts["labels", 0]}
    duplicates, listed = _find_duplicates(shards, np.concatenate(ids))
    missing = "dataset.toml counts this shard, but it is not there"
    faults += [*listed, *(Fault(shard, None, None, "missing shard", missing) for shard in target.missing)]
    total["faults", "duplicate id"], total["faults", "missing shard"] = duplicates, len(target.missing)

    def select(name: str) -> dict:
        return {key[1]: count for key, count in sorted(total.items(), key=str) if key[0] == name and count}

    labels, by_kind, classes = select("labels"), select("faults"), select("classes")
    labels.pop(0, None)
    names = dict(enumerate(target.class_names))
    ranked = [
        {"class": index, "name": names.get(index, f"class {index}"), "videos": videos}
        for index, videos in sorted(classes.items(), key=lambda each: (-each[1], each[0]))
    ]
    commonest, rarest = ranked[:CLASSES_NAMED], ranked[::-1][:CLASSES_NAMED]
    listed = [fault._asdict() for fault in faults[:keep]]
    return target.known | {
        "whole": not by_kind,
        "num_classes": target.known["num_classes"] or max(classes, default=-1) + 1,
        "shards": len(shards),
        "empty_shards": total["empty"],
        "bytes": total["bytes"],
        "records": total["records"],
        "good_records": total["good"],
        "splits": splits,
        "frames": _distribution(select("frames")),
        "labels": _distribution(labels),
        "without_labels": total["labels", 0],
        "without_id": total["without_id"],
        "missing": select("missing"),
        "classes": {"occur": len(ranked), "commonest": commonest, "rarest": rarest},
        "faults": {"total": sum(by_kind.values()), "by_kind": by_kind, "list": listed},
    }


def _find_duplicates(shards: Sequence[str], ids: np.ndarray) -> tuple[int, list[Fault]]:
    """How many videos repeat the id of an earlier one, and the first of them in full."""
    order = np.argsort(ids["hash"], kind="stable")
    ranked = ids["hash"][order]
    repeated = np.flatnonzero(ranked[1:] == ranked[:-1]) + 1
    firsts = order[np.searchsorted(ranked, ranked[repeated])]
    faults, pairs = [], sorted(zip(order[repeated].tolist(), firsts.tolist(), strict=True))
    for pair in pairs[:MAX_DUPLICATES_LISTED]:
        later, first = ((shards[shard], record, byte) for _, shard, record, byte in ids[list(pair)].tolist())
        what = f"the video's id is that of an earlier one, {locate(*first)}. Leave one of them out."
        faults.append(Fault(*later, "duplicate id", what))
    return len(repeated), faults


def find_targets(paths: Iterable[str | os.PathLike], *, keep: int | None = None) -> list[Target]:
    """The data sets at some paths: folders, or single shards, of which those of one data set are put together.

    Accepts what `open_dataset` refuses, as long as some record can be read: damaged first records, too few shards.

    Raises:
        UsageError: There is no path.
        DataError: There is nothing at a path, no shard in a folder, or its dataset.toml is wrong.
    """
    found: dict[str, list[str] | None] = {}
    for path in map(os.fspath, paths):
        if is_folder(path):
            found[path.rstrip("/") or "/"] = None
        elif exists(path):
            shards = found.setdefault(_dataset_folder(path), [])
            if shards is not None:  # else the whole folder is checked anyway
                shards.append(path)
        else:
            raise DataError(f"There is nothing at {path}. Give the folder of a data set, or a shard.")
    if not found:
        raise UsageError("No path to check was given. Give the folder of a data set, or shards.")
    return [_target(root, shards, keep) for root, shards in found.items()]


def _dataset_folder(shard: str) -> str:
    """The nearest folder above a shard that has a description or vocabulary; else the one it lies in."""
    folder = posixpath.dirname(shard)
    for _ in range(MAX_DEPTH + 1):
        if exists(posixpath.join(folder, DATASET_TOML)) or find_vocabulary(folder):
            return folder
        folder = posixpath.dirname(folder)
    return posixpath.dirname(shard)


def _target(root: str, shards: list[str] | None, keep: int | None) -> Target:
    declared = read_dataset_toml(root)
    splits = find_splits(root, declared) if shards is None else group_by_split(sorted(set(shards)), root)
    counts, missing = shard_counts(root, declared, splits)
    every = [shard for each in splits.values() for shard in each]
    sampled = every[:: max(1, len(every) // SAMPLED_SHARDS)]
    records = [record for shard in sampled for record in islice(_good_records(shard), SAMPLED_RECORDS)]
    records = records or list(islice(chain.from_iterable(map(_good_records, every)), SAMPLED_RECORDS))
    layout = infer_layout(records)
    release, classes = (layout and release_of(records[0], layout.features.values())) or (None, None)
    vocabulary = vocabulary_of(root, declared)
    classes = declared.num_classes or (vocabulary.num_classes if vocabulary else classes)
    features = declared.complete_features(layout.features if layout else {})
    level = declared.level or (layout.level if layout else None)
    parser = None
    if features and level:
        parser = RecordParser(level, tuple(features.values()), classes or sys.maxsize, labelled=True)
    each = declared.records_per_shard if shards is None else None  # what every shard but a split's last holds
    tasks = {
        split: [
            Task(shard, parser, counts.get(shard, None if shard == shards[-1] else each), each, keep)
            for shard in shards
        ]
        for split, shards in splits.items()
    }
    known = {
        "path": root,
        "name": declared.name or posixpath.basename(root) or root,
        "level": parser and level,
        "release": "generated data" if declared.generated else release,
        "features": [asdict(feature) for feature in features.values()],
        "num_classes": classes,
    }
    class_names = (vocabulary or Vocabulary({}, {})).class_names(classes or 0)
    return Target(known, tasks, class_names, tuple(missing) if shards is None else ())


def _good_records(shard: str) -> Iterator:
    """The intact ones among the first records; what is wrong with the others is reported when the shard is checked."""
    with suppress(DataError):
        for record in islice(scan_records(shard), SEARCHED_RECORDS):
            with suppress(Exception):  # damaged, or another kind of file
                yield parse_record(record.check())


def _distribution(counts: dict[int, int]) -> dict | None:
    """Minimum, median, mean, maximum and histogram of whole numbers, given how often each occurs."""
    if not counts:
        return None
    values = np.repeat(list(counts), list(counts.values()))
    low, high = int(values.min()), int(values.max())
    widths = (10**power * step for power in range(20) for step in (1, 2, 5))
    width = next(width for width in widths if high // width - low // width < BINS)
    edges = np.arange(low // width * width, high + width + 1, width).tolist()
    bins = zip(edges, edges[1:], np.histogram(values, edges)[0].tolist(), strict=False)
    return {
        "min": low,
        "median": float(np.median(values)),
        "mean": float(values.mean()),
        "max": high,
        "bins": [{"from": start, "to": end - 1, "videos": videos} for start, end, videos in bins],
    }
