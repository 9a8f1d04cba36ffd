"""How much is to come, and whether the disk holds it. A plan tells no sizes, so the server is asked for some."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from dmlkit.data.downloading.asking import Failed, Patience, asked, length
from dmlkit.errors import UsageError
from dmlkit.text import readable_size

# Shards are of nearly one size, and each question takes a journey to the server and back.
MOST_ASKED = 32


@dataclass(frozen=True)
class Need:
    """What is to come.

    Attributes:
        size: Bytes; None where the server does not say.
        exact: Whether every file was asked about.
    """

    size: int | None
    exact: bool

    def __str__(self) -> str:
        if self.size is None:
            return "their size is not told"
        return f"{'' if self.exact else 'about '}{readable_size(self.size)}"


def measure(urls: Sequence[str], *, session: requests.Session, patience: Patience) -> Need:
    """Ask for the sizes of some files, evenly chosen, and take the others to be like them."""
    chosen = urls[:: -(-len(urls) // MOST_ASKED) or 1]
    sizes: list[int] = []
    for url in chosen:
        try:
            with asked(session, url, timeout=patience.timeout, method="HEAD") as response:
                told = length(response)
        except Failed as failed:
            if failed.passing:  # this is a courtesy, not worth waiting for
                break
            continue
        if told is not None:
            sizes.append(told)
    if not sizes:
        return Need(0, True) if not urls else Need(None, False)
    return Need(sum(sizes) * len(urls) // len(sizes), len(sizes) == len(urls))


def free(folder: Path) -> int:
    """Bytes that can still be written there."""
    return shutil.disk_usage(folder).free


def check_room(need: Need, there: int, folder: Path) -> None:
    """Refuse what does not fit.

    Args:
        need: What is to come.
        there: How much of it is there already, in parts of files.
        folder: Where it is to go.

    Raises:
        UsageError: It does not fit.
    """
    if need.size is not None and need.size - there > (room := free(folder)):
        raise UsageError(
            f"The files do not fit: {need} are to come, {readable_size(room)} are free in {folder}. Make room, fetch a "
            "share of them (--shards 1/100), or fetch as many as fit with --any-size."
        )
