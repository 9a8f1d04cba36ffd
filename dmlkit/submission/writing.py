"""Each video's best classes as lines of a file, whole or not at all."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dmlkit.errors import DataError
from dmlkit.files import atomic_write
from dmlkit.metrics import TopK
from dmlkit.text import shorten

HEADER = "VideoId,LabelConfidencePairs"
# What would end an id too early, and what cannot be seen.
_NOT_IN_IDS = frozenset(',"\r\n')


@contextmanager
def file_for(out: str | os.PathLike) -> Iterator[BinaryIO]:
    """The file to write lines to. It takes the place of `out` once everything is in it.

    Args:
        out: A path; one that ends in `.gz` is compressed, the same bytes for the same lines. `-` is standard
            output, to which lines go as they come.
    """
    if os.fspath(out) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    compressed = Path(out).suffix == ".gz"
    # Where a link stands, what it names is written anew, and not the link.
    with atomic_write(Path(out).resolve()) as temporary:
        if not compressed:
            with open(temporary, "wb") as file:
                yield file
            return
        # Neither a name nor a time in it.
        with (
            open(temporary, "wb") as raw,
            gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as file,
        ):
            yield file


def submission_lines(ids: Sequence[str], top: TopK) -> bytes:
    """Lines of the submission, one a video.

    Args:
        ids: (videos,) text.
        top: Each video's best classes, best first; scores at half precision, from 0 to 1. Written are the fewest
            decimals that tell such a score from its neighbours: what is read is what was written.

    Raises:
        DataError: An id that the form cannot hold.
    """
    texts = _texts_of_halves()
    values = np.asarray(top.scores, np.float16).view(np.uint16).tolist()
    lines = []
    for video, classes, scores in zip(ids, top.classes.tolist(), values, strict=True):
        if (
            not video
            or not video.isprintable()
            or video != video.strip()
            or not _NOT_IN_IDS.isdisjoint(video)
        ):
            raise DataError(
                f"The video id {shorten(repr(video))} cannot stand in a submission: it is empty, or holds a comma, a "
                "quotation mark or what cannot be seen. Give the videos other ids."
            )
        pairs = " ".join([f"{label} {texts[score]}" for label, score in zip(classes, scores, strict=True)])
        lines.append(f"{video},{pairs}\n")
    return "".join(lines).encode()


def lines_for_people(ids: Sequence[str], top: TopK, names: Sequence[str]) -> bytes:
    """A video's id on a line, and below it a line a class: score, class number, name.

    Args:
        ids: (videos,) text.
        top: Each video's best classes, best first.
        names: The classes' names, each printable and on one line (`dmlkit.text.readable`).
    """
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
    return [
        str(value) for value in np.arange(np.float16(1).view(np.uint16) + 1, dtype=np.uint16).view(np.float16)
    ]
