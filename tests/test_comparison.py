"""Two sides compared: what may be on one side, what may not be compared, and the result."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dmlkit
from dmlkit import comparison
from dmlkit.comparison import two_sides
from dmlkit.errors import DataError, UsageError
from dmlkit.metrics import average_precision_by_class, compare_gaps, top_pairs
from dmlkit.predictions import Predictions, concatenate
from dmlkit.runs import write_record


@pytest.fixture
def a_and_b(leave_run, tmp_path):
    runs = (("a", "lr", 0.6), ("b", "b", 0.3))
    return tuple(
        leave_run(tmp_path / folder, name, quality=quality, videos=120) for folder, name, quality in runs
    )


def test_one_run_against_one_is_the_paired_difference(leave_run, a_and_b, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "FEWEST", 25)
    a, b = a_and_b
    found = dmlkit.compare(a, b.path, resamples=100)
    labels, rng = a.predictions.labels, np.random.default_rng(0)
    pairs = ([top_pairs(run.predictions.scores, labels)] for run in (a, b))
    assert found.interval == compare_gaps(*pairs, resamples=100).interval
    assert found.difference == pytest.approx(a.gap - b.gap, abs=1e-12) and found.difference > 0
    assert found.gaps.excludes_zero and found.videos == 120
    assert "95 % CI over videos, for this seed +" in str(found)
    assert ", excludes 0 over videos (one seed)\n" in str(found) and f"{found.difference:+.4f}" in str(found)
    by_class = [average_precision_by_class(run.predictions.scores, labels) for run in (a, b)]
    assert set(found.classes["number"]) == set(np.flatnonzero(labels.sum(axis=0) >= 25))
    assert 3 < len(found.classes) < 10
    for number, _, videos, *precisions, difference in found.classes.itertuples(index=False):
        assert precisions == [by_class[0][number], by_class[1][number]]
        assert difference == precisions[0] - precisions[1] and videos == labels[:, number].sum()
    back, table = dmlkit.compare(b, a, resamples=100).class_table(3), found.class_table(3)
    assert table["class"].tolist() == back["class"].tolist()[::-1]
    assert table["A − B"].is_monotonic_decreasing and table["A − B"][0] > 0 > back["A − B"].iloc[-1]
    shuffled = leave_run(tmp_path / "shuffled", "b", quality=0.3, order=rng.permutation(120), videos=120)
    other = dmlkit.compare(a, shuffled, resamples=100)
    assert found.interval == other.interval and found.classes.equals(other.classes)


def test_several_seeds_are_pooled_with_their_spread(leave_run, tmp_path):
    runs = [leave_run(tmp_path / "good" / f"{seed}", "good", seed=seed, quality=0.6) for seed in (2, 0, 1)]
    bad = leave_run(tmp_path / "bad", "bad", quality=0.3)
    found = dmlkit.compare(tmp_path / "good", bad, resamples=50)
    gaps = [run.gap for run in runs]
    assert found.a.seeds == (0, 1, 2) and sorted(found.a.gaps.values) == sorted(gaps)
    assert found.difference == pytest.approx(np.mean(gaps) - bad.gap, abs=1e-12)
    assert f"standard deviation {np.std(gaps, ddof=1):.4f}" in str(found) and "seed 0" in str(found)
    assert dmlkit.compare([run.path for run in runs], [bad], resamples=50).to_record() == found.to_record()
    assert found.gaps.excludes_zero is None and "too few videos for a test (80 < 100)" in str(found)
    assert "over videos, for these seeds" in str(found)
    worse = [leave_run(tmp_path / "worse" / f"{seed}", "bad", seed=seed, quality=0.3) for seed in (0, 1)]
    both = dmlkit.compare(runs, worse, resamples=50)
    scored = [[run.predictions for run in side] for side in (runs, worse)]
    sides = [[top_pairs(each.scores, each.labels) for each in side] for side in scored]
    assert both.interval == compare_gaps(*sides, resamples=50).interval
    assert "95 % CI over videos and seeds" in str(both) and both.to_record()["excludes_zero"] is None
    precisions = [[average_precision_by_class(each.scores, each.labels) for each in side] for side in scored]
    expected = np.subtract(*(np.mean(side, axis=0) for side in precisions))
    np.testing.assert_allclose(both.classes["difference"], expected[both.classes["number"]], rtol=1e-12)
    # A damaged seed is left out, and one that was named is an error.
    (runs[0].path / "run.json").write_text('{"kind": "trai')
    found = dmlkit.compare(tmp_path / "good", bad, resamples=5)
    assert found.a.seeds == (0, 1) and "Left out" in found.notes[0] and "2/run.json" in str(found)
    with pytest.raises(DataError, match=r"2/run\.json"):
        dmlkit.compare(runs[0].path, bad)


def test_notes_say_what_a_reader_must_know(leave_run, a_and_b, tmp_path):
    a, b = a_and_b
    same = dmlkit.compare(a, a, resamples=20)
    assert (same.difference, same.interval) == (0.0, (0.0, 0.0))
    assert "not significant (CI includes 0)" in str(same) and "both sides" in same.notes[0]
    other = leave_run(tmp_path / "other", profile="demo", units=64, seed=1, videos=120)
    (note,) = dmlkit.compare(a, other, resamples=2).notes
    assert "name smoke and demo" in note and "units 8 and 64" in note
    concatenate([b.predictions], kept=4).save(b.path / "predictions.npz")
    (note,) = dmlkit.compare(a, b.path, resamples=5).notes
    assert "4 highest scores" in note


def test_what_cannot_be_compared_is_refused(leave_run, a_and_b, tmp_path):
    a, b = a_and_b
    elsewhere = leave_run(tmp_path / "two", data="two", videos=120)
    for other, message in (
        (elsewhere, r"different data .* made up \(fingerprint .* two \(fing"),
        (leave_run(tmp_path / "few"), r"on 120, .* on 80; only one has 'v080'"),
    ):
        with pytest.raises(UsageError, match=message):
            dmlkit.compare(a, other)
    stored = b.predictions
    labels = stored.labels.copy()
    labels[3, 7] ^= True
    twice = np.array([*stored.ids[:-1], stored.ids[0]])
    for changed, error, message in (
        (Predictions(stored.ids, labels, stored.scores), UsageError, "labels of .* differ"),
        (Predictions(twice, stored.labels, stored.scores), DataError, "a video twice"),
        (Predictions(stored.ids, None, stored.scores), DataError, "no labels"),
    ):
        changed.save(b.path / "predictions.npz")
        with pytest.raises(error, match=message):
            dmlkit.compare(a, b.path)
    (b.path / "predictions.npz").unlink()
    with pytest.raises(DataError, match=r"predictions\.npz"):
        dmlkit.compare(a, b.path)


def test_a_side_is_one_experiment_with_one_run_a_seed(leave_run, tmp_path):
    other = leave_run(tmp_path / "other", "other")
    for field, value in (("name", "lstm"), ("units", 16), ("data", "two")):
        leave_run(tmp_path / field / "a")
        leave_run(tmp_path / field / "b", seed=1, **{field: value})
        with pytest.raises(UsageError, match=rf"Side B mixes runs .*{field}/a.*; .*{field}/b"):
            dmlkit.compare(other, tmp_path / field)
    for name in ("a", "b"):
        leave_run(tmp_path / "twice" / name, seed=3)
    with pytest.raises(UsageError, match=r"Side A holds the seed 3 twice: .*twice/a and .*twice/b"):
        dmlkit.compare(tmp_path / "twice", other)
    with pytest.raises(UsageError, match=r"no finished run at .*nowhere"):
        dmlkit.compare(other, tmp_path / "nowhere")


def test_names_of_classes_and_titles_break_neither_terminal_nor_page(a_and_b):
    a, b = a_and_b
    names = ["evil \x1b[31m<script>alert(1)</script>", "n" * 300, *(f"name {n}" for n in range(2, 10))]
    data = {"named": True, "path": "data", "class_names": names}
    dataset = SimpleNamespace(name="made up", fingerprint="made up" * 8, **data)
    a.record["experiment"]["title"] = "<b>bold\x1b[2J\n" + "x" * 300
    write_record(a.path, a.record)
    found = dmlkit.compare(a.path, b, dataset=dataset, resamples=5)
    assert found.classes["name"].tolist() == [names[number] for number in found.classes["number"]]
    text, page = found.text(classes=10), found._repr_html_()
    assert "name 5" in text and "n" * 43 + "…" in text and "x" * 61 not in text
    assert "\x1b" not in text + page + repr(found)
    assert "<script>" not in page and "<b>" not in page and max(map(len, text.splitlines())) <= 150
    with pytest.raises(UsageError, match="other data"):
        dmlkit.compare(a, b, dataset=SimpleNamespace(name="else", fingerprint="e" * 64, **data))


def test_a_side_without_runs_is_explained(leave_run, tmp_path):
    for name in ("lr", "b"):
        leave_run(tmp_path / name, name)
    for first, profile, message in (
        ("lr", "smok", "under the profile 'smok'.* Did you mean 'smoke'"),
        ("lstm", None, "no finished run of lstm below .* There are runs of: b, lr. .* --runs"),
    ):
        with pytest.raises(UsageError, match=message):
            two_sides([Path(first), tmp_path / "b"], folder=tmp_path, profile=profile)
