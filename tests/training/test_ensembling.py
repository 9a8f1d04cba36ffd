"""Ensembles of runs, from their stored scores: Algorithm 2 and the other ways."""

import json
import shutil

import numpy as np
import pytest

import dmlkit
from dmlkit.errors import UsageError
from dmlkit.metrics import (
    COMBINERS,
    combine,
    global_average_precision,
    optimize_weights,
    overlap,
    paired_gap_difference,
)
from dmlkit.predictions import Predictions
from dmlkit.training import compare_combiners, compare_members, leave_one_out, made_of


def test_scores_are_the_members_weighted_by_their_gap_on_the_tuning_part(smoke_runs, tmp_path):
    lr, attention = smoke_runs["lr"], smoke_runs["attention"]
    run = dmlkit.ensemble([lr, attention.path], out=tmp_path / "both", name="both")
    total = lr.tuning_gap + attention.tuning_gap
    expected = lr.tuning_gap / total * lr.predictions.scores.astype(
        np.float64
    ) + attention.tuning_gap / total * attention.predictions.scores.astype(np.float64)
    assert [member["weight"] for member in run.record["members"]] == pytest.approx(
        [lr.tuning_gap / total, attention.tuning_gap / total]
    )
    np.testing.assert_allclose(run.predictions.scores.astype(np.float64), expected, atol=1e-3)
    assert run.gap == global_average_precision(
        run.predictions.scores.astype(np.float32), run.predictions.labels
    )
    trained = sum(member.record["seconds"]["training"] for member in (lr, attention))
    assert trained <= run.record["seconds"]["training"] < trained + 60
    scored = sum(member.record["seconds"]["scoring"] for member in (lr, attention))
    assert run.record["seconds"]["scoring"] == pytest.approx(scored)
    assert run.record["parameters"] == lr.record["parameters"] + attention.record["parameters"]


def test_members_of_before_scoring_was_timed_leave_an_ensemble_without_it(smoke_runs, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(smoke_runs["lr"].path, old)
    record = json.loads((old / "run.json").read_text())
    del record["seconds"]["scoring"]
    (old / "run.json").write_text(json.dumps(record))
    run = dmlkit.ensemble([old, smoke_runs["attention"]], out=tmp_path / "both")
    assert set(run.record["seconds"]) == {"training"}


def test_members_are_matched_by_video_not_by_place(smoke_runs, tmp_path):
    lr, attention = smoke_runs["lr"], smoke_runs["attention"]
    shuffled = tmp_path / "shuffled"
    shutil.copytree(attention.path, shuffled)
    for name in ("predictions.npz", "tuning.npz"):
        stored = Predictions.load(attention.path / name)
        order = np.random.default_rng(0).permutation(len(stored.ids))
        Predictions(ids=stored.ids[order], labels=stored.labels[order], scores=stored.scores[order]).save(
            shuffled / name
        )
    one = dmlkit.ensemble([lr, attention], out=tmp_path / "one")
    other = dmlkit.ensemble([lr, shuffled], out=tmp_path / "other")
    np.testing.assert_array_equal(one.predictions.scores, other.predictions.scores)


def test_an_ensemble_has_no_model_and_no_experiment(smoke_runs, tmp_path):
    run = dmlkit.ensemble(list(smoke_runs.values()), out=tmp_path / "both")
    with pytest.raises(dmlkit.DataError, match="is an ensemble"):
        _ = run.model
    with pytest.raises(UsageError, match="has members"):
        _ = run.experiment


def test_one_run_is_no_ensemble(smoke_runs, tmp_path):
    with pytest.raises(UsageError, match=r"at least two runs\. Received: 1"):
        dmlkit.ensemble([smoke_runs["lr"]], out=tmp_path / "one")


def test_runs_on_other_data_are_refused(smoke_runs, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(smoke_runs["lr"].path, other)
    record = json.loads((other / "run.json").read_text())
    record["data"]["fingerprint"] = "0" * 16
    (other / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="different data"):
        dmlkit.ensemble([smoke_runs["lr"], other], out=tmp_path / "both")


def stored(run, part="predictions.npz"):
    return Predictions.load(run.path / part)


@pytest.mark.parametrize("by", COMBINERS)
def test_every_way_is_weighed_on_the_tuning_part_and_told(smoke_runs, tmp_path, by):
    members = list(smoke_runs.values())
    run = dmlkit.ensemble(members, out=tmp_path / "both", by=by)
    tuning = [stored(member, "tuning.npz") for member in members]
    weights = optimize_weights([([part.scores for part in tuning], tuning[0].labels)], by=by)
    assert run.record["by"] == run.record["experiment"]["by"] == by
    assert [member["weight"] for member in run.record["members"]] == pytest.approx(weights.members.tolist())
    assert run.record["bias"] == pytest.approx(weights.bias)
    for part in ("tuning.npz", "predictions.npz"):
        expected = combine([stored(member, part).scores for member in members], weights, by=by)
        np.testing.assert_array_equal(stored(run, part).scores, expected.astype(np.float16))


def test_found_weights_are_blind_to_what_is_reported(smoke_runs, tmp_path):
    """Other labels there, the same weights; and on the tuning part never below the best member."""
    members = []
    for name, run in smoke_runs.items():
        shutil.copytree(run.path, tmp_path / name)
        part = stored(run)
        Predictions(part.ids, ~part.labels, part.scores).save(tmp_path / name / "predictions.npz")
        members.append(tmp_path / name)
    for by in ("algorithm_2", "optimized", "stacking"):
        seen = dmlkit.ensemble(list(smoke_runs.values()), out=tmp_path / f"seen-{by}", by=by)
        blind = dmlkit.ensemble(members, out=tmp_path / f"blind-{by}", by=by)
        weights, others = ([each["weight"] for each in run.record["members"]] for run in (seen, blind))
        assert weights == others
        assert seen.gap != blind.gap
    assert dmlkit.load_run(tmp_path / "seen-found").tuning_gap >= max(
        run.tuning_gap for run in smoke_runs.values()
    )


def test_members_that_kept_their_highest_scores_only(smoke_runs, tmp_path):
    members = []
    for name, run in smoke_runs.items():
        shutil.copytree(run.path, tmp_path / name)
        for file in ("predictions.npz", "tuning.npz"):
            part = stored(run, file)
            Predictions(part.ids, part.labels, part.scores, kept=10).save(tmp_path / name / file)
        members.append(tmp_path / name)
    for by in COMBINERS:
        run = dmlkit.ensemble(members, out=tmp_path / by, by=by)
        assert stored(run).kept == 20 and 0 < run.gap <= 1


def test_another_way_is_another_run(smoke_runs, tmp_path):
    members = list(smoke_runs.values())
    first = dmlkit.ensemble(members, out=tmp_path / "both")
    assert dmlkit.ensemble(members, out=tmp_path / "both", by="algorithm_2").record == first.record
    with pytest.raises(UsageError, match="already holds another run"):
        dmlkit.ensemble(members, out=tmp_path / "both", by="uniform")
    with pytest.raises(UsageError, match="Did you mean 'stacking'"):
        dmlkit.ensemble(members, out=tmp_path / "other", by="staking")
    assert not (tmp_path / "other").exists()


def test_ways_side_by_side_are_what_each_would_leave(smoke_runs, tmp_path):
    members = list(smoke_runs.values())
    table = compare_combiners(members)
    assert list(table.index[1:]) == list(COMBINERS)
    best = max(members, key=lambda run: run.tuning_gap)
    assert table.iloc[0, :2].tolist() == [best.tuning_gap, best.gap]
    for by in COMBINERS:
        run = dmlkit.ensemble(members, out=tmp_path / by, by=by)
        expected = [run.tuning_gap, run.gap, *run.metrics["gap_interval"]]
        assert table.loc[by].tolist()[:4] == pytest.approx(expected, abs=1e-12)
    assert len(compare_combiners(members[:1])) == len(compare_members(members[:1])) == 0


def test_how_alike_members_are(smoke_runs):
    lr, attention = smoke_runs.values()
    table = compare_members([lr, attention, lr])
    # Of 24 classes any two models share most of the 20 highest.
    assert table.attrs["top_k"] == 4
    shared = overlap(stored(lr, "tuning.npz").scores, stored(attention, "tuning.npz").scores, top_k=4)
    assert 0 < shared < 1
    np.testing.assert_allclose(table, [[1, shared, 1], [shared, 1, shared], [1, shared, 1]])
    assert list(table.index) == list(table.columns)
    assert list(table.index) == [f"{lr.title}, seed 0 (1)", attention.title, f"{lr.title}, seed 0 (2)"]


@pytest.mark.parametrize("by", ["algorithm_2", "stacking"])
def test_what_a_member_adds_is_the_ensemble_minus_that_of_the_others(smoke_runs, tmp_path, by):
    lr, attention = smoke_runs.values()
    inner = dmlkit.ensemble([lr, attention], out=tmp_path / "inner", by="rank_mean")
    runs = [lr, attention, inner]
    table = leave_one_out(runs, by=by)
    whole = dmlkit.ensemble(runs, out=tmp_path / "whole", by=by)
    assert list(table["alone"]) == [run.tuning_gap for run in runs]
    for place in range(3):
        others = [run for other, run in enumerate(runs) if other != place]
        rest = dmlkit.ensemble(others, out=tmp_path / str(place), by=by)
        row = table.iloc[place]
        assert row["adds, tuning"] == pytest.approx(whole.tuning_gap - rest.tuning_gap, abs=1e-12)
        difference, interval = paired_gap_difference(
            whole.predictions.scores, rest.predictions.scores, whole.predictions.labels, resamples=500
        )
        assert row.tolist()[2:] == pytest.approx([difference, *interval], abs=1e-12)
    assert leave_one_out(runs[:2]).empty
    with pytest.raises(UsageError, match="Did you mean 'stacking'"):
        leave_one_out(runs, by="staking")


def test_what_an_ensemble_was_made_of(smoke_runs, tmp_path):
    run = dmlkit.ensemble(list(smoke_runs.values()), out=tmp_path / "both")
    assert [each.path.resolve() for each in made_of(run.path)] == [
        each.path.resolve() for each in smoke_runs.values()
    ]
    assert made_of(None) == made_of(smoke_runs["lr"]) == []


def test_a_walk_keeps_ways_apart(smoke_runs, generated, tmp_path):
    shutil.copytree(smoke_runs["lr"].path.parent, tmp_path / "runs")
    study = dmlkit.Study(generated, profile="smoke", runs=tmp_path / "runs", progress="silent")
    rungs = [
        dmlkit.Ensemble(name="both", title="Both", members=("lr", "attention"), by=by)
        for by in ("algorithm_2", "stacking")
    ]
    paths = {rung.by: study.train(rung)["both"].path for rung in rungs}
    assert len(set(paths.values())) == 2
    assert {by: study.find(rung).record["by"] for by, rung in zip(paths, rungs, strict=True)} == {
        by: by for by in paths
    }
