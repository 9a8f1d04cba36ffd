"""`dmlkit ensemble`: the way it is told, and what comes of its folder."""

import json

import pytest

from dmlkit.metrics import COMBINERS


def test_the_way_is_named_kept_and_used(dmlkit, smoke_runs, generated, tmp_path):
    runs = [run.path for run in smoke_runs.values()]
    code, out, err = dmlkit("ensemble", *runs, "--by", "majority", "--out", tmp_path / "votes")
    assert code == 0 and "0.5000  lr" in out, err
    record = json.loads((tmp_path / "votes" / "run.json").read_text())
    assert record["by"] == "majority"
    code, out, err = dmlkit("evaluate", tmp_path / "votes", "--data", generated)
    assert code == 0, err
    assert float(out.split("GAP@20")[1].split()[0]) == pytest.approx(record["metrics"]["gap"], abs=0.002)
    code, out, err = dmlkit(
        "predict", tmp_path / "votes", "--data", generated, "--out", tmp_path / "votes.csv"
    )
    assert code == 0, err
    # A class that both have among their 20 highest scores above 2/3.
    first = (tmp_path / "votes.csv").read_text().splitlines()[1].split(",")[1].split()
    assert float(first[1]) > 2 / 3


def test_several_runs_by_a_way_without_an_ensemble_on_disk(dmlkit, smoke_runs, generated, tmp_path):
    runs = [run.path for run in smoke_runs.values()]
    dmlkit("ensemble", *runs, "--by", "stacking", "--out", tmp_path / "stack")
    told = dmlkit("evaluate", tmp_path / "stack", "--data", generated)
    assert told[0] == 0 and dmlkit("evaluate", *runs, "--by", "stacking", "--data", generated) == told
    assert dmlkit("evaluate", *runs, "--data", generated)[1] != told[1]
    files = []
    for name, chosen in (("one", [tmp_path / "stack"]), ("several", [*runs, "--by", "stacking"])):
        files.append(tmp_path / f"{name}.csv")
        code, _, err = dmlkit("predict", *chosen, "--data", generated, "--out", files[-1])
        assert code == 0, err
    assert files[0].read_bytes() == files[1].read_bytes()
    code, _, err = dmlkit("predict", *runs, "--by", "vote", "--data", generated, "--out", tmp_path / "no.csv")
    assert code == 2 and "stacking" in err and not (tmp_path / "no.csv").exists()


def test_a_way_that_is_not_there(dmlkit, smoke_runs, tmp_path):
    runs = [run.path for run in smoke_runs.values()]
    code, _, err = dmlkit("ensemble", *runs, "--by", "vote", "--out", tmp_path / "both")
    assert code == 2 and all(name in err for name in COMBINERS) and not (tmp_path / "both").exists()


def test_help_names_every_way(dmlkit):
    code, out, _ = dmlkit("ensemble", "--help")
    assert code == 0 and all(name in out for name in COMBINERS)
