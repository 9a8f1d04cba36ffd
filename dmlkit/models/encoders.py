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

from typing import NamedTuple

import keras

from dmlkit.models import temporal
from dmlkit.models.frames import LastFrame, ReverseFrames
from dmlkit.models.paper_gru import paper_gru_layer
from dmlkit.models.peephole import peephole_lstm_layer
from dmlkit.models.recurrent import GRU, LSTM


class Encoded(NamedTuple):
    """What an encoder gives to the pooling.

    Attributes:
        states: (batch, time, size), one state for each frame; (batch, size) at video level.
        last: (batch, size), what is known at the end: the state at the last valid frame, and for a
            bidirectional encoder the forward state there joined with the backward state at the first frame.
    """

    states: keras.KerasTensor
    last: keras.KerasTensor


def rnn_layer(units, *, name):
    """One layer of s_t = tanh(U x_t + W s_{t-1} + b): (batch, time, size) → (batch, time, units)."""
    return keras.layers.SimpleRNN(units, return_sequences=True, name=name)


def lstm_layer(units, *, name):
    """One LSTM layer with forget bias 1: (batch, time, size) → (batch, time, units)."""
    return LSTM(units, return_sequences=True, unit_forget_bias=True, name=name)


def gru_layer(units, *, name):
    """One GRU layer, the reset after the product as cuDNN has it: (batch, time, size) → (batch, time, units)."""
    return GRU(units, return_sequences=True, reset_after=True, name=name)


def _between(states, *, dropout, name):
    return keras.layers.Dropout(dropout, name=name)(states) if dropout else states


def _stack(make, frames, *, units, layers, dropout, name):
    """`layers` layers over each other: the states of the top one."""
    if layers == 1:
        return make(units, name=name)(frames)
    states = frames
    for place in range(1, layers + 1):
        if place > 1:
            states = _between(states, dropout=dropout, name=f"{name}_dropout_{place - 1}")
        states = make(units, name=f"{name}_{place}")(states)
    return states


def _one_direction(make, frames, num_frames, *, units, layers, dropout, name):
    states = _stack(make, frames, units=units, layers=layers, dropout=dropout, name=name)
    return Encoded(states, LastFrame(name=f"{name}_last")(states, num_frames))


def _two_directions(make, frames, num_frames, *, units, layers, dropout, name):
    """A stack over the frames and an independent one over the reversed frames, joined at the end."""
    reverse = ReverseFrames(name=f"{name}_reverse")
    last = LastFrame(name=f"{name}_last")
    sizes = {"units": units, "layers": layers, "dropout": dropout}
    forward = _stack(make, frames, name=f"{name}_forward", **sizes)
    backward = _stack(make, reverse(frames, num_frames), name=f"{name}_backward", **sizes)
    states = keras.layers.Concatenate(name=name)([forward, reverse(backward, num_frames)])
    # Read backwards, the first frame is the last: both directions end at the same place.
    ends = [last(forward, num_frames), last(backward, num_frames)]
    return Encoded(states, keras.layers.Concatenate(name=f"{name}_ends")(ends))


def _bidirectional(make, frames, num_frames, *, units, layers, dropout, name):
    """Stacked bidirectional layers, each seeing both directions of the one below."""
    states = frames
    for place in range(1, layers + 1):
        if place > 1:
            states = _between(states, dropout=dropout, name=f"{name}_dropout_{place - 1}")
        encoded = _two_directions(
            make, states, num_frames, units=units, layers=1, dropout=0.0, name=f"{name}_{place}"
        )
        states = encoded.states
    return encoded


def none(frames, num_frames, *, units, layers, dropout, name):
    """The frames as they are."""
    return Encoded(frames, _last_of(frames, num_frames, name=name))


def dense(frames, num_frames, *, units, layers, dropout, name):
    """Hidden layers max(0, W x + b) on each frame by itself (or on the video's features).

    Differs from the paper: it has none; the fusions of video-level data need one to differ from one another.
    """

    def make(units, *, name):
        return keras.layers.Dense(units, activation="relu", name=name)

    states = _stack(make, frames, units=units, layers=layers, dropout=dropout, name=name)
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

    states = _stack(make, frames, units=units, layers=layers, dropout=dropout, name=name)
    return Encoded(states, _last_of(states, num_frames, name=name))


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
    return _one_direction(
        rnn_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def lstm(frames, num_frames, *, units, layers, dropout, name):
    """Stacked LSTM layers, forget bias 1.

    Paper: §LSTM. Differs from the paper: without its peephole connections, which cuDNN does not know.
    """
    return _one_direction(
        lstm_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def peephole_lstm(frames, num_frames, *, units, layers, dropout, name):
    """Stacked LSTM layers with peephole connections, as the paper's equations have them.

    Paper: §LSTM, the equations of i_t, f_t, c_t, o_t and h_t.
    """
    return _one_direction(
        peephole_lstm_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def bi_lstm(frames, num_frames, *, units, layers, dropout, name):
    """Stacked bidirectional LSTM layers, each seeing both directions of the one below: size 2 * units.

    Paper: §Bi-LSTM, "two-layer stacked", read as is usual.
    """
    return _bidirectional(
        lstm_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def bi_lstm_separate(frames, num_frames, *, units, layers, dropout, name):
    """A forward and a backward LSTM stack that know nothing of each other, joined at the end: size 2 * units.

    Paper: §Bi-LSTM, "for each direction, the model uses two layers", taken by the letter.
    """
    return _two_directions(
        lstm_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def bi_gru(frames, num_frames, *, units, layers, dropout, name):
    """Stacked bidirectional GRU layers: size 2 * units.

    Paper: §Bi-GRU. Differs from the paper: with a bias, and the reset after the product, as cuDNN has it.
    """
    return _bidirectional(
        gru_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


def paper_gru(frames, num_frames, *, units, layers, dropout, name):
    """Stacked bidirectional GRU layers by the paper's letter: size 2 * units.

    Paper: §Bi-GRU, the equations of r_t, z_t, ĥ_t and h_t; its y_t is the classifier.
    """
    return _bidirectional(
        paper_gru_layer, frames, num_frames, units=units, layers=layers, dropout=dropout, name=name
    )


ENCODERS = {
    "none": none,
    "dense": dense,
    "hidden": hidden,
    "rnn": rnn,
    "lstm": lstm,
    "peephole_lstm": peephole_lstm,
    "bi_lstm": bi_lstm,
    "bi_lstm_separate": bi_lstm_separate,
    "bi_gru": bi_gru,
    "paper_gru": paper_gru,
    "temporal_convolutions": temporal_convolutions,
    "transformer": transformer,
}
"""Name → function as the head of this file describes it."""

VIDEO_ENCODERS = ("none", "dense", "hidden")
"""The encoders that need no frames."""
