"""Why a notebook ended before its last cell, told as truly as can be known."""

from __future__ import annotations

import errno
import os
import re
import signal
from pathlib import Path

from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode

from dmlkit.report.chapters import Failure
from dmlkit.report.kernels.attempt import INTERRUPTED, TIME_LIMIT, Attempt
from dmlkit.report.kernels.marks import is_code
from dmlkit.report.kernels.memory import memory_there_is
from dmlkit.report.pages.wording import duration

ANSI = re.compile(r"\x1b\[[0-9;]*m")
FULL = (errno.ENOSPC, errno.EDQUOT)
# What an OSError says, and what TensorFlow makes of one.
DISK_FULL = re.compile(
    "|".join(re.escape(each) for code in FULL for each in (f"[Errno {code}]", os.strerror(code)))
)
LAST_LINES = 10
# What TensorFlow says of itself at every start.
CHATTER = re.compile(r"I\d{4} |WARNING: All log messages before absl|To enable the following instructions")
RESUMES = "A rung under training goes on from its checkpoint when the report is called again."

# By number where the platform has the signal.
_NATIVE = {getattr(signal, name, None) for name in ("SIGSEGV", "SIGABRT", "SIGILL", "SIGBUS", "SIGFPE")}


def how_it_ended(attempt: Attempt) -> Failure | None:
    """The failure of an execution that has ended; None where every cell did what it should.

    Args:
        attempt: The execution; its notebook holds nothing but its own cells.

    Raises:
        Exception: What was raised by neither the notebook nor its kernel.
    """
    cells = attempt.notebook.cells
    raised = next((place for place, cell in enumerate(cells) if cell.metadata.papermill.exception), None)
    left = [place for place, cell in enumerate(cells) if is_code(cell) and place not in attempt.executed]
    place = next((each for each in (raised, *left) if each is not None), max(len(cells) - 1, 0))
    if not cells or (attempt.error is None and raised is None and not left):
        return None
    if attempt.ended_by:
        message = f"{_ended_by_us(attempt)} {_where(attempt, place)}. {RESUMES}"
        return Failure(kind=attempt.ended_by, cell=place, message=message)
    if attempt.error is None and raised is not None:
        return _failed_cell(cells[raised], raised)
    if not attempt.answered:
        return _not_started(attempt, place)
    if isinstance(attempt.error, DeadKernelError):
        message = f"{_cause(attempt)}{_last_of(attempt.kernel.log_file)}"
        return Failure(kind="kernel died", cell=place, message=message)
    raise attempt.error


def _where(attempt: Attempt, place: int) -> str:
    return f"at the cell `{attempt.notebook.cells[place].id}`"


def _ended_by_us(attempt: Attempt) -> str:
    if attempt.ended_by == TIME_LIMIT:
        return f"The time limit of {_limit(attempt.seconds)} was reached"
    why = attempt.stop.why if attempt.stop is not None and attempt.stop.why else INTERRUPTED
    return why[:1].upper() + why[1:]


def _limit(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    return duration(seconds).removesuffix(" 00 s").removesuffix(" 00 min")


def _failed_cell(cell: NotebookNode, place: int) -> Failure:
    """What was raised, in full for the errors made for readers, else shortened."""
    error = next((output for output in cell.outputs if output.output_type == "error"), None)
    if error is None:
        return Failure(kind="cell", cell=place, message="The cell failed without saying how.")
    value = ANSI.sub("", error.evalue).strip()
    if len(value) > 1500:
        value = value[:1500] + " ..."
    kind = "data" if error.ename == "DataError" else "cell"
    told = f"{error.ename}: {value}" if value else error.ename
    if DISK_FULL.search(value):
        told += f"\nThe disk is full, or its quota used up. Make room, and call the report again. {RESUMES}"
    return Failure(kind=kind, cell=place, message=told)


def _not_started(attempt: Attempt, place: int) -> Failure:
    kind = "disk" if getattr(attempt.error, "errno", None) in FULL else "kernel died"
    said_last = _last_of(attempt.kernel.log_file)
    return Failure(kind=kind, cell=place, message=f"The kernel did not start: {attempt.error}{said_last}")


def _cause(attempt: Attempt) -> str:
    code = attempt.kernel.child.returncode
    if code == -getattr(signal, "SIGKILL", 9):
        return _killed(attempt)
    if -code in _NATIVE:
        return (
            f"The kernel crashed in native code ({signal.Signals(-code).name}) while this cell ran. The fault lies "
            f"in a library or a driver, or in the limits of the machine, not in the cell's Python."
        )
    if code < 0:
        return (
            f"The kernel was ended by {_signal_name(-code)} while this cell ran: somebody, or something on this "
            f"machine, asked it to end."
        )
    return (
        f"The kernel's process ended itself with the exit code {code} while this cell ran. That is done by a call "
        f"such as `os._exit`, or by a library that gives up."
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"the signal {number}"


def _killed(attempt: Attempt) -> str:
    total, peak = memory_there_is(), attempt.kernel.peak
    told = ["The kernel was killed (SIGKILL) while this cell ran."]
    if attempt.memory_ended == 0:
        told.append(
            "That is mostly done by the operating system when memory runs out, but its count says that it ended no "
            "process for that meanwhile: more likely somebody, or something on this machine, killed it."
        )
    elif attempt.memory_ended:
        told.append("Memory ran out: the operating system counts a process that it ended for that meanwhile.")
    else:
        told.append("The likely cause is memory: the operating system ends the process that takes the most.")
    if total and peak:
        told.append(f"This machine has {_gib(total)} of memory; the kernel had taken up to {_gib(peak)}.")
    elif total:
        told.append(f"This machine has {_gib(total)} of memory.")
    if attempt.memory_ended != 0:
        told.append("Give a smaller profile or batch size, or close other programs.")
    return " ".join(told)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _last_of(log: Path) -> str:
    """The last lines of a log, from Python's own report of a crash on where there is one."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.strip() and not CHATTER.match(line)]
    crash = next((place for place, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    # What native code said of itself stands before Python's report.
    shown = slice(-LAST_LINES, None) if crash is None else slice(max(crash - 3, 0), crash + LAST_LINES)
    return "".join(f"\n{line}" for line in lines[shown])
