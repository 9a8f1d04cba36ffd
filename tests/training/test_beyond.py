"""What chapter 08 asks of a study, on runs that nobody trained and, slowly, on all of them."""

import json
import shutil

import pandas as pd
import pytest

from dmlkit.experiments import EXPERIMENTS, beyond_for
from dmlkit.training import Study, best_ensemble_members, everything
from dmlkit.training.named_ensemble import _Members


def walk_on(data, runs):
    return Study(data, profile="smoke", runs=runs, progress="silent")


@pytest.fixture
def pretend(smoke_runs, generated, tmp_path):
    """A function that leaves a run of a rung: `lr`'s, under its name, with a GAP on the tuning part."""

    def leave(name, *, tuning=0.1, gap=0.2):
        study = walk_on(generated, tmp_path / "runs")
        rung = EXPERIMENTS[name]
        mark = study._mark(rung, study.seed)
        folder = study._folder(rung, mark)
        shutil.copytree(smoke_runs["lr"].path, folder)
        record = json.loads((folder / "run.json").read_text())
        record |= {"fingerprint": mark, "experiment": rung.to_record(), "tuning": {"gap": tuning}}
        record["metrics"]["gap"] = gap
        (folder / "run.json").write_text(json.dumps(record))
        return study

    return leave


def test_the_best_are_chosen_by_the_tuning_part_alone(pretend):
    pretend("lr", tuning=0.3, gap=0.1)
    pretend("lstm", tuning=0.1, gap=0.9)
    pretend("netvlad", tuning=0.2, gap=0.1)
    study = pretend("attention-mixup", tuning=0.4, gap=0.1)
    assert best_ensemble_members(study, most=3).members == ("attention-mixup", "lr", "netvlad")
    assert best_ensemble_members(study).members == ("attention-mixup", "lr", "netvlad", "lstm")
    assert best_ensemble_members(study).by == "optimized"


def test_a_recipe_is_not_among_the_best(pretend):
    pretend("audioset-best", tuning=0.9)
    assert best_ensemble_members(pretend("lr")).members == ("lr",)


@pytest.mark.parametrize("name", ["audioset-best", "audioset-ensemble"])
def test_a_recipe_is_found_where_its_command_leaves_it_and_no_other_rung_is(
    name, pretend, generated, tmp_path, monkeypatch
):
    monkeypatch.setenv("DMLKIT_HOME", str(tmp_path / "home"))
    study = pretend(name)
    pretend("lr")
    there = tmp_path / "home" / "reports" / f"{generated.name}-audioset-best" / "runs"
    there.parent.mkdir(parents=True)
    (tmp_path / "runs").rename(there)
    assert study.find(name).path.parent == there and study.find("lr") is None
    assert walk_on(generated / "video", tmp_path / "runs").find("yt8m-best") is None
    # What is written below a folder of its own is not looked for elsewhere.
    own = _Members(
        generated, top=EXPERIMENTS["audioset-ensemble"], out=tmp_path / "own", asked=None, changes={}, settings={},
        tensorboard=None,
    )  # fmt: skip
    assert own.find(name) is None


def test_every_rung_has_one_row_and_a_part(pretend):
    pretend("lr")
    pretend("lr-no-norm")
    study = pretend("netvlad-gated")
    rows = everything(study).reset_index()
    assert rows["name"].is_unique
    trained = rows[rows["status"] == "trained"].set_index("name")["part"]
    assert dict(trained) == {"lr": "ladder", "lr-no-norm": "beside", "netvlad-gated": "pooling"}
    parts = rows.set_index("name")["part"]
    assert parts["transformer"] == "encoder" and parts["attention-ema"] == "trick"
    assert not {"lstm-no-norm", "audioset-best", "ensemble-of-best", "ensemble-of-all"} & set(parts.index)
    assert set(rows["status"]) == {"trained", "not trained"}


def test_at_video_level_what_reads_frames_has_no_row(generated, tmp_path):
    rows = everything(walk_on(generated / "video", tmp_path)).reset_index().set_index("name")
    assert {"lr", "experts-gated", "hidden-concat-mixup"} <= set(rows.index)
    assert not {"transformer", "netvlad", "yt8m-best", "attention-mixup"} & set(rows.index)
    assert (rows["status"] == "not trained").all()


def test_what_a_data_set_can_serve_and_why_not_the_rest(generated, tmp_path, capsys):
    video = walk_on(generated / "video", tmp_path)
    assert list(video.served(beyond_for("video", "classifiers"))) == ["experts-gated", "chaining"]
    assert capsys.readouterr().out == (
        "Not applicable here, because it weighs frames, and this data set holds one vector a video: "
        "Hidden layers, class-wise attention.\n"
    )
    assert list(walk_on(generated, tmp_path).served(beyond_for("frame", "encoders")))
    assert capsys.readouterr().out == ""


def test_the_walk_finds_what_is_beyond(pretend):
    study = pretend("transformer")
    assert list(study.beyond()["name"]) == ["transformer"] == list(study.beyond("encoders")["name"])
    assert study.beyond("poolings").empty and isinstance(study.beyond("poolings"), pd.DataFrame)
    assert list(study.there("transformer", "sru")) == ["transformer"]


def test_the_ladders_last_row_says_who_trains_it(generated, tmp_path):
    rows = {row["name"]: row for row in walk_on(generated, tmp_path).results()}
    assert rows["netvlad-gated"]["status"] == "not trained"
    assert "08-beyond" in rows["netvlad-gated"]["reason"] and "--beyond" in rows["netvlad-gated"]["reason"]
    assert rows["lr"]["reason"] is None
