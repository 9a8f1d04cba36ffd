"""Encoders: from the fused frames to one state a frame.

An encoder is a function of (frames, num_frames, *, units, layers, dropout, name) that returns `Encoded`:

    frames      (batch, time, size); the encoders in `VIDEO_ENCODERS` also take (batch, size)
    num_frames  (batch,) valid frames, None at video level
    units       size of each layer (of each direction, where there are two)
    layers      how many layers are stacked
    dropout     rate between the stacked layers
    name        prefix of its layers' names

Most encoders are a layer, a function of (units, *, name), and how it is stacked: `one_direction`, `bidirectional`,
`separate_directions` or `shortcut_bidirectional`. The recurrent layers are Keras's with the settings cuDNN requires
(and a faster loop without it), except the paper's equations, `peephole_lstm` and `paper_gru`.
"""

from functools import partial
from typing import NamedTuple

import keras
from keras import ops

from dmlkit.models.inputs import (
    LastFrame,
    RepeatOverFrames,
    ReverseFrames,
    SameShape,
    ZeroPadding,
    dropout_layer,
    frame_mask,
)
from dmlkit.models.poolings import MeanPooling
from dmlkit.models.recurrent import GRU, LSTM, SRU, PaperGRUCell, PeepholeLSTMCell

KERNEL_SIZE = 5  # frames in the window of a temporal convolution
RESIDUAL_BLOCKS = 2  # under a deep recurrent encoder
RESIDUAL_KERNEL_SIZE = 3  # frames in the window of their convolutions
ATTENTION_HEADS = 4  # of the Transformer
LONGEST_WAVELENGTH = 10_000.0  # of a Transformer's positions, in frames over 2π
KERNEL_WIDTH = 0.3  # γ in exp(-γ d²), where d² is the mean over the features: about 2 for normalized ones


class Encoded(NamedTuple):
    """An encoder's output, for the pooling: `states` (batch, time, size), at video level (batch, size), and `last`.

    `last`, (batch, size), is the state at the last valid frame, for a bidirectional encoder joined with the backward
    state at the first frame.
    """

    states: keras.KerasTensor
    last: keras.KerasTensor


def _with_last(states, num_frames, *, name):
    last = states if num_frames is None else LastFrame(name=f"{name}_last")(states, num_frames)
    return Encoded(states, last)


def stack(layer, frames, *, units, layers, dropout, name):
    """The states of the top one of `layers` layers."""
    states = layer(units, name=name if layers == 1 else f"{name}_1")(frames)
    for i in range(2, layers + 1):
        states = dropout_layer(states, dropout, name=f"{name}_dropout_{i - 1}")
        states = layer(units, name=f"{name}_{i}")(states)
    return states


def one_direction(layer, frames, num_frames, *, units, layers, dropout, name):
    """A stack over the frames: size units."""
    states = stack(layer, frames, units=units, layers=layers, dropout=dropout, name=name)
    return _with_last(states, num_frames, name=name)


def separate_directions(layer, frames, num_frames, *, units, layers, dropout, name):
    """A stack over the frames and an independent one over the reversed frames, joined at the end: size 2 * units.

    Paper: §Bi-LSTM, "for each direction, the model uses two layers", taken literally.
    """
    reverse, last = ReverseFrames(name=f"{name}_reverse"), LastFrame(name=f"{name}_last")
    sizes = {"units": units, "layers": layers, "dropout": dropout}
    forward = stack(layer, frames, name=f"{name}_forward", **sizes)
    backward = stack(layer, reverse(frames, num_frames), name=f"{name}_backward", **sizes)
    states = keras.layers.Concatenate(name=name)([forward, reverse(backward, num_frames)])
    # In reverse, the first frame is the last one: both directions end at the same index.
    ends = [last(forward, num_frames), last(backward, num_frames)]
    return Encoded(states, keras.layers.Concatenate(name=f"{name}_ends")(ends))


def bidirectional(layer, frames, num_frames, *, units, layers, dropout, name, shortcuts=False):
    """Stacked bidirectional layers, each reading both directions of the one below: size 2 * units.

    Paper: §Bi-LSTM, "two-layer stacked", in the usual reading; §Bi-GRU.
    """
    states, ends = frames, []
    for i in range(1, layers + 1):
        below = states if i == 1 else dropout_layer(states, dropout, name=f"{name}_dropout_{i - 1}")
        one = {"units": units, "layers": 1, "dropout": 0.0, "name": f"{name}_{i}"}
        above, last = separate_directions(layer, below, num_frames, **one)
        states = keras.layers.Add(name=f"{name}_add_{i}")([states, above]) if shortcuts else above
        ends.append(last)
    return Encoded(states, keras.layers.Add(name=f"{name}_ends")(ends) if shortcuts and layers > 1 else last)


def shortcut_bidirectional(layer, frames, num_frames, *, units, layers, dropout, name):
    """Bidirectional layers with short-cuts over temporal ResNet blocks: size 2 * units.

    Paper: §Related work (Li et al. 2017, of whose layers there are 7). Differs from theirs: a short-cut is added
    instead of concatenated and projected, and `last` is the sum of all layers', so that the short-cuts reach it too.
    """
    blocks = residual_blocks(frames, num_frames, units=2 * units, name=f"{name}_block")
    sizes = {"units": units, "layers": layers, "dropout": dropout}
    return bidirectional(layer, blocks, num_frames, **sizes, name=name, shortcuts=True)


# s_t = tanh(U x_t + W s_{t-1} + b). Paper: §RNN; its softmax is the classifier here, a multi-label sigmoid.
rnn_layer = partial(keras.layers.SimpleRNN, return_sequences=True)

# Forget bias 1. Paper: §LSTM, without its peephole connections, which cuDNN does not implement.
lstm_layer = partial(LSTM, return_sequences=True, unit_forget_bias=True)

# Paper: §Bi-GRU, but with a bias, and the reset after the product, as cuDNN has it.
gru_layer = partial(GRU, return_sequences=True, reset_after=True)

# Hidden layers max(0, W x + b) on each frame by itself (or on the video's features). Differs from the paper: it has
# none; the fusions of video-level data need one to differ from one another.
dense_layer = partial(keras.layers.Dense, activation="relu")


def cell_layer(cell, units, *, name):
    """A layer of one of the paper's cells. Paper: §LSTM and §Bi-GRU, the equations; their y_t is the classifier."""
    return keras.layers.RNN(cell(units, name="cell"), return_sequences=True, name=name)


def normalized_layer(units, *, name):
    """max(0, norm(W x + b)), the norm over the layer's units: for wide layers with heavy dropout."""
    normalize = keras.layers.LayerNormalization(name=f"{name}_normalization")
    dense, relu = keras.layers.Dense(units, name=name), keras.layers.ReLU(name=f"{name}_relu")
    return lambda states: relu(normalize(dense(states)))


def none(frames, num_frames, *, units, layers, dropout, name):
    """The frames as they are."""
    return _with_last(frames, num_frames, name=name)


@keras.saving.register_keras_serializable(package="dmlkit")
class KernelFeatures(keras.layers.Layer):
    """A Gaussian kernel: exp(-γ mean((x - c)²)) for each of so many centres c, (..., size) → (..., centres) float32.

    The centres are not trained: they start at random, and become training videos when the model is solved for
    (`dmlkit.training`).
    """

    def __init__(self, centres, **kwargs):
        super().__init__(**kwargs)
        self.num_centres = centres

    def build(self, features_shape):
        initializer = keras.initializers.RandomNormal(stddev=1.0)
        settings = {"trainable": False, "autocast": False, "name": "centres"}
        self.centres = self.add_weight((self.num_centres, features_shape[-1]), initializer, **settings)

    def call(self, features):
        # In float32: the difference of two large sums is lost in 16 bits.
        features = ops.cast(features, "float32")
        centres = ops.cast(self.centres, "float32")
        squares = ops.sum(ops.square(features), axis=-1, keepdims=True)
        squares = squares + ops.sum(ops.square(centres), axis=-1)
        distances = squares - 2.0 * ops.matmul(features, ops.transpose(centres))
        return ops.exp(-KERNEL_WIDTH / centres.shape[-1] * ops.maximum(distances, 0.0))


def kernel(frames, num_frames, *, units, layers, dropout, name):
    """Kernel features of the mean over the frames (or of the video's features), repeated for every frame.

    Differs from the paper: it has none. Under a logistic classifier whose weights are solved for: kernel ridge
    regression.
    """
    if num_frames is None:
        features = KernelFeatures(units, name=name)(frames)
        return Encoded(features, features)
    mean = MeanPooling(name=f"{name}_mean")(frames, num_frames)
    # Normalized again: the more its frames differ, the shorter a mean, which would be near all centres in the middle.
    mean = keras.layers.LayerNormalization(center=False, scale=False, name=f"{name}_normalization")(mean)
    features = KernelFeatures(units, name=name)(mean)
    return Encoded(RepeatOverFrames(dtype="float32", name=f"{name}_over_frames")(features, frames), features)


def temporal_convolutions(frames, num_frames, *, units, layers, dropout, name):
    """Residual layers of dilated convolutions over time, each with twice the reach of the one below.

    Paper: §Future work, convolutional and residual networks over time.
    """
    states = keras.layers.Dense(units, name=f"{name}_in")(frames)
    for i in range(1, layers + 1):
        branch = keras.layers.LayerNormalization(name=f"{name}_normalization_{i}")(states)
        branch = ZeroPadding(name=f"{name}_zero_padding_{i}")(branch, num_frames)
        window = {"padding": "same", "dilation_rate": 2 ** (i - 1), "activation": "relu"}
        branch = keras.layers.Conv1D(units, KERNEL_SIZE, name=f"{name}_{i}", **window)(branch)
        branch = dropout_layer(branch, dropout, name=f"{name}_dropout_{i}")
        states = keras.layers.Add(name=f"{name}_add_{i}")([states, branch])
    return _with_last(states, num_frames, name=name)


def residual_blocks(frames, num_frames, *, units, name):
    """Temporal ResNet blocks, each two convolutions and a short-cut around them: (batch, time, units).

    Paper: §Related work (Li et al. 2017). Differs from theirs: normalized frame by frame instead of over the batch,
    so that padding has no part in it, and before the convolutions, so that the short-cut is an identity.
    """
    states = keras.layers.Dense(units, name=f"{name}_in")(frames)
    for i in range(1, RESIDUAL_BLOCKS + 1):
        branch = states
        for layer in (f"{name}_{i}_first", f"{name}_{i}_second"):
            branch = keras.layers.LayerNormalization(name=f"{layer}_normalization")(branch)
            branch = keras.layers.ReLU(name=f"{layer}_relu")(branch)
            # Before each convolution, as the previous one writes into the padding.
            branch = ZeroPadding(name=f"{layer}_zero_padding")(branch, num_frames)
            branch = keras.layers.Conv1D(units, RESIDUAL_KERNEL_SIZE, padding="same", name=layer)(branch)
        states = keras.layers.Add(name=f"{name}_{i}_add")([states, branch])
    return states


@keras.saving.register_keras_serializable(package="dmlkit")
class AttentionMask(keras.layers.Layer):
    """The mask of self-attention: (batch, 1, time) bool, the valid frames."""

    def call(self, frames, num_frames):
        return frame_mask(frames, num_frames)[:, None, :]


@keras.saving.register_keras_serializable(package="dmlkit")
class Positions(SameShape):
    """Adds the sines and cosines of its position to each frame. Paper: §Future work (Vaswani et al. 2017, §3.5)."""

    def call(self, frames):
        time, size = ops.shape(frames)[1], frames.shape[-1]
        waves = ops.exp(-ops.log(LONGEST_WAVELENGTH) * ops.cast(ops.arange(size) // 2 * 2, "float32") / size)
        angles = ops.cast(ops.arange(time), "float32")[:, None] * waves[None, :]
        even = ops.cast(ops.arange(size) % 2 == 0, "bool")[None, :]
        return frames + ops.cast(ops.where(even, ops.sin(angles), ops.cos(angles)), frames.dtype)


def transformer(frames, num_frames, *, units, layers, dropout, name):
    """A Transformer's encoder, normalized before each part. Paper: §Future work, the Transformer."""
    heads, mask = ATTENTION_HEADS, AttentionMask(name=f"{name}_mask")(frames, num_frames)
    states = Positions(name=f"{name}_positions")(keras.layers.Dense(units, name=f"{name}_in")(frames))
    for i in range(1, layers + 1):
        branch = keras.layers.LayerNormalization(name=f"{name}_normalization_{i}")(states)
        attention = keras.layers.MultiHeadAttention(heads, max(1, units // heads), name=f"{name}_{i}")
        branch = attention(branch, branch, attention_mask=mask)
        branch = dropout_layer(branch, dropout, name=f"{name}_dropout_{i}")
        states = keras.layers.Add(name=f"{name}_add_{i}")([states, branch])
        branch = keras.layers.LayerNormalization(name=f"{name}_wide_normalization_{i}")(states)
        branch = keras.layers.Dense(4 * units, activation="relu", name=f"{name}_wide_{i}")(branch)
        branch = keras.layers.Dense(units, name=f"{name}_narrow_{i}")(branch)
        branch = dropout_layer(branch, dropout, name=f"{name}_wide_dropout_{i}")
        states = keras.layers.Add(name=f"{name}_wide_add_{i}")([states, branch])
    return _with_last(states, num_frames, name=name)


ENCODERS = {
    "none": none,
    "dense": partial(one_direction, dense_layer),
    "hidden": partial(one_direction, normalized_layer),
    "kernel": kernel,
    "rnn": partial(one_direction, rnn_layer),
    "lstm": partial(one_direction, lstm_layer),
    "peephole_lstm": partial(one_direction, partial(cell_layer, PeepholeLSTMCell)),
    "bi_lstm": partial(bidirectional, lstm_layer),
    "bi_lstm_separate": partial(separate_directions, lstm_layer),
    "bi_gru": partial(bidirectional, gru_layer),
    "paper_gru": partial(bidirectional, partial(cell_layer, PaperGRUCell)),
    "temporal_convolutions": temporal_convolutions,
    "transformer": transformer,
    "sru": partial(bidirectional, SRU),
    "deep_bi_lstm": partial(shortcut_bidirectional, lstm_layer),
    "deep_bi_gru": partial(shortcut_bidirectional, gru_layer),
}
"""Name → function as described at the head of this file."""

VIDEO_ENCODERS = ("none", "dense", "hidden", "kernel")
"""The encoders that need no frames."""
