"""Every pooling against its equations in numpy, video by video."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from dmlkit.models import POOLINGS
from dmlkit.models.encoders import Encoded
from dmlkit.models.inputs import LastFrame
from dmlkit.models.poolings import MIN_SPREAD, AttentionPooling

STATES = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
NUM_FRAMES = np.array([5, 2, 1], np.int32)
K = 3


def make(pooling):
    states, num_frames = keras.Input((None, 4)), keras.Input((), dtype="int32")
    encoded = Encoded(states, LastFrame()(states, num_frames))
    pooled = POOLINGS[pooling](encoded, num_frames, attention_units=None, heads=2, clusters=K)
    return keras.Model([states, num_frames], pooled)


def unit(values):
    return values / np.linalg.norm(values)


def flatten(clusters):
    """Clusters' vectors, each to length 1, then all of them: dimension by dimension, cluster by cluster."""
    return unit(np.stack([unit(vector) for vector in clusters], axis=1).ravel())


def attention(h, w, b, contexts):
    return (softmax(np.tanh(h @ w + b) @ contexts, axis=0).T @ h).ravel()


def cluster_logits(x, kernel, scale, shift, mean, variance):
    """norm(W x); the layer's own weights come first, then those of its normalization."""
    return (x @ kernel - mean) / np.sqrt(variance + 1e-3) * scale + shift


def assign(x, *weights):
    return softmax(cluster_logits(x, *weights), axis=1)


def netvlad(x, kernel, centres, *norm):
    a = assign(x, kernel, *norm)
    return flatten([sum(a[t, k] * (x[t] - centres[:, k]) for t in range(len(x))) for k in range(K)])


def netfv(x, kernel, centres, spread, *norm):
    a = assign(x, kernel, *norm)
    z = (x[:, :, None] - centres) / (spread**2 + MIN_SPREAD)
    first = [(a[:, k, None] * z[:, :, k]).sum(0) for k in range(K)]
    second = [(a[:, k, None] * (z[:, :, k] ** 2 - 1)).sum(0) for k in range(K)]
    return np.concatenate([flatten(first), flatten(second)])


REFERENCES = {
    "last": lambda h: h[-1],
    "mean": lambda h: h.mean(0),
    "attention": attention,
    "multi_head_attention": attention,
    "feature_attention": lambda h, w, b: (softmax(h @ w + b, axis=0) * h).sum(0),
    "netvlad": netvlad,
    "netrvlad": lambda x, *weights: flatten(assign(x, *weights).T @ x),
    "netfv": netfv,
    "soft_bag": lambda x, *weights: unit(assign(x, *weights).sum(0)),
    "deep_bag": lambda x, *weights: np.maximum(cluster_logits(x, *weights), 0).max(0),
}


def test_poolings_follow_their_equations_whatever_is_on_padding(randomize):
    padded = STATES.copy()
    padded[1, 2:], padded[2, 1:] = np.nan, 1e30
    for pooling in POOLINGS:
        model = randomize(make(pooling), scale=0.7)
        by_path = sorted(model.weights, key=lambda weight: "normalization" in weight.path)
        weights = [np.asarray(weight, np.float64) for weight in by_path]
        got = np.asarray(model([STATES, NUM_FRAMES]))
        for video, length in enumerate(NUM_FRAMES):
            expected = REFERENCES[pooling](STATES[video, :length].astype(np.float64), *weights)
            np.testing.assert_allclose(got[video], expected, atol=1e-4, err_msg=pooling)
        without_frames = np.asarray(model([STATES, np.array([5, 0, 1], np.int32)]))
        assert np.isfinite(without_frames).all(), pooling
        assert np.isfinite(np.asarray(model([padded, NUM_FRAMES]))).all(), pooling


def test_attentions_weights_also_of_large_states():
    for scale in (1, 1e4):
        _, weights, logits = map(np.asarray, AttentionPooling(3)(STATES * scale, NUM_FRAMES))
        for each, of_video, length in zip(weights, logits, NUM_FRAMES, strict=True):
            np.testing.assert_allclose(each[:length], softmax(of_video[:length]), atol=1e-6)
            assert (each[length:] == 0).all()


def test_attention_starts_glorot_normal():
    keras.utils.set_random_seed(0)
    layer = AttentionPooling(300)
    layer(np.zeros((1, 2, 200), np.float32), np.array([2], np.int32))
    assert np.asarray(layer.kernel).std() == pytest.approx(np.sqrt(2 / 500), rel=0.05)
    assert np.asarray(layer.context).std() == pytest.approx(np.sqrt(2 / 301), rel=0.2)
