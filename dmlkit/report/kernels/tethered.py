"""A kernel that ends with the process that started it. Run as a file, it imports nothing of the package.

    python -P tethered.py PARENT FOLDER [arguments of ipykernel]

ipykernel looks after its parent by itself, but in some versions only where the parent's heir is process 1, which
it is not in a container or a desktop session.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import sys
import threading
import time

POLL = 0.5  # seconds between two looks


def end_with(parent: int, folder: str) -> None:
    """Wait until `parent` is gone, remove its folder, and end this process and all it started.

    Args:
        parent: The number of the process that started this one.
        folder: Its temporary folder, which it can no longer remove.
    """
    while os.getppid() == parent:
        time.sleep(POLL)
    shutil.rmtree(folder, ignore_errors=True)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Tie the tether, then be an ordinary kernel."""
    parent, folder = int(sys.argv[1]), sys.argv[2]
    del sys.argv[1:3]
    if os.name == "posix":  # Windows hands ipykernel something better: a handle of the parent
        threading.Thread(target=end_with, args=(parent, folder), daemon=True).start()
    faulthandler.enable()  # a crash in native code leaves a trace in the log

    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()


if __name__ == "__main__":
    main()
