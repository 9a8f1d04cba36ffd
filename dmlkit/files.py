"""Files written whole or not at all, arrays read without pickles, and locks between processes."""

from __future__ import annotations

import errno
import os
import socket
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from dmlkit.errors import DataError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write to the temporary path this yields, of the same suffix. It replaces `path` once its bytes are on the disk,
    so that not even a loss of power leaves half a file; after an error it is deleted.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        with open(temporary, "r+b") as file:
            try:
                os.fsync(file.fileno())
            except OSError as error:
                # Some file systems, mostly remote ones, cannot.
                if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                    raise
        os.replace(temporary, path)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename = str(path)  # for messages
        raise
    finally:
        temporary.unlink(missing_ok=True)


class UnreadableError(DataError):
    """The file is missing, damaged, or holds what only a pickle can."""


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays as one `.npz`, whole or not at all."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except PermissionError:  # it may be whole
        raise
    # An empty or plain file, a cut archive, a cut member: each raises another exception.
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableError(f"{path} is missing or damaged ({error})") from error


POLL = 0.5  # seconds between two tries of a lock that another process holds


@contextmanager
def file_lock(path: Path, *, taken: Callable[[str], None], wait: bool = False) -> Iterator[None]:
    """Hold the lock at `path`; its file stays. Where another process holds it, `taken` is called with that process
    (`process 4711 on ants`) and may raise; then the lock is waited for if `wait`.
    """
    lock = FileLock(path, thread_local=False)
    # On Windows a locked file cannot be read, so the holder is written to another.
    note, holder = path.with_name(f"{path.name}.holder"), ""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        with suppress(OSError):
            holder = note.read_text(encoding="utf-8")
        taken(holder or "another process")
        if not wait:
            raise
        lock.acquire(poll_interval=POLL)
    try:
        with suppress(OSError):  # only for messages; a full disk must not cost the lock
            note.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()
