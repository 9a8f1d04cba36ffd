"""The recipes: a model and its own conditions, by one command that names neither profile nor folder."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

import dmlkit
from dmlkit.experiments import BEYOND, Experiment, find, not_applicable_reason
from dmlkit.models import FRAME_CLASSIFIERS, VIDEO_ENCODERS
from dmlkit.profiles import PROFILES, RECIPES, SMOKE

QUICK = ("netfv-gated", "class-attention", "chaining")
RECIPE_OF = {
    "yt8m-best": "video",
    "yt8m-kernel": "video",
    "audioset-best": "frame",
    "audioset-kernel": "frame",
}
SINGLE = {name: rung for name, rung in BEYOND.items() if isinstance(rung, Experiment)}


def test_each_recipe_belongs_to_an_experiment_and_is_no_ladders_profile():
    assert {rung.recipe for rung in SINGLE.values() if rung.recipe} == set(RECIPES) == set(RECIPE_OF)
    assert not set(RECIPES) & set(PROFILES)


@pytest.mark.parametrize("name", SINGLE)
def test_what_goes_beyond_says_what_it_needs(name):
    rung = find(name)
    reads_frames = (
        rung.classifier in FRAME_CLASSIFIERS
        or rung.encoder not in VIDEO_ENCODERS
        or rung.pooling not in ("last", "mean")
    )
    assert bool(not_applicable_reason(rung, level="video", modalities=("audio", "rgb"))) == reads_frames
    assert not_applicable_reason(rung, level="frame", modalities=("audio", "rgb")) is None
    assert bool(not_applicable_reason(rung, level="frame", modalities=("audio",))) == (
        rung.fusion != "concat"
    )


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in SINGLE
        if name not in RECIPE_OF
    ],
)
def test_what_goes_beyond_is_trained_under_any_profile(name, generated, tmp_path):
    rung = replace(find(name), clusters=4, pooled_units=find(name).pooled_units and 8)
    profile = replace(SMOKE, epochs=1, max_train_videos=40, max_validate_videos=20, max_frames=5)
    run = dmlkit.train(rung, data=generated, out=tmp_path / "run", profile=profile, progress="silent")
    assert run.experiment == rung and run.metrics["videos"] == 20


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPE_OF)
def test_a_recipe_is_one_command(name, generated, tmp_path):
    data = generated / "video" if RECIPE_OF[name] == "video" else generated
    environment = os.environ | {"DMLKIT_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "dmlkit.cli", "train", name, "--data", str(data)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "reports").glob(f"*-{name}/runs/{name}-*")
    run = dmlkit.load_run(folder)
    assert run.record["profile"] == RECIPES[name].to_record() and str(folder) in done.stdout
    assert run.record["epochs"] == RECIPES[name].epochs
    assert dmlkit.evaluate(run, data=data)["gap"] == pytest.approx(run.gap, abs=1e-3)


def test_a_teacher_from_other_data_is_refused(smoke_runs, generated, tmp_path):
    with pytest.raises(dmlkit.UsageError, match="learnt from other data"):
        dmlkit.train("lr", data=generated / "video", out=tmp_path / "run", teachers=[smoke_runs["lr"]])


def test_a_taught_run_tells_its_teachers_and_is_another_run(smoke_runs, generated, tmp_path):
    teacher = smoke_runs["lr"]
    taught = dmlkit.train(
        "lr", data=generated, out=tmp_path / "run", profile=SMOKE, teachers=[teacher.path], progress="silent"
    )
    assert taught.record["teachers"] == [{"name": "lr", "fingerprint": teacher.record["fingerprint"]}]
    assert taught.record["fingerprint"] != teacher.record["fingerprint"]
