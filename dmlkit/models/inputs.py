"""A model's inputs: padded frames, the numbers that bytes and texts stand for, and one scale for all.

**Padding.** Frames are right-padded: everywhere `frames` (or `states`) are (batch, time, size), `num_frames` (batch,),
and padding may hold anything. No mask is passed to a recurrent layer, so that it can run on cuDNN: right padding cannot
reach the earlier states of a forward pass, and a backward pass reads every video reversed by its *own* length:

    frames      a b c . .        reversed naively      . . c b a     the states begin with padding: wrong
    num_frames  3                reversed by length    c b a . .     a forward pass over this is right

**Texts.** A text is a bag of hashed tokens. It is scaled to length 1 and embedded, (batch, size) → (batch, text_units),
and not normalized like the other modalities: the bag is nearly all zeros, and with mean 0 and variance 1 every *absent*
token would become a feature. The embedding starts small for the same reason: with variance 1 each video's words would
identify it from the first step on, and a model would learn its training videos by heart. At frame level the embedded
text is repeated for every frame, so fusions, encoders and poolings need not know about texts.
"""

import keras
import numpy as np
from keras import ops

from dmlkit.errors import UsageError

MOMENTUM = 0.9  # of all running statistics; Keras's 0.99 is too slow for a training of few steps
ZERO_BYTE = 127  # stands for -0.00003: the value of a missing modality's frames
TEXT = "text"
CODINGS = ("byte", "float", TEXT)
"""What a modality's values are: one byte each, floating point, or a text's bag of tokens, one a video."""


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
    # Rows of the flattened frames: `take_along_axis` moves single values.
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


@keras.saving.register_keras_serializable(package="dmlkit")
class Dequantize(SameShape):
    """Bytes to the numbers they stand for: q * 4/255 + 4/512 - 2, from -1.9921875 to 2.0078125. Paper: §Data."""

    def call(self, features):
        numbers = ops.cast(features, "float32") * (4.0 / 255.0) + (4.0 / 512.0 - 2.0)
        return ops.cast(numbers, self.compute_dtype)


@keras.saving.register_keras_serializable(package="dmlkit")
class UnitLength(SameShape):
    """Bags of tokens, each scaled to length 1; an empty one stays empty."""

    def call(self, bag):
        # In float32: a sum over thousands of tokens exceeds the precision of 16 bits.
        bag = ops.cast(bag, "float32")
        length = ops.sqrt(ops.sum(ops.square(bag), axis=-1, keepdims=True))
        return ops.cast(bag / ops.where(length > 0, length, 1.0), self.compute_dtype)


@keras.saving.register_keras_serializable(package="dmlkit")
class FramesBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization with the statistics of the valid frames alone; at video level Keras's own.

    With padding in them, a batch's longest video would change every other's scores. The mask stays inside
    this layer: passed on, it would rule out cuDNN for the recurrent layers.
    """

    def call(self, features, num_frames=None, training=None):
        mask = None if num_frames is None else frame_mask(features, num_frames)
        return super().call(features, training=training, mask=mask)


@keras.saving.register_keras_serializable(package="dmlkit")
class ScaleByVariance(FramesBatchNormalization):
    """Each feature times its running variance over valid frames, relative to the mean of all variances."""

    def call(self, features, num_frames=None, training=None):
        super().call(features, num_frames, training=training)  # for the running statistics alone
        variances = ops.cast(self.moving_variance, "float32")
        share = variances / (ops.mean(variances) + self.epsilon)
        return ops.cast(ops.cast(features, "float32") * share, self.compute_dtype)


def layer(features, num_frames, *, name):
    """Each frame (or video) to mean 0 and variance 1 over its features, then a learned scale and shift."""
    return keras.layers.LayerNormalization(name=name)(features)


def batch(features, num_frames, *, name):
    """Each feature to mean 0 and variance 1 over the batch's *valid* frames, then a learned scale and shift."""
    return FramesBatchNormalization(momentum=MOMENTUM, name=name)(features, num_frames)


def variance(features, num_frames, *, name):
    """Each feature times its variance, then as `layer`: features of high variance gain weight.

    Whitened features, as YouTube-8M's, have nearly equal variances; what difference is left separates information
    from noise.
    """
    settings = {"momentum": MOMENTUM, "center": False, "scale": False, "name": f"{name}_variance"}
    return keras.layers.LayerNormalization(name=name)(ScaleByVariance(**settings)(features, num_frames))


NORMALIZATIONS = {
    "none": lambda features, num_frames, *, name: features,  # as in the paper; the others differ from it
    "layer": layer,
    "batch": batch,
    "variance": variance,
}
"""Name → function of (features (batch, [time,] size), num_frames (batch,) or None, *, name) → the same shape."""


def dropout_layer(values, rate, *, name):
    """The values under dropout; themselves where the rate is 0."""
    return keras.layers.Dropout(rate, name=name)(values) if rate else values


def model_inputs(features, *, level):
    """A model's inputs by name, the modalities in the order of their names, and `num_frames` at frame level."""
    inputs = {}
    for name, (size, coding) in sorted(features.items()):
        shape = (None, size) if level == "frame" and coding != TEXT else (size,)
        inputs[name] = keras.Input(shape, dtype="uint8" if coding == "byte" else "float32", name=name)
    if level == "frame":
        inputs["num_frames"] = keras.Input((), dtype="int32", name="num_frames")
    return inputs


def check_codings(model, batch):
    """Raise `UsageError` where a model reads bytes and a batch (name → array) holds floats, or the other way round."""
    for each in model.inputs:
        # Keras would cast one to the other without regard to the coding.
        found = np.asarray(batch[each.name]).dtype
        if (each.dtype == "uint8") != (found == np.uint8):
            raise UsageError(
                f"The model reads {each.name} as {each.dtype}, and the batch holds {found}. Convert it by "
                "`dmlkit.data.quantize` (to bytes) or `dmlkit.data.dequantize` (to floats)."
            )


def normalized(inputs, features, *, normalize, dropout_rate, text_units):
    """Each of the `model_inputs` as numbers, normalized by one of `NORMALIZATIONS`, under dropout: name → tensor."""
    num_frames, values = inputs.get("num_frames"), {}
    for name, (_, coding) in sorted(features.items()):
        value = inputs[name]
        if coding == TEXT:
            value = UnitLength(name=f"{name}_bag")(value)
            # The initializer of Keras's own embeddings, between -0.05 and 0.05.
            embedding = {"kernel_initializer": "random_uniform", "name": f"{name}_embedding"}
            value = keras.layers.Dense(text_units, use_bias=False, **embedding)(value)
        else:
            if coding == "byte":
                value = Dequantize(name=f"{name}_dequantize")(value)
            elif num_frames is not None:  # what is infinite there would reach the gradients, masked or not
                value = ZeroPadding(name=f"{name}_zero_padding")(value, num_frames)
            value = normalize(value, num_frames, name=f"{name}_normalization")
        value = dropout_layer(value, dropout_rate, name=f"{name}_dropout")
        if coding == TEXT and num_frames is not None:
            frames = next(inputs[other] for other in sorted(features) if features[other][1] != TEXT)
            value = RepeatOverFrames(name=f"{name}_over_frames")(value, frames)
        values[name] = value
    return values
