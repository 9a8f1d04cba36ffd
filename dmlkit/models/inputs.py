"""From what the records hold to what a model can learn from: bytes to numbers, then one scale for all."""

from __future__ import annotations

import keras
from keras import ops

from dmlkit.models.frames import frame_mask

MOMENTUM = 0.9
"""How slowly the running statistics follow, of 1. Keras's 0.99 would lag behind in a training of few steps."""

CODINGS = ("byte", "float")
"""How a modality's values lie in the records: one byte a value, or floating point."""


@keras.saving.register_keras_serializable(package="dmlkit")
class Dequantize(keras.layers.Layer):
    """Bytes to the numbers they stand for: q * 4/255 + 4/512 - 2, from -1.9921875 to 2.0078125.

    Call arguments: `features` (..., size) uint8. Returns the same shape in the layer's compute dtype.

    Paper: §Data (the dequantisation of YouTube-8M's release).
    """

    def call(self, features):
        """See the class."""
        numbers = ops.cast(features, "float32") * (4.0 / 255.0) + (4.0 / 512.0 - 2.0)
        return ops.cast(numbers, self.compute_dtype)

    def compute_output_shape(self, features_shape):
        """See the class."""
        return features_shape


@keras.saving.register_keras_serializable(package="dmlkit")
class FramesBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization whose statistics are those of the valid frames alone.

    Padding must not enter them, or a batch's longest video would change every other's scores. The mask stays
    inside this layer: handed on, it would close the recurrent layers' road to cuDNN.

    Call arguments: `features` (batch, time, size), `num_frames` (batch,). Returns (batch, time, size).
    """

    def call(self, features, num_frames, training=None):
        """See the class."""
        return super().call(features, training=training, mask=frame_mask(features, num_frames))


def none(features, num_frames, *, name):
    """The features as they are (the paper's bare form)."""
    return features


def layer(features, num_frames, *, name):
    """Each frame (or video) to mean 0 and variance 1 over its features, then a learned scale and shift.

    Differs from the paper: it feeds the dequantised features as they are.
    """
    return keras.layers.LayerNormalization(name=name)(features)


def batch(features, num_frames, *, name):
    """Each feature to mean 0 and variance 1 over the batch's *valid* frames, then a learned scale and shift.

    Differs from the paper: it feeds the dequantised features as they are.
    """
    if num_frames is None:
        return keras.layers.BatchNormalization(momentum=MOMENTUM, name=name)(features)
    return FramesBatchNormalization(momentum=MOMENTUM, name=name)(features, num_frames)


NORMALIZATIONS = {"none": none, "layer": layer, "batch": batch}
"""Name → function of (features (batch, [time,] size), num_frames (batch,) or None, *, name) → the same shape."""
