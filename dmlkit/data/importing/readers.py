"""What a source may be: kind → how its files end and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dmlkit.data.importing.imported import Choice, Imported
from dmlkit.data.importing.media_sequence import read_media_sequence
from dmlkit.data.importing.npy import SUFFIX as ARRAY
from dmlkit.data.importing.npy import holds_arrays, read_npy
from dmlkit.data.importing.npz import read_npz
from dmlkit.data.importing.parquet import read_parquet
from dmlkit.errors import DataError
from dmlkit.text import shorten

DEEPEST = 3


@dataclass(frozen=True)
class Reader:
    """One kind of source.

    Attributes:
        endings: Of its files' names; none for a kind that is a folder as a whole.
        read: Path, choice → the videos.
    """

    endings: tuple[str, ...]
    read: Callable[[Path, Choice], Iterator[Imported]]


READERS = {
    "npz": Reader((".npz",), read_npz),
    "npy": Reader((), read_npy),
    "parquet": Reader((".parquet", ".pq"), read_parquet),
    "mediapipe": Reader((".tfrecord", ".tfrecords", ".pb"), read_media_sequence),
}


def read_sources(sources: Sequence[Path], choice: Choice) -> Iterator[Imported]:
    """The videos of all sources, one source after the other, files by name.

    Raises:
        DataError: A source is missing, of no known kind, or damaged.
    """
    # All are looked at before the first is read: a mistyped name is told at once.
    with _named(sources):
        found = [pair for source in sources for pair in expand(source)]
    for kind, path in found:
        with _named([path]):
            yield from READERS[kind].read(path, choice)


@contextmanager
def _named(paths: Sequence[Path]) -> Iterator[None]:
    """What the system says of files, as an error for a reader's eyes."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or ', '.join(map(str, paths))} cannot be read: {error.strerror or error}."
        ) from error


def expand(source: Path) -> list[tuple[str, Path]]:
    """The files (or folders read as a whole) of one source, each with its kind.

    Raises:
        DataError: There is none.
    """
    if not source.exists():
        raise DataError(f"There is no {source}. Give files or folders of features.")
    if source.is_file():
        kind = _kind(source)
        if kind is None and source.suffix == ARRAY:
            raise DataError(
                f"{source} is one array; give the folder that holds the {ARRAY} files, one a video."
            )
        if kind is None:
            raise DataError(f"{source} is of no kind that can be imported. There are: {_endings()}.")
        return [(kind, source)]
    found = list(_walk(source, DEEPEST))
    if holds_arrays(source):
        if found:
            raise DataError(
                f"{source} holds {ARRAY} files and others ({shorten(found[0][1].name)}). Give one kind at a "
                "time."
            )
        return [("npy", source)]
    if not found:
        raise DataError(f"{source} holds nothing that can be imported. Files that can: {_endings()}.")
    return found


def _walk(folder: Path, depth: int) -> Iterator[tuple[str, Path]]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and depth:
            yield from _walk(entry, depth - 1)
        elif entry.is_file() and (kind := _kind(entry)):
            yield kind, entry


def _kind(path: Path) -> str | None:
    return next((kind for kind, reader in READERS.items() if path.suffix.lower() in reader.endings), None)


def _endings() -> str:
    endings = [ending for reader in READERS.values() for ending in reader.endings]
    return ", ".join((*endings, f"<modality>/<id>{ARRAY}"))
