"""Frames deleted and inserted: sums by hand, scikit-learn, and what must hold for any model."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.metrics import (
    deletion_curve,
    ground_truth_precision,
    insertion_curve,
    occlusion,
    random_importance,
)

WORTH = np.array([0.1, 0.4, 0.0, 0.2])


def additive(kept):
    """A score to which each frame adds its worth."""
    return kept @ WORTH


def two_classes(kept):
    return np.stack([additive(kept), 2 * additive(kept)], axis=1)


def test_occlusion_of_a_sum_is_what_each_frame_adds():
    np.testing.assert_allclose(occlusion(additive, 4), WORTH)
    np.testing.assert_allclose(occlusion(two_classes, 4), np.stack([WORTH, 2 * WORTH], axis=1))


def test_curves_by_hand():
    curve = deletion_curve(additive, WORTH)
    np.testing.assert_allclose(curve.shares, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.scores, [0.7, 0.3, 0.1, 0, 0])
    assert curve.area == pytest.approx(0.25 * (0.35 + 0.3 + 0.1))
    curve = insertion_curve(additive, WORTH)
    np.testing.assert_allclose(curve.scores, [0, 0.4, 0.6, 0.7, 0.7])
    assert curve.area == pytest.approx(0.25 * (0.4 + 0.6 + 0.7 + 0.35))
    np.testing.assert_allclose(insertion_curve(two_classes, WORTH).area, [curve.area, 2 * curve.area])


def test_of_equal_frames_the_earlier_goes_first():
    kept = []
    deletion_curve(lambda rows: kept.append(rows) or rows.sum(1), [1, 1, 1])
    np.testing.assert_array_equal(kept[0], [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]])


def test_few_steps_begin_and_end_alike():
    for frames in (1, 2, 10, 33):
        worth = np.random.default_rng(frames).uniform(size=frames)
        for steps in (1, 3, 7, 100):
            curve = deletion_curve(lambda kept, worth=worth: kept @ worth, worth, steps=steps)
            assert len(curve.shares) == min(steps, frames) + 1
            assert (curve.shares[0], curve.shares[-1]) == (0, 1)
            np.testing.assert_allclose(curve.scores[[0, -1]], [worth.sum(), 0], atol=1e-12)


def test_the_right_order_beats_every_other():
    for seed in range(10):
        worth = np.random.default_rng(seed).uniform(size=12)

        def score(kept, worth=worth):
            return np.tanh(kept @ worth)

        for curve, better in ((deletion_curve, np.less_equal), (insertion_curve, np.greater_equal)):
            best, worst = curve(score, worth).area, curve(score, -worth).area
            others = [curve(score, order).area for order in random_importance(12, seed=seed)]
            assert better(best, others).all() and better(others, worst).all()
        # Inserting in an order is deleting in the reverse one.
        assert insertion_curve(score, worth).area == pytest.approx(deletion_curve(score, -worth).area)


def test_random_orders_are_orders_and_come_again():
    orders = random_importance(6, seeds=4)
    assert orders.shape == (4, 6) and (np.sort(orders, axis=1) == np.arange(6)).all()
    np.testing.assert_array_equal(orders, random_importance(6, seeds=4))
    assert len({tuple(order) for order in orders}) > 1


def test_ground_truth_precision_is_scikit_learns():
    assert ground_truth_precision([0.1, 0.7, 0.2], [0, 1, 0]) == 1
    assert ground_truth_precision([0.7, 0.1, 0.2], [0, 1, 0]) == pytest.approx(1 / 3)
    assert ground_truth_precision([0.25] * 4, [1, 0, 0, 0]) == pytest.approx(0.25)
    assert np.isnan(ground_truth_precision([0.5, 0.5], [0, 0]))
    rng = np.random.default_rng(0)
    for _ in range(30):
        weights, truth = rng.integers(0, 5, 20) / 5, rng.uniform(size=20) < 0.3  # with ties
        truth[3] = True
        expected = average_precision_score(truth, weights)
        assert ground_truth_precision(weights, truth) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: deletion_curve(additive, []), "at least one frame"),
        (lambda: deletion_curve(additive, [np.nan]), "none of them NaN"),
        (lambda: deletion_curve(additive, np.zeros((2, 2))), r"shape \(2, 2\)"),
        (lambda: deletion_curve(additive, WORTH, steps=0), "`steps` must be a whole number of at least 1"),
        (lambda: occlusion(lambda kept: np.zeros(3), 4), r"each of 5 rows. Received: \(3,\)"),
        (lambda: ground_truth_precision([1, 2], [1]), "must share one shape"),
        (lambda: random_importance(3, seeds=0), "`seeds`"),
    ],
)
def test_what_cannot_be_measured(call, message):
    with pytest.raises(ValueError, match=message):
        call()
