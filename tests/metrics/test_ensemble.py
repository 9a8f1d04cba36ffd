"""Algorithm 2: weights from GAP, scores averaged, the best k kept."""

import numpy as np
import pytest

from dmlkit.metrics import gap_weights, top_k_pairs, weighted_average


def test_algorithm_2_by_hand():
    # GAPs .3 and .1: weights 3/4 and 1/4. Class 0: .75·.2 + .25·.8 = .35; class 1: .45 + .05 = .5;
    # class 2: .15 + .2 = .35. Best two: class 1, then class 0, which is lower than its equal, class 2.
    weights = gap_weights([0.3, 0.1])
    np.testing.assert_allclose(weights, [0.75, 0.25], rtol=0, atol=1e-15)
    first, second = np.array([[0.2, 0.6, 0.2]]), np.array([[0.8, 0.2, 0.8]])
    scores = weighted_average([first, second], weights)
    np.testing.assert_allclose(scores, [[0.35, 0.5, 0.35]], rtol=0, atol=1e-15)
    classes, _ = top_k_pairs(scores, k=2)
    assert classes.tolist() == [[1, 0]]


def test_weights_are_shares():
    rng = np.random.default_rng(0)
    for models in (1, 2, 5, 25):
        gaps = rng.random(models)
        weights = gap_weights(gaps)
        np.testing.assert_allclose(weights, gaps / gaps.sum(), rtol=1e-15)
        assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert gap_weights([0.7]).tolist() == [1.0]
    assert gap_weights((0.5, 0.0)).tolist() == [1.0, 0.0]


def test_any_number_of_members():
    rng = np.random.default_rng(1)
    for models in (1, 2, 3, 9):
        members = rng.random((models, 6, 11))
        weights = rng.random(models)
        expected = np.einsum("i,ivc->vc", weights, members)
        for scores in (members, list(members), (member for member in members)):
            np.testing.assert_allclose(weighted_average(scores, weights), expected, rtol=0, atol=1e-12)


def test_half_precision_members_are_added_in_single():
    rng = np.random.default_rng(2)
    members = rng.random((3, 4, 5)).astype(np.float16)
    average = weighted_average(members, [0.2, 0.3, 0.5])
    assert average.dtype == np.float32
    np.testing.assert_allclose(
        average, np.einsum("i,ivc->vc", [0.2, 0.3, 0.5], members.astype(float)), atol=1e-6
    )
    assert weighted_average([members[0], members[1].astype(np.float64)], [0.5, 0.5]).dtype == np.float64


def test_members_stay_as_they_were():
    members = np.random.default_rng(3).random((2, 3, 4)).astype(np.float32)
    before = members.copy()
    weighted_average(members, [1.0, 1.0])
    np.testing.assert_array_equal(members, before)


@pytest.mark.parametrize(
    ("gaps", "match"),
    [
        ([], "at least one"),
        (0.5, "at least one"),
        ([[0.5, 0.5]], "at least one"),
        ([0.5, -0.1], "not negative"),
        ([0.5, float("nan")], "finite"),
        ([0.5, float("inf")], "finite"),
        ([0.0, 0.0], "all 0"),
    ],
)
def test_gaps_that_give_no_weights(gaps, match):
    with pytest.raises(ValueError, match=match):
        gap_weights(gaps)


def test_members_that_do_not_fit():
    a = np.zeros((2, 3))
    with pytest.raises(ValueError, match="1 weights for more models"):
        weighted_average([a, a], [1.0])
    with pytest.raises(ValueError, match="3 weights, 2 models"):
        weighted_average([a, a], [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="1 weights, 0 models"):
        weighted_average([], [1.0])
    with pytest.raises(ValueError, match="at least one"):
        weighted_average([], [])
    with pytest.raises(ValueError, match="finite"):
        weighted_average([a], [float("nan")])
    with pytest.raises(ValueError, match=r"scores\[0\]=\(2, 3\), scores\[1\]=\(2, 1\)"):
        weighted_average([a, a[:, :1]], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"`scores\[0\]` must have the shape"):
        weighted_average([a[0]], [1.0])
    with pytest.raises(ValueError, match=r"`scores\[1\]` must not contain NaN"):
        weighted_average([a, a * np.nan], [0.5, 0.5])
