"""One run, one trainer: notebooks and reports that share a folder of runs wait for each other's trainings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmlkit.errors import UsageError
from dmlkit.files import file_lock


@contextmanager
def turn(folder: Path, *, title: str) -> Iterator[None]:
    """Hold a run's folder while it is trained or combined; the lock lies beside it, and dies with this process.

    Args:
        folder: The run's folder, there or not.
        title: What to call the run while waiting.

    Raises:
        UsageError: The folder of runs cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The runs cannot be written to {folder.parent}: {error.strerror or error}. Name another folder of runs."
        ) from error
    with file_lock(
        folder.with_name(f".{folder.name}.lock"),
        taken=lambda holder: print(f"{title}: being trained by {holder} elsewhere; waiting ...", flush=True),
        wait=True,
    ):
        yield
