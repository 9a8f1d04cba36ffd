"""Attention that weighs more than once, against its equations written with numpy."""

import keras
import numpy as np

from dmlkit.models.attention_poolings import FeatureAttentionPooling, MultiHeadAttentionPooling
from dmlkit.models.classifiers import FRAME_CLASSIFIERS

STATES = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
NUM_FRAMES = np.array([5, 2, 1], np.int32)


def _softmax(says):
    shares = np.exp(says - says.max(0))
    return shares / shares.sum(0)


def _random(layer, randomize):
    states, num_frames = keras.Input((None, 4)), keras.Input((), dtype="int32")
    model = randomize(keras.Model([states, num_frames], layer(states, num_frames)), scale=1.0)
    return np.asarray(model([STATES, NUM_FRAMES])), [np.array(weight) for weight in model.weights]


def test_each_head_weighs_by_itself(randomize):
    got, (w, b, contexts) = _random(MultiHeadAttentionPooling(2, 3), randomize)
    for vector, h, length in zip(got, STATES, NUM_FRAMES, strict=True):
        alpha = _softmax(np.tanh(h[:length] @ w + b) @ contexts)
        np.testing.assert_allclose(
            vector, np.concatenate([alpha[:, 0] @ h[:length], alpha[:, 1] @ h[:length]]), atol=1e-5
        )


def test_each_feature_has_its_weights(randomize):
    got, (w, b) = _random(FeatureAttentionPooling(), randomize)
    for vector, h, length in zip(got, STATES, NUM_FRAMES, strict=True):
        alpha = _softmax(h[:length] @ w + b)
        np.testing.assert_allclose(vector, (alpha * h[:length]).sum(0), atol=1e-5)


def test_each_class_weighs_what_frames_say_of_it(randomize):
    states, num_frames = keras.Input((None, 4)), keras.Input((), dtype="int32")
    scores = FRAME_CLASSIFIERS["class_attention"](states, num_frames, num_classes=3, mixtures=2, l2=0.0)
    model = randomize(keras.Model([states, num_frames], scores), scale=1.0)
    (w, b), (v, c) = (model.get_layer(name).get_weights() for name in ("judged", "says"))
    for got, h, length in zip(model([STATES, NUM_FRAMES]), STATES, NUM_FRAMES, strict=True):
        judged = 1 / (1 + np.exp(-(h[:length] @ w + b)))
        np.testing.assert_allclose(got, (_softmax(h[:length] @ v + c) * judged).sum(0), atol=1e-5)
