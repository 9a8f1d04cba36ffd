"""How notebooks are executed, and how they end before their last cell."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from dmlkit.report import execute
from dmlkit.report.execute import Execution, strip_timestamps

SAY = "import os, signal, sys, time; print('so far', flush=True); time.sleep(0.3);"
STUBBORN = f"""{SAY}
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print('not yet')
"""


@pytest.fixture
def run_all(write_notebook, tmp_path):
    """Execute notebooks in parallel, each of four cells around one; how each ended, and what it looks like."""

    def go(codes: dict[str, str], *, stop_at: float | None = None, **more):
        (tmp_path / "out").mkdir(exist_ok=True)
        executions = {}
        for place, (name, code) in enumerate(codes.items()):
            cells = ("print('before')", code, "print('after')", "# The end")
            source = write_notebook(f"0{place}-{name}", *cells)
            executions[name] = Execution(source, tmp_path / "out" / f"{name}.ipynb", {"seed": 4}, **more)
        began = time.monotonic()
        with ThreadPoolExecutor(len(codes)) as pool:
            futures = {pool.submit(each.run): name for name, each in executions.items()}
            while wait(futures, timeout=0.1).not_done:
                for each in executions.values():
                    if stop_at is not None and time.monotonic() - began > stop_at:
                        each.stop.ask("interrupted")
                    each.watch()
        return {
            name: (future.result(), nbformat.read(executions[name].target, as_version=4), executions[name])
            for future, name in futures.items()
        }

    return go


def check_marked(notebook, failure):
    """No cell is called completed that was not; what was printed is kept; the banner is on top."""
    cells = {cell.id: cell for cell in notebook.cells}
    status = {name: cell.metadata.get("papermill", {}).get("status") for name, cell in cells.items()}
    assert notebook.cells[0].id == "stopped" and failure.message in notebook.cells[0].source
    assert "`cell-1`" in notebook.cells[0].source
    assert [status[f"cell-{n}"] for n in range(4)] == ["completed", "failed", "not run", "not run"]
    assert cells["cell-0"].outputs[0].text == "before\n"
    assert cells["cell-1"].outputs[0].text.startswith("so far\n")
    assert cells["cell-2"].outputs == [] and cells["cell-2"].execution_count is None
    assert notebook.metadata.papermill.exception is True


def test_values_streams_threads_and_environment_of_a_kernel(run_all, tmp_path):
    lines, cells = [], []
    code = (
        "import sys, os, subprocess\nfor n in range(3): print(n, end='\\r')\nprint('done'); print(seed)\n"
        "print(os.getcwd(), sys.executable, os.environ['OMP_NUM_THREADS'])\n"
        "open(os.environ['DMLKIT_RUN_ACCESS_LOG'], 'a').write('/x\\n')"
    )
    ended = run_all({"plain": code}, threads=3, on_line=lines.append, on_cell=lambda: cells.append(1))
    failure, notebook, execution = ended["plain"]
    assert failure is None
    text = notebook.cells[-3].outputs[0].text.splitlines()
    assert text[:2] == ["done", "4"]
    assert text[2].split() == [str(tmp_path / "out"), sys.executable, "3"]
    assert "before" in lines and len(cells) == 5
    assert execution.about["runs"] == {"/x": None}
    assert execution.kernel.process.poll() is not None


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_failure_is_reported_by_its_error_or_signal_and_log(run_all):
    codes = {
        "os.kill(os.getpid(), signal.SIGKILL)": ["kernel died", "SIGKILL", "memory"],
        "import ctypes; ctypes.string_at(0)": ["kernel died", "SIGSEGV", "native code", "Fatal Python error"],
        "os.write(2, b'Check failed: a\\n'); os.abort()": ["kernel died", "SIGABRT", "Check failed: a"],
        "os._exit(3)": ["kernel died", "exit code 3"],
        "sys.exit(0)": ["cell", "SystemExit"],
    }
    ended = run_all({f"code-{place}": f"{SAY} {code}" for place, code in enumerate(codes)})
    for (kind, *words), (failure, notebook, _) in zip(codes.values(), ended.values(), strict=True):
        assert failure.kind == kind
        check_marked(notebook, failure)
        assert all(word in failure.message for word in words), failure.message


def test_a_time_limit_and_a_stop_end_even_a_cell_that_will_not(run_all):
    ended = run_all({"willing": f"{SAY} time.sleep(60)", "stubborn": STUBBORN}, seconds=5)
    for failure, notebook, _ in ended.values():
        assert failure.kind == "time limit"
        assert failure.message.startswith("The time limit of 5 s was reached at the cell `cell-1`.")
        check_marked(notebook, failure)
    ((failure, notebook, _),) = run_all({"early": "1"}, stop_at=0).values()
    assert failure.kind == "interrupted" and failure.message.startswith("Interrupted at the cell")
    assert notebook.cells[0].id == "stopped"


def test_a_kernel_that_cannot_start_reports_its_log(run_all, monkeypatch, tmp_path):
    (tmp_path / "zmq.py").write_text("raise ImportError('no such zmq')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ((failure, _, _),) = run_all({"any": "1"}).values()
    assert failure.kind == "kernel died"
    assert "did not start" in failure.message and "no such zmq" in failure.message


def test_a_notebook_that_cannot_be_written_is_a_full_disk(run_all, monkeypatch, tmp_path):
    def full(path):
        raise OSError(28, "No space left on device")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "any.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4}')
    monkeypatch.setattr(execute, "atomic_write", full)
    ((failure, _, _),) = run_all({"any": "int('ten')"}).values()
    assert failure.kind == "disk" and "No space left on device" in failure.message
    assert "Before that, the notebook had stopped: ValueError" in failure.message
    assert (tmp_path / "out" / "any.ipynb").read_text().startswith('{"cells": []')  # the earlier one


def test_what_two_executions_may_differ_in_is_taken_out():
    def executed(seconds):
        output = new_output("stream", text=f"lr:  {seconds} s, GAP 0.1234\n")
        cell = new_code_cell("1", outputs=[output], id="a")
        cell.metadata = {"papermill": {"duration": seconds}, "execution": {}, "kept": 1}
        return new_notebook(cells=[cell], metadata={"dmlkit_report": {"seconds": seconds}})

    stripped = strip_timestamps(executed("4.2"))
    assert stripped == strip_timestamps(executed("1,015.25"))
    assert stripped.cells[0].outputs[0].text == "lr: # s, GAP 0.1234\n"
    assert stripped.cells[0].metadata == {"kept": 1}
