"""Stored scores: round trips, the cut to the highest, and damaged files."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit import predictions
from dmlkit.errors import DataError
from dmlkit.predictions import Predictions, concatenate


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
        labels = None if whole.labels is None else whole.labels[some]
        yield Predictions(whole.ids[some], labels, whole.scores[some])


@pytest.mark.parametrize(("kept", "labelled"), [(None, True), (4, True), (30, True), (4, False)])
def test_in_any_form_it_is_one_content(tmp_path, monkeypatch, kept, labelled):
    """Put together of blocks, read from disk, in another order; whole and in blocks."""
    monkeypatch.setattr(predictions, "BLOCK", 11)
    whole = sample(labelled=labelled)
    one = concatenate(blocks_of(whole), kept=kept)
    expected = whole.scores.copy()
    for row in expected if kept else ():
        row[np.argsort(-row)[kept:]] = np.nextafter(np.sort(row)[-kept], np.float16(0))
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
                labels = np.concatenate([part.labels for part in parts])
                np.testing.assert_array_equal(ordered.labels, whole.labels[rows])
                np.testing.assert_array_equal(labels, whole.labels[rows])
            else:
                assert ordered.labels is None and parts[0].labels is None


def test_scores_of_a_large_split_are_cut_to_the_highest_of_each_video(monkeypatch):
    whole = sample(videos=40, classes=120)
    monkeypatch.setattr(predictions, "LARGEST_DENSE", whole.scores.nbytes)
    assert concatenate(blocks_of(whole)).kept is None
    monkeypatch.setattr(predictions, "LARGEST_DENSE", whole.scores.nbytes - 1)
    cut = concatenate(blocks_of(whole))
    assert cut.kept == 100 and (np.count_nonzero(cut.kept_scores, axis=1) <= 100).all()
    np.testing.assert_array_equal(cut.is_kept, cut.kept_scores > 0)
    # What was not kept is just below what was, and not above what it is.
    lowest = np.where(cut.is_kept, cut.scores, np.float16(1)).min(axis=1, keepdims=True)
    assert (
        np.where(cut.is_kept, 0, cut.scores < lowest).sum() == 40 * 20 and (cut.scores >= whole.scores).all()
    )
    np.testing.assert_array_equal(np.sort(cut.scores)[:, -100:], np.sort(whole.scores)[:, -100:])


IDS = {"ids": np.array(["a", "b"]), "num_classes": np.array(3)}
FOREIGN = [
    IDS | {"scores": np.zeros((2, 4))},
    IDS | {"scores": np.zeros((2, 3)), "label_videos": np.array([7]), "label_classes": np.array([0])},
    IDS | {"top_classes": np.array([[3], [0]]), "scores": np.ones((2, 1))},
]


def test_classes_of_a_cut_split_are_measured_behind_what_was_kept(leave_run, tmp_path, monkeypatch):
    """Against scikit-learn, a class that was not kept having a score of 0."""
    monkeypatch.setattr(predictions, "BLOCK", 11)
    run, whole = leave_run(tmp_path / "run"), sample(videos=40, classes=10)
    whole.labels[:, 3] = False
    names = run.record["data"]["class_names"] = ['a, "b"', *"bcdefghi", "\ud800"]
    for kept in (None, 4):
        run.predictions = cut = concatenate(blocks_of(whole), kept=kept)
        scores = np.where(np.argsort(np.argsort(-whole.scores)) < (kept or 10), whole.scores, 0)
        table = run.per_class()
        assert list(table["class"]) == list(range(10)) and list(table["name"]) == [*names[:-1], "class 9"]
        assert list(table["videos"]) == list(whole.labels.sum(axis=0)) and np.isnan(
            table.average_precision[3]
        )
        for label in {*range(10)} - {3}:
            expected = average_precision_score(whole.labels[:, label], scores[:, label])
            assert table.average_precision[label] == pytest.approx(expected, abs=1e-12)
        more = ", the highest 4 scores of each" * bool(kept)
        assert repr(cut) == f"Predictions(40 videos × 10 classes, with labels{more})"


def test_damaged_and_foreign_files_are_named(tmp_path):
    file = tmp_path / "p.npz"
    sample().save(file)
    for content in (b"", b"nonsense", file.read_bytes()[:-100]):
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
