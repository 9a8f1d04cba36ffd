"""Ensembles of runs from their stored scores, and runs that score together in one reading of the data."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit import predictions
from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.metrics import COMBINERS, Weights, combine, global_average_precision, optimize_weights, overlap
from dmlkit.predictions import Predictions, concatenate
from dmlkit.training import (
    compare_combiners,
    compare_members,
    ensemble_members,
    ensembles,
    leave_one_out,
    submit,
)
from dmlkit.training.prediction import Member, members_of, score_blocks


@pytest.fixture
def copies(smoke_runs, tmp_path):
    """The folders of copies of the two runs, which a test may change."""
    for name, run in smoke_runs.items():
        shutil.copytree(run.path, tmp_path / name)
    return [tmp_path / name for name in smoke_runs]


def stored(run, file="predictions.npz"):
    return Predictions.load(run.path / file)


def change(folder, **values):
    file = folder / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def scores_of(members, data, **settings):
    blocks = list(score_blocks(members, open_dataset(data), "validate", **settings))
    return np.concatenate([block.scores for block in blocks])


@pytest.mark.parametrize("by", ["algorithm_2", "rank_mean", "stacking"])
def test_weights_come_from_the_tuning_split_and_the_ensemble_scores_by_them(copies, generated, tmp_path, by):
    members = [dmlkit.load_run(path) for path in copies]
    run = dmlkit.ensemble(members, out=tmp_path / "both", by=by)
    tuning = [stored(member, "tuning.npz") for member in members]
    weights = optimize_weights([([each.scores for each in tuning], tuning[0].labels)], by=by)
    if by == "algorithm_2":
        gaps = np.array([member.tuning_gap for member in members])
        assert weights.members == pytest.approx(gaps / gaps.sum())
    recorded = [each["weight"] for each in run.record["members"]]
    assert run.record["by"] == by and recorded == pytest.approx(weights.members.tolist())
    for file in ("tuning.npz", "predictions.npz"):
        expected = combine([stored(member, file).scores for member in members], weights, by=by)
        np.testing.assert_array_equal(stored(run, file).scores, expected.astype(np.float16))
    # Other labels of the validation split change nothing about the weights.
    for member in members:
        part = stored(member)
        Predictions(part.ids, ~part.labels, part.scores).save(member.path / "predictions.npz")
    blind = dmlkit.ensemble(copies, out=tmp_path / "blind", by=by)
    assert [each["weight"] for each in blind.record["members"]] == recorded
    # The models score as the stored scores were combined, from disk, without an ensemble, and as a member of another.
    np.testing.assert_allclose(scores_of(members_of(run.path), generated), run.predictions.scores, atol=2e-3)
    several = scores_of(members_of(copies, by=by), generated)
    np.testing.assert_array_equal(several, scores_of(members_of(run), generated))
    outer = dmlkit.ensemble([run, copies[0]], out=tmp_path / "outer")
    share, lr = (each["weight"] for each in outer.record["members"])
    expected = share * run.predictions.scores.astype("f4") + lr * stored(members[0]).scores.astype("f4")
    np.testing.assert_allclose(scores_of(members_of(outer.path), generated), expected, atol=2e-3)


def test_members_are_matched_by_video(copies, tmp_path):
    straight = dmlkit.ensemble(copies, out=tmp_path / "straight")
    for file in ("predictions.npz", "tuning.npz"):
        part = Predictions.load(copies[1] / file)
        order = np.random.default_rng(0).permutation(len(part.ids))
        Predictions(part.ids[order], part.labels[order], part.scores[order]).save(copies[1] / file)
    shuffled = dmlkit.ensemble(copies, out=tmp_path / "shuffled")
    np.testing.assert_array_equal(straight.predictions.scores, shuffled.predictions.scores)
    members = ensemble_members(straight.path)
    assert straight.record["parameters"] == sum(member.record["parameters"] for member in members)
    assert ensemble_members(None) == ensemble_members(copies[0]) == []
    # Where members kept their highest scores only, so does the ensemble.
    for path in copies:
        for file in ("predictions.npz", "tuning.npz"):
            part = Predictions.load(path / file)
            concatenate([part], kept=10).save(path / file)
    run = dmlkit.ensemble(copies, out=tmp_path / "kept")
    assert stored(run).kept == 20 and 0 < run.gap <= 1


@pytest.mark.parametrize("fitted", [(2.79, -1.3), None])
def test_scores_that_were_not_kept_do_not_decide(copies, tmp_path, monkeypatch, fitted):
    """Stacked with any weights, the highest 100 of 1,000 classes measure as all of them do."""
    rng, every = np.random.default_rng(0), []
    labels, shared = rng.random((300, 1000)) < 0.003, rng.normal(size=(300, 1000))
    for path, noise in zip(copies, (0.2, 0.4), strict=True):
        logits = 6.5 * labels - 8 + 2 * shared + noise * rng.normal(size=shared.shape)
        every.append((1 / (1 + np.exp(-logits))).astype(np.float16))
        whole = Predictions(np.arange(300).astype(str), labels, every[-1])
        monkeypatch.setattr(predictions, "LARGEST_DENSE", whole.scores.nbytes - 1)
        for file in ("predictions.npz", "tuning.npz"):
            predictions.concatenate(whole.blocks()).save(path / file)
    weights = optimize_weights([(every, labels)], by="stacking")
    if fitted:
        weights = Weights(np.array(fitted))
        monkeypatch.setattr(ensembles, "optimize_weights", lambda parts, by: weights)
    run = dmlkit.ensemble(copies, out=tmp_path / "both", by="stacking")
    assert [each["weight"] for each in run.record["members"]] == pytest.approx(weights.members, abs=0.01)
    expected = global_average_precision(combine(every, weights, by="stacking").astype(np.float16), labels)
    assert expected > 0.5 and run.gap == pytest.approx(expected, abs=1e-3)
    # No class that neither member kept is among the best.
    known = stored(dmlkit.load_run(copies[0])).is_kept | stored(dmlkit.load_run(copies[1])).is_kept
    top = np.argsort(-run.predictions.scores, axis=1, kind="stable")[:, :20]
    assert np.take_along_axis(known, top, axis=1).all() and run.predictions.kept == 200
    # Nor do the low scores of a member that kept all of them.
    for file in ("predictions.npz", "tuning.npz"):
        whole.save(copies[1] / file)
    mixed = dmlkit.ensemble(copies, out=tmp_path / "mixed", by="stacking")
    assert mixed.gap == pytest.approx(run.gap, abs=1e-3) and mixed.predictions.kept == 200


def test_what_cannot_be_combined(copies, tmp_path):
    with pytest.raises(UsageError, match="'stacking' out"):
        members_of(copies[0], by="stacking")
    run = dmlkit.ensemble(copies, out=tmp_path / "both")
    lr, attention = run.record["members"]
    for path in ("../attention", "."):
        change(run.path, members=[lr | {"path": path}, attention])
        with pytest.raises(DataError, match="another run is there now"):
            members_of(run.path)
    (copies[0] / "tuning.npz").unlink()
    with pytest.raises(DataError, match=r"lr/tuning\.npz.* train it again"):
        members_of(copies, by="optimized")
    record = json.loads((copies[0] / "run.json").read_text())
    change(copies[0], data=record["data"] | {"fingerprint": "0" * 16})
    with pytest.raises(UsageError, match="different data"):
        dmlkit.ensemble(copies, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_tables_are_of_what_each_ensemble_would_leave(smoke_runs, tmp_path):
    members = list(smoke_runs.values())
    table = compare_combiners(members)
    best = max(members, key=lambda run: run.tuning_gap)
    assert list(table.index[1:]) == list(COMBINERS)
    assert table.iloc[0, :2].tolist() == [best.tuning_gap, best.gap]
    runs = {by: dmlkit.ensemble(members, out=tmp_path / by, by=by) for by in COMBINERS}
    for by, run in runs.items():
        expected = [run.tuning_gap, run.gap, *run.metrics["gap_interval"]]
        assert table.loc[by].tolist()[:4] == pytest.approx(expected, abs=1e-12)
    three = [*members, runs["rank_mean"]]
    gains, whole = leave_one_out(three), dmlkit.ensemble(three, out=tmp_path / "whole")
    for place, run in enumerate(three):
        others = [other for other in three if other is not run]
        rest = dmlkit.ensemble(others, out=tmp_path / f"without-{place}")
        difference = dmlkit.compare(whole, rest, resamples=500)
        gain = whole.tuning_gap - rest.tuning_gap
        expected = [run.tuning_gap, gain, difference.difference, *difference.interval]
        assert gains.iloc[place].tolist() == pytest.approx(expected, abs=1e-12)
    alike = compare_members([*members, members[0]])
    shared = overlap(*(stored(run, "tuning.npz").scores for run in members), top_k=4)
    np.testing.assert_allclose(alike, [[1, shared, 1], [shared, 1, shared], [1, shared, 1]])
    lr, attention = (run.title for run in members)
    assert alike.attrs["top_k"] == 4
    assert list(alike.index) == [f"{lr}, seed 0 (1)", attention, f"{lr}, seed 0 (2)"]
    for table in (compare_combiners(members[:1]), compare_members(members[:1]), leave_one_out(members)):
        assert table.empty


def test_members_that_read_other_frames_read_for_themselves(copies, smoke_runs, generated):
    profile = smoke_runs["attention"].record["profile"] | {"max_frames": 3, "frame_choice": "uniform"}
    change(copies[1], profile=profile)
    lr, few = members_of(copies[0])[0], members_of(copies[1])[0]
    alone = [scores_of([member], generated).astype(np.float32) for member in (lr, few)]
    together = scores_of([lr._replace(weight=0.25), few._replace(weight=0.75)], generated)
    expected = (alone[0] * np.float32(0.25) + alone[1] * np.float32(0.75)).astype(np.float16)
    np.testing.assert_array_equal(together, expected)
    assert not np.array_equal(alone[1], smoke_runs["attention"].predictions.scores)


def test_scores_that_are_no_numbers_and_data_of_another_kind_are_refused(copies, generated):
    broken = dmlkit.load_run(copies[0])
    broken.model.set_weights([np.full_like(weights, np.nan) for weights in broken.model.get_weights()])
    for members in ([Member(broken, 1.0)], [Member(dmlkit.load_run(copies[1]), 0.5), Member(broken, 0.5)]):
        with pytest.raises(DataError, match="not numbers from video"):
            scores_of(members, generated)
    with pytest.raises(UsageError, match="other classes than"):
        dmlkit.evaluate(copies, data=replace(open_dataset(generated), num_classes=25, named=False))


def test_a_run_measures_and_predicts_as_it_did_when_it_was_trained(smoke_runs, generated):
    run = smoke_runs["attention"]
    predictions = dmlkit.predict(run, data=generated)
    np.testing.assert_allclose(predictions.scores, run.predictions.scores, atol=1e-3)
    assert list(predictions.ids) == list(run.predictions.ids) and predictions.scores.dtype == np.float16
    measured = dmlkit.evaluate(run.path, data=generated)
    gap = global_average_precision(predictions.scores, predictions.labels)
    assert measured["gap"] == pytest.approx(gap, abs=1e-12) and measured["videos"] == 100
    # The profile caps what training reads, not what is measured.
    assert dmlkit.evaluate(run, data=generated, split="train")["videos"] == 180


def test_a_file_that_cannot_be_written_is_refused_before_scoring(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for out in (".", "pipe", "no/file"):
        with pytest.raises(UsageError, match="cannot be written to"):
            submit("no run", data="no data", out=tmp_path / out)
