"""The faster layers against Keras's own of the same weights, and the SRU against its steps written out."""

import importlib

import keras
import numpy as np
import pytest
from keras import ops

from dmlkit.models import build
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


def make(layer):
    """Two layers, with weights below and above them; the second SRU needs no projection."""
    inputs = keras.Input((None, 5))
    settings = {} if issubclass(layer, SRU) else {"return_sequences": True}
    states = layer(4, name="first", **settings)(keras.layers.Dense(6)(inputs))
    states = layer(4, name="recurrent", **settings)(states)
    pooled = keras.layers.GlobalAveragePooling1D()(states)
    return keras.Model(inputs, keras.layers.Dense(2, "sigmoid", dtype="float32")(pooled))


def step(model, *, eagerly=True):
    """The loss of a step, and how it moved the weights."""
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy", run_eagerly=eagerly, jit_compile=False)
    loss = model.train_on_batch(FRAMES, LABELS)
    moved = [new - old for old, new in zip(before, model.get_weights(), strict=True)]
    model.set_weights(before)
    return [loss, *moved]


@pytest.mark.parametrize("kind", PAIRS)
def test_states_and_gradients_are_those_of_keras(kind, randomize):
    ours, stock = map(make, PAIRS[kind])
    stock.set_weights(randomize(ours, scale=0.7).get_weights())
    np.testing.assert_allclose(ours(FRAMES), stock(FRAMES), atol=1e-6)
    expected = step(stock)
    for eagerly in (True, False):
        for moved, other in zip(step(ours, eagerly=eagerly), expected, strict=True):
            assert np.abs(other).max() > 1e-4
            np.testing.assert_allclose(moved, other, atol=1e-6)


def test_other_settings_and_masks_are_keras_too(randomize):
    frames = FRAMES.copy()
    frames[1, 3:] = 0  # what Keras's Masking leaves out
    for mask, settings in ((True, {}), (False, {"activation": "relu"}), (False, {"go_backwards": True})):
        below = [keras.Input((None, 5)), *([keras.layers.Masking()] if mask else [])]
        ours, stock = (
            keras.Sequential([*below, layer(4, return_sequences=True, **settings)]) for layer in PAIRS["lstm"]
        )
        stock.set_weights(randomize(ours).get_weights())
        np.testing.assert_allclose(ours(frames), stock(frames), atol=1e-6, err_msg=str(settings))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow alone")
@pytest.mark.parametrize("encoder", ["lstm", "bi_lstm", "bi_lstm_separate", "bi_gru", "deep_bi_gru"])
def test_tensorflow_would_run_each_layer_on_cudnn(encoder, monkeypatch):
    """Where it finds a GPU, Keras puts cuDNN's operation into the graph; only running it would need one."""
    import tensorflow as tf

    backend = importlib.import_module("keras.src.backend.tensorflow.rnn")
    monkeypatch.setattr(backend, "_is_gpu_available", lambda: True)
    settings = {"level": "frame", "num_classes": 3, "units": 3, "dropout": 0.3, "normalization": "batch"}
    model = build(features={"rgb": (4, "byte"), "audio": (3, "float")}, encoder=encoder, **settings)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.RNN)]
    graph = tf.function(model).get_concrete_function(
        {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in model.input.items()}
    )
    kinds = [operation.type for operation in graph.graph.get_operations()]
    assert kinds.count("CudnnRNNV3") == len(layers)
    assert not {"While", "StatelessWhile"} & set(kinds)
    # cuDNN and XLA exclude each other: Keras's "auto" turns XLA off where cuDNN is.
    assert not any(layer.supports_jit for layer in layers)
