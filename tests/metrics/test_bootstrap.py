"""Bootstrap intervals: equal to drawing the videos literally, and about as wide as they should be."""

import numpy as np
import pytest

from dmlkit.metrics import (
    TopPairs,
    gap_interval,
    gap_interval_of_pairs,
    global_average_precision,
    paired_gap_difference,
    top_k_pairs,
    top_pairs,
)


def population(rng, videos, *, classes=30, noise=1.0, levels=None):
    """Labels, and scores that know them through noise."""
    labels = rng.random((videos, classes)) < 0.1
    scores = labels + noise * rng.normal(size=labels.shape)
    return (np.round(scores * levels) / levels if levels else scores), labels


def literal_gaps(scores, labels, *, top_k, resamples, seed):
    """GAP of videos literally drawn, copied and measured again."""
    rng = np.random.default_rng(seed)
    draws = [rng.integers(len(scores), size=len(scores)) for _ in range(resamples)]
    return np.array([global_average_precision(scores[draw], labels[draw], top_k) for draw in draws])


@pytest.mark.parametrize(
    ("videos", "levels", "top_k"), [(1, None, 20), (7, 2, 3), (40, 5, 20), (60, None, 5)]
)
def test_equals_drawing_the_videos_literally(videos, levels, top_k):
    scores, labels = population(np.random.default_rng(videos), videos, levels=levels)
    gaps = literal_gaps(scores, labels, top_k=top_k, resamples=50, seed=3)
    for level in (0.5, 0.95):
        interval = gap_interval(scores, labels, top_k=top_k, level=level, resamples=50, seed=3)
        expected = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2])
        np.testing.assert_allclose(interval, expected, rtol=0, atol=1e-12)
    # Resample by resample: an interval of one resample is that resample.
    for resamples, seed in [(1, 0), (1, 1), (1, 2)]:
        low, high = gap_interval(scores, labels, top_k=top_k, resamples=resamples, seed=seed)
        (gap,) = literal_gaps(scores, labels, top_k=top_k, resamples=1, seed=seed)
        assert low == high == gap


def test_resamples_without_a_true_label_are_zero():
    # One of two videos has labels: a quarter of the resamples has none, and their GAP is 0.
    scores, labels = np.array([[0.9, 0.1], [0.5, 0.2]]), np.array([[1, 0], [0, 0]])
    low, high = gap_interval(scores, labels, resamples=200, level=0.99)
    assert (low, high) == (0.0, 1.0)
    assert gap_interval(scores, np.zeros((2, 2)), resamples=10) == (0.0, 0.0)


def test_the_same_seed_gives_the_same_interval_and_nothing_global_is_touched():
    scores, labels = population(np.random.default_rng(0), 50)
    before = np.random.get_state()[1].copy()
    first = gap_interval(scores, labels, resamples=50, seed=1)
    assert first == gap_interval(scores, labels, resamples=50, seed=1)
    assert first != gap_interval(scores, labels, resamples=50, seed=2)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_wider_levels_hold_narrower_ones_and_the_gap_itself():
    scores, labels = population(np.random.default_rng(1), 300)
    wide, narrow = (gap_interval(scores, labels, level=level, resamples=400) for level in (0.95, 0.5))
    gap = global_average_precision(scores, labels)
    assert wide.low < narrow.low < gap < narrow.high < wide.high


def test_it_covers_what_a_large_population_has():
    # 90 % intervals of 200 videos; of 60, at least 46 should hold the population's GAP (54 expected, the
    # binomial puts fewer than 46 below 1 in 500 and the seeds are fixed).
    rng = np.random.default_rng(2)
    scores, labels = population(rng, 20_000)
    gap = global_average_precision(scores, labels)
    held = 0
    for seed in range(60):
        sample = rng.choice(20_000, size=200, replace=False)
        low, high = gap_interval(scores[sample], labels[sample], level=0.9, resamples=200, seed=seed)
        held += low <= gap <= high
    assert held >= 46


def test_pairs_are_enough():
    # As from a file that holds the top 100 classes only: their scores, and whether each is a label.
    scores, labels = population(np.random.default_rng(3), 40, levels=4)
    classes, best = top_k_pairs(scores, 20)
    pairs = TopPairs(best, np.take_along_axis(labels, classes, axis=1), labels.sum(axis=1))
    expected = gap_interval(scores, labels, resamples=30)
    assert gap_interval_of_pairs(pairs, resamples=30) == expected
    assert gap_interval_of_pairs(top_pairs(scores, labels), resamples=30) == expected


def test_equal_systems_do_not_differ():
    scores, labels = population(np.random.default_rng(4), 50)
    difference, interval = paired_gap_difference(scores, scores, labels, resamples=50)
    assert difference == 0.0
    assert interval == (0.0, 0.0)
    # Nor does a system whose scores are told on another scale.
    assert paired_gap_difference(scores * 4, scores, labels, resamples=50) == (0.0, (0.0, 0.0))


def test_the_better_system_is_told_from_the_worse():
    rng = np.random.default_rng(5)
    better, labels = population(rng, 400, noise=0.5)
    worse = better + 0.3 * rng.normal(size=better.shape)
    expected = global_average_precision(better, labels) - global_average_precision(worse, labels)
    difference, interval = paired_gap_difference(better, worse, labels, resamples=300)
    assert difference == expected > 0
    assert 0 < interval.low < difference < interval.high
    back = paired_gap_difference(worse, better, labels, resamples=300)
    assert back.difference == -difference
    np.testing.assert_allclose(back.interval, [-interval.high, -interval.low], rtol=0, atol=1e-12)
    # Pairing is what it is for: narrower than the systems' own intervals set against each other.
    own = [gap_interval(scores, labels, resamples=300) for scores in (better, worse)]
    assert interval.high - interval.low < sum(high - low for low, high in own)


def test_paired_differences_equal_literal_ones():
    rng = np.random.default_rng(6)
    a, labels = population(rng, 30, levels=3)
    b = a + rng.normal(size=a.shape)
    gaps = [literal_gaps(scores, labels, top_k=20, resamples=40, seed=8) for scores in (a, b)]
    interval = paired_gap_difference(a, b, labels, resamples=40, seed=8).interval
    np.testing.assert_allclose(interval, np.quantile(gaps[0] - gaps[1], [0.025, 0.975]), rtol=0, atol=1e-12)


def test_faults():
    scores, labels = population(np.random.default_rng(7), 5)
    for level in (0, 1, 95, -0.5, float("nan")):
        with pytest.raises(ValueError, match="`level` must lie between 0 and 1"):
            gap_interval(scores, labels, level=level)
        with pytest.raises(ValueError, match="`level` must lie between 0 and 1"):
            paired_gap_difference(scores, scores, labels, level=level)
    with pytest.raises(ValueError, match="`resamples` must be a whole number"):
        gap_interval(scores, labels, resamples=0)
    with pytest.raises(ValueError, match="at least one video"):
        gap_interval(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(
        ValueError, match=r"`scores_b` and `labels` must share one shape .*scores_b=\(4, 30\)"
    ):
        paired_gap_difference(scores, scores[:4], labels)
    with pytest.raises(ValueError, match="`scores_a` must not contain NaN"):
        paired_gap_difference(scores * np.nan, scores, labels)
