"""YouTube-8M's submission format, a CSV file: write, check, evaluate. Needs neither a model nor TensorFlow.

    VideoId,LabelConfidencePairs
    Vmm1,13 0.9727 4 0.8813 26 0.2054

A line a video: its id and at most 20 classes, each with its score, the highest first.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
import re
import sys
import unicodedata
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np

from dmlkit.data import Dataset, as_dataset, read_contexts
from dmlkit.data.records import is_writable_id
from dmlkit.errors import DataError, UsageError, counted, shorten
from dmlkit.files import atomic_write
from dmlkit.metrics import TopK, TopPairs, gap_interval_of_pairs, gap_of_pairs

T = TypeVar("T")
HEADER = "VideoId,LabelConfidencePairs"
MAX_PAIRS = 20
_CLASS = re.compile(r"[0-9]{1,9}", re.ASCII)
_SCORE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


class Fault(NamedTuple):
    """One thing that is wrong, and its line, counted from 1 (None: of no line).

    Kinds: "header", "format", "class", "score", "order", "duplicate id", "unknown id", "missing id". What it means may
    be `clear` all the same, as with another end of line: then `evaluate` measures it.
    """

    line: int | None
    kind: str
    what: str
    clear: bool = False


class Line(NamedTuple):
    """One line: its number in the file, its id (none for the header), its pairs (none if malformed), its faults."""

    number: int | None
    video: str
    classes: list[int]
    scores: list[float]
    faults: list[Fault]


def check(file: str | os.PathLike, *, data, split: str = "test") -> tuple[int, Iterator[Fault]]:
    """Check a submission (compressed by gzip or not) against a split, which needs no labels, of a data set or its path.

    Returns:
        The number of videos of the split, and an iterator over the faults: line by line, and last the videos that the
        file lacks.
    """
    dataset = as_dataset(data)
    ids = [video for video, _ in read_contexts(dataset, split)]
    lines = match_lines(file, ids=ids, num_classes=dataset.num_classes)
    return len(ids), (fault for line in lines for fault in line.faults)


def match_lines(file: str | os.PathLike, *, ids: Collection[str], num_classes: int) -> Iterator[Line]:
    """The lines of a submission, each with the id that the data have for its video; last one for each missing video."""
    first = dict.fromkeys(ids)  # video → its first line
    similar: dict[str, list[str]] = {}
    for number, body, given in raw_lines(file, HEADER):
        line = Line(number, "", [], [], given) if body is None else _read_line(number, body, given)
        video, faults = line.video, line.faults
        if outside := [label for label in line.classes if label >= num_classes]:
            what = f"{shorten(outside, 60)}: classes are 0 to {num_classes - 1}"
            faults.append(Fault(line.number, "class", what))
        if video and video not in first:
            for each in () if similar else first:
                similar.setdefault(_normal(each), []).append(each)
            if len(found := similar.get(_normal(video), ())) == 1:
                (video,) = found
                what = "the id is that of a video but for its Unicode normal form or blanks around it"
                faults.append(Fault(line.number, "format", what, clear=True))
        name = shorten(repr(video), 60)
        if video and video not in first:
            faults.append(Fault(line.number, "unknown id", f"{name} is no video of this split"))
        elif video and first[video]:
            faults.append(Fault(line.number, "duplicate id", f"{name} is on line {first[video]} already"))
        elif video:
            first[video] = line.number
        yield line._replace(video=video)
    for video, number in first.items():
        if number is None:
            what = f"{shorten(repr(video), 60)} has no line"
            yield Line(None, video, [], [], [Fault(None, "missing id", what)])


def _normal(video: str) -> str:
    """An id without the differences that are not visible."""
    return unicodedata.normalize("NFC", video.strip(" \t"))


def evaluate(file: str | os.PathLike, *, data, split: str = "validate") -> dict:
    """GAP@20 of a submission (compressed or not) and its interval, the same as of the scores it was written from.

    Returns:
        `gap`, `gap_interval` (low, high), `num_classes` and `videos`; `notes`, a sentence for each way in which lines
        are not in the form, though what they mean is clear. The split must be labelled, and the file without other
        faults; else `DataError`.

    Paper: §Measure.
    """
    dataset = as_dataset(data)
    videos = ((video, set(classes)) for video, classes in read_contexts(dataset, split, labelled=True))
    labels = by_id(videos, dataset=dataset, split=split)
    rows = {video: row for row, video in enumerate(labels)}
    # Missing pairs rank below all others and are never correct, so they do not change GAP.
    scores = np.full((len(rows), MAX_PAIRS), -np.inf, np.float64)
    correct = np.zeros(scores.shape, bool)
    lines, notes = match_lines(file, ids=labels, num_classes=dataset.num_classes), []
    for line in clear_lines(lines, file=file, notes=notes):
        if line.video:
            row, pairs = rows[line.video], len(line.classes)
            scores[row, :pairs] = line.scores
            correct[row, :pairs] = [label in labels[line.video] for label in line.classes]
    pairs = TopPairs(scores, correct, np.array([len(each) for each in labels.values()], np.int64))
    figures = {"gap": gap_of_pairs(pairs), "gap_interval": list(gap_interval_of_pairs(pairs))}
    return figures | {"num_classes": dataset.num_classes, "videos": len(rows), "notes": notes}


def by_id(videos: Iterable[tuple[str, T]], *, dataset: Dataset, split: str) -> dict[str, T]:
    """A dict of videos of a split by id; raises `DataError` where two share one."""
    videos = list(videos)
    if len(found := dict(videos)) < len(videos):
        raise DataError(
            f"{len(videos):,} videos of {split!r} in {dataset.name} share {len(found):,} ids, so a submission is "
            "ambiguous. `dmlkit data check` lists them; measure a run (`dmlkit evaluate RUN`)."
        )
    return found


def clear_lines(lines: Iterable, *, file: str | os.PathLike, notes: list[str]) -> Iterator:
    """The lines, each with its `faults`, as long as what they mean is clear; at their end a note for each way in which
    they are not in the form, or a `DataError` with the first fault that is not clear.
    """
    first, count, clear = None, 0, {}  # the first unclear fault and their number; what is clear → its lines
    for line in lines:
        for fault in line.faults:
            if fault.clear:
                clear.setdefault(fault.what, []).append(fault.line)
            else:
                first, count = first or fault, count + 1
        if not count:
            yield line
    if first:
        place = f", line {first.line}" if first.line else ""
        raise DataError(
            f"{file}{place}: {first.kind}: {first.what} ({count - 1:,} more faults). `dmlkit submission check` lists "
            "all."
        )
    notes += [
        f"{file}, {counted(len(lines), 'line')}, the first line {lines[0]}: {what}. Measured all the same."
        for what, lines in clear.items()
    ]


def raw_lines(file: str | os.PathLike, header: str) -> Iterator[tuple[int, bytes | None, list[Fault]]]:
    """Number, content and faults of every line of a file, compressed or not; no content of the header and empty ones.

    Raises `DataError` if it is unreadable.
    """
    path = os.fspath(file)
    try:
        with open(path, "rb") as plain:
            zipped = plain.peek(2)[:2] == b"\x1f\x8b"
            opened = gzip.GzipFile(fileobj=plain) if zipped else plain
            first = opened.readline().removesuffix(b"\n")
            what = f"the header must be {header}, ending in LF alone, not {shorten(repr(first), 60)}"
            bare = re.sub('[ "\t\r]', "", first.decode("utf-8-sig", "replace")).lower()
            fault = Fault(1, "header", what, clear=bare == header.lower())
            yield 1, None, [] if first == header.encode() else [fault]
            for number, raw in enumerate(opened, start=2):
                content = raw.removesuffix(b"\n")
                body = content.removesuffix(b"\r")
                what = "ends in CR and LF; the form has LF alone"
                if not body.strip(b" \t"):
                    yield number, None, [Fault(number, "format", "is empty", clear=True)]
                else:
                    yield number, body, [Fault(number, "format", what, clear=True)] * (body != content)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"The submission {path} cannot be read ({reason}). Give one of `dmlkit predict`."
        ) from error


def _read_line(number: int, body: bytes, given: list[Fault]) -> Line:
    faults = []
    try:
        text = body.decode()
        video, pairs = next(csv.reader([text], strict=True)) if '"' in text else text.split(",")
    except (ValueError, csv.Error):
        text = body.decode("utf-8", "replace")
        video, pairs = text.partition(",")[0] if "," in text else "", ""
    words = pairs.split(" ")
    if "" in words or "\t" in pairs:
        words = pairs.replace("\t", " ").split()
        faults.append(("format", "has blanks other than the single spaces between words", True))
    if not video or not words or len(words) % 2:
        what = (
            "must be UTF-8: an id, one comma, and pairs of class and score with single spaces, ending in LF alone; it "
            f"is {shorten(repr(text), 60)}. An id with a comma is quoted"
        )
        return Line(number, video.strip('" \t'), [], [], [Fault(number, "format", what)])
    if '"' in text and not text.startswith(f"{_quoted(video)},{words[0]}"):
        faults.append(("format", "has quotation marks that the format does not need, or lacks some", True))
    classes, scores = [], []
    for label, score in zip(words[::2], words[1::2], strict=True):
        if not _CLASS.fullmatch(label):
            faults.append(("class", f"{shorten(repr(label))} is not a class, a whole number from 0 on"))
        elif not _SCORE.fullmatch(score) or not math.isfinite(float(score)):
            what = f"the score of class {label} is not a finite number: {shorten(repr(score))}"
            faults.append(("score", what))
        else:
            classes.append(int(label))
            scores.append(float(score))
    if len(classes) > MAX_PAIRS:
        faults.append(("format", f"has {len(classes)} pairs; at most {MAX_PAIRS} count"))
    if repeated := [label for label, count in Counter(classes).items() if count > 1]:
        faults.append(("class", f"repeats {shorten(sorted(repeated), 60)}"))
    if scores != sorted(scores, reverse=True):
        faults.append(("order", "scores must be in descending order", True))
    return Line(number, video, classes, scores, given + [Fault(number, *each) for each in faults])


def _quoted(video: str) -> str:
    """An id as a cell of a CSV file (RFC 4180), quoted where a comma, a quotation mark or blanks around it need it."""
    needs = "," in video or '"' in video or video != video.strip()
    return '"' + video.replace('"', '""') + '"' if needs else video


@contextmanager
def file_for(out: str | os.PathLike) -> Iterator[BinaryIO]:
    """The file to write lines to; it takes the place of `out` once everything is in it.

    One that ends in `.gz` is compressed, the same bytes for the same lines; `-` is standard output. Raises
    `UsageError` before anything is written where no file can be.
    """
    if os.fspath(out) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(out)
    if (path.exists() and not path.is_file()) or not path.parent.is_dir():
        # A device or a pipe must not be replaced by a file.
        raise UsageError(
            f"The file cannot be written to {out}, which is a folder, pipe or device, or in a folder that is not "
            "there. Name a file in a folder that is, or - for standard output."
        )
    # The target of a link is written again, and not the link.
    with atomic_write(Path(os.path.realpath(out))) as temporary, open(temporary, "wb") as file:
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
        if not is_writable_id(video):
            raise DataError(
                f"The video id {shorten(repr(video))} cannot be part of a submission: it is empty, or holds a control "
                "character or a line break. Give the videos other ids."
            )
        pairs = " ".join([f"{label} {texts[score]}" for label, score in zip(classes, scores, strict=True)])
        lines.append(f"{_quoted(video)},{pairs}\n")
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
