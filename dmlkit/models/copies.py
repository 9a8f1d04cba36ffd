"""One model of several copies, which start and drop differently and learn side by side; their mean scores."""

from __future__ import annotations

import keras
from keras import ops

from dmlkit.models.stages import stages

LAYER = "copies"


@keras.saving.register_keras_serializable(package="dmlkit")
class MeanOfCopies(keras.layers.Layer):
    """The mean over the copies: (batch, copies, classes) → (batch, classes)."""

    def call(self, scores):
        """See the class."""
        return ops.mean(scores, axis=1)

    def compute_output_shape(self, shape):
        """See the class."""
        return (shape[0], shape[2])


@keras.saving.register_keras_serializable(package="dmlkit")
class SideBySide(keras.layers.Layer):
    """Copies' scores in one tensor: a list of (batch, classes) → (batch, copies, classes)."""

    def call(self, scores):
        """See the class."""
        return ops.stack(scores, axis=1)

    def compute_output_shape(self, shapes):
        """See the class."""
        return (shapes[0][0], len(shapes), shapes[0][1])


def joined(models: list[keras.Model], *, name: str) -> keras.Model:
    """A model of the same inputs whose scores are the mean of the models' scores.

    Args:
        models: At least two of `build`, of the same inputs, each with a name of its own.
        name: Of the joined model.
    """
    inputs = {
        name: keras.Input(each.shape[1:], dtype=each.dtype, name=name)
        for name, each in models[0].input.items()
    }
    scores = SideBySide(dtype="float32", name="side_by_side")([model(inputs) for model in models])
    return keras.Model(inputs, MeanOfCopies(dtype="float32", name=LAYER)(scores), name=name)


def training_model(model: keras.Model) -> keras.Model:
    """The model as it is trained: copies' and stages' scores apart, so that each follows the labels by itself.

    Args:
        model: A model of `build`.

    Returns:
        The model itself where it has neither copies nor stages (`dmlkit.models.stages`), else one of the same
        weights whose scores are (batch, copies * stages, classes).
    """
    name = f"{model.name}_apart"
    if LAYER not in {layer.name for layer in model.layers}:
        scores = stages(model)
        if len(scores) == 1:
            return model
        return keras.Model(model.input, SideBySide(dtype="float32", name="side_by_side")(scores), name=name)
    side_by_side = model.get_layer(LAYER).input
    copies = [tensor._keras_history.operation for tensor in model.get_layer("side_by_side").input]
    each = [training_model(copy) for copy in copies]
    if each == copies:
        return keras.Model(model.input, side_by_side, name=name)
    scores = [copy(model.input) for copy in each]
    return keras.Model(model.input, keras.layers.Concatenate(axis=1, name="stages")(scores), name=name)
