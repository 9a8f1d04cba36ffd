"""Every encoder against its equations, written once more in plain numpy, video by video and without padding."""

import functools
import inspect

import keras
import numpy as np
import pytest

from dmlkit.models import NORMALIZATIONS, build
from dmlkit.models.encoders import ENCODERS, VIDEO_ENCODERS
from dmlkit.models.paper_gru import PaperGRUCell
from dmlkit.models.peephole import PeepholeLSTMCell

SIZE, UNITS = 3, 4
NUM_FRAMES = np.array([6, 3, 1], np.int32)


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def rnn(x, weights):
    kernel, recurrent, bias = weights
    state, states = np.zeros(UNITS), []
    for x_t in x:
        state = np.tanh(x_t @ kernel + state @ recurrent + bias)
        states.append(state)
    return np.stack(states)


def lstm(x, weights):
    kernel, recurrent, bias = weights
    (w_xi, w_xf, w_xc, w_xo), (w_hi, w_hf, w_hc, w_ho), (b_i, b_f, b_c, b_o) = (
        np.split(matrix, 4, axis=-1) for matrix in (kernel, recurrent, bias)
    )
    h, c, states = np.zeros(UNITS), np.zeros(UNITS), []
    for x_t in x:
        i = _sigmoid(x_t @ w_xi + h @ w_hi + b_i)
        f = _sigmoid(x_t @ w_xf + h @ w_hf + b_f)
        o = _sigmoid(x_t @ w_xo + h @ w_ho + b_o)
        c = f * c + i * np.tanh(x_t @ w_xc + h @ w_hc + b_c)
        h = o * np.tanh(c)
        states.append(h)
    return np.stack(states)


def peephole_lstm(x, weights):
    kernel, recurrent, (w_ci, w_cf, w_co), bias = weights
    w_xi, w_xf, w_xc, w_xo = np.split(kernel, 4, axis=-1)
    w_hi, w_hf, w_hc, w_ho = np.split(recurrent, 4, axis=-1)
    b_i, b_f, b_c, b_o = np.split(bias, 4)
    h, c, states = np.zeros(UNITS), np.zeros(UNITS), []
    for x_t in x:
        i = _sigmoid(x_t @ w_xi + h @ w_hi + np.diag(w_ci) @ c + b_i)
        f = _sigmoid(x_t @ w_xf + h @ w_hf + np.diag(w_cf) @ c + b_f)
        c = f * c + i * np.tanh(x_t @ w_xc + h @ w_hc + b_c)
        o = _sigmoid(x_t @ w_xo + h @ w_ho + np.diag(w_co) @ c + b_o)
        h = o * np.tanh(c)
        states.append(h)
    return np.stack(states)


def gru(x, weights):
    """Keras's: the reset after the product, two biases, and z the share of the old state."""
    kernel, recurrent, (bias, recurrent_bias) = weights
    h, states = np.zeros(UNITS), []
    for x_t in x:
        x_z, x_r, x_h = np.split(x_t @ kernel + bias, 3)
        h_z, h_r, h_h = np.split(h @ recurrent + recurrent_bias, 3)
        z, r = _sigmoid(x_z + h_z), _sigmoid(x_r + h_r)
        h = z * h + (1 - z) * np.tanh(x_h + r * h_h)
        states.append(h)
    return np.stack(states)


def paper_gru(x, weights):
    """The paper's, letter by letter: each W works on [h_{t-1}, x_t]."""
    kernel, recurrent = weights
    w_r, w_z, w_h = (
        np.concatenate(pair) for pair in zip(np.split(recurrent, 3, 1), np.split(kernel, 3, 1), strict=True)
    )
    h, states = np.zeros(UNITS), []
    for x_t in x:
        r = _sigmoid(np.concatenate([h, x_t]) @ w_r)
        z = _sigmoid(np.concatenate([h, x_t]) @ w_z)
        candidate = np.tanh(np.concatenate([r * h, x_t]) @ w_h)
        h = (1 - z) * h + z * candidate
        states.append(h)
    return np.stack(states)


def sru(x, weights):
    """Step by step; where the sizes differ, x goes through a projection of its own."""
    kernel, (v_f, v_r), bias = weights
    w, w_f, w_r, *projection = np.split(kernel, kernel.shape[1] // UNITS, axis=1)
    b_f, b_r = np.split(bias, 2)
    c, states = np.zeros(UNITS), []
    for x_t in x:
        f = _sigmoid(x_t @ w_f + v_f * c + b_f)
        r = _sigmoid(x_t @ w_r + v_r * c + b_r)
        c = f * c + (1 - f) * (x_t @ w)
        states.append(r * c + (1 - r) * (x_t @ projection[0] if projection else x_t))
    return np.stack(states)


def _weights(model, name):
    return [weight.numpy().astype(np.float64) for weight in model.get_layer(name).weights]


def _one_direction(cell):
    def run(model, x):
        for place in (1, 2):
            x = cell(x, _weights(model, f"encoder_{place}"))
        return x, x[-1]

    return run


def _bidirectional(cell):
    def run(model, x):
        for place in (1, 2):
            forward = cell(x, _weights(model, f"encoder_{place}_forward"))
            backward = cell(x[::-1], _weights(model, f"encoder_{place}_backward"))[::-1]
            x = np.concatenate([forward, backward], axis=-1)
        return x, np.concatenate([forward[-1], backward[0]])

    return run


def _separate(cell):
    def run(model, x):
        forward, backward = x, x[::-1]
        for place in (1, 2):
            forward = cell(forward, _weights(model, f"encoder_forward_{place}"))
            backward = cell(backward, _weights(model, f"encoder_backward_{place}"))
        backward = backward[::-1]
        return np.concatenate([forward, backward], -1), np.concatenate([forward[-1], backward[0]])

    return run


def _layer_norm(x, weights):
    gain, shift = weights
    x = x - x.mean(-1, keepdims=True)
    return gain * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-3) + shift


def _convolve(x, weights):
    """Each frame with the one before and the one after it; beyond the video there are zeros."""
    (before, here, after), bias = weights
    wide = np.concatenate([np.zeros((1, x.shape[1])), x, np.zeros((1, x.shape[1]))])
    return wide[:-2] @ before + wide[1:-1] @ here + wide[2:] @ after + bias


def _deep(cell):
    def run(model, x):
        kernel, bias = _weights(model, "encoder_block_in")
        x = x @ kernel + bias
        for place in (1, 2):
            read = x
            for part in ("first", "second"):
                name = f"encoder_block_{place}_{part}"
                read = np.maximum(_layer_norm(read, _weights(model, f"{name}_normalization")), 0)
                read = _convolve(read, _weights(model, name))
            x = x + read
        last = 0
        for place in (1, 2):
            forward = cell(x, _weights(model, f"encoder_{place}_forward"))
            backward = cell(x[::-1], _weights(model, f"encoder_{place}_backward"))[::-1]
            x = x + np.concatenate([forward, backward], axis=-1)
            last = last + np.concatenate([forward[-1], backward[0]])
        return x, last

    return run


def _dense(model, x):
    for place in (1, 2):
        kernel, bias = _weights(model, f"encoder_{place}")
        x = np.maximum(x @ kernel + bias, 0.0)
    return x, x[-1]


REFERENCES = {
    "none": lambda model, x: (x, x[-1]),
    "dense": _dense,
    "rnn": _one_direction(rnn),
    "lstm": _one_direction(lstm),
    "peephole_lstm": _one_direction(peephole_lstm),
    "bi_lstm": _bidirectional(lstm),
    "bi_lstm_separate": _separate(lstm),
    "bi_gru": _bidirectional(gru),
    "paper_gru": _bidirectional(paper_gru),
    "sru": _bidirectional(sru),
    "deep_bi_lstm": _deep(lstm),
    "deep_bi_gru": _deep(gru),
}


def _model(encoder, *, layers=2, dropout=0.0):
    frames, num_frames = keras.Input((None, SIZE)), keras.Input((), dtype="int32")
    encoded = ENCODERS[encoder](
        frames, num_frames, units=UNITS, layers=layers, dropout=dropout, name="encoder"
    )
    return keras.Model([frames, num_frames], {"states": encoded.states, "last": encoded.last})


@pytest.mark.parametrize("encoder", REFERENCES)
def test_states_follow_the_equations(encoder, randomize):
    model = randomize(_model(encoder), scale=0.7)
    frames = np.random.default_rng(1).normal(size=(3, 6, SIZE)).astype(np.float32)
    got = model([frames, NUM_FRAMES])
    for video, length in enumerate(NUM_FRAMES):
        states, last = REFERENCES[encoder](model, frames[video, :length].astype(np.float64))
        np.testing.assert_allclose(got["states"][video, :length], states, atol=2e-6)
        np.testing.assert_allclose(got["last"][video], last, atol=2e-6)


def test_paper_gru_is_keras_gru_with_z_and_its_rest_exchanged(randomize):
    ours = keras.Sequential([keras.Input((5, SIZE)), keras.layers.RNN(PaperGRUCell(UNITS))])
    stock = keras.Sequential(
        [keras.Input((5, SIZE)), keras.layers.GRU(UNITS, reset_after=False, use_bias=False)]
    )
    randomize(ours)

    def exchange(matrix):
        reset, update, candidate = np.split(np.asarray(matrix), 3, axis=1)
        return np.concatenate([-update, reset, candidate], axis=1)  # 1 - σ(a) = σ(-a)

    stock.set_weights([exchange(matrix) for matrix in ours.get_weights()])
    frames = np.random.default_rng(0).normal(size=(2, 5, SIZE)).astype(np.float32)
    np.testing.assert_allclose(ours(frames), stock(frames), atol=1e-6)


def test_peephole_lstm_without_peepholes_is_keras_lstm():
    ours = keras.Sequential([keras.Input((5, SIZE)), keras.layers.RNN(PeepholeLSTMCell(UNITS))])
    stock = keras.Sequential([keras.Input((5, SIZE)), keras.layers.LSTM(UNITS)])
    kernel, recurrent, _, bias = ours.get_weights()
    stock.set_weights([kernel, recurrent, bias])
    frames = np.random.default_rng(0).normal(size=(2, 5, SIZE)).astype(np.float32)
    np.testing.assert_allclose(ours(frames), stock(frames), atol=1e-6)


@pytest.mark.parametrize("encoder", ["lstm", "peephole_lstm", "bi_lstm"])
def test_forget_biases_start_at_one(encoder):
    biases = [weight.numpy() for weight in _model(encoder).weights if weight.path.endswith("bias")]
    assert biases
    for bias in biases:
        assert bias.tolist() == [0.0] * UNITS + [1.0] * UNITS + [0.0] * 2 * UNITS


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("layers", [1, 3])
def test_every_encoder_stacks(encoder, layers):
    got = _model(encoder, layers=layers, dropout=0.5)([np.ones((3, 6, SIZE), np.float32), NUM_FRAMES])
    assert got["states"].shape[:2] == (3, 6)
    assert got["last"].shape == (3, got["states"].shape[2])


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name not in VIDEO_ENCODERS])
def test_dropout_acts_between_the_layers_in_training_only(encoder):
    model = _model(encoder, dropout=0.5)
    inputs = [np.random.default_rng(0).normal(size=(3, 6, SIZE)).astype(np.float32), NUM_FRAMES]
    still = np.asarray(model(inputs, training=False)["last"])
    np.testing.assert_array_equal(model(inputs, training=False)["last"], still)
    assert not np.allclose(model(inputs, training=True)["last"], still)


@pytest.mark.parametrize("encoder", VIDEO_ENCODERS)
def test_video_encoders_take_features_without_frames(encoder):
    features = keras.Input((SIZE,))
    encoded = ENCODERS[encoder](features, None, units=UNITS, layers=2, dropout=0.0, name="encoder")
    assert keras.Model(features, encoded.last)(np.ones((2, SIZE), np.float32)).shape[0] == 2


def _noting_masks(call, masks):
    @functools.wraps(call)
    def noting(*arguments, **named):
        masks.append(inspect.signature(call).bind(*arguments, **named).arguments.get("mask"))
        return call(*arguments, **named)

    return noting


CUDNN = {"activation": keras.activations.tanh, "recurrent_activation": keras.activations.sigmoid}


@pytest.mark.parametrize("encoder", ["rnn", "lstm", "bi_lstm", "bi_lstm_separate", "bi_gru"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_recurrent_layers_keep_the_road_to_cudnn_open(encoder, normalization, monkeypatch):
    masks = []
    for kind in (keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU):  # ours are kinds of these
        monkeypatch.setattr(kind, "call", _noting_masks(kind.call, masks))
    parts = {"encoder": encoder, "normalization": normalization, "units": UNITS}
    model = build(features={"rgb": (SIZE, "float")}, level="frame", num_classes=2, pooling="mean", **parts)
    model({"rgb": np.ones((3, 6, SIZE), np.float32), "num_frames": NUM_FRAMES})
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.RNN)]
    assert len(layers) == (4 if encoder.startswith("bi_") else 2)
    assert len(masks) >= len(layers)
    assert masks == [None] * len(masks)
    for layer in layers:
        assert layer.activation is CUDNN["activation"]
        assert layer.recurrent_dropout == 0
        assert layer.unroll is False
        assert layer.use_bias is True
        if not isinstance(layer, keras.layers.SimpleRNN):
            assert layer.recurrent_activation is CUDNN["recurrent_activation"]
            assert layer.use_cudnn == "auto"
        if isinstance(layer, keras.layers.GRU):
            assert layer.reset_after is True
