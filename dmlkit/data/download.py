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
import stat
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
SAMPLED_SIZES = 32  # a plan has no sizes; so many files are asked for theirs
_SHARE = re.compile(r"([0-9]{1,6})[/,]([0-9]{1,6})", re.ASCII)
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Partition(NamedTuple):
    """One level of one release.

    Shards end with two of `letters` on the server. On a file system that ignores case, `trainaB` and `trainAb` are one
    file, so they are numbered here, as the official downloader does.
    """

    classes: int
    letters: str
    vocabulary: str
    vocabulary_url: str


_CSV, _LETTERS = "https://research.google.com/youtube8m/csv", string.ascii_letters + string.digits
_2018 = Partition(3862, _LETTERS, "vocabulary.csv", f"{_CSV}/2/vocabulary.csv")
_2017 = Partition(4716, _LETTERS + "-_", "label_names.csv", f"{_CSV}/label_names.csv")
PARTITIONS = {"2/frame": _2018, "2/video": _2018, "1/frame_level": _2017, "1/video_level": _2017}


class Mirror(NamedTuple):
    """Addresses of plans, shards and vocabularies (None: the partition's own); the paths below are the same."""

    plans: str
    files: str
    vocabularies: str | None = None


# https, unlike the official downloader: a hash is worth no more than the connection its plan came by.
_STORE = "https://storage.googleapis.com"
MIRRORS = {
    place: Mirror(f"{_STORE}/data.yt8m.org", f"{_STORE}/{place}.data.yt8m.org")
    for place in ("us", "eu", "asia")
}


class Shard(NamedTuple):
    """A file to have: its split, its name on the server, its name here, its MD5."""

    split: str
    remote: str
    name: str
    md5: str


class ServerError(Exception):
    """The server failed, or sent other bytes, in every attempt."""


class PermanentError(Exception):
    """A file cannot be had, and another attempt would not help."""


class IncompleteDownload(DataError):
    """Files are missing or wrong; `missing` maps each name to the reason."""

    def __init__(self, missing: Mapping[str, str], files: int, folder: Path):
        self.missing = dict(missing)
        named = [f"{name} ({reason})" for name, reason in list(self.missing.items())[:LISTED]]
        if len(self.missing) > LISTED:
            named.append(f"and {len(self.missing) - LISTED:,} more")
        super().__init__(
            f"{len(self.missing):,} of {files:,} files are missing or wrong in {folder}: {'; '.join(named)}. "
            "The same command fetches only these."
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
        timeout: Seconds without an answer, or with next to no bytes of one, before another attempt.
        progress: `auto` (lines, and a bar where there is a terminal), `lines`, `silent`.

    Raises:
        UsageError: Something asked for does not exist, the share holds no file, the folder cannot be written to or is
            in use by another download, or the disk is too small.
        DataError: The plan cannot be had, or is none.
        IncompleteDownload: Files are missing or wrong.
    """
    partition, splits = _partition(partition, splits)
    share, source = _share(shards), _mirror(mirror)
    if plans is not None:
        source = source._replace(plans=_mirror(plans).plans)
    if jobs < 1 or retries < 0 or timeout <= 0:
        raise UsageError(
            "Expected jobs of at least 1, retries of at least 0 and a timeout above 0. Received: "
            f"jobs={jobs}, retries={retries}, timeout={timeout}."
        )
    lines, no_bar = choose(
        {"auto": (True, None), "lines": (True, True), "silent": (False, True)},
        progress,
        what="progress style",
    )
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no permission to write")
    except OSError as error:
        raise UsageError(
            f"The files cannot be written to {folder}: {error.strerror}. Choose another."
        ) from error

    def in_use(holder: str) -> None:
        raise UsageError(f"{one_line(holder)} is downloading into {folder}. Wait for it, or end it.")

    with file_lock(folder / LOCK, taken=in_use), Client(folder, timeout, retries) as client:
        wanted = [each for split in splits for each in _read_plan(client, source, partition, split, share)]
        if not wanted:
            raise UsageError(
                f"No file belongs to share {shards} of {partition} {'+'.join(splits)}. Ask for another share, or for "
                "fewer shares."
            )
        note = _fetch_vocabulary(client, source, partition, folder)
        record, names = Record(folder, partition), set(os.listdir(folder))
        # A file fetched by hand has its name on the server.
        present = {
            each: name
            for each in wanted
            if (name := next((name for name in (each.name, each.remote) if name in names), None))
        }
        done = {each for each in present if not verify and record.vouches(present[each], each.md5)}
        todo = [each for each in wanted if each not in done]
        urls = {each: f"{source.files}/{partition}/{each.split}/{each.remote}" for each in todo}
        absent = [urls[each] for each in todo if each not in present]
        size, free = client.total_size(absent), shutil.disk_usage(folder).free
        about = "unknown size" if size is None else f"about {readable_size(size)}"
        if lines:
            if note:
                print(note, flush=True)
            print(
                f"{partition} {'+'.join(splits)} {shards}: {counted(len(wanted), 'file')}, {len(present):,} of them in "
                f"{folder}, {len(absent):,} to fetch ({about}); {readable_size(free)} free.",
                flush=True,
            )
        if size and size > free and not any_size:
            raise UsageError(
                f"The files do not fit: {about} to fetch, {readable_size(free)} free in {folder}. Make room, fetch a "
                "share of them (--shards 1/100), or as many as fit with --any-size."
            )

        def fetch(each: Shard) -> bool:
            """See to it that the file is there and right; whether it had to be fetched."""
            name = present.get(each, each.name)
            right = each in present and _md5(folder / name) == each.md5
            if not right:
                # A file that was right once is ours to replace. Any other may be somebody's work.
                if each in present and not (replace or record.knows(name)):
                    raise PermanentError("the file there is not the plan's; move it away, or use --replace")
                os.replace(client.fetch(urls[each], name, most=LARGEST_FILE, md5=each.md5), folder / name)
            record.add(name, each.md5)
            return not right

        with tqdm(total=size, unit="B", unit_scale=True, disable=no_bar) as client.bar:
            try:
                fetched = _run(fetch, todo, client, folder, files=len(wanted), jobs=jobs)
            finally:
                record.save()
    return Downloaded(folder, len(wanted), fetched, (note,) if note else ())


def _run(
    fetch: Callable[[Shard], bool],
    todo: Sequence[Shard],
    client: Client,
    folder: Path,
    *,
    files: int,
    jobs: int,
) -> int:
    """Fetch files, several at a time; how many came from the server."""
    missing = {each.name: "not tried, since the server failed" for each in todo}
    fetched = in_a_row = 0
    executor = ThreadPoolExecutor(jobs)
    try:
        futures = {executor.submit(fetch, each): each for each in todo}
        for future in as_completed(futures):
            try:
                fetched += future.result()
                del missing[futures[future].name]
                in_a_row = 0
                continue
            except ServerError as error:
                missing[futures[future].name] = one_line(error)
                in_a_row += 1
            except (PermanentError, OSError) as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise UsageError(
                        f"The disk of {folder} is full; {len(missing):,} of {files:,} files are missing. Make room: "
                        "the same command continues."
                    ) from error
                missing[futures[future].name] = one_line(error)
                in_a_row = 0
            if in_a_row >= GIVE_UP:
                break
    finally:
        client.cancel()
        executor.shutdown(cancel_futures=True)
    if missing:
        raise IncompleteDownload(missing, files, folder)
    return fetched


class Client:
    """Files from one server, by pooch, for several threads. They come into a hidden folder of the data set's."""

    def __init__(self, folder: Path, timeout: float, retries: int):
        self.retries, self.bar = retries, tqdm(disable=True)
        self._folder, self._cancelled, self._responses = folder / PARTIAL, threading.Event(), WeakSet()
        self._request = {
            "timeout": timeout,
            "headers": {"Accept-Encoding": "identity"},
            "hooks": {"response": self._check},
            "allow_redirects": False,
        }
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
        """A file of at most so many bytes, of this MD5 where one is given.

        Raises:
            ServerError: The server failed, or sent other bytes, in every attempt.
            PermanentError: Another attempt would not help.
        """
        progress = _Progress(self.bar, most, self._cancelled)
        downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK, **self._request)
        registry = {name: md5 and f"md5:{md5}"}
        files = pooch.Pooch(
            self._folder, "", registry=registry, urls={name: url}, retry_if_failed=self.retries
        )
        try:
            return Path(files.fetch(name, downloader=downloader))
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise PermanentError(f"the address cannot be used: {shorten(error, 120)}") from error
        except (requests.RequestException, ValueError) as error:
            raise ServerError(f"{_reason(error)}; {counted(self.retries + 1, 'attempt')}") from error

    def total_size(self, urls: Sequence[str]) -> int | None:
        """About how many bytes some files have, by the sizes of a few; None where the server does not say."""
        sizes = []
        for url in urls[:: -(-len(urls) // SAMPLED_SIZES) or 1]:
            try:
                sizes.append(int(requests.head(url, **self._request).headers["Content-Length"]))
            except (PermanentError, KeyError, ValueError):
                continue
            except requests.RequestException:  # not worth waiting for
                break
        return sum(sizes) * len(urls) // len(sizes) if sizes else None if urls else 0

    def _check(self, response: requests.Response, **_: object) -> None:
        """Before a body is read: whether it is one to read."""
        status = f"the server answers {response.status_code} {shorten(response.reason or '', 40)}".rstrip()
        if self._cancelled.is_set():
            raise PermanentError("interrupted")
        if response.status_code in TEMPORARY:
            raise requests.HTTPError(status)
        if response.is_redirect:
            target = shorten(response.headers["Location"], 80)
            raise PermanentError(f"the server redirects to {target!r}, which is not followed; see --mirror")
        if response.status_code != 200:
            raise PermanentError(status)
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise PermanentError("the server sends it compressed, though asked not to")
        self._responses.add(response)


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

    def close(self) -> None:
        self.reset()


def _reason(error: Exception) -> str:
    """What happened underneath the libraries' wrappings: `[Errno 111] Connection refused`."""
    if isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
        return "what the server sends does not have the MD5 of the plan"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    return f"the connection failed ({shorten(str(cause) or type(cause).__name__, 120)})"


class Record:
    """Which files of a folder were right when last read, with MD5, size and modification time.

    As long as size and time are those, the file is not read again. After a kill those of that call are.
    """

    def __init__(self, folder: Path, partition: str):
        self._path, self._partition = folder / RECORD, partition
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            self._files, owner = dict(found["files"]), found["partition"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            self._files, owner = {}, partition  # none yet, or damaged: the files are only read again
        if owner != partition:
            raise UsageError(
                f"{folder} holds {shorten(owner)}, and the shards of {partition} have the same names. Give each a "
                "folder of its own."
            )
        self.save()

    def save(self) -> None:
        """Write it down."""
        try:
            with atomic_write(self._path) as temporary:
                temporary.write_text(json.dumps({"partition": self._partition, "files": self._files}))
        except OSError as error:
            raise UsageError(f"The record {self._path} cannot be written: {error.strerror}.") from error

    def knows(self, name: str) -> bool:
        """Whether a file of this name was once right."""
        return name in self._files

    def vouches(self, name: str, md5: str) -> bool:
        """Whether the file is unchanged since it was found to have this MD5."""
        return self.knows(name) and self._files[name] == self._state(name, md5)

    def add(self, name: str, md5: str) -> None:
        """Note that a file is right."""
        self._files[name] = self._state(name, md5)

    def _state(self, name: str, md5: str) -> list | None:
        try:
            found = self._path.with_name(name).stat()
        except OSError:
            return None
        return [md5, found.st_size, found.st_mtime_ns]


def _md5(path: Path) -> str:
    try:
        # Before it is opened: opening a pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise PermanentError("there is no regular file under its name; move it away")
        return pooch.file_hash(str(path), alg="md5")
    except FileNotFoundError:
        return ""  # a link to nowhere


def _read_plan(
    client: Client, source: Mirror, partition: str, split: str, share: tuple[int, int]
) -> list[Shard]:
    """The files of a split that belong to a share, sorted by their names here.

    The plan is that of YouTube-8M's own downloader, `{"files": {"trainaB.tfrecord": "<MD5>", ...}}`. Its names are to
    begin with the split and go on with letters, digits, `-` and `_`: no separators, no drives, nothing hidden. A share
    are the files whose name's MD5 leaves `part - 1` when divided by `parts`, as in the official downloader.

    Raises:
        DataError: It cannot be had, is no plan, or names what cannot be a shard of the split.
    """
    release, level = partition.split("/")
    url = f"{source.plans}/{release}/download_plans/{level}_{split}.json"
    try:
        text = client.fetch(url, f"{split}.json", most=LARGEST_PLAN).read_bytes()
    except (PermanentError, ServerError) as error:
        raise DataError(
            f"The plan {url}, which lists the files of '{split}', cannot be had: {one_line(error)}. Check the network "
            "and the mirror."
        ) from error
    try:
        files = json.loads(text)["files"]
    except (ValueError, TypeError, KeyError, RecursionError):
        files = None
    if not isinstance(files, dict) or not 0 < len(files) <= MOST_FILES:
        raise DataError(
            f"{url} is not a plan of YouTube-8M's downloader: expected JSON with 1 to {MOST_FILES:,} names and MD5s "
            f"under 'files'. It begins with {shorten(text[:200].decode('utf-8', 'replace'), 60)!r}. Check the mirror."
        )
    pattern = re.compile(rf"{split}([A-Za-z0-9_-]{{0,64}})\.tfrecord", re.ASCII)
    numbers = {
        "".join(two): number for number, two in enumerate(product(PARTITIONS[partition].letters, repeat=2))
    }
    (part, parts), found = share, {}
    for remote, md5 in files.items():
        match = pattern.fullmatch(remote)
        if not match or not isinstance(md5, str) or not _MD5.fullmatch(md5.lower()):
            raise DataError(
                f"The plan {url} lists {shorten(remote, 80)!r} with {shorten(json.dumps(md5), 60)}. Expected "
                f"{split}NAME.tfrecord, NAME of letters, digits, '-' and '_', with an MD5 of 32 hexadecimal digits. "
                "Nothing was fetched; check the mirror."
            )
        name = f"{split}{numbers[match[1]]:04}.tfrecord" if match[1] in numbers else remote
        other = found.setdefault(name.lower(), Shard(split, remote, name, md5.lower()))
        if other.remote != remote:
            raise DataError(
                f"The plan {url} lists {other.remote} and {remote}, which would be one file ({name}) here. Nothing was "
                "fetched; check the mirror."
            )

    def in_share(shard: Shard) -> bool:
        digest = hashlib.md5(shard.remote.encode(), usedforsecurity=False).hexdigest()
        return int(digest, 16) % parts == part - 1

    return sorted(filter(in_share, found.values()), key=lambda shard: shard.name)


def _fetch_vocabulary(client: Client, source: Mirror, partition: str, folder: Path) -> str | None:
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


def _partition(name: str, splits: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Partition and splits: `2/frame` and splits, or `2/frame/train`."""
    head, _, tail = name.rpartition("/")
    if tail in SPLITS and head in PARTITIONS:
        if set(splits) - {tail}:
            raise UsageError(
                f"{name} is the split {tail!r}, but {', '.join(splits)} was asked for as well. Name the partition "
                f"{head}, and the splits apart from it."
            )
        name, splits = head, (tail,)
    choose(PARTITIONS, name, what="partition")
    for split in splits:
        choose(dict.fromkeys(SPLITS), split, what="split")
    return name, tuple(split for split in SPLITS if split in splits or not splits)


def _share(text: str) -> tuple[int, int]:
    """`"1/100"`, the first of a hundred shares → `(1, 100)`."""
    match = _SHARE.fullmatch(text)
    part, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= part <= parts:
        raise UsageError(
            f"{shorten(text)!r} is not a share of the shards. It looks like 1/100, the first of a hundred shares of "
            "about one size; the second number is at least the first."
        )
    return part, parts


def _mirror(name: str) -> Mirror:
    """A mirror by its name, or one's own by its address."""
    if name in MIRRORS:
        return MIRRORS[name]
    try:
        url = urlsplit(name)
        valid = url.scheme in ("http", "https") and url.hostname and (url.port or True)
    except ValueError:
        valid = False
    if not valid or url.query or url.fragment or url.username is not None:
        raise UsageError(
            f"Unknown mirror {shorten(name, 200)!r}.{nearest(name, MIRRORS)} There are: {', '.join(MIRRORS)}; or the "
            "address of one's own, https://host/folder, with the folders of the releases (2/frame/train, "
            "2/download_plans) below it. A user's name and password belong in ~/.netrc."
        )
    base = name.rstrip("/")
    return Mirror(base, base, base)
