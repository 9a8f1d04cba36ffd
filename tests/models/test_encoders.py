"""Encoders against their equations in plain numpy, video by video and without padding (SRU: `test_recurrent`)."""

from functools import partial

import keras
import numpy as np
import pytest
from scipy.special import expit as sigmoid
from scipy.special import softmax

from dmlkit.models import ENCODERS
from dmlkit.models.encoders import KERNEL_WIDTH

SIZE, UNITS = 3, 4
NUM_FRAMES = np.array([6, 3, 1], np.int32)
FRAMES = np.random.default_rng(1).normal(size=(3, 6, SIZE)).astype(np.float32)


def stock(layer, x, weights):
    """Keras's own layer, with the same weights."""
    layer = layer(UNITS, return_sequences=True)
    layer.build((1, *x.shape))
    layer.set_weights(weights)
    return np.asarray(layer(x[None].astype(np.float32)))[0]


def peephole_lstm(x, weights):
    kernel, recurrent, (w_ci, w_cf, w_co), bias = weights
    h, c, states = np.zeros(UNITS), np.zeros(UNITS), []
    for x_t in x:
        i, f, candidate, o = np.split(x_t @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f + w_cf * c) * c + sigmoid(i + w_ci * c) * np.tanh(candidate)
        h = sigmoid(o + w_co * c) * np.tanh(c)
        states.append(h)
    return np.stack(states)


def paper_gru(x, weights):
    """The paper's, letter by letter: each W works on [h_{t-1}, x_t]."""
    kernel, recurrent = weights
    w_r, w_z, w_h = np.split(np.concatenate([recurrent, kernel]), 3, axis=1)
    h, states = np.zeros(UNITS), []
    for x_t in x:
        r = sigmoid(np.concatenate([h, x_t]) @ w_r)
        z = sigmoid(np.concatenate([h, x_t]) @ w_z)
        candidate = np.tanh(np.concatenate([r * h, x_t]) @ w_h)
        h = (1 - z) * h + z * candidate
        states.append(h)
    return np.stack(states)


def weights_of(model, name):
    return [np.asarray(weight, np.float64) for weight in model.get_layer(name).weights]


def one_direction(cell, model, x):
    for i in (1, 2):
        x = cell(x, weights_of(model, f"encoder_{i}"))
    return x, x[-1]


def both_directions(cell, model, x, i):
    forward = cell(x, weights_of(model, f"encoder_{i}_forward"))
    backward = cell(x[::-1], weights_of(model, f"encoder_{i}_backward"))[::-1]
    return np.concatenate([forward, backward], axis=-1), np.concatenate([forward[-1], backward[0]])


def bidirectional(cell, model, x):
    states, _ = both_directions(cell, model, x, 1)
    return both_directions(cell, model, states, 2)


def separate(cell, model, x):
    forward, backward = x, x[::-1]
    for i in (1, 2):
        forward = cell(forward, weights_of(model, f"encoder_forward_{i}"))
        backward = cell(backward, weights_of(model, f"encoder_backward_{i}"))
    return np.concatenate([forward, backward[::-1]], -1), np.concatenate([forward[-1], backward[-1]])


def layer_norm(x, weights):
    gain, shift = weights
    x = x - x.mean(-1, keepdims=True)
    return gain * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-3) + shift


def convolve(x, taps, bias, *, reach):
    """Each frame with those before and after it, `reach` frames apart; beyond the video there are zeros."""
    wide = np.pad(x, ((len(taps) // 2 * reach,) * 2, (0, 0)))
    return bias + sum(wide[tap * reach :][: len(x)] @ weight for tap, weight in enumerate(taps))


def deep(cell, model, x):
    kernel, bias = weights_of(model, "encoder_block_in")
    x = x @ kernel + bias
    for i in (1, 2):
        branch = x
        for part in ("first", "second"):
            name = f"encoder_block_{i}_{part}"
            branch = np.maximum(layer_norm(branch, weights_of(model, f"{name}_normalization")), 0)
            branch = convolve(branch, *weights_of(model, name), reach=1)
        x = x + branch
    states, first_last = both_directions(cell, model, x, 1)
    x = x + states
    states, second_last = both_directions(cell, model, x, 2)
    return x + states, first_last + second_last


def dense(x, weights):
    kernel, bias = weights
    return np.maximum(x @ kernel + bias, 0.0)


def hidden(model, x):
    for i in (1, 2):
        kernel, bias = weights_of(model, f"encoder_{i}")
        x = np.maximum(layer_norm(x @ kernel + bias, weights_of(model, f"encoder_{i}_normalization")), 0.0)
    return x, x[-1]


def kernel_features(model, x):
    """Of the mean over the frames, normalized; the same for every frame."""
    (centres,) = weights_of(model, "encoder")
    mean = layer_norm(x.mean(0), (1.0, 0.0))
    near = np.exp(-KERNEL_WIDTH * ((mean - centres) ** 2).mean(-1))
    return np.repeat(near[None], len(x), axis=0), near


def temporal_convolutions(model, x):
    kernel, bias = weights_of(model, "encoder_in")
    x = x @ kernel + bias
    for i in (1, 2):
        branch = layer_norm(x, weights_of(model, f"encoder_normalization_{i}"))
        x = x + np.maximum(convolve(branch, *weights_of(model, f"encoder_{i}"), reach=i), 0)
    return x, x[-1]


def transformer(model, x):
    """Sines and cosines of the time, then attention of every frame to every other and a wide layer, twice."""
    kernel, bias = weights_of(model, "encoder_in")
    angles = np.arange(len(x))[:, None] * 10_000.0 ** (-(np.arange(UNITS) // 2 * 2) / UNITS)
    x = x @ kernel + bias + np.where(np.arange(UNITS) % 2 == 0, np.sin(angles), np.cos(angles))
    for i in (1, 2):
        branch = layer_norm(x, weights_of(model, f"encoder_normalization_{i}"))
        *pairs, w_o, b_o = weights_of(model, f"encoder_{i}")
        q, k, v = (np.einsum("ts,shd->htd", branch, pairs[i]) + pairs[i + 1][:, None] for i in (0, 2, 4))
        shares = softmax(np.einsum("htd,hsd->hts", q, k) / np.sqrt(q.shape[-1]), axis=-1)
        heads = np.einsum("hts,hsd->htd", shares, v)
        x = x + np.einsum("htd,hdu->tu", heads, w_o) + b_o
        branch = layer_norm(x, weights_of(model, f"encoder_wide_normalization_{i}"))
        narrow, bias = weights_of(model, f"encoder_narrow_{i}")
        x = x + dense(branch, weights_of(model, f"encoder_wide_{i}")) @ narrow + bias
    return x, x[-1]


lstm, gru = partial(stock, keras.layers.LSTM), partial(stock, keras.layers.GRU)
REFERENCES = {
    "none": lambda model, x: (x, x[-1]),
    "dense": partial(one_direction, dense),
    "hidden": hidden,
    "kernel": kernel_features,
    "rnn": partial(one_direction, partial(stock, keras.layers.SimpleRNN)),
    "lstm": partial(one_direction, lstm),
    "peephole_lstm": partial(one_direction, peephole_lstm),
    "bi_lstm": partial(bidirectional, lstm),
    "bi_lstm_separate": partial(separate, lstm),
    "bi_gru": partial(bidirectional, gru),
    "paper_gru": partial(bidirectional, paper_gru),
    "deep_bi_lstm": partial(deep, lstm),
    "deep_bi_gru": partial(deep, gru),
    "temporal_convolutions": temporal_convolutions,
    "transformer": transformer,
}


def make(encoder, **settings):
    frames, num_frames = keras.Input((None, SIZE)), keras.Input((), dtype="int32")
    settings = {"units": UNITS, "layers": 2, "dropout": 0.0, **settings}
    encoded = ENCODERS[encoder](frames, num_frames, name="encoder", **settings)
    return keras.Model([frames, num_frames], {"states": encoded.states, "last": encoded.last})


@pytest.mark.parametrize("encoder", REFERENCES)
def test_states_follow_the_equations(encoder, randomize):
    model = randomize(make(encoder), scale=0.7)
    got = model([FRAMES, NUM_FRAMES])
    for video, length in enumerate(NUM_FRAMES):
        states, last = REFERENCES[encoder](model, FRAMES[video, :length].astype(np.float64))
        np.testing.assert_allclose(got["states"][video, :length], states, atol=1e-5)
        np.testing.assert_allclose(got["last"][video], last, atol=1e-5)


@pytest.mark.parametrize("encoder", ["peephole_lstm", "bi_lstm"])
def test_forget_biases_start_at_one(encoder):
    biases = [np.asarray(weight) for weight in make(encoder).weights if weight.path.endswith("bias")]
    expected = [0.0] * UNITS + [1.0] * UNITS + [0.0] * 2 * UNITS
    assert biases and all(bias.tolist() == expected for bias in biases)


@pytest.mark.parametrize("encoder", ["hidden", "bi_lstm_separate", "deep_bi_gru", "transformer"])
def test_dropout_between_layers_acts_in_training_only(encoder):
    model = make(encoder, layers=3, dropout=0.5)
    still = np.asarray(model([FRAMES, NUM_FRAMES], training=False)["last"])
    np.testing.assert_array_equal(model([FRAMES, NUM_FRAMES], training=False)["last"], still)
    assert not np.allclose(model([FRAMES, NUM_FRAMES], training=True)["last"], still)
