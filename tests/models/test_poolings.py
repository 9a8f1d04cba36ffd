import keras
import numpy as np
import pytest

from dmlkit.models.encoders import Encoded
from dmlkit.models.frames import LastFrame
from dmlkit.models.poolings import POOLINGS, AttentionPooling

STATES = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
NUM_FRAMES = np.array([5, 2, 1], np.int32)


def _model(pooling, *, attention_units=None):
    states, num_frames = keras.Input((None, 4)), keras.Input((), dtype="int32")
    encoded = Encoded(states, LastFrame()(states, num_frames))
    pooled = POOLINGS[pooling](encoded, num_frames, attention_units=attention_units, heads=2, clusters=3)
    return keras.Model([states, num_frames], pooled)


def test_last():
    expected = [STATES[0, 4], STATES[1, 1], STATES[2, 0]]
    np.testing.assert_array_equal(_model("last")([STATES, NUM_FRAMES]), expected)


def test_mean_is_over_valid_frames():
    expected = [STATES[0].mean(0), STATES[1, :2].mean(0), STATES[2, 0]]
    np.testing.assert_allclose(_model("mean")([STATES, NUM_FRAMES]), expected, atol=1e-6)


@pytest.mark.parametrize("units", [None, 3])
def test_attention_follows_the_equations(units, randomize):
    model = randomize(_model("attention", attention_units=units), scale=1.0)
    w, b, u_w = (weight.numpy() for weight in model.get_layer("attention").weights)
    assert w.shape == (4, units or 4)
    for pooled, h, length in zip(model([STATES, NUM_FRAMES]), STATES, NUM_FRAMES, strict=True):
        u = np.tanh(h[:length] @ w + b)
        alpha = np.exp(u @ u_w[:, 0])
        alpha /= alpha.sum()
        np.testing.assert_allclose(pooled, alpha @ h[:length], atol=1e-5)


def test_attention_weights_sum_to_one_and_are_zero_on_padding():
    _, weights, _ = AttentionPooling()(STATES, NUM_FRAMES)
    weights = np.asarray(weights)
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-6)
    assert (weights[1, 2:] == 0).all()
    assert (weights[2] == [1, 0, 0, 0, 0]).all()


def test_attention_survives_great_states():
    layer = AttentionPooling()
    layer(STATES, NUM_FRAMES)
    layer.context.assign(np.full((4, 1), 1e4, np.float32))
    pooled, weights, _ = layer(STATES * 1e3, NUM_FRAMES)
    assert np.isfinite(pooled).all()
    np.testing.assert_allclose(np.asarray(weights).sum(1), 1.0, atol=1e-6)


def test_attention_starts_glorot_normal():
    keras.utils.set_random_seed(0)
    layer = AttentionPooling(300)
    layer(np.zeros((1, 2, 200), np.float32), np.array([2], np.int32))
    assert layer.kernel.numpy().std() == pytest.approx(np.sqrt(2 / 500), rel=0.05)
    assert layer.context.numpy().std() == pytest.approx(np.sqrt(2 / 301), rel=0.15)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_video_without_frames_gives_numbers(pooling):
    pooled = _model(pooling)([STATES, np.array([5, 0, 1], np.int32)])
    assert pooled.shape[0] == 3
    assert np.isfinite(pooled).all()
