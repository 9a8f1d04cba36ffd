"""`check`: from paths to a report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator

import numpy as np
from tqdm import tqdm

from dmlkit.data.checking.crew import Task, spread, worthwhile
from dmlkit.data.checking.duplicates import find_duplicates
from dmlkit.data.checking.reports import Report, SetReport
from dmlkit.data.checking.tallies import FILES, Fault, Outcome, Tally
from dmlkit.data.checking.targets import Target, find_targets
from dmlkit.data.framing import size_of
from dmlkit.errors import UsageError


def check(
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    *,
    jobs: int | None = 1,
    keep: int | None = None,
    progress: bool = False,
) -> Report:
    """Read every record of data sets, and say what is wrong and what they hold.

    Args:
        paths: Folders, with or without a dataset.toml, or single shards; local or remote.
        jobs: Processes; None for as many as the shards are worth, at most the cores.
        keep: How many faults of a data set are kept in full, the first; None for all. All are counted.
        progress: Whether a terminal shows how far it is.

    Raises:
        UsageError: There is no path, or a number is out of its range.
        DataError: There is nothing at a path, no shard in a folder, or its dataset.toml is wrong. What is wrong with
            shards is no error but in the report.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"`jobs` must be at least 1. Received: jobs={jobs}.")
    begin = time.perf_counter()
    gathered = [
        _Gathered(target)
        for target in find_targets([paths] if isinstance(paths, str | os.PathLike) else paths)
    ]
    tasks, homes = [], []
    for each in gathered:
        for split, place, shard in each.places():
            tasks.append(_task(each.target, shard, keep))
            homes.append((each, split, place))
    jobs = jobs or worthwhile(tasks)
    with tqdm(
        total=sum(task.size for task in tasks),
        desc="check",
        unit="B",
        unit_scale=True,
        leave=False,
        disable=None if progress else True,
    ) as bar:
        for number, outcome in spread(tasks, processes=jobs, told=bar.update):
            each, split, place = homes[number]
            each.add(split, place, outcome)
    reports = tuple(each.report(keep) for each in gathered)
    return Report(reports, seconds=time.perf_counter() - begin, processes=jobs)


class _Gathered:
    """One data set's outcomes, added up as they come: of each shard no more stays than its faults and ids."""

    def __init__(self, target: Target):
        self.target = target
        self.shards = [shard for shards in target.splits.values() for shard in shards]
        self._splits = {split: Tally() for split in target.splits}
        self._faults: dict[int, list[Fault]] = {}
        self._ids = [np.empty(0, np.uint64)] * len(self.shards)
        self._empty = 0

    def places(self) -> Iterator[tuple[str, int, str]]:
        """Split, number and name of each shard."""
        names = [split for split, shards in self.target.splits.items() for _ in shards]
        yield from zip(names, range(len(names)), self.shards, strict=True)

    def add(self, split: str, place: int, outcome: Outcome) -> None:
        self._splits[split].add(outcome.tally)
        self._empty += not outcome.tally.records
        self._ids[place] = outcome.ids
        if outcome.faults:
            self._faults[place] = outcome.faults

    def report(self, keep: int | None) -> SetReport:
        duplicates, named = find_duplicates(self.shards, self._ids, self.target.expected)
        faults = [fault for place in sorted(self._faults) for fault in self._faults[place]]
        faults += named
        what = FILES["missing shard"]
        faults += [Fault(shard, None, None, "missing shard", what) for shard in self.target.missing]
        total = Tally()
        for tally in self._splits.values():
            total.add(tally)
        total.faults["duplicate id"] += duplicates
        total.faults["missing shard"] += len(self.target.missing)
        total.faults = +total.faults  # only those there are
        return SetReport(self.target, total, self._splits, tuple(faults[:keep]), self._empty)


def _task(target: Target, shard: str, keep: int | None) -> Task:
    return Task(
        shard, _size(shard), target.expected, target.exactly.get(shard), target.at_most.get(shard), keep
    )


def _size(shard: str) -> int:
    try:
        return size_of(shard)
    except Exception:  # told when it is read
        return 0
