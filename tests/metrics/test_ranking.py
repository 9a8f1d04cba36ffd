"""GAP@k, mAP, Hit@1, PERR and each video's best classes: by hand, by definition in plain Python, by scikit-learn."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.metrics import (
    TopPairs,
    average_precision_by_class,
    global_average_precision,
    hit_at_one,
    mean_average_precision,
    measure,
    precision_at_equal_recall_rate,
    top_k_pairs,
    top_pairs,
)


def gap_by_definition(scores, labels, top_k):
    """The paper's sentence in plain Python: pool, sort, sum p(i) · Δr(i) over the distinct scores."""
    pool = []
    for video_scores, video_labels in zip(scores.tolist(), labels.tolist(), strict=True):
        ranked = sorted(range(len(video_scores)), key=lambda label: (-video_scores[label], label))
        pool += [(video_scores[label], bool(video_labels[label])) for label in ranked[:top_k]]
    true_labels = sum(bool(value) for row in labels.tolist() for value in row)
    total = recall_before = 0.0
    for threshold in sorted({score for score, _ in pool}, reverse=True):
        kept = [correct for score, correct in pool if score >= threshold]
        recall = sum(kept) / true_labels
        total += sum(kept) / len(kept) * (recall - recall_before)
        recall_before = recall
    return total


def random_case(rng, *, videos=None, classes=None, levels=None, dtype=np.float64):
    """Random scores, rounded to few levels so that equal scores are common, and random labels."""
    videos = videos or int(rng.integers(1, 12))
    classes = classes or int(rng.integers(1, 30))
    levels = levels or int(rng.integers(2, 40))
    scores = (rng.integers(levels, size=(videos, classes)) / levels).astype(dtype)
    labels = rng.random((videos, classes)) < rng.random()
    labels[0, int(rng.integers(classes))] = True
    return scores, labels


def test_equal_scores_form_one_threshold():
    # All four pairs at .5: one threshold, precision 2/4, recall 2/2; no order among them to be lucky with.
    assert global_average_precision(np.full((2, 2), 0.5), np.array([[1, 0], [0, 1]])) == 0.5
    # .9 right, then {.5 right, .5 wrong, .5 wrong}: 1 · 1/2 + 2/4 · 1/2.
    assert global_average_precision(np.array([[0.9, 0.5], [0.5, 0.5]]), np.array([[1, 1], [0, 0]])) == 0.75


def test_at_the_last_place_the_lower_class_wins():
    scores = np.array([[0.1, 0.5, 0.9, 0.5, 0.5]])
    gaps = [global_average_precision(scores, np.eye(5)[[label]], top_k=2) for label in (1, 3, 4)]
    assert gaps == [1 / 2, 0, 0]
    # Thirty equal scores: classes 0 to 19 are in, 20 to 29 out.
    gaps = [global_average_precision(np.zeros((1, 30)), np.eye(30)[[label]]) for label in range(30)]
    assert gaps == [1 / 20] * 20 + [0.0] * 10


def test_videos_without_labels_are_wrong_pairs_and_no_label_at_all_is_zero():
    assert global_average_precision([[0.8, 0.1], [0.9, 0.0]], [[1, 0], [0, 0]]) == 0.5
    assert global_average_precision(np.ones((3, 4)), np.zeros((3, 4))) == 0.0
    assert global_average_precision(np.ones((0, 4)), np.zeros((0, 4))) == 0.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_gap_matches_the_definition(dtype):
    rng = np.random.default_rng(0)
    for top_k in (1, 3, 20) * 13:
        scores, labels = random_case(rng, dtype=dtype)
        expected = gap_by_definition(scores, labels, top_k)
        assert global_average_precision(scores, labels, top_k) == pytest.approx(expected, abs=1e-12)


def test_gap_matches_the_definition_across_blocks_of_videos():
    # Wide enough that the videos are picked in several blocks, some rows with ties at the cut, some without.
    rng = np.random.default_rng(5)
    scores = rng.random((30, 30_000), dtype=np.float32)
    scores[::3] = np.round(scores[::3], 2)
    labels = np.zeros(scores.shape, bool)
    labels[np.arange(30)[:, None], np.argsort(-scores, axis=1, kind="stable")[:, :30:2]] = True
    expected = gap_by_definition(scores, labels, 20)
    assert global_average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)


def test_any_type_of_labels_and_scores_gives_the_same_and_stays_as_it_was():
    scores, labels = random_case(np.random.default_rng(1), videos=8, classes=25)
    before, expected = (scores.copy(), labels.copy()), global_average_precision(scores, labels)
    for alike in (labels.astype(np.uint8), labels * 7.5, labels.astype(np.int64) * -1, labels.tolist()):
        assert global_average_precision(scores, alike) == expected
    for alike in (scores * 8 - 4, np.asfortranarray(scores), scores.astype(">f8"), scores.tolist()):
        assert global_average_precision(alike, labels) == expected
    assert global_average_precision((scores * 1000).round().astype(int), labels) == expected
    infinite = np.where(scores == scores.max(), np.inf, np.where(scores == scores.min(), -np.inf, scores))
    assert global_average_precision(infinite, labels) == expected
    np.testing.assert_array_equal((scores, labels), before)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64])
def test_the_best_classes_are_those_of_a_plain_sort(dtype):
    rng = np.random.default_rng(0)
    for _ in range(50):
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
    assert top_k_pairs(np.array([[-np.inf, np.inf, 0.0, -0.0, -np.inf]]), k=4).classes.tolist() == [
        [1, 2, 3, 0]
    ]
    assert top_k_pairs(np.zeros((2, 30))).classes.shape == (2, 20)


def test_average_precision_by_hand():
    # Class 0: .9 right, .8 wrong, .1 right: (1/1 + 2/3) / 2. Class 1: its one video last of three: 1/3.
    # Class 2: nobody's. Class 3: all equal, two of three right: 2/3.
    scores = np.array([[0.9, 0.9, 0.1, 0.5], [0.8, 0.8, 0.2, 0.5], [0.1, 0.1, 0.3, 0.5]])
    labels = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]])
    by_class = average_precision_by_class(scores, labels)
    np.testing.assert_allclose(by_class, [5 / 6, 1 / 3, np.nan, 2 / 3], rtol=0, atol=1e-15)
    assert mean_average_precision(scores, labels) == (pytest.approx((5 / 6 + 1 / 3 + 2 / 3) / 3), 3, 4)
    assert mean_average_precision(np.ones((2, 3)), np.zeros((2, 3))) == (0.0, 0, 3)
    assert mean_average_precision(np.ones((0, 3)), np.zeros((0, 3))) == (0.0, 0, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_average_precision_is_scikit_learns_with_ties(dtype):
    rng = np.random.default_rng(0)
    for videos, classes in [(1, 5), (40, 3), (25, 64), (30, 150)]:
        levels = int(rng.integers(2, 30))
        scores = (rng.integers(levels, size=(videos, classes)) / levels).astype(dtype)
        labels = rng.random((videos, classes)) < rng.random(classes) * 0.3
        by_class, occurs = average_precision_by_class(scores, labels), labels.any(axis=0)
        np.testing.assert_array_equal(np.isnan(by_class), ~occurs)
        expected = [average_precision_score(labels[:, c], scores[:, c]) for c in np.flatnonzero(occurs)]
        np.testing.assert_allclose(by_class[occurs], expected, rtol=0, atol=1e-12)
        order = rng.permutation(videos)
        np.testing.assert_array_equal(average_precision_by_class(scores[order], labels[order]), by_class)
        assert mean_average_precision(scores, labels)[1:] == (occurs.sum(), classes)


def test_hit_at_one_and_perr_by_hand():
    # Hit; miss; two equal, of which the lower class is right: hit; no label: miss.
    scores = np.array([[0.1, 0.9], [0.1, 0.9], [0.4, 0.4], [0.9, 0.1]])
    assert hit_at_one(scores, [[0, 1], [1, 0], [1, 0], [0, 0]]) == 2 / 4
    assert hit_at_one(scores[2:3], [[0, 1]]) == hit_at_one(np.zeros((0, 2)), np.zeros((0, 2))) == 0.0
    # Two labels, best two hold one of them: 1/2. One label, ranked first: 1. No label: left out. Three labels
    # of four classes, the one without label ranked third: 2/3.
    scores = np.array(
        [[0.9, 0.8, 0.7, 0.1], [0.1, 0.2, 0.3, 0.4], [0.9, 0.0, 0.0, 0.0], [0.1, 0.2, 0.9, 0.8]]
    )
    labels = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1]])
    assert precision_at_equal_recall_rate(scores, labels) == pytest.approx((1 / 2 + 1 + 2 / 3) / 3, abs=1e-15)
    assert precision_at_equal_recall_rate(np.zeros((1, 3)), [[1, 0, 1]]) == 1 / 2
    assert precision_at_equal_recall_rate(np.ones((2, 3)), np.zeros((2, 3))) == 0.0


def test_hit_at_one_and_perr_match_a_loop_over_videos():
    rng = np.random.default_rng(0)
    for _ in range(40):
        scores, labels = random_case(rng)
        hits, precisions = [], []
        for row, true in zip(scores.tolist(), labels.tolist(), strict=True):
            ranked = sorted(range(len(row)), key=lambda c, row=row: (-row[c], c))
            hits.append(true[ranked[0]])
            if any(true):
                precisions.append(sum(true[c] for c in ranked[: sum(true)]) / sum(true))
        assert hit_at_one(scores, labels) == pytest.approx(np.mean(hits), abs=1e-12)
        assert precision_at_equal_recall_rate(scores, labels) == pytest.approx(np.mean(precisions), abs=1e-12)


def test_measure_gathers_them_as_plain_numbers():
    scores, labels = random_case(np.random.default_rng(1), videos=30, classes=25)
    result, mean = measure(scores, labels, top_k=5), mean_average_precision(scores, labels)
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
    labels[:, 0] = True
    perfect = measure(labels.astype(float), labels)
    assert [perfect["hit_at_one"], perfect["map"]] == [1.0, 1.0]


def test_wrong_arguments_are_refused():
    for function in (global_average_precision, average_precision_by_class, hit_at_one, measure, top_pairs):
        with pytest.raises(
            ValueError, match=r"one shape \(videos, classes\)\. Received: scores=\(2, 3\), labels=\(2, 4\)"
        ):
            function(np.zeros((2, 3)), np.zeros((2, 4)))
        with pytest.raises(ValueError, match="NaN for 1 of 4 scores, the first at video 1, class 0"):
            function(np.array([[0, 1], [np.nan, 1]]), np.zeros((2, 2)))
        with pytest.raises(ValueError, match="`labels` must not contain NaN"):
            function(np.zeros((1, 1)), np.full((1, 1), np.nan))
        for wrong, match in ((np.zeros((3, 0)), r"\(videos, classes\)"), (np.zeros((2, 3), complex), "real")):
            with pytest.raises(ValueError, match=match):
                function(wrong, np.zeros(wrong.shape))
    for wrong in (0, -1, 2.5, True, "20"):
        with pytest.raises(ValueError, match="`top_k` must be a whole number of at least 1"):
            global_average_precision(np.zeros((2, 3)), np.zeros((2, 3)), wrong)
    scores, correct, true_labels = np.zeros((2, 3)), np.zeros((2, 3), bool), np.zeros(2, int)
    for pairs, match in (
        ((scores, correct[:1], true_labels), "share one shape"),
        ((scores, correct, true_labels[:1]), "share one shape"),
        ((scores, correct.astype(int), true_labels), "booleans"),
        ((scores * np.nan, correct, true_labels), "NaN"),
        ((scores, ~correct, true_labels), "at least the labels marked"),
    ):
        with pytest.raises(ValueError, match=match):
            TopPairs(*pairs)


def test_the_metrics_load_no_heavy_library():
    heavy = "{'keras', 'tensorflow', 'pandas', 'matplotlib', 'sklearn', 'scipy'}"
    code = f"import sys, dmlkit.metrics; print(sorted({heavy} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
