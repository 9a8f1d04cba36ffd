"""Where a killed training goes on: every variable, the place in the data, the best weights so far."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from dmlkit.data import Skipped
from dmlkit.errors import UsageError
from dmlkit.files import UnreadableError, read_arrays, write_arrays
from dmlkit.runs import WHILE_TRAINING

FILE = WHILE_TRAINING
ARRAYS = ("best_weights", "metrics")


@dataclass
class Progress:
    """How far a training has come.

    Args:
        fingerprint: Of the run it belongs to.
        epoch: Epochs done.
        batches: Batches done of the epoch under way.
        loss: Mean loss over those batches.
        seconds: Spent so far.
        history: A dict an epoch.
        best_gap: Highest GAP on the tuning part so far.
        best_epoch: The epoch that reached it, counted from 1; 0 before the first.
        best_weights: The model's weights then.
        metrics: What the running means held after `batches`; empty between epochs.
        workers: Among how many the epoch under way is divided.
        skipped: The faulty records that were left out.
    """

    fingerprint: str
    epoch: int = 0
    batches: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)
    best_gap: float = -1.0
    best_epoch: int = 0
    best_weights: list[np.ndarray] = field(default_factory=list)
    metrics: list[np.ndarray] = field(default_factory=list)
    workers: int = 1
    skipped: Skipped = field(default_factory=Skipped)


def _variables(model: keras.Model) -> list:
    """Weights, the seeds of dropout, and the optimiser's moments: all that the next step depends on."""
    return [*model.variables, *model.optimizer.variables]


def save(folder: Path, model: keras.Model, progress: Progress) -> None:
    """Write the checkpoint, whole or not at all."""
    arrays = {f"variable_{i}": np.asarray(value) for i, value in enumerate(_variables(model))}
    arrays |= {f"best_{i}": value for i, value in enumerate(progress.best_weights)}
    if progress.batches:
        # `fit` keeps them in the model; a loop of our own brings them along.
        metrics = model.metrics_variables or progress.metrics
        arrays |= {f"metric_{i}": np.asarray(value) for i, value in enumerate(metrics)}
    about = {name: value for name, value in vars(progress).items() if name not in ARRAYS}
    about["skipped"] = progress.skipped.to_rows()
    arrays["about"] = np.array(json.dumps(about))
    write_arrays(folder / FILE, arrays)


def restore(folder: Path, model: keras.Model, *, fingerprint: str) -> Progress:
    """Set the model's variables to the checkpoint's, if there is one of this very run.

    Returns:
        How far it had come; a fresh start where there is no checkpoint, or one of another run, or a
        damaged one: training again is always right, only slower.
    """
    fresh = Progress(fingerprint)
    try:
        arrays = read_arrays(folder / FILE)
        about = json.loads(str(arrays["about"]))
    except (UnreadableError, KeyError, ValueError):
        return fresh
    variables = _variables(model)
    if about["fingerprint"] != fingerprint or f"variable_{len(variables) - 1}" not in arrays:
        return fresh
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"variable_{i}"])
    skipped = Skipped()
    skipped.add_rows(about.pop("skipped"))
    return Progress(
        **about, skipped=skipped, best_weights=_row(arrays, "best_"), metrics=_row(arrays, "metric_")
    )


def resume(folder: Path, model: keras.Model, *, mark: str, workers: int, skipped: Skipped) -> Progress:
    """The checkpoint's place; between two epochs any number of workers can go on.

    Raises:
        UsageError: It lies within an epoch that other workers had divided among them.
    """
    done = restore(folder, model, fingerprint=mark)
    if done.batches and done.workers != workers:
        raise UsageError(
            f"The checkpoint in {folder} lies within an epoch that {done.workers} workers had divided among them, and "
            f"now there are {workers}. Go on with {done.workers}, or delete {FILE} to begin anew."
        )
    done.workers = workers
    skipped.add_rows(done.skipped.to_rows())
    done.skipped = skipped
    return done


def _row(arrays: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    return [arrays[f"{prefix}{i}"] for i in range(sum(name.startswith(prefix) for name in arrays))]


class MidEpoch(keras.callbacks.Callback):
    """Save the checkpoint within an epoch, when `every` seconds have passed since the last.

    Args:
        folder: The run's.
        progress: Brought up to date batch by batch; one object for the whole training.
        every: Seconds between two checkpoints.
    """

    def __init__(self, folder: Path, progress: Progress, *, every: float):
        super().__init__()
        self.folder, self.progress, self.every = folder, progress, every
        self.before = progress.batches
        self.saved = self.started = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        """Keras's running mean of the loss starts anew with each `fit`; that of an epoch begun before goes on."""
        for variable, value in zip(self.model.metrics_variables, self.progress.metrics, strict=False):
            variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        """Count the batch, and save when it is time."""
        self.progress.batches = self.before + batch + 1
        self.progress.loss = float(logs["loss"])
        if time.monotonic() - self.saved >= self.every:
            self.progress.seconds += time.monotonic() - self.started
            self.started = time.monotonic()
            save(self.folder, self.model, self.progress)
            self.saved = time.monotonic()
