"""The faster layers against Keras's own of the same weights, and the SRU against its steps written out."""

import importlib

import keras
import numpy as np
import pytest
from keras import ops

from dmlkit.models import build, load_model
from dmlkit.models.recurrent import GRU, LSTM, SRU

TIME = 6
FRAMES = np.random.default_rng(0).normal(size=(3, TIME, 5)).astype(np.float32)
LABELS = np.array([[1, 0], [0, 1], [1, 1]], np.float32)


class UnrolledSRU(SRU):
    """The same layer with its steps written out one by one, for the backend's own gradient."""

    def call(self, frames):
        cell, states = ops.zeros_like(frames[:, 0, :1]) * ops.zeros((1, self.units), self.compute_dtype), []
        for t in range(TIME):
            x = frames[:, t]
            products = ops.split(ops.matmul(x, self.kernel), self.kernel.shape[1] // self.units, axis=-1)
            b_f, b_r = ops.split(self.bias, 2)
            forget = ops.sigmoid(products[1] + self.peephole[0] * cell + b_f)
            reset = ops.sigmoid(products[2] + self.peephole[1] * cell + b_r)
            cell = forget * cell + (1 - forget) * products[0]
            states.append(reset * cell + (1 - reset) * (products[3] if len(products) == 4 else x))
        return ops.stack(states, axis=1)


PAIRS = {"lstm": (LSTM, keras.layers.LSTM), "gru": (GRU, keras.layers.GRU), "sru": (SRU, UnrolledSRU)}
every_kind = pytest.mark.parametrize("kind", PAIRS)
keras_kinds = pytest.mark.parametrize("kind", ["lstm", "gru"])
only_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow alone")


def make(layer, **settings):
    """Two layers, with weights below and above them; the second SRU needs no projection."""
    inputs = keras.Input((None, 5))
    if not issubclass(layer, SRU):
        settings = {"return_sequences": True, **settings}
    states = layer(4, name="first", **settings)(keras.layers.Dense(6)(inputs))
    states = layer(4, name="recurrent", **settings)(states)
    pooled = keras.layers.GlobalAveragePooling1D()(states)
    return keras.Model(inputs, keras.layers.Dense(2, "sigmoid", dtype="float32")(pooled))


def pair(kind, randomize, **settings):
    ours, stock = (make(layer, **settings) for layer in PAIRS[kind])
    stock.set_weights(randomize(ours, scale=0.7).get_weights())
    return ours, stock


def step(model, *, eagerly=True):
    """The loss of a step, and how it moved the weights."""
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy", run_eagerly=eagerly, jit_compile=False)
    loss = model.train_on_batch(FRAMES, LABELS)
    moved = [new - old for old, new in zip(before, model.get_weights(), strict=True)]
    model.set_weights(before)
    return [loss, *moved]


def assert_near(first, second, *, atol):
    for ours, stock in zip(first, second, strict=True):
        assert np.isfinite(ours).all() and np.abs(stock).max() > 1e-4
        np.testing.assert_allclose(ours, stock, atol=atol)


@every_kind
def test_states_and_gradients_are_those_of_keras(kind, randomize):
    ours, stock = pair(kind, randomize)
    np.testing.assert_allclose(ours(FRAMES), stock(FRAMES), atol=1e-6)
    expected = step(stock)
    for eagerly in (True, False):
        assert_near(step(ours, eagerly=eagerly), expected, atol=1e-6)


@keras_kinds
def test_a_gradient_reaches_the_initial_state(kind, randomize):
    """The initial states are outputs of other layers here, so that a step shows their gradients."""

    def with_initial_state(layer):
        inputs = keras.Input((None, 5))
        initial = [keras.layers.Dense(4)(inputs[:, i]) for i in range(2 if kind == "lstm" else 1)]
        states = layer(4, return_sequences=True)(inputs, initial_state=initial)
        pooled = keras.layers.GlobalAveragePooling1D()(states)
        return keras.Model(inputs, keras.layers.Dense(2, "sigmoid")(pooled))

    ours, stock = map(with_initial_state, PAIRS[kind])
    stock.set_weights(randomize(ours, scale=0.7).get_weights())
    assert_near(step(ours), step(stock), atol=1e-6)


@only_tensorflow
def test_other_settings_and_masks_take_keras_loop(monkeypatch, randomize):
    masked = keras.layers.Masking()
    for fast, settings, below in (
        (True, {}, lambda frames: frames),
        (False, {}, masked),
        (False, {"recurrent_dropout": 0.3}, lambda frames: frames),
        (False, {"activation": "relu"}, lambda frames: frames),
        (False, {"go_backwards": True}, lambda frames: frames),
    ):
        frames, used = keras.Input((None, 5)), []
        ours, stock = (
            keras.Model(frames, layer(4, return_sequences=True, **settings)(below(frames)))
            for layer in PAIRS["lstm"]
        )
        stock.set_weights(randomize(ours).get_weights())
        states = LSTM._states
        monkeypatch.setattr(LSTM, "_states", lambda *given, s=states, u=used: u.append(True) or s(*given))
        np.testing.assert_allclose(ours(FRAMES), stock(FRAMES), atol=1e-6)
        monkeypatch.undo()
        assert bool(used) == fast, settings


@keras_kinds
def test_weights_have_keras_names_and_load_as_what_they_were(kind, randomize, tmp_path):
    names = []
    for i, model in enumerate(pair(kind, randomize)):
        names.append([weight.path.split("/", 1)[1] for weight in model.get_layer("recurrent").weights])
        model.save(tmp_path / f"{i}.keras")
        loaded = load_model(tmp_path / f"{i}.keras")
        assert type(loaded.get_layer("recurrent")) is PAIRS[kind][i]
        np.testing.assert_array_equal(loaded(FRAMES), model(FRAMES))
    assert names[0] == names[1]


@every_kind
def test_sixteen_bits_are_near(kind, randomize):
    ours, _ = pair(kind, randomize)
    mixed = make(PAIRS[kind][0], dtype="mixed_bfloat16" if kind == "lstm" else "mixed_float16")
    mixed.set_weights(ours.get_weights())
    assert_near(step(mixed, eagerly=False), step(ours, eagerly=False), atol=0.03)


# What a GPU asks of the models, tested where there is none.

ON_CUDNN = ("lstm", "bi_lstm", "bi_lstm_separate", "bi_gru", "deep_bi_lstm", "deep_bi_gru")
SMALL = {"features": {"rgb": (4, "byte"), "audio": (3, "float")}, "num_classes": 3, "units": 3}


def recurrent_layers(encoder, **parts):
    model = build(level="frame", encoder=encoder, dropout=0.3, normalization="batch", **SMALL, **parts)
    return model, [layer for layer in model.layers if isinstance(layer, keras.layers.RNN)]


def cudnn_takes(layer):
    """The conditions in Keras's documentation of `LSTM` and `GRU`, and those its JAX and torch backends add."""
    return (
        isinstance(layer, keras.layers.LSTM | keras.layers.GRU)
        and layer.activation is keras.activations.tanh
        and layer.recurrent_activation is keras.activations.sigmoid
        and layer.recurrent_dropout == layer.dropout == 0
        and layer.use_bias
        and layer.use_cudnn == "auto"
        and not (layer.unroll or layer.go_backwards or layer.stateful)
        and getattr(layer, "reset_after", True)
        and getattr(layer.input, "_keras_mask", None) is None
        and layer.compute_mask(layer.input, None) is None
    )


def test_recurrent_encoders_meet_cudnns_conditions_but_for_the_papers_cells():
    for encoder in ON_CUDNN:
        _, layers = recurrent_layers(encoder)
        assert layers and all(map(cudnn_takes, layers)), encoder
    for encoder in ("rnn", "peephole_lstm", "paper_gru"):
        assert not any(map(cudnn_takes, recurrent_layers(encoder)[1])), encoder


@only_tensorflow
@pytest.mark.parametrize("encoder", ["bi_lstm_separate", "bi_gru"])
def test_tensorflow_would_run_each_layer_on_cudnn(encoder, monkeypatch):
    """Where it finds a GPU, Keras puts cuDNN's operation into the graph; only running it would need one."""
    import tensorflow as tf

    backend = importlib.import_module("keras.src.backend.tensorflow.rnn")
    monkeypatch.setattr(backend, "_is_gpu_available", lambda: True)
    model, layers = recurrent_layers(encoder)
    graph = tf.function(model).get_concrete_function(
        {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in model.input.items()}
    )
    kinds = [operation.type for operation in graph.graph.get_operations()]
    assert kinds.count("CudnnRNNV3") == len(layers)
    assert not {"While", "StatelessWhile"} & set(kinds)
    # cuDNN and XLA exclude each other: Keras's "auto" turns XLA off where cuDNN is.
    assert not any(layer.supports_jit for layer in layers)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX's own choice")
def test_jax_asks_for_cudnn_in_32_bits_only(batch_of, monkeypatch):
    """Where it finds a GPU, Keras asks JAX for cuDNN's LSTM, which fails in 16 bits (observed on one)."""
    backend, asked = importlib.import_module("keras.src.backend.jax.rnn"), []
    monkeypatch.setattr(backend, "cudnn_ok", lambda *given, **named: asked.append(1) or False)
    recurrent_layers("bi_lstm")[0](batch_of())
    assert asked
    asked.clear()
    recurrent_layers("bi_lstm", precision="mixed_bfloat16")[0](batch_of())
    assert not asked
