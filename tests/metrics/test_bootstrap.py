"""Bootstrap intervals and comparisons: equal to resampling the videos literally and measuring by definition."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.metrics import (
    average_precision_by_class,
    compare_classes,
    compare_gaps,
    gap_interval,
    global_average_precision,
    mean_interval,
    top_pairs,
)

LABELS = np.random.default_rng(0).random((40, 30)) < 0.15


def system(labels, *, noise, seeds):
    """Scores of one system under several seeds, which know the labels through noise; coarse enough to tie."""
    return [
        np.round(labels + noise * np.random.default_rng(seed).normal(size=labels.shape), 1) for seed in seeds
    ]


def pairs_of(members, labels=LABELS):
    return [top_pairs(member, labels) for member in members]


def literal_gaps(scores, labels, *, top_k=20, resamples, seed):
    """GAP of videos literally resampled, copied and measured again."""
    rng = np.random.default_rng(seed)
    samples = [rng.integers(len(scores), size=len(scores)) for _ in range(resamples)]
    return np.array([global_average_precision(scores[each], labels[each], top_k) for each in samples])


@pytest.mark.parametrize(("videos", "top_k"), [(1, 20), (7, 3), (40, 20)])
def test_an_interval_equals_that_of_videos_literally_resampled(videos, top_k):
    labels = LABELS[:videos]
    (scores,) = system(labels, noise=1.0, seeds=[videos])
    gaps = literal_gaps(scores, labels, top_k=top_k, resamples=50, seed=3)
    for level in (0.5, 0.95):
        interval = gap_interval(scores, labels, top_k=top_k, level=level, resamples=50, seed=3)
        expected = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2])
        np.testing.assert_allclose(interval, expected, rtol=0, atol=1e-12)
    # An interval of one resample is that resample, to the last bit; another seed gives another one.
    ends = [gap_interval(scores, labels, top_k=top_k, resamples=1, seed=seed) for seed in range(3)]
    literal = [literal_gaps(scores, labels, top_k=top_k, resamples=1, seed=seed)[0] for seed in range(3)]
    assert ends == [(gap, gap) for gap in literal]
    assert videos == 1 or len(set(literal)) == 3


def test_resamples_without_a_true_label_are_zero():
    # One of two videos has labels: a quarter of the resamples has none, and their GAP is 0.
    scores, labels = np.array([[0.9, 0.1], [0.5, 0.2]]), np.array([[1, 0], [0, 0]])
    assert gap_interval(scores, labels, resamples=200, level=0.99) == (0.0, 1.0)
    assert gap_interval(scores, np.zeros((2, 2)), resamples=10) == (0.0, 0.0)


@pytest.mark.parametrize(("seeds_a", "seeds_b"), [((1,), (2,)), ((1, 2), (3, 4, 5))])
def test_a_comparison_equals_videos_literally_resampled(seeds_a, seeds_b):
    a, b = system(LABELS, noise=0.6, seeds=seeds_a), system(LABELS, noise=0.9, seeds=seeds_b)
    got = compare_gaps(pairs_of(a), pairs_of(b), resamples=30, seed=5, level=0.8)
    gaps = [[global_average_precision(each, LABELS) for each in side] for side in (a, b)]
    assert (got.a.values, got.b.values) == tuple(map(tuple, gaps))
    assert (got.b.low, got.b.high) == (min(gaps[1]), max(gaps[1]))
    assert got.b.mean == pytest.approx(np.mean(gaps[1]), abs=1e-15)
    assert got.difference == pytest.approx(np.mean(gaps[0]) - np.mean(gaps[1]), abs=1e-15)
    deviation = pytest.approx(np.std(gaps[1], ddof=1), abs=1e-15) if len(seeds_b) > 1 else None
    assert got.b.deviation == deviation
    of_a, of_b = (
        np.mean([literal_gaps(each, LABELS, resamples=30, seed=5) for each in side], axis=0)
        for side in (a, b)
    )
    np.testing.assert_allclose(got.interval, np.quantile(of_a - of_b, [0.1, 0.9]), rtol=0, atol=1e-12)
    assert got.a_ahead == np.mean(of_a > of_b)


def test_equal_systems_do_not_differ_and_pairing_narrows_the_interval():
    pairs = pairs_of(system(LABELS, noise=0.6, seeds=[1]))
    got = compare_gaps(pairs, pairs, resamples=20)
    assert (got.difference, got.interval, got.a_ahead) == (0.0, (0.0, 0.0), 0.5)
    labels = np.tile(LABELS, (10, 1))
    (better,) = system(labels, noise=0.5, seeds=[5])
    worse = better + 0.3 * np.random.default_rng(6).normal(size=better.shape)
    got = compare_gaps(pairs_of([better], labels), pairs_of([worse], labels), resamples=300)
    assert 0 < got.interval.low < got.difference < got.interval.high
    own = [gap_interval(scores, labels, resamples=300) for scores in (better, worse)]
    assert got.interval.high - got.interval.low < sum(high - low for low, high in own)


def test_classes_are_scikit_learns_and_sorted_by_difference():
    a, b = system(LABELS, noise=0.6, seeds=(1, 2)), system(LABELS, noise=0.9, seeds=(3, 4, 5))
    videos = LABELS.sum(axis=0)
    by_class = [[average_precision_by_class(each, LABELS) for each in side] for side in (a, b)]
    got = compare_classes(*by_class, videos, least=6)
    assert set(got.classes) == set(np.flatnonzero(videos >= 6)) and 0 < len(got.classes) < 30
    assert (np.diff(got.difference) <= 0).all()
    for i, label in enumerate(got.classes):
        of_a, of_b = (
            np.mean([average_precision_score(LABELS[:, label], each[:, label]) for each in side])
            for side in (a, b)
        )
        assert got.videos[i] == videos[label]
        np.testing.assert_allclose((got.a[i], got.b[i], got.difference[i]), (of_a, of_b, of_a - of_b))


def test_the_interval_of_a_mean_holds_it():
    values = np.random.default_rng(0).normal(loc=3, size=400)
    low, high = mean_interval([*values, np.nan])
    assert low < values.mean() < high
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.15)


def test_wrong_arguments_are_refused():
    scores, (pairs,) = LABELS.astype(float), pairs_of([LABELS.astype(float)])
    for level in (0, 1, 95, float("nan")):
        with pytest.raises(ValueError, match="`level` must lie between 0 and 1"):
            gap_interval(scores, LABELS, level=level, resamples=2)
    with pytest.raises(ValueError, match="at least one video"):
        gap_interval(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="same videos, in the same order"):
        compare_gaps([pairs], [top_pairs(scores, LABELS[::-1])])
