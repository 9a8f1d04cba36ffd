"""Hit@1 and PERR, by hand and against loops over videos; and all measures at once."""

import json

import numpy as np
import pytest

from dmlkit.metrics import (
    global_average_precision,
    hit_at_one,
    mean_average_precision,
    measure,
    precision_at_equal_recall_rate,
)


def test_hit_at_one_by_hand():
    # Hit; miss; two alike, of which the lower class is right: hit; no label: miss.
    scores = np.array([[0.1, 0.9], [0.1, 0.9], [0.4, 0.4], [0.9, 0.1]])
    assert hit_at_one(scores, [[0, 1], [1, 0], [1, 0], [0, 0]]) == 2 / 4
    assert hit_at_one(scores[2:3], [[0, 1]]) == 0.0
    assert hit_at_one(np.zeros((0, 2)), np.zeros((0, 2))) == 0.0


def test_perr_by_hand():
    # Two labels, best two hold one of them: 1/2. One label, ranked first: 1. No label: left out. Three labels
    # of four classes, the one without label ranked third: 2/3.
    scores = np.array(
        [[0.9, 0.8, 0.7, 0.1], [0.1, 0.2, 0.3, 0.4], [0.9, 0.0, 0.0, 0.0], [0.1, 0.2, 0.9, 0.8]]
    )
    labels = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1]])
    assert precision_at_equal_recall_rate(scores, labels) == pytest.approx((1 / 2 + 1 + 2 / 3) / 3, abs=1e-15)
    # Alike at the last place: the lower class counts.
    assert precision_at_equal_recall_rate(np.zeros((1, 3)), [[1, 0, 1]]) == 1 / 2
    assert precision_at_equal_recall_rate(np.ones((2, 3)), np.zeros((2, 3))) == 0.0
    assert precision_at_equal_recall_rate(np.ones((0, 3)), np.zeros((0, 3))) == 0.0


def test_both_match_a_loop_over_videos():
    rng = np.random.default_rng(0)
    for _ in range(40):
        shape = int(rng.integers(1, 20)), int(rng.integers(1, 40))
        scores = rng.integers(int(rng.integers(1, 30)), size=shape) / 30
        labels = rng.random(shape) < rng.random()
        hits, precisions = [], []
        for row, true in zip(scores.tolist(), labels.tolist(), strict=True):
            ranked = sorted(range(len(row)), key=lambda c, row=row: (-row[c], c))
            hits.append(true[ranked[0]])
            if any(true):
                precisions.append(sum(true[c] for c in ranked[: sum(true)]) / sum(true))
        assert hit_at_one(scores, labels) == pytest.approx(np.mean(hits), abs=1e-12)
        expected = np.mean(precisions) if precisions else 0.0
        assert precision_at_equal_recall_rate(scores, labels) == pytest.approx(expected, abs=1e-12)


def test_measure_gathers_them_as_plain_numbers():
    rng = np.random.default_rng(1)
    scores, labels = rng.random((30, 25), dtype=np.float32), (rng.random((30, 25)) < 0.1).astype(np.float32)
    result = measure(scores, labels, top_k=5)
    mean = mean_average_precision(scores, labels)
    assert result == {
        "gap": global_average_precision(scores, labels, 5),
        "hit_at_one": hit_at_one(scores, labels),
        "perr": precision_at_equal_recall_rate(scores, labels),
        "map": mean.value,
        "map_classes": mean.classes_counted,
        "num_classes": 25,
        "videos": 30,
    }
    assert json.loads(json.dumps(result)) == result
    assert measure(scores, labels)["gap"] == global_average_precision(scores, labels, 20)


def test_perfect_scores_reach_one_everywhere():
    labels = np.random.default_rng(2).random((30, 25)) < 0.2
    labels[:, 0] = True
    result = measure(labels.astype(float), labels)
    assert [result[name] for name in ("gap", "hit_at_one", "perr", "map")] == [1.0] * 4


def test_faults():
    for function in (hit_at_one, precision_at_equal_recall_rate, measure):
        with pytest.raises(ValueError, match="share one shape"):
            function(np.zeros((2, 3)), np.zeros((2, 4)))
        with pytest.raises(ValueError, match="share one shape"):
            function(np.zeros(3), np.zeros(3))
        with pytest.raises(ValueError, match="NaN"):
            function(np.full((2, 3), np.nan), np.zeros((2, 3)))
