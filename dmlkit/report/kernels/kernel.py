"""The kernel that executes a notebook: the interpreter that runs the command, and no other.

Jupyter looks kernels up by name, and `python3` may be registered to any interpreter on the machine.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import Popen

import zmq
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from traitlets import Any, Dict, Int, Unicode

import dmlkit
from dmlkit.report.kernels import tethered
from dmlkit.runs import ACCESS_LOG

LOG = "kernel.log"

# Who reads these is told how many threads to take; between them they are all that a notebook computes with.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


class OwnInterpreter(AsyncKernelManager):
    """Starts `sys.executable`, whatever is registered under the notebook's kernel name."""

    folder = Unicode(help="A temporary folder, for what the kernel and we tell each other.")
    variables = Dict(help="What the kernel's environment has beyond the command's own.")
    child: Popen | None = Any(None, allow_none=True, help="The kernel; it stays when it has ended.")
    peak = Int(0, help="The most memory it was seen to take, in bytes.")

    @property
    def kernel_spec(self) -> KernelSpec:
        """The specification of a kernel that need not be registered."""
        start = [sys.executable, "-P", tethered.__file__, str(os.getpid()), self.folder]
        return KernelSpec(
            argv=[*start, "-f", "{connection_file}"], display_name="Python (dmlkit)", language="python"
        )

    @property
    def log_file(self) -> Path:
        """What the kernel says beside its notebook."""
        return Path(self.folder) / LOG

    async def start_kernel(self, **how: object) -> None:
        """Start it, with its asides in `log_file` instead of the terminal."""
        environment = os.environ | self.variables
        with open(self.log_file, "ab") as log:
            # A session of its own is jupyter_client's way: the terminal's Ctrl-C does not reach it.
            await super().start_kernel(stdout=log, stderr=log, env=environment, **how)
        self.child = self.provisioner.process

    def measure(self) -> None:
        """Note how much memory it has taken so far, where the system says so in passing."""
        with suppress(OSError, StopIteration, AttributeError):
            lines = Path(f"/proc/{self.child.pid}/status").read_text(encoding="ascii", errors="replace")
            found = next(line for line in lines.splitlines() if line.startswith("VmHWM:"))
            self.peak = max(self.peak, int(found.split()[1]) * 1024)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the cell that runs; from any thread."""
        if os.name == "posix":
            self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End it and all it started; from any thread."""
        if os.name == "posix":
            self._signal(signal.SIGKILL)
        elif self.child is not None:
            self.child.kill()

    def _signal(self, number: int) -> None:
        # The group outlives its leader as long as it has members.
        if self.child is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, number)


def own_kernel(folder: str, *, threads: int | None = None, looked_at: Path | None = None) -> OwnInterpreter:
    """A kernel that keeps to itself, not started yet.

    Args:
        folder: A temporary folder of its own.
        threads: How many each library may use; as many as it likes where None.
        looked_at: File that takes the folder of every run the notebook looks at.
    """
    kernel = OwnInterpreter(folder=folder, variables=environment(threads=threads, looked_at=looked_at))
    # The system allows the names of sockets about a hundred bytes, and a temporary folder may lie deep.
    longest = len(os.fsencode(os.path.join(folder, "kernel-ipc-9")))
    if os.name == "posix" and longest <= zmq.IPC_PATH_MAX_LEN:
        # Sockets that are files: no port is taken or seen, however many reports run at once.
        kernel.transport = "ipc"
    if os.name == "posix":
        kernel.connection_file = os.path.join(folder, "kernel.json")
    return kernel


def arguments(folder: str) -> list[str]:
    """What ipykernel is told when it starts.

    Args:
        folder: The kernel's temporary folder.
    """
    return [
        # The user's own IPython profile may run anything at the start of a kernel.
        f"--ipython-dir={folder}",
        # The last words of native code go to the log, not into a pipe that ends with the process.
        "--IPKernelApp.capture_fd_output=False",
    ]


def environment(*, threads: int | None = None, looked_at: Path | None = None) -> dict[str, str]:
    """What the kernel's environment has beyond the command's own.

    Args:
        threads: How many each library may use.
        looked_at: File that takes the folder of every run the notebook looks at.
    """
    added = {
        # Plots are shown as in JupyterLab, whatever backend the terminal uses.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        # No start-up file of the user's belongs into a report.
        "PYTHONSTARTUP": "",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
    }
    if threads is not None:
        added |= dict.fromkeys(THREADS, str(threads))
    if looked_at is not None:
        added[ACCESS_LOG] = str(looked_at.resolve())
    home = Path(dmlkit.__file__).resolve().parents[1]
    if home.name not in ("site-packages", "dist-packages"):
        # A checkout: the notebooks must see the very package that runs them.
        path = os.environ.get("PYTHONPATH")
        added["PYTHONPATH"] = f"{home}{os.pathsep}{path}" if path else str(home)
    return added
