"""The workers of one training: what they hand each other, agree on and tell.

Everything here is done by all workers, in the same order: whoever waits for another waits in one of these functions
or in a step, and whoever fails tells the others first. One process with several devices is a team of one.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import tensorflow as tf

from dmlkit.errors import DataError, DmlkitError, UsageError
from dmlkit.training.workers.tf_config import Cluster

T = TypeVar("T")

# Any number that TensorFlow's strategies do not use: they count from 1.
GROUP = 7_700_001
KINDS = {kind.__name__: kind for kind in (UsageError, DataError, DmlkitError)}
# What TensorFlow raises where a peer is gone; of another kind are errors of the step itself.
GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
# How long a shared file system may take to show one machine what another wrote.
SHARED_SECONDS = 20


class WorkerGoneError(DmlkitError):
    """Another worker ended, so that nothing can be added up any more. Its exit code says: try again."""

    exit_code = 75


class Team:
    """Who trains together.

    Args:
        cluster: The workers; None for one process by itself.
    """

    def __init__(self, cluster: Cluster | None = None):
        self.cluster = cluster
        self.workers = 1 if cluster is None else len(cluster.addresses)
        self.index = 0 if cluster is None else cluster.index
        self.chief = self.index == 0
        self._exchanges = 0

    def gather(self, arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Every worker's arrays by name, in the workers' order; the same list on each.

        Raises:
            WorkerGoneError: A worker has ended.
        """
        if self.workers == 1:
            return [dict(arrays)]
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        mine = np.frombuffer(file.getvalue() + bytes(-file.tell() % 8), dtype=np.int64)
        lengths = self._exchange(np.array([mine.size])).ravel()
        all_of_them = self._exchange(np.pad(mine, (0, int(lengths.max()) - mine.size)))
        found = []
        for words, length in zip(all_of_them, lengths.tolist(), strict=True):
            with np.load(io.BytesIO(words[:length].tobytes()), allow_pickle=False) as file:
                found.append(dict(file))
        return found

    def sum(self, *numbers: int) -> list[int]:
        """Each of some whole numbers, added up over the workers."""
        return self._exchange(np.array(numbers, dtype=np.int64)).sum(axis=0).tolist()

    def most(self, number: int) -> int:
        """The largest of the workers' numbers."""
        return int(self._exchange(np.array([number], dtype=np.int64)).max())

    def each(self, function: Callable[[], T]) -> T:
        """Call a function on every worker; where it fails on one, all of them end with what that one says.

        Raises:
            DmlkitError: The worker's own error, or another worker's with its name before it.
        """
        try:
            value, problem = function(), None
        except DmlkitError as error:
            value, problem = None, error
        self.fail_together(problem)
        return value

    def by_chief(self, function: Callable[[], T]) -> T | None:
        """Call a function on the chief alone, as `each` does; None on the others."""
        return self.each(lambda: function() if self.chief else None)

    def fail_together(self, problem: DmlkitError | None) -> None:
        """Go on where nobody has a problem; where somebody has, raise it everywhere."""
        if self.workers > 1 and self.sum(problem is not None) != [0]:
            kind = "" if problem is None else next(k for k in KINDS if isinstance(problem, KINDS[k]))
            said = self.gather({"kind": np.array(kind), "said": np.array(str(problem or ""))})
            if problem is None:
                index = next(place for place, each in enumerate(said) if str(each["kind"]))
                raise KINDS[str(said[index]["kind"])](f"{self.called(index)} ended: {said[index]['said']}")
        if problem is not None:
            raise problem

    def agree(self, facts: Mapping[str, object]) -> None:
        """See that all workers were started for the same training.

        Args:
            facts: What must be the same, by the name it has for users.

        Raises:
            UsageError: Names a worker that differs from the chief, and in what.
        """
        told = [
            json.loads(str(each["facts"]))
            for each in self.gather({"facts": np.array(json.dumps(dict(facts)))})
        ]
        for index, each in enumerate(told):
            for name, value in told[0].items():
                if each[name] != value:
                    raise UsageError(
                        f"The workers were not started for the same training: {self.called(index)} has another {name} "
                        f"than {self.called(0)}. Theirs: {each[name]}. The chief's: {value}. Start all workers by the "
                        "same command."
                    )

    def check_shared(self, folder: Path) -> None:
        """See that all workers see the folder of the run, where the chief leaves checkpoints for all.

        Raises:
            UsageError: Names a worker that does not.
        """
        if self.workers == 1:
            return
        mark = str(self.gather({"mark": np.array(uuid.uuid4().hex)})[0]["mark"])
        file = folder / f".{mark}.shared"
        self.by_chief(lambda: file.touch())
        self.each(lambda: self._see(file))
        self.by_chief(lambda: file.unlink(missing_ok=True))

    def called(self, index: int) -> str:
        """What a worker is called: `worker 1 (host1:12345)`."""
        if self.cluster is None:
            return "this process"
        return f"worker {index} ({self.cluster.addresses[index]})" + (", the chief" if index == 0 else "")

    @contextmanager
    def peers(self):
        """Around what waits for the others.

        Raises:
            WorkerGoneError: One of them has ended.
        """
        try:
            yield
        except GONE as error:
            if self.workers == 1:
                raise
            raise WorkerGoneError(
                f"{self.called(self.index)} cannot go on: another worker has ended or cannot be reached any more. What "
                "it says itself tells why. TensorFlow cannot take a worker back within a training: start all workers "
                "again by the same commands, and the training goes on from its last checkpoint. "
                f"(TensorFlow: {_first_line(error)})"
            ) from error

    def _see(self, file: Path) -> None:
        until = time.monotonic() + SHARED_SECONDS
        while not file.exists():
            if time.monotonic() > until:
                raise UsageError(
                    f"The folder of the run, {file.parent}, is not the chief's: a file that it wrote there is not "
                    "seen. Give all workers one folder on a file system that they share; checkpoints are in it."
                )
            time.sleep(0.2)

    def _exchange(self, mine: np.ndarray) -> np.ndarray:
        """(workers, n) of every worker's (n,), whole numbers; n is the same for all."""
        if self.workers == 1:
            return mine[None]
        self._exchanges += 1
        with self.peers(), tf.device("CPU:0"):
            # On the processors, whatever the devices are: these are few bytes, and no step waits meanwhile.
            gathered = tf.raw_ops.CollectiveGatherV2(
                input=tf.constant(mine, tf.int64),
                group_size=self.workers,
                group_key=GROUP,
                instance_key=self._exchanges,
                ordering_token=[],
                communication_hint="ring",
            )
        return gathered.numpy().reshape(self.workers, -1)


def _first_line(error: tf.errors.OpError) -> str:
    text = str(error.message)
    found = next((line for line in text.splitlines() if "abort" in line or "unhealthy" in line), text)
    return found.strip()[:200]
