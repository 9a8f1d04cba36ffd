"""What one sees while a model trains: a bar in a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import sys

import keras
from tqdm import tqdm

from dmlkit.errors import choose


def epoch_line(row: dict, *, epochs: int) -> str:
    """`epoch  3/12  loss 5.123  tuning GAP 0.6120  rate 0.0030  4.2 s`; no GAP where the tuning part is learnt from."""
    judged = f"tuning GAP {row['tuning_gap']:.4f}  " if "tuning_gap" in row else ""
    return (
        f"epoch {row['epoch']:>2}/{epochs}  loss {row['loss']:.3f}  {judged}"
        f"rate {row['learning_rate']:.4f}  {row['seconds']:.1f} s"
    )


class Lines:
    """One line an epoch: for notebooks and log files."""

    def callbacks(self, *, title: str, epoch: int, epochs: int, batches: int, done: int) -> list:
        """No callbacks: nothing is said within an epoch."""
        return []

    def epoch(self, row: dict, *, epochs: int) -> None:
        """Say how the epoch went."""
        self.say(epoch_line(row, epochs=epochs))

    def say(self, line: str) -> None:
        """Show a line."""
        print(line, flush=True)


class Silence(Lines):
    """Nothing at all."""

    def say(self, line: str) -> None:
        """Show nothing."""


class Bars(Lines):
    """A bar over the batches of each epoch, then its line."""

    def callbacks(self, *, title: str, epoch: int, epochs: int, batches: int, done: int) -> list:
        """The callback that moves the bar."""
        return [_Bar(f"{title} {epoch + 1}/{epochs}", batches, done)]

    def say(self, line: str) -> None:
        """Show a line above the next bar."""
        tqdm.write(line)


class _Bar(keras.callbacks.Callback):
    def __init__(self, title: str, batches: int, done: int):
        super().__init__()
        self.bar = tqdm(total=batches, initial=done, desc=title, unit="batch", leave=False)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()
        self.bar.set_postfix(loss=f"{float(logs['loss']):.3f}", refresh=False)

    def on_train_end(self, logs=None):
        self.bar.close()


PROGRESS = {"bars": Bars, "lines": Lines, "silent": Silence}


def reporter(name: str) -> Lines:
    """The way of showing progress: `bars`, `lines`, `silent`, or `auto` (bars where there is a terminal)."""
    if name == "auto":
        name = "bars" if sys.stderr.isatty() else "lines"
    return choose(PROGRESS, name, what="progress")()
