"""Files written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Some file systems, mostly remote ones, know no such thing.
UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def put_in_place(path: Path) -> Iterator[Path]:
    """Write to the path this gives; once that is done it takes the place of `path`, and after an error it is gone.

    The bytes are on the disk before the name is, so that not even a loss of power leaves half a file. The ending
    stays the file's own, for writers that go by it.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        _to_disk(temporary, os.O_RDWR)
        os.replace(temporary, path)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            with suppress(OSError):  # the file is whole all the same
                _to_disk(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path: Path, how: int) -> None:
    opened = os.open(path, how)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise
    finally:
        os.close(opened)
