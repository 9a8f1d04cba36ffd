"""The whole of a report: order, what is executed again, exit codes, progress."""

import io
import os
import signal
import time

import pytest
from bs4 import BeautifulSoup

from dmlkit.report import pages
from dmlkit.report.build import EXIT_CODES, Chapter, Progress, Report
from dmlkit.runtime import Stop, stop_on_signals

from .conftest import statuses  # isort: skip


def files(out):
    """Every file of a report → its time and bytes; but the lock, which every call takes."""
    paths = [path for path in out.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_a_second_call_leaves_every_file_as_it_is_and_mends_what_is_missing(write_notebook, build, tmp_path):
    write_notebook("01-a", "print(1)")
    write_notebook("02-b", "1 / 0  # kept below")
    out = tmp_path / "out"
    report, lines = build(notebooks=["01"])
    assert statuses(report) == ["executed"]
    assert lines[0].startswith("01-a  executed, ") and lines[-1].endswith("index.html: 1 executed.")
    before = files(out)
    again, lines = build(notebooks=["01"])
    assert statuses(again) == ["unchanged"] and files(out) == before and again.seconds == report.seconds
    assert lines == ["01-a  unchanged", f"The report is in {report.index}: 1 unchanged."]
    (out / "01-a.html").unlink()
    (out / "index.html").write_text("altered")
    (out / "results.json").write_text("{}")
    (out / ".report.json").unlink()
    assert statuses(build(notebooks=["01"])[0]) == ["unchanged"]
    assert (out / "01-a.html").read_bytes() == before[out / "01-a.html"][1]
    assert "altered" not in (out / "index.html").read_text()


def test_notebooks_run_in_their_order_side_by_side_where_they_can(write_notebook, build, tmp_path):
    meet = f"""\
import os, pathlib, time
here = pathlib.Path({str(tmp_path)!r})
(here / ("met-" + os.environ["OMP_NUM_THREADS"] + "-{{}}")).touch()
while len(list(here.glob("met-*"))) < 2: time.sleep(0.02)
"""
    write_notebook("01-a", meet.format(1), after=["02-b"])
    write_notebook("02-b", "print(2)")
    write_notebook("03-c", meet.format(3))
    report, lines = build(jobs=2)
    assert statuses(report) == ["executed"] * 3
    assert lines[0].startswith("02-b")
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert {path.name for path in tmp_path.glob("met-*")} == {f"met-{share}-1", f"met-{share}-3"}


def test_what_needs_a_failed_notebooks_experiment_is_not_run(write_notebook, build, results):
    write_notebook("01-fails", "1 / 0", trains=[{"chapter": "baselines"}])
    write_notebook("02-needs", "print(2)", after=["01-fails"], trains=[{"experiments": ["lstm"]}])
    write_notebook("03-other", "print(3)", after=["02-needs"], trains=[{"experiments": ["bi-lstm"]}])
    report, lines = build()
    assert statuses(report) == ["failed", "not run", "executed"] and report.exit_code == 4
    assert "it needs lstm, which 01-fails did not train" in "\n".join(lines)
    assert lines[-1] == "Exit code 4: a cell failed, or a page could not be made."
    assert [each["status"] for each in results()["chapters"]] == ["failed", "not run", "executed"]


def test_a_page_that_cannot_be_made_costs_its_chapter_only(write_notebook, build, tmp_path, monkeypatch):
    def render(path, **about):
        if path.stem == "01-a":
            raise RecursionError("once\nand again")
        return render_notebook(path, **about)

    render_notebook = pages.render_notebook
    monkeypatch.setattr(pages, "render_notebook", render)
    write_notebook("01-a", "print(1)")
    write_notebook("02-b", "print(2)")
    report, _ = build()
    assert statuses(report) == ["failed", "executed"] and report.exit_code == 4
    index = BeautifulSoup(report.index.read_text(), "html.parser")
    assert "Its page could not be made: RecursionError: and again" in index.get_text()
    assert "01-a.html" not in (tmp_path / "out" / "02-b.html").read_text()
    monkeypatch.undo()
    report, _ = build()
    assert statuses(report) == ["unchanged", "unchanged"] and (tmp_path / "out" / "01-a.html").exists()


def chapter(**about):
    return Chapter(**{"name": "01-a", "title": "A", "question": "?", "status": "failed"} | about)


def test_the_worst_that_happened_decides_the_exit_code(tmp_path):
    order = list(EXIT_CODES)
    for place, kind in enumerate(order):
        chapters = tuple(chapter(kind=each) for each in order[place:])
        assert Report(tmp_path, chapters, 1.0).exit_code == EXIT_CODES[kind][0]
    assert Report(tmp_path, (chapter(kind=None),), 1.0).exit_code == 0
    assert Report(tmp_path, (chapter(kind="cell"),), 1.0, ended="terminated").exit_code == 143


class Terminal(io.StringIO):
    """Text that takes itself for a terminal."""

    def isatty(self):
        return True


def test_a_terminal_shows_a_bar_and_a_broken_pipe_ends_no_report(monkeypatch, tmp_path, capsys):
    class Plan:
        name, reason = "01-a", None
        notebook = type("Notebook", (), {"cells": 1})

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    lines = []
    progress = Progress(lines.append, [Plan])
    progress.line("01-a", "epoch 3 of 12" + "." * 80)
    progress.cell("01-a")
    progress.echo("above it")
    progress.done(chapter(kind="cell", reason="a\nb", notebook=tmp_path / "01-a.ipynb", seconds=75.0))
    assert "epoch 3 of 12" in terminal.getvalue() and "50%" in terminal.getvalue()
    assert lines == ["above it", "01-a  failed, 1 min 15 s", f"  {tmp_path / '01-a.ipynb'}", "  a", "  b"]

    def broken(line):
        raise BrokenPipeError

    progress = Progress(broken, [Plan])
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO()))
    progress.echo("a")
    progress.echo("b")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_first_signal_asks_and_the_second_acts_as_before():
    caught = []
    former = signal.signal(signal.SIGTERM, lambda *_: caught.append("second"))
    try:
        stop = Stop()
        with stop_on_signals(stop):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            assert (stop.reason, caught) == ("terminated", [])
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            assert caught == ["second"]
        stop.ask("later")
        assert stop.reason == "terminated"
    finally:
        signal.signal(signal.SIGTERM, former)
