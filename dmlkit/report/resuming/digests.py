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

TAIL = 4096  # bytes; a TFRecord ends with the checksum of its last record
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
    """The digest of a folder of data: names and sizes, the ends of all files, the whole of the small texts.

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
    for place, folders, names in os.walk(root):
        here = Path(place)
        folders[:] = sorted(name for name in folders if name[0] != "." and (here / name).resolve() != without)
        yield from (here / name for name in sorted(names) if name[0] != ".")


def _told(path: Path, root: Path) -> list:
    name = os.fsencode(path.relative_to(root)).hex()
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            if path.suffix not in TEXT or size > MOST_TEXT:
                file.seek(max(0, size - TAIL))
            return [name, size, digest(file.read(MOST_TEXT))]
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
