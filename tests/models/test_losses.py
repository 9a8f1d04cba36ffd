import keras
import numpy as np
import pytest

from dmlkit.models import cross_entropy


def test_by_hand():
    labels = np.array([[1, 0, 0], [0, 1, 1]], np.float32)
    scores = np.array([[0.5, 0.25, 0.1], [0.2, 0.9, 0.5]], np.float32)
    expected = -(np.log([0.5, 0.75, 0.9]).sum() + np.log([0.8, 0.9, 0.5]).sum()) / 2
    assert float(cross_entropy(labels, scores)) == pytest.approx(expected, rel=1e-6)


def test_saturated_scores_give_a_finite_loss():
    labels = np.array([[1, 0, 1, 0]], np.float32)
    assert float(cross_entropy(labels, labels)) == pytest.approx(0.0, abs=1e-5)
    wrong = float(cross_entropy(labels, 1 - labels))
    assert wrong == pytest.approx(-4 * np.log(1e-7), rel=0.02)


def test_keras_trains_with_it_and_reports_it():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="sigmoid")])
    model.compile("sgd", loss=cross_entropy, jit_compile=False)
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(10, 4)).astype(np.float32), rng.integers(0, 2, (10, 3))
    expected = float(cross_entropy(labels, model(inputs)))
    # Batches of 4, 4 and 2 videos: the mean is over videos, not over batches.
    assert model.evaluate(inputs, labels, batch_size=4, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_it_is_found_by_its_registered_name():
    assert keras.losses.get(keras.losses.serialize(cross_entropy)) is cross_entropy
