"""`dmlkit data download` as people run it: exit codes, what is printed, and what a kill leaves."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest


@pytest.fixture
def started(server, out):
    """A function that starts the command on the server; what still runs is ended afterwards."""
    processes = []

    def start(*arguments, **where):
        command = [sys.executable, "-m", "dmlkit.cli", "data", "download", "2/video/train", str(out)]
        where = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | where
        process = subprocess.Popen([*command, "--mirror", server.url, *arguments], text=True, **where)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def ended(process):
    printed, said = process.communicate(timeout=60)
    return process.returncode, printed, said


def wait_for(sight, process, *, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        if sight():
            return
        time.sleep(0.01)
    pytest.fail(f"Not seen; the command said {process.communicate()}")


def test_in_a_pipe_it_says_two_lines_and_draws_no_bar(server, shards, started, held, here, out):
    server.lay_out(shards)
    server.files["/2/vocabulary.csv"] = b"Index,Name\n3861,last\n"
    code, printed, said = ended(started())
    assert (code, said) == (0, "")
    assert held() == here | {"vocabulary.csv": b"Index,Name\n3861,last\n"}
    first, last = printed.splitlines()
    assert first.startswith(
        f"2/video train 1/1: 3 files, of which 0 stand in {out} and 3 are to come (900 kB); "
    )
    assert last == f"All 3 files are whole and right in {out}; 3 of them are new."


def test_in_a_terminal_it_draws_a_bar(server, shards, started):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    server.lay_out(shards)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = started(stderr=theirs)
    os.close(theirs)
    code, _, _ = ended(process)
    drawn = b""
    with suppress(OSError):  # how Linux says that nobody writes any more
        while piece := os.read(ours, 4096):
            drawn += piece
    os.close(ours)
    assert code == 0 and b"100%" in drawn and b"900k/900k" in drawn


def test_a_missing_file_ends_with_3_and_is_named(server, shards, started, held):
    server.lay_out(shards)
    server.misbehave("trainaA.tfrecord", "wrong")
    code, printed, said = ended(started("--retries", "0"))
    assert code == 3 and "whole and right" not in printed and "Traceback" not in said
    assert (
        "1 of 3 files are missing or wrong" in said
        and "train0026.tfrecord (what the server sends has not" in said
    )
    assert "train0026.tfrecord" not in held()


def test_all_of_many_missing_files_are_listed(server, started):
    names = [f"train{a}{b}.tfrecord" for a in "abcde" for b in "abcdef"]
    server.lay_out(dict.fromkeys(names, b"data"))
    for name in names:
        server.misbehave(name, ("status", {"code": 404}))
    code, _, said = ended(started())
    assert code == 3 and len(said.splitlines()) == 31
    assert said.splitlines()[0] == "train0000.tfrecord: the server answers 404 Not Found"
    assert "and 10 more" in said.splitlines()[-1]


def test_what_was_asked_wrongly_ends_with_2(server, started, out):
    assert ended(started("--shards", "101/100"))[0] == 2
    assert ended(started("--split", "tuning"))[0] == 2
    out.parent.mkdir()
    out.write_text("a file")
    code, _, said = ended(started())
    assert code == 2 and "cannot be written to" in said


def slow(server, shards):
    """Some three seconds for the files, so that there is time to interrupt."""
    server.lay_out(shards)
    server.pause = 0.2


def grown(out, size=1):
    return lambda: sum(path.stat().st_size for path in out.glob(".*.part")) >= size


@pytest.mark.parametrize("stalled", [False, True])
def test_interrupted_it_ends_with_130_at_once_and_goes_on(server, shards, started, held, here, out, stalled):
    slow(server, shards)
    if stalled:
        for name in shards:
            server.misbehave(name, ("stall", {"after": 100_000}))
    process = started()
    wait_for(grown(out, 3 * 100_000 if stalled else 1), process)
    process.send_signal(signal.SIGINT)
    before = time.monotonic()
    code, _, said = ended(process)
    assert code == 130 and time.monotonic() - before < 10
    assert said.strip().splitlines()[-1] == "dmlkit: interrupted; the same command goes on where it stopped."
    assert "Traceback" not in said and not held()
    server.pause = 0
    server.manners.clear()
    assert ended(started())[0] == 0 and held() == here
    assert any(span for name in shards for span in server.ranges(name)), "it began anew"


def test_killed_it_goes_on(server, shards, started, held, here, out):
    slow(server, shards)
    process = started()
    wait_for(grown(out), process)
    process.kill()
    process.communicate()
    assert held() == {}
    server.pause = 0
    assert ended(started())[0] == 0 and held() == here
    assert any(span for name in shards for span in server.ranges(name)), "it began anew"
    assert not list(out.glob(".*.part"))


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_right_bytes(server, started, held, out):
    chance = random.Random(20)
    pairs = [a + b for a in "abcd" for b in "abcd"]
    shards = {f"train{pair}.tfrecord": chance.randbytes(chance.randrange(1, 2_000_000)) for pair in pairs}
    here = {
        f"train{62 * (ord(a) - 97) + ord(b) - 97:04}.tfrecord": shards[f"train{a}{b}.tfrecord"]
        for a, b in pairs
    }
    server.lay_out(shards)
    server.pause = 0.2
    for _ in range(25):
        asked = len(server.asked)
        process = started("--jobs", "3")
        wait_for(lambda asked=asked: len(server.asked) > asked, process)
        time.sleep(chance.uniform(0, 1.5))
        process.kill()
        process.communicate()
        assert held().items() <= here.items(), "a file has its name and is not whole"
    server.pause = 0
    assert ended(started())[0] == 0 and held() == here and not list(out.glob(".*.part"))
    continued = sum(span != "" for name in shards for span in server.ranges(name))
    whole = sum(map(len, shards.values()))
    print(f"25 kills: {continued} continuations, {server.sent / whole:.2f} times the bytes of the files sent")
    assert continued > 5 and server.sent < 3 * whole
