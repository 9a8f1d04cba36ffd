"""Several files at a time, by threads that never keep an interrupted program waiting."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import requests

from dmlkit.data.downloading.asking import new_session
from dmlkit.data.downloading.fetching import Stopped

T = TypeVar("T")
LEAVE = 2.0  # seconds that threads get to put down what they hold
LOOK = 0.2  # seconds between two chances to be interrupted


def each_done(
    items: Sequence[T], work: Callable[[T, requests.Session], None], *, jobs: int, stop: threading.Event
) -> Iterator[tuple[T, Exception | None]]:
    """Do the work on every item; each as it is done, with the exception that ended it, if one did.

    Args:
        items: What there is to do.
        work: Called with an item and the session of its thread. Where it raises `Stopped`, nothing is handed out.
        jobs: How many at a time.
        stop: Set it, and what is not done stays undone. It is set when the iteration ends, however that happens.
    """
    todo: queue.SimpleQueue[T] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[T, Exception | None] | None] = queue.SimpleQueue()
    for item in items:
        todo.put(item)

    def take() -> None:
        try:
            with new_session() as session:
                while not stop.is_set():
                    item = todo.get_nowait()
                    try:
                        work(item, session)
                    except Stopped:
                        return
                    except Exception as error:  # whatever it is, its file is not there
                        done.put((item, error))
                    else:
                        done.put((item, None))
        except queue.Empty:
            return
        finally:
            done.put(None)

    # Daemons: a pool of `concurrent.futures` is waited for when the program ends, and a server may hold a thread
    # for a whole time-out. What a thread leaves behind is a part of a file, as after a kill.
    threads = [threading.Thread(target=take, daemon=True) for _ in range(min(jobs, len(items)))]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            try:
                told = done.get(timeout=LOOK)
            except queue.Empty:
                continue
            if told is None:
                running -= 1
            else:
                yield told
    finally:
        stop.set()
        for thread in threads:
            thread.join(LEAVE / len(threads))
