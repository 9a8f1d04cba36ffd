"""Encoders without recurrence: convolutions over time, and attention of every frame to every other.

They are functions as `dmlkit.models.encoders` describes, but for giving states alone.
"""

from __future__ import annotations

import keras
from keras import ops

from dmlkit.models.frames import frame_mask

KERNEL = 5
"""Frames that a convolution reads at once."""

BLOCKS = 2
"""Temporal ResNet blocks under a deep recurrent encoder."""

BLOCK_KERNEL = 3
"""Frames that each of a block's two convolutions reads at once."""

HEADS = 4
"""Heads of the Transformer's attention."""

SLOWEST = 10_000.0
"""The longest wave of a Transformer's positions, in frames over 2π."""


@keras.saving.register_keras_serializable(package="dmlkit")
class ValidFrames(keras.layers.Layer):
    """Frames with zeros for padding: what a convolution reads beyond a video's end is the same wherever a batch ends.

    Call arguments: `frames` (batch, time, size), `num_frames` (batch,). Returns (batch, time, size).
    """

    def call(self, frames, num_frames):
        """See the class."""
        return ops.where(frame_mask(frames, num_frames)[:, :, None], frames, 0.0)

    def compute_output_shape(self, frames_shape, num_frames_shape):
        """See the class."""
        return frames_shape


@keras.saving.register_keras_serializable(package="dmlkit")
class FrameAttention(keras.layers.Layer):
    """Each frame's mean of the valid frames, weighted by several heads: (batch, time, size) → the same shape.

    Args:
        units: Of the frames, and of all heads together about.

    Call arguments: `frames` (batch, time, units), `num_frames` (batch,).
    """

    def __init__(self, units, **keras_arguments):
        super().__init__(**keras_arguments)
        self.units = units
        self.heads = keras.layers.MultiHeadAttention(
            HEADS, max(1, units // HEADS), dtype=self.dtype_policy, name="heads"
        )

    def build(self, frames_shape, num_frames_shape):
        """See the class."""
        self.heads.build(frames_shape, frames_shape)

    def call(self, frames, num_frames):
        """See the class."""
        # Padding must not win the softmax over frames.
        return self.heads(frames, frames, attention_mask=frame_mask(frames, num_frames)[:, None, :])

    def compute_output_shape(self, frames_shape, num_frames_shape):
        """See the class."""
        return frames_shape

    def get_config(self):
        """See the class."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="dmlkit")
class Positions(keras.layers.Layer):
    """Adds to each frame the sines and cosines of its place in time.

    Call arguments: `frames` (batch, time, size). Returns the same shape.

    Paper: §Future work (Vaswani et al. 2017, §3.5).
    """

    def call(self, frames):
        """See the class."""
        time, size = ops.shape(frames)[1], frames.shape[-1]
        waves = ops.exp(-ops.log(SLOWEST) * ops.cast(ops.arange(size) // 2 * 2, "float32") / size)
        angles = ops.cast(ops.arange(time), "float32")[:, None] * waves[None, :]
        even = ops.cast(ops.arange(size) % 2 == 0, "bool")[None, :]
        return frames + ops.cast(ops.where(even, ops.sin(angles), ops.cos(angles)), frames.dtype)

    def compute_output_shape(self, frames_shape):
        """See the class."""
        return frames_shape


def _dropped(states, rate, *, name):
    return keras.layers.Dropout(rate, name=name)(states) if rate else states


def convolutions(frames, num_frames, *, units, layers, dropout, name):
    """Residual layers of dilated convolutions, each reading twice as far as the one below: (batch, time, units).

    Paper: §Future work, convolutional and residual networks over time.
    """
    states = keras.layers.Dense(units, name=f"{name}_in")(frames)
    for place in range(1, layers + 1):
        read = keras.layers.LayerNormalization(name=f"{name}_normalization_{place}")(states)
        read = ValidFrames(name=f"{name}_valid_{place}")(read, num_frames)
        read = keras.layers.Conv1D(
            units,
            KERNEL,
            padding="same",
            dilation_rate=2 ** (place - 1),
            activation="relu",
            name=f"{name}_{place}",
        )(read)
        read = _dropped(read, dropout, name=f"{name}_dropout_{place}")
        states = keras.layers.Add(name=f"{name}_add_{place}")([states, read])
    return states


def residual_blocks(frames, num_frames, *, units, name):
    """Temporal ResNet blocks, each two convolutions and a short-cut around them: (batch, time, units).

    Paper: §Related work (Li et al. 2017). Differs from theirs: normalized frame by frame instead of over the batch,
    so that padding has no part in it, and before the convolutions, so that nothing stands in the short-cut's way.
    """
    states = keras.layers.Dense(units, name=f"{name}_in")(frames)
    for place in range(1, BLOCKS + 1):
        read = states
        for part in ("first", "second"):
            layer = f"{name}_{place}_{part}"
            read = keras.layers.LayerNormalization(name=f"{layer}_normalization")(read)
            read = keras.layers.ReLU(name=f"{layer}_relu")(read)
            # Before each convolution anew: it writes into the padding what the next one would read.
            read = ValidFrames(name=f"{layer}_valid")(read, num_frames)
            read = keras.layers.Conv1D(units, BLOCK_KERNEL, padding="same", name=layer)(read)
        states = keras.layers.Add(name=f"{name}_{place}_add")([states, read])
    return states


def attention(frames, num_frames, *, units, layers, dropout, name):
    """A Transformer's encoder, normalized before each part: (batch, time, units).

    Paper: §Future work, the Transformer.
    """
    states = Positions(name=f"{name}_positions")(keras.layers.Dense(units, name=f"{name}_in")(frames))
    for place in range(1, layers + 1):
        read = keras.layers.LayerNormalization(name=f"{name}_normalization_{place}")(states)
        read = FrameAttention(units, name=f"{name}_{place}")(read, num_frames)
        read = _dropped(read, dropout, name=f"{name}_dropout_{place}")
        states = keras.layers.Add(name=f"{name}_add_{place}")([states, read])
        wide = keras.layers.LayerNormalization(name=f"{name}_wide_normalization_{place}")(states)
        wide = keras.layers.Dense(4 * units, activation="relu", name=f"{name}_wide_{place}")(wide)
        wide = keras.layers.Dense(units, name=f"{name}_narrow_{place}")(wide)
        wide = _dropped(wide, dropout, name=f"{name}_wide_dropout_{place}")
        states = keras.layers.Add(name=f"{name}_wide_add_{place}")([states, wide])
    return states
