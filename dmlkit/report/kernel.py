"""The kernel that executes a report: the interpreter that runs the command, and no other.

Jupyter looks kernels up by name, and `python3` may be registered to any interpreter on the machine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from traitlets import Unicode
from traitlets.config import Config

import dmlkit

LOG = "kernel.log"


class OwnInterpreter(AsyncKernelManager):
    """Starts `sys.executable`, whatever is registered under the notebook's kernel name."""

    log_file = Unicode(help="Takes what the kernel says beside its notebook.").tag(config=True)

    @property
    def kernel_spec(self) -> KernelSpec:
        """The specification of a kernel that need not be registered."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python (dmlkit)",
            language="python",
            env=environment(),
        )

    async def start_kernel(self, **how: object) -> None:
        """Start it, with its asides in `log_file` instead of the terminal."""
        with open(self.log_file, "ab") as log:
            await super().start_kernel(stdout=log, stderr=log, **how)


def settings(folder: str) -> dict:
    """What papermill hands to nbclient so that a kernel keeps to itself.

    Args:
        folder: A temporary folder, for what the kernel and we tell each other.
    """
    config = Config()
    config.OwnInterpreter.log_file = os.path.join(folder, LOG)
    if os.name == "posix":
        # Sockets that are files: no port is taken or seen, however many reports run at once.
        config.OwnInterpreter.transport = "ipc"
        config.OwnInterpreter.connection_file = os.path.join(folder, "kernel.json")
    return {
        "kernel_manager_class": OwnInterpreter,
        "config": config,
        # The user's own IPython profile may run anything at the start of a kernel.
        "extra_arguments": [f"--ipython-dir={folder}"],
    }


def environment() -> dict[str, str]:
    """What the kernel's environment has beyond the command's own."""
    added = {
        # Plots are shown as in JupyterLab, whatever backend the terminal uses.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        # No start-up file of the user's belongs into a report.
        "PYTHONSTARTUP": "",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
    }
    home = Path(dmlkit.__file__).resolve().parents[1]
    if home.name not in ("site-packages", "dist-packages"):
        # A checkout: the notebooks must see the very package that runs them.
        path = os.environ.get("PYTHONPATH")
        added["PYTHONPATH"] = f"{home}{os.pathsep}{path}" if path else str(home)
    return added
