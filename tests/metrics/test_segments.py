"""mAP@K of rated segments: by hand, by its definition in plain Python, and as the starter code computes it."""

import heapq
import random

import numpy as np
import pytest

from dmlkit.metrics import (
    SegmentPrecision,
    map_at_k_interval,
    map_at_k_of_pairs,
    mean_average_precision_at_k,
    rated_pairs,
)


def random_case(rng):
    """Scores of few levels, labels, ratings and ids of some segments; a class may have no positive or no rating."""
    segments, classes, levels = (int(each) for each in rng.integers((1, 1, 2), (30, 8, 30)))
    scores = rng.integers(levels, size=(segments, classes)) / levels
    labels, rated = rng.random((segments, classes)) < rng.random(classes), rng.random(scores.shape) < 0.4
    videos = np.sort(rng.integers(segments // 3 + 1, size=segments))
    return scores, labels, rated, np.array([f"v:{video}:{5 * n}" for n, video in enumerate(videos)])


def by_definition(scores, labels, rated, k):
    """Rank all segments of a class (stable), keep k, drop those that nobody rated, then the mean of the precisions."""
    precisions = []
    for label in range(scores.shape[1]):
        ranked = sorted(range(len(scores)), key=lambda row: -scores[row, label])[:k]
        relevant = [labels[row, label] for row in ranked if rated[row, label]]
        if positives := sum(labels[row, label] for row in range(len(scores)) if rated[row, label]):
            at = [sum(relevant[:rank]) / rank for rank in range(1, len(relevant) + 1)]
            precisions.append(sum(p for p, right in zip(at, relevant, strict=True) if right) / positives)
    return sum(precisions) / len(precisions) if precisions else 0.0


def as_the_starter_code(lists, ratings, top_n):
    """`segment_eval_inference.py` in its steps: lists of segments a class, cut, filtered, scored by place; a heap of
    (score, label) a class; recall over the positives counted before; the mean over the classes that are listed.
    """
    positives, found = {}, []
    for (_, label), score in ratings.items():
        positives[label] = positives.get(label, 0) + (score > 0)
    for label in sorted(lists):
        kept = [each for each in lists[label][:top_n] if (each, label) in ratings]
        heap = []
        for place, each in enumerate(kept):
            heapq.heappush(heap, ((len(kept) - place) / len(kept), ratings[each, label]))
        heap = random.Random(0).sample(heap, len(heap))
        total = seen = 0.0
        for rank, (_, score) in enumerate(sorted(heap, key=lambda pair: pair[0], reverse=True), start=1):
            seen += score > 0
            total += seen / rank / positives[label] if score > 0 else 0
        if positives[label]:
            found.append(total)
    return np.mean(found)


def test_by_hand():
    scores, labels, rated = (
        np.array([[0.9], [0.8], [0.7], [0.6]]),
        np.array([[1], [0], [1], [1]]),
        np.ones((4, 1)),
    )
    rated[0] = 0  # of no account: neither correct nor a place
    assert mean_average_precision_at_k(scores, labels, rated) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert mean_average_precision_at_k(scores, labels, rated, k=3) == pytest.approx(
        1 / 2 / 2
    )  # it counts for K
    assert mean_average_precision_at_k(scores, np.roll(labels, 1), np.ones((4, 1))) == pytest.approx(
        (1 + 1 + 3 / 4) / 3
    )
    # Of equal scores the first segment is ranked higher; a class without positives is left out.
    equal, columns = np.zeros((2, 2)), np.array([[1, 0], [0, 0]])
    assert mean_average_precision_at_k(equal, columns, np.ones((2, 2))) == 1
    assert mean_average_precision_at_k(equal, columns[::-1], np.ones((2, 2))) == 0.5
    assert mean_average_precision_at_k(equal, columns, np.zeros((2, 2))) == 0.0


def test_it_is_the_definition_s_and_the_starter_code_s_on_the_same_predictions():
    rng = np.random.default_rng(0)
    for k in (1, 2, 5, 100_000) * 50:
        scores, labels, rated, ids = random_case(rng)
        found = mean_average_precision_at_k(scores, labels, rated, k=k)
        assert found == pytest.approx(by_definition(scores, labels, rated, k), abs=1e-12)
        ratings = {(ids[row], label): float(labels[row, label]) for row, label in np.argwhere(rated)}
        classes = np.flatnonzero((labels & rated).any(axis=0))
        ranked = {label: ids[np.argsort(-scores[:, label], kind="stable")].tolist() for label in classes}
        if classes.size:  # else the starter code has no number
            assert found == pytest.approx(as_the_starter_code(ranked, ratings, k), abs=1e-12)


def test_parts_give_what_all_segments_give_and_keep_rated_pairs_only():
    rng = np.random.default_rng(1)
    for _ in range(50):
        scores, labels, rated, _ = case = random_case(rng)
        parts, whole = SegmentPrecision(), SegmentPrecision()
        for rows in np.array_split(np.arange(len(scores)), 5):
            parts.update(*(each[rows] for each in case))
        whole.update(*case)
        result = parts.result()
        assert result == whole.result() and (parts.pairs().videos == whole.pairs().videos).all()
        assert result["map_at_k"] == mean_average_precision_at_k(scores, labels, rated)
        assert (result["k"], result["segments"]) == (100_000, len(scores))
        occurring = (labels & rated).any(axis=0)
        assert (result["classes"], result["num_classes"]) == (occurring.sum(), occurring.size)
        assert result["rated"] == rated.sum() == whole.pairs().scores.size
    assert SegmentPrecision().result()["map_at_k"] == 0.0
    many = SegmentPrecision()
    many.update(np.ones((100_001, 1)), np.ones((100_001, 1)), np.ones((100_001, 1)), np.full(100_001, "a:0"))
    assert many.result()["k"] == 100_001  # no cut is made


def test_an_interval_is_that_of_the_videos_repeated():
    rng = np.random.default_rng(2)
    for k in (3, 100_000) * 20:
        scores, labels, rated, ids = random_case(rng)
        rated[0, 0] = True
        pairs, other = (rated_pairs(each, labels, rated, ids=ids, k=k) for each in (scores, 1 - scores))
        names, same = np.unique(pairs.videos), np.random.default_rng(3)
        found = np.zeros((2, 20))
        for column in range(20):
            counts = np.bincount(same.integers(names.size, size=names.size), minlength=names.size)
            times = counts[np.searchsorted(names, pairs.videos)]
            for row, system in enumerate((pairs, other)):
                repeated = type(pairs)(*(np.repeat(each, times) for each in system))
                found[row, column] = map_at_k_of_pairs(repeated)
        # The percentiles of the resamples, moved to the measured value; of the difference, too.
        measured = [map_at_k_of_pairs(each) for each in (pairs, other)]
        for minus, values, middle in (
            (None, found[0], measured[0]),
            (other, found[0] - found[1], measured[0] - measured[1]),
        ):
            interval = map_at_k_interval(pairs, minus, resamples=20, seed=3)
            expected = np.quantile(values, (0.025, 0.975)) - values.mean() + middle
            assert interval == pytest.approx(expected, abs=1e-12)
        assert map_at_k_interval(pairs, pairs, resamples=20) == (0, 0)


def test_what_cannot_be_measured_is_refused():
    ones = np.ones((2, 3))
    for wrong, message in (
        ((ones * np.inf, ones, ones), "finite"),
        ((ones, ones, ones * 0.5), "0 or 1"),
        ((ones, ones, ones[:1]), "0 or 1"),
        ((ones, ones * np.nan, ones), "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            mean_average_precision_at_k(*wrong)
    with pytest.raises(ValueError, match="1 ids of 2 segments"):
        rated_pairs(ones, ones, ones, ids=["a:0"])
    seen = SegmentPrecision()
    seen.update(ones, ones, ones, ["a:0", "b:0"])
    with pytest.raises(ValueError, match="must have 3 classes"):
        seen.update(ones[:, :2], ones[:, :2], ones[:, :2], ["a:0", "b:0"])
    with pytest.raises(ValueError, match="ids"):
        map_at_k_interval(rated_pairs(ones, ones, ones))
    few = rated_pairs(ones[:, :1], ones[:, :1], ones[:, :1], ids=["a:0", "b:0"])
    with pytest.raises(ValueError, match="same rated pairs"):
        map_at_k_interval(rated_pairs(ones, ones, ones, ids=["a:0", "b:0"]), few)
