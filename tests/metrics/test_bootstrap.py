"""Bootstrap intervals and comparisons: equal to resampling the videos literally and measuring by definition."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from dmlkit.metrics import (
    GapComparison,
    Interval,
    Spread,
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
    drawn = [np.array([literal_gaps(each, LABELS, resamples=30, seed=5) for each in side]) for side in (a, b)]
    if len(seeds_a) == 1:
        ends = np.quantile(drawn[0][0] - drawn[1][0], [0.1, 0.9])
        assert got.over == "over videos, for this seed"
    else:
        # Covariances between different members, of one side and across: what videos do to all of them.
        covariance = np.cov(np.concatenate(drawn), bias=True)
        other = covariance[2:, 2:][~np.eye(3, dtype=bool)].mean()
        videos = max(0, covariance[0, 1] + other - 2 * covariance[:2, 2:].mean())
        parts = np.array([videos, np.var(gaps[0], ddof=1) / 2, np.var(gaps[1], ddof=1) / 3])
        half = max(
            stats.t.ppf(0.9, own.sum() ** 2 / np.sum(own**2 / freedom)) * np.sqrt(own.sum())
            for own, freedom in ((parts, [39, 1, 2]), (parts[1:], [1, 2]))
        )
        ends = [got.difference - half, got.difference + half]
        assert got.over == "over videos and seeds"
    np.testing.assert_allclose(got.interval, ends, rtol=0, atol=1e-12)
    assert got.excludes_zero is None and got.verdict == "too few videos for a test (40 < 100)"
    assert got._replace(videos=100).excludes_zero is bool(ends[0] > 0)


@pytest.mark.parametrize("seeds", [(2, 2), (3, 3), (3, 5)])
@pytest.mark.parametrize("seed", [(0.0004, 0.0004), (0.001, 0.001), (0.008, 0.008), (0.008, 0)])
@pytest.mark.parametrize("videos", [0.0003, 0.003])
def test_the_interval_over_videos_and_seeds_holds_95_percent(seeds, seed, videos, monkeypatch):
    # Of two systems that do not differ. Seeds move a member's GAP, and so do videos: all members, or it alone.
    rng, covered = np.random.default_rng(15), []
    monkeypatch.setattr("dmlkit.metrics.bootstrap.gap_of_pairs", lambda pairs: pairs.gap)
    resampled = "dmlkit.metrics.bootstrap.resampled_gaps"
    monkeypatch.setattr(resampled, lambda members, **_: np.array([each.resampled for each in members]))
    for _ in range(400):
        sides = []
        for count, own in zip(seeds, seed, strict=True):
            gaps = rng.normal(0, videos) + rng.normal(0, np.hypot(own, own / 4), count)
            resampled = gaps[:, None] + rng.normal(0, videos, 100) + rng.normal(0, own / 4, (count, 100))
            fields = ({"gap": g, "resampled": r} for g, r in zip(gaps, resampled, strict=True))
            sides.append([SimpleNamespace(true_labels=np.zeros(1000), **each) for each in fields])
        low, high = compare_gaps(*sides).interval
        covered.append(low <= 0 <= high)
    assert 0.92 <= np.mean(covered) <= (0.98 if min(seeds) > 2 else 0.99)  # of two seeds, rather too wide


def test_one_seed_against_several_is_significant_only_beyond_what_seeds_do():
    spread, one = Spread.of([0.90, 0.91, 0.92]), Spread.of([0.95])
    bound = float(stats.t.ppf(0.975, 2) * 0.01 * np.sqrt(4 / 3))
    for difference, significant in ((bound * 1.01, True), (bound * 0.99, False)):
        for a, b in ((one, spread), (spread, one)):
            found = GapComparison(a, b, difference, Interval(difference - 0.01, difference + 0.01), 100)
            assert found.excludes_zero and found.significant is significant
            assert found.over == "over videos, for these seeds"
            assert found.verdict.startswith("significant over videos" if significant else "no verdict (seeds")
    assert found.seed_bound == pytest.approx(bound)
    alone = found._replace(a=one, b=one)
    assert alone.excludes_zero and (alone.seed_bound, alone.significant) == (None, None)
    assert alone.verdict == "excludes 0 over videos (one seed)"


def test_equal_systems_do_not_differ_and_pairing_narrows_the_interval():
    pairs = pairs_of(system(LABELS, noise=0.6, seeds=[1]))
    got = compare_gaps(pairs, pairs, resamples=20)
    assert (got.difference, got.interval) == (0.0, (0.0, 0.0))
    labels = np.tile(LABELS, (10, 1))
    (better,) = system(labels, noise=0.5, seeds=[5])
    worse = better + 0.3 * np.random.default_rng(6).normal(size=better.shape)
    got = compare_gaps(pairs_of([better], labels), pairs_of([worse], labels), resamples=300)
    assert 0 < got.interval.low < got.difference < got.interval.high
    own = [gap_interval(scores, labels, resamples=300) for scores in (better, worse)]
    assert got.interval.high - got.interval.low < sum(high - low for low, high in own)


def test_values_of_one_video_are_resampled_together():
    rng = np.random.default_rng(1)
    videos = rng.integers(10, 40, size=200)
    values = rng.normal(size=40)[videos] + rng.normal(size=200)
    by_video = [values[videos == each] for each in np.unique(videos)]
    missing = {"videos": [*videos.astype(str), "39"], "resamples": 50, "seed": 7}
    interval = mean_interval([*values, np.nan], **missing)
    rng, means = np.random.default_rng(7), []
    for _ in range(50):
        drawn = rng.integers(len(by_video), size=len(by_video))
        means.append(np.concatenate([by_video[each] for each in drawn]).mean())
    np.testing.assert_allclose(interval, np.quantile(means, [0.025, 0.975]), atol=1e-12)
    alone = mean_interval(values, resamples=50, seed=7)
    assert interval.high - interval.low > 1.5 * (alone.high - alone.low)


def test_wrong_arguments_are_refused():
    scores, (pairs,) = LABELS.astype(float), pairs_of([LABELS.astype(float)])
    for level in (0, 1, 95, float("nan")):
        with pytest.raises(ValueError, match="`level` must lie between 0 and 1"):
            gap_interval(scores, LABELS, level=level, resamples=2)
    with pytest.raises(ValueError, match="at least one video"):
        gap_interval(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="same videos, in the same order"):
        compare_gaps([pairs], [top_pairs(scores, LABELS[::-1])])
