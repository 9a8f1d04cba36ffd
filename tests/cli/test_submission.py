"""`dmlkit predict`, `submission check` and `evaluate --submission` as they are typed."""

import json
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def file(smoke_runs, generated, dmlkit, tmp_path):
    code, out, err = dmlkit(
        "predict",
        smoke_runs["lr"].path,
        "--data",
        generated,
        "--split",
        "validate",
        "--out",
        tmp_path / "s.csv",
    )
    assert (code, out, err) == (0, f"100 videos of 'validate' are in {tmp_path / 's.csv'}.\n", "")
    return tmp_path / "s.csv"


def test_from_a_run_to_its_gap(smoke_runs, generated, dmlkit, file):
    where = ["--data", generated, "--split", "validate"]
    code, out, err = dmlkit("submission", "check", file, *where)
    assert (code, err) == (0, "") and out.endswith(
        "is whole: a line for each of the 100 videos of 'validate'.\n"
    )
    code, of_file, _ = dmlkit("evaluate", "--submission", file, "--data", generated)
    _, of_run, _ = dmlkit("evaluate", smoke_runs["lr"].path, "--data", generated)
    assert code == 0 and of_file.startswith("100 videos of 'validate'\nGAP@20  0.")
    assert of_run.splitlines()[:2] == of_file.splitlines()


def test_faults_are_listed_and_counted(generated, dmlkit, file):
    lines = file.read_text().splitlines()
    lines[5] = lines[4]
    lines[7] += " 1"
    file.write_text("\n".join(lines))
    where = ["--data", generated, "--split", "validate"]
    code, out, err = dmlkit("submission", "check", file, *where)
    told = out.splitlines()
    assert (code, err) == (3, "")
    assert told[0].startswith("line 6: duplicate id: ") and told[1].startswith(
        "line 8: odd number of words: "
    )
    assert told[2].startswith("missing id: ") and told[3] == f"3 faults in {file}:"
    assert {line.strip() for line in told[4:]} == {
        "1  duplicate id",
        "1  odd number of words",
        "1  missing id",
    }
    code, out, err = dmlkit("submission", "check", file, *where, "--json")
    told = json.loads(out)
    assert code == 3 and told["ok"] is False and told["videos"] == 100 and told["file"] == str(file)
    assert [fault["line"] for fault in told["faults"]] == [6, 8, None]
    assert told["counts"] == {"duplicate id": 1, "odd number of words": 1, "missing id": 1}
    code, out, err = dmlkit("evaluate", "--submission", file, "--data", generated)
    assert code == 3 and "line 6: duplicate id" in err and "(2 more faults)" in err and not out


def test_a_whole_file_as_json(generated, dmlkit, file):
    code, out, _ = dmlkit("submission", "check", file, "--data", generated, "--split", "validate", "--json")
    told = json.loads(out)
    assert code == 0 and told["ok"] is True and told["faults"] == [] and told["counts"] == {}


def test_names_of_a_run_to_standard_output(smoke_runs, generated, dmlkit):
    arguments = ["predict", smoke_runs["lr"].path, smoke_runs["attention"].path, "--data", generated]
    code, out, err = dmlkit(*arguments, "--out", "-", "--names", "--top-k", "2")
    assert code == 0 and len(out.splitlines()) == 60
    assert err == "20 videos of 'test' written.\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["evaluate"], "Name a run to measure"),
        (["evaluate", "{run}", "--submission", "{file}"], "leave out RUNS"),
        (["evaluate", "--submission", "{file}", "--on-fault", "skip 1"], "leave out RUNS"),
        (["predict", "{run}", "--out", "{folder}"], "a folder stands there"),
        (["predict", "{run}", "--out", "{folder}/no/s.csv"], "there is no folder"),
        (["predict", "{run}", "--out", "{folder}/s.csv", "--on-fault", "skp 1"], "'skip N'"),
        (["predict", "{run}", "--out", "{folder}/s.csv", "--split", "tset"], "Did you mean 'test'"),
        (["submission", "check", "{file}", "--split", "tset"], "Did you mean 'test'"),
    ],
)
def test_wrong_use_is_told(smoke_runs, generated, dmlkit, tmp_path, arguments, hint):
    names = {"run": smoke_runs["lr"].path, "file": tmp_path / "s.csv", "folder": tmp_path}
    code, out, err = dmlkit(*(each.format(**names) for each in arguments), "--data", generated)
    assert code == 2 and hint in err and not out and len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_read(generated, dmlkit, tmp_path):
    for arguments in (["submission", "check"], ["evaluate", "--split", "validate", "--submission"]):
        code, _, err = dmlkit(*arguments, tmp_path / "nowhere.csv", "--data", generated)
        assert code == 3 and "nowhere.csv" in err and len(err.splitlines()) == 1
    code, _, err = dmlkit("predict", tmp_path, "--data", generated, "--out", tmp_path / "s.csv")
    assert code == 3 and "no finished run" in err


def test_what_was_left_out_is_told(smoke_runs, generated, dmlkit, tmp_path):
    shutil.copytree(generated, tmp_path / "data")
    shard = sorted((tmp_path / "data" / "frame").glob("validate*"))[0]
    content = bytearray(shard.read_bytes())
    content[30] ^= 1
    shard.write_bytes(content)
    arguments = ["evaluate", smoke_runs["lr"].path, "--data", tmp_path / "data", "--on-fault"]
    assert dmlkit(*arguments, "raise")[0] == 3
    code, out, err = dmlkit(*arguments, "skip 1")
    assert code == 0 and out.startswith("99 videos") and "1 faulty record" in err and shard.name in err


def test_a_reader_that_leaves_ends_the_command_quietly(generated, tmp_path):
    (tmp_path / "s.csv").write_text("\n" * 200_000)
    command = [
        sys.executable,
        "-m",
        "dmlkit.cli",
        "submission",
        "check",
        tmp_path / "s.csv",
        "--data",
        generated,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline().startswith("line 1: header")
        running.stdout.close()
        assert running.stderr.read() == ""
        assert running.wait(60) == 1


def test_no_check_of_a_file_loads_tensorflow(generated, tmp_path):
    (tmp_path / "s.csv").write_text("VideoId,LabelConfidencePairs\n")
    code = (
        "import sys\n"
        "sys.argv = ['dmlkit', *sys.argv[1:]]\n"
        "import dmlkit.cli\n"
        "try:\n    dmlkit.cli.main()\n"
        "finally:\n    print('HEAVY', sorted({'tensorflow', 'keras', 'pandas'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "submission", "check", tmp_path / "s.csv", "--data", generated]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.endswith("HEAVY []\n") and done.returncode == 3, done.stderr
