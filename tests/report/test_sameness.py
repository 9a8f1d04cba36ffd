"""Same in, same out: two fresh reports of one seed, every side question answered, under --deterministic.

What two executions of a notebook may differ in is listed in `dmlkit.report.strip_timestamps`.
"""

import json
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from dmlkit.report import find_notebooks, notebooks_folder, strip_timestamps

# What two reports may differ in: when, and how long.
TIMES = {"started", "executed", "seconds", "training_seconds", "seconds_an_epoch", "videos_per_second"}
CONDITIONS = {"profile": "smoke", "seed": 0, "deterministic": True}


def timeless(value):
    """Plain values without those that say when and how long."""
    if isinstance(value, dict):
        return {name: timeless(each) for name, each in value.items() if name not in TIMES}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def names_of_runs(out):
    return {path.parent.name.rsplit("-", 1)[0] for path in (out / "runs").glob("*/run.json")}


def report(data, out):
    """The command, begun."""
    arguments = [
        "--data",
        str(data),
        "--profile",
        "smoke",
        "--deterministic",
        "--jobs",
        "1",
        "--out",
        str(out),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "dmlkit.cli", "report", *arguments],
        cwd=out.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def twins(generated, tmp_path_factory):
    """The folders of two fresh reports with every side question, made at once by the command."""
    folder = tmp_path_factory.mktemp("twins")
    processes = [report(generated, folder / name) for name in ("one", "other")]
    said = [process.communicate(timeout=800)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return folder / "one", folder / "other"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_reports_have_the_same_results(twins):
    one, other = (json.loads((out / "results.json").read_text(encoding="utf-8")) for out in twins)
    assert timeless(one) == timeless(other)
    assert {row["status"] for row in one["ladder"]} == {"trained", "not trained"}
    assert {"lr-no-norm", "bi-gru-concat-no-norm"} <= {row["name"] for row in one["beside"]}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("notebook", find_notebooks(notebooks_folder()), ids=lambda notebook: notebook.name)
def test_two_reports_have_the_same_notebooks_without_their_times(twins, notebook):
    one, other = (
        strip_timestamps(nbformat.read(out / "notebooks" / notebook.path.name, as_version=4)) for out in twins
    )
    for first, second in zip(one.cells, other.cells, strict=True):
        assert first == second, first.id
    assert one == other


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_the_notebooks_say_they_train_is_what_they_train(twins, generated):
    from dmlkit.report.planning.plans import plan
    from dmlkit.report.planning.rungs import planned_rungs
    from dmlkit.training import Study

    # As it was before anything was trained.
    study = Study(generated, runs=twins[0] / "none", **CONDITIONS)
    plans = plan(find_notebooks(notebooks_folder()), dataset=study.dataset, given={})
    planned = {name for rungs in planned_rungs(plans, study) for name in rungs}
    assert planned == names_of_runs(twins[0]) == names_of_runs(twins[1])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_same_command_again_trains_and_executes_nothing(twins, generated):
    kept = [
        path for path in twins[1].rglob("*") if path.is_file() and path.suffix in (".json", ".ipynb", ".html")
    ]
    before = {path: path.stat().st_mtime_ns for path in kept}
    done = report(generated, twins[1])
    said = done.communicate(timeout=600)[0]
    assert done.returncode == 0, said
    assert {path: path.stat().st_mtime_ns for path in kept} == before


@pytest.fixture
def executed():
    """A notebook as an execution leaves it, at another time each time it is asked for."""

    def make(seconds: str, *, tags=(), gap="0.1234"):
        cell = new_code_cell(
            "train()", id="train", metadata={"tags": [*tags], "papermill": {"duration": seconds}}
        )
        cell.metadata["execution"] = {"iopub.status.busy": seconds}
        cell.outputs = [
            new_output("stream", text=f"epoch  1/2  tuning GAP {gap}  rate 0.0030{seconds.rjust(9)} s\n"),
            new_output(
                "display_data", {"text/html": f"<td>{seconds} s</td><td>{gap}</td>", "text/plain": gap}
            ),
            new_output(
                "display_data",
                {
                    "application/vnd.jupyter.widget-view+json": {"model_id": f"id-{seconds}"},
                    "text/plain": gap,
                },
            ),
        ]
        metadata = {"papermill": {"start_time": seconds}, "dmlkit_report": {"seconds": seconds}}
        return new_notebook(cells=[cell], metadata=metadata | {"widgets": {seconds: "state"}})

    return make


def test_times_are_taken_out_and_nothing_else(executed):
    assert executed("4.2") != executed("1,234.5")
    assert strip_timestamps(executed("4.2")) == strip_timestamps(executed("1,234.5"))
    assert strip_timestamps(executed("4.2")) != strip_timestamps(executed("4.2", gap="0.1235"))
    text = strip_timestamps(executed("4.2")).cells[0].outputs[0].text
    assert text == "epoch  1/2  tuning GAP 0.1234  rate 0.0030 # s\n"


def test_what_a_cell_of_measured_seconds_shows_is_taken_out(executed):
    one, other = (executed("4.2", tags=["times"], gap=gap) for gap in ("0.1", "0.2"))
    assert strip_timestamps(one) == strip_timestamps(other)
    assert strip_timestamps(one).cells[0].source == "train()"


def test_the_notebook_itself_stays_as_it_is(executed):
    notebook = executed("4.2")
    strip_timestamps(notebook)
    assert notebook == executed("4.2")
