"""Encoders: what stands between the fused frames and the pooling.

An encoder is a function of (frames, num_frames, *, units, layers, dropout, name) that returns `Encoded`:

    frames      (batch, time, size); the encoders in `VIDEO_ENCODERS` also take (batch, size)
    num_frames  (batch,) valid frames, None at video level
    units       size of each layer (of each direction, where there are two)
    layers      how many layers are stacked
    dropout     rate between the stacked layers
    name        what the names of its layers begin with

The recurrent layers are Keras's with the settings cuDNN asks for (and a faster loop where it is not), but for
the two of the paper's equations.
"""

from __future__ import annotations

import keras

from dmlkit.models import temporal
from dmlkit.models.frames import LastFrame
from dmlkit.models.inputs import BesideFrames
from dmlkit.models.kernels import KernelFeatures
from dmlkit.models.paper_gru import paper_gru_layer
from dmlkit.models.peephole import peephole_lstm_layer
from dmlkit.models.poolings import MeanPooling
from dmlkit.models.recurrent import GRU, LSTM
from dmlkit.models.sru import sru_layer
from dmlkit.models.stacks import (
    Encoded,
    bidirectional,
    one_direction,
    shortcut_bidirectional,
    stack,
    two_directions,
)


def rnn_layer(units, *, name):
    """One layer of s_t = tanh(U x_t + W s_{t-1} + b): (batch, time, size) → (batch, time, units)."""
    return keras.layers.SimpleRNN(units, return_sequences=True, name=name)


def lstm_layer(units, *, name):
    """One LSTM layer with forget bias 1: (batch, time, size) → (batch, time, units)."""
    return LSTM(units, return_sequences=True, unit_forget_bias=True, name=name)


def gru_layer(units, *, name):
    """One GRU layer, the reset after the product as cuDNN has it: (batch, time, size) → (batch, time, units)."""
    return GRU(units, return_sequences=True, reset_after=True, name=name)


def none(frames, num_frames, *, units, layers, dropout, name):
    """The frames as they are."""
    return Encoded(frames, _last_of(frames, num_frames, name=name))


def dense(frames, num_frames, *, units, layers, dropout, name):
    """Hidden layers max(0, W x + b) on each frame by itself (or on the video's features).

    Differs from the paper: it has none; the fusions of video-level data need one to differ from one another.
    """

    def make(units, *, name):
        return keras.layers.Dense(units, activation="relu", name=name)

    states = stack(make, frames, units=units, layers=layers, dropout=dropout, name=name)
    return Encoded(states, _last_of(states, num_frames, name=name))


def hidden(frames, num_frames, *, units, layers, dropout, name):
    """Hidden layers max(0, norm(W x + b)) on each frame by itself (or on the video's features).

    The norm is over a layer's units, so that a wide one can be trained at a high rate, and dropped from heavily.

    Differs from the paper: it has none.
    """

    def make(units, *, name):
        def layer(states):
            states = keras.layers.Dense(units, name=name)(states)
            states = keras.layers.LayerNormalization(name=f"{name}_normalization")(states)
            return keras.layers.ReLU(name=f"{name}_relu")(states)

        return layer

    states = stack(make, frames, units=units, layers=layers, dropout=dropout, name=name)
    return Encoded(states, _last_of(states, num_frames, name=name))


def kernel(frames, num_frames, *, units, layers, dropout, name):
    """How near the mean over the frames (or the video's features) is to each of `units` centres; see `kernels`.

    It is one answer a video, and stands beside every frame.

    Differs from the paper: it has none. Under a logistic classifier whose weights are solved for, kernel ridge
    regression (`dmlkit.training.solving`).
    """
    if num_frames is None:
        near = KernelFeatures(units, name=name)(frames)
        return Encoded(near, near)
    mean = MeanPooling(name=f"{name}_mean")(frames, num_frames)
    # Normalized anew: a mean is the shorter the more its frames differ, and all would be near to those in the middle.
    mean = keras.layers.LayerNormalization(center=False, scale=False, name=f"{name}_normalization")(mean)
    near = KernelFeatures(units, name=name)(mean)
    return Encoded(BesideFrames(dtype="float32", name=f"{name}_beside_frames")(near, frames), near)


def temporal_convolutions(frames, num_frames, *, units, layers, dropout, name):
    """Residual dilated convolutions over time; see `dmlkit.models.temporal`."""
    sizes = {"units": units, "layers": layers, "dropout": dropout}
    states = temporal.convolutions(frames, num_frames, name=name, **sizes)
    return Encoded(states, _last_of(states, num_frames, name=name))


def transformer(frames, num_frames, *, units, layers, dropout, name):
    """A Transformer's encoder; see `dmlkit.models.temporal`."""
    sizes = {"units": units, "layers": layers, "dropout": dropout}
    states = temporal.attention(frames, num_frames, name=name, **sizes)
    return Encoded(states, _last_of(states, num_frames, name=name))


def _last_of(states, num_frames, *, name):
    return states if num_frames is None else LastFrame(name=f"{name}_last")(states, num_frames)


def rnn(frames, num_frames, *, units, layers, dropout, name):
    """A plain recurrent network.

    Paper: §RNN, s_t = f(U x_t + W s_{t-1}); its softmax is the classifier here, a multi-label sigmoid.
    """
    return one_direction(
        rnn_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def lstm(frames, num_frames, *, units, layers, dropout, name):
    """Stacked LSTM layers, forget bias 1.

    Paper: §LSTM. Differs from the paper: without its peephole connections, which cuDNN does not know.
    """
    return one_direction(
        lstm_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def peephole_lstm(frames, num_frames, *, units, layers, dropout, name):
    """Stacked LSTM layers with peephole connections, as the paper's equations have them.

    Paper: §LSTM, the equations of i_t, f_t, c_t, o_t and h_t.
    """
    return one_direction(
        peephole_lstm_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def bi_lstm(frames, num_frames, *, units, layers, dropout, name):
    """Stacked bidirectional LSTM layers, each seeing both directions of the one below: size 2 * units.

    Paper: §Bi-LSTM, "two-layer stacked", read as is usual.
    """
    return bidirectional(
        lstm_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def bi_lstm_separate(frames, num_frames, *, units, layers, dropout, name):
    """A forward and a backward LSTM stack that know nothing of each other, joined at the end: size 2 * units.

    Paper: §Bi-LSTM, "for each direction, the model uses two layers", taken by the letter.
    """
    return two_directions(
        lstm_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def bi_gru(frames, num_frames, *, units, layers, dropout, name):
    """Stacked bidirectional GRU layers: size 2 * units.

    Paper: §Bi-GRU. Differs from the paper: with a bias, and the reset after the product, as cuDNN has it.
    """
    return bidirectional(
        gru_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def paper_gru(frames, num_frames, *, units, layers, dropout, name):
    """Stacked bidirectional GRU layers by the paper's letter: size 2 * units.

    Paper: §Bi-GRU, the equations of r_t, z_t, ĥ_t and h_t; its y_t is the classifier.
    """
    return bidirectional(
        paper_gru_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def sru(frames, num_frames, *, units, layers, dropout, name):
    """Stacked bidirectional layers of the simple recurrent unit: size 2 * units; see `dmlkit.models.sru`.

    Paper: §Future work (Lei et al. 2018).
    """
    return bidirectional(
        sru_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def deep_bi_lstm(frames, num_frames, *, units, layers, dropout, name):
    """Bidirectional LSTM layers with short-cuts over temporal ResNet blocks: size 2 * units.

    Paper: §Related work (Li et al. 2017, of whose layers there are 7). Differs from theirs: see `_deep`.
    """
    return _deep(lstm_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name)


def deep_bi_gru(frames, num_frames, *, units, layers, dropout, name):
    """Bidirectional GRU layers with short-cuts over temporal ResNet blocks: size 2 * units.

    Paper: §Related work (Li et al. 2017, of whose layers there are 7). Differs from theirs: see `_deep`.
    """
    return _deep(gru_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name)


def _deep(make, frames, num_frames, *, units, layers, dropout, name):
    """Li et al.'s two, one over the other. Their short-cuts are joined and go through a layer; these are added."""
    read = temporal.residual_blocks(frames, num_frames, units=2 * units, name=f"{name}_block")
    sizes = {"units": units, "layers": layers, "dropout": dropout}
    return shortcut_bidirectional(make, read, num_frames, name=name, **sizes)


ENCODERS = {
    "none": none,
    "dense": dense,
    "hidden": hidden,
    "kernel": kernel,
    "rnn": rnn,
    "lstm": lstm,
    "peephole_lstm": peephole_lstm,
    "bi_lstm": bi_lstm,
    "bi_lstm_separate": bi_lstm_separate,
    "bi_gru": bi_gru,
    "paper_gru": paper_gru,
    "temporal_convolutions": temporal_convolutions,
    "transformer": transformer,
    "sru": sru,
    "deep_bi_lstm": deep_bi_lstm,
    "deep_bi_gru": deep_bi_gru,
}
"""Name → function as the head of this file describes it."""

VIDEO_ENCODERS = ("none", "dense", "hidden", "kernel")
"""The encoders that need no frames."""
