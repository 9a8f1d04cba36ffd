"""GAP@k, mAP, Hit@1, PERR and each video's best classes: by hand, by definition in plain Python, by scikit-learn.

Metrics of videos that come in parts have the same bits as those of all at once, in flat memory.
"""

import pickle

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.metrics import precision_recall_curve as sklearn_curve

from dmlkit.metrics import (
    GlobalAveragePrecision,
    RankingMetrics,
    average_precision_by_class,
    gap_interval,
    gap_interval_of_pairs,
    global_average_precision,
    mean_average_precision,
    precision_recall_curve,
    top_k_pairs,
    top_pairs,
)
from dmlkit.metrics.ranking import _HELD_VIDEOS

every_precision = pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])


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
    labels = rng.random((videos, classes)) < rng.random((videos, 1))
    labels[0, int(rng.integers(classes))] = True
    return scores, labels


def test_gap_of_equal_scores_and_of_videos_without_labels():
    # .9 right, then {.5 right, .5 wrong, .5 wrong}: 1 · 1/2 + 2/4 · 1/2.
    assert global_average_precision(np.array([[0.9, 0.5], [0.5, 0.5]]), np.array([[1, 1], [0, 0]])) == 0.75
    # Thirty equal scores: classes 0 to 19 are in, 20 to 29 out.
    gaps = [global_average_precision(np.zeros((1, 30)), np.eye(30)[[label]]) for label in range(30)]
    assert gaps == [1 / 20] * 20 + [0.0] * 10
    # A video without labels adds wrong pairs; without any label at all GAP is 0.
    assert global_average_precision([[0.8, 0.1], [0.9, 0.0]], [[1, 0], [0, 0]]) == 0.5
    assert global_average_precision(np.ones((0, 4)), np.zeros((0, 4))) == 0.0


@every_precision
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
    infinite = np.where(scores == scores.max(), np.inf, scores)
    for alike in (scores * 8 - 4, np.asfortranarray(scores), infinite, (scores * 1000).round().astype(int)):
        assert global_average_precision(alike, labels * 7.5) == expected
    np.testing.assert_array_equal((scores, labels), before)


def test_the_best_classes_are_those_of_a_plain_sort():
    rng = np.random.default_rng(0)
    for dtype in (np.float16, np.float64, np.int64) * 30:
        shape = int(rng.integers(0, 9)), int(rng.integers(1, 50))
        scores = rng.integers(-3, int(rng.integers(-2, 60)), size=shape).astype(dtype)
        k = int(rng.integers(1, 55))
        classes, values = top_k_pairs(scores, k=k)
        for row, best in zip(scores.tolist(), classes.tolist(), strict=True):
            assert best == sorted(range(len(row)), key=lambda c, row=row: (-row[c], c))[:k]
        np.testing.assert_array_equal(values, np.take_along_axis(scores, classes, axis=1))


@every_precision
def test_average_precision_is_scikit_learns_with_ties(dtype):
    rng = np.random.default_rng(0)
    for videos, classes in [(1, 5), (25, 64), (30, 150)]:
        levels = int(rng.integers(2, 30))
        scores = (rng.integers(levels, size=(videos, classes)) / levels).astype(dtype)
        labels = rng.random((videos, classes)) < rng.random(classes) * 0.3
        by_class, occurs = average_precision_by_class(scores, labels), labels.any(axis=0)
        np.testing.assert_array_equal(np.isnan(by_class), ~occurs)
        expected = [average_precision_score(labels[:, c], scores[:, c]) for c in np.flatnonzero(occurs)]
        np.testing.assert_allclose(by_class[occurs], expected, rtol=0, atol=1e-12)
        mean = (pytest.approx(np.mean(expected)), occurs.sum(), classes)
        assert mean_average_precision(scores, labels) == mean
        order = rng.permutation(videos)
        np.testing.assert_array_equal(average_precision_by_class(scores[order], labels[order]), by_class)


@pytest.mark.parametrize("function", [global_average_precision, average_precision_by_class])
def test_wrong_arguments_are_refused(function):
    for scores, labels, match in (
        (np.zeros((2, 3)), np.zeros((2, 4)), r"one shape .*Received: scores=\(2, 3\), labels=\(2, 4\)"),
        ([[0, 1], [np.nan, 1]], np.zeros((2, 2)), "NaN for 1 of 4 scores, the first at video 1, class 0"),
        (np.zeros((1, 1)), np.full((1, 1), np.nan), "`labels` must not contain NaN"),
        (np.zeros((3, 0)), np.zeros((3, 0)), r"\(videos, classes\)"),
    ):
        with pytest.raises(ValueError, match=match):
            function(scores, labels)
    for wrong in (0, 2.5, True, "20"):
        with pytest.raises(ValueError, match="`top_k` must be a whole number of at least 1"):
            global_average_precision(np.zeros((2, 3)), np.zeros((2, 3)), wrong)


def in_parts(scores, labels, size):
    metrics = RankingMetrics(scores.shape[1])
    for start in range(0, len(scores), size):
        metrics.update(scores[start : start + size], labels[start : start + size])
    return metrics


def test_gap_of_any_order_split_and_grouping_is_the_same_bits():
    rng = np.random.default_rng(3)
    for dtype in (np.float16, np.float32, np.float64) * 8:
        scores, labels = random_case(rng, videos=60, classes=30, levels=9, dtype=dtype)
        expected = global_average_precision(scores, labels, 5)
        workers = [GlobalAveragePrecision(top_k=5) for _ in range(int(rng.integers(1, 6)))]
        for part in np.split(
            rng.permutation(60), np.sort(rng.integers(0, 61, size=int(rng.integers(0, 20))))
        ):
            workers[int(rng.integers(len(workers)))].update(scores[part], labels[part])
        while len(workers) > 1:  # merged in pairs, as a tree, in a random order, each sent by a process
            workers[0].merge(pickle.loads(pickle.dumps(workers.pop(int(rng.integers(1, len(workers)))))))
        assert workers[0].result() == workers[0].result() == expected


def test_merging_leaves_the_other_as_it_was_and_a_refused_update_adds_nothing():
    scores, labels = random_case(np.random.default_rng(0), videos=9, classes=12)
    one, other = GlobalAveragePrecision(), GlobalAveragePrecision()
    other.update(scores, labels)
    one.merge(other)
    with pytest.raises(ValueError, match="NaN"):
        one.update(scores * np.nan, labels)
    one.update(scores[:4], labels[:4])
    assert other.result() == global_average_precision(scores, labels) != one.result()
    with pytest.raises(ValueError, match="`top_k` must be the same"):
        GlobalAveragePrecision(20).merge(GlobalAveragePrecision(10))


@pytest.mark.parametrize("videos", [1, 30, 300])
def test_all_metrics_of_any_parts_match_a_loop_over_videos(videos):
    """A video without labels is a miss, and left out of PERR; more than 20 labels count too."""
    rng = np.random.default_rng(0)
    for classes, levels in ((3, 7), (64, 900)):
        scores, labels = random_case(rng, videos=videos, classes=classes, levels=levels, dtype=np.float16)
        hits, precisions = [], []
        for row, true in zip(scores.tolist(), labels.tolist(), strict=True):
            ranked = sorted(range(classes), key=lambda c, row=row: (-row[c], c))
            hits.append(true[ranked[0]])
            precisions += [sum(true[c] for c in ranked[: sum(true)]) / sum(true)] if any(true) else []
        found = in_parts(scores, labels, videos).result()
        assert found["hit_at_one"] == np.mean(hits) and found["videos"] == videos
        assert found["perr"] == pytest.approx(np.mean(precisions), abs=1e-12)
        assert found["gap"] == global_average_precision(scores, labels)
        assert tuple(found[key] for key in ("map", "map_classes", "num_classes")) == mean_average_precision(
            scores, labels
        )
        order = rng.permutation(videos)
        for size in (1, 7, 1000) if videos < 100 else (50,):
            metrics = in_parts(scores[order], labels[order], size)
            assert metrics.result() == metrics.result() == found
        interval = gap_interval(scores, labels, resamples=10, seed=3)
        pairs = in_parts(scores, labels, 11).pairs()
        assert gap_interval_of_pairs(pairs, resamples=10, seed=3) == interval


def test_metrics_of_more_videos_than_are_held_at_once():
    scores, labels = random_case(
        np.random.default_rng(0), videos=2 * _HELD_VIDEOS + 99, classes=4, levels=99, dtype=np.float16
    )
    precision, videos = in_parts(scores, labels, 3000).by_class()
    np.testing.assert_array_equal(precision, average_precision_by_class(scores, labels))
    np.testing.assert_array_equal(videos, labels.sum(axis=0))
    assert in_parts(scores, labels, 3000).result() == in_parts(scores, labels, len(scores)).result()


def test_scores_reach_from_0_to_1_and_what_is_none_adds_nothing():
    scores = np.array([[0.0], [-0.0], [float(np.finfo(np.float16).smallest_subnormal)], [1.0]]) * np.ones(4)
    metrics = in_parts(scores, np.array([[1], [0], [0], [1]]) * np.ones(4), 2)
    before = metrics.result()
    assert before["map"] == average_precision_score([1, 0, 0, 1], scores[:, 0])
    for wrong in (np.nan, np.inf, -0.1, 1.001):
        with pytest.raises(ValueError, match=r"NaN|from 0 to 1"):
            metrics.update(np.array([[0.5, wrong, 0.1, 0.2]]), np.ones((1, 4)))
    with pytest.raises(ValueError, match=r"4 classes. Received: \(2, 5\)"):
        metrics.update(np.ones((2, 5)), np.ones((2, 5)))
    assert metrics.result() == before
    none = {"gap": 0.0, "hit_at_one": 0.0, "perr": 0.0, "map": 0.0, "map_classes": 0, "num_classes": 3}
    assert RankingMetrics(3).result() == none | {"videos": 0}
    assert in_parts(np.ones((2, 3)), np.zeros((2, 3)), 2).result() == none | {"videos": 2}


def test_memory_holds_the_best_pairs_of_each_video_and_no_scores():
    rng, gap, metrics, sizes = np.random.default_rng(8), GlobalAveragePrecision(), RankingMetrics(50), []
    for _ in range(3):
        for _ in range(10):
            scores = rng.random((100, 50), dtype=np.float32)
            gap.update(scores, scores > 2)
            metrics.update(scores, scores > 2)
        sizes.append([len(pickle.dumps(each)) for each in (gap, metrics)])
    # 20 scores of 4 bytes, 20 booleans and a count a video.
    assert (np.diff(sizes, axis=0) < 1000 * (20 * 5 + 8) + 6000).all()


@every_precision
def test_the_area_under_the_precision_recall_curve_is_gap(dtype):
    """Against scikit-learn, whose recall is of the true pairs it is given; many scores are equal."""
    rng = np.random.default_rng(5)
    scores, labels = rng.integers(0, 9, (40, 12)).astype(dtype) / 8, rng.random((40, 12)) < 0.2
    for top_k in (3, 12):
        pairs = top_pairs(scores, labels, top_k=top_k)
        precision, recall = precision_recall_curve(pairs)
        expected, of_given, _ = sklearn_curve(pairs.correct.ravel(), pairs.scores.ravel())
        np.testing.assert_allclose(precision, expected[-2::-1])
        np.testing.assert_allclose(recall, of_given[-2::-1] * pairs.correct.sum() / labels.sum())
        area = np.sum(precision * np.diff(recall, prepend=0))
        assert area == pytest.approx(global_average_precision(scores, labels, top_k))
    assert recall[-1] == 1
    assert np.isnan(precision_recall_curve(top_pairs(scores, labels & False))[1]).all()
