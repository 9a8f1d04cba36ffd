"""How a command ends that is interrupted, or that nobody listens to any more."""

import os
import signal
import subprocess
import sys
import time

import pytest


@pytest.fixture
def started():
    """A function that starts `dmlkit` with both outputs in pipes; what still runs is ended afterwards."""
    processes = []

    def start(*arguments):
        command = [sys.executable, "-m", "dmlkit.cli", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(sight, process, *, seconds=60):
    """What `sight` returns, once it returns something while the process runs."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        if seen := sight():
            return seen
        time.sleep(0.02)
    pytest.fail(f"Not seen; the command said {process.communicate()}")


def test_an_interrupted_training_says_that_it_goes_on(started, generated, tmp_path):
    arguments = ["--data", generated, "--out", tmp_path / "run", "--profile", "paper"]
    process = started("train", "lr", *arguments)
    wait_for((tmp_path / "run" / "checkpoint.npz").exists, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said and "Aborted" not in said
    assert said.strip().splitlines()[-1] == "dmlkit: interrupted; the same command continues where it stopped."
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("command", [["runs", "{folder}"], ["compare", "lr", "lstm", "--runs", "{folder}"]])
def test_every_other_command_says_one_line(started, tmp_path, command):
    # A record that is a pipe: the command waits in it for as long as this end is open.
    (tmp_path / "run").mkdir()
    record = tmp_path / "run" / "run.json"
    os.mkfifo(record)

    def opened():
        try:
            return os.open(record, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            return None

    process = started(*(part.format(folder=tmp_path) for part in command))
    end = wait_for(opened, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    os.close(end)
    assert (process.returncode, said.strip()) == (130, "dmlkit: interrupted.")


def test_a_reader_who_leaves_early_is_no_error(started, leave_run, tmp_path):
    for number in range(3):
        leave_run(tmp_path / str(number), seed=number)
    process = started("runs", tmp_path)
    process.stdout.close()
    process.wait(timeout=30)
    assert process.stderr.read() == ""


def test_what_click_ends_by_itself_keeps_its_code(started):
    codes = {("--version",): 0, ("train", "--help"): 0, ("nosuch",): 2, ("report", "--jobs", "x"): 2, (): 2}
    processes = {arguments: started(*arguments) for arguments in codes}
    for arguments, process in processes.items():
        out, said = process.communicate(timeout=30)
        assert process.returncode == codes[arguments] and "Traceback" not in said
        assert bool(out) == (codes[arguments] == 0) and bool(said) == (codes[arguments] == 2)
