"""`dmlkit data check`: exit codes, JSON, the bar, and what it loads."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
import threading

import pytest

from dmlkit.data import write_shard

from .conftest import video_record, write_set

DMLKIT = [sys.executable, "-m", "dmlkit.cli"]


def run(*arguments):
    return subprocess.run([*DMLKIT, "data", "check", *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def damaged(tmp_path):
    shards = write_set(tmp_path / "damaged", video_record, shards=2, each=30)
    write_shard(shards[0], [video_record(number, labels=[99]) for number in range(30)])
    return tmp_path / "damaged"


def test_whole_and_damaged(tmp_path, damaged):
    whole = tmp_path / "whole"
    write_set(whole, video_record)
    ended = run(whole)
    assert (ended.returncode, ended.stderr) == (0, "") and "Whole: nothing is wrong." in ended.stdout
    ended = run(whole, damaged)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert ended.stdout.count(", record ") == 20 and "and 10 more" in ended.stdout
    assert run(damaged, "--faults", "3").stdout.count(", record ") == 3
    ended = run(damaged, "--faults", "3", "--json")
    record = json.loads(ended.stdout)
    assert ended.returncode == 3 and record["schema"] == 1 and not record["whole"]
    assert len(record["sets"][0]["faults"]["list"]) == 30


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["--jobs", "0", "."], 2),
        (["--faults", "-1", "."], 2),
        (["--nosuch"], 2),
        (["/no/such/folder"], 3),
        (["{empty}"], 3),
        (["--help"], 0),
    ],
)
def test_exit_codes(tmp_path, arguments, code):
    ended = run(*(argument.format(empty=tmp_path) for argument in arguments))
    assert ended.returncode == code and "Traceback" not in ended.stderr
    assert bool(ended.stdout) == (code == 0) and bool(ended.stderr) == (code != 0)


def test_the_help_names_it():
    assert "check" in subprocess.run([*DMLKIT, "data", "-h"], capture_output=True, text=True).stdout


def test_a_bar_on_a_terminal(tmp_path):
    write_set(tmp_path, video_record)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    drawn = []

    def look():
        with contextlib.suppress(OSError):  # the end of a terminal whose other side is closed
            while part := os.read(ours, 4096):
                drawn.append(part)

    looking = threading.Thread(target=look)
    looking.start()
    ended = subprocess.run(
        [*DMLKIT, "data", "check", str(tmp_path)], stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    looking.join(timeout=30)
    os.close(ours)
    assert ended.returncode == 0 and "Whole" in ended.stdout and b"check:" in b"".join(drawn)


def test_no_tensorflow_for_local_files(tmp_path):
    write_set(tmp_path, video_record, declared=True)
    program = (
        f"import sys\nfrom dmlkit.data.checking import check\nassert check({str(tmp_path)!r}).whole\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
