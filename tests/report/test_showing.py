import io

import pytest

from dmlkit.report.chapters import Chapter, Failure, Plan
from dmlkit.report.notebooks import read_notebook
from dmlkit.report.showing import Bar, Lines, shower


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


def test_lines_where_there_is_no_terminal(plans, monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(shower(print, plans)) is Lines
