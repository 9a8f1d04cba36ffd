"""A classifier in stages: where the earlier one's scores can be had again, to be trained as well."""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable(package="dmlkit")
class LastStage(keras.layers.Layer):
    """The second of two stages' scores, beside which the first stay within reach.

    Call arguments: `first`, `second` (batch, classes). Returns `second`.
    """

    def call(self, first, second):
        """See the class."""
        return second

    def compute_output_shape(self, first_shape, second_shape):
        """See the class."""
        return second_shape


def stages(model: keras.Model) -> list[keras.KerasTensor]:
    """What of a model is to follow the labels: (batch, classes) scores each, the model's own last.

    Args:
        model: A model of `build` without copies.
    """
    earlier = [layer.input[0] for layer in model.layers if isinstance(layer, LastStage)]
    return [*earlier, model.output]
