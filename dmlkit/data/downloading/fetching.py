"""One file: continued where it stopped, tried again, compared with its hash, and only then given its name.

What has come so far stands beside in a hidden file, so that neither an interruption nor a kill costs more than what
was in memory. After either, its bytes are hashed anew and the rest is asked for.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import requests

from dmlkit.data.downloading.asking import CHUNK, Failed, Patience, asked, body, length

# The shards of the largest release are below 400 MB.
LARGEST_FILE = 4 * 2**30
# An attempt that adds less than this to the most there ever was of a file brought nothing.
FRUIT = 64 * 2**10
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII)
FULL = (errno.ENOSPC, errno.EDQUOT)


class Stopped(Exception):
    """The download as a whole was interrupted or given up."""


class Part:
    """What there is of a file so far, and the hash of it."""

    def __init__(self, path: Path):
        self.path = path
        _only_ours(path)
        self.file = open(path, "r+b" if path.exists() else "x+b")  # noqa: SIM115 (closed by `close`)
        self.hash = hashlib.md5(usedforsecurity=False)
        self.size = 0
        while piece := self.file.read(CHUNK):
            self.hash.update(piece)
            self.size += len(piece)

    def add(self, piece: bytes) -> None:
        """Write what came, at once: a thread that is left behind holds back nothing to write later."""
        self.file.write(piece)
        self.file.flush()
        self.hash.update(piece)
        self.size += len(piece)

    def begin_anew(self) -> int:
        """Forget everything; the number of bytes that were."""
        lost, self.size = self.size, 0
        self.hash = hashlib.md5(usedforsecurity=False)
        self.file.seek(0)
        self.file.truncate()
        return lost

    def put_at(self, path: Path) -> None:
        """Give the file its name, once its bytes are on the disk; a link that stands there is replaced."""
        with suppress(OSError):  # some file systems know no such thing
            os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self.path, path)

    def close(self) -> None:
        """Leave what there is for the next time."""
        self.file.close()

    def leave(self) -> None:
        """After a failure: leave what there is for the next time, or nothing where there is nothing."""
        self.file.close()
        if not self.size:
            self.path.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """Where a file grows before it has its name: hidden, and no `.tfrecord`."""
    return path.with_name(f".{path.name}.part")


def fetch(
    url: str,
    *,
    to: Path,
    md5: str,
    session: requests.Session,
    patience: Patience,
    stop: threading.Event,
    moved: Callable[[int], None],
) -> None:
    """Fetch a file, or the rest of it.

    Args:
        url: Its address.
        to: Where it is put when it is whole and right.
        md5: Its hash, in hexadecimal.
        session: Of this thread.
        patience: How often, and how long.
        stop: Set where everything is to stop.
        moved: Told how many bytes came; fewer than none where they were no good.

    Raises:
        Failed: It could not be had; `passing` where the server was the reason, rather than the file.
        Stopped: Everything is to stop.
        OSError: It could not be written.
    """
    part = Part(part_of(to))
    most, fruitless = part.size, 0
    try:
        while True:
            try:
                _attempt(url, part, md5=md5, session=session, patience=patience, stop=stop, moved=moved)
                break
            except Failed as failed:
                # Told too great a length, one waits in vain for more of what is whole.
                if part.hash.hexdigest() == md5:
                    break
                fruitless = 0 if part.size >= most + FRUIT else fruitless + 1
                most = max(most, part.size)
                if not failed.passing:
                    raise
                if fruitless >= patience.attempts:
                    raise Failed(f"{failed}; {fruitless} attempts", passing=True) from failed
                if stop.wait(max(failed.wait, patience.wait(fruitless) if fruitless else 0.0)):
                    raise Stopped from None
        part.put_at(to)
    except Failed:
        part.leave()
        raise
    finally:
        part.close()


def _attempt(
    url: str,
    part: Part,
    *,
    md5: str,
    session: requests.Session,
    patience: Patience,
    stop: threading.Event,
    moved: Callable[[int], None],
) -> None:
    if stop.is_set():
        raise Stopped
    if part.hash.hexdigest() == md5:
        return
    with asked(session, url, timeout=patience.timeout, start=part.size) as response:
        if part.size and not _continues(response, part.size):
            moved(-part.begin_anew())
            if response.status_code != 200:
                raise Failed("the server does not continue the file where it stopped", passing=True)
        elif not part.size and response.status_code != 200:
            raise Failed(f"the server answers {response.status_code} to a plain request", passing=True)
        told = length(response)
        room = LARGEST_FILE - part.size
        if told is not None and told > room:
            raise Failed(f"the server tells of {told:,} bytes, more than any shard has", passing=False)
        for piece in body(response, most=room, timeout=patience.timeout):
            if stop.is_set():
                raise Stopped
            part.add(piece)
            moved(len(piece))
    if part.hash.hexdigest() != md5:
        moved(-part.begin_anew())
        raise Failed(f"what the server sends has not the MD5 of the plan ({md5})", passing=True)


def _continues(response: requests.Response, start: int) -> bool:
    """Whether the body is the rest of a file from `start` on."""
    match = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return bool(match) and response.status_code == 206 and int(match[1]) == start


def _only_ours(path: Path) -> None:
    """Take away what would lead elsewhere than to a file of this folder: a link, a pipe, a second name of a file."""
    with suppress(FileNotFoundError):
        there = path.lstat()
        if not stat.S_ISREG(there.st_mode) or there.st_nlink != 1:
            path.unlink()
