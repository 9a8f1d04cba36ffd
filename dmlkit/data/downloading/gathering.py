"""The files of a download, each hashed where it stands or fetched where it does not, and what is missing."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import requests
from tqdm import tqdm

from dmlkit.data.downloading.asking import Failed, Patience
from dmlkit.data.downloading.fetching import FULL, fetch, part_of
from dmlkit.data.downloading.partitions import Mirror
from dmlkit.data.downloading.plans import Wanted
from dmlkit.data.downloading.standing import Record, hash_of
from dmlkit.data.downloading.threads import each_done
from dmlkit.errors import DataError, UsageError
from dmlkit.text import one_line

# Where so many files in a row could not be had, though each was tried again, the server is down: no use in waiting
# through the other thousands.
GIVE_UP = 8
TOLD = 20  # missing files that a message names


class IncompleteDownload(DataError):
    """Files are missing or wrong.

    Attributes:
        missing: Name → why.
    """

    def __init__(self, missing: Mapping[str, str], files: int, folder: Path):
        self.missing = dict(missing)
        named = [f"{name} ({why})" for name, why in list(self.missing.items())[:TOLD]]
        if len(self.missing) > TOLD:
            named.append(f"and {len(self.missing) - TOLD:,} more")
        super().__init__(
            f"{len(self.missing):,} of {files:,} files are missing or wrong in {folder}: {'; '.join(named)}. "
            "The same command fetches only these."
        )


class Gathering:
    """What is done to one file: hashed where it stands, fetched where it does not."""

    def __init__(
        self,
        folder: Path,
        source: Mirror,
        partition: str,
        record: Record,
        standing: dict[Wanted, Path],
        replace: bool,
    ):
        self.folder, self.source, self.partition = folder, source, partition
        self.record, self.standing, self.replace = record, standing, replace
        self.fetched: list[str] = []
        self.moved = 0
        self.moving = threading.Lock()

    def url(self, wanted: Wanted) -> str:
        """Where it is fetched from."""
        return self.source.file(self.partition, wanted.split, wanted.theirs)

    def ready(self, wanted: Wanted) -> bool:
        """Whether it stands there, unchanged since it was last found right."""
        path = self.standing.get(wanted)
        return path is not None and self.record.vouches(path.name, wanted.md5)

    def get(
        self,
        wanted: Wanted,
        session: requests.Session,
        *,
        patience: Patience,
        stop: threading.Event,
        bar: tqdm,
    ) -> None:
        """See to it that the file stands there and is right.

        Raises:
            Failed: It could not be had, or something else stands there.
            Stopped: Everything is to stop.
            OSError: It could not be read or written.
        """
        path = self.standing.get(wanted, self.folder / wanted.name)
        if wanted not in self.standing or not self._right(path, wanted.md5):

            def moved(size: int) -> None:
                with self.moving:
                    self.moved += max(0, size)
                    bar.update(size)

            fetch(
                self.url(wanted),
                to=path,
                md5=wanted.md5,
                session=session,
                patience=patience,
                stop=stop,
                moved=moved,
            )
            self.fetched.append(path.name)
        self.record.add(path.name, wanted.md5)

    def _right(self, path: Path, md5: str) -> bool:
        if hash_of(path) == md5:
            part_of(path).unlink(missing_ok=True)  # begun, and then fetched by other means
            return True
        # What was right once is ours to mend. Anything else may be somebody's work.
        if not (self.replace or self.record.knows(path.name)):
            raise Failed("what stands there is not the plan's; move it away, or --replace it", passing=False)
        return False


def gather(
    work: Gathering, todo: Sequence[Wanted], *, files: int, jobs: int, patience: Patience, bar: tqdm
) -> None:
    """Get files, several at a time.

    Args:
        work: What is done to each.
        todo: Which.
        files: How many were asked for with those that need nothing, for messages.
        jobs: How many at a time.
        patience: How long to bear with the server.
        bar: Moved with the bytes.

    Raises:
        UsageError: The disk is full.
        IncompleteDownload: Some could not be had.
    """
    stop = threading.Event()
    missing = {each.name: "not tried, since the server failed" for each in todo}
    in_a_row = 0

    def get(wanted: Wanted, session: requests.Session) -> None:
        work.get(wanted, session, patience=patience, stop=stop, bar=bar)

    with closing(each_done(todo, get, jobs=jobs, stop=stop)) as done:
        for each, error in done:
            if error is None:
                del missing[each.name]
                in_a_row = 0
                continue
            if isinstance(error, OSError) and error.errno in FULL:
                raise UsageError(
                    f"The disk of {work.folder} is full; {len(missing):,} of {files:,} files are missing. Make room: "
                    "the same command goes on."
                ) from error
            if not isinstance(error, Failed | OSError):
                raise error
            missing[each.name] = one_line(error)
            in_a_row = in_a_row + 1 if isinstance(error, Failed) and error.passing else 0
            if in_a_row >= GIVE_UP:
                break
    if missing:
        raise IncompleteDownload(missing, files, work.folder)
