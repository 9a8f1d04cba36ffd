"""A Gaussian kernel: how near a vector is to each of many centres, which are training videos once it is solved."""

from __future__ import annotations

import keras
from keras import ops

WIDTH = 0.3
"""γ in exp(-γ d²), where d² is the mean over the features: about 2 for normalized ones, which are of variance 1."""


@keras.saving.register_keras_serializable(package="dmlkit")
class KernelFeatures(keras.layers.Layer):
    """exp(-γ mean((x - c)²)) for each centre c.

    The centres are not trained: they start at random and are set by `dmlkit.training.solving`.

    Args:
        centres: How many there are.

    Call arguments: `features` (..., size). Returns (..., centres) in float32.
    """

    def __init__(self, centres, **keras_arguments):
        super().__init__(**keras_arguments)
        self.num_centres = centres

    def build(self, features_shape):
        """See the class."""
        self.centres = self.add_weight(
            shape=(self.num_centres, features_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
            autocast=False,
            name="centres",
        )

    def call(self, features):
        """See the class."""
        # In float32: the difference of two large sums has no room in 16 bits.
        features = ops.cast(features, "float32")
        centres = ops.cast(self.centres, "float32")
        squares = ops.sum(ops.square(features), axis=-1, keepdims=True) + ops.sum(
            ops.square(centres), axis=-1
        )
        distances = squares - 2.0 * ops.matmul(features, ops.transpose(centres))
        return ops.exp(-WIDTH / centres.shape[-1] * ops.maximum(distances, 0.0))

    def compute_output_shape(self, features_shape):
        """See the class."""
        return (*features_shape[:-1], self.num_centres)

    def get_config(self):
        """See the class."""
        return {**super().get_config(), "centres": self.num_centres}
