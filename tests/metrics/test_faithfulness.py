"""Taking frames away, against sums by hand, scikit-learn, and what must hold for any model."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.metrics import (
    deletion_curve,
    ground_truth_precision,
    insertion_curve,
    mean_interval,
    occlusion,
    random_importance,
)

WORTH = np.array([0.1, 0.4, 0.0, 0.2])


def adds_up(kept):
    """A score to which each frame adds what it is worth."""
    return kept @ WORTH


def test_occlusion_of_a_sum_is_what_each_frame_adds():
    np.testing.assert_allclose(occlusion(adds_up, 4), WORTH)
    both = occlusion(lambda kept: np.stack([kept @ WORTH, 2 * (kept @ WORTH)], axis=1), 4)
    np.testing.assert_allclose(both, np.stack([WORTH, 2 * WORTH], axis=1))


def test_deletion_by_hand():
    curve = deletion_curve(adds_up, WORTH)
    np.testing.assert_allclose(curve.shares, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.scores, [0.7, 0.3, 0.1, 0, 0])
    assert curve.area == pytest.approx(0.25 * (0.35 + 0.3 + 0.1))


def test_insertion_by_hand():
    curve = insertion_curve(adds_up, WORTH)
    np.testing.assert_allclose(curve.scores, [0, 0.4, 0.6, 0.7, 0.7])
    assert curve.area == pytest.approx(0.25 * (0.4 + 0.6 + 0.7 + 0.35))


def test_of_equal_frames_the_earlier_goes_first():
    asked = []
    deletion_curve(lambda kept: asked.append(kept) or kept.sum(1), [1, 1, 1])
    np.testing.assert_array_equal(asked[0], [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]])


def test_classes_have_curves_of_their_own():
    def two(kept):
        return np.stack([adds_up(kept), np.full(len(kept), 0.5)], axis=1)

    curve = deletion_curve(two, WORTH)
    assert curve.scores.shape == (5, 2)
    np.testing.assert_allclose(curve.area, [deletion_curve(adds_up, WORTH).area, 0.5])


@pytest.mark.parametrize("steps", [1, 3, 7, 100])
@pytest.mark.parametrize("frames", [1, 2, 10, 33])
def test_few_steps_begin_and_end_alike(frames, steps):
    worth = np.random.default_rng(frames).uniform(size=frames)
    curve = deletion_curve(lambda kept: kept @ worth, worth, steps=steps)
    assert len(curve.shares) == min(steps, frames) + 1
    assert (curve.shares[0], curve.shares[-1]) == (0, 1)
    np.testing.assert_allclose(curve.scores[[0, -1]], [worth.sum(), 0], atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_the_right_order_beats_every_other(seed):
    rng = np.random.default_rng(seed)
    worth = rng.uniform(size=12)

    def score(kept):
        return np.tanh(kept @ worth)

    for curve, better in ((deletion_curve, np.less_equal), (insertion_curve, np.greater_equal)):
        best, worst = curve(score, worth).area, curve(score, -worth).area
        others = [curve(score, order).area for order in random_importance(12, seed=seed)]
        assert better(best, others).all() and better(others, worst).all()
        assert better(best, worst)


def test_a_score_that_never_changes_is_its_own_area():
    for curve in (deletion_curve, insertion_curve):
        assert curve(lambda kept: np.full(len(kept), 0.3), np.arange(7)).area == pytest.approx(0.3)


def test_areas_of_the_two_curves_are_those_of_the_reversed_order():
    importance = np.random.default_rng(0).normal(size=9)
    worth = np.random.default_rng(1).uniform(size=9)

    def score(kept):
        return (kept @ worth) ** 2

    assert insertion_curve(score, importance).area == pytest.approx(deletion_curve(score, -importance).area)


def test_random_orders_are_orders_and_come_again():
    orders = random_importance(6, seeds=4)
    assert orders.shape == (4, 6) and (np.sort(orders, axis=1) == np.arange(6)).all()
    np.testing.assert_array_equal(orders, random_importance(6, seeds=4))
    assert len({tuple(order) for order in orders}) > 1


@pytest.mark.parametrize("seed", range(30))
def test_planted_precision_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 5, 20) / 5  # with ties
    planted = rng.uniform(size=20) < 0.3
    planted[3] = True
    assert ground_truth_precision(weights, planted) == pytest.approx(
        average_precision_score(planted, weights)
    )


def test_planted_precision_by_hand():
    assert ground_truth_precision([0.1, 0.7, 0.2], [0, 1, 0]) == 1
    assert ground_truth_precision([0.7, 0.1, 0.2], [0, 1, 0]) == pytest.approx(1 / 3)
    assert ground_truth_precision([0.25] * 4, [1, 0, 0, 0]) == pytest.approx(0.25)
    assert np.isnan(ground_truth_precision([0.5, 0.5], [0, 0]))


def test_the_interval_of_a_mean_holds_it():
    values = np.random.default_rng(0).normal(loc=3, size=400)
    low, high = mean_interval([*values, np.nan])
    assert low < values.mean() < high
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.15)
    assert mean_interval([2.0, 2.0]) == (2, 2)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: deletion_curve(adds_up, []), "at least one frame"),
        (lambda: deletion_curve(adds_up, [np.nan]), "none of them NaN"),
        (lambda: deletion_curve(adds_up, np.zeros((2, 2))), r"shape \(2, 2\)"),
        (lambda: deletion_curve(adds_up, WORTH, steps=0), "`steps` must be a whole number of at least 1"),
        (lambda: occlusion(lambda kept: np.zeros(3), 4), r"each of 5 rows. Received: \(3,\)"),
        (lambda: ground_truth_precision([1, 2], [1]), "must share one shape"),
        (lambda: random_importance(3, seeds=0), "`seeds`"),
        (lambda: mean_interval([np.nan]), "at least one video"),
        (lambda: mean_interval([1], level=1), "`level`"),
    ],
)
def test_what_cannot_be_measured(call, message):
    with pytest.raises(ValueError, match=message):
        call()
