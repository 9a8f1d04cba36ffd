"""The submission format of YouTube-8M 2019, a CSV file of segments: write, check, evaluate. Needs no TensorFlow.

    Class,Segments
    3,aa00:0 bb11:15 aa00:45

A line a class: its index in the vocabulary and at most 100,000 segments, each the id of its video and the second at
which it begins, by falling confidence.
"""

from __future__ import annotations

import os
import re
import tempfile
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from dmlkit.data import SEGMENT_SECONDS, Dataset, as_dataset, read_rated
from dmlkit.data.records import is_writable_id
from dmlkit.errors import DataError, counted, shorten
from dmlkit.metrics import SEGMENTS_A_CLASS, RatedPairs, interval_over_videos, measure_pairs, videos_of
from dmlkit.submission import Fault, by_id, clear_lines, file_for, raw_lines

HEADER = "Class,Segments"
_SEGMENT = re.compile(r'([^ ,"]+):(0|[1-9][0-9]{0,8})')
_ENTRY = np.dtype([("segment", np.uint32), ("score", np.float32)])  # of the temporary file
_VIDEOS_AT_ONCE = 16
_HELD_SCORES = 1 << 22  # collected before they are distributed to the classes: 16 MB


class ClassLine(NamedTuple):
    """One line: its class (None: the header, or malformed), its segments, its faults."""

    label: int | None
    segments: list[str]
    faults: list[Fault]


def write(
    blocks: Iterable[tuple[Sequence[str], np.ndarray]],
    out: str | os.PathLike,
    *,
    k: int = SEGMENTS_A_CLASS,
    classes: Collection[int] | None = None,
) -> int:
    """Write each class's `k` best segments, and return how many were ranked.

    Of equal scores, at single precision, the segment that comes first is ranked higher. A temporary file in the folder
    of `out`, which the system removes however this ends, holds at most 16 k bytes a class (1.6 GB for 1,000 classes);
    memory grows by 8 bytes a segment and the ids of the videos.

    Args:
        blocks: Ids ``"VIDEO:START"`` and scores (segments, classes), some segments at a time.
        out: As of `dmlkit.submission.file_for`.
        k: The most segments a class.
        classes: Those that are written; all where None.
    """
    names, codes = {}, array("q")  # video → its number; of each segment this number and the start
    held, best = [], None
    folder = None if os.fspath(out) == "-" else Path(os.path.realpath(out)).parent
    with file_for(out) as file, tempfile.TemporaryFile(dir=folder) as temporary:
        for ids, scores in blocks:
            scores = np.asarray(scores, np.float32)
            if len(ids) != len(scores):
                raise ValueError(f"Each segment needs scores. Received: {len(ids)} ids, {len(scores)} rows.")
            if not np.isfinite(scores).all():
                raise DataError(f"Scores from the segment {shorten(ids[0])!r} on are not finite numbers.")
            if best is None:
                written = sorted(range(scores.shape[1]) if classes is None else {*classes})
                best = _Best(temporary, len(written), k)
            for segment in map(str, ids):
                found = _SEGMENT.fullmatch(segment)
                if not found or not is_writable_id(found[1]):
                    raise DataError(
                        f"{shorten(repr(segment))} cannot be part of a submission: VIDEO:START, a video's id without "
                        "blanks, commas, quotation marks and control characters. Give the videos other ids."
                    )
                codes.append(names.setdefault(found[1], len(names)) << 32 | int(found[2]))
            held.append(scores[:, written])
            if sum(each.size for each in held) >= _HELD_SCORES:
                best.add(np.concatenate(held))
                held.clear()
        if best is None:
            raise DataError("There are no segments to write. `dmlkit data show DIR` shows the splits.")
        if held:
            best.add(np.concatenate(held))
        segments, videos = np.array(codes), list(names)
        found, counts = np.unique(segments, return_counts=True)
        if len(found) < len(segments):
            name = shorten(repr(_text(found[counts > 1][0], videos)))
            raise DataError(f"The segment {name} comes twice. Give each video an id of its own.")
        file.write(f"{HEADER}\n".encode())
        for place, label in enumerate(written):
            ranked = segments[best.ranked(place)["segment"]].tolist()
            file.write(f"{label},{' '.join([_text(code, videos) for code in ranked])}\n".encode())
    return len(codes)


def _text(code: int, videos: Sequence[str]) -> str:
    return f"{videos[code >> 32]}:{code & 0xFFFFFFFF}"


class _Best:
    """The `k` best entries of each class, in a file that has room for twice as many of each."""

    def __init__(self, file: BinaryIO, num_classes: int, k: int):
        self._file, self._k, self._added = file, k, 0
        self._counts, self._least = [0] * num_classes, [-np.inf] * num_classes

    def add(self, scores: np.ndarray) -> None:
        """Add segments, (segments, classes): of each class those that may be among its `k` best."""
        for place, column in enumerate(np.ascontiguousarray(scores.T)):
            chosen, kept = np.flatnonzero(column > self._least[place]), self._counts[place]
            entries = np.empty(chosen.size, _ENTRY)
            entries["segment"], entries["score"] = chosen + self._added, column[chosen]
            if kept + entries.size > 2 * self._k:
                entries, kept = self.ranked(place, entries), 0
                self._least[place] = entries["score"][-1]
            self._file.seek((2 * self._k * place + kept) * _ENTRY.itemsize)
            self._file.write(entries.tobytes())
            self._counts[place] = kept + entries.size
        self._added += len(scores)

    def ranked(self, place: int, *later: np.ndarray) -> np.ndarray:
        """The best of a class's entries and of `later` ones, best first; of equal scores the earlier ones."""
        self._file.seek(2 * self._k * place * _ENTRY.itemsize)
        kept = np.frombuffer(self._file.read(self._counts[place] * _ENTRY.itemsize), _ENTRY)
        entries = np.concatenate([kept, *later])
        return entries[np.argsort(-entries["score"], kind="stable")[: self._k]]


def check(file: str | os.PathLike, *, data, split: str = "test") -> tuple[int, Iterator[Fault]]:
    """Check a submission (compressed by gzip or not) against a split, rated or not, of a data set or its path.

    Returns:
        The number of videos of the split, and an iterator over the faults, line by line.
    """
    dataset, seconds, places = _read(data, split)
    rated = {segment for segment, _ in places}
    lines = match_lines(file, seconds=seconds, rated=rated, num_classes=dataset.num_classes)
    return len(seconds), (fault for line in lines for fault in line.faults)


def evaluate(file: str | os.PathLike, *, data, split: str = "validate") -> dict:
    """mAP@K of a submission (compressed or not) and its interval, the same as of the scores it was written from.

    A class that segments show and that has no line counts as 0.

    Returns:
        As of `measure_pairs`; `map_at_k_interval` (low, high), and the `videos` it is over; `notes`, as of
        `dmlkit.submission.evaluate`. The split must be rated, and the file without other faults; else `DataError`.
    """
    dataset, seconds, ratings = _read(data, split)
    if not ratings:
        raise DataError(
            f"No segment of the split {split!r} of {dataset.path} is rated. Measure on another split."
        )
    segments, classes = zip(*ratings, strict=True)
    scores, rated, notes, there = dict.fromkeys(ratings, -np.inf), {*segments}, [], set()
    lines = match_lines(file, seconds=seconds, rated=rated, num_classes=dataset.num_classes)
    for line in clear_lines(lines, file=file, notes=notes):
        there.add(line.label)
        for rank, segment in enumerate(line.segments):
            if (pair := (segment, line.label)) in scores:
                scores[pair] = -rank
    scores, correct = np.array([*scores.values()], float), np.array([*ratings.values()], bool)
    pairs = RatedPairs(np.array(classes, np.int32), scores, correct, videos_of(segments))
    shown = {*pairs.classes[correct].tolist()}
    if missing := sorted(shown - there):
        what = f"{file} has no line for {counted(len(missing), 'class', 'classes')} that segments show"
        listed = shorten(", ".join(map(str, missing)), 60)
        notes.append(f"{what}, whose average precision counts as 0: {listed}.")
    figures = measure_pairs(pairs, segments=len(rated), num_classes=dataset.num_classes)
    return figures | interval_over_videos(pairs) | {"notes": notes}


def _read(data, split: str) -> tuple[Dataset, dict[str, int], dict[tuple[str, int], bool]]:
    """The data set; of the split each video's seconds, and each rated (segment, class) pair: is it shown?"""
    dataset = as_dataset(data, unit="segment")
    batches = replace(dataset, unit="whole", labelled=frozenset()).batches(split, batch_size=_VIDEOS_AT_ONCE)
    lengths = (zip(batch["id"].tolist(), batch["num_frames"].tolist(), strict=True) for batch in batches)
    seconds = by_id(chain.from_iterable(lengths), dataset=dataset, split=split)
    rows = read_rated(dataset, split) if split in dataset.segments else ()
    return dataset, seconds, {(id_, label): label in labels for id_, labels, rated in rows for label in rated}


def match_lines(
    file: str | os.PathLike, *, seconds: Mapping[str, int], rated: Collection[str], num_classes: int
) -> Iterator[ClassLine]:
    """The lines of a submission, held against the videos of a split, each with its length in seconds.

    A segment is one of the rated ones, or begins at a multiple of five seconds in one of the videos. (The starter code
    lists also a last segment that ends after its video.)
    """
    first: dict[int, int] = {}  # class → its line
    for number, body, given in raw_lines(file, HEADER):
        label, segments, faults = (None, [], []) if body is None else _read_line(body)
        if label is not None and label >= num_classes:
            faults.append(("class", f"{label}: classes are 0 to {num_classes - 1}"))
        elif label is not None and first.setdefault(label, number) != number:
            faults.append(("duplicate class", f"{label} is on line {first[label]} already"))
        for segment in (each for each in segments if each not in rated):
            found = _SEGMENT.fullmatch(segment)
            length = seconds.get(found[1]) if found else None
            if length is None:
                what = "is not VIDEO:START of a video of this split"
            elif int(found[2]) not in range(0, length, SEGMENT_SECONDS):
                what = f"does not start at a multiple of {SEGMENT_SECONDS} s within the video, which lasts {length} s"
            else:
                continue
            faults.append(("segment", f"{shorten(repr(segment), 60)} {what}"))
        yield ClassLine(label, segments, given + [Fault(number, *each) for each in faults])


def _read_line(body: bytes) -> tuple[int | None, list[str], list[tuple]]:
    """The class, the segments and the faults (kind, what, clear) of a line."""
    text = body.decode("utf-8", "surrogateescape")  # what is no UTF-8 is no id
    label, comma, cell = text.replace('"', "").partition(",")
    if not comma or not re.fullmatch(r"[ \t]*[0-9]{1,9}[ \t]*", label, re.ASCII):
        what = f"{shorten(repr(text), 60)} does not begin with a class, a whole number from 0 on, and a comma"
        return None, [], [("class", what)]
    faults, words = [], re.findall("[^ \t]+", cell)
    if '"' in text:
        faults.append(("format", "has quotation marks, which the format does not need", True))
    if label != label.strip() or " ".join(words) != cell or not words:
        what = "has blanks other than the single spaces between segments, or no segment"
        faults.append(("format", what, True))
    if len(words) > SEGMENTS_A_CLASS:
        faults.append(("format", f"has {len(words):,} segments; at most {SEGMENTS_A_CLASS:,} count"))
    if repeated := [word for word, count in Counter(words).items() if count > 1]:
        faults.append(("duplicate segment", f"repeats {shorten(repeated, 60)}"))
    return int(label), words, faults
