"""`download`: YouTube-8M from a server into a folder, each file verified against the MD5 of the server's plan.

pooch fetches, verifies and retries; it writes into a hidden folder, out of which a file moves to its name once it is
right. The server need not mean well: it is never followed elsewhere, what it sends is bounded and never decompressed,
and names in its plan cannot become paths.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import string
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from weakref import WeakSet

import pooch
import requests
from tqdm import tqdm

from dmlkit.data.schema import read_vocabulary
from dmlkit.errors import DataError, UsageError, choose, nearest
from dmlkit.files import atomic_write, file_lock
from dmlkit.text import counted, one_line, readable_size, shorten

SPLITS = ("train", "validate", "test")
LISTED = 20  # missing files that a message names
LOCK, RECORD, PARTIAL = ".dmlkit-download.lock", ".dmlkit-download.json", ".dmlkit-download.partial"
# Bounds on what a server may send; the real plans have 3,844 names in 227 kB, the real shards below 400 MB.
LARGEST_PLAN, MOST_FILES, LARGEST_FILE, LARGEST_VOCABULARY = 16 << 20, 100_000, 4 << 30, 8 << 20
CHUNK = 1 << 20
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # answers after which another attempt may succeed
GIVE_UP = 8  # files in a row that the server failed to give: it is down
SAMPLED_SIZES = 32  # a plan has no sizes, so the server is asked for some
PROGRESS = {
    "auto": (True, None),
    "lines": (True, True),
    "silent": (False, True),
}  # lines; whether a bar is hidden


class Partition(NamedTuple):
    """One level of one release: how many classes, and the file that names them.

    Shards end with two of `letters` on the server. On a file system that ignores case, `trainaB` and `trainAb` are one
    file, so they are numbered here, as the official downloader does.
    """

    classes: int
    letters: str
    vocabulary: str
    vocabulary_url: str


class Source(NamedTuple):
    """Addresses of plans, shards and vocabularies (None: the partition's own); the paths below are the same."""

    plans: str
    files: str
    vocabularies: str | None = None


_CSV, _LETTERS = "https://research.google.com/youtube8m/csv", string.ascii_letters + string.digits
_2018 = Partition(3862, _LETTERS, "vocabulary.csv", f"{_CSV}/2/vocabulary.csv")
_2017 = Partition(4716, _LETTERS + "-_", "label_names.csv", f"{_CSV}/label_names.csv")
PARTITIONS = {"2/frame": _2018, "2/video": _2018, "1/frame_level": _2017, "1/video_level": _2017}
# https, unlike the official downloader: a hash is worth no more than the connection its plan came by.
_STORE = "https://storage.googleapis.com"
MIRRORS = {
    name: Source(f"{_STORE}/data.yt8m.org", f"{_STORE}/{name}.data.yt8m.org") for name in ("us", "eu", "asia")
}


class Shard(NamedTuple):
    """A file to have: its name on the server, its name here, its MD5, its address."""

    remote: str
    name: str
    md5: str
    url: str

    @property
    def number(self) -> int:
        """By which the official downloader divides files into shares."""
        return int(hashlib.md5(self.remote.encode(), usedforsecurity=False).hexdigest(), 16)


class ServerError(Exception):
    """The server failed, or sent other bytes, in every attempt."""


class PermanentError(Exception):
    """A file cannot be had, and another attempt would not help."""


class IncompleteDownload(DataError):
    """Files are missing or wrong; `missing` maps each name to the reason."""

    def __init__(self, missing: Mapping[str, str], files: int, folder: Path):
        self.missing = dict(missing)
        listed = "; ".join(f"{name} ({reason})" for name, reason in list(self.missing.items())[:LISTED])
        more = f"; and {len(missing) - LISTED:,} more" if len(missing) > LISTED else ""
        super().__init__(
            f"{len(missing):,} of {files:,} files are missing or wrong in {folder}: {listed}{more}. The same command "
            "fetches only these."
        )


@dataclass(frozen=True)
class Downloaded:
    """A complete download: its folder, its shards, how many of them were fetched now, and notes for a reader."""

    path: Path
    files: int
    fetched: int
    notes: tuple[str, ...] = ()


def download(
    partition: str,
    out: str | os.PathLike,
    *,
    splits: Sequence[str] = (),
    shards: str = "1/1",
    mirror: str = "us",
    plans: str | None = None,
    jobs: int = 4,
    verify: bool = False,
    replace: bool = False,
    any_size: bool = False,
    retries: int = 5,
    timeout: float = 30.0,
    progress: str = "auto",
) -> Downloaded:
    """Fetch shards of YouTube-8M, each verified by its MD5. The same call fetches what an earlier one left.

    Args:
        partition: Release and level under the official downloader's names: `2/frame`, `2/video`, ... (`PARTITIONS`);
            `2/frame/train` is one split of it.
        out: Folder of the shards, which may hold some already, also such as the official downloader fetched.
        splits: `train`, `validate`, `test`; all three where none is named.
        shards: `1/100` is the first of a hundred shares of about one size, the same as the official downloader's.
        mirror: `us`, `eu`, `asia`, or the address of one's own.
        plans: Address of the plans, where they are not at the mirror.
        jobs: Files at a time.
        verify: Hash every file anew, also those unchanged since they were last found right.
        replace: Replace files under a shard's name that were never right.
        any_size: Begin even where the files will not fit on the disk.
        retries: Further attempts for each file.
        timeout: Seconds without an answer before another attempt.
        progress: `auto` (lines, and a bar where there is a terminal), `lines`, `silent`.

    Raises:
        UsageError: Something asked for does not exist, the share holds no file, the folder cannot be written to or is
            in use by another download, or the disk is too small.
        DataError: The plan cannot be had, or is none.
        IncompleteDownload: Files are missing or wrong.
    """
    partition, splits = _find_partition(partition, splits)
    part, parts = _find_share(shards)
    source = _find_source(mirror)
    if plans is not None:
        source = source._replace(plans=_find_source(plans).plans)
    if jobs < 1 or retries < 0 or timeout <= 0:
        raise UsageError(f"Out of range: jobs={jobs}, retries={retries} or timeout={timeout}.")
    lines, no_bar = choose(PROGRESS, progress, what="progress style")
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no permission to write")
    except OSError as error:
        raise UsageError(f"The files cannot be written to {folder}: {error.strerror}.") from error

    def in_use(holder: str) -> None:
        raise UsageError(f"{one_line(holder)} is downloading into {folder}. Wait for it, or end it.")

    with file_lock(folder / LOCK, taken=in_use), Client(folder / PARTIAL, timeout, retries) as client:
        wanted = [
            shard
            for split in splits
            for shard in _read_plan(client, source, partition, split)
            if shard.number % parts == part - 1
        ]
        if not wanted:
            raise UsageError(
                f"Share {shards} of {partition} {'+'.join(splits)} holds no file. Ask for another."
            )
        note = _fetch_vocabulary(client, source, partition, folder)
        verified = _read_record(folder, partition)
        # A file fetched by hand has its name on the server.
        names = set(os.listdir(folder))
        present = {shard: name for shard in wanted for name in (shard.remote, shard.name) if name in names}
        absent = [shard.url for shard in wanted if shard not in present]
        size, free = client.total_size(absent), shutil.disk_usage(folder).free
        about = "unknown size" if size is None else f"about {readable_size(size)}"
        if lines:
            print(
                *filter(None, [note]),
                f"{partition} {'+'.join(splits)} {shards}: {counted(len(wanted), 'file')}, {len(present):,} of them in "
                f"{folder}, {len(absent):,} to fetch ({about}); {readable_size(free)} free.",
                sep="\n",
                flush=True,
            )
        if size and size > free and not any_size:
            raise UsageError(
                f"The files do not fit: {about} to fetch, {readable_size(free)} free in {folder}. Make room, fetch a "
                "share of them (--shards 1/100), or as many as fit with --any-size."
            )

        def provide(shard: Shard) -> bool:
            """See to it that the file is there and right; whether it was fetched."""
            path = folder / present.get(shard, shard.name)
            fetched = shard not in present or _md5(path) != shard.md5
            if fetched:
                # A file that was right once is ours to replace. Any other may be somebody's work.
                if shard in present and not replace and path.name not in verified:
                    raise PermanentError("the file there is not the plan's; move it away, or use --replace")
                os.replace(client.fetch(shard.url, shard.name, most=LARGEST_FILE, md5=shard.md5), path)
            verified[path.name] = _state(path, shard.md5)
            return fetched

        unchanged = {
            shard for shard, name in present.items() if verified.get(name) == _state(folder / name, shard.md5)
        }
        todo = [shard for shard in wanted if verify or shard not in unchanged]
        with tqdm(total=size, unit="B", unit_scale=True, disable=no_bar) as client.bar:
            try:
                fetched = _run(provide, todo, client, jobs, len(wanted), folder)
            finally:
                _write_record(folder, partition, verified)
    return Downloaded(folder, len(wanted), fetched, (note,) if note else ())


def _run(
    provide: Callable[[Shard], bool],
    todo: Sequence[Shard],
    client: Client,
    jobs: int,
    files: int,
    folder: Path,
) -> int:
    """Provide files, several at a time; how many were fetched."""
    missing = {shard.name: "not tried, since the server failed" for shard in todo}
    fetched = failures = 0
    executor = ThreadPoolExecutor(jobs)
    try:
        futures = {executor.submit(provide, shard): shard.name for shard in todo}
        for future in as_completed(futures):
            error = future.exception()
            if error is None:
                fetched += future.result()
                del missing[futures[future]]
            elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UsageError(
                    f"The disk of {folder} is full; {len(missing):,} of {files:,} files are missing. Make room: the "
                    "same command continues."
                ) from error
            elif isinstance(error, ServerError | PermanentError | OSError):
                missing[futures[future]] = one_line(error)
            else:
                raise error
            failures = failures + 1 if isinstance(error, ServerError) else 0
            if failures == GIVE_UP:
                break
    finally:
        client.cancel()
        executor.shutdown(cancel_futures=True)
    if missing:
        raise IncompleteDownload(missing, files, folder)
    return fetched


class Client:
    """Files from one server, by pooch, for several threads. They come into a folder of their own."""

    def __init__(self, folder: Path, timeout: float, retries: int):
        self.retries, self.bar = retries, tqdm(disable=True)
        self._folder, self._cancelled, self._responses = folder, threading.Event(), WeakSet()
        headers, hooks = {"Accept-Encoding": "identity"}, {"response": self._check}
        self._options = {"timeout": timeout, "headers": headers, "hooks": hooks, "allow_redirects": False}
        pooch.get_logger().setLevel("WARNING")

    def __enter__(self) -> Client:
        shutil.rmtree(self._folder, ignore_errors=True)  # left by a kill
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def cancel(self) -> None:
        """End what other threads are waiting for."""
        self._cancelled.set()
        for response in list(self._responses):
            with suppress(Exception):  # it ended by itself
                response.raw.shutdown()

    def fetch(self, url: str, name: str, *, most: int, md5: str | None = None) -> Path:
        """A file of at most so many bytes, of this MD5 where one is given; raises ServerError and PermanentError."""
        progress = _Progress(self.bar, most, self._cancelled)
        downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK, **self._options)
        registry = {name: md5 and f"md5:{md5}"}
        options = {"registry": registry, "urls": {name: url}, "retry_if_failed": self.retries}
        files = pooch.Pooch(self._folder, "", **options)
        try:
            return Path(files.fetch(name, downloader=downloader))
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise PermanentError(f"the address cannot be used: {shorten(error, 120)}") from error
        except requests.RequestException as error:
            cause: BaseException = error
            while cause.__cause__ or cause.__context__:  # to the bottom: [Errno 111] Connection refused
                cause = cause.__cause__ or cause.__context__
            reason = "no answer in time" if isinstance(error, requests.Timeout) else shorten(cause, 120)
            attempts = counted(self.retries + 1, "time")
            raise ServerError(f"the server failed {attempts}, the last: {reason}") from error
        except ValueError as error:
            raise ServerError("what the server sends does not have the MD5 of the plan") from error

    def total_size(self, urls: Sequence[str]) -> int | None:
        """About how many bytes some files have, by the sizes of a few; None where the server does not say."""
        sizes = []
        for url in urls[:: -(-len(urls) // SAMPLED_SIZES) or 1]:
            with suppress(PermanentError, KeyError, ValueError, requests.RequestException):
                sizes.append(int(requests.head(url, **self._options).headers["Content-Length"]))
        return sum(sizes) * len(urls) // len(sizes) if sizes else None if urls else 0

    def _check(self, response: requests.Response, **_: object) -> None:
        """Refuse an answer before its body is read."""
        self._responses.add(response)
        status = f"the server answers {response.status_code} {shorten(response.reason or '', 40)}".rstrip()
        if self._cancelled.is_set():
            raise PermanentError("interrupted")
        if response.status_code in TEMPORARY:
            raise requests.HTTPError(status)
        if response.is_redirect:
            raise PermanentError(
                f"{status}, to {shorten(response.headers['Location'], 80)}, which is not followed"
            )
        if response.status_code != 200:
            raise PermanentError(status)
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise PermanentError("the server sends it compressed, though asked not to")


class _Progress:
    """What pooch calls a progress bar, for one file: it also bounds what the server sends."""

    def __init__(self, bar: tqdm, most: int, cancelled: threading.Event):
        self._bar, self._most, self._cancelled, self._shown, self._taken = bar, most, cancelled, 0, 0

    total = property(fset=lambda self, _: self.update(-self._taken))  # set at the beginning of each attempt

    def update(self, size: int) -> None:
        self._taken += size
        if self._taken > self._most + CHUNK:
            raise PermanentError(f"the server sends more than {self._most:,} bytes")
        if self._cancelled.is_set():
            raise PermanentError("interrupted")
        self._bar.update(self._taken - self._shown)
        self._shown = self._taken

    def reset(self) -> None:
        self._taken = 0

    close = reset


# The record: name → MD5, size and modification time of every file that was right when last read. As long as size and
# time are those, it is not read again.


def _read_record(folder: Path, partition: str) -> dict[str, list]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        owner, verified = record["partition"], dict(record["files"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        owner, verified = partition, {}  # none yet, or damaged: the files are only read again
    if owner != partition:
        raise UsageError(
            f"{folder} holds {shorten(owner)}, and the shards of {partition} have the same names. Give each a folder "
            "of its own."
        )
    _write_record(folder, partition, verified)
    return verified


def _write_record(folder: Path, partition: str, verified: Mapping[str, list]) -> None:
    try:
        with atomic_write(folder / RECORD) as temporary:
            temporary.write_text(json.dumps({"partition": partition, "files": verified}), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The record {folder / RECORD} cannot be written: {error.strerror}.") from error


def _state(path: Path, md5: str) -> list | None:
    with suppress(OSError):
        found = path.stat()
        return [md5, found.st_size, found.st_mtime_ns]
    return None


def _md5(path: Path) -> str:
    if path.exists() and not path.is_file():  # opening a pipe would wait for a writer
        raise PermanentError("there is no regular file under its name; move it away")
    return pooch.file_hash(str(path), alg="md5") if path.exists() else ""  # a link to nowhere


def _read_plan(client: Client, source: Source, partition: str, split: str) -> list[Shard]:
    """The files of a split, sorted by their names here.

    The plan is that of YouTube-8M's own downloader, `{"files": {"trainaB.tfrecord": "<MD5>", ...}}`. Its names are to
    begin with the split and go on with letters, digits, `-` and `_`: no separators, no drives, nothing hidden.

    Raises:
        DataError: It cannot be had, is no plan, or names what cannot be a shard of the split.
    """
    release, level = partition.split("/")
    url = f"{source.plans}/{release}/download_plans/{level}_{split}.json"
    try:
        text = client.fetch(url, f"{split}.json", most=LARGEST_PLAN).read_bytes()
        files = json.loads(text)["files"]
        if not isinstance(files, dict) or not 0 < len(files) <= MOST_FILES:
            raise TypeError
    except (PermanentError, ServerError) as error:
        raise DataError(
            f"The plan {url} cannot be had: {one_line(error)}. Check network and mirror."
        ) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{url} is not a plan of YouTube-8M's downloader: expected JSON with 1 to {MOST_FILES:,} names and MD5s "
            f"under 'files'. It begins with {shorten(text[:200].decode('utf-8', 'replace'), 60)!r}."
        ) from error
    pairs = map("".join, product(PARTITIONS[partition].letters, repeat=2))
    numbers = {f"{split}{pair}.tfrecord": number for number, pair in enumerate(pairs)}
    found: dict[str, Shard] = {}
    for remote, md5 in files.items():
        if not re.fullmatch(rf"{split}[A-Za-z0-9_-]{{0,64}}\.tfrecord", remote, re.ASCII) or not (
            isinstance(md5, str) and re.fullmatch(r"[0-9a-fA-F]{32}", md5, re.ASCII)
        ):
            raise DataError(
                f"The plan {url} lists {shorten(remote, 80)!r} with {shorten(json.dumps(md5), 60)}. Expected "
                f"{split}NAME.tfrecord, NAME of letters, digits, '-' and '_', with an MD5 of 32 hexadecimal digits."
            )
        name = f"{split}{numbers[remote]:04}.tfrecord" if remote in numbers else remote
        shard = Shard(remote, name, md5.lower(), f"{source.files}/{partition}/{split}/{remote}")
        if (other := found.setdefault(name.lower(), shard)) is not shard:
            raise DataError(
                f"The plan {url} lists {other.remote} and {remote}, which would be one file ({name}) here."
            )
    return sorted(found.values(), key=lambda shard: shard.name)


def _fetch_vocabulary(client: Client, source: Source, partition: str, folder: Path) -> str | None:
    """Put the class names into the folder, unless they are there; None, or why they are not.

    No plan has the MD5 of their file, so it is taken only if it names every class. Shards can be read without it.
    """
    about = PARTITIONS[partition]
    path, url = folder / about.vocabulary, about.vocabulary_url
    if source.vocabularies is not None:
        url = f"{source.vocabularies}/{partition.split('/')[0]}/{about.vocabulary}"
    if path.is_file():
        return None
    try:
        table = client.fetch(url, path.name, most=LARGEST_VOCABULARY)
        if (classes := read_vocabulary(str(table)).num_classes) != about.classes:
            raise PermanentError(f"it names {classes:,} classes of {about.classes:,}")
        os.replace(table, path)
    except (PermanentError, ServerError, DataError, OSError) as error:
        reason = one_line(error).rstrip(".")
        return f"The class names, {url}, could not be fetched: {reason}. Classes will be called by their numbers."
    return None


def _find_partition(name: str, splits: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Partition and splits: `2/frame` and splits, or `2/frame/train`."""
    head, _, tail = name.rpartition("/")
    if tail in SPLITS and head in PARTITIONS:
        if set(splits) - {tail}:
            raise UsageError(f"{name} is the split {tail!r}, but {', '.join(splits)} was asked for as well.")
        name, splits = head, (tail,)
    choose(PARTITIONS, name, what="partition")
    for split in splits:
        choose(dict.fromkeys(SPLITS), split, what="split")
    return name, tuple(split for split in SPLITS if split in splits or not splits)


def _find_share(text: str) -> tuple[int, int]:
    """`"1/100"`, the first of a hundred shares → `(1, 100)`."""
    match = re.fullmatch(r"([0-9]{1,6})[/,]([0-9]{1,6})", text, re.ASCII)
    part, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= part <= parts:
        raise UsageError(
            f"{shorten(text)!r} is not a share of the shards. It looks like 1/100, the first of a hundred shares of "
            "about one size; the second number is at least the first."
        )
    return part, parts


def _find_source(mirror: str) -> Source:
    """A mirror by its name, or one's own by its address."""
    if mirror in MIRRORS:
        return MIRRORS[mirror]
    try:
        url = urlsplit(mirror)
        valid = url.scheme in ("http", "https") and url.hostname and (url.port or True)
    except ValueError:
        valid = False
    if not valid or url.query or url.fragment or url.username is not None:
        raise UsageError(
            f"Unknown mirror {shorten(mirror, 200)!r}.{nearest(mirror, MIRRORS)} There are: {', '.join(MIRRORS)}; or "
            "the address of one's own, https://host/folder, with the folders of the releases (2/frame/train, "
            "2/download_plans) below it. A user's name and password belong in ~/.netrc."
        )
    return Source(*[mirror.rstrip("/")] * 3)
