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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from dmlkit.data import as_dataset, read_contexts
from dmlkit.errors import DataError
from dmlkit.files import atomic_write
from dmlkit.metrics import TopK, TopPairs, gap_interval_of_pairs, gap_of_pairs
from dmlkit.text import shorten

HEADER = "VideoId,LabelConfidencePairs"
MAX_PAIRS = 20
KINDS = {
    "header": f"the first line is not {HEADER}",
    "format": "a line that is not an id, one comma, and pairs of class and score separated by single spaces",
    "class": "a class that the data set does not have, or twice in one line",
    "score": "a score that is no finite number",
    "order": "a score above the one before it",
    "duplicate id": "an id on more than one line",
    "unknown id": "an id of no video of the split",
    "missing id": "a video of the split that has no line",
}
# A line of twenty pairs has some 300 bytes; a much longer one is not read at once.
_LONGEST_LINE = 1 << 16
_CLASS = re.compile(r"[0-9]{1,9}", re.ASCII)
_SCORE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


class Fault(NamedTuple):
    """One thing that is wrong: its line, counted from 1 (None: of no line), a key of `KINDS`, and what it is."""

    line: int | None
    kind: str
    what: str


class Line(NamedTuple):
    """One line after the header: its number in the file, its id, the pairs that could be read, its own faults."""

    number: int
    video: str
    classes: list[int]
    scores: list[float]
    faults: list[Fault]


class Checked(NamedTuple):
    """The number of videos of the split, and an iterator over all faults of the file, found as it is read."""

    videos: int
    faults: Iterator[Fault]


def check(file: str | os.PathLike, *, data, split: str = "test") -> Checked:
    """Check a submission against a split of a data set: line by line, and last the videos it lacks.

    Args:
        file: The path; one that ends in `.gz` is decompressed.
        data: A data set, or the path of one.
        split: It needs no labels. The ids of its videos are held in memory.

    Raises:
        UsageError: An unknown split.
        DataError: The file or the data cannot be read.
    """
    dataset = as_dataset(data)
    ids = [video for video, _ in read_contexts(dataset, split)]
    return Checked(len(ids), find_faults(file, ids=ids, num_classes=dataset.num_classes))


def find_faults(file: str | os.PathLike, *, ids: Iterable[str], num_classes: int) -> Iterator[Fault]:
    """Every fault of a submission for the videos of these ids; raises DataError where it cannot be read."""
    lines = dict.fromkeys(ids, 0)  # video → its first line, 0 where there is none
    unknown: dict[str, int] = {}
    for line in read_lines(file):
        yield from line.faults
        if outside := [label for label in line.classes if label >= num_classes]:
            yield Fault(line.number, "class", f"{shorten(outside, 60)}: classes are 0 to {num_classes - 1}")
        if not line.video:
            continue
        found = lines if line.video in lines else unknown
        name = shorten(line.video, 60) or repr(line.video[:20])
        if first := found.get(line.video):
            yield Fault(line.number, "duplicate id", f"{name} is on line {first} already")
            continue
        found[line.video] = line.number
        if found is unknown:
            yield Fault(line.number, "unknown id", f"{name} is no video of this split")
    for video in (video for video, number in lines.items() if not number):
        yield Fault(None, "missing id", f"{shorten(video, 60) or repr(video[:20])} has no line")


def evaluate(file: str | os.PathLike, *, data, split: str = "validate") -> dict:
    """GAP@20 of a submission and its interval, the same as of the scores it was written from.

    Args:
        file: The path; one that ends in `.gz` is decompressed.
        data: A data set, or the path of one.
        split: It must be labelled.

    Returns:
        `gap`, `gap_interval` (low, high), `num_classes` and `videos`. Takes some 300 bytes of memory a video.

    Raises:
        UsageError: An unknown split.
        DataError: The split has no labels, or the file cannot be read or has faults.

    Paper: §Measure.
    """
    dataset = as_dataset(data)
    labels = {video: set(classes) for video, classes in read_contexts(dataset, split, labelled=True)}
    faults = find_faults(file, ids=labels, num_classes=dataset.num_classes)
    if first := next(faults, None):
        more = sum(1 for _ in faults)
        raise DataError(
            f"{os.fspath(file)}{f', line {first.line}' if first.line else ''}: {first.kind}: {first.what}"
            f"{f' ({more:,} more faults)' if more else ''}. `dmlkit submission check` lists every fault."
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
    interval = gap_interval_of_pairs(pairs)
    return {
        "gap": gap_of_pairs(pairs),
        "gap_interval": [interval.low, interval.high],
        "num_classes": dataset.num_classes,
        "videos": len(rows),
    }


def read_lines(file: str | os.PathLike) -> Iterator[Line]:
    """Every line of a submission, the header first as a line without an id; raises DataError if it is unreadable."""
    path, number = os.fspath(file), 0
    try:
        with gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb") as opened:
            for number, raw in enumerate(iter(lambda: opened.readline(_LONGEST_LINE), b""), start=1):
                if cut := len(raw) == _LONGEST_LINE and not raw.endswith(b"\n"):
                    while (rest := opened.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                        pass
                yield _header(raw) if number == 1 else _line(number, raw, cut)
            if number == 0:
                yield _header(b"")
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"The submission {path} cannot be read ({reason}). Give a file that `dmlkit predict` has written."
        ) from error


def _header(raw: bytes) -> Line:
    text = raw.removesuffix(b"\n").decode("utf-8", "replace")
    what = f"must be {HEADER}, without a byte order mark, ending in LF alone, not {shorten(repr(text), 60)}"
    return Line(1, "", [], [], [] if text == HEADER else [Fault(1, "header", what)])


def _line(number: int, raw: bytes, cut: bool) -> Line:
    faults: list[Fault] = []

    def fault(kind: str, what: str) -> None:
        faults.append(Fault(number, kind, what))

    text = raw.removesuffix(b"\n").decode("utf-8", "replace")
    if cut:
        fault("format", f"has more than {_LONGEST_LINE:,} bytes; only those were checked")
    if text.endswith("\r") or "\ufffd" in text:
        fault("format", "ends in CR LF, not in LF alone" if text.endswith("\r") else "is not UTF-8")
    video, comma, pairs = text.rstrip("\r").partition(",")
    if not video or not comma or "," in pairs:
        fault("format", f"must be an id, one comma, and pairs; it is {shorten(repr(text), 60)}")
        return Line(number, video if comma else "", [], [], faults)
    words, classes, scores = pairs.split(), [], []
    if not words or len(words) % 2 or pairs != " ".join(words):
        fault(
            "format", f"has {len(words)} words; expected pairs of class and score with single spaces between"
        )
    for label, score in zip(words[::2], words[1::2], strict=False):
        if not _CLASS.fullmatch(label):
            fault("class", f"{shorten(repr(label))} is not a class, a whole number from 0 on")
        elif not _SCORE.fullmatch(score) or not math.isfinite(float(score)):
            fault("score", f"the score of class {label} is no finite number: {shorten(repr(score))}")
        else:
            classes.append(int(label))
            scores.append(float(score))
    if len(classes) > MAX_PAIRS:
        fault("format", f"has {len(classes)} pairs; at most {MAX_PAIRS} count")
    if repeated := sorted({label for label in classes if classes.count(label) > 1}):
        fault("class", f"class {shorten(repeated, 60)} is there more than once")
    rising = next((place for place in range(1, len(scores)) if scores[place] > scores[place - 1]), None)
    if rising:
        place = f"class {classes[rising]} ({scores[rising]:g}) follows {scores[rising - 1]:g}"
        fault("order", f"the highest score must come first; {place}")
    return Line(number, video, classes, scores, faults)


@contextmanager
def file_for(out: str | os.PathLike) -> Iterator[BinaryIO]:
    """The file to write lines to; it takes the place of `out` once everything is in it.

    Args:
        out: A path; one that ends in `.gz` is compressed, the same bytes for the same lines. `-` is standard output,
            to which lines go as they come.
    """
    if os.fspath(out) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # The target of a link is written anew, and not the link.
    with atomic_write(Path(out).resolve()) as temporary, open(temporary, "wb") as file:
        if Path(out).suffix != ".gz":
            yield file
            return
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as compressed:
            yield compressed


def submission_lines(ids: Sequence[str], top: TopK) -> bytes:
    """Lines of the submission, one a video.

    Args:
        ids: (videos,) text.
        top: Each video's best classes, best first; scores at half precision, from 0 to 1. Written are the fewest
            decimals that distinguish such a score from its neighbours: what is read is what was written.

    Raises:
        DataError: An id that the form cannot hold.
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
