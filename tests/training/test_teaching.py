"""Distillation: soft labels by hand, ensembles that teach, and a study that trains teachers first."""

from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.experiments import LR, find
from dmlkit.profiles import SMOKE
from dmlkit.report.plan import _members
from dmlkit.training import Study, train_ensemble
from dmlkit.training.building import build_model
from dmlkit.training.teaching import teachers_of, teaching_runs
from dmlkit.training.tricks import learner

TINY = replace(
    SMOKE, epochs=1, max_train_videos=40, max_tuning_videos=20, max_validate_videos=20, max_frames=4
)


@pytest.fixture(scope="module")
def batch(generated):
    return next(iter(dmlkit.open_dataset(generated).batches("tuning", batch_size=4, max_frames=5)))


def scores_of(run, batch):
    inputs = {name: batch[name] for name in ("audio", "num_frames", "rgb")}
    return np.asarray(run.model(inputs, training=False), np.float64)


def soft_labels(runs, batch, generated):
    """What a learner of these runs is told to follow."""
    dataset = dmlkit.open_dataset(generated)
    taught = teaching_runs(runs, dataset, experiment=LR)
    learning = learner(build_model("lr", dataset, profile=SMOKE), SMOKE, seed=0, teachers=teachers_of(taught))
    told = learning({name: batch[name] for name in ("audio", "num_frames", "rgb")}, training=True)
    return np.asarray(told["soft"], np.float64)


def test_an_ensemble_teaches_what_its_members_say_under_its_weights(smoke_runs, generated, batch, tmp_path):
    both = dmlkit.ensemble(list(smoke_runs.values()), out=tmp_path / "both")
    gaps = [run.tuning_gap for run in smoke_runs.values()]
    lr, attention = (scores_of(run, batch) for run in smoke_runs.values())
    by_gap = (gaps[0] * lr + gaps[1] * attention) / sum(gaps)
    assert abs(gaps[0] - gaps[1]) > 1e-3 and np.abs(lr - attention).max() > 1e-3
    np.testing.assert_allclose(soft_labels([both], batch, generated), by_gap, atol=1e-5)
    # Beside another teacher it counts as one.
    together = soft_labels([both.path, smoke_runs["lr"]], batch, generated)
    np.testing.assert_allclose(together, (by_gap + lr) / 2, atol=1e-5)


def test_an_ensemble_that_is_no_mean_cannot_teach(smoke_runs, generated, tmp_path):
    votes = dmlkit.ensemble(list(smoke_runs.values()), out=tmp_path / "votes", by="majority")
    with pytest.raises(dmlkit.UsageError, match="by 'majority', which is no weighted mean"):
        dmlkit.train("lr", data=generated, out=tmp_path / "run", profile=SMOKE, teachers=[votes])
    assert not (tmp_path / "run").exists()


def test_a_rung_with_teachers_is_not_trained_without(generated, tmp_path):
    with pytest.raises(dmlkit.UsageError, match="follows bi-lstm, bi-gru-concat, attention, and no runs"):
        dmlkit.train("attention-distilled", data=generated, out=tmp_path / "run", profile=SMOKE)


@pytest.fixture
def taught():
    """A student of two cheap rungs."""
    return replace(
        find("lr"), name="lr-taught", title="Taught", trick="distilled", teachers=("lr", "lr-no-norm")
    )


def test_a_walk_trains_teachers_first_and_finds_who_followed_them(taught, generated, tmp_path, capsys):
    study = Study(generated, profile=TINY, runs=tmp_path / "runs", progress="silent")
    assert study.find(taught) is None
    run = study.train(taught)["lr-taught"]
    teachers = study.there("lr", "lr-no-norm")
    assert run.record["teachers"] == [
        {"name": name, "fingerprint": each.record["fingerprint"]} for name, each in teachers.items()
    ]
    said = capsys.readouterr().out
    assert said.index("Logistic regression:") < said.index("Taught:")
    assert study.find(taught).path == run.path
    assert run.path.name.endswith(run.record["fingerprint"][:8])
    # Other teachers are another run.
    assert study.find(replace(taught, teachers=("lr",))) is None


def test_what_a_teacher_cannot_learn_from_its_student_cannot(generated, tmp_path):
    study = Study(generated / "video", profile=TINY, runs=tmp_path / "runs")
    student = replace(find("hidden-concat-distilled"), teachers=("lr", "lstm"))
    assert study.not_applicable_reason(find("hidden-concat-distilled")) is None
    assert study.not_applicable_reason(student) == (
        "its teacher lstm cannot learn from them: it reads frames, and this data set holds one vector a video"
    )


def test_a_plan_counts_teachers_and_theirs(monkeypatch, taught):
    rungs = {"lr-taught": taught, "lr": find("lr"), "lr-no-norm": find("lr-no-norm")}
    monkeypatch.setattr("dmlkit.report.plan.find", rungs.__getitem__)
    above = replace(taught, name="above", teachers=("lr-taught",))
    assert list(_members(above)) == ["lr", "lr-no-norm", "lr-taught"]


def test_one_call_trains_what_teaches_first(taught, generated, tmp_path):
    settings = {"data": generated, "out": tmp_path / "run", "profile": TINY, "progress": "silent"}
    run = train_ensemble(taught, **settings, changes={"teaching": 0.25})
    assert run.path == tmp_path / "run" and run.record["profile"]["teaching"] == 0.25
    found = dmlkit.load_runs(tmp_path / "run" / "members")
    assert sorted(found["name"]) == ["lr", "lr-no-norm"]
    assert train_ensemble(taught, **settings, changes={"teaching": 0.25}).record == run.record
    with pytest.raises(dmlkit.UsageError, match="one device alone"):
        train_ensemble(taught, **settings, strategy="multi-worker")
