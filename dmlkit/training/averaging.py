"""An exponential moving average of the weights, kept by the optimiser and so by the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np


def moving_average(decay: float) -> dict:
    """The optimiser's settings for an average of this decay, 0 for none."""
    return {"use_ema": True, "ema_momentum": decay} if decay else {}


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Within, the model's weights are their moving averages, where its optimiser keeps any.

    The statistics of a batch normalization are averages by themselves, and stay what they are.
    """
    if not model.optimizer.use_ema:
        yield
        return
    variables = model.trainable_variables
    current = [np.array(variable) for variable in variables]
    model.optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, current, strict=True):
            variable.assign(value)
