"""YouTube-8M's form for predictions, a CSV file: write, check, evaluate. Needs neither a model nor TensorFlow.

    VideoId,LabelConfidencePairs
    Vmm1,13 0.9727 4 0.8813 26 0.2054

A line a video: its id and at most 20 classes, each with its score, the highest first.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from dmlkit.data import as_dataset, read_contexts
from dmlkit.errors import DataError, shorten
from dmlkit.files import atomic_write
from dmlkit.metrics import TopK, TopPairs, gap_interval_of_pairs, gap_of_pairs

HEADER = "VideoId,LabelConfidencePairs"
MAX_PAIRS = 20
_CLASS = re.compile(r"[0-9]{1,9}", re.ASCII)
_SCORE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


class Fault(NamedTuple):
    """One thing that is wrong, and its line, counted from 1 (None: of no line).

    Kinds: "header", "format", "class", "score", "order", "duplicate id", "unknown id", "missing id".
    """

    line: int | None
    kind: str
    what: str


class Line(NamedTuple):
    """One line: its number in the file, its id (none for the header), its pairs (none if malformed), its faults."""

    number: int
    video: str
    classes: list[int]
    scores: list[float]
    faults: list[Fault]


def check(file: str | os.PathLike, *, data, split: str = "test") -> tuple[int, Iterator[Fault]]:
    """Check a submission (`.gz` is decompressed) against a split, which needs no labels, of a data set or its path.

    Returns:
        The number of videos of the split, and an iterator over the faults: line by line, and last the videos that the
        file lacks.
    """
    dataset = as_dataset(data)
    ids = [video for video, _ in read_contexts(dataset, split)]
    return len(ids), find_faults(file, ids=ids, num_classes=dataset.num_classes)


def find_faults(file: str | os.PathLike, *, ids: Collection[str], num_classes: int) -> Iterator[Fault]:
    """Every fault of a submission for the videos of these ids; raises DataError where it cannot be read."""
    known, lines = dict.fromkeys(ids), {}  # video → its first line
    for line in read_lines(file):
        yield from line.faults
        if outside := [label for label in line.classes if label >= num_classes]:
            yield Fault(line.number, "class", f"{shorten(outside, 60)}: classes are 0 to {num_classes - 1}")
        if line.video:
            name, first = shorten(repr(line.video), 60), lines.setdefault(line.video, line.number)
            if first != line.number:
                yield Fault(line.number, "duplicate id", f"{name} is on line {first} already")
            elif line.video not in known:
                yield Fault(line.number, "unknown id", f"{name} is no video of this split")
    for video in known:
        if video not in lines:
            yield Fault(None, "missing id", f"{shorten(repr(video), 60)} has no line")


def evaluate(file: str | os.PathLike, *, data, split: str = "validate") -> dict:
    """GAP@20 of a submission (`.gz` is decompressed) and its interval, the same as of the scores it was written from.

    Returns:
        `gap`, `gap_interval` (low, high), `num_classes` and `videos`. The split must be labelled, and the file without
        faults; else `DataError`.

    Paper: §Measure.
    """
    dataset = as_dataset(data)
    labels = {video: set(classes) for video, classes in read_contexts(dataset, split, labelled=True)}
    faults = find_faults(file, ids=labels, num_classes=dataset.num_classes)
    if first := next(faults, None):
        place, more = f", line {first.line}" if first.line else "", sum(1 for _ in faults)
        raise DataError(
            f"{file}{place}: {first.kind}: {first.what} ({more:,} more faults). `dmlkit submission check` lists all."
        )
    rows = {video: row for row, video in enumerate(labels)}
    # What a line lacks of 20 pairs ranks below all others and is never correct, so it changes nothing.
    scores = np.full((len(rows), MAX_PAIRS), -np.inf, np.float64)
    correct = np.zeros(scores.shape, bool)
    for line in read_lines(file):
        if line.video:
            row, pairs = rows[line.video], len(line.classes)
            scores[row, :pairs] = line.scores
            correct[row, :pairs] = [label in labels[line.video] for label in line.classes]
    pairs = TopPairs(scores, correct, np.array([len(each) for each in labels.values()], np.int64))
    gap, interval = gap_of_pairs(pairs), gap_interval_of_pairs(pairs)
    figures = {"gap": gap, "gap_interval": [interval.low, interval.high]}
    return figures | {"num_classes": dataset.num_classes, "videos": len(rows)}


def read_lines(file: str | os.PathLike) -> Iterator[Line]:
    """Every line of a submission, the header first as a line without an id; raises DataError if it is unreadable."""
    path = os.fspath(file)
    try:
        with gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb") as opened:
            header = opened.readline().removesuffix(b"\n")
            what = f"must be {HEADER}, ending in LF alone, not {shorten(repr(header), 60)}"
            yield Line(1, "", [], [], [] if header == HEADER.encode() else [Fault(1, "header", what)])
            yield from (_read_line(number, raw) for number, raw in enumerate(opened, start=2))
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"The submission {path} cannot be read ({reason}). Give one of `dmlkit predict`."
        ) from error


def _read_line(number: int, raw: bytes) -> Line:
    text = raw.removesuffix(b"\n").decode("utf-8", "replace")
    video, comma, pairs = text.partition(",")
    words = pairs.split(" ")
    well_formed = video and len(words) % 2 == 0 and all(words)
    if not well_formed or any(wrong in text for wrong in ("\r", "\ufffd")) or "," in pairs:
        what = (
            "must be UTF-8: an id, one comma, and pairs of class and score with single spaces, ending in LF alone; it "
            f"is {shorten(repr(text), 60)}"
        )
        return Line(number, video if comma else "", [], [], [Fault(number, "format", what)])
    faults, classes, scores = [], [], []
    for label, score in zip(words[::2], words[1::2], strict=True):
        if not _CLASS.fullmatch(label):
            faults.append(("class", f"{shorten(repr(label))} is not a class, a whole number from 0 on"))
        elif not _SCORE.fullmatch(score) or not math.isfinite(float(score)):
            faults.append(
                ("score", f"the score of class {label} is no finite number: {shorten(repr(score))}")
            )
        else:
            classes.append(int(label))
            scores.append(float(score))
    if len(classes) > MAX_PAIRS:
        faults.append(("format", f"has {len(classes)} pairs; at most {MAX_PAIRS} count"))
    if repeated := [label for label, count in Counter(classes).items() if count > 1]:
        faults.append(("class", f"repeats {shorten(sorted(repeated), 60)}"))
    if scores != sorted(scores, reverse=True):
        faults.append(("order", "the highest score must come first, and none be above the one before it"))
    return Line(number, video, classes, scores, [Fault(number, *each) for each in faults])


@contextmanager
def file_for(out: str | os.PathLike) -> Iterator[BinaryIO]:
    """The file to write lines to; it takes the place of `out` once everything is in it.

    One that ends in `.gz` is compressed, the same bytes for the same lines; `-` is standard output.
    """
    if os.fspath(out) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # The target of a link is written again, and not the link.
    with atomic_write(Path(out).resolve()) as temporary, open(temporary, "wb") as file:
        if Path(out).suffix != ".gz":
            yield file
            return
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as compressed:
            yield compressed


def submission_lines(ids: Sequence[str], top: TopK) -> bytes:
    """Lines of the submission, one a video.

    `top` holds each video's best classes, best first, their scores at half precision, from 0 to 1. Written are the
    fewest decimals that distinguish such a score from its neighbours: what is read is what was written.
    """
    texts = _texts_of_halves()
    values = np.asarray(top.scores, np.float16).view(np.uint16).tolist()
    lines = []
    for video, classes, scores in zip(ids, top.classes.tolist(), values, strict=True):
        if not video or not video.isprintable() or video != video.strip() or {",", '"'} & {*video}:
            raise DataError(
                f"The video id {shorten(repr(video))} cannot be part of a submission: it is empty, or holds a comma, a "
                "quotation mark or an unprintable character. Give the videos other ids."
            )
        pairs = " ".join([f"{label} {texts[score]}" for label, score in zip(classes, scores, strict=True)])
        lines.append(f"{video},{pairs}\n")
    return "".join(lines).encode()


def lines_for_people(ids: Sequence[str], top: TopK, names: Sequence[str]) -> bytes:
    """A video's id on a line, and below it a line a class: score, class index, name (of the printable `names`)."""
    digits = len(str(len(names) - 1))
    lines = []
    for video, classes, scores in zip(ids, top.classes.tolist(), top.scores.tolist(), strict=True):
        lines.append(f"{shorten(video, 200) or '(a video without an id)'}\n")
        lines += [
            f"  {score:6.4f}  {label:{digits}}  {names[label]}\n"
            for label, score in zip(classes, scores, strict=True)
        ]
    return "".join(lines).encode()


@cache
def _texts_of_halves() -> list[str]:
    """Every half-precision number from 0 to 1 as text, by its bits."""
    bits = np.arange(np.float16(1).view(np.uint16) + 1, dtype=np.uint16)
    return [str(value) for value in bits.view(np.float16)]
