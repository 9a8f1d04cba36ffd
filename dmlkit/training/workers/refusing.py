"""What several devices would compute otherwise than one, and so do not compute."""

from __future__ import annotations

import keras

from dmlkit.errors import UsageError
from dmlkit.training.tricks import Learner


class OneDeviceError(UsageError):
    """A training that only one device does as it is meant.

    Args:
        why: What stands in the way, as a clause.
        instead: What would do on several devices, in the imperative.
    """

    def __init__(self, why: str, *, instead: str):
        super().__init__(
            f"This training is for one device alone: {why}. {instead}, or --strategy auto in an environment without "
            "TF_CONFIG, which takes one device."
        )
        self.why = why


def check_model(model: keras.Model, *, replicas: int, ema: float) -> None:
    """Refuse what several replicas would compute otherwise than one device.

    Args:
        model: What is to be trained.
        replicas: How many there are.
        ema: Decay of the moving average of its weights, 0 for none.

    Raises:
        OneDeviceError: Names it.
    """
    if isinstance(model, Learner):
        raise OneDeviceError(
            f"several devices do not know {_tricks(model)}",
            instead="Use an experiment and a profile without",
        )
    if ema:
        raise OneDeviceError(
            "several devices keep no averaged weights (ema)", instead="Use a profile without"
        )
    layers = list(model._flatten_layers())  # those within others too: a gate normalizes
    if replicas > 1 and any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers):
        raise OneDeviceError(
            "batch normalization would take each device's own statistics, not the batch's",
            instead="Use an experiment and a profile with the normalization 'layer' and without gates or clusters",
        )
    if any(layer.compute_dtype == "float16" for layer in layers):
        raise OneDeviceError(
            "mixed_float16 scales the loss by what one device sees",
            instead="Use mixed_bfloat16",
        )


def _tricks(model: Learner) -> str:
    """What a learner does beyond a model's own step, by the names that experiments and profiles have for it."""
    tricks = {
        "copies": len(model.learned.output.shape) == 3,
        "teachers": model.teachers,
        "mixup": model.mixup,
        "label_smoothing": model.label_smoothing,
        "modality_dropout": model.modality_dropout,
    }
    return " and ".join(name for name, asked in tricks.items() if asked)
