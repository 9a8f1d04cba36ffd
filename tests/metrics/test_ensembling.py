"""Algorithm 2 and the other combiners: by hand, against scipy, and what holds of each."""

import numpy as np
import pytest
from scipy.optimize import minimize

from dmlkit.errors import UsageError
from dmlkit.metrics import (
    COMBINERS,
    Weights,
    combine,
    gap_weights,
    global_average_precision,
    optimize_weights,
    overlap,
    top_k_pairs,
    weighted_average,
)

every_combiner = pytest.mark.parametrize("by", COMBINERS)
HALF = Weights(np.array([0.5, 0.5]))


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def sample(seed, *, models=3, videos=60, classes=40, noise=(1.0, 1.5, 3.0)):
    """Members of different strength, and the labels they predict."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-3, 2, (videos, classes))
    labels = rng.random((videos, classes)) < sigmoid(truth)
    noisy = [truth + rng.normal(0, noise[i % len(noise)], truth.shape) for i in range(models)]
    return [sigmoid(each).astype(np.float16) for each in noisy], labels


def both(scores, labels, by):
    weights = optimize_weights([(scores, labels)], by=by)
    return weights, combine(scores, weights, by=by)


def test_algorithm_2_by_hand():
    # GAPs .3 and .1: weights 3/4 and 1/4. Class 0: .75·.2 + .25·.8 = .35; class 1: .45 + .05 = .5;
    # class 2: .15 + .2 = .35. Best two: class 1, then class 0, which is lower than its equal, class 2.
    weights = gap_weights([0.3, 0.1])
    np.testing.assert_allclose(weights, [0.75, 0.25], rtol=0, atol=1e-15)
    scores = weighted_average([np.array([[0.2, 0.6, 0.2]]), np.array([[0.8, 0.2, 0.8]])], weights)
    np.testing.assert_allclose(scores, [[0.35, 0.5, 0.35]], rtol=0, atol=1e-15)
    assert top_k_pairs(scores, k=2).classes.tolist() == [[1, 0]]
    # The weights of runs are their GAPs on the tuning split, of all classes.
    scores, labels = sample(10, classes=300)
    gaps = np.array([global_average_precision(member, labels) for member in scores])
    weights = optimize_weights([(scores, labels)], by="algorithm_2")
    np.testing.assert_allclose(weights.members, gaps / gaps.sum(), rtol=1e-12)


def test_a_weighted_average_of_members_of_any_precision_loaded_one_by_one():
    members, weights = np.random.default_rng(1).random((9, 6, 11)), np.linspace(0.1, 0.9, 9)
    expected = np.einsum("i,ivc->vc", weights, members)
    got = weighted_average((member for member in members), weights)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
    halves = weighted_average(members.astype(np.float16), weights)
    assert halves.dtype == np.float32
    np.testing.assert_allclose(halves, expected, atol=0.005)


def test_what_cannot_be_combined_is_named():
    a = np.zeros((2, 3))
    for call, match in (
        (lambda: gap_weights([]), "at least one"),
        (lambda: gap_weights([0.5, -0.1]), "not negative"),
        (lambda: gap_weights([0.0, 0.0]), "not all 0"),
        (lambda: weighted_average([a, a], [1.0]), "1 weights for more models"),
        (lambda: weighted_average([a, a], [1.0, 1.0, 1.0]), "3 weights for 2 models"),
        (lambda: weighted_average([a, a[:, :1]], [0.5, 0.5]), r"\[0\]=\(2, 3\), scores\[1\]=\(2, 1\)"),
        (lambda: optimize_weights([], by="optimized"), "at least one part"),
        (lambda: optimize_weights([([a - 1], a + 1)], by="stacking"), r"from 0 to 1\. Received: .* -1"),
        (lambda: overlap(a, a[:1]), "share one shape"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    with pytest.raises(UsageError, match="Did you mean 'majority'"):
        combine([a, a], HALF, by="majorty")


def test_rank_mean_by_hand():
    # Ranks 1, 2, 3 and 3, 1.5, 1.5: (1 + 1/3) / 2, (1/2 + 2/3) / 2, (1/3 + 2/3) / 2.
    got = combine([np.array([[0.9, 0.8, 0.1]]), np.array([[0.1, 0.3, 0.3]])], HALF, by="rank_mean")
    np.testing.assert_allclose(got, [[2 / 3, 7 / 12, 1 / 2]], rtol=1e-6)
    scores = np.random.default_rng(0).integers(0, 6, (50, 17)).astype(np.float16)
    for video, got in zip(scores, combine([scores], Weights(np.ones(1)), by="rank_mean"), strict=True):
        ranks = [(video > one).sum() + ((video == one).sum() + 1) / 2 for one in video]
        np.testing.assert_allclose(got, 1 / np.array(ranks), rtol=1e-6)


def test_majority_by_hand():
    # 22 classes. The first member has 0..19 among its highest, the second 2..21: both vote for 2..19.
    first, second = np.linspace(0.9, 0.1, 22)[None], np.linspace(0.1, 0.8, 22)[None]
    got = combine([first, second], HALF, by="majority")[0]
    # With both votes the mean decides, which the first member's steeper line makes higher for low classes.
    assert np.argsort(-got, kind="stable").tolist() == [*range(2, 20), 0, 1, 20, 21]
    np.testing.assert_allclose(got[0], (1 + np.sqrt((0.9 + 0.1) / 2)) / 3, rtol=1e-6)
    # Votes leave small means distinct at half precision.
    means = np.linspace(0.001, 0.02, 20, dtype=np.float16)[None]
    assert len(np.unique(combine([means, means], HALF, by="majority").astype(np.float16))) == 20


def test_stacking_by_hand_and_minimizes_its_loss():
    first, second = sigmoid(np.array([[1.0, -2.0]])), sigmoid(np.array([[0.5, 3.0]]))
    got = combine([first, second], Weights(np.array([2.0, -1.0]), 0.25), by="stacking")
    np.testing.assert_allclose(got, sigmoid(np.array([[1.75, -6.75]])), rtol=1e-9)
    scores, labels = sample(1)
    inputs = np.stack([np.log(s / (1 - s)) for s in (member.astype(float) for member in scores)])

    def loss(numbers):
        logits = np.tensordot(numbers[:-1], inputs, axes=1) + numbers[-1]
        entropy = (np.logaddexp(0, logits) - labels * logits).sum()
        return entropy + ((numbers[:-1] - 1 / 3) ** 2).sum() / 2 + numbers[-1] ** 2 / 2

    weights = optimize_weights([(scores, labels)], by="stacking")
    expected = minimize(loss, np.zeros(4), method="Nelder-Mead", options={"xatol": 1e-7, "maxiter": 4000}).x
    np.testing.assert_allclose([*weights.members, weights.bias], expected, atol=1e-4)


def test_optimized_by_hand_and_near_the_best_of_all_shares():
    # Member 0 ranks the two right pairs 1st and 3rd (GAP 5/6), member 1 2nd and 3rd (7/12), member 2 is no help: the
    # mean of the first two ranks them 1st and 2nd.
    labels = np.array([[1, 0, 0, 1]])
    members = [[0.9, 0.5, 0.1, 0.4], [0.5, 0.1, 0.6, 0.4], [0.0, 1.0, 1.0, 0.0]]
    weights, combined = both([np.array([member]) for member in members], labels, "optimized")
    np.testing.assert_allclose(weights.members, [0.5, 0.5, 0])
    assert global_average_precision(combined, labels) == 1
    (first, second), labels = sample(3, models=2, noise=(1.0, 1.6), videos=300)
    gaps = [
        global_average_precision(share * first.astype(float) + (1 - share) * second.astype(float), labels)
        for share in np.linspace(0, 1, 31)
    ]
    _, combined = both([first, second], labels, "optimized")
    assert global_average_precision(combined, labels) > max(gaps) - 0.002
    assert max(gaps) > max(gaps[0], gaps[-1]) + 0.005
    # Of the same members the earlier.
    assert optimize_weights([([first, first], labels)], by="optimized").members.tolist() == [1, 0]


@every_combiner
def test_one_member_keeps_its_order_and_equal_ones_are_as_one(by):
    (scores, *_), labels = sample(5)
    _, one = both([scores], labels, by)
    order = np.argsort(-scores.astype(float), axis=1, kind="stable")[:, :20]
    np.testing.assert_array_equal(np.argsort(-one, axis=1, kind="stable")[:, :20], order)
    _, three = both([scores] * 3, labels, by)
    gaps = [global_average_precision(each, labels) for each in (one, three)]
    assert gaps[0] == pytest.approx(gaps[1], abs=0.002)


@every_combiner
def test_neither_the_order_of_members_nor_parts_of_the_videos_change_anything(by):
    scores, labels = sample(7)
    before = [member.copy() for member in scores]
    weights, combined = both(scores, labels, by)
    reversed_weights, again = both(scores[::-1], labels, by)
    np.testing.assert_allclose(reversed_weights.members[::-1], weights.members, atol=1e-6)
    np.testing.assert_allclose(again, combined, atol=1e-5)
    parts = [([member[rows] for member in scores], labels[rows]) for rows in (slice(0, 7), slice(7, 60))]
    in_parts = optimize_weights(iter(parts), by=by)
    np.testing.assert_allclose(
        [*in_parts.members, in_parts.bias], [*weights.members, weights.bias], atol=1e-9
    )
    pieces = [combine(members, weights, by=by) for members, _ in parts]
    np.testing.assert_array_equal(np.concatenate(pieces), combined)
    np.testing.assert_array_equal(scores, before)


@every_combiner
@pytest.mark.filterwarnings("error")
def test_degenerate_members_leave_everything_finite(by):
    """A member that scores all alike, one that is there twice, one without a fault, and only labels."""
    (good, other, _), labels = sample(8)
    cases = [[good, np.full_like(good, value)] for value in (0.0, 0.5, 1.0)]
    cases += [[good, other, good], [labels.astype(np.float16), good], [labels * 1.0] * 2]
    for members in cases:
        for truth in (labels, np.ones_like(labels)):
            weights, combined = both(members, truth, by)
            assert np.isfinite([*weights.members, weights.bias]).all() and np.isfinite(combined).all()


def test_overlap_by_hand():
    # Highest two of each: {0, 1} and {1, 2} share one, {2, 3} and {2, 3} both: (1/2 + 1) / 2.
    first = np.array([[0.9, 0.8, 0.1, 0.0], [0.0, 0.1, 0.8, 0.9]])
    other = np.array([[0.1, 0.8, 0.9, 0.0], [0.0, 0.1, 0.9, 0.8]])
    assert overlap(first, other, top_k=2) == 0.75 == overlap(other, first, top_k=2)
    assert overlap(first, other) == 1  # four classes are all among the 20 highest
