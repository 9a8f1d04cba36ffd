"""Checkpoints of one training: which moments, the models there, and what reads them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.errors import DataError, UsageError
from dmlkit.metrics import combine, global_average_precision, optimize_weights
from dmlkit.predictions import Predictions
from dmlkit.profiles import SMOKE
from dmlkit.runs import find_runs
from dmlkit.training import checkpoint, keeping
from dmlkit.training.keeping import checkpoints_of

FOUR = replace(SMOKE, epochs=4, patience=4, checkpoints=2)
CYCLES = replace(SMOKE, epochs=4, patience=4, schedule="cyclic", cycles=2, checkpoints=2)


@pytest.fixture(scope="module")
def run(generated, tmp_path_factory):
    """A training that kept the ends of its two cycles."""
    folder = tmp_path_factory.mktemp("kept") / "lr"
    return dmlkit.train("lr", data=generated / "video", out=folder, profile=CYCLES, progress="silent")


@pytest.mark.parametrize(
    ("changes", "epochs", "kept"),
    [
        ({}, 12, ()),
        ({"checkpoints": 3}, 12, (10, 11, 12)),
        ({"checkpoints": 3}, 7, (5, 6, 7)),
        ({"checkpoints": 3}, 2, (1, 2)),
        ({"checkpoints": 3, "schedule": "cosine"}, 12, (10, 11, 12)),
        ({"checkpoints": 3, "schedule": "cyclic", "cycles": 4}, 12, (6, 9, 12)),
        ({"checkpoints": 3, "schedule": "cyclic", "cycles": 4}, 8, (3, 6)),
    ],
)
def test_the_last_epochs_or_the_last_ends_of_cycles(changes, epochs, kept):
    profile = replace(SMOKE, epochs=12, patience=12, **changes)
    assert keeping.kept_epochs(profile, epochs=epochs) == kept


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoints": 13},
        {"checkpoints": -1},
        {"checkpoints": 5, "patience": 3},
        {"checkpoints": 3, "schedule": "cyclic", "cycles": 2},
        {"checkpoints": 2, "schedule": "cyclic", "cycles": 2, "patience": 3},
    ],
)
def test_more_than_a_training_surely_leaves_are_refused(changes):
    with pytest.raises(UsageError, match="checkpoints="):
        replace(SMOKE, **{"epochs": 12, "patience": 12} | changes)


def test_each_is_a_run_of_the_model_after_its_epoch(run, generated):
    """The GAP on the tuning part that the history tells, reached by the stored scores and by the stored model."""
    kept = checkpoints_of(run)
    assert [each.path.name for each in kept] == ["2", "4"]
    assert [each.name for each in kept] == ["lr-epoch-2", "lr-epoch-4"]
    for each in kept:
        epoch = each.record["epochs"]
        told = run.history.set_index("epoch").loc[epoch]
        tuning = Predictions.load(each.path / "tuning.npz")
        assert (
            each.tuning_gap
            == told["tuning_gap"]
            == pytest.approx(global_average_precision(tuning.scores.astype(np.float32), tuning.labels))
        )
        assert dmlkit.evaluate(each.path, data=generated / "video")["gap"] == pytest.approx(
            each.gap, abs=1e-3
        )
        assert sorted(file.name for file in each.path.iterdir()) == [
            "model.keras",
            "predictions.npz",
            "run.json",
            "tuning.npz",
        ]
    first, last = (each.model.get_weights() for each in kept)
    assert any((one != other).any() for one, other in zip(first, last, strict=True))
    best = kept[[each.record["epochs"] for each in kept].index(run.record["best_epoch"])]
    for one, other in zip(best.model.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(best.predictions.scores, run.predictions.scores)


def test_they_change_nothing_about_the_training(run, generated, tmp_path):
    plain = replace(CYCLES, checkpoints=0)
    other = dmlkit.train(
        "lr", data=generated / "video", out=tmp_path / "lr", profile=plain, progress="silent"
    )
    assert list(other.history["tuning_gap"]) == list(run.history["tuning_gap"])
    assert not (other.path / "checkpoints").exists() and checkpoints_of(other) == []
    assert other.record["fingerprint"] != run.record["fingerprint"]


def test_they_combine_as_any_runs_and_cost_one_training(run, tmp_path):
    kept = checkpoints_of(run)
    together = dmlkit.ensemble([each.path for each in kept], out=tmp_path / "together", by="stacking")
    tuning = [Predictions.load(each.path / "tuning.npz") for each in kept]
    weights = optimize_weights([([part.scores for part in tuning], tuning[0].labels)], by="stacking")
    expected = combine([each.predictions.scores for each in kept], weights, by="stacking")
    np.testing.assert_array_equal(together.predictions.scores, expected.astype(np.float16))
    assert together.record["parameters"] == 2 * run.record["parameters"]
    spent = sum(run.history["seconds"])
    assert spent - 0.01 < together.record["seconds"]["training"] < spent + 30


def test_they_are_listed_where_their_folder_is_named(run):
    assert [found.name for found in find_runs(run.path.parent).runs] == ["lr"]
    assert [found.name for found in find_runs(run.path).runs] == ["lr"]
    assert len(dmlkit.load_runs(run.path / "checkpoints")) == 2
    assert [found.name for found in find_runs(run.path / "checkpoints" / "4").runs] == ["lr-epoch-4"]


def test_a_folder_of_that_name_which_is_no_runs(run, tmp_path):
    shutil.copytree(run.path / "checkpoints" / "2", tmp_path / "checkpoints" / "mine")
    assert len(find_runs(tmp_path).runs) == 1


def test_one_that_was_taken_away(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "lr")
    shutil.rmtree(tmp_path / "lr" / "checkpoints" / "2")
    with pytest.raises(DataError, match="to leave 2 checkpoints, and 1 can"):
        checkpoints_of(dmlkit.load_run(tmp_path / "lr"))


class Killed(Exception):
    pass


def weights_of(run):
    return [each.model.get_weights() for each in checkpoints_of(run)]


@pytest.mark.parametrize(
    "place", [pytest.param("before the checkpoint", marks=pytest.mark.slow), "after the first is scored"]
)
def test_a_killed_training_leaves_the_same(generated, tmp_path, monkeypatch, place):
    """Between keeping the weights and the training's own checkpoint, and between two of the runs it leaves."""
    settings = {"data": generated / "video", "profile": FOUR, "progress": "silent", "deterministic": True}
    whole = dmlkit.train("lr", out=tmp_path / "whole", **settings)
    with monkeypatch.context() as patch:
        module, name = (checkpoint, "save") if place.startswith("before") else (keeping, "finish")
        call, calls = getattr(module, name), []

        def killed(*args, **kwargs):
            calls.append(name)
            if len(calls) == (3 if name == "save" else 2):
                raise Killed
            return call(*args, **kwargs)

        patch.setattr(module, name, killed)
        with pytest.raises(Killed):
            dmlkit.train("lr", out=tmp_path / "killed", **settings)
    # Not whole, so not there.
    assert find_runs(tmp_path / "killed").runs == []
    again = dmlkit.train("lr", out=tmp_path / "killed", **settings)
    for ones, others in zip(weights_of(whole), weights_of(again), strict=True):
        for one, other in zip(ones, others, strict=True):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(checkpoints_of(whole), checkpoints_of(again), strict=True):
        np.testing.assert_array_equal(one.predictions.scores, other.predictions.scores)
        assert one.record["fingerprint"] == other.record["fingerprint"]
    assert not list((tmp_path / "killed").rglob("weights.npz"))


@pytest.mark.slow
def test_what_another_training_left_unfinished_in_the_folder_goes(generated, tmp_path, monkeypatch):
    settings = {"data": generated / "video", "out": tmp_path / "lr", "progress": "silent"}
    with monkeypatch.context() as patch:
        patch.setattr(keeping, "finish", lambda *_, **__: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            dmlkit.train("lr", profile=FOUR, **settings)
    assert (tmp_path / "lr" / "checkpoints" / "3" / "weights.npz").exists()
    run = dmlkit.train("lr", profile=CYCLES, **settings)
    assert [each.path.name for each in checkpoints_of(run)] == ["2", "4"]
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["2", "4"]
