"""The submission format of YouTube-8M 2019, a CSV file of segments: write, check, evaluate. Needs no TensorFlow.

    Class,Segments
    3,aa00:0 bb11:15 aa00:45

A line a class: its index in the vocabulary and at most 100,000 segments, each the id of its video and its first second,
by falling confidence. It holds no scores, so that classes are ranked apart from each other.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from dmlkit.data import SEGMENT_SECONDS, Dataset, as_dataset, read_lengths, read_rated
from dmlkit.data.records import is_writable_id
from dmlkit.errors import DataError, counted, shorten
from dmlkit.metrics import SEGMENTS_A_CLASS, RatedPairs, SegmentPrecision, map_at_k_interval
from dmlkit.submission import Fault, clear_lines, file_for, quoted, raw_lines

HEADER = "Class,Segments"
_ENTRY = np.dtype([("segment", np.uint32), ("score", np.float32)])  # of the temporary file
_HELD_SCORES = 1 << 22  # collected before they are handed out to the classes: 16 MB


class ClassLine(NamedTuple):
    """One line: its number, its class (None: the header, or malformed), its segments, its faults."""

    number: int
    label: int | None
    segments: list[str]
    faults: list[Fault]


# Writing.


def write(
    blocks: Iterable[tuple[Sequence[str], np.ndarray]],
    out: str | os.PathLike,
    *,
    k: int = SEGMENTS_A_CLASS,
    classes: Collection[int] | None = None,
) -> int:
    """Write each class's `k` best segments; of equal scores, at single precision, the segment that comes first.

    Memory does not grow with the scores, and by 8 bytes a segment. A temporary file beside `out`, which the system
    removes however this ends, holds at most 16 · k bytes a class: 1.6 GB for 1,000 classes and k = 100,000.

    Args:
        blocks: Ids ``"VIDEO:START"`` and scores (segments, classes), some segments at a time.
        out: As of `dmlkit.submission.file_for`.
        k: The most segments a class.
        classes: Those that are written; all where None.

    Returns:
        How many segments were ranked.
    """
    names, codes, held, best = {}, [np.empty(0, np.int64)], [], None
    chosen = None if classes is None else sorted({*classes})
    folder = None if os.fspath(out) == "-" else Path(os.path.realpath(out)).parent
    with file_for(out) as file, tempfile.TemporaryFile(dir=folder) as temporary:
        for ids, scores in blocks:
            scores = np.asarray(scores, np.float32)
            if not np.isfinite(scores).all():
                raise DataError(f"The scores of {ids[0]!r} or a segment after it are not finite numbers.")
            if best is None:
                chosen = list(range(scores.shape[1])) if chosen is None else chosen
                best = _Best(temporary, len(chosen), k)
            codes.append(_codes(ids, names))
            held.append(scores[:, chosen])
            if sum(each.size for each in held) >= _HELD_SCORES:
                best.add(np.concatenate(held))
                held.clear()
        if best is None:
            raise DataError(
                "There are no segments to write. `dmlkit data show DIR` shows the data set's splits."
            )
        if held:
            best.add(np.concatenate(held))
        coded, counts = np.unique(segments := np.concatenate(codes), return_counts=True)
        texts = list(names)
        if (counts > 1).any():
            code = int(coded[counts > 1][0])
            text = shorten(repr(f"{texts[code >> 32]}:{code & 0xFFFFFFFF}"))
            raise DataError(f"The segment {text} comes twice. Give each video an id of its own.")
        file.write(f"{HEADER}\n".encode())
        for place, label in enumerate(chosen):
            ranked = segments[best.ranked(place)["segment"]].tolist()
            cell = " ".join([f"{texts[code >> 32]}:{code & 0xFFFFFFFF}" for code in ranked])
            file.write(f"{label},{quoted(cell)}\n".encode())
    return segments.size


def _codes(ids: Sequence[str], names: dict[str, int]) -> np.ndarray:
    """(segments,) int64: the number of each segment's video among `names`, which is added there, and its start."""
    codes = []
    for segment in ids:
        video, _, start = str(segment).rpartition(":")
        if not is_writable_id(video) or " " in video or not _is_start(start):
            raise DataError(
                f"{shorten(repr(segment))} cannot be part of a submission, which takes VIDEO:START, a video's id "
                "without blanks and control characters, and a second. Give the videos other ids."
            )
        codes.append(names.setdefault(video, len(names)) << 32 | int(start))
    return np.array(codes, np.int64)


def _is_start(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and (text == "0" or text[0] != "0")


class _Best:
    """The `k` best entries of each class, in a file that has room for twice as many of each."""

    def __init__(self, file: BinaryIO, num_classes: int, k: int):
        self._file, self._k, self._added = file, k, 0
        self._counts, self._least = [0] * num_classes, [-np.inf] * num_classes

    def add(self, scores: np.ndarray) -> None:
        """Add segments, (segments, classes): of each class those that may be among its `k` best."""
        for label, column in enumerate(np.ascontiguousarray(scores.T)):
            chosen = np.flatnonzero(column > self._least[label])
            entries, kept = np.empty(chosen.size, _ENTRY), self._counts[label]
            entries["segment"], entries["score"] = chosen + self._added, column[chosen]
            if kept + entries.size > 2 * self._k:
                entries, kept = np.concatenate([self._read(label), entries]), 0
                order = np.sort(
                    _ranks(entries)[: self._k]
                )  # segments stay in their order, which decides between equals
                entries = entries[order]
                self._least[label] = entries["score"].min()
            self._file.seek((2 * self._k * label + kept) * _ENTRY.itemsize)
            self._file.write(entries.tobytes())
            self._counts[label] = kept + entries.size
        self._added += len(scores)

    def ranked(self, label: int) -> np.ndarray:
        """The best entries of a class, best first."""
        entries = self._read(label)
        return entries[_ranks(entries)[: self._k]]

    def _read(self, label: int) -> np.ndarray:
        self._file.seek(2 * self._k * label * _ENTRY.itemsize)
        return np.frombuffer(self._file.read(self._counts[label] * _ENTRY.itemsize), _ENTRY)


def _ranks(entries: np.ndarray) -> np.ndarray:
    return np.argsort(-entries["score"], kind="stable")


# Checking and measuring.


def check(file: str | os.PathLike, *, data, split: str = "test") -> tuple[int, Iterator[Fault]]:
    """Check a submission (compressed by gzip or not) against a split, rated or not, of a data set or its path.

    Returns:
        The number of videos of the split, and an iterator over the faults, line by line.
    """
    dataset, seconds, ratings = _read(data, split)
    rated = {segment for segment, *_ in ratings}
    lines = match_lines(file, seconds=seconds, rated=rated, num_classes=dataset.num_classes)
    return len(seconds), (fault for line in lines for fault in line.faults)


def evaluate(file: str | os.PathLike, *, data, split: str = "validate") -> dict:
    """mAP@K of a submission (compressed or not) and its interval, the same as of the scores it was written from.

    A class that segments were rated to show and that has no line counts as 0.

    Returns:
        As of `SegmentPrecision.result`; `map_at_k_interval` (low, high), and the `videos` it is over; `notes`, as of
        `dmlkit.submission.evaluate`. The split must be rated, and the file without other faults; else `DataError`.
    """
    dataset, seconds, ratings = _read(data, split)
    if not ratings:
        dataset.require_labels(split)
        raise DataError(
            f"No segment of the split {split!r} of {dataset.path} is rated. Measure on another split."
        )
    segments, classes, correct = zip(*ratings, strict=True)
    places: dict[int, dict[str, int]] = defaultdict(dict)  # class → rated segment → its place among the pairs
    for place, (segment, label) in enumerate(zip(segments, classes, strict=True)):
        places[label][segment] = place
    scores, rated, notes, there = np.full(len(ratings), -np.inf), {*segments}, [], set()
    lines = match_lines(file, seconds=seconds, rated=rated, num_classes=dataset.num_classes)
    for line in clear_lines(lines, file=file, notes=notes):
        if line.label is not None:
            own = places.get(line.label, {})
            listed = [own[segment] for segment in line.segments if segment in own]
            scores[listed] = -np.arange(len(listed), dtype=float)
            there.add(line.label)
    videos = np.array([segment.rpartition(":")[0] for segment in segments])
    pairs = RatedPairs(np.array(classes, np.int32), scores, np.array(correct), videos)
    if missing := {*pairs.classes[pairs.correct].tolist()} - there:
        listed = shorten(", ".join(map(str, sorted(missing))), 60)
        what = f"{file} has no line for {counted(len(missing), 'class', 'classes')} that segments show"
        notes.append(f"{what}, whose average precision counts as 0: {listed}.")
    measured = SegmentPrecision()
    measured.add(pairs, segments=len(rated), num_classes=dataset.num_classes)
    figures = measured.result() | {"k": SEGMENTS_A_CLASS, "map_at_k_interval": list(map_at_k_interval(pairs))}
    return figures | {"videos": len({*videos.tolist()}), "notes": notes}


def _read(data, split: str) -> tuple[Dataset, dict[str, int], list[tuple[str, int, bool]]]:
    """The data set, the seconds of each video of the split, and its ratings: segment, class, whether it is shown."""
    dataset = as_dataset(data, unit="segment")
    videos = list(read_lengths(dataset, split))
    if len(seconds := dict(videos)) < len(videos):
        raise DataError(
            f"{len(videos):,} videos of {split!r} in {dataset.name} share {len(seconds):,} ids, so a submission is "
            "ambiguous. `dmlkit data check` lists them."
        )
    rows = read_rated(dataset, split) if split in dataset.segments else ()
    return dataset, seconds, [(row, label, label in labels) for row, labels, rated in rows for label in rated]


def match_lines(
    file: str | os.PathLike, *, seconds: Mapping[str, int], rated: Collection[str], num_classes: int
) -> Iterator[ClassLine]:
    """The lines of a submission, held against the videos of a split, each with its length in seconds.

    A segment is one of the rated ones, or begins at a multiple of five seconds in one of the videos. (The starter code
    lists also a last segment that ends after its video.)
    """
    first: dict[int, int] = {}  # class → its line

    def problem(segment: str) -> str:
        video, _, start = segment.rpartition(":")
        if not video or not _is_start(start):
            return "is not VIDEO:START"
        if video not in seconds:
            return "is of no video of this split"
        if int(start) >= seconds[video]:
            return f"starts after the end of the video, which lasts {seconds[video]} s"
        return f"does not start at a multiple of {SEGMENT_SECONDS} s" if int(start) % SEGMENT_SECONDS else ""

    for line in starmap(_read_line, raw_lines(file, HEADER)):
        number, label, segments, faults = line
        if label is not None and label >= num_classes:
            faults.append(Fault(number, "class", f"{label}: classes are 0 to {num_classes - 1}"))
        elif label is not None and first.setdefault(label, number) != number:
            faults.append(Fault(number, "duplicate class", f"{label} is on line {first[label]} already"))
        wrong = ((segment, problem(segment)) for segment in segments if segment not in rated)
        faults += [
            Fault(number, "segment", f"{shorten(repr(segment), 60)} {what}")
            for segment, what in wrong
            if what
        ]
        yield line


def _read_line(number: int, body: bytes | None, faults: list[Fault]) -> ClassLine:
    if body is None:
        return ClassLine(number, None, [], faults)

    def fault(kind: str, what: str, clear: bool = False) -> None:
        faults.append(Fault(number, kind, what, clear))

    text = body.decode("utf-8", "surrogateescape")  # what is no UTF-8 is no id
    head, comma, rest = text.partition(",")
    label, cell = _unquoted(head).strip(), _unquoted(rest)
    if not comma or not (label.isascii() and label.isdigit()) or len(label) > 9:
        what = "does not begin with a class, a whole number from 0 on, and a comma"
        fault("class", f"{shorten(repr(text), 60)} {what}")
        return ClassLine(number, None, [], faults)
    words = cell.split(" ")
    if "" in words or "\t" in cell or head != head.strip():
        words = [word for word in cell.replace("\t", " ").split(" ") if word]
        fault("format", "has blanks other than the single spaces between segments", True)
    if '"' in head or (rest != cell) != ("," in cell or '"' in cell):
        fault("format", "has quotation marks that the format does not need, or lacks some", True)
    if len(words) > SEGMENTS_A_CLASS:
        fault("format", f"has {len(words):,} segments; at most {SEGMENTS_A_CLASS:,} count")
    for segment, count in Counter(words).items() if len({*words}) < len(words) else ():
        if count > 1:
            fault("duplicate segment", f"{shorten(repr(segment), 60)} is there {count} times")
    return ClassLine(number, int(label), words, faults)


def _unquoted(cell: str) -> str:
    """A cell of a CSV file without the quotation marks around it (the csv module takes no cells of this length)."""
    bare = cell[1:-1].replace('""', "")
    return cell[1:-1].replace('""', '"') if f'"{cell[1:-1]}"' == cell and '"' not in bare else cell
