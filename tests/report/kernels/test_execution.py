import json
import os
import sys

import nbformat
import pytest

from dmlkit.report.kernels.execution import execute


def texts(path):
    cells = nbformat.read(path, as_version=4).cells
    return {cell.id: "".join(output.get("text", "") for output in cell.get("outputs", [])) for cell in cells}


@pytest.fixture
def run(write_notebook, tmp_path):
    def go(*sources, values=None, **more):
        target = tmp_path / "out" / "01-small.ipynb"
        target.parent.mkdir(exist_ok=True)
        return execute(write_notebook("01-small", *sources), target, values or {}, **more), target

    return go


def test_values_replace_defaults_and_what_is_printed_is_kept(run):
    said, moved = [], []
    failure, target = run(
        "print(seed + 1, profile)",
        "print('two')",
        values={"seed": 4},
        said=said.append,
        moved=lambda: moved.append(1),
    )
    assert failure is None
    assert texts(target)["cell-0"] == "5 demo\n"
    assert said == ["5 demo", "two"]
    assert len(moved) == 4, "three cells of code and the injected one"


def test_two_executions_differ_in_times_only(run):
    def stripped(target):
        notebook = nbformat.read(target, as_version=4)
        notebook.metadata.pop("papermill")
        for cell in notebook.cells:
            cell.metadata.pop("papermill", None)
            cell.metadata.pop("execution", None)
        return notebook

    sources, values = ("print(seed)", "seed"), {"seed": 4}
    assert stripped(run(*sources, values=values)[1]) == stripped(run(*sources, values=values)[1])


def test_the_working_folder_is_that_of_the_executed_notebook(run, tmp_path):
    _, target = run("import os; print(os.getcwd())")
    assert texts(target)["cell-0"].strip() == str(target.parent.resolve())


def test_folders_may_be_called_anything(write_notebook, tmp_path):
    target = tmp_path / "a {b} c" / "01-small.ipynb"
    target.parent.mkdir()
    assert execute(write_notebook("01-small", "print(1)"), target, {}) is None
    assert texts(target)["cell-0"] == "1\n"


def test_the_interpreter_is_ours_whatever_is_registered(run, tmp_path, monkeypatch):
    for name in ("python3", "python", "ir"):
        spec = tmp_path / "jupyter" / "kernels" / name
        spec.mkdir(parents=True)
        hostile = {
            "argv": ["/bin/false", "{connection_file}"],
            "display_name": "Elsewhere",
            "language": "python",
        }
        (spec / "kernel.json").write_text(json.dumps(hostile))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    failure, target = run("import sys; print(sys.executable)")
    assert failure is None
    assert texts(target)["cell-0"].strip() == sys.executable


def test_no_start_up_file_of_the_user_runs(run, tmp_path, monkeypatch):
    start = tmp_path / "ipython" / "profile_default" / "startup"
    start.mkdir(parents=True)
    (start / "00-mine.py").write_text("mine = 1")
    (tmp_path / "mine.py").write_text("mine = 1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "mine.py"))
    _, target = run("print('mine' in globals())")
    assert texts(target)["cell-0"] == "False\n"


def test_the_notebook_sees_this_package(run):
    import dmlkit

    _, target = run("import dmlkit; print(dmlkit.__file__)")
    assert os.path.samefile(texts(target)["cell-0"].strip(), dmlkit.__file__)


def test_a_failing_cell_keeps_what_was_done_and_says_where(run):
    failure, target = run("print('before')", "int('ten')", "print('after')")
    assert failure.kind == "cell"
    assert failure.message == "ValueError: invalid literal for int() with base 10: 'ten'"
    cells = nbformat.read(target, as_version=4).cells
    assert cells[0].id == "stopped"
    assert "`cell-1`" in cells[0].source
    assert "invalid literal" in cells[0].source
    status = {cell.id: cell.metadata.get("papermill", {}).get("status") for cell in cells}
    assert (status["cell-0"], status["cell-1"], status["cell-2"]) == ("completed", "failed", "not run")
    assert texts(target)["cell-0"] == "before\n"


def test_damaged_data_are_told_from_a_cell_that_failed(run):
    failure, _ = run(
        "from dmlkit.errors import DataError", "raise DataError('train0000.tfrecord is cut off.')"
    )
    assert failure.kind == "data"
    assert failure.message == "DataError: train0000.tfrecord is cut off."


def test_a_bar_that_is_drawn_over_itself_leaves_its_last_state(run):
    _, target = run(
        "for i in range(50): print(f'\\r{i} of 49', end='', flush=True)", "print('a'); print('b')"
    )
    cells = nbformat.read(target, as_version=4).cells
    assert all(len(cell.outputs) == 1 for cell in cells[-2:])
    assert texts(target)["cell-0"] == "49 of 49"
    assert texts(target)["cell-1"] == "a\nb\n"
