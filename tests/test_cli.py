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
    for arguments in (
        ["--help"],
        ["report", "--help"],
        ["report", "--help-parameters"],
        ["train", "atention", "--data", "x", "--out", "y"],
        ["train", "lr", "--data", "x", "--out", __file__],
        ["train", "lr", "--data", "x", "--set", "schedule=cosin"],
        ["experiments"],
    ):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.stdout.endswith("HEAVY []\n"), arguments


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["train", "atention", "--data", "x", "--out", "y"], "Did you mean 'attention'"),
        (["train", "lr", "--data", "x", "--out", "y", "--profile", "dmo"], "Did you mean 'demo'"),
        (["report", "--profile", "papr"], "Did you mean 'paper'"),
        (["train", "ensemble-lr-lstm", "--data", "x", "--profile", "dmo"], "Did you mean 'demo'"),
        (["runs", "no/such/folder"], "no/such/folder"),
        (["train", "lr", "--data", "x", "--out", __file__], "a file stands there"),
        (
            ["train", "lr", "--data", "x", "--out", "y", "--set", "frame_choice=unifrm"],
            "Did you mean 'uniform'",
        ),
        (["report", "--jobs", "0"], "at least 1. Received: 0"),
        (["report", "--time-limit", "5"], "with its unit, s, m or h: 90s, 45m, 2h. Received: '5'"),
        (["report", "-p", "tensorboard", ""], "takes text, or none (str | None). Received: nothing"),
    ],
)
def test_wrong_names_are_usage_errors_with_a_hint(arguments, hint):
    one_paragraph(dmlkit(*arguments), hint, code=2)


def test_an_unknown_option_exits_2():
    done = dmlkit("train", "lr", "--dta", "x")
    assert done.returncode == 2 and "--data" in done.stderr


@pytest.mark.parametrize("seed", ["-1", "4294967296", "1.5"])
def test_a_seed_that_no_library_takes_is_refused(tmp_path, seed):
    for arguments in (
        ["train", "lr", "--data", "x", "--out", tmp_path / "run"],
        ["report", "--data", "x", "--out", tmp_path / "run"],
        ["data", "synthesize", tmp_path / "run"],
    ):
        done = dmlkit(*arguments, "--seed", seed)
        assert done.returncode == 2 and "--seed" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


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


def test_a_data_set_is_shown(generated):
    done = dmlkit("data", "show", generated)
    assert done.returncode == 0
    assert "frame level" in done.stdout and "rgb 64 (byte), audio 16 (byte)" in done.stdout
    assert "test" in done.stdout and "without labels" in done.stdout


def test_start_up_lines_can_be_shown():
    # An address that is no local path: only TensorFlow knows the way, and is imported for it.
    hidden = dmlkit("data", "show", "ram://nowhere")
    one_paragraph(hidden, "There is no folder ram://nowhere", code=3)
    shown = dmlkit("data", "show", "ram://nowhere", env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0"})
    assert shown.stderr.endswith(hidden.stderr)
    assert "port.cc" in shown.stderr or "cuda" in shown.stderr.lower()


def test_a_missing_local_folder_is_told_without_tensorflow():
    quick = dmlkit("data", "show", "/nowhere", env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0"})
    one_paragraph(quick, "There is no folder /nowhere", code=3)


def test_what_an_error_quotes_neither_steers_the_terminal_nor_breaks_its_paragraph(tmp_path):
    (tmp_path / "dataset.toml").write_text(
        '"wi\\u001b[31mld\\nentry" = 1\n[features."a\\u001b]0;b"]\nkey = "x"\n'
    )
    done = dmlkit("data", "show", tmp_path)
    one_paragraph(done, "unknown entry", code=3)
    assert "\x1b" not in done.stderr
    named = dmlkit("data", "check", tmp_path / "a\x1b[31m\nb")
    one_paragraph(named, "There is nothing at", code=3)
    assert "\x1b" not in named.stderr


def test_the_notebooks_parameters_are_listed():
    done = dmlkit("report", "--help-parameters")
    assert done.returncode == 0 and max(map(len, done.stdout.splitlines())) <= 80
    shown = done.stdout.split("\n\n")
    # What is the same in several notebooks stands once, under the first.
    assert any(
        part.startswith("videos: a whole number, 1 to 20; default 3\n") and "[05-attention]" in part
        for part in shown
    )
    tensorboard = [part for part in shown if part.startswith("tensorboard:")]
    assert len(tensorboard) == 1 and "01-baselines" in tensorboard[0] and "05-attention" in tensorboard[0]
    assert any(part.startswith("profile: one of smoke") and "[given by --profile]" in part for part in shown)
    names = [part.split(":")[0] for part in shown]
    assert names.index("beside") < names.index("riddle") < names.index("videos") < names.index("all_rungs")
    only = dmlkit("report", "--help-parameters", "--notebook", "05")
    assert "videos:" in only.stdout and "riddle:" not in only.stdout


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["-p", "vidoes", "3"], ["Did you mean 'videos'"]),
        (["-p", "vidoes", "3", "--dry-run"], ["Did you mean 'videos'"]),
        (["-p", "videos", "many"], ["05-attention", "a whole number, 1 to 20", "'many'"]),
        (["-p", "videos", "21"], ["05-attention", "1 to 20", "'21'"]),
        (["-p", "videos", "3", "-p", "videos", "4"], ["'videos' is given twice"]),
        (["-p", "seed", "3"], ["by --seed"]),
        (["-p", "beyond", "no", "--beyond"], ["'beyond' is given twice"]),
        (["--beyond", "--notebook", "04"], ["06-ensemble, 08-beyond have it"]),
        (["-p", "videos", "3", "--notebook", "04"], ["05-attention has it"]),
        (["--params", "nowhere.yaml"], ["nowhere.yaml", "No such file"]),
        (["--params", "{folder}"], ["{folder}", "directory"]),
        (["--params", "{file}"], ["{file}, line 3: 05-attention", "1 to 20"]),
        (["--params", "{file}", "-p", "videos", "0"], ["05-attention", "'0'"]),
        (["--params", "{broken}"], ["{broken}", "line 2, column 10", "'frames: a: b'"]),
    ],
)
def test_parameters_are_held_against_the_notebooks_before_anything_is_made(arguments, parts, tmp_path):
    (tmp_path / "params.yaml").write_text("# mine\nbeside: no\nvideos: 40\n")
    (tmp_path / "broken.yaml").write_text("videos: 4\nframes: a: b\n")
    names = {"folder": tmp_path, "file": tmp_path / "params.yaml", "broken": tmp_path / "broken.yaml"}
    given = [argument.format(**names) for argument in arguments]
    out = tmp_path / "out"
    done = dmlkit("report", "--data", tmp_path / "generated", "--out", out, *given)
    one_paragraph(done, *(part.format(**names) for part in parts), code=2)
    assert not out.exists() and not (tmp_path / "generated").exists()


def test_a_dry_run_tells_the_plan_and_leaves_nothing(generated, tmp_path):
    (tmp_path / "params.yaml").write_text("beside: no\nvideos: 4\n")
    arguments = ["--data", generated, "--out", tmp_path / "out", "--profile", "smoke", "-p", "videos", "5"]
    done = dmlkit("report", "--dry-run", *arguments, "--params", tmp_path / "params.yaml")
    assert done.returncode == 0 and done.stderr == ""
    assert "01-baselines  would be executed: new\n    parameters: beside=false (default true)" in done.stdout
    assert "videos=5 (default 3)" in done.stdout and "trains: lr, lstm\n" in done.stdout
    assert done.stdout.endswith("Nothing was executed or written.\n")
    assert "beyond=false" in done.stdout and "transformer" not in done.stdout
    beyond = dmlkit("report", "--dry-run", *arguments, "--beyond")
    assert "beyond=true (default false)" in beyond.stdout and "transformer" in beyond.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"params.yaml"}
