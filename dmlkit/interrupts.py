"""What Ctrl-C does for a while: nothing, or what the system does with it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
