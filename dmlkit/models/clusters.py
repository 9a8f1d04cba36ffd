"""Poolings over learned clusters: how a video's frames gather about them, whatever their order.

All begin alike: each frame belongs to K clusters by a softmax, a_t = softmax(norm(W x_t)). Padding belongs to
none, and stays out of the normalization's statistics.

Paper: §Related work (Miech, Laptev, Sivic 2017, §3.1: the state-of-the-art row), after their published code.
"""

from __future__ import annotations

import math

import keras
from keras import ops

from dmlkit.models.frames import frame_mask
from dmlkit.models.inputs import MOMENTUM, FramesBatchNormalization

LEAST_SPREAD = 1e-6
"""A Fisher vector divides by the clusters' spread, so it is kept this far from 0."""


def _unit(values, axis):
    return ops.normalize(values, axis=axis, order=2)


class _Clusters(keras.layers.Layer):
    """What the poolings over clusters share.

    Args:
        clusters: K.

    Call arguments: `states` x_t (batch, time, size), `num_frames` (batch,). Returns float32, zeros for a video
    without frames.
    """

    def __init__(self, clusters, **keras_arguments):
        super().__init__(**keras_arguments)
        self.clusters = clusters
        # Of this layer's precision, whatever policy is set in Keras when it is loaded.
        self.normalization = FramesBatchNormalization(
            momentum=MOMENTUM, dtype=self.dtype_policy, name="normalization"
        )

    def build(self, states_shape, num_frames_shape):
        """See the class."""
        self.size = states_shape[-1]
        self.kernel = self._matrix("kernel")
        self.normalization.build((*states_shape[:-1], self.clusters))

    def _matrix(self, name, *, mean=0.0):
        start = keras.initializers.RandomNormal(mean=mean, stddev=1 / math.sqrt(self.size))
        return self.add_weight(shape=(self.size, self.clusters), initializer=start, name=name)

    def _members(self, states, num_frames, training):
        """a_tk (batch, time, clusters) and the states, both float32 and zero on padding."""
        mask = frame_mask(states, num_frames)[:, :, None]
        # Sums over hundreds of frames have no room in 16 bits.
        states = ops.cast(states, "float32")
        says = self.normalization(
            ops.matmul(states, ops.cast(self.kernel, "float32")), num_frames, training=training
        )
        members = ops.where(mask, ops.softmax(ops.cast(says, "float32"), axis=-1), 0.0)
        return members, ops.where(mask, states, 0.0)

    def compute_output_spec(self, states, num_frames, training=None):
        """See the class."""
        return keras.KerasTensor((states.shape[0], self.width(states.shape[-1])), dtype="float32")

    def width(self, size):
        """Size of what is returned, for states of a size."""
        return size * self.clusters

    def get_config(self):
        """See the class."""
        return {**super().get_config(), "clusters": self.clusters}


def _gathered(members, states):
    """Σ_t a_tk x_t, (batch, size, clusters)."""
    return ops.matmul(ops.transpose(states, (0, 2, 1)), members)


def _flat(values):
    """Each cluster's part of length 1, then the whole: (batch, size, clusters) → (batch, size * clusters)."""
    within = _unit(values, axis=1)
    return _unit(ops.reshape(within, (-1, values.shape[1] * values.shape[2])), axis=-1)


@keras.saving.register_keras_serializable(package="dmlkit")
class NetVLAD(_Clusters):
    """How far the frames of each cluster lie from its centre c_k: V_k = Σ_t a_tk (x_t - c_k)."""

    def build(self, states_shape, num_frames_shape):
        """See the class."""
        super().build(states_shape, num_frames_shape)
        self.centres = self._matrix("centres")

    def call(self, states, num_frames, training=None):
        """See the class."""
        members, states = self._members(states, num_frames, training)
        count = ops.sum(members, axis=1)[:, None, :]
        return _flat(_gathered(members, states) - count * ops.cast(self.centres, "float32"))


@keras.saving.register_keras_serializable(package="dmlkit")
class NetRVLAD(_Clusters):
    """NetVLAD without centres: R_k = Σ_t a_tk x_t."""

    def call(self, states, num_frames, training=None):
        """See the class."""
        return _flat(_gathered(*self._members(states, num_frames, training)))


@keras.saving.register_keras_serializable(package="dmlkit")
class NetFV(_Clusters):
    """A Fisher vector: each cluster's mean and spread against its centre c_k and its learned spread σ_k.

    F1_k = Σ_t a_tk (x_t - c_k) / σ_k;  F2_k = Σ_t a_tk ((x_t - c_k)² / σ_k² - 1)
    """

    def build(self, states_shape, num_frames_shape):
        """See the class."""
        super().build(states_shape, num_frames_shape)
        self.centres = self._matrix("centres")
        self.spread = self._matrix("spread", mean=1.0)

    def call(self, states, num_frames, training=None):
        """See the class."""
        members, states = self._members(states, num_frames, training)
        centres = ops.cast(self.centres, "float32")
        spread = ops.square(ops.cast(self.spread, "float32")) + LEAST_SPREAD
        count = ops.sum(members, axis=1)[:, None, :]
        first = _gathered(members, states)
        second = _gathered(members, ops.square(states))
        second = (second - 2.0 * centres * first + count * ops.square(centres)) / ops.square(spread) - count
        return ops.concatenate([_flat((first - count * centres) / spread), _flat(second)], axis=-1)

    def width(self, size):
        """See the class."""
        return 2 * size * self.clusters


@keras.saving.register_keras_serializable(package="dmlkit")
class SoftBag(_Clusters):
    """How many frames each cluster has: Σ_t a_tk, to length 1."""

    def call(self, states, num_frames, training=None):
        """See the class."""
        members, _ = self._members(states, num_frames, training)
        return _unit(ops.sum(members, axis=1), axis=-1)

    def width(self, size):
        """See the class."""
        return self.clusters


@keras.saving.register_keras_serializable(package="dmlkit")
class DeepBag(_Clusters):
    """The strongest answer of any frame to each of K detectors: max_t max(0, norm(W x_t)).

    Paper: §Related work (Abu-El-Haija et al. 2016, deep bag of frames, with max pooling).
    """

    def call(self, states, num_frames, training=None):
        """See the class."""
        mask = frame_mask(states, num_frames)[:, :, None]
        says = self.normalization(
            ops.matmul(ops.cast(states, "float32"), ops.cast(self.kernel, "float32")),
            num_frames,
            training=training,
        )
        # 0 is what no detector goes below, so padding at 0 wins over nothing.
        return ops.max(ops.where(mask, ops.relu(ops.cast(says, "float32")), 0.0), axis=1)

    def width(self, size):
        """See the class."""
        return self.clusters
