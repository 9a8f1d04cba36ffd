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
    resampled_gaps,
    top_pairs,
)


def population(rng, videos, *, classes=30, noise=1.0, levels=None):
    """Labels, and scores that know them through noise."""
    labels = rng.random((videos, classes)) < 0.1
    scores = labels + noise * rng.normal(size=labels.shape)
    return (np.round(scores * levels) / levels if levels else scores), labels


def literal_gaps(scores, labels, *, top_k, resamples, seed):
    """GAP of videos literally resampled, copied and measured again."""
    rng = np.random.default_rng(seed)
    samples = [rng.integers(len(scores), size=len(scores)) for _ in range(resamples)]
    return np.array([global_average_precision(scores[each], labels[each], top_k) for each in samples])


def system(labels, *, noise, seeds):
    """Scores of one system under several seeds, coarse enough to tie."""
    return [
        np.round(labels + noise * np.random.default_rng(seed).normal(size=labels.shape), 1) for seed in seeds
    ]


def pairs_of(members, labels):
    return [top_pairs(member, labels) for member in members]


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).random((40, 30)) < 0.15


@pytest.mark.parametrize(
    ("videos", "levels", "top_k"), [(1, None, 20), (7, 2, 3), (40, 5, 20), (60, None, 5)]
)
def test_an_interval_equals_that_of_videos_literally_resampled(videos, levels, top_k):
    scores, labels = population(np.random.default_rng(videos), videos, levels=levels)
    gaps = literal_gaps(scores, labels, top_k=top_k, resamples=50, seed=3)
    for level in (0.5, 0.95):
        interval = gap_interval(scores, labels, top_k=top_k, level=level, resamples=50, seed=3)
        expected = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2])
        np.testing.assert_allclose(interval, expected, rtol=0, atol=1e-12)
    for seed in range(3):  # an interval of one resample is that resample
        low, high = gap_interval(scores, labels, top_k=top_k, resamples=1, seed=seed)
        (gap,) = literal_gaps(scores, labels, top_k=top_k, resamples=1, seed=seed)
        assert low == high == gap


def test_resamples_without_a_true_label_are_zero():
    # One of two videos has labels: a quarter of the resamples has none, and their GAP is 0.
    scores, labels = np.array([[0.9, 0.1], [0.5, 0.2]]), np.array([[1, 0], [0, 0]])
    assert gap_interval(scores, labels, resamples=200, level=0.99) == (0.0, 1.0)
    assert gap_interval(scores, np.zeros((2, 2)), resamples=10) == (0.0, 0.0)


def test_the_same_seed_gives_the_same_interval_and_nothing_global_is_touched():
    scores, labels = population(np.random.default_rng(0), 50)
    before = np.random.get_state()[1].copy()
    first = gap_interval(scores, labels, resamples=50, seed=1)
    assert first == gap_interval(scores, labels, resamples=50, seed=1)
    assert first != gap_interval(scores, labels, resamples=50, seed=2)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_an_interval_covers_what_a_large_population_has():
    # 90 % intervals of 200 videos; of 60, at least 46 should hold the population's GAP (54 expected, the
    # binomial puts fewer than 46 below 1 in 500 and the seeds are fixed).
    rng = np.random.default_rng(2)
    scores, labels = population(rng, 20_000)
    gap, held = global_average_precision(scores, labels), 0
    for seed in range(60):
        sample = rng.choice(20_000, size=200, replace=False)
        low, high = gap_interval(scores[sample], labels[sample], level=0.9, resamples=200, seed=seed)
        held += low <= gap <= high
    assert held >= 46


@pytest.mark.parametrize(("seeds_a", "seeds_b"), [((1,), (2,)), ((1, 2, 3), (4,)), ((1, 2), (3, 4, 5))])
def test_a_comparison_equals_videos_literally_resampled(labels, seeds_a, seeds_b):
    a, b = system(labels, noise=0.6, seeds=seeds_a), system(labels, noise=0.9, seeds=seeds_b)
    got = compare_gaps(pairs_of(a, labels), pairs_of(b, labels), resamples=30, seed=5, level=0.8)
    gaps = [[global_average_precision(each, labels) for each in side] for side in (a, b)]
    assert (got.a.values, got.b.values) == tuple(map(tuple, gaps))
    assert got.difference == pytest.approx(np.mean(gaps[0]) - np.mean(gaps[1]), abs=1e-15)
    settings = {"top_k": 20, "resamples": 30, "seed": 5}
    of_a, of_b = (
        np.mean([literal_gaps(each, labels, **settings) for each in side], axis=0) for side in (a, b)
    )
    np.testing.assert_allclose(got.interval, np.quantile(of_a - of_b, [0.1, 0.9]), rtol=0, atol=1e-12)
    assert got.a_ahead == np.mean(of_a > of_b)
    back = compare_gaps(pairs_of(b, labels), pairs_of(a, labels), resamples=30, seed=5, level=0.8)
    assert back.difference == -got.difference and back.a_ahead == pytest.approx(1 - got.a_ahead)
    np.testing.assert_allclose(back.interval, [-got.interval.high, -got.interval.low], rtol=0, atol=1e-12)


def test_the_spread_over_seeds(labels):
    a, b = system(labels, noise=0.5, seeds=range(4)), system(labels, noise=0.5, seeds=[9])
    got = compare_gaps(pairs_of(a, labels), pairs_of(b, labels), resamples=2)
    gaps = [global_average_precision(each, labels) for each in a]
    mean = sum(gaps) / 4
    assert got.a.mean == pytest.approx(mean, abs=1e-15)
    assert got.a.deviation == pytest.approx((sum((gap - mean) ** 2 for gap in gaps) / 3) ** 0.5, abs=1e-15)
    assert (got.a.low, got.a.high) == (min(gaps), max(gaps))
    assert got.b.deviation is None and got.b.mean == got.b.low == got.b.high


def test_equal_systems_do_not_differ_and_a_better_one_does(labels):
    pairs = pairs_of(system(labels, noise=0.6, seeds=[1]), labels)
    got = compare_gaps(pairs, pairs, resamples=20)
    assert (got.difference, got.interval, got.a_ahead) == (0.0, (0.0, 0.0), 0.5)
    rng = np.random.default_rng(5)
    better, labels = population(rng, 400, noise=0.5)
    worse = better + 0.3 * rng.normal(size=better.shape)
    got = compare_gaps(pairs_of([better], labels), pairs_of([worse], labels), resamples=300)
    assert 0 < got.interval.low < got.difference < got.interval.high
    # What pairing is for: narrower than the systems' own intervals set against each other.
    own = [gap_interval(scores, labels, resamples=300) for scores in (better, worse)]
    assert got.interval.high - got.interval.low < sum(high - low for low, high in own)


def test_classes_are_scikit_learns_and_sorted_by_difference(labels):
    a, b = system(labels, noise=0.6, seeds=(1, 2)), system(labels, noise=0.9, seeds=(3, 4, 5))
    videos = labels.sum(axis=0)
    by_class = [[average_precision_by_class(each, labels) for each in side] for side in (a, b)]
    got = compare_classes(*by_class, videos, least=6)
    assert set(got.classes) == set(np.flatnonzero(videos >= 6)) and 0 < len(got.classes) < 30
    assert (np.diff(got.difference) <= 0).all()
    for i, label in enumerate(got.classes):
        expected = [
            np.mean([average_precision_score(labels[:, label], each[:, label]) for each in side])
            for side in (a, b)
        ]
        assert got.videos[i] == videos[label]
        np.testing.assert_allclose((got.a[i], got.b[i]), expected, atol=1e-12)
        assert got.difference[i] == pytest.approx(expected[0] - expected[1], abs=1e-12)
    same = np.array([0.5, 0.5, 0.25, np.nan])
    assert compare_classes([same], [same], [9, 9, 9, 0]).classes.tolist() == [0, 1, 2]
    assert not len(compare_classes([same], [same], [1, 1, 1, 0]).classes)


def test_the_interval_of_a_mean_holds_it():
    values = np.random.default_rng(0).normal(loc=3, size=400)
    low, high = mean_interval([*values, np.nan])
    assert low < values.mean() < high
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.15)
    assert mean_interval([2.0, 2.0]) == (2, 2)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)


def test_wrong_arguments_are_refused(labels):
    scores = labels.astype(float)
    pairs, other = top_pairs(scores, labels), top_pairs(np.zeros((3, 2)), np.ones((3, 2)))
    for level in (0, 1, 95, -0.5, float("nan")):
        for call in (
            lambda level=level: gap_interval(scores, labels, level=level),
            lambda level=level: compare_gaps([pairs], [pairs], level=level),
            lambda level=level: mean_interval([1], level=level),
        ):
            with pytest.raises(ValueError, match="`level` must lie between 0 and 1"):
                call()
    for call, match in (
        (lambda: gap_interval(scores, labels, resamples=0), "`resamples` must be a whole number"),
        (lambda: gap_interval(np.zeros((0, 3)), np.zeros((0, 3))), "at least one video"),
        (lambda: mean_interval([np.nan]), "at least one video"),
        (lambda: compare_gaps([], [pairs]), "at least one member"),
        (lambda: compare_gaps([pairs], [other]), "same videos in the same order"),
        (lambda: compare_gaps([pairs], [top_pairs(scores, labels[::-1])]), "same videos in the same order"),
        (lambda: resampled_gaps([pairs, other], resamples=1, seed=0), "one or more, of the same videos"),
        (lambda: resampled_gaps([], resamples=1, seed=0), "one or more, of the same videos"),
        (lambda: compare_classes([[0.5]], [], [1]), "at least one member"),
        (lambda: compare_classes([[0.5]], [[0.5, 0.5]], [1]), "shapes"),
        (lambda: compare_classes([[0.5]], [[0.5]], [1], least=0), "`least`"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
