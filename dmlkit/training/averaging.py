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


class GoesOnAsItWas(keras.callbacks.Callback):
    """Keras's `fit` ends by putting the averages in place of the weights; the next epoch goes on from the weights.

    Otherwise a training that was stopped after an epoch's last batch would go on from others than one that was not.
    """

    def on_epoch_end(self, epoch, logs=None):
        """Keep the weights, before Keras replaces them."""
        if self.model.optimizer.use_ema:
            self.kept = [np.array(variable) for variable in self.model.trainable_variables]

    def on_train_end(self, logs=None):
        """Put them back."""
        if self.model.optimizer.use_ema:
            for variable, value in zip(self.model.trainable_variables, self.kept, strict=True):
                variable.assign(value)
