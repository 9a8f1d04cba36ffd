"""The command in a process of its own: killed at random moments, twice at once, interrupted by a terminal."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COMMAND = """\
import sys

from dmlkit.errors import DmlkitError
from dmlkit.report import build_report

data, out, folder = sys.argv[1:]
try:
    made = build_report(data=data, profile="smoke", out=out, folder=folder, deterministic=True)
except DmlkitError as error:
    print(f"dmlkit: {error}")
    sys.exit(error.exit_code)
sys.exit(made.exit_code)
"""
TRAINS = """\
from dmlkit import Study

study = Study(data, profile=profile, runs=runs, seed=seed, deterministic=deterministic)
study.train({rungs})
"""
SEED = 20261122
# What is seen in the report's folder → the most seconds from then until it is killed.
MOMENTS = [
    (".lock", 8),
    ("runs/lr-*", 3),
    ("notebooks/01-baselines.ipynb", 2),
    ("runs/lstm-*", 5),
    ("runs/lstm-*/checkpoint.npz", 3),
    ("notebooks/02-lstm.ipynb", 2),
]


@pytest.fixture
def command(generated, tmp_path):
    """Start the command; gives the process, whose children bear the same mark in their environment."""

    def start(out="out", mark="none"):
        arguments = [str(generated), str(tmp_path / out), str(tmp_path / "notebooks")]
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"DMLKIT_TEST_MARK": mark},
            start_new_session=True,
        )

    return start


@pytest.fixture
def study(write_notebook):
    """A study of two notebooks that train."""
    write_notebook("01-baselines", TRAINS.format(rungs="'lr'"))
    write_notebook("02-lstm", TRAINS.format(rungs="'lstm'"), "study.find('lr').gap", after=["01-baselines"])


def bearing(mark):
    """The processes that bear a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"DMLKIT_TEST_MARK={mark}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_until(true, seconds):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def everything_is_whole(out):
    for path in [*out.glob("*.json"), *out.glob("runs/*/run.json")]:
        json.loads(path.read_text(encoding="utf-8"))
    for path in out.glob("notebooks/[0-9]*.ipynb"):
        nbformat.validate(nbformat.read(path, as_version=4))
    for path in out.glob("*.html"):
        assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")


def metrics(out):
    """All that was measured: every row but how long the training took."""
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    rows = results["ladder"] + results["beside"] + results["beyond"]
    times = {"training_seconds", "seconds_an_epoch", "videos_per_second"}
    return [{name: value for name, value in row.items() if name not in times} for row in rows]


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked up in /proc")
def test_killed_at_any_moment_it_ends_with_the_same_measures(study, command, tmp_path):
    undisturbed = command(out="undisturbed")
    said, _ = undisturbed.communicate()
    assert undisturbed.returncode == 0, said

    chance, mark, out = random.Random(SEED), uuid.uuid4().hex, tmp_path / "out"
    killed = 0
    for sight, longest in MOMENTS:
        process, moment = command(mark=mark), chance.uniform(0, longest)
        wait_until(lambda: process.poll() is not None or any(out.glob(sight)), 120)  # noqa: B023
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        if process.poll() is None:
            killed += 1
            print(f"seed {SEED}: killed {moment:.2f} s after {sight!r} was seen")
        process.kill()
        process.communicate()
        wait_until(lambda: not bearing(mark), 10)
        everything_is_whole(out)
    assert killed >= 3
    process = command(mark=mark)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    print(said)
    assert metrics(tmp_path / "out") == metrics(tmp_path / "undisturbed")
    rows = {row["name"]: row["status"] for row in metrics(tmp_path / "out")}
    assert (rows["lr"], rows["lstm"]) == ("trained", "trained")
    hidden = [path.name for path in (tmp_path / "out").rglob(".*")]
    assert [name for name in hidden if name[1:2].isdigit()] == []
    assert not bearing(mark)


WAITS = """\
import time
from pathlib import Path

Path("{begun}").touch()
while not Path("{go_on}").exists():
    time.sleep(0.05)
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked up in /proc")
def test_two_at_once_and_a_terminal_that_interrupts(write_notebook, command, tmp_path):
    begun, go_on, mark = tmp_path / "begun", tmp_path / "go-on", uuid.uuid4().hex
    write_notebook("01-waits", WAITS.format(begun=begun, go_on=go_on))
    write_notebook("02-next", "print(2)")
    first = command(mark=mark)
    wait_until(begun.exists, 120)

    second = command()
    said, _ = second.communicate()
    assert second.returncode == 2
    assert f"A report is being made in {tmp_path / 'out'} by process {first.pid} on " in said
    assert first.poll() is None

    os.killpg(first.pid, signal.SIGINT)  # as a terminal does it: to all in the foreground
    said, _ = first.communicate()
    assert first.returncode == 130, said
    assert "Traceback" not in said
    assert not bearing(mark)
    chapters = json.loads((tmp_path / "out" / "results.json").read_text())["chapters"]
    assert [chapter["status"] for chapter in chapters] == ["interrupted", "not run"]

    begun.unlink()
    third = command(mark=mark)
    wait_until(begun.exists, 120)
    third.send_signal(signal.SIGINT)
    time.sleep(0.3)
    since = time.monotonic()
    third.send_signal(signal.SIGINT)  # at once: no index, and no kernel is left either
    third.communicate()
    assert third.returncode in (130, -signal.SIGINT)
    assert time.monotonic() - since < 10
    wait_until(lambda: not bearing(mark), 10)

    go_on.touch()
    last = command()
    said, _ = last.communicate()
    assert last.returncode == 0, said
    assert "2 executed" in said
