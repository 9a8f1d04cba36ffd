"""TensorFlow's asides, kept out of terminals and notebooks; `TF_CPP_MIN_LOG_LEVEL=0` shows them.

Its start-up lines are written by C++ before any logging setting is read, so the only way is to look away while it
is imported. Its warning of retracing comes with the first few lengths of a batch, is over after them, and names a
place in memory, so that no two notebooks would be the same.
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

    From then on its warnings of retracing are dropped too.

    Python's exceptions are not concerned: a failed import is raised as ever.
    """
    if os.environ.setdefault(SETTING, "3") == "0":
        yield
        return
    logging.getLogger("tensorflow").addFilter(_is_news)
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _is_news(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()
