"""From what the records hold to what a model can learn from: bytes and words to numbers, then one scale for all.

A text is a bag: which of the hashed tokens occur in it. It is scaled to length 1 and embedded, (batch, size) →
(batch, text_units), and not normalized as the others are. The bag is nearly all zeros: given mean 0 and variance 1,
every token that is *not* there would say something. And its tokens' vectors start small and grow by what they teach;
given variance 1 as well, each video's words would be a loud name of its own from the first step on, by which a model
learns its training videos by heart. At frame level the embedded text stands beside every frame, so that fusions,
encoders and poolings know nothing of texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
from keras import ops

from dmlkit.models.frames import frame_mask

MOMENTUM = 0.9
"""How slowly the running statistics follow, of 1. Keras's 0.99 would lag behind in a training of few steps."""

TEXT = "text"
CODINGS = ("byte", "float", TEXT)
"""What a modality's values are: one byte each, floating point, or a text's bag of tokens, one a video."""


@keras.saving.register_keras_serializable(package="dmlkit")
class Dequantize(keras.layers.Layer):
    """Bytes to the numbers they stand for: q * 4/255 + 4/512 - 2, from -1.9921875 to 2.0078125.

    Call arguments: `features` (..., size) uint8. Returns the same shape in the layer's compute dtype.

    Paper: §Data (the dequantisation of YouTube-8M's release).
    """

    def call(self, features):
        """See the class."""
        numbers = ops.cast(features, "float32") * (4.0 / 255.0) + (4.0 / 512.0 - 2.0)
        return ops.cast(numbers, self.compute_dtype)

    def compute_output_shape(self, features_shape):
        """See the class."""
        return features_shape


@keras.saving.register_keras_serializable(package="dmlkit")
class UnitLength(keras.layers.Layer):
    """Bags of tokens, each scaled to length 1; an empty one stays empty.

    So a text's embedding, the sum of its tokens' vectors, is as long for ten tokens as for one; their mean would
    be the shorter the more is said.

    Call arguments: `bag` (batch, size), not negative. Returns the same shape in the layer's compute dtype.
    """

    def call(self, bag):
        """See the class."""
        # In float32: a sum over thousands of tokens has no room in 16 bits.
        bag = ops.cast(bag, "float32")
        length = ops.sqrt(ops.sum(ops.square(bag), axis=-1, keepdims=True))
        return ops.cast(bag / ops.where(length > 0, length, 1.0), self.compute_dtype)

    def compute_output_shape(self, bag_shape):
        """See the class."""
        return bag_shape


@keras.saving.register_keras_serializable(package="dmlkit")
class BesideFrames(keras.layers.Layer):
    """What is said once a video, said again beside each of its frames.

    Call arguments: `values` (batch, units); `frames` (batch, time, ...), of which only the shape is used. Returns
    (batch, time, units).
    """

    def call(self, values, frames):
        """See the class."""
        return ops.repeat(values[:, None, :], ops.shape(frames)[1], axis=1)

    def compute_output_shape(self, values_shape, frames_shape):
        """See the class."""
        return (values_shape[0], frames_shape[1], values_shape[1])


@keras.saving.register_keras_serializable(package="dmlkit")
class FramesBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization whose statistics are those of the valid frames alone.

    Padding must not enter them, or a batch's longest video would change every other's scores. The mask stays
    inside this layer: handed on, it would close the recurrent layers' road to cuDNN.

    Call arguments: `features` (batch, time, size), `num_frames` (batch,). Returns (batch, time, size).
    """

    def call(self, features, num_frames, training=None):
        """See the class."""
        return super().call(features, training=training, mask=frame_mask(features, num_frames))


@keras.saving.register_keras_serializable(package="dmlkit")
class TimesVariance(keras.layers.BatchNormalization):
    """Features, each times its running variance over valid frames, which are of mean 1 over the features.

    Call arguments: `features` (batch, [time,] size), `num_frames` (batch,) or None. Returns the same shape.
    """

    def call(self, features, num_frames=None, training=None):
        """See the class."""
        mask = None if num_frames is None else frame_mask(features, num_frames)
        # For the statistics, which are all that is wanted of it.
        super().call(features, training=training, mask=mask)
        variances = ops.cast(self.moving_variance, "float32")
        share = variances / (ops.mean(variances) + self.epsilon)
        return ops.cast(ops.cast(features, "float32") * share, self.compute_dtype)


def none(features, num_frames, *, name):
    """The features as they are (the paper's bare form)."""
    return features


def layer(features, num_frames, *, name):
    """Each frame (or video) to mean 0 and variance 1 over its features, then a learned scale and shift.

    Differs from the paper: it feeds the dequantised features as they are.
    """
    return keras.layers.LayerNormalization(name=name)(features)


def batch(features, num_frames, *, name):
    """Each feature to mean 0 and variance 1 over the batch's *valid* frames, then a learned scale and shift.

    Differs from the paper: it feeds the dequantised features as they are.
    """
    if num_frames is None:
        return keras.layers.BatchNormalization(momentum=MOMENTUM, name=name)(features)
    return FramesBatchNormalization(momentum=MOMENTUM, name=name)(features, num_frames)


def variance(features, num_frames, *, name):
    """Each feature times its variance, then as `layer`: what varies much counts for more than it did.

    Whitened features, as YouTube-8M's, are all about as wide, whether they tell much of a video or are hardly more than
    noise; what width is left tells the one from the other.
    """
    weighted = TimesVariance(momentum=MOMENTUM, center=False, scale=False, name=f"{name}_variance")(
        features, num_frames
    )
    return keras.layers.LayerNormalization(name=name)(weighted)


NORMALIZATIONS = {"none": none, "layer": layer, "batch": batch, "variance": variance}
"""Name → function of (features (batch, [time,] size), num_frames (batch,) or None, *, name) → the same shape.

Texts have their own way, whichever is chosen (see above).
"""


def entries(features: Mapping[str, tuple[int, str]], *, level: str) -> dict[str, keras.KerasTensor]:
    """A model's inputs by name, the modalities in the order of their names, and `num_frames` at frame level."""
    inputs = {}
    for name, (size, coding) in sorted(features.items()):
        shape = (None, size) if level == "frame" and coding != TEXT else (size,)
        inputs[name] = keras.Input(shape, dtype="uint8" if coding == "byte" else "float32", name=name)
    if level == "frame":
        inputs["num_frames"] = keras.Input((), dtype="int32", name="num_frames")
    return inputs


def numbers(
    inputs: Mapping[str, keras.KerasTensor],
    features: Mapping[str, tuple[int, str]],
    *,
    normalize: Callable,
    dropout: float,
    text_units: int,
) -> dict[str, keras.KerasTensor]:
    """Each modality from what the records hold to normalized numbers, (batch, [time,] size_i).

    Args:
        inputs: What `entries` gives.
        features: Modality → (size, coding).
        normalize: One of `NORMALIZATIONS`.
        dropout: Rate on what comes of it.
        text_units: Into how many numbers a text is embedded.
    """
    num_frames = inputs.get("num_frames")
    found = {}
    for name, (_, coding) in sorted(features.items()):
        values = inputs[name]
        if coding == "byte":
            values = Dequantize(name=f"{name}_dequantize")(values)
        if coding == TEXT:
            values = _embedded(values, units=text_units, name=name)
        else:
            values = normalize(values, num_frames, name=f"{name}_normalization")
        found[name] = dropped(values, dropout, name=f"{name}_dropout")
    if num_frames is not None:
        frames = next(inputs[name] for name, (_, coding) in sorted(features.items()) if coding != TEXT)
        for name, (_, coding) in features.items():
            if coding == TEXT:
                found[name] = BesideFrames(name=f"{name}_beside_frames")(found[name], frames)
    return found


def _embedded(bag, *, units, name):
    """A bag of tokens as the sum of their vectors over √(how many there are)."""
    # As Keras's own embeddings start, between -0.05 and 0.05.
    return keras.layers.Dense(
        units, use_bias=False, kernel_initializer="random_uniform", name=f"{name}_embedding"
    )(UnitLength(name=f"{name}_bag")(bag))


def dropped(values, rate, *, name):
    """The values under dropout; themselves where the rate is 0."""
    return keras.layers.Dropout(rate, name=name)(values) if rate else values
