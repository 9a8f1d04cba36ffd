"""Kernels keep to themselves, side by side, and never outlive the command."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from dmlkit.report.kernels.execution import execute
from dmlkit.report.kernels.kernel import THREADS

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and sessions")

COMMAND = """
import signal, sys
from pathlib import Path
from dmlkit.report.kernels.execution import execute
{before}
print(execute(Path(sys.argv[1]), Path(sys.argv[2]), {{"seed": 4}}))
"""
# Says which processes it consists of, then waits; tells where Ctrl-C got through to it.
WAITS = """\
import json, os, subprocess, time
print('so far')
child = subprocess.Popen(['sleep', '60'])
open('about.tmp', 'w').write(json.dumps({{'kernel': os.getpid(), 'child': child.pid}}))
os.rename('about.tmp', 'about.json')
try:
    time.sleep({seconds})
except KeyboardInterrupt:
    open('interrupted', 'w').close()
    raise
"""


def alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    # An ended process that nobody has asked after yet is not alive.
    state = Path(f"/proc/{number}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def wait_until(condition, *, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def texts(path):
    cells = nbformat.read(path, as_version=4).cells
    return {cell.id: "".join(output.get("text", "") for output in cell.get("outputs", [])) for cell in cells}


@pytest.fixture
def command(write_notebook, tmp_path):
    """Start a command that executes a notebook which waits; what the notebook says of itself."""
    started = []

    def start(*, before="", seconds=60):
        out = tmp_path / "out"
        out.mkdir()
        source = write_notebook("01-waits", WAITS.format(seconds=seconds), "print('after')")
        (tmp_path / "temporary").mkdir()
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND.format(before=before), str(source), str(out / "01-waits.ipynb")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
        )
        started.append(process)
        wait_until(lambda: (out / "about.json").exists() or process.poll() is not None, seconds=60)
        assert process.poll() is None, process.communicate()
        return process, out, json.loads((out / "about.json").read_text())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_kernels_end_with_a_command_that_is_killed(command, tmp_path):
    process, out, about = command()
    assert alive(about["kernel"]) and alive(about["child"])
    process.kill()
    process.wait()
    wait_until(lambda: not alive(about["kernel"]) and not alive(about["child"]), seconds=2)
    assert list((tmp_path / "temporary").iterdir()) == [], "what the command would have removed is removed"
    assert sorted(path.name for path in out.iterdir()) == ["about.json"], "nothing half-written"


def test_a_temporary_folder_may_lie_deeper_than_sockets_may(write_notebook, tmp_path, monkeypatch):
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    source = write_notebook("01-waits", "print('it ran')")
    assert execute(source, tmp_path / "out.ipynb", {}) is None
    assert texts(tmp_path / "out.ipynb")["cell-0"] == "it ran\n"
    assert list(deep.iterdir()) == []


@pytest.mark.slow
def test_the_terminals_ctrl_c_is_the_commands_own_affair(command):
    process, out, about = command(before="signal.signal(signal.SIGINT, lambda *_: None)", seconds=2)
    os.killpg(process.pid, signal.SIGINT)
    told, asides = process.communicate(timeout=20)
    assert told.strip() == "None", asides
    assert not (out / "interrupted").exists()
    assert texts(out / "01-waits.ipynb")["cell-1"] == "after\n"
    wait_until(lambda: not alive(about["kernel"]), seconds=2)


@pytest.mark.slow
def test_ctrl_c_leaves_a_notebook_that_says_so_and_no_kernel(command, tmp_path):
    process, out, about = command()
    since = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, asides = process.communicate(timeout=20)
    assert time.monotonic() - since < 4
    assert "KeyboardInterrupt" in asides
    assert not alive(about["kernel"]) and not alive(about["child"])
    first = nbformat.read(out / "01-waits.ipynb", as_version=4).cells[0]
    assert "Interrupted at the cell `cell-0`" in first.source
    assert texts(out / "01-waits.ipynb")["cell-0"].startswith("so far")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_notebooks_side_by_side_keep_to_themselves(write_notebook, tmp_path):
    names = [f"0{place}-side" for place in range(4)]
    show = "import os, json; print(json.dumps([os.getcwd(), seed, dict(os.environ)]))"
    sources = {name: write_notebook(name, "import time; time.sleep(0.3)", show) for name in names}
    targets = {name: tmp_path / name / f"{name}.ipynb" for name in names}
    for target in targets.values():
        target.parent.mkdir()
    here, said, moved = os.getcwd(), {name: [] for name in names}, {name: [] for name in names}

    def go(place):
        name = names[place]
        return execute(
            sources[name],
            targets[name],
            {"seed": place},
            said=said[name].append,
            moved=lambda: moved[name].append(os.getcwd()),
            threads=place + 1 if place else None,
            looked_at=tmp_path / f"{name} $HOME.txt",
        )

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(go, range(4))) == [None] * 4
    for place, name in enumerate(names):
        folder, seed, environment = json.loads(texts(targets[name])["cell-1"])
        assert (folder, seed) == (str(targets[name].parent.resolve()), place)
        assert environment["DMLKIT_RUNS_LOOKED_AT"] == str(tmp_path / f"{name} $HOME.txt")
        told = [environment.get(each) for each in THREADS]
        assert told == ([os.environ.get(each) for each in THREADS] if place == 0 else [str(place + 1)] * 5)
        assert len(said[name]) == 1
        assert moved[name] == [here] * 4, "the working folder of the command never changes"


def test_a_notebook_runs_from_within_an_event_loop(write_notebook, tmp_path):
    import asyncio

    async def go():
        return execute(write_notebook("01-small", "print(1)"), tmp_path / "01-small.ipynb", {})

    assert asyncio.run(go()) is None
