"""A named ensemble by one call: members trained or read, recipes and seeds of their own, killed and gone on."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.errors import UsageError
from dmlkit.experiments import CHECKPOINTS, EXPERIMENTS, Ensemble, find
from dmlkit.profiles import RECIPES, SMOKE
from dmlkit.training import train_ensemble
from dmlkit.training.keeping import checkpoints_of

TINY = replace(SMOKE, max_train_videos=60, max_tuning_videos=20, max_validate_videos=40)
SETTINGS = {"profile": TINY, "progress": "silent"}


@pytest.fixture
def video(generated):
    return generated / "video"


@pytest.fixture
def recipes(monkeypatch):
    """Two rungs with conditions of their own, and an ensemble of them under two seeds."""
    for name, units in (("one", 4), ("other", 6)):
        monkeypatch.setitem(RECIPES, f"recipe-{name}", replace(TINY, name=f"recipe-{name}", units=units))
        rung = replace(find("hidden-concat"), name=name, title=name, units=None, recipe=f"recipe-{name}")
        monkeypatch.setitem(EXPERIMENTS, name, rung)
    ensemble = Ensemble(name="four", title="Four", members=("one", "other"), seeds=(0, 7), by="optimized")
    monkeypatch.setitem(EXPERIMENTS, "four", ensemble)
    return ensemble


def names(folder):
    return sorted(path.name.rsplit("-", 1)[0] for path in folder.iterdir() if path.is_dir())


def test_members_have_their_recipes_and_seeds(recipes, video, tmp_path):
    run = train_ensemble("four", data=video, out=tmp_path / "four", seed=3, progress="silent")
    members = [dmlkit.load_run(run.path / each["path"]) for each in run.record["members"]]
    assert [(each.name, each.record["seed"], each.record["profile"]["units"]) for each in members] == [
        ("one", 3, 4),
        ("one", 10, 4),
        ("other", 3, 6),
        ("other", 10, 6),
    ]
    assert run.record["by"] == "optimized" and all(
        each.path.parent == run.path / "members" for each in members
    )
    # What it says is what `ensemble` makes of these runs.
    by_hand = dmlkit.ensemble(members, out=tmp_path / "by-hand", by="optimized")
    np.testing.assert_array_equal(run.predictions.scores, by_hand.predictions.scores)
    # The folder is whole by itself: it scores other data wherever it is moved.
    moved = shutil.move(run.path, tmp_path / "moved")
    measured = dmlkit.evaluate(moved, data=video)
    assert measured["videos"] == 100 and dmlkit.submit(moved, data=video, out=tmp_path / "x.csv") == 20


@pytest.mark.slow
def test_what_is_trained_is_read_and_what_is_missing_is_trained(
    recipes, video, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("DMLKIT_HOME", str(tmp_path))
    alone = dmlkit.train("one", data=video, progress="silent")
    run = train_ensemble(recipes, data=video, progress="silent")
    members = [(run.path / each["path"]).resolve() for each in run.record["members"]]
    assert members[0] == alone.path.resolve() and len(set(members)) == 4
    assert capsys.readouterr().out.count("already trained") == 1
    again = train_ensemble(recipes, data=video, progress="silent")
    assert again.record == run.record and capsys.readouterr().out.count("already trained") == 1


class Killed(Exception):
    pass


@pytest.mark.slow
def test_a_killed_one_goes_on(video, tmp_path, monkeypatch, capsys):
    from dmlkit.training import study

    calls, call = [], study.train

    def killed(rung, **settings):
        calls.append(rung.name)
        if len(calls) == 2:
            raise Killed
        return call(rung, **settings)

    settings = {"data": video, "out": tmp_path / "five", **SETTINGS}
    with monkeypatch.context() as patch:
        patch.setattr(study, "train", killed)
        with pytest.raises(Killed):
            train_ensemble("ensemble-video", **settings)
    assert names(tmp_path / "five" / "members") == ["lr"]
    assert not (tmp_path / "five" / "run.json").exists()
    capsys.readouterr()
    run = train_ensemble("ensemble-video", **settings)
    assert capsys.readouterr().out.count("already trained") == 1
    assert len(run.record["members"]) == 5


def test_the_checkpoints_of_one_training(video, tmp_path):
    run = train_ensemble("hidden-concat-checkpoints", data=video, out=tmp_path / "kept", **SETTINGS)
    (training,) = (path for path in (run.path / "members").iterdir() if path.is_dir())
    kept = checkpoints_of(dmlkit.load_run(training))
    assert [each["name"] for each in run.record["members"]] == [
        "hidden-concat-cyclic-epoch-1",
        "hidden-concat-cyclic-epoch-2",
    ]
    by_hand = dmlkit.ensemble([each.path for each in kept], out=tmp_path / "by-hand")
    np.testing.assert_array_equal(run.predictions.scores, by_hand.predictions.scores)
    # A study knows it beforehand and finds it afterwards.
    study = dmlkit.Study(video, profile=TINY, runs=tmp_path / "runs", progress="silent")
    assert study.find("hidden-concat-checkpoints") is None
    found = study.train("hidden-concat-checkpoints")["hidden-concat-checkpoints"]
    assert study.find(CHECKPOINTS["video"]).path == found.path
    assert found.record["fingerprint"] == run.record["fingerprint"]


def test_what_cannot_be(generated, video, tmp_path, monkeypatch):
    for rung, settings, says in (
        ("lr", {}, "is no ensemble"),
        ("ensemble-lr-lstm", {}, "it reads frames"),
        ("ensemble-video", {"strategy": "multi-worker"}, "train each of lr, mixture-of-experts"),
        (Ensemble(name="x", title="X", members=("lr",), member_runs="checkpoints"), {}, "lr leaves none"),
        (
            Ensemble(name="x", title="X", members=("lr",), member_runs="checkpoint"),
            {},
            "Did you mean 'checkpoints'",
        ),
        (Ensemble(name="x", title="X", members=("lr",)), {}, "at least two runs"),
    ):
        with pytest.raises(UsageError, match=says):
            train_ensemble(rung, data=video, out=tmp_path / "run", **SETTINGS, **settings)
        assert not (tmp_path / "run" / "run.json").exists()
    # Told before anything is trained, not after.
    (tmp_path / "taken").mkdir()
    made = train_ensemble("hidden-concat-checkpoints", data=video, out=tmp_path / "taken", **SETTINGS)
    before = json.loads((made.path / "run.json").read_text())
    with pytest.raises(UsageError, match="already holds another run"):
        train_ensemble("hidden-concat-checkpoints", data=video, out=tmp_path / "taken", seed=1, **SETTINGS)
    assert json.loads((made.path / "run.json").read_text()) == before
    assert len(names(made.path / "members")) == 1
