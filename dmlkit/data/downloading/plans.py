"""A server's plan: which files there are, and the MD5 of each. Nothing in it is believed before it was looked at.

The plan is that of YouTube-8M's own downloader: `{"files": {"trainaB.tfrecord": "<32 hexadecimal digits>", ...}}`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from itertools import product

from dmlkit.errors import DataError
from dmlkit.text import shorten

# The real ones hold 3,844 names in 227 kB.
LARGEST_PLAN = 16 * 2**20
MOST_FILES = 100_000
_HASH = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to have.

    Attributes:
        split: The part of the data set it belongs to.
        theirs: Its name on the server.
        name: Its name here.
        md5: Of its bytes, in hexadecimal.
    """

    split: str
    theirs: str
    name: str
    md5: str


def read_plan(text: bytes, *, split: str, letters: str, share: tuple[int, int], source: str) -> list[Wanted]:
    """The files of a plan that belong to a share, sorted by their names here.

    A name may become a path, so only those pass that begin with the split and go on with letters, digits, `-` and
    `_`: no separators, no drives, nothing hidden, no name that Windows keeps for itself, nothing without `.tfrecord`.

    Args:
        text: What the server sent.
        split: The split it was asked about.
        letters: Two of these at the end of a name are a number.
        share: Part and parts: the files whose name's MD5 leaves `part - 1` when divided by `parts`, which is how the
            official downloader divides them.
        source: Where the plan came from, for messages.

    Raises:
        DataError: It is no plan, or one that names what cannot be a shard of the split.
    """
    numbers = {"".join(pair): number for number, pair in enumerate(product(letters, repeat=2))}
    shape = re.compile(rf"{split}[A-Za-z0-9_-]{{0,64}}\.tfrecord", re.ASCII)
    part, parts = share
    wanted: dict[str, Wanted] = {}
    files = _files(text, source)
    for theirs, md5 in files.items():
        if not shape.fullmatch(theirs):
            raise DataError(
                f"The plan {source} names the file {shorten(theirs, 80)!r}. A shard of '{split}' is called "
                f"{split}NAME.tfrecord, NAME of letters, digits, '-' and '_'. Nothing was fetched; check the mirror."
            )
        if not isinstance(md5, str) or not _HASH.fullmatch(md5.lower()):
            raise DataError(
                f"The plan {source} says of {theirs} {shorten(json.dumps(md5), 60)}, which is not an MD5 of 32 "
                "hexadecimal digits. Nothing was fetched; check the mirror."
            )
        ending = theirs.removeprefix(split).removesuffix(".tfrecord")
        name = f"{split}{numbers[ending]:04}.tfrecord" if ending in numbers else theirs
        other = wanted.setdefault(name.lower(), Wanted(split, theirs, name, md5.lower()))
        if other.theirs != theirs:
            raise DataError(
                f"The plan {source} names {other.theirs} and {theirs}, which would be one file ({name}) here. Nothing "
                "was fetched; check the mirror."
            )
    return sorted(
        (each for each in wanted.values() if _belongs(each, part, parts)), key=lambda each: each.name
    )


def _belongs(wanted: Wanted, part: int, parts: int) -> bool:
    digest = hashlib.md5(wanted.theirs.encode(), usedforsecurity=False).hexdigest()
    return int(digest, 16) % parts == part - 1


def _files(text: bytes, source: str) -> dict:
    try:
        plan = json.loads(text)
    except (ValueError, RecursionError):
        plan = None
    files = plan.get("files") if isinstance(plan, dict) else None
    if not isinstance(files, dict) or not 0 < len(files) <= MOST_FILES:
        beginning = shorten(text[:200].decode("utf-8", "replace"), 60)
        raise DataError(
            f"{source} is not a plan of YouTube-8M's downloader: expected JSON with 1 to {MOST_FILES:,} names and MD5s "
            f"under 'files'. It begins with {beginning!r}. Check the mirror."
        )
    return files
