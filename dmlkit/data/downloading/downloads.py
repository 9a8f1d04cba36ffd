"""A download from beginning to end: plans, what stands there, room on the disk, then the files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm import tqdm

from dmlkit.data.downloading.asking import Failed, Patience, new_session, read_small
from dmlkit.data.downloading.fetching import part_of
from dmlkit.data.downloading.gathering import Gathering, gather
from dmlkit.data.downloading.names import fetch_names
from dmlkit.data.downloading.partitions import PARTITIONS, Mirror, find_mirror, find_partition, find_share
from dmlkit.data.downloading.plans import LARGEST_PLAN, Wanted, read_plan
from dmlkit.data.downloading.space import check_room, free, measure
from dmlkit.data.downloading.standing import find_standing, open_record
from dmlkit.errors import DataError, UsageError, choose
from dmlkit.files import file_lock
from dmlkit.text import counted, one_line, readable_size

LOCK = ".dmlkit-download.lock"
# Lines to stdout, and a bar: None for one where stderr is a terminal.
PROGRESS = {"auto": (True, None), "lines": (True, True), "silent": (False, True)}


@dataclass(frozen=True)
class Downloaded:
    """A download that has everything it was asked for.

    Attributes:
        path: The folder; `open_dataset` opens it.
        files: How many shards were asked for.
        fetched: How many of them were not there before.
        size: Bytes that came for them.
        notes: What a reader should know besides.
    """

    path: Path
    files: int
    fetched: int
    size: int
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
    patience: Patience = Patience(),  # noqa: B008 (frozen)
    progress: str = "auto",
) -> Downloaded:
    """Fetch shards of YouTube-8M, each compared with its MD5. The same call goes on where one stopped.

    Args:
        partition: Release and level as YouTube-8M's own downloader names them: `2/frame`, `2/video`, ...
            (`PARTITIONS`); `2/frame/train` is one split of it.
        out: Folder of the shards, which may hold some already, also such as the official downloader fetched.
        splits: `train`, `validate`, `test`; all three where none is named.
        shards: `1/100` is the first of a hundred parts of about one size, the same ones as the official downloader's.
        mirror: `us`, `eu`, `asia`, or the address of one's own.
        plans: Address of the plans, where they are not at the mirror.
        jobs: Files at a time.
        verify: Hash every file anew, also those that did not change since they were last found right.
        replace: Replace files that stand in the folder under the name of a shard but were never right.
        any_size: Begin also where the files will not fit on the disk.
        patience: How long to bear with the server.
        progress: `auto` (lines, and a bar where there is a terminal), `lines`, `silent`.

    Raises:
        UsageError: Something asked for does not exist, the share holds no file, the folder cannot be written to or is
            being downloaded into, or the disk is too small.
        DataError: The plan cannot be had, or is none.
        IncompleteDownload: Files are missing or wrong; it says which.
    """
    partition, splits = find_partition(partition, splits)
    share, source = find_share(shards), find_mirror(mirror)
    if plans is not None:
        source = Mirror(find_mirror(plans).plans, source.files, source.vocabularies)
    if jobs < 1 or patience.attempts < 1 or patience.timeout <= 0:
        raise UsageError(
            f"Expected jobs and attempts of at least 1 and a time-out above 0. Received: jobs={jobs}, "
            f"attempts={patience.attempts}, timeout={patience.timeout}."
        )
    lines, no_bar = choose(PROGRESS, progress, what="way of showing progress")
    folder = _prepared(Path(out))
    with file_lock(folder / LOCK, taken=lambda holder: _taken(folder, holder)), new_session() as session:
        wanted = _wanted(source, partition, splits, share, session, patience)
        if not wanted:
            raise UsageError(
                f"No file belongs to the share {shards} of {partition} {'+'.join(splits)}, so nothing was fetched. "
                "Ask for another part, or for fewer parts."
            )
        note = fetch_names(
            source.vocabulary(partition),
            about=PARTITIONS[partition],
            folder=folder,
            session=session,
            patience=patience,
        )
        work = Gathering(
            folder, source, partition, open_record(folder, partition), find_standing(folder, wanted), replace
        )
        todo = [each for each in wanted if verify or not work.ready(each)]
        absent = [each for each in todo if each not in work.standing]
        there = sum(_size(part_of(folder / each.name)) for each in absent)
        need = measure([work.url(each) for each in absent], session=session, patience=patience)
        if lines:
            if note:
                print(note, flush=True)
            print(
                f"{partition} {'+'.join(splits)} {shards}: {counted(len(wanted), 'file')}, of which "
                f"{len(wanted) - len(absent):,} stand in {folder} and {len(absent):,} are to come ({need}); "
                f"{readable_size(free(folder))} are free.",
                flush=True,
            )
        if not any_size:
            check_room(need, there, folder)
        with tqdm(total=need.size, initial=there, unit="B", unit_scale=True, disable=no_bar) as bar:
            gather(work, todo, files=len(wanted), jobs=jobs, patience=patience, bar=bar)
    return Downloaded(folder, len(wanted), len(work.fetched), work.moved, (note,) if note else ())


def _wanted(
    source: Mirror,
    partition: str,
    splits: Sequence[str],
    share: tuple[int, int],
    session: requests.Session,
    patience: Patience,
) -> list[Wanted]:
    wanted: list[Wanted] = []
    for split in splits:
        url = source.plan(partition, split)
        try:
            text = read_small(session, url, most=LARGEST_PLAN, patience=patience)
        except Failed as failed:
            raise DataError(
                f"The plan {url} cannot be had: {failed}. It lists the files of '{split}', so nothing was fetched. "
                "Check the network and the mirror."
            ) from failed
        letters = PARTITIONS[partition].letters
        wanted += read_plan(text, split=split, letters=letters, share=share, source=url)
    return wanted


def _prepared(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        why = "it is not yours to write to"
    except OSError as error:
        why = error.strerror or str(error)
    raise UsageError(f"The files cannot be written to {folder}: {why}. Choose another folder.")


def _taken(folder: Path, holder: str) -> None:
    raise UsageError(f"{one_line(holder)} is downloading into {folder}. Wait for it, or end it.")


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
