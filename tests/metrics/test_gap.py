"""GAP@k: by hand, by the definition in plain Python, by scikit-learn, and however the videos are grouped."""

import pickle

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.metrics import GlobalAveragePrecision, global_average_precision


def gap_by_definition(scores, labels, top_k):
    """The sentence of the paper in plain Python: pool, sort, sum p(i) · Δr(i) over the distinct scores."""
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


def test_by_hand():
    # Pooled: .9 right (p 1/1), .8 wrong, .7 right (p 2/3), .6 wrong, .5 right (p 3/5), .1 wrong; 3 true labels.
    scores = np.array([[0.9, 0.8, 0.5], [0.7, 0.6, 0.1]])
    labels = np.array([[1, 0, 1], [1, 0, 0]])
    assert global_average_precision(scores, labels) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-15)


def test_only_the_top_k_of_each_video_are_pooled_but_recall_counts_every_label():
    # The best of each: .9 right (p 1/1), .7 right (p 2/2). The third label, scored .5, is out of the pool.
    scores = np.array([[0.9, 0.8, 0.5], [0.7, 0.6, 0.1]])
    labels = np.array([[1, 0, 1], [1, 0, 0]])
    assert global_average_precision(scores, labels, top_k=1) == pytest.approx((1 + 1) / 3, abs=1e-15)


def test_the_denominator_of_recall_is_not_capped():
    # 25 labels ranked first: 20 pairs, all right, precision 1 throughout: recall ends at 20/25, not at 1.
    scores = np.linspace(1, 0, 40)[None]
    labels = (np.arange(40) < 25)[None]
    assert global_average_precision(scores, labels) == pytest.approx(20 / 25, abs=1e-15)
    assert global_average_precision(np.zeros((1, 1000)), np.ones((1, 1000))) == 20 / 1000


def test_equal_scores_form_one_threshold():
    # All four pairs at .5: one threshold, precision 2/4, recall 2/2; no order among them to be lucky with.
    scores = np.full((2, 2), 0.5)
    assert global_average_precision(scores, np.array([[1, 0], [0, 1]])) == 0.5
    # .9 right, then {.5 right, .5 wrong, .5 wrong}: 1 · 1/2 + 2/4 · 1/2.
    scores = np.array([[0.9, 0.5], [0.5, 0.5]])
    assert global_average_precision(scores, np.array([[1, 1], [0, 0]])) == 0.75


def test_at_the_last_place_the_lower_class_wins():
    scores = np.array([[0.1, 0.5, 0.9, 0.5, 0.5]])
    for label, expected in [(1, 1 / 2), (3, 0.0), (4, 0.0)]:
        labels = np.zeros((1, 5))
        labels[0, label] = 1
        assert global_average_precision(scores, labels, top_k=2) == expected
    # Thirty equal scores: classes 0 to 19 are in, 20 to 29 out.
    alike = np.zeros((1, 30))
    for label in range(30):
        labels = np.zeros((1, 30))
        labels[0, label] = 1
        assert global_average_precision(alike, labels) == (1 / 20 if label < 20 else 0.0)


def test_a_video_without_labels_counts_as_wrong_pairs():
    scores, labels = np.array([[0.8, 0.1]]), np.array([[1, 0]])
    with_stranger = np.vstack([scores, [[0.9, 0.0]]]), np.vstack([labels, [[0, 0]]])
    assert global_average_precision(scores, labels) == 1.0
    assert global_average_precision(*with_stranger) == 0.5


def test_without_any_true_label_the_result_is_zero():
    assert global_average_precision(np.ones((3, 4)), np.zeros((3, 4))) == 0.0
    assert global_average_precision(np.ones((0, 4)), np.zeros((0, 4))) == 0.0
    assert GlobalAveragePrecision().result() == 0.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("top_k", [1, 3, 20])
def test_matches_the_definition(top_k, dtype):
    rng = np.random.default_rng(top_k)
    for _ in range(40):
        scores, labels = random_case(rng, dtype=dtype)
        expected = gap_by_definition(scores, labels, top_k)
        assert global_average_precision(scores, labels, top_k) == pytest.approx(expected, abs=1e-12)


def test_matches_the_definition_across_blocks_of_rows():
    # Wide enough that the videos are picked in several blocks, some rows with ties at the cut, some without.
    rng = np.random.default_rng(5)
    scores = rng.random((30, 30_000), dtype=np.float32)
    scores[::3] = np.round(scores[::3], 2)
    labels = np.zeros(scores.shape, bool)
    labels[np.arange(30)[:, None], np.argsort(-scores, axis=1, kind="stable")[:, :30:2]] = True
    expected = gap_by_definition(scores, labels, 20)
    assert global_average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)


def test_with_all_classes_it_is_scikit_learns_micro_average():
    rng = np.random.default_rng(0)
    for _ in range(40):
        scores, labels = random_case(rng)
        expected = average_precision_score(labels.ravel(), scores.ravel())
        assert global_average_precision(scores, labels, top_k=30) == pytest.approx(expected, abs=1e-12)


def test_labels_of_any_type_and_scores_that_are_no_probabilities():
    rng = np.random.default_rng(1)
    scores, labels = random_case(rng, videos=8, classes=25)
    expected = global_average_precision(scores, labels)
    for alike in (labels.astype(np.uint8), labels * 7.5, labels.astype(np.int64) * -1, labels.tolist()):
        assert global_average_precision(scores, alike) == expected
    for alike in (scores * 8 - 4, np.asfortranarray(scores), scores.astype(">f8"), scores.tolist()):
        assert global_average_precision(alike, labels) == expected
    assert global_average_precision((scores * 1000).round().astype(int), labels) == expected
    infinite = np.where(scores == scores.max(), np.inf, np.where(scores == scores.min(), -np.inf, scores))
    assert global_average_precision(infinite, labels) == expected


def test_arguments_stay_as_they_were():
    scores, labels = random_case(np.random.default_rng(2), classes=25)
    before = scores.copy(), labels.copy()
    global_average_precision(scores, labels)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_any_order_split_and_grouping_gives_the_same_bits():
    rng = np.random.default_rng(3)
    for round_ in range(25):
        scores, labels = random_case(rng, videos=60, dtype=[np.float16, np.float32, np.float64][round_ % 3])
        expected = global_average_precision(scores, labels, 5)
        order = rng.permutation(60)
        workers = [GlobalAveragePrecision(top_k=5) for _ in range(int(rng.integers(1, 6)))]
        cuts = np.sort(rng.integers(0, 61, size=int(rng.integers(0, 20))))
        for part in np.split(order, cuts):
            workers[int(rng.integers(len(workers)))].update(scores[part], labels[part])
        rng.shuffle(workers)
        while len(workers) > 1:  # merged in pairs, as a tree, in a random order
            other = workers.pop(int(rng.integers(1, len(workers))))
            workers[0].merge(other)
        assert workers[0].result() == expected
        assert workers[0].num_videos == 60


def test_parts_of_different_precision_add_up():
    rng = np.random.default_rng(4)
    scores, labels = random_case(rng, videos=20, levels=16)  # sixteenths are exact in every precision
    gap = GlobalAveragePrecision()
    gap.update(scores[:7].astype(np.float16), labels[:7])
    gap.update(scores[7:9].astype(np.float32), labels[7:9])
    gap.update(scores[9:], labels[9:])
    assert gap.result() == global_average_precision(scores, labels)


def test_result_can_be_asked_for_again_and_in_between():
    rng = np.random.default_rng(6)
    scores, labels = random_case(rng, videos=9)
    gap = GlobalAveragePrecision()
    gap.update(scores[:4], labels[:4])
    assert gap.result() == global_average_precision(scores[:4], labels[:4])
    gap.update(scores[4:], labels[4:])
    assert gap.result() == gap.result() == global_average_precision(scores, labels)


def test_merge_leaves_the_other_alone_and_takes_itself_for_another():
    rng = np.random.default_rng(7)
    scores, labels = random_case(rng, videos=9)
    one, other = GlobalAveragePrecision(), GlobalAveragePrecision()
    one.update(scores[:4], labels[:4])
    other.update(scores[4:], labels[4:])
    one.merge(other)
    assert other.result() == global_average_precision(scores[4:], labels[4:])
    scores, labels = random_case(rng, videos=63)
    gap = GlobalAveragePrecision()
    for part in np.split(np.arange(63), [32, 48, 56, 60, 62]):
        gap.update(scores[part], labels[part])
    gap.merge(gap)
    assert gap.num_videos == 126
    assert gap.result() == global_average_precision(np.tile(scores, (2, 1)), np.tile(labels, (2, 1)))


def test_it_keeps_top_k_pairs_a_video_and_nothing_more():
    rng = np.random.default_rng(8)
    gap = GlobalAveragePrecision(top_k=20)
    for _ in range(1000):  # one video at a time: the worst case for whatever is kept beside the pairs
        gap.update(rng.random((1, 500), dtype=np.float32), rng.random((1, 500)) < 0.01)
    assert gap.num_videos == 1000
    assert gap.num_pairs == 1000 * 20
    assert gap.nbytes == 1000 * 20 * (4 + 1)
    # All of it counted, by pickling it: the pairs and a few hundred bytes of names and headers.
    assert len(pickle.dumps(gap)) < gap.nbytes + 4000
    few = GlobalAveragePrecision(top_k=20)
    few.update(rng.random((7, 3)), np.ones((7, 3)))
    assert few.num_pairs == 7 * 3


def test_a_worker_can_send_it_home():
    scores, labels = random_case(np.random.default_rng(9), videos=9)
    gap = GlobalAveragePrecision()
    gap.update(scores, labels)
    assert pickle.loads(pickle.dumps(gap)).result() == gap.result()


def test_a_refused_update_adds_nothing():
    gap = GlobalAveragePrecision()
    gap.update(np.array([[0.9, 0.1]]), np.array([[1, 0]]))
    with pytest.raises(ValueError, match="NaN"):
        gap.update(np.array([[np.nan, 0.1]]), np.array([[1, 0]]))
    assert (gap.num_videos, gap.num_pairs, gap.result()) == (1, 2, 1.0)


def test_faults():
    with pytest.raises(
        ValueError, match=r"one shape \(videos, classes\)\. Received: scores=\(2, 3\), labels=\(2, 4\)"
    ):
        global_average_precision(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"Received: scores=\(3,\), labels=\(3,\)"):
        global_average_precision(np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match=r"\(videos, classes\)"):
        global_average_precision(np.zeros((3, 0)), np.zeros((3, 0)))
    scores = np.zeros((2, 3))
    scores[1, 2] = np.nan
    with pytest.raises(ValueError, match="first at video 1, class 2"):
        global_average_precision(scores, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="`labels` must not contain NaN"):
        global_average_precision(np.zeros((2, 3)), scores)
    with pytest.raises(ValueError, match="real numbers"):
        global_average_precision(np.zeros((2, 3), complex), np.zeros((2, 3)))
    for top_k in (0, -1, 2.5, True, "20"):
        with pytest.raises(ValueError, match="top_k"):
            GlobalAveragePrecision(top_k=top_k)
        with pytest.raises(ValueError, match="top_k"):
            global_average_precision(np.zeros((2, 3)), np.zeros((2, 3)), top_k)
    with pytest.raises(ValueError, match=r"top_k=20, other\.top_k=10"):
        GlobalAveragePrecision(20).merge(GlobalAveragePrecision(10))
    with pytest.raises(TypeError, match="Received: other=float"):
        GlobalAveragePrecision().merge(0.5)
