import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dmlkit.report.chapters import EXIT_CODES, MEANINGS, Chapter, Failure, Plan, Report
from dmlkit.report.planning.notebooks import read_notebook
from dmlkit.report.showing import Bar, Lines, Voice, closing_lines, shower


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def plans(write_notebook):
    return [Plan(read_notebook(write_notebook(name, "1", "2"))) for name in ("01-first", "02-the-second")]


def chapter(name, status, **more):
    return Chapter(name=name, title="", question="", status=status, **more)


def test_a_line_a_notebook(plans):
    said = []
    show = Lines(said.append, plans)
    show.done(chapter("01-first", "executed", seconds=63.2))
    failure = Failure(kind="cell", cell=3, message="ValueError: no")
    show.done(
        chapter("02-the-second", "failed", seconds=1.0, failure=failure, notebook="out/02-the-second.ipynb")
    )
    assert said == [
        "01-first       executed, 1 min 03 s",
        "02-the-second  failed, 1.0 s",
        "  out/02-the-second.ipynb",
        "  ValueError: no",
    ]


def test_a_bar_in_a_terminal_names_the_notebook_and_what_it_said_last(plans, monkeypatch):
    terminal, said = Terminal(), []
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    show = shower(said.append, plans)
    assert isinstance(show, Bar)
    show.begin(plans[0])
    for _ in range(plans[0].notebook.cells + 1):
        show.moved("01-first")
    show.said("01-first", "epoch  2/2  loss 5.1")
    assert show.bar.n * 2 == show.bar.total
    show.bar.refresh()
    show.done(chapter("01-first", "executed", seconds=1.0))
    show.close()
    assert "01-first" in terminal.getvalue()
    assert "epoch  2/2" in terminal.getvalue()
    assert said == ["01-first       executed, 1.0 s"]


ALONE = """\
import sys
from dmlkit.report import build_report

report = build_report(data=sys.argv[1], profile="smoke", out=sys.argv[2], folder=sys.argv[3])
sys.exit(report.exit_code)
"""
SPEAKS = """\
import sys
from dmlkit.report.showing import Voice

say = Voice(print)
for count in range(3):
    say("x" * 100)
sys.exit(4)
"""


def unheard(code, *arguments):
    """What becomes of a process that writes into a pipe whose other end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True)


def test_a_report_goes_on_when_nobody_listens(write_notebook, generated, tmp_path):
    write_notebook("01-first", "print(1)")
    write_notebook("02-fails", "1 / 0")
    done = unheard(ALONE, generated, tmp_path / "out", tmp_path / "notebooks")
    assert done.returncode == 4, done.stderr
    assert "Error" not in done.stderr
    assert (tmp_path / "out" / "index.html").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
def test_what_nobody_could_hear_leaves_the_exit_code_as_it_is():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", SPEAKS], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (4, "")


def test_a_voice_that_failed_once_is_silent():
    heard = []

    def echo(line):
        heard.append(line)
        raise ValueError("I/O operation on closed file")

    say = Voice(echo)
    say("one")
    say("two")
    assert heard == ["one"]


def test_lines_where_there_is_no_terminal(plans, monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(shower(print, plans)) is Lines


def test_a_bar_over_several_notebooks_says_which_one_speaks(plans, monkeypatch):
    terminal, said = Terminal(), []
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    show = shower(said.append, plans)
    for plan in plans:
        show.begin(plan)
    show.said("02-the-second", "epoch 3")
    show.bar.refresh()
    assert "01-first + 02-the-second" in terminal.getvalue()
    assert "02: epoch 3" in terminal.getvalue()
    show.done(chapter("02-the-second", "failed", seconds=1.0))  # with cells left
    show.said("01-first", "epoch 4")
    assert show.bar.n * 2 == show.bar.total
    show.done(chapter("01-first", "unchanged", seconds=99.0))
    assert show.bar.n == show.bar.total
    show.ending("interrupted")
    show.close()
    assert "01: epoch 4" not in terminal.getvalue()
    assert said[1] == "01-first       unchanged"
    assert said[2].startswith("Ending the notebooks (interrupted)")


def test_the_last_lines_count_and_tell_what_the_code_means():
    failed = chapter("03-c", "failed", failure=Failure(kind="time limit", cell=1, message=""))
    chapters = (chapter("01-a", "unchanged"), chapter("02-b", "unchanged"), failed)
    assert closing_lines(Report(out=Path("out"), chapters=chapters, seconds=1)) == [
        f"The report is in {Path('out') / 'index.html'}: 2 unchanged, 1 failed.",
        "Exit code 6: a notebook ran into its time limit.",
    ]
    assert len(closing_lines(Report(out=Path("out"), chapters=chapters[:2], seconds=1))) == 1


def test_the_worst_that_happened_is_the_exit_code():
    def code(*kinds, ended=None):
        failures = [Failure(kind=kind, cell=0, message="") for kind in kinds]
        chapters = tuple(chapter("x", "failed", failure=failure) for failure in failures)
        return Report(out=Path("out"), chapters=chapters, seconds=1, ended=ended).exit_code

    assert code() == 0
    assert code("cell", "data", "time limit", "kernel died") == 5
    assert code("cell", "data", "time limit") == 6
    assert code("cell", "data") == 3
    assert code("kernel died", "interrupted", ended="interrupted") == 130
    assert code("interrupted", ended="terminated") == 143
    assert code(ended="interrupted") == 130
    assert set(MEANINGS) == set(EXIT_CODES.values())
