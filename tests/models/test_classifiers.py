"""Classifiers, gates and the loss against their equations in numpy."""

import keras
import numpy as np
import pytest
from scipy.special import expit as sigmoid
from scipy.special import softmax

from dmlkit.models import CLASSIFIERS, FRAME_CLASSIFIERS, GATES, cross_entropy

POOLED = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)


def make(classifier, *, mixtures=2, l2=1e-8, num_classes=3):
    pooled = keras.Input((6,))
    scores = CLASSIFIERS[classifier](pooled, num_classes=num_classes, mixtures=mixtures, l2=l2)
    return keras.Model(pooled, scores)


def experts(s, gates, experts, bias, *, mixtures):
    """Σ_m softmax(gates)_m σ(experts)_m class by class, the last gate for an expert that says no."""
    scores = np.zeros(3)
    for i in range(3):
        shares = softmax(s @ gates[:, i * (mixtures + 1) : (i + 1) * (mixtures + 1)])
        columns = slice(i * mixtures, (i + 1) * mixtures)
        scores[i] = shares[:-1] @ sigmoid(s @ experts[:, columns] + bias[columns])
    return scores


def test_logistic_is_a_sigmoid_for_each_class_with_a_penalty_on_its_kernel(randomize):
    model = randomize(make("logistic", l2=0.1))
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model(POOLED), sigmoid(POOLED @ kernel + bias), atol=1e-6)
    assert float(model.losses[0]) == pytest.approx(0.1 * (kernel**2).sum(), rel=1e-5)


@pytest.mark.parametrize("mixtures", [1, 3])
def test_mixture_of_experts_and_chaining_by_their_equations(mixtures, randomize):
    model = randomize(make("mixture_of_experts", mixtures=mixtures))
    weights = [*model.get_layer("gates").get_weights(), *model.get_layer("experts").get_weights()]
    expected = [experts(s, *weights, mixtures=mixtures) for s in POOLED]
    np.testing.assert_allclose(model(POOLED), expected, atol=1e-5)

    model = randomize(make("chaining", mixtures=mixtures))
    names = ("first_gates", "first_experts", "second_gates", "second_experts", "chained_projection")
    gates, first, other_gates, second, (kernel, bias) = (model.get_layer(n).get_weights() for n in names)
    for got, s in zip(np.asarray(model(POOLED)), POOLED, strict=True):
        hidden = np.maximum(experts(s, *gates, *first, mixtures=mixtures) @ kernel + bias, 0.0)
        both = np.concatenate([s, hidden / np.linalg.norm(hidden)])
        np.testing.assert_allclose(got, experts(both, *other_gates, *second, mixtures=mixtures), atol=1e-5)


def test_class_attention_by_its_equations(randomize):
    states = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    num_frames = np.array([5, 2, 1], np.int32)
    inputs = keras.Input((None, 4)), keras.Input((), dtype="int32")
    scores = FRAME_CLASSIFIERS["class_attention"](*inputs, num_classes=3, mixtures=2, l2=0.0)
    model = randomize(keras.Model(inputs, scores), scale=1.0)
    (w, b), (v, c) = (model.get_layer(name).get_weights() for name in ("frame_logits", "frame_attention"))
    for got, h, length in zip(np.asarray(model([states, num_frames])), states, num_frames, strict=True):
        h = h[:length]
        np.testing.assert_allclose(got, (softmax(h @ v + c, axis=0) * sigmoid(h @ w + b)).sum(0), atol=1e-5)


def test_an_untrained_model_expects_one_label_a_video():
    for classifier, share in {"logistic": 1.0, "mixture_of_experts": 2 / 3}.items():  # the dummy has a third
        scores = np.asarray(make(classifier, num_classes=500)(np.zeros_like(POOLED)))
        np.testing.assert_allclose(scores.sum(1), share, rtol=1e-4)


def test_a_context_gate_weighs_each_entry_by_all(randomize):
    vector = keras.Input((6,))
    assert GATES["none"](vector, name="gate") is vector
    model = randomize(keras.Model(vector, GATES["context"](vector, name="gate")))
    layer = model.get_layer("gate")
    scale, shift, mean, variance = (np.asarray(weight) for weight in layer.normalization.weights)
    gate = (POOLED @ np.asarray(layer.kernel) - mean) / np.sqrt(variance + 1e-3) * scale + shift
    np.testing.assert_allclose(model(POOLED), POOLED * sigmoid(gate), atol=1e-5)


def test_cross_entropy_by_hand_and_saturated():
    labels = np.array([[1, 0, 0], [0, 1, 1]], np.float32)
    scores = np.array([[0.5, 0.25, 0.1], [0.2, 0.9, 0.5]], np.float32)
    expected = -(np.log([0.5, 0.75, 0.9]).sum() + np.log([0.8, 0.9, 0.5]).sum()) / 2
    assert float(cross_entropy(labels, scores)) == pytest.approx(expected, rel=1e-6)
    assert float(cross_entropy(labels, 1 - labels)) == pytest.approx(-3 * np.log(1e-7), rel=0.02)
    assert keras.losses.get(keras.losses.serialize(cross_entropy)) is cross_entropy
