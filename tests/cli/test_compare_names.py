"""`dmlkit compare` with names of experiments, as it is typed and as the notebooks print it."""

import json
import shlex
from pathlib import Path

import pytest


@pytest.fixture
def reports(leave_run, tmp_path, monkeypatch):
    """As reports leave their runs, whose names begin like others'; a second report is of other data."""
    runs = tmp_path / "reports" / "demo" / "runs"
    for seed in range(2):
        leave_run(runs / f"attention-{seed}f", "attention", seed=seed, quality=0.6, profile="demo")
    for name in ("attention-bi-lstm", "bi-gru-concat", "bi-gru-concat-no-norm"):
        leave_run(runs / f"{name}-77", name, profile="demo")
    leave_run(tmp_path / "reports" / "yt8m-demo" / "runs" / "attention-3", "attention", data="yt8m")
    monkeypatch.chdir(tmp_path)
    return Path("reports")


def test_the_line_in_the_notebook_is_one_that_works(dmlkit, reports):
    notebook = json.loads((Path(__file__).parents[2] / "notebooks" / "07-results.ipynb").read_text())
    lines = [line.strip() for cell in notebook["cells"] for line in cell["source"]]
    (line,) = [line for line in lines if line.startswith("dmlkit compare ")]
    code, out, err = dmlkit(*shlex.split(line)[1:], "--resamples", "5")
    assert (code, err) == (0, "")
    assert "A  ATTENTION (attention), profile demo" in out and "seed 1 " in out
    assert "B  BI-GRU-CONCAT (bi-gru-concat), profile demo" in out


def test_real_runs_by_name(dmlkit, smoke_runs):
    lr, attention = smoke_runs["lr"].path, smoke_runs["attention"].path
    given = ["--resamples", "5", "--json"]
    code, by_name, _ = dmlkit("compare", "lr", "attention", "--runs", lr.parent, *given)
    assert code == 0 and json.loads(by_name) == json.loads(dmlkit("compare", lr, attention, *given)[1])


def test_names_and_paths_may_stand_beside_each_other(dmlkit, reports):
    runs = reports / "demo" / "runs"
    given = ["--runs", runs, "--resamples", "5", "--json"]
    code, out, _ = dmlkit("compare", runs / "attention-1f", "bi-gru-concat", *given)
    assert code == 0 and [run["seed"] for run in json.loads(out)["a"]["runs"]] == [1]
    paths = [runs / "attention-0f", runs / "attention-1f"]
    code, out, _ = dmlkit("compare", *paths, "bi-gru-concat", *given)
    assert code == 0 and json.loads(out)["b"]["name"] == "bi-gru-concat"
    # What is there on disk is a path, whatever its name.
    (runs / "attention-1f").rename("bi-gru-concat")
    code, out, _ = dmlkit("compare", "bi-gru-concat", "attention", *given)
    assert code == 0 and json.loads(out)["a"]["name"] == "attention"


def test_one_of_several_profiles_is_chosen(dmlkit, reports, leave_run):
    runs = reports / "demo" / "runs"
    leave_run(runs / "attention-9f", "attention", seed=9, profile="smoke", units=4)
    asked = ["compare", "attention", "bi-gru-concat", "--runs", runs, "--resamples", "5"]
    code, out, err = dmlkit(*asked)
    assert (code, out) == (2, "") and "several profiles: profile demo on made up (2 runs below" in err
    assert "profile smoke on made up (1 run below" in err and "--profile NAME or a narrower folder" in err
    code, out, _ = dmlkit(*asked, "--profile", "demo")
    assert code == 0 and "seed 9" not in out
    code, _, err = dmlkit(*asked, "--profile", "dmo")
    assert code == 2 and "Did you mean 'demo'" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["attention", "bi-gru-concat"], "several profiles and data sets: profile demo on made up"),
        (["attention", "bi-gru-concat", "--profile", "demo"], None),
        (
            ["atention", "bi-gru-concat"],
            "neither a path nor the name of an experiment. Did you mean 'attention'",
        ),
        (
            ["lstm", "bi-gru-concat"],
            "no finished run of lstm below reports. Name the folder of the runs with --runs",
        ),
        (["attention", "bi-gru-concat", "--runs", "nowhere"], "no finished run of attention below nowhere"),
        (["reports/nowhere", "attention", "--runs", "reports/demo"], "There is no run at reports/nowhere"),
        (["reports/demo", "reports/yt8m-demo", "--profile", "demo"], "only paths are named here"),
        (["attention", "--runs", "reports/demo"], "two sides"),
    ],
)
def test_what_a_name_cannot_mean_is_a_usage_error(dmlkit, reports, arguments, said):
    code, out, err = dmlkit("compare", *arguments, "--resamples", "2")
    if said is None:
        assert (code, err) == (0, "") and out
    else:
        assert (code, out) == (2, "") and said in err and len(err.splitlines()) == 1


def test_a_damaged_run_below_the_folder_is_said(dmlkit, reports):
    broken = reports / "demo" / "runs" / "attention-7f"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    code, out, err = dmlkit(
        "compare", "attention", "bi-gru-concat", "--runs", "reports/demo", "--resamples", "2"
    )
    assert code == 0 and "Left out: " in err and "attention-7f/run.json" in err and "2 seeds" in out
