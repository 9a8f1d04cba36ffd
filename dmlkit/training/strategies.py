"""Where a training runs: on one device by Keras's `fit`, or on several by `dmlkit.training.workers`.

A strategy gives the same few answers whichever it is: what this process reads, how an epoch is fitted, what the
others have. `OneDevice` shows them all.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

import keras
import numpy as np

from dmlkit.errors import UsageError
from dmlkit.metrics import global_average_precision
from dmlkit.models import cross_entropy
from dmlkit.predictions import Predictions
from dmlkit.training.averaging import GoesOnAsItWas, moving_average
from dmlkit.training.scoring import predict
from dmlkit.training.workers.refusing import OneDeviceError
from dmlkit.training.workers.tf_config import VARIABLE, workers_named

T = TypeVar("T")


class OneDevice:
    """One process and one device."""

    name = "one device"
    workers = replicas = 1
    chief = True

    def scope(self) -> AbstractContextManager:
        """Around the building of the model."""
        return nullcontext()

    def each(self, function):
        """Call a function on every worker; what fails on one fails on all."""
        return function()

    by_chief = each  # The same, on one worker, which writes what a run leaves.

    def agree(self, facts) -> None:
        """See that all workers were started for the same training."""

    def check_shared(self, folder: Path) -> None:
        """See that all workers have the run's folder."""

    def share(self, dataset, profile, *, skipped) -> tuple:
        """The data set and the profile by which this worker reads its part."""
        return dataset, profile

    def videos(self, own: dict[str, int]) -> dict[str, int]:
        """How many videos all workers have of each part, from how many this one has."""
        return own

    def batches(self, videos: int, batch_size: int) -> int:
        """Batches an epoch, the same for all workers, from what this one reads."""
        return math.ceil(videos / batch_size)

    def compile(self, model: keras.Model, *, learning_rate, clip_norm: float, ema: float, xla: bool) -> None:
        """Give the model its optimiser, and what else an epoch needs."""
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate, clipnorm=clip_norm, **moving_average(ema)),
            loss=cross_entropy,
            # XLA would compile every length of a batch anew; where it is wanted, it is asked for.
            jit_compile=xla,
        )

    def start(self, model: keras.Model) -> None:
        """The weights are set: new, or a checkpoint's."""

    def fit(self, model: keras.Model, examples, done, *, batches: int, callbacks) -> None:
        """Train on what is left of an epoch of so many batches; fewer where all records of one were left out."""
        with examples.reraise_data_errors(), warnings.catch_warnings():
            if examples.skipped.most:
                warnings.filterwarnings("ignore", message=".*ran out of data")
            model.fit(
                examples.as_tensorflow().skip(done.batches),
                steps_per_epoch=batches - done.batches,
                shuffle=False,
                verbose=0,
                callbacks=[*callbacks, GoesOnAsItWas()],
            )

    def predict(self, model: keras.Model, dataset, part: str, *, profile, **settings) -> Predictions:
        """The scores of this worker's videos."""
        return predict(model, dataset, part, profile=profile, **settings)

    def gap(self, own: Predictions) -> float:
        """GAP over all workers' videos, the same number for each."""
        return global_average_precision(own.scores.astype(np.float32), own.labels)

    def join(self, own: Predictions, folder: Path, part: str) -> Predictions:
        """All workers' scores, for the chief."""
        return own

    def count(self, skipped) -> None:
        """Make the records that any worker left out known to all."""

    def to_record(self) -> dict:
        """What a run's record says of it."""
        return {"name": self.name, "workers": self.workers, "replicas": self.replicas}


def auto():
    """One device; all GPUs of this machine where TensorFlow sees several (but see `placed`)."""
    if (workers := workers_named()) > 1:
        raise UsageError(
            f"The environment variable {VARIABLE} names {workers} workers. Say strategy 'multi-worker' to train on "
            f"all of them together, or unset {VARIABLE} to train here alone."
        )
    from dmlkit.training.workers.starting import gpus

    return mirrored() if gpus() > 1 else OneDevice()


def mirrored():
    """All GPUs of this machine; where there is none, TensorFlow's logical processors."""
    from dmlkit.training.workers.starting import mirrored_devices

    return mirrored_devices()


def multi_worker():
    """All workers that TF_CONFIG names."""
    from dmlkit.training.workers.starting import all_workers

    return all_workers()


STRATEGIES = {"auto": auto, "mirrored": mirrored, "multi-worker": multi_worker}
"""Name → function that gives what `OneDevice` shows."""


def placed(prepare: Callable[[object], T], team, *, strategy: str, tell: Callable[[str], None]) -> tuple:
    """What is to be trained, on the devices where it can be.

    Nobody asked `auto` for several devices: where a training is for one alone, it gets one.

    Args:
        prepare: Builds and compiles what is to be trained, on a team; it sets the seeds first.
        team: What the strategy gave.
        strategy: Its name.
        tell: Shows a line.

    Returns:
        The team that trains it, and what `prepare` gave.

    Raises:
        OneDeviceError: Several devices were asked for, and only one does this training as it is meant.
    """
    try:
        return team, prepare(team)
    except OneDeviceError as error:
        if strategy != "auto":
            raise
        why = error.why
    # Not within `except`, whose traceback would hold the model on all devices.
    tell(f"Trained on one of {team.replicas} devices: {why}.")
    alone = OneDevice()
    return alone, prepare(alone)
