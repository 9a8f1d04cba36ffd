"""How an encoder's layers stand over each other: one direction, two, and with short-cuts.

`make` is a function of (units, *, name) that returns a layer, (batch, time, size) → (batch, time, units); the other
arguments are an encoder's, as `dmlkit.models.encoders` describes them.
"""

from __future__ import annotations

from typing import NamedTuple

import keras

from dmlkit.models.frames import LastFrame, ReverseFrames


class Encoded(NamedTuple):
    """What an encoder gives to the pooling.

    Attributes:
        states: (batch, time, size), one state for each frame; (batch, size) at video level.
        last: (batch, size), what is known at the end: the state at the last valid frame, and for a
            bidirectional encoder the forward state there joined with the backward state at the first frame.
    """

    states: keras.KerasTensor
    last: keras.KerasTensor


def between(states, *, dropout, name):
    """What a layer reads of the one below: dropped from, where there is a rate."""
    return keras.layers.Dropout(dropout, name=name)(states) if dropout else states


def stack(make, frames, *, units, layers, dropout, name):
    """`layers` layers over each other: the states of the top one."""
    if layers == 1:
        return make(units, name=name)(frames)
    states = frames
    for place in range(1, layers + 1):
        if place > 1:
            states = between(states, dropout=dropout, name=f"{name}_dropout_{place - 1}")
        states = make(units, name=f"{name}_{place}")(states)
    return states


def one_direction(make, frames, num_frames, *, units, layers, dropout, name):
    """A stack over the frames, and its state at each video's last."""
    states = stack(make, frames, units=units, layers=layers, dropout=dropout, name=name)
    return Encoded(states, LastFrame(name=f"{name}_last")(states, num_frames))


def two_directions(make, frames, num_frames, *, units, layers, dropout, name):
    """A stack over the frames and an independent one over the reversed frames, joined at the end."""
    reverse = ReverseFrames(name=f"{name}_reverse")
    last = LastFrame(name=f"{name}_last")
    sizes = {"units": units, "layers": layers, "dropout": dropout}
    forward = stack(make, frames, name=f"{name}_forward", **sizes)
    backward = stack(make, reverse(frames, num_frames), name=f"{name}_backward", **sizes)
    states = keras.layers.Concatenate(name=name)([forward, reverse(backward, num_frames)])
    # Read backwards, the first frame is the last: both directions end at the same place.
    ends = [last(forward, num_frames), last(backward, num_frames)]
    return Encoded(states, keras.layers.Concatenate(name=f"{name}_ends")(ends))


def bidirectional(make, frames, num_frames, *, units, layers, dropout, name):
    """Stacked bidirectional layers, each seeing both directions of the one below."""
    states = frames
    for place in range(1, layers + 1):
        if place > 1:
            states = between(states, dropout=dropout, name=f"{name}_dropout_{place - 1}")
        encoded = two_directions(
            make, states, num_frames, units=units, layers=1, dropout=0.0, name=f"{name}_{place}"
        )
        states = encoded.states
    return encoded


def shortcut_bidirectional(make, frames, num_frames, *, units, layers, dropout, name):
    """Bidirectional layers, each of which adds to what it has read: the frames must be of size 2 * units.

    What is known at the end is all layers' ends together, so that the short-cuts reach it too.
    """
    states, ends = frames, []
    for place in range(1, layers + 1):
        read = states if place == 1 else between(states, dropout=dropout, name=f"{name}_dropout_{place - 1}")
        encoded = two_directions(
            make, read, num_frames, units=units, layers=1, dropout=0.0, name=f"{name}_{place}"
        )
        states = keras.layers.Add(name=f"{name}_add_{place}")([states, encoded.states])
        ends.append(encoded.last)
    return Encoded(states, keras.layers.Add(name=f"{name}_ends")(ends) if len(ends) > 1 else ends[0])
