"""`download`: YouTube-8M from a server into a folder, each file verified against the MD5 of the server's plan.

pooch fetches, verifies and retries; it writes into a hidden folder, out of which a file moves to its name once it is
right. The server need not mean well: it is never followed elsewhere, what it sends is bounded and never decompressed,
and names in its plan cannot become paths.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import string
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, NamedTuple
from weakref import WeakSet

import pooch
import requests
from pydantic import Field, ValidationError, create_model
from tqdm import tqdm

from dmlkit.data.schema import read_vocabulary
from dmlkit.errors import DataError, UsageError, choose, counted, nearest, one_line, readable_size, shorten
from dmlkit.files import atomic_write, file_lock

LISTED = 20  # missing files that a message names
LOCK, RECORD, PARTIAL = ".dmlkit-download.lock", ".dmlkit-download.json", ".dmlkit-download.partial"
# Upper bounds of a server's answers; the real plans have 3,844 names in 227 kB, the real shards below 400 MB.
LARGEST_TABLE, MOST_FILES, LARGEST_FILE = 16 << 20, 100_000, 4 << 30
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # answers after which another attempt may succeed
RETRIES, TIMEOUT = 5, 30.0  # further attempts for a file; seconds without an answer before another
# Release and level → splits; the release of 2017 was withdrawn, that of 2019 rates segments of videos of 2018's.
PARTITIONS = {
    "2/frame": ("train", "validate", "test"),
    "2/video": ("train", "validate", "test"),
    "3/frame": ("validate", "test"),
}
RELEASE, CLASSES = "2", 3862  # of the vocabulary, which is that of all of them
LETTERS = string.ascii_letters + string.digits  # of which two end a shard's name
# https, unlike the official downloader: a hash is worth no more than the connection its plan came by.
VOCABULARIES = "https://research.google.com/youtube8m/csv"
PLANS = "https://storage.googleapis.com/data.yt8m.org"
MIRRORS = {name: f"https://storage.googleapis.com/{name}.data.yt8m.org" for name in ("us", "eu", "asia")}


class Shard(NamedTuple):
    """A file of the plan: its name on the server, its name here, its MD5, its address."""

    remote: str
    name: str
    md5: str
    url: str

    @property
    def number(self) -> int:
        """By which the official downloader divides files into shares."""
        return int(hashlib.md5(self.remote.encode(), usedforsecurity=False).hexdigest(), 16)


class FetchError(Exception):
    """The reason why a file cannot be fetched."""


class IncompleteDownload(DataError):
    """Files are missing or wrong; `missing` maps each name to the reason."""

    def __init__(self, missing: Mapping[str, str], files: int, folder: Path):
        self.missing = dict(missing)
        listed = "; ".join(f"{name} ({reason})" for name, reason in list(missing.items())[:LISTED])
        more = f"; and {len(missing) - LISTED:,} more" if len(missing) > LISTED else ""
        count = f"{len(missing):,} of {files:,} files are missing or wrong in {folder}"
        super().__init__(f"{count}: {listed}{more}. The same command fetches only these.")


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
    jobs: int = 4,
    verify: bool = False,
    progress: bool = False,
) -> Downloaded:
    """Fetch shards of YouTube-8M, each verified by its MD5. The same call fetches what an earlier one left.

    Args:
        partition: Release and level under the official downloader's names: `2/frame`, `2/video`, or `3/frame`, the
            rated segments of 2019.
        out: Folder of the shards, which may hold some already, also such as the official downloader fetched.
        splits: `train` (not of `3/frame`), `validate`, `test`; all where none is named.
        shards: `1/100` is the first of a hundred shares of about one size, the same as the official downloader's.
        mirror: `us`, `eu`, `asia`, or the address of one's own, plans and all.
        jobs: Files at a time.
        verify: Hash every file again, also those unchanged since they were last found right.
        progress: Print what is to be fetched, and show a progress bar on a terminal.

    Raises:
        UsageError: A name does not exist, or the folder is in use, full or cannot be written to.
        DataError: The plan cannot be had or is none; `IncompleteDownload`: files are missing or wrong.
    """
    there = choose(PARTITIONS, partition, what="partition")
    for split in splits:
        choose(dict.fromkeys(there), split, what=f"split of {partition}")
    splits = [split for split in there if split in splits or not splits]
    match = re.fullmatch(r"([0-9]{1,6})[/,]([0-9]{1,6})", shards, re.ASCII)
    part, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= part <= parts:
        raise UsageError(f"{shorten(shards)!r} is not a share of the shards, as 1/100, the first of 100.")
    files = MIRRORS.get(mirror, mirror.rstrip("/"))
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", files):
        raise UsageError(
            f"Unknown mirror {shorten(mirror, 200)!r}.{nearest(mirror, MIRRORS)} There are: {', '.join(MIRRORS)}; or "
            "give the https://host/folder above 2/frame/train and 2/download_plans (user and password in ~/.netrc)."
        )
    plans = PLANS if mirror in MIRRORS else files
    folder, missing, fetched = Path(out), {}, 0
    client = Client(folder / PARTIAL)
    # Name → MD5, size and modification time of each file that was right when last read.
    verified: dict[str, list] = {}

    def in_use(holder: str) -> None:
        raise UsageError(f"{one_line(holder)} is downloading into {folder}. Wait for it, or end it.")

    def provide(shard: Shard) -> bool:
        """Make sure that the file is there and right; returns whether it was fetched."""
        path, known = folder / present.get(shard, shard.name), verified.get(shard.name, [""])
        if path.is_file() and known == _state(path, shard) and not verify:
            return False
        fetched = not path.is_file() or pooch.file_hash(str(path), alg="md5") != shard.md5
        if fetched:
            # Only a file that was right once is replaced.
            if shard in present and known[0] != shard.md5:
                raise FetchError("the file there is not the plan's; move it away")
            os.replace(client.fetch(shard.url, most=LARGEST_FILE, md5=shard.md5), path)
        verified[shard.name] = _state(path, shard)
        return fetched

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(folder / LOCK, taken=in_use), client:
            planned = [_read_plan(client, plans, files, partition, split) for split in splits]
            wanted = [shard for each in planned for shard in each if shard.number % parts == part - 1]
            if not wanted:
                raise UsageError(f"Share {shards} of {partition} {'+'.join(splits)} holds no file.")
            notes = _fetch_vocabulary(client, files, folder)
            with suppress(OSError, ValueError, TypeError):  # else the files are only read again
                verified = dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
            # A file fetched by hand has its name on the server.
            names = set(os.listdir(folder))
            present = {each: name for each in wanted for name in (each.remote, each.name) if name in names}
            if progress:
                found, free = f"{len(present):,} of them in {folder}", shutil.disk_usage(folder).free
                what = f"{counted(len(wanted), 'file')}, {found}; {readable_size(free)} free"
                print(f"{partition} {'+'.join(splits)} {shards}: {what}.", flush=True)
            executor = ThreadPoolExecutor(jobs)
            try:
                futures = {executor.submit(provide, shard): shard.name for shard in wanted}
                hidden = None if progress else True
                for future in tqdm(as_completed(futures), total=len(futures), unit=" files", disable=hidden):
                    try:
                        fetched += future.result()
                    except FetchError as error:
                        missing[futures[future]] = one_line(error)
            finally:
                client.cancel()
                executor.shutdown(cancel_futures=True)
                with atomic_write(folder / RECORD) as temporary:
                    temporary.write_text(json.dumps(verified), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Writing to {folder} fails: {error}. The same command continues.") from error
    if missing:
        raise IncompleteDownload(missing, len(wanted), folder)
    return Downloaded(folder, len(wanted), fetched, notes)


class Client:
    """Files from one server, by pooch, for several threads. They come into a folder of their own."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._cancelled, self._responses = threading.Event(), WeakSet()
        pooch.get_logger().setLevel("WARNING")

    def __enter__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)  # left by a kill

    __exit__ = __enter__

    def cancel(self) -> None:
        """End the downloads of other threads."""
        self._cancelled.set()
        for response in list(self._responses):
            with suppress(Exception):  # it ended by itself
                response.raw.shutdown()

    def fetch(self, url: str, *, most: int, md5: str | None = None) -> Path:
        """A file of at most so many bytes, of this MD5 where one is given; raises FetchError."""

        def download(url: str, path: str, _: pooch.Pooch) -> None:
            with self._ask(url) as response, open(path, "wb") as file:
                for chunk in response.iter_content(1 << 20):
                    file.write(chunk)
                    if file.tell() > most:
                        raise FetchError(f"the server sends more than {most:,} bytes")

        name = url.rpartition("/")[2]
        options = {"registry": {name: md5 and f"md5:{md5}"}, "urls": {name: url}}
        files = pooch.Pooch(self._folder, "", retry_if_failed=RETRIES, **options)
        try:
            return Path(files.fetch(name, downloader=download))
        except requests.RequestException as error:
            raise FetchError(f"the server failed in every attempt: {shorten(error, 300)}") from error
        except ValueError as error:
            raise FetchError("what the server sends does not have the MD5 of the plan") from error

    def _ask(self, url: str) -> requests.Response:
        """An answer whose body has not been read yet."""
        options = {"stream": True, "timeout": TIMEOUT, "allow_redirects": False}
        response = requests.get(url, headers={"Accept-Encoding": "identity"}, **options)
        self._responses.add(response)
        status = f"the server answers {response.status_code} {shorten(response.reason or '', 40)}"
        if self._cancelled.is_set():
            raise FetchError("interrupted")
        if response.status_code in TEMPORARY:
            raise requests.HTTPError(status)
        if response.status_code != 200:  # a redirection, too
            raise FetchError(status)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError("the server sends it compressed, against the request")
        return response


def _state(path: Path, shard: Shard) -> list:
    return [shard.md5, path.stat().st_size, path.stat().st_mtime_ns]


def _read_plan(client: Client, plans: str, source: str, partition: str, split: str) -> list[Shard]:
    """The files of a split, sorted by their names here, of a plan `{"files": {"trainaB.tfrecord": "<MD5>", ...}}`.

    They are numbered here, as on a file system that ignores case `trainaB` and `trainAb` are one file.
    """
    release, level = partition.split("/")
    url = f"{plans}/{release}/download_plans/{level}_{split}.json"
    name = Annotated[str, Field(pattern=rf"^{split}[A-Za-z0-9_-]{{0,64}}\.tfrecord$")]
    md5 = Annotated[str, Field(pattern="^[0-9a-fA-F]{32}$")]
    plan = create_model("Plan", files=(dict[name, md5], Field(min_length=1, max_length=MOST_FILES)))
    try:
        text = client.fetch(url, most=LARGEST_TABLE).read_bytes()
        files = plan.model_validate_json(text).files
    except FetchError as error:
        raise DataError(f"The plan {url} cannot be had: {one_line(error)}. Check the mirror.") from error
    except ValidationError as error:
        raise DataError(
            f"{url} is not a plan of YouTube-8M's downloader, names {split}*.tfrecord with MD5s under 'files': "
            f"{shorten(error.errors()[0]['msg'], 120)}, in {shorten(error.errors()[0]['input'], 60)!r}."
        ) from error
    pairs = map("".join, product(LETTERS, repeat=2))
    numbers = {f"{split}{pair}.tfrecord": number for number, pair in enumerate(pairs)}
    found: dict[str, Shard] = {}
    for remote, digest in files.items():
        name = f"{split}{numbers[remote]:04}.tfrecord" if remote in numbers else remote
        shard = Shard(remote, name, digest.lower(), f"{source}/{partition}/{split}/{remote}")
        if (other := found.setdefault(name.lower(), shard)) is not shard:
            raise DataError(f"The plan {url} lists {other.remote} and {remote}: one file ({name}) here.")
    return sorted(found.values(), key=lambda shard: shard.name)


def _fetch_vocabulary(client: Client, source: str, folder: Path) -> tuple[str, ...]:
    """Put the class names into the folder, unless they are there; or a note why not. No plan has their MD5."""
    path = folder / "vocabulary.csv"
    url = f"{VOCABULARIES if source in MIRRORS.values() else source}/{RELEASE}/vocabulary.csv"
    if path.is_file():
        return ()
    try:
        table = client.fetch(url, most=LARGEST_TABLE)
        if (classes := read_vocabulary(str(table)).num_classes) != CLASSES:
            raise FetchError(f"it names {classes:,} classes of {CLASSES:,}")
        os.replace(table, path)
    except (FetchError, DataError) as error:
        return (f"{url} could not be fetched, so classes are called by their numbers: {one_line(error)}",)
    return ()
