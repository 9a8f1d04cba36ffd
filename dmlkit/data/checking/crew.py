"""Shards spread over processes.

A pipe to each process, and no pool of the standard library: those either wait for ever for a process that was killed,
or give up all others with it, and none tells what it was at. Here its shard is tried once more, alone, and then
told. Processes end with the one that started them, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

import numpy as np

from dmlkit.data.checking.shards import Expected, check_shard
from dmlkit.data.checking.tallies import FILES, Fault, Outcome, Tally
from dmlkit.runtime import interrupts

# A process is handed shards of so many bytes at once, or so many shards.
HANDED_BYTES, HANDED_SHARDS = 32 << 20, 64
# A process takes a part of a second to start, in which one that runs reads so much.
WORTH_BYTES, WORTH_SHARDS = 512 << 20, 2000
# A shard is given up when so many processes died of it.
DEATHS = 2


class Task(NamedTuple):
    """One shard to check; the arguments of `check_shard`, and its bytes as far as they are known."""

    shard: str
    size: int
    expected: Expected
    exactly: int | None
    at_most: int | None
    keep: int | None

    def done(self, told: Callable[[int], object]) -> Outcome:
        """Check it, in this process."""
        return check_shard(
            self.shard,
            self.expected,
            exactly=self.exactly,
            at_most=self.at_most,
            keep=self.keep,
            told=told,
        )


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    heard: bool = False
    at: deque[int] = field(default_factory=deque)


def spread(
    tasks: Sequence[Task], *, processes: int, told: Callable[[int], object]
) -> Iterator[tuple[int, Outcome]]:
    """Check shards side by side.

    Args:
        tasks: The shards.
        processes: How many at a time; where one is enough, no other is started.
        told: Called now and then with the bytes read since, by any process.

    Yields:
        The number of a task and what it gave, in the order in which they are done.
    """
    handfuls = _handfuls(tasks)
    if min(processes, len(handfuls)) <= 1:
        yield from ((number, task.done(told)) for number, task in enumerate(tasks))
        return
    workers = [_started() for _ in range(min(processes, len(handfuls)))]
    deaths: dict[int, int] = {}
    try:
        for worker in workers:
            _hand(worker, handfuls, tasks)
        while any(worker.at for worker in workers):
            ready = wait([worker.pipe for worker in workers if worker.at])
            for place, worker in enumerate(workers):
                if worker.pipe not in ready:
                    continue
                try:
                    kind, said = worker.pipe.recv()
                except (EOFError, OSError):
                    yield from _buried(worker, handfuls, tasks, deaths)
                    workers[place] = worker = _started()
                    _hand(worker, handfuls, tasks)
                    continue
                worker.heard = True
                if kind == "failed":
                    raise RuntimeError(f"Checking {tasks[worker.at[0]].shard} failed:\n{said}")
                if kind == "read":
                    told(said)
                    continue
                yield worker.at.popleft(), said
                if not worker.at:
                    _hand(worker, handfuls, tasks)
            # What a dead process was at may be all that is left, and who has nothing to do takes it.
            for worker in workers:
                if not worker.at and handfuls:
                    _hand(worker, handfuls, tasks)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.pipe.close()
        for worker in workers:
            worker.process.join()


def worthwhile(tasks: Sequence[Task]) -> int:
    """How many processes these shards are worth, at most the cores that this one may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    size = sum(task.size for task in tasks)
    return min(cores, 1 + max(size // WORTH_BYTES, len(tasks) // WORTH_SHARDS))


def _handfuls(tasks: Sequence[Task]) -> deque[list[int]]:
    """Numbers of tasks in groups: big enough to be worth the message, small enough that all finish together."""
    handfuls: deque[list[int]] = deque()
    size = 0
    for number, task in enumerate(tasks):
        if not handfuls or size >= HANDED_BYTES or len(handfuls[-1]) >= HANDED_SHARDS:
            handfuls.append([])
            size = 0
        handfuls[-1].append(number)
        size += task.size
    return handfuls


def _hand(worker: _Worker, handfuls: deque[list[int]], tasks: Sequence[Task]) -> None:
    if not handfuls:
        return
    worker.at.extend(handfuls.popleft())
    with contextlib.suppress(OSError):  # it has died; its pipe says so next
        worker.pipe.send([tasks[number] for number in worker.at])


def _buried(
    worker: _Worker, handfuls: deque[list[int]], tasks: Sequence[Task], deaths: dict[int, int]
) -> Iterator[tuple[int, Outcome]]:
    """Hand back what a dead process was at; a shard of which several died is told."""
    worker.process.join()
    worker.pipe.close()
    code = worker.process.exitcode
    if not worker.heard and code == 1:
        raise RuntimeError(
            "The processes that check shards cannot be started: see the error above. In a program of your own, call "
            'check() below `if __name__ == "__main__":`, or with jobs=1.'
        )
    suspect, *others = worker.at
    if others:
        handfuls.appendleft(others)
    deaths[suspect] = deaths.get(suspect, 0) + 1
    if deaths[suspect] < DEATHS:
        handfuls.appendleft([suspect])
        return
    how = f"killed by signal {-code}" if code and code < 0 else f"exit code {code}"
    what = f"{FILES['unchecked']} ({how}; is there enough memory?). Check this file alone, with --jobs 1."
    tally = Tally(bytes=tasks[suspect].size)
    tally.faults["unchecked"] = 1
    fault = Fault(tasks[suspect].shard, None, None, "unchecked", what)
    yield suspect, Outcome(tally, [fault], np.empty(0, "<u8"))


def _started() -> _Worker:
    # Not forked: TensorFlow may run threads in this process, and a forked one would hold all others' pipes.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    # Ctrl-C goes to every process of a terminal; those started here leave it to the one that started them.
    with interrupts(signal.SIG_IGN):
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection) -> None:
    """What each process does: shards as they come, until the pipe ends."""
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            for task in pipe.recv():
                try:
                    outcome = task.done(lambda read: pipe.send(("read", read)))
                except OSError:
                    raise
                except Exception:
                    pipe.send(("failed", traceback.format_exc()))
                    return
                pipe.send(("done", outcome))


def _end_with_the_starter() -> None:
    """A process may wait for a file that never comes, and then sees no pipe end."""
    parent_process().join()
    os._exit(1)
