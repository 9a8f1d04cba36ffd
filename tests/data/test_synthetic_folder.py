"""The generated folder appears whole or not at all, and nothing that is there is lost."""

import json
import subprocess
import sys

import pytest

from dmlkit.data.synthetic import synthesize
from dmlkit.errors import UsageError

SMALL = {"train": 40, "validate": 20, "test": 4}


def test_a_finished_folder_is_left_as_it_is(tmp_path):
    path = synthesize(tmp_path / "d", **SMALL)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    assert synthesize(tmp_path / "d", **SMALL) == path
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_an_empty_folder_is_taken_and_a_foreign_one_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert (synthesize(tmp_path / "empty", **SMALL) / "dataset.toml").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("the only copy")
    with pytest.raises(UsageError, match="already holds something else"):
        synthesize(tmp_path / "mine", **SMALL)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="already holds something else"):
        synthesize(tmp_path / "mine" / "thesis.txt", **SMALL)


def test_other_settings_or_an_older_generator_are_refused(tmp_path):
    path = synthesize(tmp_path / "d", **SMALL)
    with pytest.raises(UsageError, match="other settings"):
        synthesize(path, seed=1, **SMALL)
    told = json.loads((path / "generated.json").read_text())
    (path / "generated.json").write_text(json.dumps(told | {"version": 0}))
    with pytest.raises(UsageError, match="already holds"):
        synthesize(path, **SMALL)


def test_an_interrupted_generation_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("dmlkit.data.declaration.write_dataset_toml", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path / "d", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_generation_is_not_taken_for_a_finished_one(tmp_path):
    program = "import os, sys, dmlkit.data.declaration as d; from dmlkit.data.synthetic import synthesize; "
    program += "d.write_dataset_toml = lambda *a, **k: os._exit(9); "
    program += "synthesize(sys.argv[1], train=40, validate=20, test=4)"
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "d"], capture_output=True)
    assert killed.returncode == 9
    assert not (tmp_path / "d").exists()
    assert (synthesize(tmp_path / "d", **SMALL) / "dataset.toml").is_file()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": {"rgb": 64}}, "rgb and audio"),
        ({"sizes": {"rgb": 64, "audio": 8}}, "at least 16"),
        ({"min_frames": 10}, "at least 20 frames"),
        ({"min_frames": 41}, "min_frames <= max_frames"),
        ({"seed": -1}, "must not be negative"),
        ({"train": 1}, "at least 2"),
        ({"validate": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_had(tmp_path, settings, message):
    with pytest.raises(UsageError, match=message):
        synthesize(tmp_path / "d", **settings)
    assert list(tmp_path.iterdir()) == []


def test_a_remote_folder_is_refused():
    with pytest.raises(UsageError, match="local folder"):
        synthesize("gs://bucket/generated")
