"""Ensembles of runs from their stored scores, and runs that score together in one reading of the data."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.metrics import COMBINERS, combine, global_average_precision, optimize_weights, overlap
from dmlkit.predictions import Predictions
from dmlkit.training import compare_combiners, compare_members, ensemble_members, leave_one_out, submit
from dmlkit.training.prediction import Member, check_fit, members_of, score_batches, score_blocks


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


@pytest.mark.parametrize("by", COMBINERS)
def test_weights_come_from_the_tuning_split_and_the_ensemble_scores_by_them(copies, generated, tmp_path, by):
    members = [dmlkit.load_run(path) for path in copies]
    run = dmlkit.ensemble(members, out=tmp_path / "both", by=by)
    tuning = [stored(member, "tuning.npz") for member in members]
    weights = optimize_weights([([each.scores for each in tuning], tuning[0].labels)], by=by)
    assert run.record["by"] == run.record["experiment"]["by"] == by
    assert [each["weight"] for each in run.record["members"]] == pytest.approx(weights.members.tolist())
    for file in ("tuning.npz", "predictions.npz"):
        expected = combine([stored(member, file).scores for member in members], weights, by=by)
        np.testing.assert_array_equal(stored(run, file).scores, expected.astype(np.float16))
    if by == "algorithm_2":
        gaps = np.array([member.tuning_gap for member in members])
        assert weights.members == pytest.approx(gaps / gaps.sum())
    # Other labels of the validation split change nothing about the weights.
    for member in members:
        part = stored(member)
        Predictions(part.ids, ~part.labels, part.scores).save(member.path / "predictions.npz")
    blind = dmlkit.ensemble(copies, out=tmp_path / "blind", by=by)
    assert [each["weight"] for each in blind.record["members"]] == [
        each["weight"] for each in run.record["members"]
    ]
    if by not in ("algorithm_2", "stacking"):
        return
    # The models score as the stored scores were combined, from disk, without an ensemble, and as a member of another.
    np.testing.assert_allclose(scores_of(members_of(run.path), generated), run.predictions.scores, atol=2e-3)
    several = scores_of(members_of(copies, by=by), generated)
    np.testing.assert_array_equal(several, scores_of(members_of(run), generated))
    outer = dmlkit.ensemble([run, copies[0]], out=tmp_path / "outer")
    outer_scores = scores_of(members_of(outer.path), generated)
    expected = combine([run.predictions.scores, stored(members[0]).scores],
                       optimize_weights([([stored(run, "tuning.npz").scores, tuning[0].scores], tuning[0].labels)],
                                        by="algorithm_2"), by="algorithm_2")  # fmt: skip
    np.testing.assert_allclose(outer_scores, expected, atol=2e-3)


def test_members_are_matched_by_video_and_cost_what_they_cost_together(copies, tmp_path):
    straight = dmlkit.ensemble(copies, out=tmp_path / "straight")
    for file in ("predictions.npz", "tuning.npz"):
        part = Predictions.load(copies[1] / file)
        order = np.random.default_rng(0).permutation(len(part.ids))
        Predictions(part.ids[order], part.labels[order], part.scores[order]).save(copies[1] / file)
    shuffled = dmlkit.ensemble(copies, out=tmp_path / "shuffled")
    np.testing.assert_array_equal(straight.predictions.scores, shuffled.predictions.scores)
    records = [member.record for member in ensemble_members(straight.path)]
    assert straight.record["parameters"] == sum(record["parameters"] for record in records)
    seconds = [sum(record["seconds"][key] for record in records) for key in ("training", "scoring")]
    assert seconds[0] <= straight.record["seconds"]["training"] < seconds[0] + 60
    assert straight.record["seconds"]["scoring"] == pytest.approx(seconds[1])
    assert straight.gap == global_average_precision(straight.predictions.scores, straight.predictions.labels)
    assert ensemble_members(None) == ensemble_members(copies[0]) == []
    with pytest.raises(DataError, match="is an ensemble"):
        _ = straight.model
    with pytest.raises(UsageError, match="has members"):
        _ = straight.experiment


def test_what_cannot_be_combined(copies, tmp_path):
    dmlkit.ensemble(copies, out=tmp_path / "both")
    for settings, message in (
        ({"runs": copies[:1]}, r"at least two runs\. Received: 1"),
        ({"out": tmp_path / "both", "by": "uniform"}, "already holds another run"),
        ({"by": "staking"}, "Did you mean 'stacking'"),
    ):
        with pytest.raises(UsageError, match=message):
            dmlkit.ensemble(**{"runs": copies, "out": tmp_path / "new"} | settings)
    for call, message in (
        (lambda: members_of([]), "at least one run"),
        (lambda: members_of(copies[0], by="stacking"), "'stacking' out"),
        (lambda: members_of(copies, by="staking"), "Did you mean 'stacking'"),
        (lambda: leave_one_out(copies, by="staking"), "Did you mean 'stacking'"),
    ):
        with pytest.raises(UsageError, match=message):
            call()
    (copies[0] / "tuning.npz").unlink()
    with pytest.raises(DataError, match=r"lr lacks tuning\.npz"):
        members_of(copies, by="optimized")
    change(
        copies[0], data=json.loads((copies[0] / "run.json").read_text())["data"] | {"fingerprint": "0" * 16}
    )
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
        expected = [
            run.tuning_gap,
            whole.tuning_gap - rest.tuning_gap,
            difference.difference,
            *difference.interval,
        ]
        assert gains.iloc[place].tolist() == pytest.approx(expected, abs=1e-12)
    alike = compare_members([*members, members[0]])
    shared = overlap(*(stored(run, "tuning.npz").scores for run in members), top_k=4)
    np.testing.assert_allclose(alike, [[1, shared, 1], [shared, 1, shared], [1, shared, 1]])
    lr = members[0].title
    assert alike.attrs["top_k"] == 4 and list(alike.index) == [
        f"{lr}, seed 0 (1)",
        members[1].title,
        f"{lr}, seed 0 (2)",
    ]
    assert (
        len(compare_combiners(members[:1]))
        == len(compare_members(members[:1]))
        == len(leave_one_out(members))
        == 0
    )


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda record: record["members"][0].update(path="../nowhere"), "no finished run at"),
        (lambda record: record["members"][0].update(path="../attention"), "another run is there now"),
        (lambda record: record["members"][0].update(path=".", name="ensemble"), "another run is there now"),
        (lambda record: record["members"][0].update(weight=float("nan")), "another run is there now"),
        (lambda record: record["members"][0].pop("weight"), "does not name its members"),
        (lambda record: record.update(by="dice"), r"a known combiner .*'dice'"),
        (lambda record: record.update(by="stacking", bias=float("inf")), "another run is there now"),
    ],
)
def test_an_ensemble_whose_members_are_not_there(copies, tmp_path, edit, message):
    run = dmlkit.ensemble(copies, out=tmp_path / "both")
    edit(run.record)
    (run.path / "run.json").write_text(json.dumps(run.record))
    with pytest.raises(DataError, match=message):
        members_of(run.path)


def test_an_ensemble_of_ensembles_has_the_weights_of_both(copies, tmp_path):
    inner = dmlkit.ensemble(copies, out=tmp_path / "inner")
    outer = dmlkit.ensemble([inner, copies[0]], out=tmp_path / "outer")
    share, lr = (each["weight"] for each in outer.record["members"])
    weights = [each["weight"] * share for each in inner.record["members"]] + [lr]
    assert [member.weight for member in members_of(outer)] == pytest.approx(weights)


def test_members_that_read_other_frames_read_for_themselves(copies, smoke_runs, generated):
    profile = smoke_runs["attention"].record["profile"] | {"max_frames": 3, "frame_choice": "uniform"}
    change(copies[1], profile=profile)
    lr, few = members_of(copies[0])[0], members_of(copies[1])[0]
    alone = [scores_of([member], generated).astype(np.float32) for member in (lr, few)]
    together = scores_of([lr._replace(weight=0.25), few._replace(weight=0.75)], generated)
    expected = (alone[0] * np.float32(0.25) + alone[1] * np.float32(0.75)).astype(np.float16)
    np.testing.assert_array_equal(together, expected)
    assert not np.array_equal(alone[1], smoke_runs["attention"].predictions.scores)


def test_data_of_another_kind_and_scores_that_are_no_numbers_are_refused(copies, generated, tmp_path):
    both, frames = dmlkit.ensemble(copies, out=tmp_path / "both"), open_dataset(generated)
    for what, other in (
        ("level", open_dataset(generated / "video")),
        ("classes", replace(frames, num_classes=25)),
        ("features", replace(frames, features={"rgb": frames.features["rgb"]})),
    ):
        for run in (copies[0], both):
            with pytest.raises(UsageError, match=f"other {what} than"):
                check_fit(members_of(run), other)
    broken = dmlkit.load_run(copies[0])
    broken.model.set_weights([np.full_like(weights, np.nan) for weights in broken.model.get_weights()])
    for members in ([Member(broken, 1.0)], [Member(dmlkit.load_run(copies[1]), 0.5), Member(broken, 0.5)]):
        with pytest.raises(DataError, match="not numbers from video"):
            scores_of(members, generated)
    with pytest.raises(DataError, match="no videos to score"):
        list(score_batches([], None))


def test_a_run_measures_and_predicts_as_it_did_when_it_was_trained(smoke_runs, generated):
    run = smoke_runs["attention"]
    predictions = dmlkit.predict(run, data=generated)
    np.testing.assert_allclose(predictions.scores, run.predictions.scores, atol=1e-3)
    assert list(predictions.ids) == list(run.predictions.ids) and predictions.scores.dtype == np.float16
    measured = dmlkit.evaluate(run.path, data=generated)
    gap = global_average_precision(predictions.scores, predictions.labels)
    assert measured["gap"] == pytest.approx(gap, abs=1e-12) and measured["videos"] == 100
    assert dmlkit.predict(run, data=generated, split="test").labels is None
    # The profile caps what training reads, not what is measured.
    assert dmlkit.evaluate(run, data=generated, split="train")["videos"] == 180
    assert dmlkit.evaluate(run, data=generated, max_videos=7)["videos"] == 7


def test_a_file_that_cannot_be_written_is_refused_before_scoring(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for out, reason in (
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "a pipe"),
        (tmp_path / "no" / "s", "no folder"),
    ):
        with pytest.raises(UsageError, match=reason):
            submit("no run", data="no data", out=out)


def test_members_that_kept_their_highest_scores_only(copies, tmp_path):
    for path in copies:
        for file in ("predictions.npz", "tuning.npz"):
            part = Predictions.load(path / file)
            Predictions(part.ids, part.labels, part.scores, kept=10).save(path / file)
    run = dmlkit.ensemble(copies, out=tmp_path / "both")
    assert stored(run).kept == 20 and 0 < run.gap <= 1
