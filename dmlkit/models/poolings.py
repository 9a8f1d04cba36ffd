"""Poolings: from one state a frame to one vector a video.

A pooling is a function of (encoded, num_frames, *, attention_units, heads, clusters) that returns (batch, size):

    encoded          an `Encoded`: states (batch, time, size) and last (batch, size)
    num_frames       (batch,) valid frames
    attention_units  size of the attention's u_t; None takes the states' size
    heads            how many times attention with several heads weighs
    clusters         how many clusters there are, for the poolings over clusters
"""

from __future__ import annotations

import keras
from keras import ops

from dmlkit.models.attention_poolings import FeatureAttentionPooling, MultiHeadAttentionPooling
from dmlkit.models.clusters import DeepBag, NetFV, NetRVLAD, NetVLAD, SoftBag
from dmlkit.models.frames import frame_mask, softmax_over_frames


@keras.saving.register_keras_serializable(package="dmlkit")
class MeanPooling(keras.layers.Layer):
    """The mean over each video's valid frames.

    Call arguments: `states` (batch, time, size), `num_frames` (batch,). Returns (batch, size), zeros for a
    video without frames.
    """

    def call(self, states, num_frames):
        """See the class."""
        mask = frame_mask(states, num_frames)[:, :, None]
        # In float32: a sum over hundreds of frames loses its last digits in 16 bits.
        total = ops.sum(ops.cast(ops.where(mask, states, 0.0), "float32"), axis=1)
        count = ops.sum(ops.cast(mask, "float32"), axis=1)
        return ops.cast(total / ops.maximum(count, 1.0), self.compute_dtype)

    def compute_output_shape(self, states_shape, num_frames_shape):
        """See the class."""
        return (states_shape[0], states_shape[2])


@keras.saving.register_keras_serializable(package="dmlkit")
class AttentionPooling(keras.layers.Layer):
    """A mean weighted by how much each frame says, as a learned vector u_w judges it.

        u_t = tanh(W_w h_t + b_w);  α_t = exp(u_tᵀ u_w) / Σ_t exp(u_tᵀ u_w);  s = Σ_t α_t h_t

    Args:
        units: Size of u_t; None takes the states' size.

    Call arguments: `states` h_t (batch, time, size), `num_frames` (batch,). Returns s (batch, size), α
    (batch, time) float32, exactly 0 on padding and summing to 1 over each video's valid frames, and u_tᵀ u_w
    (batch, time) float32, whatever it is on padding.

    Paper: §Attention; the matrices start from a Glorot normal distribution.
    """

    def __init__(self, units=None, **keras_arguments):
        super().__init__(**keras_arguments)
        self.units = units

    def build(self, states_shape, num_frames_shape):
        """See the class."""
        size = states_shape[-1]
        units = self.units or size
        self.kernel = self.add_weight(shape=(size, units), initializer="glorot_normal", name="kernel")
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self.context = self.add_weight(shape=(units, 1), initializer="glorot_normal", name="context")

    def call(self, states, num_frames):
        """See the class."""
        views = ops.tanh(ops.matmul(states, self.kernel) + self.bias)
        says = ops.cast(ops.matmul(views, self.context)[:, :, 0], "float32")
        weights = softmax_over_frames(says, num_frames)
        pooled = ops.matmul(ops.cast(weights, states.dtype)[:, None, :], states)[:, 0, :]
        return pooled, weights, says

    def compute_output_spec(self, states, num_frames):
        """See the class."""
        batch, time, size = states.shape
        return (
            keras.KerasTensor((batch, size), dtype=self.compute_dtype),
            keras.KerasTensor((batch, time), dtype="float32"),
            keras.KerasTensor((batch, time), dtype="float32"),
        )

    def get_config(self):
        """See the class."""
        return {**super().get_config(), "units": self.units}


def last(encoded, num_frames, *, attention_units, heads, clusters):
    """What the encoder knows at the end; see `Encoded.last`.

    Paper: §LSTM, §Bi-LSTM.
    """
    return encoded.last


def mean(encoded, num_frames, *, attention_units, heads, clusters):
    """The mean over the valid frames."""
    return MeanPooling(name="mean")(encoded.states, num_frames)


def attention(encoded, num_frames, *, attention_units, heads, clusters):
    """Attention over the valid frames; its weights come out through `dmlkit.models.attention_weights`.

    Paper: §Attention.
    """
    pooled, _, _ = AttentionPooling(attention_units, name="attention")(encoded.states, num_frames)
    return pooled


def multi_head_attention(encoded, num_frames, *, attention_units, heads, clusters):
    """Attention by several heads, each with weights of its own."""
    return MultiHeadAttentionPooling(heads, attention_units, name="heads")(encoded.states, num_frames)


def feature_attention(encoded, num_frames, *, attention_units, heads, clusters):
    """Attention with a weight for each feature."""
    return FeatureAttentionPooling(name="feature_attention")(encoded.states, num_frames)


def netvlad(encoded, num_frames, *, attention_units, heads, clusters):
    """NetVLAD: size * clusters."""
    return NetVLAD(clusters, name="clusters")(encoded.states, num_frames)


def netrvlad(encoded, num_frames, *, attention_units, heads, clusters):
    """NetVLAD without centres: size * clusters."""
    return NetRVLAD(clusters, name="clusters")(encoded.states, num_frames)


def netfv(encoded, num_frames, *, attention_units, heads, clusters):
    """A Fisher vector: 2 * size * clusters."""
    return NetFV(clusters, name="clusters")(encoded.states, num_frames)


def soft_bag(encoded, num_frames, *, attention_units, heads, clusters):
    """How many frames each cluster has: clusters."""
    return SoftBag(clusters, name="clusters")(encoded.states, num_frames)


def deep_bag(encoded, num_frames, *, attention_units, heads, clusters):
    """The strongest answer to each of `clusters` detectors."""
    return DeepBag(clusters, name="clusters")(encoded.states, num_frames)


POOLINGS = {
    "last": last,
    "mean": mean,
    "attention": attention,
    "multi_head_attention": multi_head_attention,
    "feature_attention": feature_attention,
    "netvlad": netvlad,
    "netrvlad": netrvlad,
    "netfv": netfv,
    "soft_bag": soft_bag,
    "deep_bag": deep_bag,
}
"""Name → function as the head of this file describes it."""
