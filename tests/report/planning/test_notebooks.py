from types import SimpleNamespace

import pytest

import dmlkit
from dmlkit.errors import UsageError
from dmlkit.report import find_notebooks, notebooks_folder
from dmlkit.report.planning.notebooks import plain, read_notebook


def test_the_walk_is_the_numbered_notebooks_in_order(write_notebook, tmp_path):
    for name in ("02-second", "explore-results", "01-first"):
        write_notebook(name)
    assert [notebook.name for notebook in find_notebooks(tmp_path / "notebooks")] == ["01-first", "02-second"]


@pytest.mark.parametrize("name", ["02-second", "second", "02", "02-second.ipynb"])
def test_some_of_them_by_name(write_notebook, tmp_path, name):
    write_notebook("01-first")
    write_notebook("02-second")
    assert [notebook.name for notebook in find_notebooks(tmp_path / "notebooks", [name])] == ["02-second"]


def test_an_unknown_name_is_an_error_with_the_nearest(write_notebook, tmp_path):
    write_notebook("05-attention")
    with pytest.raises(UsageError, match="Did you mean '05-attention'"):
        find_notebooks(tmp_path / "notebooks", ["5-atention"])


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="no notebooks"):
        find_notebooks(tmp_path)


def test_a_notebook_tells_its_title_question_needs_and_parameters(write_notebook):
    notebook = read_notebook(write_notebook("01-first", "1", needs=["frames"]))
    assert notebook.title == "The 01-first chapter"
    assert notebook.question == "Does it run?"
    assert notebook.needs == ("frames",)
    assert [parameter.name for parameter in notebook.parameters][:2] == ["data", "profile"]
    assert read_notebook(write_notebook("01-first", title="Another")).title == "Another"


def test_a_file_that_is_no_notebook_is_an_error_that_names_it(tmp_path):
    (tmp_path / "01-broken.ipynb").write_text("{")
    with pytest.raises(UsageError, match=r"01-broken\.ipynb"):
        find_notebooks(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "line 1"),
        ("[]", "not a notebook's"),
        ('{"nbformat": 4, "metadata": {}}', "'cells'"),
        ('{"nbformat": 3, "worksheets": []}', "format 3"),
        ('{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code"}]}', "'source'"),
        ('{"nbformat": 4, "metadata": {"dmlkit": {"after": "00-data"}}, "cells": []}', "`after`"),
        (b"\xff\xfe", "utf-8"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_another_file_of_that_name_is_an_error_that_says_what_it_lacks(tmp_path, content, says):
    path = tmp_path / "01-broken.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=r"01-broken\.ipynb") as error:
        read_notebook(path)
    assert says in str(error.value)


def test_a_notebook_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UsageError, match=r"01-gone\.ipynb cannot be read: No such file"):
        read_notebook(tmp_path / "01-gone.ipynb")


@pytest.mark.parametrize(
    ("needs", "level", "modalities", "reason"),
    [
        ((), "video", 1, None),
        (("frames",), "frame", 1, None),
        (("frames",), "video", 2, "one vector a video"),
        (("two modalities",), "video", 2, None),
        (("two modalities",), "frame", 1, "one only (rgb)"),
    ],
)
def test_what_a_notebook_needs_is_held_against_the_data(write_notebook, needs, level, modalities, reason):
    notebook = read_notebook(write_notebook("01-first", needs=needs))
    features = dict.fromkeys(("rgb", "audio")[:modalities])
    found = notebook.not_applicable_reason(SimpleNamespace(level=level, features=features))
    assert found == reason or reason in found


def test_marks_of_markdown_are_taken_out():
    assert plain("What does **each** `step` *buy* on [data](x.md)?") == "What does each step buy on data?"


def test_the_notebooks_of_an_installed_package_come_first(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "dmlkit"
    planning = package / "report" / "planning"
    planning.mkdir(parents=True)
    (package / "notebooks").mkdir()
    (tmp_path / "site-packages" / "notebooks").mkdir()
    monkeypatch.setattr("dmlkit.report.planning.notebooks.__file__", str(planning / "notebooks.py"))
    assert notebooks_folder() == package / "notebooks"
    (package / "notebooks").rmdir()
    assert notebooks_folder() == tmp_path / "site-packages" / "notebooks"
    (tmp_path / "site-packages" / "notebooks").rmdir()
    with pytest.raises(UsageError, match="notebooks are missing"):
        notebooks_folder()


def test_the_package_finds_its_own():
    assert notebooks_folder().is_dir()
    assert dmlkit.__file__.startswith(str(notebooks_folder().parent))
