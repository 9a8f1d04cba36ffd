"""The process itself: TensorFlow's start-up output, Ctrl-C, determinism and the number of threads."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TF_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@contextmanager
def quiet_startup() -> Iterator[None]:
    """Around the first import of TensorFlow: what C++ writes to standard error meanwhile is dropped.

    From then on its warnings of retracing are dropped too.

    Python's exceptions are not concerned: a failed import is raised as ever.
    """
    if os.environ.setdefault(TF_LOG_LEVEL, "3") == "0":
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


@contextmanager
def interrupts(handler: signal.Handlers) -> Iterator[None]:
    """Have Ctrl-C handled so, and then as before.

    Only the main thread may say so, and what is ignored (nohup, a shell's background) stays ignored.

    Args:
        handler: `signal.SIG_IGN` or `signal.SIG_DFL`.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Stop:
    """A request to end, made from any thread or within a signal handler; the first reason counts."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def ask(self, reason: str = "interrupted") -> None:
        """Ask for the end. No lock is taken: a signal handler would wait for its own thread for ever."""
        if self.reason is None:
            self.reason = reason


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM asks for the end, as `interrupted` or `terminated`; the second acts as before.

    Args:
        stop: Is asked.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    former = {number: signal.getsignal(number) for number in SIGNALS}
    # What is ignored (nohup, a shell's background) stays ignored; what is not Python's cannot be put back.
    former = {number: was for number, was in former.items() if was not in (signal.SIG_IGN, None)}

    def give_way() -> None:
        for number, was in former.items():
            signal.signal(number, was)

    def ask(number: int, frame: object) -> None:
        give_way()
        stop.ask(SIGNALS[signal.Signals(number)])

    for number in former:
        signal.signal(number, ask)
    try:
        yield
    finally:
        give_way()


def make_deterministic() -> None:
    """Ask TensorFlow for operations whose result does not depend on scheduling.

    For this process and for good: TensorFlow has no way back. The number of threads must be the same for
    the same result.
    """
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def threads() -> int:
    """How many threads share an operation: as set in TensorFlow or its environment, else the cores of this process."""
    import tensorflow as tf

    asked = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    set_to = tf.config.threading.get_intra_op_parallelism_threads() or (int(asked) if asked.isdigit() else 0)
    return set_to or cores()


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
