"""Two systems, several seeds of each: equal to drawing the videos literally and measuring from the definition."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.metrics import (
    average_precision_by_class,
    compare_classes,
    compare_gaps,
    global_average_precision,
    paired_gap_difference,
    resampled_gaps,
    top_pairs,
)

CLASSES = 30


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).random((40, CLASSES)) < 0.15


def system(labels, *, noise, seeds):
    """Scores of one system under several seeds, coarse enough to tie."""
    return [
        np.round(labels + noise * np.random.default_rng(seed).normal(size=labels.shape), 1) for seed in seeds
    ]


def gap_by_definition(scores, labels, top_k=20):
    """scikit-learn's average precision over the pooled top pairs, by recall over all true labels."""
    pooled, correct = [], []
    for row, true in zip(scores, labels, strict=True):
        best = sorted(range(len(row)), key=lambda label: (-row[label], label))[:top_k]
        pooled += [row[label] for label in best]
        correct += [bool(true[label]) for label in best]
    if not any(correct):
        return 0.0
    return average_precision_score(correct, pooled) * sum(correct) / labels.sum()


def pairs_of(members, labels):
    return [top_pairs(member, labels) for member in members]


@pytest.mark.parametrize(("seeds_a", "seeds_b"), [((1,), (2,)), ((1, 2, 3), (4,)), ((1, 2), (3, 4, 5))])
def test_equals_videos_literally_drawn_and_measured_by_definition(labels, seeds_a, seeds_b):
    a, b = system(labels, noise=0.6, seeds=seeds_a), system(labels, noise=0.9, seeds=seeds_b)
    told = compare_gaps(pairs_of(a, labels), pairs_of(b, labels), resamples=30, seed=5, level=0.8)
    np.testing.assert_allclose(told.a.values, [gap_by_definition(each, labels) for each in a], atol=1e-12)
    np.testing.assert_allclose(told.b.values, [gap_by_definition(each, labels) for each in b], atol=1e-12)
    rng, differences = np.random.default_rng(5), []
    for _ in range(30):
        videos = rng.integers(len(labels), size=len(labels))
        gaps = [
            np.mean([gap_by_definition(each[videos], labels[videos]) for each in side]) for side in (a, b)
        ]
        differences.append(gaps[0] - gaps[1])
    np.testing.assert_allclose(told.interval, np.quantile(differences, [0.1, 0.9]), rtol=0, atol=1e-12)
    assert told.a_ahead == np.mean(np.array(differences) > 0)
    assert told.difference == pytest.approx(np.mean(told.a.values) - np.mean(told.b.values), abs=1e-15)


def test_one_seed_on_either_side_is_the_paired_difference(labels):
    (a,), (b,) = system(labels, noise=0.5, seeds=[1]), system(labels, noise=0.5, seeds=[2])
    told = compare_gaps([top_pairs(a, labels)], [top_pairs(b, labels)], resamples=50, seed=3)
    assert (told.difference, told.interval) == paired_gap_difference(a, b, labels, resamples=50, seed=3)
    assert told.a.deviation is None and told.b.deviation is None
    assert told.a.mean == told.a.low == told.a.high == global_average_precision(a, labels)


def test_the_spread_over_seeds(labels):
    a, b = system(labels, noise=0.5, seeds=range(4)), system(labels, noise=0.5, seeds=[9])
    spread = compare_gaps(pairs_of(a, labels), pairs_of(b, labels), resamples=2).a
    gaps = [global_average_precision(each, labels) for each in a]
    assert spread.mean == pytest.approx(sum(gaps) / 4, abs=1e-15)
    assert spread.deviation == pytest.approx(
        (sum((gap - sum(gaps) / 4) ** 2 for gap in gaps) / 3) ** 0.5, abs=1e-15
    )
    assert (spread.low, spread.high) == (min(gaps), max(gaps))


def test_turned_round_it_is_the_same_comparison(labels):
    a, b = (pairs_of(system(labels, noise=0.6, seeds=seeds), labels) for seeds in ((1, 2), (3,)))
    told, back = compare_gaps(a, b, resamples=60), compare_gaps(b, a, resamples=60)
    assert back.difference == -told.difference and back.a_ahead == pytest.approx(1 - told.a_ahead)
    np.testing.assert_allclose(back.interval, [-told.interval.high, -told.interval.low], rtol=0, atol=1e-12)


def test_equal_systems_do_not_differ(labels):
    pairs = pairs_of(system(labels, noise=0.6, seeds=[1]), labels)
    told = compare_gaps(pairs, pairs, resamples=20)
    assert (told.difference, told.interval, told.a_ahead) == (0.0, (0.0, 0.0), 0.5)


def test_classes_are_scikit_learns_and_sorted(labels):
    a, b = system(labels, noise=0.6, seeds=(1, 2)), system(labels, noise=0.9, seeds=(3, 4, 5))
    videos = labels.sum(axis=0)
    told = compare_classes(
        [average_precision_by_class(each, labels) for each in a],
        [average_precision_by_class(each, labels) for each in b],
        videos,
        least=6,
    )
    assert set(told.classes) == set(np.flatnonzero(videos >= 6)) and 0 < len(told.classes) < CLASSES
    assert (np.diff(told.difference) <= 0).all()
    for place, label in enumerate(told.classes):
        expected = [
            np.mean([average_precision_score(labels[:, label], each[:, label]) for each in side])
            for side in (a, b)
        ]
        assert told.videos[place] == videos[label]
        np.testing.assert_allclose((told.a[place], told.b[place]), expected, atol=1e-12)
        assert told.difference[place] == pytest.approx(expected[0] - expected[1], abs=1e-12)


def test_equal_classes_stand_by_number_and_there_may_be_none():
    same = np.array([0.5, 0.5, 0.25, np.nan])
    told = compare_classes([same], [same], [9, 9, 9, 0])
    assert told.classes.tolist() == [0, 1, 2]
    assert not len(compare_classes([same], [same], [1, 1, 1, 0]).classes)


def test_faults(labels):
    (pairs,) = pairs_of(system(labels, noise=0.5, seeds=[1]), labels)
    other = top_pairs(np.zeros((3, 2)), np.ones((3, 2)))
    turned = top_pairs(np.zeros(labels.shape), labels[::-1])
    with pytest.raises(ValueError, match="at least one member"):
        compare_gaps([], [pairs])
    for wrong in (other, turned):
        with pytest.raises(ValueError, match="same videos in the same order"):
            compare_gaps([pairs], [wrong])
    with pytest.raises(ValueError, match="`level`"):
        compare_gaps([pairs], [pairs], level=95)
    with pytest.raises(ValueError, match="`resamples`"):
        compare_gaps([pairs], [pairs], resamples=0)
    with pytest.raises(ValueError, match="one or more, of the same videos"):
        resampled_gaps([pairs, other], resamples=1, seed=0)
    with pytest.raises(ValueError, match="one or more, of the same videos"):
        resampled_gaps([], resamples=1, seed=0)
    with pytest.raises(ValueError, match="at least one member"):
        compare_classes([[0.5]], [], [1])
    with pytest.raises(ValueError, match="shapes"):
        compare_classes([[0.5]], [[0.5, 0.5]], [1])
    with pytest.raises(ValueError, match="`least`"):
        compare_classes([[0.5]], [[0.5]], [1], least=0)
