"""Files and folders, local or remote: local ones without TensorFlow, whose import takes seconds.

What holds ``://`` (``gs://``, ``hdfs://``, ``ram://``) goes through ``tf.io.gfile``, which knows the way.
"""

from __future__ import annotations

import glob
import os
import posixpath
from pathlib import Path

from dmlkit.files import atomic_write


def remote(path: str) -> bool:
    """Whether a path is an address that only ``tf.io.gfile`` knows."""
    return "://" in path


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    return _gfile().exists(path) if remote(path) else os.path.exists(path)


def is_folder(path: str) -> bool:
    """Whether there is such a folder."""
    return _gfile().isdir(path) if remote(path) else os.path.isdir(path)


def names_in(folder: str) -> list[str]:
    """The names of what lies in a folder, in no order."""
    # Some file systems end the names of folders with a slash.
    names = _gfile().listdir(folder) if remote(folder) else os.listdir(folder)
    return [name.rstrip("/") for name in names]


def matching(folder: str, pattern: str) -> list[str]:
    """The paths below a folder that match a pattern relative to it, in no order."""
    if remote(folder):
        return _gfile().glob(posixpath.join(folder, pattern))
    # The folder's own name may hold what a pattern reads otherwise.
    return glob.glob(posixpath.join(glob.escape(folder), pattern))


def read_whole(path: str) -> bytes:
    """A small file's bytes."""
    with _gfile().GFile(path, "rb") if remote(path) else open(path, "rb") as file:
        return file.read()


def write_whole(path: str, data: bytes) -> None:
    """Write a small file; it appears whole or not at all."""
    if not remote(path):
        with atomic_write(Path(path)) as temporary:
            temporary.write_bytes(data)
        return
    folder, name = posixpath.split(path)
    partial = posixpath.join(folder, f".{name}.partial")
    with _gfile().GFile(partial, "wb") as file:
        file.write(data)
    _gfile().rename(partial, path, overwrite=True)


def _gfile():
    from dmlkit.runtime import quiet_startup

    with quiet_startup():
        import tensorflow as tf

        return tf.io.gfile
