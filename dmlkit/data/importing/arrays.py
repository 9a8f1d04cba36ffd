"""numpy's files, read a few rows at a time and never as pickles.

What a header says is held against the size of the file before anything is allocated.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dmlkit.data.importing.imported import LARGEST
from dmlkit.errors import DataError
from dmlkit.text import shorten

# What zipfile raises for an archive that is cut, altered, encrypted or packed in a way it does not know.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)
# The record that ends an archive; its fifth entry counts the members, unless there are too many for it.
_LAST = struct.Struct("<4s4H2LH")
_UNSAID = 0xFFFF


class Stream:
    """One array in a file: its shape is known at once, its rows are read in their order.

    Args:
        file: At the first byte of numpy's format.
        size: The bytes there are.
        where: File and array, for messages.

    Raises:
        DataError: It is no such array, one that only a pickle could bring back, or its size is not what it says.
    """

    def __init__(self, file: BinaryIO, size: int, where: str):
        self._file, self._where, self._whole = file, where, None
        self.shape, self._fortran, self.dtype = self._header()
        if self.dtype.hasobject:
            raise DataError(
                f"{where} holds Python objects, which only a pickle could bring back, and pickles are not "
                "read: they can run code. Save plain arrays, e.g. np.savez(path, rgb=np.asarray(rgb, "
                "np.float32)); for videos of different lengths, one file a video, or all frames in one "
                "array with num_frames."
            )
        if self.dtype.names or self.dtype.subdtype:
            raise DataError(f"{where} is a table of fields ({self.dtype}). Save one plain array a modality.")
        declared, there = math.prod(self.shape) * self.dtype.itemsize, size - file.tell()
        if declared != there:
            raise DataError(
                f"{where} says that it is {self.dtype} {self.shape}, which takes {declared:,} bytes, but "
                f"holds {there:,}. The file is damaged or cut off; save it again."
            )

    @property
    def ndim(self) -> int:
        """Of the shape."""
        return len(self.shape)

    def take(self, count: int) -> np.ndarray:
        """The next rows, (count, ...).

        Raises:
            DataError: They would take too much memory, or the file is damaged there.
        """
        shape = (count, *self.shape[1:])
        if self._fortran and self.ndim > 1:  # rows lie scattered over the file
            if self._whole is None:
                flat = self._read((math.prod(self.shape),))
                self._whole = flat.reshape(self.shape[::-1]).T
            rows, self._whole = self._whole[:count], self._whole[count:]
            return np.ascontiguousarray(rows)
        return self._read(shape)

    def whole(self) -> np.ndarray:
        """All of it.

        Raises:
            DataError: As `take`.
        """
        return self.take(self.shape[0]) if self.shape else self._read(())

    def _header(self) -> tuple[tuple[int, ...], bool, np.dtype]:
        try:
            version = np.lib.format.read_magic(self._file)
            # The later versions are for tables of fields with long or strange names.
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(self._file)
                if all(length >= 0 for length in shape):
                    return shape, fortran, dtype
            reason = f"its header is of version {version}" if version != (1, 0) else f"its shape is {shape}"
        except Exception as error:
            reason = shorten(error, 120)
        raise DataError(
            f"{self._where} is not an array in numpy's format ({reason}). Save it with np.save or np.savez."
        )

    def _read(self, shape: tuple[int, ...]) -> np.ndarray:
        size = math.prod(shape) * self.dtype.itemsize
        if size > LARGEST:
            raise DataError(
                f"{self._where}: {self.dtype} {shape} would take {size:,} bytes at once, more than the "
                f"{LARGEST:,} that are read for one video. Save shorter videos, or one file a video."
            )
        try:
            read = self._file.read(size)
        except _DAMAGED as error:
            raise DataError(f"{self._where} is damaged ({shorten(error, 120)}). Save it again.") from error
        if len(read) != size:
            raise DataError(f"{self._where} ends {size - len(read):,} bytes too early. Save it again.")
        return np.frombuffer(read, dtype=self.dtype).reshape(shape)


class Archive:
    """The arrays of one .npz by name; made by `opened_archive`."""

    def __init__(self, file: zipfile.ZipFile, path: Path):
        self._file, self._path = file, path
        self._members = {info.filename.removesuffix(".npy"): info for info in file.infolist()}

    @property
    def names(self) -> list[str]:
        """Of the arrays, in the file's order."""
        return list(self._members)

    def stream(self, name: str) -> Stream:
        """One of them.

        Raises:
            DataError: As `Stream` says, or the archive is damaged there.
        """
        where = f"{self._path}, array {shorten(name)}"
        info = self._members[name]
        try:
            file = self._file.open(info)
        except _DAMAGED as error:
            raise DataError(f"{where} is damaged ({shorten(error, 120)}). Save the file again.") from error
        return Stream(file, info.file_size, where)


@contextmanager
def opened_archive(path: Path) -> Iterator[Archive]:
    """The arrays of an .npz.

    Raises:
        DataError: The file cannot be read or is no such archive.
    """
    try:
        file = zipfile.ZipFile(path)
        said = _said_to_hold(path, len(file.comment))
    except _DAMAGED as error:
        raise DataError(
            f"{path} is not an .npz archive, or a damaged one ({shorten(error, 120)}). Save it again with "
            "np.savez."
        ) from error
    with file:
        # A member can be lost in a broken length of the table of contents, which zipfile does not notice.
        if said not in (len(file.infolist()), _UNSAID):
            raise DataError(
                f"{path} says that it holds {said} arrays, but {len(file.infolist())} can be found. Save it "
                "again."
            )
        yield Archive(file, path)


def _said_to_hold(path: Path, comment: int) -> int:
    """How many members an archive's last record tells of."""
    with path.open("rb") as file:
        file.seek(-_LAST.size - comment, os.SEEK_END)
        return _LAST.unpack(file.read(_LAST.size))[4]


@contextmanager
def opened_array(path: Path) -> Iterator[Stream]:
    """The array of an .npy.

    Raises:
        DataError: The file cannot be read or is no such array.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    with file:
        yield Stream(file, path.stat().st_size, str(path))
