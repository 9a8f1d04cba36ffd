"""One notebook under papermill, in a thread of its own, watched from the thread that asked for it.

A thread of its own has an event loop of its own, so that any number of them run at once, and within JupyterLab.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import papermill
from jupyter_core.utils import ensure_event_loop
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.log import logger

from dmlkit.report.kernels.kernel import OwnInterpreter, arguments
from dmlkit.report.kernels.memory import ended_for_memory
from dmlkit.report.kernels.stopping import Stop

START_TIMEOUT = 180  # seconds: a loaded machine is slow to start a kernel
GRACE = 1.0  # seconds between asking a kernel and ending it; checkpoints are whole at any moment
TICK = 0.1  # seconds between two looks
TIME_LIMIT, INTERRUPTED = "time limit", "interrupted"

logger.setLevel(logging.CRITICAL)  # what papermill would log, the report says itself


class Attempt:
    """An execution and all that is known of it while it runs and when it has ended.

    Args:
        source: The notebook.
        names: Of the source and of the executed notebook, for papermill's metadata.
        values: Parameter → value.
        kernel: The kernel, not started yet.
        home: The working folder of the kernel.
        said: A stream that takes what the notebook prints.
        moved: Called after each cell.
        seconds: The time limit.
        stop: When it is asked, the kernel is ended.
    """

    def __init__(
        self,
        source: NotebookNode,
        *,
        names: tuple[str, str],
        values: Mapping[str, object],
        kernel: OwnInterpreter,
        home: os.PathLike,
        said: object,
        moved: Callable[[], None],
        seconds: float | None = None,
        stop: Stop | None = None,
    ):
        self.source, self.names, self.values = source, names, dict(values)
        self.kernel, self.home, self.said, self.moved = kernel, home, said, moved
        self.seconds, self.stop = seconds, stop
        self.notebook: NotebookNode | None = None  # as far as it got; None before papermill had it ready
        self.executed: set[int] = set()  # positions of the cells whose end the kernel reported, well or not
        self.answered = False  # whether the kernel ever did
        self.ended_by: str | None = None  # by us: TIME_LIMIT or INTERRUPTED
        self.error: BaseException | None = None  # what papermill raised, but for a failed cell
        self.memory_ended: int | None = None  # processes ended meanwhile for want of memory
        self._finished = threading.Event()
        self._asked_at = 0.0

    def run(self) -> None:
        """Execute, and come back when the kernel has ended, however it did.

        Raises:
            KeyboardInterrupt: Where the calling thread gets it; the kernel has ended by then too.
        """
        before, since, raised = ended_for_memory(), time.monotonic(), None
        # An empty context: jupyter_core keeps the event loop in it, and another thread may run that one.
        worker = threading.Thread(
            target=contextvars.Context().run, args=(self._execute,), name="notebook", daemon=True
        )
        worker.start()
        while not self._finished.is_set():
            try:
                self._watch(since)
                self._finished.wait(TICK)
            except KeyboardInterrupt as error:
                raised = error
                self._end(INTERRUPTED)
        worker.join()
        after = ended_for_memory()
        self.memory_ended = None if before is None or after is None else after - before
        if raised:
            raise raised

    def _watch(self, since: float) -> None:
        self.kernel.measure()
        if self.ended_by:
            if not self.answered or time.monotonic() - self._asked_at > GRACE:
                self.kernel.kill()
        elif self.stop is not None and self.stop.why:
            self._end(INTERRUPTED)
        elif self.seconds is not None and time.monotonic() - since > self.seconds:
            self._end(TIME_LIMIT)

    def _end(self, why: str) -> None:
        if self.ended_by is None:
            self.ended_by, self._asked_at = why, time.monotonic()
        self.kernel.interrupt()

    def _execute(self) -> None:
        try:
            with suppress(PapermillExecutionError):  # a failed cell: the notebook tells
                papermill.execute_notebook(
                    # No paths: papermill would change the working folder of the whole process to read and write.
                    self.source,
                    None,
                    parameters=self.values,
                    engine_name=_Watched.NAME,
                    kernel_name="python3",
                    language="python",
                    progress_bar=False,
                    autosave_cell_every=0,
                    attempt=self,
                )
        except BaseException as error:
            self.error = error
        finally:
            self.kernel.kill()
            _close_loop()
            self._finished.set()

    def begun(self, notebook: NotebookNode) -> None:
        """Papermill's notebook, which grows while it is executed."""
        notebook.metadata.papermill["input_path"], notebook.metadata.papermill["output_path"] = self.names
        self.notebook = notebook

    def ready(self, **_: object) -> None:
        """The kernel has answered."""
        self.answered = True

    def cell_begins(self, *, cell: NotebookNode, **_: object) -> None:
        """A cell is about to be handed to the kernel: not after its end was asked for."""
        if self.ended_by:
            cell.metadata.papermill.start_time = None  # it never began
            raise _Unwanted

    def cell_executed(self, *, cell_index: int, **_: object) -> None:
        """The kernel has reported the end of a cell."""
        self.executed.add(cell_index)
        self.moved()


class _Unwanted(Exception):
    """Ends papermill between two cells."""


class _Watched(NBClientEngine):
    """Papermill's own engine, on a kernel and a notebook that others can see too."""

    NAME = "dmlkit"

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, attempt: Attempt, **_: object) -> None:
        attempt.begun(nb_man.nb)
        client = PapermillNotebookClient(
            nb_man,
            km=attempt.kernel,
            kernel_name=kernel_name,
            log=logger,
            startup_timeout=START_TIMEOUT,
            stdout_file=attempt.said,
            resources={"metadata": {"path": str(attempt.home)}},
            extra_arguments=arguments(attempt.kernel.folder),
            on_notebook_start=attempt.ready,
            on_cell_execute=attempt.cell_begins,
            on_cell_executed=attempt.cell_executed,
        )
        client.execute(cleanup_kc=True)


papermill_engines.register(_Watched.NAME, _Watched)


def _close_loop() -> None:
    """Close this thread's event loop, with what nbclient left waiting in it."""
    loop = ensure_event_loop()
    waiting = asyncio.all_tasks(loop)
    for task in waiting:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
    loop.close()
