"""One notebook through papermill: watched, ended on request, and written with a record of how it ended."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import errno
import itertools
import logging
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import papermill
import zmq
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.log import logger
from traitlets import Any, Dict, Unicode

import dmlkit
from dmlkit.errors import duration
from dmlkit.files import atomic_write
from dmlkit.report.cache import METADATA, accessed_runs
from dmlkit.runs import ACCESS_LOG
from dmlkit.runtime import Stop

START_TIMEOUT = 180  # seconds: a loaded machine is slow to start a kernel
GRACE = 1.0  # seconds between interrupting a kernel and killing it; checkpoints are whole at any moment
TIME_LIMIT, INTERRUPTED = "time limit", "interrupted"
RESUMES = "An experiment in training continues from its checkpoint when the report is called again."
BANNER = "report-banner"  # tag of the cell that shows how a notebook stopped
LAST_LINES = 10
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has none
ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Printed by TensorFlow at every start.
CHATTER = re.compile(r"I\d{4} |WARNING: All log messages before absl|To enable the following instructions")
CRASHED = " It crashed in native code: in a library or a driver, not in the cell's Python."
HINTS = {
    "SIGKILL": " Most likely memory ran out: use a smaller profile or batch size, or close other programs."
}
HINTS |= dict.fromkeys(("SIGSEGV", "SIGABRT", "SIGILL", "SIGBUS", "SIGFPE"), CRASHED)
# Environment variables for the number of threads of a kernel's libraries.
THREADS = [f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL")]
THREADS += ["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"]

logger.setLevel(logging.CRITICAL)  # what papermill would log, the report shows itself


@dataclass(frozen=True)
class Failure:
    """How a notebook ended before its last cell."""

    kind: str
    cell: int
    message: str


class Kernel(AsyncKernelManager):
    """Starts the interpreter that runs this, whatever kernels are registered; ipykernel ends it with this process."""

    folder = Unicode(help="A temporary folder for its sockets and its log.")
    variables = Dict(help="What its environment has beyond the command's own.")
    process = Any(None, help="The kernel; it stays when it has ended.")

    @property
    def kernel_spec(self) -> KernelSpec:
        """The specification of a kernel that need not be registered."""
        start = [sys.executable, "-P", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        # Neither the user's IPython profile nor a pipe that ends with the process: the last words go to the log.
        start += [f"--ipython-dir={self.folder}", "--IPKernelApp.capture_fd_output=False"]
        return KernelSpec(argv=start, display_name="Python (dmlkit)", language="python")

    async def start_kernel(self, **options: object) -> None:
        """Start it, with what its process prints in a log instead of the terminal."""
        with open(f"{self.folder}/kernel.log", "ab") as log:
            await super().start_kernel(stdout=log, stderr=log, env=os.environ | self.variables, **options)
        self.process = self.provisioner.process

    def send(self, number: int) -> None:
        """Send a signal to it and all it started; from any thread."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                # The process group, which exists as long as one of its processes does.
                os.killpg(self.process.pid, number) if os.name == "posix" else self.process.kill()


@dataclass
class Execution:
    """The execution of one notebook."""

    source: Path
    target: Path
    values: Mapping[str, object]
    run_folder: Path = Path("runs")
    stop: Stop = field(default_factory=Stop)
    threads: int | None = None
    seconds: float | None = None
    on_line: Callable[[str], None] = lambda line: None
    on_cell: Callable[[], None] = lambda: None

    notebook: NotebookNode | None = None  # as far as it got
    kernel: Kernel | None = None
    about: dict = field(
        default_factory=dict
    )  # when it was executed, the seconds, the runs it read → their digests
    completed: set[int] = field(default_factory=set)  # cells whose end the kernel reported
    answered: bool = False  # whether the kernel ever did
    ended_by: str | None = None  # by us: TIME_LIMIT or INTERRUPTED
    _moment: float = 0.0  # when it began, or was asked to end

    def run(self) -> Failure | None:
        """Execute the notebook and write it; no kernel is left when this returns."""
        began = self._moment = time.monotonic()
        self.about["executed"], error = datetime.now(UTC).isoformat(timespec="seconds"), None
        with tempfile.TemporaryDirectory(prefix="dmlkit-", ignore_cleanup_errors=True) as folder:
            self.kernel = self._new_kernel(folder)
            # No paths: papermill would change the working folder of the whole process.
            arguments = {"input_path": nbformat.read(self.source, as_version=4), "output_path": None}
            arguments |= {"parameters": dict(self.values), "kernel_name": "python3", "language": "python"}
            arguments |= {"engine_name": "dmlkit", "progress_bar": False, "autosave_cell_every": 0}
            try:
                # An empty context: jupyter_core keeps the event loop in it, and another thread may run that one.
                contextvars.Context().run(papermill.execute_notebook, **arguments, execution=self)
            except PapermillExecutionError:  # a failed cell: the notebook shows it
                pass
            except Exception as problem:
                error = problem
            if self.notebook is None:
                raise error
            self.about["runs"] = accessed_runs(Path(folder) / "runs", self.run_folder)
            # Papermill's own error cells carry styling and random ids; our banner takes their place.
            cells = [cell for cell in self.notebook.cells if not _tagged(cell, "papermill-error-cell-tag")]
            self.notebook.cells = cells
            failure = self._failure(cells, error)
        self.about["seconds"] = round(time.monotonic() - began, 1)
        if failure:
            _mark_failure(self.notebook, failure, self.completed)
        try:
            # What no encoding has, half a surrogate pair in the name of a folder, is written as JSON writes it.
            text = (nbformat.writes(self.notebook) + "\n").encode("utf-8", errors="backslashreplace")
            with atomic_write(self.target) as path:
                path.write_bytes(text)
        except OSError as problem:
            why = f"{problem.strerror}. Make room, or name another folder."
            why += f" Before that, the notebook had stopped: {failure.message}" if failure else ""
            return Failure("disk", 0, f"{self.target} could not be written: {why}")
        return failure

    def _new_kernel(self, folder: str) -> Kernel:
        added = {
            # Plots are shown as in JupyterLab, whatever backend the terminal uses.
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "PYTHONSTARTUP": "",
            "PYTHONFAULTHANDLER": "1",  # a crash in native code leaves a trace in the log
            "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
            ACCESS_LOG: f"{folder}/runs",
        }
        added |= dict.fromkeys(THREADS, str(self.threads)) if self.threads else {}
        home = Path(dmlkit.__file__).resolve().parents[1]
        if home.name not in ("site-packages", "dist-packages"):
            # A checkout: the notebooks must see the very package that runs them.
            added["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))
        kernel = Kernel(folder=folder, variables=added, connection_file=f"{folder}/kernel.json")
        # Sockets that are files take no port; their names may have about a hundred bytes.
        if os.name == "posix" and len(os.fsencode(folder)) + 20 <= zmq.IPC_PATH_MAX_LEN:
            kernel.transport = "ipc"
        return kernel

    def watch(self) -> None:
        """End the kernel where that is due; from any thread."""
        elapsed = time.monotonic() - self._moment
        if self.ended_by:
            if not self.answered or elapsed > GRACE:
                self.kill()
        elif self.kernel and (self.stop.reason or (self.seconds is not None and elapsed > self.seconds)):
            self.ended_by = INTERRUPTED if self.stop.reason else TIME_LIMIT
            self._moment = time.monotonic()
            self.kernel.send(signal.SIGINT)

    def kill(self) -> None:
        """End the kernel at once; from any thread."""
        self.ended_by = self.ended_by or INTERRUPTED
        if self.kernel:
            self.kernel.send(KILL)

    def write(self, text: str) -> None:
        """Pass on what the kernel prints, line by line; papermill takes this for a file."""
        for line in re.split(r"[\r\n]+", text):
            if line.strip():
                self.on_line(ANSI.sub("", line.strip()))

    def flush(self) -> None:
        """Does nothing: there is no buffer."""

    def kernel_ready(self, **_: object) -> None:
        """The kernel has answered."""
        self.answered = True

    def cell_begins(self, *, cell: NotebookNode, **_: object) -> None:
        """Before a cell is sent to the kernel: not once the kernel is to end."""
        if self.ended_by:
            cell.metadata.papermill.start_time = None  # it never began
            raise InterruptedError

    def cell_executed(self, *, cell_index: int, **_: object) -> None:
        """The kernel has reported the end of a cell."""
        self.completed.add(cell_index)
        self.on_cell()

    def _failure(self, cells: list[NotebookNode], error: Exception | None) -> Failure | None:
        """The failure of an execution that has ended; None where every cell succeeded."""
        raised = [place for place, cell in enumerate(cells) if cell.metadata.papermill.exception]
        left = [place for place, cell in enumerate(cells) if _is_code(cell) and place not in self.completed]
        if not cells or (error is None and not raised and not left):
            return None
        place = [*raised, *left, len(cells) - 1][0]
        if self.ended_by:
            why = (self.stop.reason or INTERRUPTED).capitalize()
            if self.ended_by == TIME_LIMIT:
                limit = f"{self.seconds:g} s" if self.seconds < 60 else duration(self.seconds)
                why = f"The time limit of {limit} was reached"
            return Failure(self.ended_by, place, f"{why} at the cell `{cells[place].id}`. {RESUMES}")
        if error is None:
            errors = [output for output in cells[place].outputs if output.output_type == "error"]
            name, value = (
                (errors[0].ename, errors[0].evalue) if errors else ("It failed", "no error was shown")
            )
            value = ANSI.sub("", value).strip()
            message = f"{name}: {value[:1500]}{' ...' * (len(value) > 1500)}".removesuffix(": ")
            return Failure("data" if name == "DataError" else "cell", place, message)
        log = _last_lines(Path(self.kernel.folder) / "kernel.log")
        if not self.answered:
            kind = "disk" if getattr(error, "errno", None) in DISK_FULL else "kernel died"
            return Failure(kind, place, f"The kernel did not start: {error}{log}")
        if not isinstance(error, DeadKernelError):
            raise error
        code = self.kernel.process.returncode
        cause = f"The kernel's process ended itself with the exit code {code} while this cell ran."
        if code < 0:
            name = next((each.name for each in signal.Signals if each == -code), f"signal {-code}")
            cause = f"The kernel was ended by {name} while this cell ran.{HINTS.get(name, '')}"
        return Failure("kernel died", place, f"{cause}{log}")


class Engine(NBClientEngine):
    """Papermill's own engine, on a kernel and a notebook that others can see too."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, execution: Execution, **_: object) -> None:
        """Execute papermill's notebook, which grows meanwhile."""
        execution.notebook = notebook = nb_man.nb
        paths = {"input_path": execution.source.name, "output_path": execution.target.name}
        notebook.metadata.papermill.update(paths)
        client = PapermillNotebookClient(
            nb_man,
            km=execution.kernel,
            kernel_name=kernel_name,
            log=logger,
            startup_timeout=START_TIMEOUT,
            stdout_file=execution,
            resources={"metadata": {"path": str(execution.target.parent)}},
            on_notebook_start=execution.kernel_ready,
            on_cell_execute=execution.cell_begins,
            on_cell_executed=execution.cell_executed,
        )
        try:
            client.execute(cleanup_kc=True)
        finally:
            execution.kernel.send(KILL)
            loop = ensure_event_loop()  # this thread's, in which nbclient may have left something waiting
            waiting = asyncio.all_tasks(loop)
            for task in waiting:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
            loop.close()
            for cell in notebook.cells:
                if _tagged(cell, "injected-parameters"):
                    cell.id = "injected-parameters"  # the same every time
                if cell.cell_type == "code":
                    cell.outputs = _joined(cell.outputs)


papermill_engines.register("dmlkit", Engine)


def _tagged(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Pieces of a stream as one, lines as a terminal leaves them; nbclient takes minutes to do so for 400 KB."""
    joined: list[NotebookNode] = []
    for name, pieces in itertools.groupby(outputs, lambda output: output.get("name")):  # None: not a stream
        pieces = list(pieces)
        if name:
            lines = "".join(piece.text for piece in pieces).replace("\r\n", "\n").split("\n")
            text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
            pieces = [nbformat.v4.new_output("stream", name=name, text=text)]
        joined += pieces
    return joined


def _is_code(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _last_lines(log: Path) -> str:
    """The last lines of a log; where Python reports a crash, those around the report's beginning."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line.strip() and not CHATTER.match(line)]
    crashes = [place for place, line in enumerate(lines) if line.startswith("Fatal Python error")]
    first = max(crashes[0] - 3, 0) if crashes else max(len(lines) - LAST_LINES, 0)
    return "".join(f"\n{line}" for line in lines[first : first + LAST_LINES])


def _mark_failure(notebook: NotebookNode, failure: Failure, completed: set[int]) -> None:
    """Record of every cell whether it was completed, failed or not run, and put a banner on top."""
    at, stopped = failure.cell, notebook.cells[failure.cell]
    name, papermills = f"the cell `{stopped.id}`", stopped.metadata.papermill
    if not papermills.exception and (at in completed or not _is_code(stopped)):
        status, where = "completed", "after its last cell."
    elif papermills.start_time:
        status, where = "failed", f"at {name}; what follows that cell was not run."
    else:
        status, where = "not run", f"before {name}; that cell and what follows it were not run."
    for place, cell in enumerate(notebook.cells):
        mine = status if place == at else "completed" if place < at else "not run"
        cell.metadata.papermill |= {"status": mine, "exception": mine == "failed" or None}
    notebook.metadata.papermill["exception"] = True
    # A code block shows the message as it is, whatever it holds.
    fence = "`" * 6
    text = f"**This notebook stopped** {where}\n\n{fence}text\n{failure.message}\n{fence}"
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(text, id="stopped", metadata={"tags": [BANNER]}))


WIDGET = "application/vnd.jupyter.widget-view+json"
# `4.2 s`, `1,234.5 s` as the library prints them, with the blanks that fill a column before them.
DURATION = re.compile(r"[ \t]*(?<![\w.,])\d[\d,]*\.\d+ s\b")


def strip_timestamps(notebook: NotebookNode) -> NotebookNode:
    """A copy of an executed notebook without its times, and without what is numbered again at every execution.

    Taken out are papermill's, the report's and the widgets' metadata, the outputs of cells tagged `times`, the model id
    of each widget shown, and durations in text (`4.2 s`): they become `# s`.

    Args:
        notebook: As `nbformat.read` gives it; it stays as it is.
    """
    notebook = copy.deepcopy(notebook)
    for holder in (notebook, *notebook.cells):
        for name in ("papermill", METADATA, "widgets", "execution"):
            holder.metadata.pop(name, None)
    for cell in notebook.cells:
        if _tagged(cell, "times"):  # measured seconds
            cell.outputs = []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for holder in (output, data):
                for name in holder.keys() & {"text", "text/plain", "text/html", "text/markdown"}:
                    holder[name] = DURATION.sub(" # s", holder[name])
            data.get(WIDGET, {}).pop("model_id", None)
    return notebook
