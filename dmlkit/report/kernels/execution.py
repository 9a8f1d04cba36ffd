"""One notebook, executed and written down, and an honest account of how it ended."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from dmlkit.files import atomic_write
from dmlkit.report.chapters import Failure
from dmlkit.report.kernels.attempt import Attempt
from dmlkit.report.kernels.endings import ANSI, how_it_ended
from dmlkit.report.kernels.kernel import own_kernel
from dmlkit.report.kernels.marks import mark_failure, own_cells
from dmlkit.report.kernels.stopping import Stop


@dataclass
class _Stream:
    """What a kernel prints, handed on line by line."""

    said: Callable[[str], None]

    def write(self, text: str) -> None:
        for line in re.split(r"[\r\n]+", text):
            if line.strip():
                self.said(ANSI.sub("", line.strip()))

    def flush(self) -> None:
        """Nothing is held back."""


def execute(
    source: Path,
    target: Path,
    values: Mapping[str, object],
    *,
    said: Callable[[str], None] = lambda line: None,
    moved: Callable[[], None] = lambda: None,
    threads: int | None = None,
    seconds: float | None = None,
    stop: Stop | None = None,
    looked_at: Path | None = None,
) -> Failure | None:
    """Execute a notebook with the interpreter that runs this, in the folder of the executed notebook.

    Several threads may call this at once. Whatever happens, no kernel is left when it returns; and where this
    very process is killed, the kernel ends within two seconds.

    Args:
        source: The notebook; it is only read.
        target: Where the executed notebook goes, whole, when all is over; what a failed one got done is kept there.
        values: Parameter → value.
        said: Called with each line the notebook prints, from another thread.
        moved: Called after each cell, from another thread.
        threads: How many each library may use in the kernel; as many as it likes where None.
        seconds: The time limit of the notebook; none where None.
        stop: When it is asked, the kernel is ended.
        looked_at: File that takes the folder of every run the notebook looks at.

    Returns:
        How it failed, or None.

    Raises:
        KeyboardInterrupt: Where the calling thread gets it; the kernel has ended and the notebook is written.
    """
    notebook = nbformat.read(source, as_version=4)
    try:
        folder = tempfile.TemporaryDirectory(prefix="dmlkit-", ignore_cleanup_errors=True)
    except OSError as error:
        return _disk(Path(tempfile.gettempdir()), error)
    with folder as name:
        attempt = Attempt(
            notebook,
            names=(source.name, target.name),
            values=values,
            kernel=own_kernel(name, threads=threads, looked_at=looked_at),
            home=target.parent,
            said=_Stream(said),
            moved=moved,
            seconds=seconds,
            stop=stop,
        )
        try:
            attempt.run()
        except KeyboardInterrupt:
            _account(attempt, target)
            raise
        return _account(attempt, target)


def _account(attempt: Attempt, target: Path) -> Failure | None:
    """Find out how it ended, and write the notebook that says so."""
    if attempt.notebook is None:
        if attempt.error is not None:
            raise attempt.error
        return None
    own_cells(attempt.notebook)
    failure = how_it_ended(attempt)
    if failure:
        mark_failure(attempt.notebook, failure, executed=attempt.executed)
    try:
        _write(attempt.notebook, target)
    except OSError as error:
        return _disk(target, error, before=failure)
    return failure


def _write(notebook: NotebookNode, target: Path) -> None:
    # What no encoding has, half a surrogate pair in the name of a folder, is written as JSON writes it.
    text = nbformat.writes(notebook) + "\n"
    with atomic_write(target) as path:
        path.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def _disk(path: Path, error: OSError, *, before: Failure | None = None) -> Failure:
    told = f"{path} could not be written: {error.strerror or error}. Make room, or name another folder with --out."
    if before:
        told += f" Before that, the notebook had stopped: {before.message}"
    return Failure(kind="disk", cell=before.cell if before else 0, message=told)
