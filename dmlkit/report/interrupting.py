"""Ctrl-C and SIGTERM: the first asks the notebooks to end, the second is obeyed at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dmlkit.report.kernels.stopping import Stop

# Signal → how a report that it ended is called (a key of `chapters.EXIT_CODES`).
SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@contextmanager
def signals_heeded(stop: Stop) -> Iterator[None]:
    """Around the making of a report: the first signal asks `stop`, and gives way to what was in force before."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may say who listens
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
