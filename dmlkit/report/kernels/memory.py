"""What the operating system says about memory, where it says it in a file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# Where a container's limit is written: of control groups 2 and 1.
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def ended_for_memory() -> int | None:
    """How many processes Linux has ended since it started because memory ran out; None elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def memory_there_is() -> int | None:
    """Bytes of the machine's memory, or of a container's where it is allowed less."""
    found = []
    with suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in LIMITS:
        with suppress(OSError, ValueError):  # "max" where there is no limit
            found.append(int(Path(path).read_text(encoding="ascii")))
    return min((each for each in found if each > 0), default=None)
