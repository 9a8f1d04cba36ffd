"""The command line: what it prints, what it exits with, what it does not load."""

import os
import subprocess
import sys

import pytest


def dmlkit(*arguments, **settings) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "dmlkit.cli", *map(str, arguments)], capture_output=True, text=True, **settings
    )


def one_paragraph(done, *parts, code):
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    for part in parts:
        assert part in done.stderr


def test_names_are_checked_and_help_answers_before_anything_heavy_is_imported():
    code = (
        "import sys\n"
        "sys.argv = ['dmlkit', *sys.argv[1:]]\n"
        "import dmlkit.cli\n"
        "try:\n    dmlkit.cli.main()\n"
        "finally:\n"
        "    heavy = {'tensorflow', 'keras', 'pandas', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "    print('HEAVY', sorted(heavy))"
    )
    for arguments in (["--help"], ["report", "--help"], ["train", "atention", "--data", "x", "--out", "y"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.stdout.endswith("HEAVY []\n"), arguments


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["train", "atention", "--data", "x", "--out", "y"], "Did you mean 'attention'"),
        (["train", "lr", "--data", "x", "--out", "y", "--profile", "dmo"], "Did you mean 'demo'"),
        (["report", "--profile", "papr"], "Did you mean 'paper'"),
        (["train", "ensemble-lr-lstm", "--data", "x", "--out", "y"], "`dmlkit ensemble` combines runs"),
        (["runs", "no/such/folder"], "no/such/folder"),
    ],
)
def test_wrong_names_are_usage_errors_with_a_hint(arguments, hint):
    one_paragraph(dmlkit(*arguments), hint, code=2)


def test_an_unknown_option_exits_2():
    done = dmlkit("train", "lr", "--dta", "x")
    assert done.returncode == 2 and "--data" in done.stderr


def test_missing_data_exit_3_and_name_the_folder(tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        done = dmlkit("train", "lr", "--data", folder, "--out", tmp_path / "run")
        one_paragraph(done, str(folder), code=3)
    assert not (tmp_path / "run").exists()


def test_debug_shows_the_traceback_wherever_it_stands(tmp_path):
    for arguments in (["--debug", "runs", "no/such"], ["runs", "no/such", "--debug"]):
        assert "Traceback" in dmlkit(*arguments).stderr


def test_a_damaged_shard_is_named_with_its_record(generated, tmp_path):
    import shutil

    shutil.copytree(generated, tmp_path / "damaged")
    shard = sorted((tmp_path / "damaged" / "frame").glob("train*"))[3]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    done = dmlkit(
        "train", "lr", "--data", tmp_path / "damaged", "--out", tmp_path / "run", "--profile", "smoke"
    )
    one_paragraph(done, shard.name, "record", code=3)
    assert not (tmp_path / "run" / "run.json").exists()


def test_one_step_at_a_time(generated, tmp_path):
    """Train two, evaluate one, combine both, list all: each as a user types it."""
    for name in ("lr", "lstm"):
        done = dmlkit("train", name, "--data", generated, "--out", tmp_path / name, "--profile", "smoke")
        assert done.returncode == 0, done.stderr
        assert f"The run is in {tmp_path / name}" in done.stdout
        assert "cuda" not in done.stderr.lower()
    done = dmlkit("evaluate", tmp_path / "lr", "--data", generated)
    assert done.returncode == 0 and done.stdout.startswith("100 videos of 'validate'\nGAP@20")
    done = dmlkit("ensemble", tmp_path / "lr", tmp_path / "lstm", "--out", tmp_path / "both")
    assert done.returncode == 0 and "The ensemble is in" in done.stdout
    done = dmlkit("runs", tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 5
    assert {line.split()[0] for line in lines[2:]} == {"lr", "lstm", "ensemble"}
    one_paragraph(dmlkit("evaluate", tmp_path / "lr", "--data", generated / "video"), "level", code=2)
    one_paragraph(
        dmlkit("evaluate", tmp_path / "lr", "--data", generated, "--split", "vali"), "validate", code=2
    )
    one_paragraph(
        dmlkit("evaluate", tmp_path / "lr", "--data", generated, "--split", "test"), "label", code=3
    )


def test_frames_are_chosen_by_option(generated, tmp_path):
    import json

    arguments = ["train", "lr", "--data", generated, "--out", tmp_path / "run", "--profile", "smoke"]
    one_paragraph(dmlkit(*arguments, "--frame-choice", "unifrm"), "Did you mean 'uniform'", code=2)
    done = dmlkit(*arguments, "--frame-choice", "uniform", "--max-frames", "4")
    assert done.returncode == 0, done.stderr
    profile = json.loads((tmp_path / "run" / "run.json").read_text())["profile"]
    assert (profile["frame_choice"], profile["max_frames"]) == ("uniform", 4)


def test_a_data_set_is_shown(generated):
    done = dmlkit("data", "show", generated)
    assert done.returncode == 0
    assert "frame level" in done.stdout and "rgb 64 (byte), audio 16 (byte)" in done.stdout
    assert "test" in done.stdout and "without labels" in done.stdout


def test_start_up_lines_can_be_shown():
    done = dmlkit("data", "show", "/nowhere", env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0"})
    assert "port.cc" in done.stderr or "cuda" in done.stderr.lower()
