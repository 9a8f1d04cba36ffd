"""How notebooks end before their last cell, and what is told of it."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import nbformat
import pytest

from dmlkit.report.kernels.execution import execute
from dmlkit.report.kernels.stopping import Stop

AS_LINUX = pytest.mark.skipif(os.name != "posix", reason="signals")
SAY = "import os, signal, time; print('so far', flush=True); time.sleep(0.4);"
STUBBORN = f"""{SAY}
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print('not yet')
"""


def read(target):
    """Cells by id, status by id, and the notebook."""
    notebook = nbformat.read(target, as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    return (
        cells,
        {name: cell.metadata.get("papermill", {}).get("status") for name, cell in cells.items()},
        notebook,
    )


def printed(cell):
    return "".join(output.get("text", "") for output in cell.outputs if output.output_type == "stream")


@pytest.fixture
def run(write_notebook, tmp_path):
    def go(name, *sources, **more):
        target = tmp_path / "out" / f"{name}.ipynb"
        target.parent.mkdir(exist_ok=True)
        return execute(write_notebook(name, *sources), target, {"seed": 4}, **more), target

    return go


def check_marked(target, *, at):
    """Nothing is called completed that was not, in no place; what was printed is kept; the banner stands on top."""
    cells, status, notebook = read(target)
    assert notebook.cells[0].id == "stopped"
    assert f"`{at}`" in notebook.cells[0].source
    assert status["cell-0"] == "completed"
    assert status["cell-1"] == "failed"
    assert cells["cell-1"].metadata.papermill.exception is True
    assert (status["cell-2"], status["cell-3"]) == ("not run", "not run")
    assert cells["cell-2"].metadata.papermill.exception is None
    assert notebook.metadata.papermill.exception is True
    assert cells["cell-2"].outputs == [] and cells["cell-2"].execution_count is None
    assert printed(cells["cell-0"]) == "before\n"
    assert printed(cells["cell-1"]).startswith("so far\n")
    return notebook.cells[0].source


DEATHS = {
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", ["SIGKILL", "emory", "GiB"]),
    "crashed": ("import ctypes; ctypes.string_at(0)", ["SIGSEGV", "native code", "Fatal Python error"]),
    "aborted": (
        "os.write(2, b'Check failed: a < b\\n'); os.abort()",
        ["SIGABRT", "native", "Check failed: a < b"],
    ),
    "asked": ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", ["SIGTERM", "asked it to end"]),
    "left": ("os._exit(3)", ["ended itself", "exit code 3"]),
}


@pytest.fixture
def small_memory():
    """A control group that may take 300 MB; `cgroup.procs` in it takes who is to be in it."""
    group = Path("/sys/fs/cgroup/memory/dmlkit-test")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("300000000")
    except OSError:
        pytest.skip("no control group of memory may be made here")
    yield group
    group.rmdir()


@pytest.mark.slow
def test_a_kernel_that_takes_too_much_memory_is_told_to_have(run, small_memory):
    takes = f"open('{small_memory}/cgroup.procs', 'w').write(str(os.getpid())); taken = []"
    grows = "while True: taken.append(bytearray(b'x' * 10_000_000)); time.sleep(0.02)"
    failure, target = run(
        "01-grows", "print('before')", f"{SAY} {takes}\n{grows}", "print('after')", "# The end"
    )
    assert failure.kind == "kernel died"
    assert "Memory ran out: the operating system counts" in check_marked(target, at="cell-1")
    assert "had taken up to 0.3 GiB" in failure.message


@AS_LINUX
def test_a_dead_kernel_is_told_by_how_it_died(run):
    def die(name):
        return run(name, "print('before')", f"{SAY} {DEATHS[name][0]}", "print('after')", "# The end")

    with ThreadPoolExecutor(3) as pool:
        ended = dict(zip(DEATHS, pool.map(die, DEATHS), strict=True))
    for name, (failure, target) in ended.items():
        assert failure.kind == "kernel died", name
        banner = check_marked(target, at="cell-1")
        for words in DEATHS[name][1]:
            assert words in failure.message, failure.message
            assert words in banner
    assert "chatter" not in ended["aborted"][0].message
    assert "memory" not in ended["left"][0].message + ended["crashed"][0].message


def test_a_cell_that_leaves_quietly_is_no_success(run):
    failure, target = run(
        "01-exit", "print('before')", f"{SAY} import sys; sys.exit(0)", "print('after')", "# End"
    )
    assert failure.kind == "cell"
    assert failure.message.startswith("SystemExit")
    check_marked(target, at="cell-1")


@pytest.mark.slow
def test_a_kernel_that_dies_after_the_last_cell_leaves_the_cells_completed(run):
    # After the last cell papermill asks the kernel for its language once more.
    late = "import os; get_ipython().kernel.shell_handlers['kernel_info_request'] = lambda *_: os._exit(3)"
    failure, target = run("01-late", late, "# The end")
    _, status, notebook = read(target)
    assert failure.kind == "kernel died"
    assert status["cell-0"] == "completed"
    assert "after its last cell" in notebook.cells[0].source


def test_the_time_limit_ends_even_a_cell_that_will_not(run):
    def limited(name, cell):
        since = time.monotonic()
        more = {"seconds": 6}
        ended = run(name, "print('before')", cell, "print('after')", "# The end", **more)
        return *ended, time.monotonic() - since

    with ThreadPoolExecutor(2) as pool:
        willing = pool.submit(limited, "01-willing", f"{SAY} time.sleep(60)")
        stubborn = pool.submit(limited, "02-stubborn", STUBBORN)
    for failure, target, took in (willing.result(), stubborn.result()):
        assert failure.kind == "time limit"
        assert failure.message == (
            "The time limit of 6 s was reached at the cell `cell-1`. A rung under training goes on from its "
            "checkpoint when the report is called again."
        )
        assert failure.message in check_marked(target, at="cell-1")
        assert took < 6 + 4


def test_a_limit_is_told_as_it_was_given():
    from dmlkit.report.kernels.endings import _limit

    assert [_limit(each) for each in (90, 2700, 7200, 5, 0.5)] == [
        "1 min 30 s",
        "45 min",
        "2 h",
        "5 s",
        "0.5 s",
    ]


def test_stop_ends_every_notebook_that_was_given_it(run, tmp_path):
    stop = Stop()
    notes = tmp_path / "begun"
    begin = f"open({str(notes)!r}, 'a').write('x'); {SAY} time.sleep(60)"

    def go(name):
        return run(name, "print('before')", begin, "print('after')", "# The end", stop=stop)

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(go, name) for name in ("01-one", "02-two")]
        while not notes.exists() or len(notes.read_text()) < 2:
            time.sleep(0.05)
        time.sleep(0.4)
        since = time.monotonic()
        stop.ask()
        ended = [each.result() for each in running]
        assert time.monotonic() - since < 3
    for failure, target in ended:
        assert failure.kind == "interrupted"
        assert failure.message.startswith("Interrupted at the cell `cell-1`. A rung under training goes on")
        check_marked(target, at="cell-1")


def test_stop_ends_a_kernel_that_is_only_starting(run):
    for stop, delay in ((Stop(), 0), (Stop(), 0.3)):
        since = time.monotonic()
        Timer(delay, stop.ask, ["interrupted by SIGTERM"]).start()
        failure, target = run("01-early", "print('before')", "print('after')", stop=stop)
        assert time.monotonic() - since < delay + 3
        assert failure.kind == "interrupted"
        assert failure.message.startswith("Interrupted by SIGTERM at the cell")
        _, status, notebook = read(target)
        assert notebook.cells[0].id == "stopped"
        assert (status["cell-0"], status["cell-1"]) == ("not run", "not run")


def test_a_kernel_that_cannot_start_says_what_it_said(run, monkeypatch, tmp_path):
    (tmp_path / "hostile").mkdir()
    (tmp_path / "hostile" / "zmq.py").write_text("raise ImportError('no such zmq')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hostile"))
    failure, target = run("01-small", "print(1)")
    assert failure.kind == "kernel died"
    assert "did not start" in failure.message
    assert "no such zmq" in failure.message
    assert read(target)[1]["cell-0"] == "not run"


def test_a_full_disk_within_a_cell_is_that_cells_failure(run):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    failure, _ = run(
        "01-full", "print('before')", "with open('/dev/full', 'w') as file: file.write('x' * 9999)"
    )
    assert failure.kind == "cell"
    assert failure.message.startswith("OSError: [Errno 28] No space left on device\nThe disk is full")
