"""One process at a time: a lock that the operating system lifts when its holder dies, however it dies."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

POLL = 0.5  # seconds between two looks at a lock that somebody else holds


@contextmanager
def held(path: Path, *, taken: Callable[[str], None], wait: bool = False) -> Iterator[None]:
    """Hold the lock at `path` for a while; the file stays, only the lock on it counts.

    Args:
        path: The lock file.
        taken: Called with who holds it (`process 4711 on ants`) where it is not free; raise there to give up.
        wait: Wait until it is free, after `taken` was called.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        taken(holder(path))
        if not wait:
            raise
        lock.acquire(poll_interval=POLL)
    try:
        with suppress(OSError):  # a courtesy to whoever asks next; a full disk must not cost the lock
            _owner(path).write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        _owner(path).unlink(missing_ok=True)
        lock.release()


def holder(path: Path) -> str:
    """Who holds a lock, as its holder wrote it down."""
    try:
        return _owner(path).read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def _owner(path: Path) -> Path:
    # On Windows a locked file cannot be read, so the name stands beside it.
    return path.with_name(f"{path.name}.holder")
