"""Stored scores: round trips, the cut to the highest, and files that are not what they should be."""

import numpy as np
import pytest

from dmlkit import predictions
from dmlkit.errors import DataError
from dmlkit.predictions import Predictions, gather


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
    monkeypatch.setattr(predictions, "LARGEST_DENSE", 1000)
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
