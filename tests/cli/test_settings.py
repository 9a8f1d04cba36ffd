"""`dmlkit train --set FIELD=VALUE`, and the list of what can be trained."""

import json
from dataclasses import replace

import pytest

from dmlkit.cli.settings import FIELDS, OF_EXPERIMENTS, READERS, read_settings
from dmlkit.experiments import EXPERIMENTS, Experiment, Missing
from dmlkit.profiles import DEMO, SMOKE, Profile


def test_each_type_is_read():
    given = "epochs=3", "learning_rate=1e-2", "schedule=cosine", "max_frames=None", "decay_examples=0.5,40000"
    assert read_settings(given) == {
        "epochs": 3,
        "learning_rate": 0.01,
        "schedule": "cosine",
        "max_frames": None,
        "decay_examples": (0.5, 40000.0),
    }
    assert read_settings(["max_frames=12"]) == {"max_frames": 12}


@pytest.mark.parametrize("field", FIELDS)
def test_what_a_profile_has_can_be_written_and_read_again(field):
    value = getattr(DEMO, field)
    written = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    assert read_settings([f"{field}={written}"]) == {field: value}
    assert FIELDS[field] in READERS


@pytest.mark.parametrize(
    ("experiment", "given", "says"),
    [
        ("lr", ["mixpu=0.4"], "field to set 'mixpu'. Did you mean 'mixup'?"),
        ("lr", ["mixup"], "takes FIELD=VALUE, such as mixup=0.4. Received: 'mixup'"),
        ("lr", ["mixup="], "--set mixup takes a number. Received: ''"),
        ("lr", ["epochs=1.5"], "--set epochs takes a whole number. Received: '1.5'"),
        ("lr", ["decay_examples=3"], "takes two numbers with a comma between them. Received: '3'"),
        ("lr", ["epochs=3", "epochs=3"], "epochs is set twice"),
        ("lr", ["name=mine"], "Unknown field to set 'name'"),
        ("lr", ["dropout=1.5"], "dropout must be at least 0 and below 1. Received: dropout=1.5"),
        ("lr", ["cycles=2"], "belong to the schedule 'cyclic'"),
        ("lr", ["schedule=cycle"], "Unknown schedule 'cycle'. Did you mean 'cyclic'?"),
        ("attention-mixup", ["mixup=1"], "attention-mixup has mixup=0.4 of its own"),
        ("hidden-concat", ["units=64"], "hidden-concat has units=512 of its own"),
        ("hidden-concat-distilled", ["units=64"], "hidden-concat-distilled has units=512 of its own"),
        ("ensemble-lr-lstm", ["epochs=0"], "epochs must be at least 1"),
        (
            "yt8m-ensemble",
            ["mixup=0.4"],
            "yt8m-ensemble needs yt8m-kernel, which cannot be trained so. With a ridge",
        ),
        ("attention-cyclic", ["epochs=1"], "Received: cycles=2, schedule='cyclic', epochs=1"),
    ],
)
def test_faults_are_told_before_the_data_are_looked_for(dmlkit, experiment, given, says):
    sets = [word for each in given for word in ("--set", each)]
    code, _, err = dmlkit("train", experiment, "--data", "nowhere", *sets)
    assert code == 2 and says in err and len(err.strip().splitlines()) == 1, err


def test_what_an_experiment_has_of_its_own_is_what_a_profile_has_too():
    own = {name for name in FIELDS if name in Experiment.__dataclass_fields__}
    assert own == set(OF_EXPERIMENTS)


def test_a_run_is_trained_under_what_was_set(dmlkit, generated, tmp_path):
    sets = ["--set", "max_frames=4", "--set", "frame_choice=uniform", "--set", "epochs=1", "--set", "ema=0.5"]
    folder = tmp_path / "run"
    code, out, err = dmlkit("train", "lr", "--data", generated, "--profile", "smoke", "--out", folder, *sets)
    assert code == 0 and f"The run is in {folder}" in out, err
    record = json.loads((folder / "run.json").read_text())
    expected = replace(SMOKE, max_frames=4, frame_choice="uniform", epochs=1, ema=0.5)
    assert Profile.from_record(record["profile"]) == expected and record["epochs"] == 1


def test_the_list_has_every_experiment_once_under_what_it_is(dmlkit):
    code, out, _ = dmlkit("experiments")
    lines = out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert code == 0 and len(listed) == len(set(listed))
    assert set(listed) == {name for name, rung in EXPERIMENTS.items() if not isinstance(rung, Missing)}
    headings = [line for line in lines if not line.startswith("  ")]
    under = {heading: lines.index(heading) for heading in headings}
    place = {name: lines.index(next(line for line in lines if line.split()[0] == name)) for name in listed}
    (tricks,) = (heading for heading in headings if "trick" in heading)
    assert place["transformer"] < under[tricks] < place["attention-mixup"]
    assert headings[0].startswith("The paper's ladder") and place["lr"] == 1


@pytest.mark.slow
def test_a_distilled_models_teachers_are_trained_first_under_what_was_set(dmlkit, generated, tmp_path):
    arguments = ("train", "hidden-concat-distilled", "--data", generated / "video", "--profile", "smoke")
    folder = tmp_path / "run"
    code, out, err = dmlkit(*arguments, "--out", folder, "--set", "epochs=1", "--set", "teaching=1")
    assert code == 0 and "Mixture of experts:" in out, err
    record = json.loads((folder / "run.json").read_text())
    assert [each["name"] for each in record["teachers"]] == ["lr", "mixture-of-experts", "hidden-concat"]
    members = [json.loads(path.read_text()) for path in (folder / "members").glob("*/run.json")]
    assert {each["fingerprint"] for each in members} == {each["fingerprint"] for each in record["teachers"]}
    assert {each["profile"]["epochs"] for each in [record, *members]} == {1}
