"""TensorFlow's start-up lines, kept out of terminals and notebooks.

They are written by C++ before any logging setting is read, so the only way is to look away while it is
imported. `TF_CPP_MIN_LOG_LEVEL=0` shows them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

SETTING = "TF_CPP_MIN_LOG_LEVEL"


@contextmanager
def start_up_lines_hidden() -> Iterator[None]:
    """Around the first import of TensorFlow: what C++ writes to standard error meanwhile is dropped.

    Python's exceptions are not concerned: a failed import is raised as ever.
    """
    if os.environ.setdefault(SETTING, "3") == "0":
        yield
        return
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@contextmanager
def retracing_unmentioned() -> Iterator[None]:
    """Around graphs that are made on purpose: TensorFlow's warning that it makes many of them is dropped."""
    log = logging.getLogger("tensorflow")

    def other(record: logging.LogRecord) -> bool:
        return "retracing" not in record.getMessage()

    log.addFilter(other)
    try:
        yield
    finally:
        log.removeFilter(other)
