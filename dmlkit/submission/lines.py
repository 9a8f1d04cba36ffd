"""The lines of a submission, each with everything that is wrong with it."""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dmlkit.errors import DataError
from dmlkit.submission.writing import HEADER
from dmlkit.text import shorten

MOST_PAIRS = 20
# A line of twenty pairs has some 300 bytes. What is much longer is not read to its end at once.
LONGEST_LINE = 1 << 16
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CLASS = re.compile(r"[0-9]{1,9}", re.ASCII)
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_SCORE = re.compile(_NUMBER, re.ASCII)
_PAIRS = re.compile(rf"[0-9]{{1,9}} {_NUMBER}(?: [0-9]{{1,9}} {_NUMBER})*", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.ASCII | re.IGNORECASE)


class Fault(NamedTuple):
    """One thing that is wrong: its line, counted from 1 (None where it is of no line), kind, and in words."""

    line: int | None
    kind: str
    what: str


class Line(NamedTuple):
    """One line of the file after its header.

    Args:
        number: Counted from 1, the header's line among them.
        video: The id; empty where the line has none.
        classes, scores: Of its pairs, as far as they could be read.
        faults: What is wrong with the line by itself.
    """

    number: int
    video: str
    classes: list[int]
    scores: list[float]
    faults: list[Fault]


def read_lines(file: str | os.PathLike) -> Iterator[Line]:
    """Every line of a submission: its header first, as a line without an id.

    Args:
        file: The path; one that ends in `.gz` is unpacked.

    Raises:
        DataError: The file cannot be read.
    """
    with _opened(file) as raw:
        number = 0
        for number, (content, faults) in enumerate(_raw_lines(raw), start=1):
            yield _header(content, faults) if number == 1 else _line(number, content, faults)
        if number == 0:
            yield Line(
                1, "", [], [], [Fault(1, "header", f"the file is empty; its first line must be {HEADER}")]
            )


def _header(content: str, faults: list[Fault]) -> Line:
    if content != HEADER:
        faults.append(Fault(1, "header", f"must be {HEADER}, not {shorten(repr(content), 60)}"))
    return Line(1, "", [], [], faults)


def _line(number: int, content: str, faults: list[Fault]) -> Line:
    def fault(kind: str, what: str) -> None:
        faults.append(Fault(number, kind, what))

    if not content:
        fault("empty line", "nothing stands on it")
        return Line(number, "", [], [], faults)
    video, comma, pairs = content.partition(",")
    if not comma or "," in pairs:
        fault("fields", f"must have two fields, parted by one comma; it has {content.count(',') + 1}")
        return Line(number, video, [], [], faults)
    if not video:
        fault("id", "the line has no id")
    if _PAIRS.fullmatch(pairs):
        words = pairs.split(" ")
        classes, scores = list(map(int, words[::2])), list(map(float, words[1::2]))
        if not all(map(math.isfinite, scores)):
            fault("not finite", "a score is too large for a number")
    else:
        classes, scores = _by_word(pairs, fault)
    _look_at_pairs(classes, scores, fault)
    return Line(number, video, classes, scores, faults)


def _by_word(pairs: str, fault) -> tuple[list[int], list[float]]:
    """The pairs that can be read, and a fault for each word that cannot."""
    words = pairs.split()
    if not words:
        fault("no pairs", "no class stands behind the id")
    elif pairs != " ".join(words):
        fault("spaces", "words must be parted by one space, with none before the first or after the last")
    if len(words) % 2:
        fault("odd number of words", f"classes and scores come in pairs; it has {len(words)} words")
    classes, scores = [], []
    for label, score in zip(words[::2], words[1::2], strict=False):
        if not _CLASS.fullmatch(label):
            fault("class", f"{_shown(label)} is not a class, a whole number from 0 on")
        elif _NOT_FINITE.fullmatch(score) or (_SCORE.fullmatch(score) and not math.isfinite(float(score))):
            fault("not finite", f"the score of class {label} is {_shown(score)}")
        elif not _SCORE.fullmatch(score):
            fault("score", f"the score of class {label} is not a number: {_shown(score)}")
        else:
            classes.append(int(label))
            scores.append(float(score))
    return classes, scores


def _look_at_pairs(classes: list[int], scores: list[float], fault) -> None:
    if len(classes) > MOST_PAIRS:
        fault("too many pairs", f"has {len(classes)}; at most {MOST_PAIRS} count")
    if len(set(classes)) < len(classes):
        repeated = sorted({label for label in classes if classes.count(label) > 1})
        fault("repeated class", f"class {', '.join(map(str, repeated))} stands there more than once")
    for place in range(1, len(scores)):
        if scores[place] > scores[place - 1]:
            fault(
                "order",
                f"the highest score must come first; class {classes[place]} ({scores[place]:g}) stands behind class "
                f"{classes[place - 1]} ({scores[place - 1]:g})",
            )
            break


def _raw_lines(file) -> Iterator[tuple[str, list[Fault]]]:
    """Each line without its end, and what is wrong with its bytes."""
    number = 0
    while raw := file.readline(LONGEST_LINE):
        number += 1
        faults = []
        if number == 1 and raw.startswith(_BYTE_ORDER_MARK):
            faults.append(
                Fault(1, "byte order mark", "the file begins with one, which belongs to the first field")
            )
            raw = raw[len(_BYTE_ORDER_MARK) :]
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            faults.append(
                Fault(number, "too long", f"has more than {LONGEST_LINE:,} bytes; only those were looked at")
            )
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        raw = raw.removesuffix(b"\n")
        if raw.endswith(b"\r"):
            faults.append(Fault(number, "line end", "ends with CR LF, not with LF alone"))
            raw = raw.removesuffix(b"\r")
        content = raw.decode("utf-8", "replace")
        if "\ufffd" in content:
            faults.append(Fault(number, "encoding", "is not UTF-8"))
        yield content, faults


@contextmanager
def _opened(file: str | os.PathLike):
    path = os.fspath(file)
    try:
        with gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb") as opened:
            yield opened
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(
            f"The submission cannot be read: {path} ({why}). Name a file that `dmlkit predict` has written whole."
        ) from error


def _shown(word: str) -> str:
    return shorten(repr(word))
