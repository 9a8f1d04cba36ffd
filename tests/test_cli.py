"""The command line: what it loads, how its errors read, how commands end."""

import os
import signal
import subprocess
import sys
import time

import pytest

# Runs the command line and prints which heavy libraries it loaded.
LIGHT = """\
import sys
from dmlkit.cli import main
sys.argv = ["dmlkit", *sys.argv[1:]]
try:
    main()
finally:
    print("HEAVY", sorted({"tensorflow", "keras", "pandas", "matplotlib", "papermill"} & set(sys.modules)))
"""


def start(*arguments, code=None, **settings):
    command = [sys.executable, *(("-c", code) if code else ("-m", "dmlkit.cli")), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **settings)


def test_names_are_checked_and_help_answers_before_anything_heavy_is_imported():
    for arguments in (
        ["--help"],
        ["report", "--help-parameters"],
        ["report", "--profile", "papr"],
        ["train", "atention", "--data", "x", "--out", "y"],
        ["experiments"],
    ):
        out, _ = start(*arguments, code=LIGHT).communicate()
        assert out.endswith("HEAVY []\n"), (arguments, out)


def test_what_cannot_be_is_one_paragraph_that_steers_no_terminal(command, leave_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    for name in ("a", "b"):
        leave_run(tmp_path / name)
    for name, odd in {"list": "[1]", "odd": '"kind": "odd"', "no members": '"kind": "ensemble"'}.items():
        record = leave_run(tmp_path / name).path / "run.json"
        record.write_text(odd if odd == "[1]" else record.read_text().replace('"kind": "training"', odd))
    for arguments, code, words in (
        *((["ensemble", "a", "b", "--out", odd], 2, "--out takes a path") for odd in ("", " ", "x\0y")),
        (["ensemble", "a", "b", "--out", "x"], 3, "has no 'videos'"),
        *(
            (["ensemble", "a", "b", "--out", "x", "--name", odd], 2, "The name of an")
            for odd in ("", "\udcff", "a\nb")
        ),
        *(
            (["evaluate", odd, "--data", "x"], 3, f"{odd}/run.json")
            for odd in ("list", "odd", "no members", "loop")
        ),
        *((["data", "synthesize", odd], 2, odd) for odd in ("file/x", "n" * 300)),
        (["runs", "file"], 2, "There is no folder file"),
        (["data", "check", "a\x1b[31m\nb"], 3, "There is nothing at"),
        (["report", "-p", "videos", "3", "--notebook", "04"], 2, "04-fusion has a parameter 'videos'"),
        (["train", "lr", "--data", "x", "--profile", ""], 2, "Unknown profile ''"),
        (["train", "lr", "--data", "~/no/such/data"], 3, os.path.expanduser("~/no/such/data")),
    ):
        ended, out, message = command(*arguments)
        found = (ended, out, words in message, len(message.splitlines()), "\x1b" in message)
        assert found == (code, "", True, 1, False), (arguments, message)
    assert len(list(tmp_path.iterdir())) == 7  # nothing was made


def test_names_are_shown_in_any_encoding_of_the_terminal(leave_run, tmp_path):
    leave_run(tmp_path / "\u5f71")
    process = start("runs", tmp_path, env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    out, message = process.communicate(timeout=60)
    assert (process.returncode, message, "\\u5f71" in out) == (0, "", True), (out, message)


def test_what_click_ends_by_itself_keeps_its_code_and_debug_shows_the_traceback():
    codes = {("--version",): 0, ("train", "--help"): 0, ("nosuch",): 2, ("report", "--jobs", "x"): 2, (): 2}
    debugged = {("--debug", "runs", "no/such"): 1, ("runs", "no/such", "--debug"): 1}
    processes = {arguments: start(*arguments) for arguments in codes | debugged}
    for arguments, process in processes.items():
        _, message = process.communicate(timeout=60)
        assert process.returncode == (codes | debugged)[arguments], message
        assert ("Traceback" in message) == (arguments in debugged)


@pytest.mark.skipif(os.name != "posix", reason="signals and named pipes")
def test_an_interrupted_command_ends_with_one_line(tmp_path):
    # A record that is a pipe: the command waits in it for as long as this end is open.
    (tmp_path / "run").mkdir()
    record = tmp_path / "run" / "run.json"
    os.mkfifo(record)
    process, end, until = start("runs", tmp_path), None, time.monotonic() + 60
    while end is None and time.monotonic() < until:
        try:
            end = os.open(record, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            time.sleep(0.02)
    time.sleep(0.2)  # opened is not yet waiting
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=30)
    os.close(end)
    assert (process.returncode, message.strip()) == (130, "dmlkit: interrupted.")


def test_a_reader_who_leaves_early_is_no_error(leave_run, tmp_path):
    leave_run(tmp_path / "run")
    process = start("runs", tmp_path)
    process.stdout.close()
    process.wait(timeout=60)
    assert process.stderr.read() == ""
