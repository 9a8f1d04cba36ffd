"""Gates: what a vector's entries have to say about each other.

A gate is a function of (vector, *, name) that returns a vector of the same size:

    vector  (batch, size): what a pooling gives, or the scores
    name    what the names of its layers begin with
"""

from __future__ import annotations

import keras
from keras import ops

from dmlkit.models.inputs import MOMENTUM


@keras.saving.register_keras_serializable(package="dmlkit")
class ContextGate(keras.layers.Layer):
    """Each entry weighed by what all of them say: y = x ∘ σ(norm(W x)).

    Args:
        size: Of the vector.

    Call arguments: `vector` (batch, size). Returns (batch, size).

    Paper: §Related work (Miech, Laptev, Sivic 2017, §3.2; `norm` is their code's batch normalization, in b's place).
    """

    def __init__(self, **keras_arguments):
        super().__init__(**keras_arguments)
        # Of this layer's precision, whatever policy is set in Keras when it is loaded.
        self.normalization = keras.layers.BatchNormalization(
            momentum=MOMENTUM, dtype=self.dtype_policy, name="normalization"
        )

    def build(self, shape):
        """See the class."""
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")
        self.normalization.build(shape)

    def call(self, vector, training=None):
        """See the class."""
        says = self.normalization(ops.matmul(vector, self.kernel), training=training)
        return vector * ops.cast(ops.sigmoid(says), vector.dtype)

    def compute_output_shape(self, shape):
        """See the class."""
        return shape


def none(vector, *, name):
    """The vector as it is."""
    return vector


def context(vector, *, name):
    """Context gating; see `ContextGate`. Scores stay scores: a gate lies between 0 and 1."""
    return ContextGate(dtype="float32" if vector.dtype == "float32" else None, name=name)(vector)


GATES = {"none": none, "context": context}
"""Name → function as the head of this file describes it."""
