"""Arrays by name in one `.npz`: written whole or not at all, read without pickles."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dmlkit.writing import put_in_place


class UnreadableError(Exception):
    """The file is missing, damaged, or holds what only a pickle can."""


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays beside the path, then put them in its place."""
    with put_in_place(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote.

    Raises:
        UnreadableError: Says what is wrong with the file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    # An empty or plain file, a cut archive, a cut member: each is told by an exception of its own.
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableError(f"{path}: {error}") from error
