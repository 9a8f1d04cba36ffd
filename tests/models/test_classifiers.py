import keras
import numpy as np
import pytest

from dmlkit.models.classifiers import CHAINED, CLASSIFIERS

POOLED = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def _model(classifier, *, mixtures=2, l2=1e-8, num_classes=3):
    pooled = keras.Input((6,))
    return keras.Model(
        pooled, CLASSIFIERS[classifier](pooled, num_classes=num_classes, mixtures=mixtures, l2=l2)
    )


def test_logistic_is_a_sigmoid_for_each_class(randomize):
    model = randomize(_model("logistic"))
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model(POOLED), _sigmoid(POOLED @ kernel + bias), atol=1e-6)


def test_a_model_that_has_seen_nothing_gives_a_video_one_label():
    model = _model("logistic", num_classes=500)
    nothing_seen = model(np.zeros_like(POOLED))
    np.testing.assert_allclose(np.asarray(nothing_seen).sum(1), 1.0, rtol=1e-4)
    # The mixture's dummy expert takes its share of the gates: 1 of 3.
    model = _model("mixture_of_experts", num_classes=500)
    np.testing.assert_allclose(np.asarray(model(np.zeros_like(POOLED))).sum(1), 2 / 3, rtol=1e-4)


@pytest.mark.parametrize("mixtures", [1, 2, 4])
def test_mixture_of_experts_by_hand(mixtures, randomize):
    model = randomize(_model("mixture_of_experts", mixtures=mixtures))
    (gates,) = model.get_layer("gates").get_weights()
    experts, bias = model.get_layer("experts").get_weights()
    got = np.asarray(model(POOLED))
    for video, s in enumerate(POOLED):
        for place in range(3):
            logits = [s @ gates[:, place * (mixtures + 1) + m] for m in range(mixtures + 1)]
            shares = np.exp(logits) / np.exp(logits).sum()
            columns = [place * mixtures + m for m in range(mixtures)]
            says = [_sigmoid(s @ experts[:, column] + bias[column]) for column in columns]
            assert got[video, place] == pytest.approx(shares[:-1] @ says, abs=1e-5)


def _experts(s, gates, experts, bias, *, mixtures):
    """Σ_m softmax(gates)_m σ(experts)_m class by class, the last gate for an expert that says no."""
    scores = np.zeros(3)
    for place in range(3):
        logits = s @ gates[:, place * (mixtures + 1) : (place + 1) * (mixtures + 1)]
        columns = slice(place * mixtures, (place + 1) * mixtures)
        shares = np.exp(logits) / np.exp(logits).sum()
        scores[place] = shares[:-1] @ _sigmoid(s @ experts[:, columns] + bias[columns])
    return scores


@pytest.mark.parametrize("mixtures", [1, 3])
def test_chaining_by_hand(mixtures, randomize):
    model = randomize(_model("chaining", mixtures=mixtures))
    weights = {
        name: model.get_layer(name).get_weights()
        for name in ("first_gates", "first_experts", "chained_projection", "second_gates", "second_experts")
    }
    kernel, bias = weights["chained_projection"]
    assert kernel.shape == (3, CHAINED)
    got = np.asarray(model(POOLED))
    for video, s in enumerate(POOLED):
        first = _experts(s, *weights["first_gates"], *weights["first_experts"], mixtures=mixtures)
        said = np.maximum(first @ kernel + bias, 0.0)
        both = np.concatenate([s, said / np.linalg.norm(said)])
        second = _experts(both, *weights["second_gates"], *weights["second_experts"], mixtures=mixtures)
        np.testing.assert_allclose(got[video], second, atol=1e-5)


def test_penalty_is_on_the_kernels_alone(randomize):
    model = randomize(_model("logistic", l2=0.1))
    kernel, _ = model.get_weights()
    assert float(model.losses[0]) == pytest.approx(0.1 * (kernel**2).sum(), rel=1e-5)
    assert not _model("logistic", l2=0.0).losses


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("num_classes", [1, 7])
def test_every_classifier_gives_probabilities(classifier, num_classes, randomize):
    scores = np.asarray(randomize(_model(classifier, num_classes=num_classes), scale=3.0)(POOLED))
    assert scores.shape == (5, num_classes)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
