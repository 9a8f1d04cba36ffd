"""Frames deleted and inserted: sums by hand, scikit-learn, and what must hold for any model."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.metrics import (
    deletion_curve,
    ground_truth_precision,
    occlusion,
    random_importance,
)

WORTH = np.array([0.1, 0.4, 0.0, 0.2])


def two_classes(kept):
    """Scores to which each frame adds its worth, in the second class twice."""
    return np.stack([kept @ WORTH, 2 * (kept @ WORTH)], axis=1)


def test_occlusion_of_a_sum_is_what_each_frame_adds():
    np.testing.assert_allclose(occlusion(two_classes, 4), np.stack([WORTH, 2 * WORTH], axis=1))


def test_curves_by_hand():
    curve = deletion_curve(lambda kept: kept @ WORTH, WORTH)
    np.testing.assert_allclose(curve.shares, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.scores, [0.7, 0.3, 0.1, 0, 0])
    assert curve.area == pytest.approx(0.25 * (0.35 + 0.3 + 0.1))
    curve = deletion_curve(two_classes, WORTH, insert=True)
    np.testing.assert_allclose(curve.scores[:, 0], [0, 0.4, 0.6, 0.7, 0.7])
    np.testing.assert_allclose(curve.area, np.array([1, 2]) * 0.25 * (0.4 + 0.6 + 0.7 + 0.35))
    # Of equal frames the earlier is deleted first.
    kept = []
    deletion_curve(lambda rows: kept.append(rows) or rows.sum(1), [1, 1, 1])
    np.testing.assert_array_equal(kept[0], [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]])


def test_few_steps_begin_and_end_alike():
    for frames, steps in ((1, 3), (10, 1), (10, 7), (33, 100)):
        worth = np.random.default_rng(frames).uniform(size=frames)
        curve = deletion_curve(lambda kept, worth=worth: kept @ worth, worth, steps=steps)
        assert len(curve.shares) == min(steps, frames) + 1
        assert (curve.shares[0], curve.shares[-1]) == (0, 1)
        np.testing.assert_allclose(curve.scores[[0, -1]], [worth.sum(), 0], atol=1e-12)
    with pytest.raises(ValueError, match="`steps` must be a whole number of at least 1"):
        deletion_curve(lambda kept: kept @ WORTH, WORTH, steps=0)


def test_the_right_order_beats_random_ones():
    orders = random_importance(12, seeds=4)
    assert orders.shape == (4, 12) and (np.sort(orders, axis=1) == np.arange(12)).all()
    np.testing.assert_array_equal(orders, random_importance(12, seeds=4))
    assert len({tuple(order) for order in orders}) > 1
    worth = np.random.default_rng(0).uniform(size=12)

    def score(kept):
        return np.tanh(kept @ worth)

    assert all(deletion_curve(score, worth).area < deletion_curve(score, order).area for order in orders)
    right, *others = (deletion_curve(score, order, insert=True).area for order in (worth, *orders))
    assert right > max(others)


def test_ground_truth_precision_is_scikit_learns():
    assert ground_truth_precision([0.25] * 4, [1, 0, 0, 0]) == pytest.approx(0.25)
    assert np.isnan(ground_truth_precision([0.5, 0.5], [0, 0]))
    rng = np.random.default_rng(0)
    for _ in range(30):
        weights, truth = rng.integers(0, 5, 20) / 5, rng.uniform(size=20) < 0.3  # with ties
        truth[3] = True
        expected = average_precision_score(truth, weights)
        assert ground_truth_precision(weights, truth) == pytest.approx(expected)
