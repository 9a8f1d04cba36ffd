"""A submission held against a data set: every fault, with its line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dmlkit.data import as_dataset, read_contexts
from dmlkit.submission.lines import Fault, read_lines
from dmlkit.text import shorten

# Each kind of fault, and what it means. The first ones are of the file, then of a line, then of its id.
KINDS = {
    "byte order mark": "three bytes before the header that some programs write",
    "header": "the first line is not VideoId,LabelConfidencePairs",
    "line end": "CR LF, as Windows ends lines",
    "encoding": "bytes that are not UTF-8",
    "too long": "a line of more than 65,536 bytes",
    "empty line": "a line without anything",
    "fields": "not an id and its pairs, parted by one comma",
    "no pairs": "an id alone",
    "spaces": "not one space between two words",
    "odd number of words": "a class without a score",
    "class": "not a whole number, or beyond the data set's classes",
    "score": "not a number",
    "not finite": "NaN or infinite",
    "too many pairs": "more than 20",
    "repeated class": "twice in one line",
    "order": "a score above the one before it",
    "id": "none",
    "duplicate id": "on more than one line",
    "unknown id": "of no video of the part",
    "missing id": "a video of the part that has no line",
}


class Checked(NamedTuple):
    """`videos`: how many the part has. `faults`: every one, found as it is asked for; `kind` is a key of `KINDS`."""

    videos: int
    faults: Iterator[Fault]


def check(file: str | os.PathLike, *, data, split: str = "test") -> Checked:
    """Hold a submission against a part of a data set: line by line, and last the videos it lacks.

    Args:
        file: The path; one that ends in `.gz` is unpacked.
        data: A data set, or the path of one.
        split: The part; it needs no labels. The ids of its videos are held in memory.

    Raises:
        UsageError: An unknown part.
        DataError: The file or the data cannot be read.
    """
    dataset = as_dataset(data)
    ids = [video for video, _ in read_contexts(dataset, split)]
    return Checked(len(ids), find_faults(file, ids=ids, num_classes=dataset.num_classes))


def find_faults(file: str | os.PathLike, *, ids: Iterable[str], num_classes: int) -> Iterator[Fault]:
    """Every fault of a submission.

    Args:
        file: The path; one that ends in `.gz` is unpacked.
        ids: The ids of the videos it is to have.
        num_classes: How many classes there are.

    Raises:
        DataError: The file cannot be read.
    """
    # Video → the line it first stands on, 0 until then.
    seen = dict.fromkeys(ids, 0)
    unknown: dict[str, int] = {}
    for line in read_lines(file):
        yield from line.faults
        if outside := [label for label in line.classes if label >= num_classes]:
            told = ", ".join(map(str, outside[:5])) + (", ..." if len(outside) > 5 else "")
            yield Fault(line.number, "class", f"{told}: the classes are 0 to {num_classes - 1}")
        if not line.video:
            continue
        lines = seen if line.video in seen else unknown
        if first := lines.get(line.video):
            yield Fault(line.number, "duplicate id", f"{_shown(line.video)} stands on line {first} already")
            continue
        lines[line.video] = line.number
        if lines is unknown:
            yield Fault(line.number, "unknown id", f"{_shown(line.video)} is no video of this part")
    for video, line in seen.items():
        if not line:
            yield Fault(None, "missing id", f"{_shown(video)} has no line")


def _shown(video: str) -> str:
    return shorten(video, 60) or repr(video[:20])
