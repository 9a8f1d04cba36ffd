"""Stored scores: round trips, the cut to the highest, and damaged files."""

import tracemalloc

import numpy as np
import pytest

from dmlkit import predictions
from dmlkit.errors import DataError
from dmlkit.predictions import Block, Predictions, concatenate


def sample(videos=30, classes=30, labelled=True):
    rng = np.random.default_rng(0)
    return Predictions(
        ids=np.array([f"video-{i}" for i in range(videos)]),
        labels=rng.random((videos, classes)) < 0.1 if labelled else None,
        scores=rng.random((videos, classes)).astype(np.float16),
    )


def blocks_of(whole, rows=7):
    for start in range(0, len(whole.ids), rows):
        some = slice(start, start + rows)
        yield Block(whole.ids[some], None if whole.labels is None else whole.labels[some], whole.scores[some])


@pytest.mark.parametrize("kept", [None, 4, 30])
@pytest.mark.parametrize("labelled", [True, False])
def test_in_any_form_it_is_one_content(tmp_path, monkeypatch, kept, labelled):
    """Put together of blocks, read from disk, in another order; whole and in blocks."""
    monkeypatch.setattr(predictions, "BLOCK", 11)
    whole = sample(labelled=labelled)
    one = concatenate(blocks_of(whole), kept=kept)
    expected = whole.scores.copy()
    for row in expected if kept else ():
        row[np.argsort(-row)[kept:]] = 0
    one.save(tmp_path / "p.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]
    order = np.random.default_rng(0).permutation(30)
    for form in (one, Predictions.load(tmp_path / "p.npz")):
        assert form.kept == kept and form.num_classes == 30
        for ordered, rows in ((form, np.arange(30)), (form.in_order_of(whole.ids[order]), order)):
            parts = list(ordered.blocks())
            assert [len(part.ids) for part in parts] == [11, 11, 8]
            np.testing.assert_array_equal(ordered.scores, expected[rows])
            np.testing.assert_array_equal(np.concatenate([part.scores for part in parts]), expected[rows])
            assert list(ordered.ids) == list(whole.ids[rows])
            if labelled:
                np.testing.assert_array_equal(ordered.labels, whole.labels[rows])
                np.testing.assert_array_equal(
                    np.concatenate([part.labels for part in parts]), whole.labels[rows]
                )
            else:
                assert ordered.labels is None and parts[0].labels is None


def test_other_videos_have_no_common_order():
    whole = sample()
    assert whole.in_order_of(whole.ids) is whole
    for ids in (whole.ids[:-1], np.char.add(whole.ids, "x"), np.array([*whole.ids[:-1], whole.ids[0]])):
        assert whole.in_order_of(ids) is None


def test_no_more_than_the_limit_is_ever_held_whole(monkeypatch):
    monkeypatch.setattr(predictions, "LARGEST_DENSE", 1 << 20)
    scores = np.random.default_rng(0).random((500, 2000)).astype(np.float16)

    def blocks():
        for start in range(20):
            ids = np.array([f"{start}-{i}" for i in range(500)])
            yield Block(ids, np.zeros(scores.shape, bool), scores)

    tracemalloc.start()
    gathered = concatenate(blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert gathered.kept == 100 and len(gathered.ids) == 10_000
    assert peak < 25e6 < 10_000 * 2000 * 2


IDS = np.array(["a", "b"])
FOREIGN = [
    {"weights": np.ones(3)},
    {"ids": IDS, "num_classes": np.array(3), "scores": np.zeros((2, 4))},
    {"ids": IDS, "num_classes": np.array(3), "scores": np.zeros((2, 3)), "label_videos": np.array([7]),
     "label_classes": np.array([0])},
    {"ids": IDS, "num_classes": np.array([1, 2]), "scores": np.zeros((2, 3))},
    {"ids": IDS, "num_classes": np.array(3), "top_classes": np.array([[3], [0]]), "top_scores": np.ones((2, 1))},
    {"ids": IDS, "num_classes": np.array(3), "top_classes": np.array([[0]]), "top_scores": np.ones((1, 1))},
]  # fmt: skip


def test_damaged_and_foreign_files_are_named(tmp_path):
    file = tmp_path / "p.npz"
    for content in (b"", b"PK\x03\x04", b"nonsense"):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"p\.npz"):
            Predictions.load(file)
    np.savez(file, ids=np.array([{"a": 1}], dtype=object), num_classes=np.array(3))  # a pickle
    with pytest.raises(DataError, match=r"p\.npz"):
        Predictions.load(file)
    for arrays in FOREIGN:
        np.savez(file, **arrays)
        with pytest.raises(DataError, match=r"p\.npz holds something else"):
            Predictions.load(file)
