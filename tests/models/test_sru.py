"""The simple recurrent unit beyond its equations (those are in test_encoders): gradients, projection, XLA, 16 bits."""

import keras
import numpy as np
import pytest
from keras import ops

from dmlkit.models.sru import SRU

UNITS, TIME = 4, 7
FRAMES = np.random.default_rng(0).normal(size=(3, TIME, 5)).astype(np.float32)
LABELS = np.array([[1, 0], [0, 1], [1, 1]], np.float32)


class Unrolled(SRU):
    """The same layer with its steps written out one by one, for the backend's own gradient."""

    def call(self, frames):
        """See the class."""
        cell, states = ops.zeros_like(frames[:, 0, :1]) * ops.zeros((1, self.units), self.compute_dtype), []
        for place in range(TIME):
            x = frames[:, place]
            products = ops.split(ops.matmul(x, self.kernel), self.kernel.shape[1] // self.units, axis=-1)
            b_f, b_r = ops.split(self.bias, 2)
            forget = ops.sigmoid(products[1] + self.peephole[0] * cell + b_f)
            reset = ops.sigmoid(products[2] + self.peephole[1] * cell + b_r)
            cell = forget * cell + (1 - forget) * products[0]
            states.append(reset * cell + (1 - reset) * (products[3] if len(products) == 4 else x))
        return ops.stack(states, axis=1)


def _model(layer, *, dtype=None):
    """Two layers, the second without projection, and weights below and above them."""
    inputs = keras.Input((None, 5))
    states = layer(UNITS, dtype=dtype)(keras.layers.Dense(6)(inputs))
    states = layer(UNITS, dtype=dtype)(states)
    pooled = keras.layers.GlobalAveragePooling1D()(states)
    return keras.Model(inputs, keras.layers.Dense(2, "sigmoid", dtype="float32")(pooled))


def _step(model, *, eagerly=False, jit=False):
    """How a step down the gradient moves the weights."""
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy", run_eagerly=eagerly, jit_compile=jit)
    model.train_on_batch(FRAMES, LABELS)
    moved = [old - new for old, new in zip(before, model.get_weights(), strict=True)]
    model.set_weights(before)
    return moved


@pytest.mark.parametrize("eagerly", [True, False], ids=["eagerly", "graph"])
def test_gradients_are_those_of_the_steps_written_out(eagerly, randomize):
    ours, unrolled = randomize(_model(SRU), scale=0.7), _model(Unrolled)
    unrolled.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(FRAMES), unrolled(FRAMES), atol=1e-6)
    for one, other in zip(_step(ours, eagerly=eagerly), _step(unrolled, eagerly=True), strict=True):
        assert np.abs(other).max() > 1e-4
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_only_frames_of_another_size_are_projected():
    widths = [layer.kernel.shape for layer in _model(SRU).layers if isinstance(layer, SRU)]
    assert widths == [(6, 4 * UNITS), (UNITS, 3 * UNITS)]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX always compiles, torch otherwise")
def test_xla_gives_the_same_step(randomize):
    model = randomize(_model(SRU))
    for one, other in zip(_step(model, jit=True), _step(model), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_sixteen_bits_are_near(precision, randomize):
    ours, mixed = randomize(_model(SRU)), _model(SRU, dtype=precision)
    mixed.set_weights(ours.get_weights())
    for one, other in zip(_step(mixed), _step(ours), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, atol=0.02)
