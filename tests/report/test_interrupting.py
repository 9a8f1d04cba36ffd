"""Ctrl-C, SIGTERM, failures that others depend on, time limits: the report stays true, and the next call goes on."""

import json
import os
import signal
import threading
import time

import nbformat
import pytest
from bs4 import BeautifulSoup

from dmlkit.errors import UsageError

# Waits until a file is there that says that it may end; writes one that says it began.
WAITS = """\
import os
import time
from pathlib import Path

Path("{begun}").write_text(str(os.getpid()))
while not Path("{go_on}").exists():
    time.sleep(0.05)
print("to the end")
"""


@pytest.fixture
def waits(tmp_path):
    """A notebook's source that waits for `go_on`; both files."""
    begun, go_on = tmp_path / "begun", tmp_path / "go-on"
    return WAITS.format(begun=begun, go_on=go_on), begun, go_on


def wait_for(path, seconds=120):
    until = time.monotonic() + seconds
    while not path.exists() or not path.read_text():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.05)


def gone(pid, seconds=10):
    """Whether a process has ended, or does so soon."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def status(report):
    return [chapter.status for chapter in report.chapters]


def text_of(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").get_text()


@pytest.mark.parametrize(
    ("number", "code", "how"),
    [
        (signal.SIGINT, 130, "interrupted"),
        pytest.param(signal.SIGTERM, 143, "terminated", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_the_notebooks_and_the_next_call_goes_on(
    write_notebook, build, waits, tmp_path, results, number, code, how
):
    source, begun, go_on = waits
    write_notebook("01-first", "print(1)", parameters=None)
    write_notebook("02-waits", "print('so far')", source, parameters=None)
    write_notebook("03-third", "print(3)", parameters=None)

    def signal_when_begun():
        wait_for(begun)
        os.kill(os.getpid(), number)

    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    threading.Thread(target=signal_when_begun, daemon=True).start()
    report, said = build()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    assert (report.ended, report.exit_code) == (how, code)
    assert status(report) == ["executed", "interrupted", "not run"]
    assert gone(int(begun.read_text()))
    assert f"Ending the notebooks ({how})" in "\n".join(said)
    assert said[-1] == f"Exit code {code}: {how}; the same command goes on where it stopped."
    assert "so far" in text_of(tmp_path / "out" / "02-waits.html")
    assert not (tmp_path / "out" / "03-third.html").exists()
    assert 'href="03-third.html"' not in (tmp_path / "out" / "02-waits.html").read_text()
    assert [chapter["status"] for chapter in results()["chapters"]] == status(report)
    index = text_of(tmp_path / "out" / "index.html")
    assert "interrupted" in index
    assert f"the report ended before its turn came ({how})" in index

    go_on.touch()
    report, _ = build()
    assert (report.ended, report.exit_code) == (None, 0)
    assert status(report) == ["unchanged", "executed", "executed"]
    assert "to the end" in text_of(tmp_path / "out" / "02-waits.html")
    assert 'href="03-third.html"' in (tmp_path / "out" / "02-waits.html").read_text()


def test_what_needs_the_rung_of_a_failed_notebook_is_not_run(write_notebook, build, results):
    rungs = [{"experiments": ["lr"]}]
    write_notebook("01-fails", "1 / 0", trains=rungs)
    write_notebook("02-needs", "print(2)", trains=rungs)
    write_notebook("03-other", "print(3)", after=["01-fails"], trains=[{"experiments": ["lstm"]}])
    report, said = build()
    assert status(report) == ["failed", "not run", "executed"]
    assert report.exit_code == 4
    assert "02-needs  not run: it needs lr, which 01-fails did not leave" in said
    assert said[-1] == "Exit code 4: a cell failed, or a page could not be made."
    assert results()["chapters"][1]["reason"] == "it needs lr, which 01-fails did not leave"
    assert results()["chapters"][1]["html"] is None


def test_several_at_a_time_share_the_threads(write_notebook, build, tmp_path, results):
    # Each waits for the other: one at a time they would never end.
    meet = """import os, time
from pathlib import Path
Path('{0}').touch()
while not Path('{1}').exists():
    time.sleep(0.05)"""
    write_notebook(
        "01-a", meet.format(tmp_path / "a", tmp_path / "b"), "print(os.environ['OMP_NUM_THREADS'])"
    )
    write_notebook("02-b", meet.format(tmp_path / "b", tmp_path / "a"))
    write_notebook("03-c", "print(3)", after=["01-a", "02-b"])
    report, _ = build(jobs=2, time_limit="60s")
    assert status(report) == ["executed"] * 3
    assert [chapter.name for chapter in report.chapters] == ["01-a", "02-b", "03-c"]
    printed = nbformat.read(report.chapters[0].notebook, as_version=4).cells[-1].outputs[0].text
    assert int(printed) == results()["threads"] >= 1
    # How many ran at a time is no reason to execute anything.
    report, _ = build()
    assert status(report) == ["unchanged"] * 3
    assert int(printed) == results()["threads"]


@pytest.mark.slow
def test_a_time_limit_ends_a_notebook_and_no_other(write_notebook, build, tmp_path):
    write_notebook("01-sleeps", "print('so far')", "import time; time.sleep(600)")
    write_notebook("02-quick", "print(2)")
    report, said = build(time_limit="5s")
    assert status(report) == ["failed", "executed"]
    assert report.exit_code == 6
    assert report.chapters[0].seconds < 60
    assert "so far" in text_of(tmp_path / "out" / "01-sleeps.html")
    assert said[-1] == "Exit code 6: a notebook ran into its time limit."


@pytest.mark.parametrize("path", ["out", "out/notebooks", "out/runs", "a-file/out"])
def test_a_folder_that_cannot_be_is_an_error_before_anything_happens(write_notebook, build, tmp_path, path):
    write_notebook("01-first", "1 / 0")
    stands = tmp_path / ("a-file" if path.startswith("a-file") else path)
    stands.parent.mkdir(exist_ok=True)
    stands.write_text("something else")
    since = time.monotonic()
    with pytest.raises(UsageError, match=r"cannot be written to .*out: .* Name another folder with --out"):
        build(out=tmp_path / path if path.startswith("a-file") else tmp_path / "out", data="gs://nowhere")
    assert stands.read_text() == "something else"
    assert time.monotonic() - since < 5


def test_a_file_that_cannot_be_written_ends_the_report_and_leaves_the_old_one(
    write_notebook, build, tmp_path
):
    write_notebook("01-first", "print(1)")
    build()
    out = tmp_path / "out"
    index = (out / "index.html").read_text()
    (out / "results.json").unlink()
    (out / "results.json").mkdir()  # as good as a full disk: it cannot be put in its place
    with pytest.raises(UsageError) as error:
        build(force=True)
    assert f"The report in {out} could not be written" in str(error.value)
    assert "\n" not in str(error.value)
    assert (out / "index.html").read_text() == index
    (out / "results.json").rmdir()
    assert status(build()[0]) == ["unchanged"]
    assert json.loads((out / "results.json").read_text())["chapters"]


def test_an_executed_notebook_that_cannot_be_written_ends_the_report(
    write_notebook, build, tmp_path, results
):
    write_notebook("01-first", "print(1)")
    write_notebook("02-second", "print(2)")
    (tmp_path / "out" / "notebooks" / "01-first.ipynb").mkdir(parents=True)  # as good as a full disk
    with pytest.raises(UsageError, match=r"01-first\.ipynb could not be written"):
        build()
    assert [chapter["status"] for chapter in results()["chapters"]] == ["failed", "not run"]
    assert "an executed notebook could not be written" in results()["chapters"][1]["reason"]
