"""What stands in the folder already, and the record of what was compared with its hash.

The record gets one line for each file that was found right: MD5, size and time of change. As long as size and time
are those, the file is not read again, so that the same command over thousands of shards ends in a moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dmlkit.data.downloading.asking import Failed
from dmlkit.data.downloading.plans import Wanted
from dmlkit.errors import UsageError
from dmlkit.files import atomic_write

FILE = ".dmlkit-download.jsonl"


@dataclass
class Record:
    """The files of a folder that were right when they were last read.

    Attributes:
        path: Of the record.
        lines: Name → what was written down.
        writing: One line at a time.
    """

    path: Path
    lines: dict[str, dict]
    writing: threading.Lock = field(default_factory=threading.Lock)

    def knows(self, name: str) -> bool:
        """Whether a file of this name was once right."""
        return name in self.lines

    def vouches(self, name: str, md5: str) -> bool:
        """Whether the file is the one that was found to have this hash."""
        line = self.lines.get(name)
        return line is not None and line == _line(self.path.with_name(name), md5)

    def add(self, name: str, md5: str) -> None:
        """Write down that a file is right."""
        line = _line(self.path.with_name(name), md5)
        with self.writing:
            self.lines[name] = line
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"name": name, **line}) + "\n")


def open_record(folder: Path, partition: str) -> Record:
    """The record of a folder, which is that of one partition.

    Raises:
        UsageError: The folder holds another partition, whose shards have the same names, or cannot be written to.
    """
    path = folder / FILE
    lines: dict[str, dict] = {}
    held = None
    for line in _read(path):
        if isinstance(line.get("partition"), str):
            held = line["partition"]
        elif isinstance(line.get("name"), str):
            lines[line.pop("name")] = line
    if lines and held not in (None, partition):
        raise UsageError(
            f"{folder} holds {held}, and the shards of {partition} have the same names. Give each its own folder."
        )
    rows = [{"partition": partition}, *({"name": name, **line} for name, line in lines.items())]
    try:
        # Also where it is old: what is added later stands after a whole line, and the record is no link to elsewhere.
        with atomic_write(path) as temporary:
            temporary.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"The record {path} cannot be written: {error.strerror}. See to it, and try again."
        ) from error
    return Record(path, lines)


def find_standing(folder: Path, wanted: Iterable[Wanted]) -> dict[Wanted, Path]:
    """Wanted file → what stands in the folder under its name here, or else under its name on the server.

    The latter is how one fetches shards by hand. Names are compared as they are, also where the file system takes
    two that differ in case for one.
    """
    names = set(os.listdir(folder))
    return {
        each: folder / name
        for each in wanted
        if (name := next((name for name in (each.name, each.theirs) if name in names), None))
    }


def hash_of(path: Path) -> str:
    """The MD5 of a file.

    Raises:
        Failed: What stands there is no file.
    """
    try:
        # Before it is opened: a pipe would be waited for.
        if not stat.S_ISREG(path.stat().st_mode):
            raise Failed("what stands there is no file; move it away", passing=False)
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError:
        return ""  # a link to nowhere


def _line(path: Path, md5: str) -> dict | None:
    try:
        there = path.stat()
    except OSError:
        return None
    return {"md5": md5, "size": there.st_size, "changed": there.st_mtime_ns}


def _read(path: Path) -> list[dict]:
    """The lines that can be read; what a kill cut off is not missed, its file is only read again."""
    if not path.is_file():
        return []
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict):
            found.append(line)
    return found
