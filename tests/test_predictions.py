"""Stored scores: round trips, the cut to the highest, and files that are not what they should be."""

import numpy as np
import pytest

from dmlkit.errors import DataError
from dmlkit.predictions import Block, Predictions, gather, gathering, put_together


def some(videos=7, classes=300, labelled=True):
    rng = np.random.default_rng(0)
    return Predictions(
        ids=np.array([f"video-{i}" for i in range(videos)]),
        labels=rng.random((videos, classes)) < 0.01 if labelled else None,
        scores=rng.random((videos, classes)).astype(np.float16),
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_what_is_saved_is_loaded(labelled, tmp_path):
    before = some(labelled=labelled)
    before.save(tmp_path / "p.npz")
    after = Predictions.load(tmp_path / "p.npz")
    assert list(after.ids) == list(before.ids)
    np.testing.assert_array_equal(after.scores, before.scores)
    assert (after.labels is None) == (not labelled)
    if labelled:
        np.testing.assert_array_equal(after.labels, before.labels)
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


def batches_of(all_scores, rows):
    for start in range(0, len(all_scores), rows):
        part = all_scores[start : start + rows]
        yield {
            "id": np.array([str(start + i) for i in range(len(part))]),
            "labels": np.zeros(part.shape),
            "scores": part,
        }


def test_large_parts_keep_the_highest_of_each_video_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(gathering, "LARGEST_DENSE", 1000)
    everything = some().scores.astype(np.float32)
    gathered = gather(batches_of(everything, 3), lambda batch: batch["scores"])
    assert gathered.kept == 100
    assert ((gathered.scores > 0).sum(axis=1) == 100).all()
    for video, row in enumerate(gathered.scores):
        np.testing.assert_array_equal(
            np.sort(row)[-100:], np.sort(everything[video].astype(np.float16))[-100:]
        )
    gathered.save(tmp_path / "p.npz")
    loaded = Predictions.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(loaded.scores, gathered.scores)
    assert loaded.kept == 100


@pytest.mark.parametrize("kept", [None, 4, 30])
def test_blocks_are_cut_as_they_come_and_are_the_same_in_any_form(tmp_path, kept):
    """Dense, cut and read from disk, whole and in blocks: one content."""
    whole = some(videos=30, classes=30)
    blocks = [
        Block(whole.ids[i : i + 7], whole.labels[i : i + 7], whole.scores[i : i + 7]) for i in range(0, 30, 7)
    ]
    one = put_together(iter(blocks), kept=kept)
    expected = whole.scores.copy()
    for row in expected if kept else ():
        row[np.argsort(-row)[kept:]] = 0
    one.save(tmp_path / "p.npz")
    order = np.random.default_rng(0).permutation(30)
    for form in (one, Predictions.load(tmp_path / "p.npz")):
        for turned, rows in ((form, np.arange(30)), (form.in_order_of(whole.ids[order]), order)):
            parts = list(turned.blocks())
            for found, here in (
                (turned.scores, expected),
                (np.concatenate([part.scores for part in parts]), expected),
                (turned.labels, whole.labels),
                (np.concatenate([part.labels for part in parts]), whole.labels),
                (np.concatenate([part.ids for part in parts]), whole.ids),
            ):
                np.testing.assert_array_equal(found, here[rows])


def test_no_more_than_the_limit_is_ever_held_whole(monkeypatch):
    """As many bytes as the scores cut to their highest take, not as the scores do."""
    import tracemalloc

    monkeypatch.setattr(gathering, "LARGEST_DENSE", 1 << 20)
    rng = np.random.default_rng(0)
    drawn = rng.random((500, 2000)).astype(np.float16)

    def blocks():
        for start in range(20):
            ids = np.array([f"{start}-{i}" for i in range(500)])
            yield Block(ids, np.zeros(drawn.shape, bool), drawn)

    tracemalloc.start()
    gathered = put_together(blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert gathered.kept == 100 and len(gathered.ids) == 10_000
    assert peak < 25e6 < 10_000 * 2000 * 2


def test_scores_that_are_not_numbers_are_refused():
    scores = np.ones((4, 3), np.float32)
    scores[3, 1] = np.nan
    with pytest.raises(DataError, match="'2'"):
        gather(batches_of(scores, 2), lambda batch: batch["scores"])


def test_nothing_to_score_is_said():
    with pytest.raises(DataError, match="no videos to score"):
        gather([], lambda batch: batch["scores"])


def test_pickles_are_not_loaded(tmp_path):
    np.savez(tmp_path / "p.npz", ids=np.array([{"a": 1}], dtype=object), num_classes=np.array(3))
    with pytest.raises(DataError, match=r"p\.npz"):
        Predictions.load(tmp_path / "p.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"nonsense"])
def test_a_damaged_file_is_named(content, tmp_path):
    (tmp_path / "p.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"p\.npz"):
        Predictions.load(tmp_path / "p.npz")


def test_scores_that_are_something_else_are_damaged(tmp_path):
    ids, file = np.array(["a", "b"]), tmp_path / "predictions.npz"
    for arrays in (
        {"weights": np.ones(3)},
        {"ids": ids, "num_classes": np.array(3), "scores": np.zeros((2, 4))},
        {"ids": ids, "num_classes": np.array(3), "scores": np.zeros((2, 3)), "label_videos": np.array([7]),
         "label_classes": np.array([0])},
        {"ids": ids, "num_classes": np.array([1, 2]), "scores": np.zeros((2, 3))},
        {"ids": ids, "num_classes": np.array(3), "top_classes": np.array([[3], [0]]), "top_scores": np.ones((2, 1))},
        {"ids": ids, "num_classes": np.array(3), "top_classes": np.array([[0]]), "top_scores": np.ones((1, 1))},
    ):  # fmt: skip
        np.savez(file, **arrays)
        with pytest.raises(DataError, match=r"predictions\.npz holds something else"):
            Predictions.load(file)


def test_predictions_in_another_order():
    rng = np.random.default_rng(0)
    ids = np.array([f"v{number}" for number in range(20)])
    told = Predictions(ids=ids, labels=rng.random((20, 3)) < 0.5, scores=rng.random((20, 3)), kept=2)
    order = rng.permutation(20)
    turned = told.in_order_of(ids[order])
    np.testing.assert_array_equal(turned.ids, ids[order])
    np.testing.assert_array_equal(turned.scores, told.scores[order])
    np.testing.assert_array_equal(turned.labels, told.labels[order])
    assert turned.kept == 2 and told.in_order_of(ids) is told
    assert told.in_order_of(ids[:-1]) is None
    assert told.in_order_of(np.char.add(ids, "x")) is None
    assert told.in_order_of(np.array([*ids[:-1], ids[0]])) is None
