"""Files and folders of data, local or remote, and the shards among them.

What holds ``://`` (``gs://``, ``hdfs://``, ``ram://``) goes through ``tf.io.gfile``; local files do without TensorFlow,
whose import takes seconds.
"""

from __future__ import annotations

import glob
import os
import posixpath
import re
import shutil
import stat
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmlkit.errors import DataError, UsageError
from dmlkit.files import atomic_write
from dmlkit.paths import is_remote

# The end of a shard's path: x.tfrecord, x.tfrecords.gz, x.tfrecord-00000-of-00003, x-00000-of-00003, part-r-00000.
SHARD_SUFFIX = re.compile(
    r"(\.(tfrecords?|tfrec|tfr|records?)([-_.]?\d+)?(-of-\d+)?|-\d+-of-\d+|(?<![^/])part(-[rm])?-\d+(-[\w-]+)?(\.c\d+)?)"
    r"(\.(gz|gzip|zlib|z))?$",
    re.IGNORECASE,
)
# Of the system, of notebooks, of other programs at work.
_ASIDE = re.compile(r"\..*|__MACOSX|_temporary|lost\+found")
_SUMS = (".crc", ".md5", ".sha256", ".index")
MAX_DEPTH = 3  # folders below the data set's own in which shards are looked for
READ_BYTES = 1 << 20  # one read of a file
FETCH_AGAIN = "Fetch the file again, or move it out of the data set."


def readable_path(path: str | os.PathLike) -> str:
    """A path of data as it is used: without a last slash, ``~`` as the home folder; `UsageError` where it is empty."""
    text = os.path.expanduser(os.fspath(path))
    if not text.strip():
        raise UsageError("The path of the data is empty. Name a folder, or a dot for the one you are in.")
    return text.rstrip("/") or "/"


def exists(path: str) -> bool:
    """Whether there is such a file or folder; `DataError` where that cannot be known: no network, no permission."""
    try:
        if is_remote(path):
            return _gfile().exists(path)
        os.stat(path)
        return True
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except Exception as error:  # TensorFlow's own, of another class for each service and each reason
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        advice = "Check the address, the network and your rights, or copy the data to this machine."
        advice = advice if is_remote(path) else "Get the right to open its folder (`chmod u+rx`)."
        raise DataError(f"{path} cannot be reached: {reason}. {advice}") from error


def is_folder(path: str) -> bool:
    """Whether there is such a folder."""
    return _gfile().isdir(path) if is_remote(path) else os.path.isdir(path)


def file_size(path: str) -> int:
    """The bytes of a file."""
    return _gfile().stat(path).length if is_remote(path) else os.stat(path).st_size


@contextmanager
def opened(path: str, *, buffering: int = READ_BYTES) -> Iterator[tuple]:
    """The file, opened, and its bytes; what goes wrong with it as a whole becomes a `DataError`."""
    try:
        if is_remote(path):
            with _gfile().GFile(path, "rb") as file:
                yield file, file_size(path)
            return
        about = os.stat(path)
        if stat.S_IFMT(about.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):  # a pipe would wait for ever
            raise DataError(f"{path} is a pipe or device, not a file. Move it out of the data set.")
        with open(path, "rb", buffering=buffering) as file:
            yield file, about.st_size
    except Exception as error:
        code = getattr(error, "error_code", None)  # TensorFlow's; 5 is NOT_FOUND
        if isinstance(error, FileNotFoundError) or code == 5:
            link = " is a link to a file that" if os.path.islink(path) else ""
            raise DataError(f"{path}{link} is not there (any more). Put it back, or move it out.") from error
        if isinstance(error, OSError) or code:
            why = getattr(error, "strerror", None) or error
            denied = isinstance(error, PermissionError)
            advice = "Get the right to read it (`chmod u+r`), or move it out." if denied else FETCH_AGAIN
            raise DataError(f"{path} cannot be read ({why}). {advice}") from error
        raise


def read_bytes(path: str) -> bytes:
    """A small file's bytes."""
    with opened(path) as (file, _):
        return file.read()


@contextmanager
def open_to_write(path: str) -> Iterator:
    """A new file, opened to write bytes, in a new folder if need be; it appears whole or not at all."""
    folder, name = posixpath.split(path)
    if not is_remote(path):
        os.makedirs(folder or ".", exist_ok=True)
        with atomic_write(Path(path)) as temporary, temporary.open("wb") as file:
            yield file
        return
    # The name does not end in .tfrecord, so that nobody who lists the folder meanwhile takes it for a shard.
    partial = posixpath.join(folder, f".{name}.{os.getpid()}.partial")
    _gfile().makedirs(folder)
    try:
        with _gfile().GFile(partial, "wb") as file:
            yield file
        _gfile().rename(partial, path, overwrite=True)
    finally:
        if exists(partial):
            _gfile().remove(partial)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A hidden local folder, which takes the place of `out` once it is finished and is removed after an error."""
    out = out.absolute()
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an earlier process of this number
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}. It was removed.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


# Shards by their names.


def find_shards(root: str) -> tuple[list[str], list[str]]:
    """The shards in a folder, at most `MAX_DEPTH` deep, by their names, sorted; notes on what was left aside."""
    shards, aside = [], defaultdict(list)
    if is_remote(root):
        found = match_paths(root, *("*/" * depth + "*" for depth in range(MAX_DEPTH + 1)))
        files = {path.rstrip("/") for path in found} - {posixpath.dirname(path.rstrip("/")) for path in found}
    else:
        files = _local_files(root, aside)
    for path in files:
        hidden = any(map(_ASIDE.fullmatch, relative_name(path, root).split("/")))
        if SHARD_SUFFIX.search(path):
            (aside["shards that are hidden or in hidden folders"] if hidden else shards).append(path)
        elif "tfrec" in posixpath.basename(path).lower() and not hidden and not path.endswith(_SUMS):
            aside["files whose names are not those of shards"].append(path)
        elif path.endswith((".npz", ".npy", ".parquet")) and not hidden:
            aside["files for `dmlkit data import`"].append(path)
    found = [(kind, len(paths), relative_name(min(paths), root)) for kind, paths in aside.items()]
    return sorted(shards), [f"Left aside, {kind}: {count:,} ({first})." for kind, count, first in found]


def _local_files(root: str, aside: dict[str, list]) -> Iterator[str]:
    """Every file to `MAX_DEPTH`; folders that are not searched are added to `aside`."""
    seen, unreadable = set(), []
    for folder, below, names in os.walk(root, onerror=unreadable.append, followlinks=True):
        below.sort()  # of two links to a folder the first is followed
        if (place := os.path.realpath(folder)) in seen:
            aside["links to folders that are there already"].append(folder)
            names = below[:] = []
        elif below and folder.removeprefix(root).count("/") == MAX_DEPTH:
            if not any(map(_ASIDE.fullmatch, relative_name(folder, root).split("/"))):
                aside[f"folders deeper than {MAX_DEPTH} levels"] += [f"{folder}/{name}" for name in below]
            below.clear()
        seen.add(place)
        yield from (posixpath.join(folder, name) for name in names)
    for error in unreadable:
        if error.filename == root:
            raise DataError(f"{root} cannot be read ({error.strerror}). Get the right to list it.") from error
        aside["folders that cannot be read"].append(error.filename)


def match_paths(root: str, *patterns: str) -> list[str]:
    """What matches any of the patterns in a folder, sorted."""
    remote = is_remote(root or patterns[0])
    base, find = (root, _gfile().glob) if remote else (glob.escape(root), glob.glob)
    return sorted({path for each in patterns for path in find(posixpath.join(base, each))})


def match_shards(root: str, pattern: str) -> list[str]:
    """The files that match a pattern in a folder, and the shards in folders that do, as Spark leaves them."""
    found = match_paths(root, pattern)
    return [shard for path in found for shard in (find_shards(path)[0] if is_folder(path) else [path])]


def relative_name(path: str, root: str) -> str:
    """The name of a shard within the data set's folder."""
    return path.removeprefix(root).lstrip("/") if is_remote(path) else posixpath.relpath(path, root)


def _gfile():
    from dmlkit.runtime import quiet_startup

    with quiet_startup():
        import tensorflow as tf

        return tf.io.gfile
