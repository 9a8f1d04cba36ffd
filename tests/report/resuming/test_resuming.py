"""A report made again executes only what changed."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from dmlkit.errors import UsageError
from dmlkit.report import making
from dmlkit.report.resuming.standing import sole_report

LOOKS = """\
from pathlib import Path

from dmlkit.runs import read_record

print(read_record(Path(runs) / "lr-12345678"))
"""
OWN = 'videos: int = 3  # to look at\nprofile: str = "demo"  # the conditions\n'


AGAIN = """\
import sys
from dmlkit.report import build_report

report = build_report(data=sys.argv[1], profile="smoke", out=sys.argv[2], folder=sys.argv[3])
assert [chapter.status for chapter in report.chapters] == ["unchanged", "unchanged"]
heavy = {"tensorflow", "keras", "papermill", "nbconvert", "matplotlib", "pandas", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.fixture
def study(write_notebook):
    """Two notebooks: one with a parameter of its own, one that looks at a run."""
    write_notebook("01-own", "print(videos)", parameters=OWN)
    write_notebook("02-looks", LOOKS)


def files(out):
    """Every file of a report → its time and bytes; but the lock, which every call takes."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in out.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def status(report):
    return [chapter.status for chapter in report.chapters]


def test_what_is_executed_again(study, build, tmp_path, write_notebook, results, generated, leave_run):
    out = tmp_path / "out"
    first, _ = build()
    assert status(first) == ["executed", "executed"]
    told, before = results(), files(out)

    again, said = build()
    assert status(again) == ["unchanged", "unchanged"]
    assert said == [
        "01-own    unchanged",
        "02-looks  unchanged",
        f"The report is in {out / 'index.html'}: 2 unchanged.",
    ]
    assert files(out) == before
    assert [chapter.seconds for chapter in again.chapters] == [
        chapter["seconds"] for chapter in told["chapters"]
    ]
    assert again.seconds == first.seconds

    # In a process of its own, which imports nothing heavy for it and takes a second or two, at most 5.
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, str(generated), str(out), str(tmp_path / "notebooks")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert files(out) == before

    # A clock that jumped, in both directions.
    for place, path in enumerate([*out.rglob("*"), *(tmp_path / "notebooks").iterdir()]):
        os.utime(path, (0, 0) if place % 2 else (4e9, 4e9))
    assert status(build()[0]) == ["unchanged", "unchanged"]

    # Pages, index and results are written again from what stands.
    (out / "01-own.html").unlink()
    (out / "02-looks.html").write_text("<html>altered")
    (out / "index.html").unlink()
    (out / "results.json").write_text("{}")
    assert status(build()[0]) == ["unchanged", "unchanged"]
    assert {path: content for path, (_, content) in files(out).items()} == {
        path: content for path, (_, content) in before.items()
    }
    # Nor does it take the report's own record, but for the time of the last call.
    (out / ".report.json").unlink()
    assert status(build()[0]) == ["unchanged", "unchanged"]
    assert results()["chapters"] == told["chapters"]

    executed = out / "notebooks" / "01-own.ipynb"
    executed.write_text(executed.read_text().replace("chapter", "chapters"))
    assert status(build()[0]) == ["executed", "unchanged"]

    leave_run(out / "runs" / "lr-12345678")
    assert status(build()[0]) == ["unchanged", "executed"]

    assert status(build(parameters={"videos": "4"})[0]) == ["executed", "unchanged"]
    write_notebook("01-own", "print(videos + 1)", parameters=OWN)
    assert status(build(parameters={"videos": "4"})[0]) == ["executed", "unchanged"]
    cells = nbformat.read(executed, as_version=4).cells
    assert cells[-1].outputs[0].text == "5\n"


def test_other_data_or_force_execute_everything(write_notebook, build, generated, tmp_path):
    write_notebook("01-first", "print(1)", parameters=None)
    shutil.copytree(generated / "video", tmp_path / "data")
    assert status(build(data=tmp_path / "data")[0]) == ["executed"]
    declaration = tmp_path / "data" / "dataset.toml"
    declaration.write_text(f"# as it was\n{declaration.read_text()}")
    assert status(build(data=tmp_path / "data")[0]) == ["executed"]
    assert status(build(data=tmp_path / "data")[0]) == ["unchanged"]
    assert status(build(data=tmp_path / "data", force=True)[0]) == ["executed"]


class Wrong:
    """A clock that goes backwards, and never tells the year."""

    def __init__(self):
        self.year = 2099

    def now(self, zone):
        import datetime

        self.year -= 30
        return datetime.datetime(self.year, 1, 1, tzinfo=zone)


def test_a_clock_that_jumps_decides_nothing(write_notebook, build, monkeypatch, results):
    write_notebook("01-first", "print(1)", parameters=None)
    monkeypatch.setattr(making, "datetime", Wrong())
    assert status(build()[0]) == ["executed"]
    assert results()["chapters"][0]["executed"].startswith("2069")
    assert 0 < results()["chapters"][0]["seconds"] < 100
    assert status(build()[0]) == ["unchanged"]
    assert status(build(force=True)[0]) == ["executed"]
    assert results()["chapters"][0]["executed"].startswith("2039")


def test_some_notebooks_beside_those_that_stand(write_notebook, build, tmp_path, results):
    for name in ("01-first", "02-second", "03-third"):
        write_notebook(name, "print(1)", parameters=OWN)
    build(notebooks=["01", "02"])
    report, _ = build(notebooks=["third"], parameters={"videos": 4})
    # The first two were executed with another value.
    assert [chapter.name for chapter in report.chapters] == ["03-third"]
    report, said = build(notebooks=["third"])
    assert status(report) == ["unchanged", "unchanged", "executed"]
    assert [chapter["name"] for chapter in results()["chapters"]] == ["01-first", "02-second", "03-third"]
    assert 'href="03-third.html"' in (tmp_path / "out" / "02-second.html").read_text()
    assert len(said) == 2


def test_what_is_no_longer_applicable_leaves_the_report(write_notebook, build, generated, tmp_path):
    write_notebook("01-any", "print(1)", parameters=None)
    write_notebook("02-frames", "print(1)", parameters=None, needs=["frames"])
    build()
    out = tmp_path / "out"
    assert (out / "02-frames.html").exists()
    report, _ = build(data=generated / "video")
    assert status(report) == ["executed", "not applicable"]
    assert not (out / "02-frames.html").exists()
    assert not (out / "notebooks" / "02-frames.ipynb").exists()
    assert "02-frames" not in (out / "01-any.html").read_text()


def test_a_damaged_record_of_the_report_is_made_anew(write_notebook, build, tmp_path):
    write_notebook("01-first", "print(1)", parameters=None)
    build()
    for text in ("", "{", "[]", '{"data": 3}', '{"pages": []}', '{"whole": 1, "data": {"holds": 1}}'):
        (tmp_path / "out" / ".report.json").write_text(text)
        assert status(build()[0]) == ["unchanged"]
        assert json.loads((tmp_path / "out" / ".report.json").read_text())["pages"]["01-first"]


def test_what_a_killed_report_had_begun_to_write_is_taken_away(write_notebook, build, tmp_path):
    write_notebook("01-first", "print(1)", parameters=None)
    out = tmp_path / "out"
    (out / "notebooks").mkdir(parents=True)
    for begun in (out / ".4711.index.html", out / "notebooks" / ".4711.01-first.ipynb"):
        begun.write_text("<ht")
    (out / ".hidden").write_text("somebody's own")
    build()
    assert {
        path.name for path in [*out.iterdir(), *(out / "notebooks").iterdir()] if path.name[0] == "."
    } == {
        ".hidden",
        ".lock",
        ".report.json",
    }


def test_one_report_a_folder_at_a_time(write_notebook, build, tmp_path):
    write_notebook("01-first", "1 / 0")
    with sole_report(tmp_path / "out"), pytest.raises(UsageError) as error:
        build()
    assert f"process {os.getpid()} on " in str(error.value)
    assert not (tmp_path / "out" / "results.json").exists()
