"""Average precision by class and mAP, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.metrics import average_precision_by_class, mean_average_precision


def test_by_hand():
    # Class 0: .9 right, .8 wrong, .1 right: (1/1 + 2/3) / 2. Class 1: its one video last of three: 1/3.
    # Class 2: nobody's. Class 3: all alike, two of three right: 2/3.
    scores = np.array([[0.9, 0.9, 0.1, 0.5], [0.8, 0.8, 0.2, 0.5], [0.1, 0.1, 0.3, 0.5]])
    labels = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]])
    by_class = average_precision_by_class(scores, labels)
    np.testing.assert_allclose(by_class, [5 / 6, 1 / 3, np.nan, 2 / 3], rtol=0, atol=1e-15)
    assert mean_average_precision(scores, labels) == (pytest.approx((5 / 6 + 1 / 3 + 2 / 3) / 3), 3, 4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_matches_scikit_learn_with_ties(dtype):
    rng = np.random.default_rng(0)
    for videos, classes in [(1, 5), (40, 3), (25, 64), (30, 150)]:
        levels = int(rng.integers(2, 30))
        scores = (rng.integers(levels, size=(videos, classes)) / levels).astype(dtype)
        labels = rng.random((videos, classes)) < rng.random(classes) * 0.3
        by_class = average_precision_by_class(scores, labels)
        occurs = labels.any(axis=0)
        np.testing.assert_array_equal(np.isnan(by_class), ~occurs)
        expected = [average_precision_score(labels[:, c], scores[:, c]) for c in np.flatnonzero(occurs)]
        np.testing.assert_allclose(by_class[occurs], expected, rtol=0, atol=1e-12)
        mean = mean_average_precision(scores, labels)
        assert mean.value == pytest.approx(np.mean(expected) if expected else 0.0, abs=1e-12)
        assert (mean.classes_counted, mean.num_classes) == (occurs.sum(), classes)


def test_the_order_of_videos_does_not_matter():
    rng = np.random.default_rng(1)
    scores, labels = rng.integers(9, size=(50, 20)) / 9, rng.random((50, 20)) < 0.2
    order = rng.permutation(50)
    np.testing.assert_array_equal(
        average_precision_by_class(scores, labels), average_precision_by_class(scores[order], labels[order])
    )


def test_no_class_occurs():
    assert np.isnan(average_precision_by_class(np.ones((2, 3)), np.zeros((2, 3)))).all()
    assert mean_average_precision(np.ones((2, 3)), np.zeros((2, 3))) == (0.0, 0, 3)
    assert mean_average_precision(np.ones((0, 3)), np.zeros((0, 3))) == (0.0, 0, 3)


def test_faults():
    for function in (average_precision_by_class, mean_average_precision):
        with pytest.raises(ValueError, match="share one shape"):
            function(np.zeros((2, 3)), np.zeros((3, 2)))
        with pytest.raises(ValueError, match="NaN"):
            function(np.full((2, 3), np.nan), np.zeros((2, 3)))
