"""All metrics of videos that come in parts, against all of them at once."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.metrics import RankingMetrics, ScoreCounts, counts, gap_interval, mean_average_precision, measure

CASES = [(1, 5), (40, 3), (60, 30), (25, 64), (300, 150)]


def some(videos, classes, *, seed=0, levels=None):
    """Scores at half precision with many equal ones, and videos with none to many labels."""
    rng = np.random.default_rng([seed, videos, classes])
    scores = (
        rng.integers(levels, size=(videos, classes)) / levels if levels else rng.random((videos, classes))
    )
    labels = rng.random((videos, classes)) < rng.random((videos, 1)) * 0.6 * (rng.random(classes) < 0.8)
    return scores.astype(np.float16), labels


def in_parts(scores, labels, size, **settings):
    metrics = RankingMetrics(scores.shape[1], **settings)
    for start in range(0, len(scores), size):
        metrics.update(scores[start : start + size], labels[start : start + size])
    return metrics


@pytest.fixture(params=[0, 10, 4096], ids=["counted", "some held", "all held"])
def held(request, monkeypatch):
    monkeypatch.setattr(counts, "_HELD", request.param)


@pytest.mark.parametrize("shape", CASES)
@pytest.mark.parametrize("levels", [1, 7, None])
def test_parts_give_the_same_bits_as_the_whole(shape, levels, held):
    scores, labels = some(*shape, levels=levels)
    for size in (1, 7, 1000) if shape[0] < 100 else (50,):
        assert in_parts(scores, labels, size).result() == measure(scores.astype(np.float32), labels)


def test_neither_order_nor_workers_matter(held):
    scores, labels = some(90, 40, levels=9)
    expected = measure(scores, labels, top_k=5)
    order = np.random.default_rng(1).permutation(90)
    total = in_parts(scores[order[:20]], labels[order[:20]], 6, top_k=5)
    for part in (order[20:50], order[50:50], order[50:]):
        worker = in_parts(scores[part], labels[part], 8, top_k=5)
        before = worker.result()
        total.merge(worker)
        assert worker.result() == before
    assert total.result() == total.result() == expected


def test_a_state_is_plain_arrays_and_goes_through_a_file(held, tmp_path):
    scores, labels = some(50, 12)
    one, other = in_parts(scores[:30], labels[:30], 9), in_parts(scores[30:], labels[30:], 9)
    np.savez(tmp_path / "state.npz", **other.state())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        one.merge(RankingMetrics.from_state(dict(file)))
    assert one.result() == measure(scores.astype(np.float32), labels)
    assert one.gap_interval() == gap_interval(scores.astype(np.float32), labels)
    assert RankingMetrics.from_state(RankingMetrics(3).state()).result() == measure(
        np.ones((0, 3)), np.ones((0, 3))
    )


def test_the_interval_is_that_of_all_videos_in_their_order():
    scores, labels = some(80, 30)
    assert in_parts(scores, labels, 11).gap_interval(resamples=50, seed=3) == gap_interval(
        scores.astype(np.float32), labels, resamples=50, seed=3
    )


def test_map_is_scikit_learns(held):
    for levels in (2, 20, None):
        scores, labels = some(200, 20, levels=levels)
        streaming = ScoreCounts(20)
        for start in range(0, 200, 30):
            streaming.update(scores[start : start + 30], labels[start : start + 30])
        expected = [
            average_precision_score(labels[:, c], scores[:, c]) if labels[:, c].any() else np.nan
            for c in range(20)
        ]
        np.testing.assert_allclose(streaming.by_class(), expected, rtol=0, atol=1e-12)
        assert streaming.result() == mean_average_precision(scores, labels)


def test_map_by_hand(held):
    # .9 right, .8 wrong, .1 right: (1/1 + 2/3) / 2. A class nobody has. One video last of three: 1/3.
    streaming = ScoreCounts(3)
    streaming.update([[0.9, 0.9, 0.1]], [[1, 0, 1]])
    streaming.update([[0.8, 0.8, 0.2], [0.1, 0.1, 0.3]], [[0, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(streaming.by_class(), [5 / 6, np.nan, 1 / 3], rtol=0, atol=1e-15)
    assert streaming.result()[1:] == (2, 3)


def test_the_ends_of_the_scale(held):
    smallest = float(np.finfo(np.float16).smallest_subnormal)
    scores = np.array([[0.0], [-0.0], [smallest], [1.0]])
    streaming = ScoreCounts(1)
    streaming.update(scores, [[1], [0], [0], [1]])
    assert streaming.by_class()[0] == average_precision_score([1, 0, 0, 1], scores[:, 0])


def test_scores_are_rounded_to_half_precision():
    scores = np.random.default_rng(0).random((50, 10)).astype(np.float32)
    labels = scores > 0.7
    assert in_parts(scores, labels, 7).result() == measure(scores.astype(np.float16), labels)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -0.1, 1.001])
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


def test_only_alike_measures_are_merged():
    with pytest.raises(ValueError, match=r"num_classes=3, other\.num_classes=4"):
        RankingMetrics(3).merge(RankingMetrics(4))
    with pytest.raises(ValueError, match=r"top_k=5, other\.top_k=6"):
        RankingMetrics(30, top_k=5).merge(RankingMetrics(30, top_k=6))
    with pytest.raises(ValueError, match="num_classes=3"):
        ScoreCounts(3).merge(ScoreCounts(4))


def test_no_video_at_all():
    assert RankingMetrics(3).result() == measure(np.ones((0, 3)), np.ones((0, 3)))
    with pytest.raises(ValueError, match="at least one video"):
        RankingMetrics(3).gap_interval()


def test_memory_does_not_grow_with_the_scores(monkeypatch):
    monkeypatch.setattr(counts, "_HELD", 100)
    streaming, rng = ScoreCounts(8), np.random.default_rng(0)
    for _ in range(50):
        streaming.update(rng.random((100, 8)), np.zeros((100, 8)))
    assert sum(array.nbytes for array in streaming.state().values()) <= 8 * 15_361 * 4 + 100 * 8 * 2
