"""Ways to combine models: by hand, and what holds of each."""

import numpy as np
import pytest

from dmlkit.errors import UsageError
from dmlkit.metrics import COMBINERS, Weights, combine, global_average_precision, optimize_weights, overlap
from dmlkit.metrics.ways import ranks

every_way = pytest.mark.parametrize("by", COMBINERS)
HALF = Weights(np.array([0.5, 0.5]))


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def drawn(seed, *, models=3, videos=60, classes=40, noise=(1.0, 1.5, 3.0)):
    """Members of unlike strength, and the labels they speak of."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-3, 2, (videos, classes))
    labels = rng.random((videos, classes)) < sigmoid(truth)
    scores = [
        sigmoid(truth + rng.normal(0, noise[i % len(noise)], truth.shape)).astype(np.float16)
        for i in range(models)
    ]
    return scores, labels


def both(scores, labels, by):
    weights = optimize_weights([(scores, labels)], by=by)
    return weights, combine(scores, weights, by=by)


def test_ranks_by_hand():
    scores = np.array([[0.1, 0.9, 0.5, 0.5], [0.2, 0.2, 0.2, 0.2], [4.0, 3.0, 2.0, 1.0]])
    # Two share places 2 and 3; all share 1 to 4.
    assert ranks(scores).tolist() == [[4, 1, 2.5, 2.5], [2.5, 2.5, 2.5, 2.5], [1, 2, 3, 4]]


def test_ranks_as_counted_one_by_one():
    scores = np.random.default_rng(0).integers(0, 6, (50, 17)).astype(np.float16)
    for video, found in zip(scores, ranks(scores), strict=True):
        expected = [(video > one).sum() + ((video == one).sum() + 1) / 2 for one in video]
        assert found.tolist() == expected


def test_rank_mean_by_hand():
    # Ranks 1, 2, 3 and 3, 1, 2: (1 + 1/3) / 2, (1/2 + 1) / 2, (1/3 + 1/2) / 2; how far apart scores are says nothing.
    first, second = np.array([[0.9, 0.8, 0.1]]), np.array([[0.1, 0.3, 0.2]])
    np.testing.assert_allclose(
        combine([first, second], HALF, by="rank_mean"), [[2 / 3, 3 / 4, 5 / 12]], rtol=1e-6
    )


def test_majority_by_hand():
    # 22 classes. The first member has 0..19 among its highest, the second 2..21: both vote for 2..19.
    first, second = np.linspace(0.9, 0.1, 22)[None], np.linspace(0.1, 0.8, 22)[None]
    found = combine([first, second], HALF, by="majority")[0]
    order = np.argsort(-found, kind="stable").tolist()
    # With both votes the mean decides, which the first member's steeper line makes higher for low classes.
    assert order[:18] == list(range(2, 20))
    assert order[18:] == [0, 1, 20, 21]
    assert found.min() > 0 and found.max() <= 1
    np.testing.assert_allclose(found[0], (1 + np.sqrt((0.9 + 0.1) / 2)) / 3, rtol=1e-6)


def test_a_vote_outweighs_any_score():
    first = np.full((1, 30), 0.001)
    first[0, :20] = 0.002
    second = first.copy()
    second[0, 25], second[0, 19] = 1.0, 0.0
    found = combine([first, second], HALF, by="majority")[0]
    assert found[:19].min() > found[25] > found[19]


def test_votes_keep_small_means_apart_at_half_precision():
    first = np.linspace(0.001, 0.02, 20, dtype=np.float16)[None]
    found = combine([first, first], HALF, by="majority").astype(np.float16)
    assert len(np.unique(found)) == 20


def test_stacking_by_hand():
    first, second = sigmoid(np.array([[1.0, -2.0]])), sigmoid(np.array([[0.5, 3.0]]))
    found = combine([first, second], Weights(np.array([2.0, -1.0]), 0.25), by="stacking")
    np.testing.assert_allclose(found, sigmoid(np.array([[1.75, -6.75]])), rtol=1e-9)
    ends = combine([np.array([[0.0, 1.0]])], Weights(np.array([1.0])), by="stacking")
    assert np.isfinite(ends).all() and ends[0, 0] < 1e-6 and ends[0, 1] > 0.999


def test_stacking_finds_the_numbers_that_made_the_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 4000, 10))
    labels = rng.random((4000, 10)) < sigmoid(1.5 * logits[0] - 0.5 * logits[1] - 0.7)
    weights = optimize_weights([(list(sigmoid(logits)), labels)], by="stacking")
    np.testing.assert_allclose(weights.members, [1.5, -0.5], atol=0.06)
    assert weights.bias == pytest.approx(-0.7, abs=0.06)


def test_stacking_is_at_the_bottom_of_its_loss():
    scores, labels = drawn(1)
    weights = optimize_weights([(scores, labels)], by="stacking")
    inputs = np.stack([np.log(s / (1 - s)) for s in (scores.astype(float) for scores in scores)])

    def loss(numbers):
        logits = np.tensordot(numbers[:-1], inputs, axes=1) + numbers[-1]
        fit = -(labels * np.log(sigmoid(logits)) + ~labels * np.log(sigmoid(-logits))).sum()
        return fit + ((numbers[:-1] - 1 / 3) ** 2).sum() / 2 + numbers[-1] ** 2 / 2

    numbers = np.append(weights.members, weights.bias)
    for direction in (*np.eye(4), *np.random.default_rng(0).normal(size=(8, 4))):
        assert min(loss(numbers + 0.01 * direction), loss(numbers - 0.01 * direction)) > loss(numbers)


def test_stacking_where_labels_are_parted():
    """No finite numbers are the best: it ends, and says something finite."""
    scores = np.array([[0.9, 0.8, 0.1, 0.2]] * 3)
    weights, combined = both([scores, scores], scores > 0.5, "stacking")
    assert np.isfinite(weights.members).all() and np.isfinite(combined).all()
    assert global_average_precision(combined, scores > 0.5) == 1


def test_scores_that_are_no_probabilities_cannot_be_stacked():
    with pytest.raises(ValueError, match=r"from 0 to 1\. Received: scores from -1"):
        optimize_weights([([np.array([[-1.0, 2.0]])], np.array([[0, 1]]))], by="stacking")


def test_found_by_hand():
    # Member 0 ranks the two right pairs 1st and 3rd (GAP 5/6), member 1 2nd and 3rd (7/12), member 2 is no help: the
    # mean of the first two ranks them 1st and 2nd.
    labels = np.array([[1, 0, 0, 1]])
    first, second = np.array([[0.9, 0.5, 0.1, 0.4]]), np.array([[0.5, 0.1, 0.6, 0.4]])
    third = np.array([[0.0, 1.0, 1.0, 0.0]])
    weights, combined = both([first, second, third], labels, "optimized")
    assert global_average_precision(first, labels) == pytest.approx(5 / 6)
    assert global_average_precision(second, labels) == pytest.approx(7 / 12)
    np.testing.assert_allclose(weights.members, [0.5, 0.5, 0])
    assert global_average_precision(combined, labels) == 1


@pytest.mark.parametrize("seed", range(6))
def test_found_is_never_below_the_best_member(seed):
    scores, labels = drawn(seed, models=4, noise=(0.8, 4, 6, 8))
    weights, combined = both(scores, labels, "optimized")
    best = max(global_average_precision(member, labels) for member in scores)
    assert global_average_precision(combined.astype(np.float16), labels) >= best
    assert weights.members.sum() == pytest.approx(1) and (weights.members >= 0).all()


def test_found_as_by_trying_every_share():
    """Two members: near the best of all shares from 0 to 1."""
    (first, second), labels = drawn(3, models=2, noise=(1.0, 1.6), videos=300)
    gaps = [
        global_average_precision((share * first.astype(float) + (1 - share) * second.astype(float)), labels)
        for share in np.linspace(0, 1, 31)
    ]
    _, combined = both([first, second], labels, "optimized")
    assert global_average_precision(combined, labels) > max(gaps) - 0.002
    assert max(gaps) > max(gaps[0], gaps[-1]) + 0.005


def test_found_takes_the_better_of_equals_and_the_earlier_of_the_same():
    (good, bad), labels = drawn(4, models=2, noise=(0.5, 9.0))
    assert optimize_weights([([bad, good, good], labels)], by="optimized").members[0] < 0.1
    assert optimize_weights([([good, good], labels)], by="optimized").members.tolist() == [1, 0]


@every_way
def test_one_member_alone_keeps_its_order(by):
    (scores, *_), labels = drawn(5)
    weights, combined = both([scores], labels, by)
    assert combined.shape == scores.shape
    order = np.argsort(-scores.astype(float), axis=1, kind="stable")[:, :20]
    np.testing.assert_array_equal(np.argsort(-combined, axis=1, kind="stable")[:, :20], order)
    if by in ("algorithm_2", "uniform", "optimized"):
        assert weights.members.tolist() == [1]
        np.testing.assert_array_equal(combined, scores)


@every_way
def test_equal_members_are_as_one(by):
    (scores, *_), labels = drawn(6)
    _, one = both([scores], labels, by)
    _, three = both([scores] * 3, labels, by)
    order = [np.argsort(-found.astype(np.float16), axis=1, kind="stable")[:, :20] for found in (one, three)]
    # A vote takes room that half precision then lacks for the mean, and stacking may draw scores together.
    if by not in ("majority", "stacking"):
        np.testing.assert_array_equal(*order)
    assert global_average_precision(three, labels) == pytest.approx(
        global_average_precision(one, labels), abs=0.002
    )


@every_way
def test_the_order_of_members_changes_nothing(by):
    scores, labels = drawn(7)
    weights, combined = both(scores, labels, by)
    turned, again = both(scores[::-1], labels, by)
    np.testing.assert_allclose(turned.members[::-1], weights.members, atol=1e-6)
    np.testing.assert_allclose(again, combined, atol=1e-5)


@every_way
def test_some_videos_at_a_time_are_all_of_them(by):
    scores, labels = drawn(8)
    weights, combined = both(scores, labels, by)
    some = [([member[rows] for member in scores], labels[rows]) for rows in (slice(0, 7), slice(7, 60))]
    parted = optimize_weights(iter(some), by=by)
    np.testing.assert_allclose(parted.members, weights.members, rtol=1e-9)
    assert parted.bias == pytest.approx(weights.bias, abs=1e-9)
    parts = [combine(members, weights, by=by) for members, _ in some]
    np.testing.assert_array_equal(np.concatenate(parts), combined)


@every_way
def test_members_given_are_left_as_they_were(by):
    scores, labels = drawn(9)
    before = [member.copy() for member in scores]
    both(scores, labels, by)
    np.testing.assert_array_equal(scores, before)


@every_way
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.filterwarnings("error")
def test_a_member_that_says_the_same_of_everything_leaves_all_finite(by, value):
    """And what weighs by the tuning part gives it next to nothing: the other alone decides the order."""
    (good,), labels = drawn(7, models=1)
    weights, combined = both([good, np.full_like(good, value)], labels, by)
    assert np.isfinite([*weights.members, weights.bias]).all() and np.isfinite(combined).all()
    if by not in ("majority", "rank_mean"):  # half precision ties what a constant vote stands beside
        alone = global_average_precision(good.astype(np.float32), labels)
        assert global_average_precision(combined, labels) == pytest.approx(alone, abs=2e-3)


@every_way
@pytest.mark.filterwarnings("error")
def test_members_twice_and_members_without_fault_leave_weights_finite(by):
    scores, labels = drawn(8)
    for members in (
        [*scores, scores[0]],
        [scores[0]] * 4,
        [labels.astype(np.float16), scores[0]],
        [labels * 1.0] * 2,
    ):
        weights, combined = both(members, labels, by)
        assert np.isfinite([*weights.members, weights.bias]).all() and np.isfinite(combined).all()
    twice = optimize_weights([([scores[0], scores[1], scores[0]], labels)], by=by).members
    if by != "optimized":  # it tries them one after another, and rounding tells them apart
        assert twice[0] == pytest.approx(twice[2])


def test_algorithm_2_weighs_by_the_gap_over_all_classes():
    scores, labels = drawn(10, classes=300)
    gaps = np.array([global_average_precision(member, labels) for member in scores])
    np.testing.assert_allclose(
        optimize_weights([(scores, labels)], by="algorithm_2").members, gaps / gaps.sum(), rtol=1e-12
    )


def test_every_class_equal():
    """Nothing is told apart: every way gives something finite."""
    scores, labels = [np.full((4, 30), 0.5, np.float16)] * 2, np.eye(4, 30)
    for by in COMBINERS:
        _, combined = both(scores, labels, by)
        assert np.isfinite(combined).all()
        if by != "majority":  # where the lower classes have the votes, as everywhere
            assert len(np.unique(combined)) == 1


def test_what_cannot_be_combined():
    scores, labels = drawn(11)
    with pytest.raises(UsageError, match="Did you mean 'majority'"):
        combine(scores, HALF, by="majorty")
    with pytest.raises(UsageError, match="way to combine"):
        optimize_weights([(scores, labels)], by="best")
    with pytest.raises(ValueError, match="at least one part"):
        optimize_weights([], by="optimized")
    with pytest.raises(ValueError, match="at least one member"):
        optimize_weights([([], labels)], by="optimized")
    with pytest.raises(ValueError, match=r"scores\[1\]"):
        optimize_weights([([scores[0], scores[1][:, :3]], labels)], by="optimized")
    for by in COMBINERS:
        with pytest.raises(ValueError, match="one number for each model"):
            combine(scores, HALF, by=by)


def test_overlap_by_hand():
    # Highest two of each: {0, 1} and {1, 2} share one, {2, 3} and {2, 3} both: (1/2 + 1) / 2.
    first = np.array([[0.9, 0.8, 0.1, 0.0], [0.0, 0.1, 0.8, 0.9]])
    other = np.array([[0.1, 0.8, 0.9, 0.0], [0.0, 0.1, 0.9, 0.8]])
    assert overlap(first, other, top_k=2) == 0.75 == overlap(other, first, top_k=2)
    assert overlap(first, first, top_k=1) == 1
    assert overlap(first, other, top_k=1) == 0
    assert overlap(first, other) == 1  # four classes are all among the 20 highest
    chance = overlap(*np.random.default_rng(0).random((2, 2000, 100)))
    assert chance == pytest.approx(0.2, abs=0.01)
    with pytest.raises(ValueError, match="share one shape"):
        overlap(first, other[:1])
    with pytest.raises(ValueError, match="at least one video"):
        overlap(first[:0], other[:0])
