"""What a report depends on, told by short digests: data, package, software. No TensorFlow, and no clock.

Times of files decide nothing: a clock may jump, and a copy has times of its own.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import dmlkit

WHOLE = 1 << 20  # bytes; what is larger is looked at in blocks
BLOCK, BLOCKS = 4096, 16  # the last holds the checksum of a TFRecord's last record
TEXT = {".toml", ".csv", ".json", ".txt"}  # read whole: they say what the records mean
MOST_TEXT = 1 << 22  # bytes
SOFTWARE = ("dmlkit", "keras", "tensorflow")


def digest(value: object) -> str:
    """The digest of a plain value, or of bytes."""
    if not isinstance(value, bytes):
        value = json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return hashlib.sha256(value).hexdigest()


def file_digest(path: Path) -> str | None:
    """The digest of a file's bytes; None where it is missing."""
    try:
        return digest(path.read_bytes())
    except OSError:
        return None


def data_mark(folder: str | os.PathLike, *, without: Path) -> str | None:
    """The digest of a folder of data, linked folders among it: names, sizes, and bytes of every file.

    Files of up to 1 MiB and texts of up to 4 MiB count whole; of larger ones 16 blocks of 4 KiB, spread evenly, the
    first and the last among them. What changes between the blocks of a file that keeps its size can escape; a reader
    of the records still meets it, by their checksums.

    Args:
        folder: The folder.
        without: A folder whose files do not count: the report may lie among the data.

    Returns:
        None where the folder is missing or remote: only TensorFlow could look at it.
    """
    root = Path(folder)
    if "://" in os.fspath(folder) or not root.is_dir():
        return None
    return digest([_told(path, root) for path in _files(root, without.resolve())])


def _files(root: Path, without: Path) -> Iterator[Path]:
    home = root.resolve()
    seen = {home, *home.parents, without}  # a link may lead back to where it lies
    for place, folders, names in os.walk(root, followlinks=True):
        here, entered = Path(place), []
        for name in sorted(folders):
            target = (here / name).resolve()
            if name[0] != "." and target not in seen:
                seen.add(target)
                entered.append(name)
        folders[:] = entered
        yield from (here / name for name in sorted(names) if name[0] != ".")


def _told(path: Path, root: Path) -> list:
    name = os.fsencode(path.relative_to(root)).hex()
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            if size <= (MOST_TEXT if path.suffix in TEXT else WHOLE):
                return [name, size, digest(file.read())]
            blocks = []
            for block in range(BLOCKS):
                file.seek(block * (size - BLOCK) // (BLOCKS - 1))
                blocks.append(file.read(BLOCK))
            return [name, size, digest(b"".join(blocks))]
    except OSError as error:  # opening the data set will say it better
        return [name, error.errno]


@functools.cache
def software() -> dict[str, str | None]:
    """Python, the packages that decide the numbers, and this package to the byte."""
    versions = {name: _version(name) for name in SOFTWARE}
    return {"python": platform.python_version()} | versions | {"package": _package()}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package() -> str:
    """The digest of this package's files; the notebooks, which an installed package holds, count one by one."""
    root = Path(dmlkit.__file__).parent
    files = sorted(path for path in root.rglob("*") if path.is_file())
    apart = {"__pycache__", "notebooks"}
    return digest(
        [
            [path.relative_to(root).as_posix(), file_digest(path)]
            for path in files
            if not apart & set(path.relative_to(root).parts)
        ]
    )
