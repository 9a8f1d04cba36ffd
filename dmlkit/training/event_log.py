"""A training's epochs for TensorBoard, where a folder is named for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dmlkit.training.event_file import EventFile

SHOWN = ("loss", "tuning_gap", "learning_rate")


@contextmanager
def event_log(folder: Path | None, *, history: Sequence[dict]) -> Iterator[Callable[[dict], None]]:
    """What takes the row of each epoch; a row of the history goes to TensorBoard's step of that epoch.

    The log follows from the history alone: a training that goes on writes the epochs it has behind it anew.

    Args:
        folder: The run's own folder of logs; None where none are wanted.
        history: The rows of the epochs that are done.
    """
    if folder is None:
        yield lambda row: None
        return
    file = EventFile(folder)
    try:
        for row in history:
            _write(file, row)
        yield lambda row: _write(file, row)
    finally:
        file.close()


def _write(file: EventFile, row: dict) -> None:
    file.write({name: row[name] for name in SHOWN}, step=row["epoch"])
