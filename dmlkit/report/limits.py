"""What a notebook may take: time, threads, and a seed."""

from __future__ import annotations

import os
import re

from dmlkit.errors import UsageError

UNITS = {"s": 1, "m": 60, "h": 3600}
# The highest seed that numpy, Keras and TensorFlow all take.
MOST_SEED = 2**32 - 1


def seconds_of(limit: str) -> float:
    """The seconds that `90s`, `45m` or `1.5h` are.

    Raises:
        UsageError: It is of another form, or no time at all.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*", limit, re.ASCII)
    if not found or not float(found[1]):
        raise UsageError(
            f"A time limit is a number above 0 with its unit, s, m or h: 90s, 45m, 2h. Received: {limit!r}."
        )
    return float(found[1]) * UNITS[found[2]]


def check_jobs(jobs: int) -> None:
    """Hold the number of notebooks at a time against what can be.

    Raises:
        UsageError: It is not at least 1.
    """
    if jobs < 1:
        raise UsageError(
            f"The number of jobs is how many notebooks run at a time, at least 1. Received: {jobs}."
        )


def check_seed(seed: int) -> None:
    """Hold the seed against what every library takes, before the data are opened.

    Raises:
        UsageError: It is not a whole number from 0 to `MOST_SEED`.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MOST_SEED:
        raise UsageError(f"The seed is a whole number, 0 to {MOST_SEED}. Received: {seed!r}.")


def share_of_threads(jobs: int) -> int | None:
    """How many threads each of several kernels gets; None for one alone, which may have all."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jobs) if jobs > 1 else None
