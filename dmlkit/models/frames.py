"""Right-padded frames: which are valid, which is the last, and how to read them in reverse.

No mask is passed to a recurrent layer. Right padding cannot reach the earlier states of a forward pass, and a
backward pass reads every video reversed by its *own* length, so that its padding is on the right again:

    frames      a b c . .        reversed naively      . . c b a     the states begin with padding: wrong
    num_frames  3                reversed by length    c b a . .     a forward pass over this is right

So the layers can run on cuDNN, and the states after the last valid frame are never used. Everywhere here `frames` (or
`states`) are (batch, time, size), `num_frames` (batch,), and padding may hold anything.
"""

from __future__ import annotations

import keras
from keras import ops


def frame_mask(frames, num_frames):
    """Which frames are valid: (batch, time) bool."""
    return ops.arange(ops.shape(frames)[1])[None, :] < ops.cast(num_frames, "int32")[:, None]


def zero_padding(frames, num_frames):
    """The frames with zeros on padding, also where it is infinite."""
    return ops.where(frame_mask(frames, num_frames)[:, :, None], frames, 0.0)


def softmax_over_frames(logits, num_frames):
    """A softmax of (batch, time[, n]) logits over each video's valid frames, in float32 and exactly 0 on padding."""
    mask = frame_mask(logits, num_frames)
    if len(logits.shape) == 3:
        mask = mask[:, :, None]
    # The second `where` is for a video without any frame.
    return ops.where(mask, ops.softmax(ops.where(mask, ops.cast(logits, "float32"), -1e9), axis=1), 0.0)


def _gather_frames(frames, times):
    """Frames by index, `times` (batch, n): (batch * n, size)."""
    # Whole rows of the flattened frames: `take_along_axis` would move the values one at a time.
    batch, time = ops.shape(frames)[0], ops.shape(frames)[1]
    starts = ops.arange(batch)[:, None] * time
    flat = ops.reshape(frames, (-1, frames.shape[-1]))
    return ops.take(flat, ops.reshape(starts + times, (-1,)), axis=0)


class SameShape(keras.layers.Layer):
    """A layer whose output has the shape of its first call argument."""

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable(package="dmlkit")
class LastFrame(keras.layers.Layer):
    """Each video's last valid frame, (batch, size); of a video without frames the first, padded one."""

    def call(self, frames, num_frames):
        last = ops.clip(ops.cast(num_frames, "int32"), 1, ops.shape(frames)[1]) - 1
        return _gather_frames(frames, last[:, None])


@keras.saving.register_keras_serializable(package="dmlkit")
class ReverseFrames(SameShape):
    """Each video's frames in reverse order by its own length; padding stays where it is."""

    def call(self, frames, num_frames):
        times = ops.arange(ops.shape(frames)[1])[None, :]
        lengths = ops.minimum(ops.cast(num_frames, "int32"), ops.shape(frames)[1])[:, None]
        mirrored = ops.where(times < lengths, lengths - 1 - times, times)
        return ops.reshape(_gather_frames(frames, mirrored), ops.shape(frames))


@keras.saving.register_keras_serializable(package="dmlkit")
class ZeroPadding(SameShape):
    """Zeros on padding, so that a convolution reads the same beyond a video's end wherever its batch ends."""

    def call(self, frames, num_frames):
        return zero_padding(frames, num_frames)


@keras.saving.register_keras_serializable(package="dmlkit")
class RepeatOverFrames(keras.layers.Layer):
    """One vector a video (batch, units), repeated for each of the `frames`: (batch, time, units)."""

    def call(self, values, frames):
        return ops.repeat(values[:, None, :], ops.shape(frames)[1], axis=1)

    def compute_output_shape(self, values_shape, frames_shape):
        return (values_shape[0], frames_shape[1], values_shape[1])
