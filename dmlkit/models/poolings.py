"""Poolings: from one state a frame to one vector a video.

A pooling is a function of (encoded, num_frames, *, attention_units, heads, clusters) that returns (batch, size):

    encoded          an `Encoded`: states (batch, time, size) and last (batch, size)
    num_frames       (batch,) valid frames
    attention_units  size of the attention's u_t; None takes the states' size
    heads            of multi-head attention
    clusters         how many clusters there are, for the poolings over clusters
"""

import math
from functools import partial

import keras
from keras import ops

from dmlkit.models.inputs import (
    MOMENTUM,
    FramesBatchNormalization,
    frame_mask,
    softmax_over_frames,
    zero_padding,
)

MIN_SPREAD = 1e-6  # lower bound of the clusters' spread, by which a Fisher vector divides


@keras.saving.register_keras_serializable(package="dmlkit")
class MeanPooling(keras.layers.Layer):
    """The mean over each video's valid frames, (batch, size); zeros for a video without frames."""

    def call(self, states, num_frames):
        # In float32: a sum over hundreds of frames loses its last digits in 16 bits.
        total = ops.sum(ops.cast(zero_padding(states, num_frames), "float32"), axis=1)
        count = ops.sum(ops.cast(frame_mask(states, num_frames), "float32"), axis=1, keepdims=True)
        return ops.cast(total / ops.maximum(count, 1.0), self.compute_dtype)


@keras.saving.register_keras_serializable(package="dmlkit")
class AttentionPooling(keras.layers.Layer):
    """A mean weighted by each frame's relevance to a learned vector u_w.

        u_t = tanh(W_w h_t + b_w);  α_t = exp(u_tᵀ u_w) / Σ_t exp(u_tᵀ u_w);  s = Σ_t α_t h_t

    u_t has `units` dimensions, None taking the states' size. Several heads have a u_w each, and s is their sums
    concatenated. Returns s (batch, heads * size), α (batch, time) float32, exactly 0 on padding, and u_tᵀ u_w (batch,
    time) float32, with any values on padding; for several heads, α and u_tᵀ u_w are (batch, time, heads).

    Paper: §Attention; the matrices start from a Glorot normal distribution. It has one head.
    """

    def __init__(self, units=None, *, heads=1, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.heads = heads

    def build(self, states_shape, num_frames_shape):
        size, units = states_shape[-1], self.units or states_shape[-1]
        self.kernel = self.add_weight(shape=(size, units), initializer="glorot_normal", name="kernel")
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self.context = self.add_weight(shape=(units, self.heads), initializer="glorot_normal", name="context")

    def call(self, states, num_frames):
        hidden = ops.tanh(ops.matmul(states, self.kernel) + self.bias)
        logits = ops.cast(ops.matmul(hidden, self.context), "float32")
        weights = softmax_over_frames(logits, num_frames)
        # A weight of 0 leaves out what is finite alone.
        states = zero_padding(states, num_frames)
        pooled = ops.matmul(ops.transpose(ops.cast(weights, states.dtype), (0, 2, 1)), states)
        pooled = ops.reshape(pooled, (-1, self.heads * states.shape[-1]))
        return (pooled, weights[:, :, 0], logits[:, :, 0]) if self.heads == 1 else (pooled, weights, logits)


@keras.saving.register_keras_serializable(package="dmlkit")
class FeatureAttention(keras.layers.Layer):
    """A weighted sum over the frames with weights of its own for each feature: Σ_t softmax_t(logits)_td values_td.

    `values` and `logits` are (batch, time, size); returns (batch, size), zeros for a video without frames.
    """

    def call(self, values, logits, num_frames):
        weights = ops.cast(softmax_over_frames(logits, num_frames), values.dtype)
        return ops.sum(weights * zero_padding(values, num_frames), axis=1)


class ClusterPooling(keras.layers.Layer):
    """Base of the poolings over K learned clusters: a soft assignment, a_t = softmax(norm(W x_t)).

    Padding is assigned to no cluster, and stays out of the normalization's statistics. Returns float32, zeros for a
    video without frames.

    Paper: §Related work (Miech, Laptev, Sivic 2017, §3.1: the state-of-the-art row), after their published code.
    """

    def __init__(self, clusters, **kwargs):
        super().__init__(**kwargs)
        self.clusters = clusters
        # In this layer's precision, independent of Keras's policy when it is loaded.
        self.normalization = FramesBatchNormalization(
            momentum=MOMENTUM, dtype=self.dtype_policy, name="normalization"
        )

    def build(self, states_shape, num_frames_shape):
        self.size = states_shape[-1]
        self.kernel = self._matrix("kernel")
        self.normalization.build((*states_shape[:-1], self.clusters))

    def _matrix(self, name, *, mean=0.0):
        initializer = keras.initializers.RandomNormal(mean=mean, stddev=1 / math.sqrt(self.size))
        return self.add_weight(shape=(self.size, self.clusters), initializer=initializer, name=name)

    def _logits(self, states, num_frames, training):
        """norm(W x_t), (batch, time, clusters) float32."""
        # In float32: sums over hundreds of frames exceed the precision of 16 bits.
        product = ops.matmul(ops.cast(states, "float32"), ops.cast(self.kernel, "float32"))
        return ops.cast(self.normalization(product, num_frames, training=training), "float32")

    def assign(self, states, num_frames, training):
        """a_tk (batch, time, clusters) and the states, both float32 and zero on padding."""
        assignment = ops.softmax(self._logits(states, num_frames, training), axis=-1)
        return zero_padding(assignment, num_frames), zero_padding(ops.cast(states, "float32"), num_frames)


def _sum_by_cluster(assignment, states):
    """Σ_t a_tk x_t, (batch, size, clusters)."""
    return ops.matmul(ops.transpose(states, (0, 2, 1)), assignment)


def _flatten(values):
    """Each cluster's vector to length 1, then the whole: (batch, size, clusters) → (batch, size * clusters)."""
    within = ops.normalize(values, axis=1, order=2)
    return ops.normalize(ops.reshape(within, (-1, values.shape[1] * values.shape[2])), axis=-1, order=2)


@keras.saving.register_keras_serializable(package="dmlkit")
class NetVLAD(ClusterPooling):
    """The sum of each cluster's residuals to its centre c_k: V_k = Σ_t a_tk (x_t - c_k), size * K."""

    def build(self, states_shape, num_frames_shape):
        super().build(states_shape, num_frames_shape)
        self.centres = self._matrix("centres")

    def call(self, states, num_frames, training=None):
        assignment, states = self.assign(states, num_frames, training)
        count = ops.sum(assignment, axis=1)[:, None, :]
        return _flatten(_sum_by_cluster(assignment, states) - count * ops.cast(self.centres, "float32"))


@keras.saving.register_keras_serializable(package="dmlkit")
class NetRVLAD(ClusterPooling):
    """NetVLAD without centres: R_k = Σ_t a_tk x_t, size * K."""

    def call(self, states, num_frames, training=None):
        return _flatten(_sum_by_cluster(*self.assign(states, num_frames, training)))


@keras.saving.register_keras_serializable(package="dmlkit")
class NetFV(NetVLAD):
    """A Fisher vector: each cluster's mean and spread relative to its centre c_k and its learned spread σ_k.

    F1_k = Σ_t a_tk (x_t - c_k) / σ_k;  F2_k = Σ_t a_tk ((x_t - c_k)² / σ_k² - 1), 2 * size * K.
    """

    def build(self, states_shape, num_frames_shape):
        super().build(states_shape, num_frames_shape)
        self.spread = self._matrix("spread", mean=1.0)

    def call(self, states, num_frames, training=None):
        assignment, states = self.assign(states, num_frames, training)
        centres = ops.cast(self.centres, "float32")
        spread = ops.square(ops.cast(self.spread, "float32")) + MIN_SPREAD
        count = ops.sum(assignment, axis=1)[:, None, :]
        first = _sum_by_cluster(assignment, states)
        second = _sum_by_cluster(assignment, ops.square(states))
        second = (second - 2.0 * centres * first + count * ops.square(centres)) / ops.square(spread) - count
        return ops.concatenate([_flatten((first - count * centres) / spread), _flatten(second)], axis=-1)


@keras.saving.register_keras_serializable(package="dmlkit")
class SoftBag(ClusterPooling):
    """How many frames each cluster has: Σ_t a_tk, to length 1, size K."""

    def call(self, states, num_frames, training=None):
        assignment, _ = self.assign(states, num_frames, training)
        return ops.normalize(ops.sum(assignment, axis=1), axis=-1, order=2)


@keras.saving.register_keras_serializable(package="dmlkit")
class DeepBag(ClusterPooling):
    """The strongest response of any frame to each of K detectors: max_t max(0, norm(W x_t)), size K.

    Paper: §Related work (Abu-El-Haija et al. 2016, deep bag of frames, with max pooling).
    """

    def call(self, states, num_frames, training=None):
        # Responses are not negative, so zeros on padding never exceed them.
        return ops.max(zero_padding(ops.relu(self._logits(states, num_frames, training)), num_frames), axis=1)


def last(encoded, num_frames, *, attention_units, heads, clusters):
    """The state at the end of the video; see `Encoded.last`. Paper: §LSTM, §Bi-LSTM."""
    return encoded.last


def mean(encoded, num_frames, *, attention_units, heads, clusters):
    """The mean over the valid frames."""
    return MeanPooling(name="mean")(encoded.states, num_frames)


def attention(encoded, num_frames, *, attention_units, heads, clusters):
    """Attention over the valid frames; `dmlkit.attention_weights` gives its weights. Paper: §Attention."""
    return AttentionPooling(attention_units, name="attention")(encoded.states, num_frames)[0]


def multi_head_attention(encoded, num_frames, *, attention_units, heads, clusters):
    """Attention by several heads, each with weights of its own."""
    return AttentionPooling(attention_units, heads=heads, name="heads")(encoded.states, num_frames)[0]


def feature_attention(encoded, num_frames, *, attention_units, heads, clusters):
    """Attention with a weight for each feature: α_td = softmax_t(W h_t + b)_d;  s_d = Σ_t α_td h_td.

    Differs from the paper: feature-level attention is Yu et al.'s (2018, arXiv 1803.02353).
    """
    states, settings = encoded.states, {"kernel_initializer": "glorot_normal", "name": "feature_logits"}
    logits = keras.layers.Dense(states.shape[-1], **settings)(states)
    return FeatureAttention(name="feature_attention")(states, logits, num_frames)


def over_clusters(layer, encoded, num_frames, *, attention_units, heads, clusters):
    """A pooling by one of the layers over clusters."""
    return layer(clusters, name="clusters")(encoded.states, num_frames)


POOLINGS = {
    "last": last,
    "mean": mean,
    "attention": attention,
    "multi_head_attention": multi_head_attention,
    "feature_attention": feature_attention,
    "netvlad": partial(over_clusters, NetVLAD),
    "netrvlad": partial(over_clusters, NetRVLAD),
    "netfv": partial(over_clusters, NetFV),
    "soft_bag": partial(over_clusters, SoftBag),
    "deep_bag": partial(over_clusters, DeepBag),
}
"""Name → function as described at the head of this file."""
