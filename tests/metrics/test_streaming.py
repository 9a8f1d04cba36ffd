"""Metrics over videos that come in parts: the same bits as over all at once, in flat memory."""

import pickle

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.metrics import (
    GlobalAveragePrecision,
    RankingMetrics,
    gap_interval,
    gap_interval_of_pairs,
    global_average_precision,
    measure,
)


def some(videos, classes, *, seed=0, levels=None):
    """Scores at half precision, equal ones among them where there are few levels, and none to many labels a video."""
    rng = np.random.default_rng([seed, videos, classes])
    scores = rng.random((videos, classes))
    if levels:
        scores = rng.integers(levels, size=(videos, classes)) / levels
    labels = rng.random((videos, classes)) < rng.random((videos, 1)) * 0.6 * (rng.random(classes) < 0.8)
    return scores.astype(np.float16), labels


def in_parts(scores, labels, size, **settings):
    metrics = RankingMetrics(scores.shape[1], **settings)
    for start in range(0, len(scores), size):
        metrics.update(scores[start : start + size], labels[start : start + size])
    return metrics


def test_gap_of_any_order_split_and_grouping_is_the_same_bits():
    rng = np.random.default_rng(3)
    for dtype in (np.float16, np.float32, np.float64) * 8:
        scores, labels = some(60, 30, seed=int(rng.integers(1000)), levels=9)
        scores = scores.astype(dtype)
        expected = global_average_precision(scores, labels, 5)
        order = rng.permutation(60)
        workers = [GlobalAveragePrecision(top_k=5) for _ in range(int(rng.integers(1, 6)))]
        for part in np.split(order, np.sort(rng.integers(0, 61, size=int(rng.integers(0, 20))))):
            workers[int(rng.integers(len(workers)))].update(scores[part], labels[part])
        while len(workers) > 1:  # merged in pairs, as a tree, in a random order
            workers[0].merge(workers.pop(int(rng.integers(1, len(workers)))))
        assert workers[0].result() == workers[0].result() == expected


def test_gap_in_between_and_of_parts_of_different_precision():
    scores, labels = some(20, 12, levels=16)  # sixteenths are exact in every precision
    gap = GlobalAveragePrecision()
    assert gap.result() == 0.0
    gap.update(scores[:7], labels[:7])
    assert gap.result() == global_average_precision(scores[:7], labels[:7])
    gap.update(scores[7:9].astype(np.float32), labels[7:9])
    gap.update(scores[9:].astype(np.float64), labels[9:])
    assert gap.result() == global_average_precision(scores, labels)


def test_merging_leaves_the_other_as_it_was_and_takes_itself():
    scores, labels = some(9, 12)
    one, other = GlobalAveragePrecision(), GlobalAveragePrecision()
    one.update(scores[:4], labels[:4])
    other.update(scores[4:], labels[4:])
    one.merge(pickle.loads(pickle.dumps(other)))  # as a worker sends it
    assert one.result() == global_average_precision(scores, labels)
    assert other.result() == global_average_precision(scores[4:], labels[4:])
    one.merge(one)
    assert one.result() == global_average_precision(np.tile(scores, (2, 1)), np.tile(labels, (2, 1)))
    with pytest.raises(ValueError, match=r"top_k=20, other\.top_k=10"):
        GlobalAveragePrecision(20).merge(GlobalAveragePrecision(10))
    with pytest.raises(ValueError, match="top_k"):
        GlobalAveragePrecision(top_k=0)


def test_gap_keeps_the_best_pairs_of_each_video_alone():
    rng = np.random.default_rng(8)
    gap = GlobalAveragePrecision()
    for _ in range(10):
        gap.update(rng.random((100, 500), dtype=np.float32), rng.random((100, 500)) < 0.01)
    # 20 scores of 4 bytes, 20 booleans and a count a video.
    assert len(pickle.dumps(gap)) < 1000 * (20 * 5 + 8) + 4000


def test_a_refused_update_adds_nothing():
    gap = GlobalAveragePrecision()
    gap.update(np.array([[0.9, 0.1]]), np.array([[1, 0]]))
    with pytest.raises(ValueError, match="NaN"):
        gap.update(np.array([[np.nan, 0.1]]), np.array([[1, 0]]))
    assert gap.result() == 1.0


@pytest.mark.parametrize(("shape", "levels"), [((1, 5), 1), ((40, 3), 7), ((25, 64), None), ((300, 150), 7)])
def test_all_metrics_of_parts_are_those_of_the_whole(shape, levels):
    scores, labels = some(*shape, levels=levels)
    expected = measure(scores.astype(np.float32), labels)
    for size in (1, 7, 1000) if shape[0] < 100 else (50,):
        assert in_parts(scores, labels, size).result() == expected
    order = np.random.default_rng(1).permutation(shape[0])
    assert in_parts(scores[order], labels[order], 9).result() == expected
    expected = gap_interval(scores.astype(np.float32), labels, resamples=10, seed=3)
    assert gap_interval_of_pairs(in_parts(scores, labels, 11).pairs(), resamples=10, seed=3) == expected


def test_map_is_scikit_learns_from_end_to_end_of_the_scale():
    smallest = float(np.finfo(np.float16).smallest_subnormal)
    scores = np.array([[0.0], [-0.0], [smallest], [1.0]])
    metrics = in_parts(scores, np.array([[1], [0], [0], [1]]), 2)
    assert metrics.result()["map"] == average_precision_score([1, 0, 0, 1], scores[:, 0])
    scores = np.random.default_rng(0).random((50, 10)).astype(np.float32)
    labels = scores > 0.7
    assert in_parts(scores, labels, 7).result() == measure(scores.astype(np.float16), labels)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1, 1.001])
def test_what_is_no_score_adds_nothing(wrong):
    scores, labels = some(5, 4)
    metrics = in_parts(scores, labels, 2)
    before = metrics.result()
    with pytest.raises(ValueError, match=r"NaN|from 0 to 1"):
        metrics.update(np.array([[0.5, wrong, 0.1, 0.2]]), np.ones((1, 4)))
    with pytest.raises(ValueError, match="share one shape"):
        metrics.update(np.ones((2, 4)), np.ones((1, 4)))
    with pytest.raises(ValueError, match=r"\(videos, 4\)"):
        metrics.update(np.ones((2, 5)), np.ones((2, 5)))
    assert metrics.result() == before


def test_no_video_at_all():
    assert RankingMetrics(3).result() == measure(np.ones((0, 3)), np.ones((0, 3)))
    with pytest.raises(ValueError, match="at least one video"):
        gap_interval_of_pairs(RankingMetrics(3).pairs())


def test_memory_does_not_grow_with_the_scores():
    metrics, rng, sizes = RankingMetrics(8), np.random.default_rng(0), []
    for _ in range(3):
        for _ in range(50):
            metrics.update(rng.random((100, 8)), np.zeros((100, 8)))
        sizes.append(len(pickle.dumps(metrics)))
    # 8 pairs of 5 bytes and a count a video, and nothing for wrong classes.
    assert max(np.diff(sizes)) < 5000 * (8 * 5 + 8) + 20_000
