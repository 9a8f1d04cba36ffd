"""The k best classes of every video, against a plain sort."""

import numpy as np
import pytest

from dmlkit.metrics import TopPairs, top_k_pairs, top_pairs


def test_by_hand():
    classes, scores = top_k_pairs(np.array([[0.1, 0.7, 0.3, 0.7], [0.5, 0.5, 0.5, 0.5]]), k=3)
    assert classes.tolist() == [[1, 3, 2], [0, 1, 2]]
    assert scores.tolist() == [[0.7, 0.7, 0.3], [0.5, 0.5, 0.5]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_matches_a_plain_sort(dtype):
    rng = np.random.default_rng(0)
    for _ in range(60):
        shape = int(rng.integers(0, 9)), int(rng.integers(1, 50))
        scores = rng.integers(-3, int(rng.integers(-2, 60)), size=shape).astype(dtype)
        k = int(rng.integers(1, 55))
        classes, values = top_k_pairs(scores, k=k)
        expected = [
            sorted(range(shape[1]), key=lambda c, row=row: (-row[c], c))[:k] for row in scores.tolist()
        ]
        assert classes.shape == values.shape == (shape[0], min(k, shape[1]))
        assert classes.tolist() == expected
        np.testing.assert_array_equal(values, np.take_along_axis(scores, classes, axis=1))


def test_infinite_and_signed_zero_scores_are_ranked():
    classes, _ = top_k_pairs(np.array([[-np.inf, np.inf, 0.0, -0.0, -np.inf]]), k=4)
    assert classes.tolist() == [[1, 2, 3, 0]]


def test_twenty_is_the_default():
    assert top_k_pairs(np.zeros((2, 30))).classes.tolist() == [list(range(20))] * 2


def test_pairs_hold_what_gap_needs():
    scores, labels = np.array([[0.1, 0.7, 0.3]]), np.array([[1, 0, 1]])
    pairs = top_pairs(scores, labels, top_k=2)
    assert pairs.true_labels.tolist() == [2]
    assert sorted(zip(pairs.scores[0].tolist(), pairs.correct[0].tolist(), strict=True)) == [
        (0.3, True),
        (0.7, False),
    ]


def test_faults():
    with pytest.raises(ValueError, match=r"`scores` must have the shape \(videos, classes\)"):
        top_k_pairs(np.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        top_k_pairs(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="`k` must be a whole number"):
        top_k_pairs(np.zeros((1, 3)), k=0)
    scores, correct, true_labels = np.zeros((2, 3)), np.zeros((2, 3), bool), np.zeros(2, int)
    with pytest.raises(ValueError, match="share one shape"):
        TopPairs(scores, correct[:1], true_labels)
    with pytest.raises(ValueError, match="true_labels"):
        TopPairs(scores, correct, true_labels[:1])
    with pytest.raises(ValueError, match="booleans"):
        TopPairs(scores, correct.astype(int), true_labels)
    with pytest.raises(ValueError, match="NaN"):
        TopPairs(scores * np.nan, correct, true_labels)
    with pytest.raises(ValueError, match="at least the labels marked"):
        TopPairs(scores, ~correct, true_labels)
