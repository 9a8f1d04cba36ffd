"""The whole of a report: order, what is executed again, exit codes, progress."""

import io
import os

from dmlkit.report import pages
from dmlkit.report.plan import Context

from .conftest import leave_lr, statuses  # isort: skip


def files(out):
    """Every file of a report → its time and bytes; but the lock, which every call takes."""
    paths = [path for path in out.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_a_second_call_changes_no_file_and_restores_what_is_missing(write_notebook, build, tmp_path):
    write_notebook("01-a", "print(1)")
    write_notebook("02-b", "1 / 0  # not chosen")
    out = tmp_path / "out"
    report, lines = build(notebooks=["01"])
    assert lines[0].startswith("01-a  executed, ") and lines[-1].endswith("index.html: 1 executed.")
    before = files(out)
    again, lines = build(notebooks=["01"])
    assert statuses(again) == ["unchanged"] and files(out) == before and again.seconds == report.seconds
    assert lines == ["01-a  unchanged", f"The report is in {report.index}: 1 unchanged."]
    (out / "01-a.html").unlink()
    (out / "index.html").write_text("altered")
    (out / ".report.json").unlink()
    assert statuses(build(notebooks=["01"])[0]) == ["unchanged"]
    assert (out / "01-a.html").read_bytes() == before[out / "01-a.html"][1]
    assert "altered" not in (out / "index.html").read_text()


def test_notebooks_run_in_their_order_and_in_parallel_where_they_can(write_notebook, build, tmp_path):
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


def test_what_needs_a_failed_notebooks_experiment_is_not_run(write_notebook, build):
    write_notebook("01-fails", "1 / 0", trains=[{"chapter": "baselines"}])
    write_notebook("02-needs", "print(2)", after=["01-fails"], trains=[{"experiments": ["lstm"]}])
    write_notebook("03-other", "print(3)", after=["02-needs"], trains=[{"experiments": ["bi-lstm"]}])
    report, lines = build()
    assert statuses(report) == ["failed", "not run", "executed"] and report.exit_code == 4
    assert "it needs lstm, which 01-fails did not train" in "\n".join(lines)
    assert lines[-1] == "Exit code 4: a cell failed, or a page could not be made."


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
    assert "Its page could not be made: RecursionError: once and again" in report.index.read_text()
    assert "01-a.html" not in (tmp_path / "out" / "02-b.html").read_text()


def test_a_broken_pipe_ends_no_report(write_notebook, build, monkeypatch):
    def broken(line):
        raise BrokenPipeError

    write_notebook("01-a", "print(1)")
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO()))
    assert statuses(build(echo=broken)[0]) == ["executed"]


def test_what_nothing_is_trained_for_is_left_out_and_listed(
    write_notebook, build, tmp_path, leave_run, generated
):
    write_notebook("01-a", "print(1)")
    about = {"parameters": "beyond: bool = False  # b\n", "trains": [{"beyond": "fusions", "if": "beyond"}]}
    write_notebook("08-beyond", "print(2)", **about)
    report, _ = build()
    text = " ".join(report.index.read_text().split())
    assert statuses(report) == ["executed"] and "<code>--beyond</code>: 08-beyond" in text
    study = Context(generated, out=tmp_path / "out", profile="smoke").study
    leave_lr(study, leave_run, "bi-gru-projection-loose")
    report, _ = build()
    assert statuses(report) == ["unchanged", "executed"] and "Left out" not in report.index.read_text()
    assert statuses(build(out=tmp_path / "named", notebooks=["08"])[0]) == ["executed"]
    assert statuses(build(out=tmp_path / "asked", parameters={"beyond": True})[0]) == ["executed"] * 2
