"""What is done with right-padded frames: which are valid, which is the last, and how to read them backwards.

No mask is handed to a recurrent layer. Right padding cannot reach the earlier states of a forward pass, and a
backward pass reads every video reversed by its *own* length, so its padding is on the right again:

    frames      a b c . .        reversed naively      . . c b a     the states begin with padding: wrong
    num_frames  3                reversed by length    c b a . .     a forward pass over this is right

So the layers stay open to cuDNN, and what a state after the last valid frame holds never matters.
"""

from __future__ import annotations

import keras
from keras import ops


def frame_mask(frames, num_frames):
    """Which frames are valid.

    Args:
        frames: (batch, time, ...); only the shape is used.
        num_frames: (batch,) valid frames of each video.

    Returns:
        (batch, time) bool, False on padding.
    """
    return ops.arange(ops.shape(frames)[1])[None, :] < ops.cast(num_frames, "int32")[:, None]


def softmax_over_frames(says, num_frames):
    """A softmax over each video's valid frames.

    Args:
        says: (batch, time) or (batch, time, n), whatever it is on padding.
        num_frames: (batch,) valid frames of each video.

    Returns:
        The same shape in float32, exactly 0 on padding.
    """
    mask = frame_mask(says, num_frames)
    if len(says.shape) == 3:
        mask = mask[:, :, None]
    # Padding must not win the softmax over frames. The second `where` is for a video without any frame.
    return ops.where(mask, ops.softmax(ops.where(mask, ops.cast(says, "float32"), -1e9), axis=1), 0.0)


def _rows(frames, times):
    """Pick frames by time: `frames` (batch, time, size), `times` (batch, n) → (batch * n, size).

    Whole rows of the flattened frames are taken: `take_along_axis` would move the values one at a time.
    """
    batch, time = ops.shape(frames)[0], ops.shape(frames)[1]
    starts = ops.arange(batch)[:, None] * time
    flat = ops.reshape(frames, (-1, frames.shape[-1]))
    return ops.take(flat, ops.reshape(starts + times, (-1,)), axis=0)


@keras.saving.register_keras_serializable(package="dmlkit")
class LastFrame(keras.layers.Layer):
    """Each video's frame (or state) at its last valid frame.

    Call arguments: `frames` (batch, time, size), `num_frames` (batch,). Returns (batch, size). A video
    without frames gives its first, padded one.
    """

    def call(self, frames, num_frames):
        """See the class."""
        last = ops.clip(ops.cast(num_frames, "int32"), 1, ops.shape(frames)[1]) - 1
        return _rows(frames, last[:, None])

    def compute_output_shape(self, frames_shape, num_frames_shape):
        """See the class."""
        return (frames_shape[0], frames_shape[2])


@keras.saving.register_keras_serializable(package="dmlkit")
class ReverseFrames(keras.layers.Layer):
    """Each video's frames in reverse order by its own length; padding stays where it is.

    Applied twice it gives back what it was given.

    Call arguments: `frames` (batch, time, size), `num_frames` (batch,). Returns (batch, time, size).
    """

    def call(self, frames, num_frames):
        """See the class."""
        times = ops.arange(ops.shape(frames)[1])[None, :]
        lengths = ops.minimum(ops.cast(num_frames, "int32"), ops.shape(frames)[1])[:, None]
        mirrored = ops.where(times < lengths, lengths - 1 - times, times)
        return ops.reshape(_rows(frames, mirrored), ops.shape(frames))

    def compute_output_shape(self, frames_shape, num_frames_shape):
        """See the class."""
        return frames_shape
