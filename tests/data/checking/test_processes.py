"""Several processes: the same answer as one; those that die, are interrupted or lose their starter."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dmlkit.data import write_shard
from dmlkit.data.checking import check

from .conftest import video_record

# More than one process is handed at a time, and too many for all to be looked at beforehand.
SHARDS = 150
HOOK = """
import os, sys, time

def at(event, arguments):
    if event == "open" and str(arguments[0]).endswith("train001.tfrecord"):
        {what}

sys.addaudithook(at)
"""
DIE = "os.kill(os.getpid(), 9)"
DIE_ONCE = "os.path.exists({mark!r}) or (os.mkdir({mark!r}), os.kill(os.getpid(), 9))"
WAIT = "os.path.exists({mark!r}) or os.mkdir({mark!r}); time.sleep(600)"


@pytest.fixture
def many(tmp_path):
    """A data set of many shards, some of them damaged."""
    folder = tmp_path / "set"
    for shard in range(SHARDS):
        write_shard(
            folder / f"train{shard:03}.tfrecord", [video_record(2 * shard), video_record(2 * shard + 1)]
        )
    for shard in (7, 70, 149):
        path = folder / f"train{shard:03}.tfrecord"
        path.write_bytes(path.read_bytes()[:-shard])
    write_shard(folder / "train100.tfrecord", [video_record(0), video_record(9000, labels=[2])])
    return folder


@pytest.fixture
def started(tmp_path):
    """A function: `dmlkit data check` in a group of its own, in which opening one shard does what it says."""
    processes = []

    def start(folder, *, what, options=()):
        site = tmp_path / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(HOOK.format(what=what.format(mark=str(tmp_path / "mark"))))
        command = [sys.executable, "-m", "dmlkit.cli", "data", "check", str(folder), "--jobs", "2", *options]
        processes.append(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": str(site)},
                start_new_session=True,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(sight, *, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if sight():
            return True
        time.sleep(0.05)
    return False


def group_is_gone(process):
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def plain(report):
    record = report.to_record()
    del record["seconds"], record["processes"]
    return record


def test_several_processes_give_the_answer_of_one(many):
    alone = check(many)
    assert plain(check(many, jobs=3)) == plain(alone)
    assert alone.sets[0].total.faults == {"cut off": 3, "duplicate id": 1}


def test_a_process_that_dies_costs_one_shard(started, many):
    process = started(many, what=DIE, options=["--json"])
    out, said = process.communicate(timeout=120)
    assert process.returncode == 3, said
    (each,) = json.loads(out)["sets"]
    expected = plain(check(many))["sets"][0]
    lost = [fault for fault in each["faults"]["list"] if fault["kind"] == "unchecked"]
    assert [fault["shard"] for fault in lost] == [str(many / "train001.tfrecord")]
    assert "signal 9" in lost[0]["what"]
    assert [fault for fault in each["faults"]["list"] if fault not in lost] == expected["faults"]["list"]
    assert each["records"] == expected["records"] - 2 and each["bytes"] == expected["bytes"]
    assert until(lambda: group_is_gone(process))


def test_a_process_that_dies_once_costs_nothing(started, many, tmp_path):
    process = started(many, what=DIE_ONCE, options=["--json"])
    out, said = process.communicate(timeout=120)
    assert process.returncode == 3 and (tmp_path / "mark").exists(), said
    assert json.loads(out)["sets"] == plain(check(many))["sets"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_command(started, many, tmp_path, how):
    process = started(many, what=WAIT)
    assert until((tmp_path / "mark").exists)
    if how == signal.SIGINT:  # a terminal's Ctrl-C reaches every process of the group
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert until(lambda: group_is_gone(process), seconds=20)
    if how == signal.SIGINT:
        assert (process.returncode, said.strip()) == (130, "dmlkit: interrupted.")


def test_processes_that_cannot_be_started_are_told(many, tmp_path):
    program = f"from dmlkit.data.checking import check\ncheck({str(many)!r}, jobs=2)\n"
    (tmp_path / "unguarded.py").write_text(program)
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "unguarded.py")], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 1 and 'if __name__ == "__main__"' in ended.stderr


def test_memory_does_not_grow_with_the_shards(tmp_path):
    program = "import resource, sys\nfrom dmlkit.data.checking import check\n"
    program += "assert check(sys.argv[1], keep=20).whole\n"
    program += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    peaks = []
    for shards in (4, 400):
        folder = tmp_path / str(shards)
        for shard in range(shards):
            # A thousand classes a shard: were these kept for each, 400 shards would show.
            labels = range(1000 * shard % 3000, 1000 * shard % 3000 + 1000)
            records = [video_record(2 * shard + number, labels=labels) for number in range(2)]
            write_shard(folder / f"train{shard:03}.tfrecord", records)
        (folder / "vocabulary.csv").write_text("Index,Name\n3999,last\n")
        ended = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True)
        peaks.append(int(ended.stdout))
    assert peaks[1] - peaks[0] < 8, f"{peaks} MiB"
