"""The poolings over clusters and the gates, against their equations written with numpy, video by video."""

import keras
import numpy as np
import pytest

from dmlkit.models.clusters import LEAST_SPREAD, DeepBag, NetFV, NetRVLAD, NetVLAD, SoftBag
from dmlkit.models.gates import GATES, ContextGate

STATES = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
NUM_FRAMES = np.array([5, 2, 1], np.int32)
K = 3
# Keras's batch normalization adds this to the variance.
EPSILON = 1e-3


def _normalized(layer, values):
    scale, shift, mean, variance = (np.array(w) for w in layer.normalization.weights)
    return (values - mean) / np.sqrt(variance + EPSILON) * scale + shift


def _unit(values, axis=None):
    return values / np.linalg.norm(values, axis=axis, keepdims=axis is not None)


def _random(layer, randomize):
    states, num_frames = keras.Input((None, 4)), keras.Input((), dtype="int32")
    model = randomize(keras.Model([states, num_frames], layer(states, num_frames)))
    return np.asarray(model([STATES, NUM_FRAMES]))


def _videos(layer):
    """Each video's valid frames and how they belong to the clusters."""
    for states, length in zip(STATES, NUM_FRAMES, strict=True):
        x = states[:length].astype(np.float64)
        says = np.exp(_normalized(layer, x @ np.array(layer.kernel)))
        yield x, says / says.sum(1, keepdims=True)


def _flat(clusters):
    """Clusters' vectors, each to length 1, then all of them: dimension by dimension, cluster by cluster."""
    return _unit(np.stack([_unit(vector) for vector in clusters], axis=1).ravel())


def test_netvlad_sums_what_lies_between_frames_and_centres(randomize):
    layer = NetVLAD(K)
    got = _random(layer, randomize)
    for vector, (x, a) in zip(got, _videos(layer), strict=True):
        centres = np.array(layer.centres)
        expected = [sum(a[t, k] * (x[t] - centres[:, k]) for t in range(len(x))) for k in range(K)]
        np.testing.assert_allclose(vector, _flat(expected), atol=1e-5)


def test_netrvlad_has_no_centres(randomize):
    layer = NetRVLAD(K)
    got = _random(layer, randomize)
    for vector, (x, a) in zip(got, _videos(layer), strict=True):
        expected = [sum(a[t, k] * x[t] for t in range(len(x))) for k in range(K)]
        np.testing.assert_allclose(vector, _flat(expected), atol=1e-5)


def test_netfv_measures_mean_and_spread(randomize):
    layer = NetFV(K)
    got = _random(layer, randomize)
    for vector, (x, a) in zip(got, _videos(layer), strict=True):
        centres, spread = np.array(layer.centres), np.array(layer.spread) ** 2 + LEAST_SPREAD
        away = (x[:, :, None] - centres) / spread
        first = [(a[:, k, None] * away[:, :, k]).sum(0) for k in range(K)]
        second = [(a[:, k, None] * (away[:, :, k] ** 2 - 1)).sum(0) for k in range(K)]
        np.testing.assert_allclose(vector, np.concatenate([_flat(first), _flat(second)]), atol=1e-4)


def test_soft_bag_counts_frames(randomize):
    layer = SoftBag(K)
    got = _random(layer, randomize)
    for vector, (_, a) in zip(got, _videos(layer), strict=True):
        np.testing.assert_allclose(vector, _unit(a.sum(0)), atol=1e-5)


def test_deep_bag_takes_the_strongest_answer(randomize):
    layer = DeepBag(K)
    got = _random(layer, randomize)
    for vector, states, length in zip(got, STATES, NUM_FRAMES, strict=True):
        says = _normalized(layer, states[:length] @ np.array(layer.kernel))
        np.testing.assert_allclose(vector, np.maximum(says, 0).max(0), atol=1e-5)


@pytest.mark.parametrize("make", [NetVLAD, NetRVLAD, NetFV, SoftBag])
def test_the_order_of_frames_does_not_matter(make, randomize):
    layer = make(K)
    once = _random(layer, randomize)[0]
    again = np.asarray(layer(STATES[:, ::-1], np.array([5, 5, 5], np.int32)))[0]
    np.testing.assert_allclose(again, once, atol=1e-5)


def test_a_context_gate_weighs_each_entry_by_all(randomize):
    vector = keras.Input((4,))
    layer = ContextGate()
    model = randomize(keras.Model(vector, layer(vector)))
    x = STATES[:, 0]
    gate = 1 / (1 + np.exp(-_normalized(layer, x @ np.array(layer.kernel))))
    np.testing.assert_allclose(model(x), x * gate, atol=1e-5)


@pytest.mark.parametrize("gate", GATES)
def test_gated_scores_are_scores(gate, randomize):
    scores = keras.Input((7,))
    model = randomize(keras.Model(scores, GATES[gate](scores, name="gate")), scale=3.0)
    given = np.random.default_rng(1).random((5, 7)).astype(np.float32)
    gated = np.asarray(model(given))
    assert gated.shape == given.shape
    assert ((gated >= 0) & (gated <= 1)).all()
