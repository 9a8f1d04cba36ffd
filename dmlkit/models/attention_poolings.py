"""Attention that weighs more than once: by several heads, by each feature, by each class."""

from __future__ import annotations

import keras
from keras import ops

from dmlkit.models.frames import frame_mask, softmax_over_frames


@keras.saving.register_keras_serializable(package="dmlkit")
class MultiHeadAttentionPooling(keras.layers.Layer):
    """The paper's attention with several u_w, each with its own weights over the frames.

        u_t = tanh(W h_t + b);  α_tk = softmax_t(u_tᵀ u_k);  s = [Σ_t α_t1 h_t; ...; Σ_t α_tn h_t]

    Args:
        heads: n.
        units: Size of u_t; None takes the states' size.

    Call arguments: `states` h_t (batch, time, size), `num_frames` (batch,). Returns (batch, n * size).

    Differs from the paper: it has one head.
    """

    def __init__(self, heads, units=None, **keras_arguments):
        super().__init__(**keras_arguments)
        self.heads = heads
        self.units = units

    def build(self, states_shape, num_frames_shape):
        """See the class."""
        size = states_shape[-1]
        units = self.units or size
        self.kernel = self.add_weight(shape=(size, units), initializer="glorot_normal", name="kernel")
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self.contexts = self.add_weight(
            shape=(units, self.heads), initializer="glorot_normal", name="contexts"
        )

    def call(self, states, num_frames):
        """See the class."""
        views = ops.tanh(ops.matmul(states, self.kernel) + self.bias)
        weights = ops.cast(softmax_over_frames(ops.matmul(views, self.contexts), num_frames), states.dtype)
        pooled = ops.matmul(ops.transpose(weights, (0, 2, 1)), states)
        return ops.reshape(pooled, (-1, self.heads * states.shape[-1]))

    def compute_output_spec(self, states, num_frames):
        """See the class."""
        shape = (states.shape[0], self.heads * states.shape[-1])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        """See the class."""
        return {**super().get_config(), "heads": self.heads, "units": self.units}


@keras.saving.register_keras_serializable(package="dmlkit")
class FeatureAttentionPooling(keras.layers.Layer):
    """Attention with a weight of its own for each feature of the states.

        α_td = softmax_t(W h_t + b)_d;  s_d = Σ_t α_td h_td

    Call arguments: `states` h_t (batch, time, size), `num_frames` (batch,). Returns (batch, size).

    Differs from the paper: feature-level attention is Yu et al.'s (2018, arXiv 1803.02353).
    """

    def build(self, states_shape, num_frames_shape):
        """See the class."""
        size = states_shape[-1]
        self.kernel = self.add_weight(shape=(size, size), initializer="glorot_normal", name="kernel")
        self.bias = self.add_weight(shape=(size,), initializer="zeros", name="bias")

    def call(self, states, num_frames):
        """See the class."""
        weights = softmax_over_frames(ops.matmul(states, self.kernel) + self.bias, num_frames)
        # Padding may hold anything, infinite numbers too, and 0 times those is no number.
        valid = ops.where(frame_mask(states, num_frames)[:, :, None], states, 0.0)
        return ops.sum(ops.cast(weights, states.dtype) * valid, axis=1)

    def compute_output_spec(self, states, num_frames):
        """See the class."""
        return keras.KerasTensor((states.shape[0], states.shape[-1]), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="dmlkit")
class ClassAttention(keras.layers.Layer):
    """What each frame says of each class, weighed by how much that frame has to say of it.

        p_c = Σ_t softmax_t(says)_tc σ(judged)_tc

    Call arguments: `judged` and `says` (batch, time, classes) logits, `num_frames` (batch,). Returns (batch,
    classes) float32 probabilities, 0 for a video without frames.
    """

    def call(self, judged, says, num_frames):
        """See the class."""
        mask = frame_mask(judged, num_frames)[:, :, None]
        each = ops.where(mask, ops.sigmoid(ops.cast(judged, "float32")), 0.0)
        return ops.sum(softmax_over_frames(says, num_frames) * each, axis=1)

    def compute_output_spec(self, judged, says, num_frames):
        """See the class."""
        return keras.KerasTensor((judged.shape[0], judged.shape[-1]), dtype="float32")
