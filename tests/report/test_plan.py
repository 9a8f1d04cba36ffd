"""Which notebooks run, in which order, training what; and the dry run, which writes nothing."""

import json

import pytest

from dmlkit.errors import UsageError
from dmlkit.experiments import find
from dmlkit.report import describe_plan
from dmlkit.report.plan import (
    Context,
    check_arguments,
    execution_order,
    experiments_of,
    find_notebooks,
    read_notebook,
)
from dmlkit.training import Study

from .conftest import leave_lr  # isort: skip


def test_a_notebook_describes_itself(write_notebook):
    path = write_notebook("05-attention", "print(1)", after=["03-x"], needs=["frames"])
    found = read_notebook(path)
    assert (found.title, found.question) == ("The 05-attention chapter", "Does it run?")
    assert (found.cells, found.about.after, found.about.needs) == (2, ("03-x",), ("frames",))
    content = json.loads(path.read_text())
    content["cells"][-1] |= {"execution_count": 7, "outputs": []}
    path.write_text(json.dumps(content, indent=3))
    assert read_notebook(path).digest == found.digest
    content["cells"][-1]["source"] = "print(2)"
    path.write_text(json.dumps(content))
    assert read_notebook(path).digest != found.digest


def test_notebooks_go_by_name_number_or_both(write_notebook, tmp_path):
    for name in ("02-b", "01-a", "explore"):
        write_notebook(name, "1")
    folder = tmp_path / "notebooks"
    for names in (None, ["02", "a", "02-b.ipynb"]):
        assert [notebook.name for notebook in find_notebooks(folder, names)] == ["01-a", "02-b"]
    with pytest.raises(UsageError, match="Did you mean '02-b'"):
        find_notebooks(folder, ["02-c"])
    with pytest.raises(UsageError, match="no notebooks"):
        find_notebooks(tmp_path)


def test_what_is_no_notebook_or_has_wrong_metadata_is_refused(write_notebook):
    for about, message in (
        ({"needs": ["wings"]}, "needs"),
        ({"trains": [{"chapter": "a", "beyond": "b"}]}, "has 2 kinds, not one"),
        ({"trains": [{"chaptr": "a"}]}, "Did you mean 'chapter'"),
        ({"trains": [{"chapter": "a", "if": "sed"}]}, "true-or-false"),
    ):
        with pytest.raises(UsageError, match=message):
            read_notebook(path := write_notebook("01-a", **about))
    for content in ("", "[]", '{"metadata": {}, "cells": [{}]}'):
        path.write_text(content)
        with pytest.raises(UsageError, match="cannot be read"):
            read_notebook(path)


def test_notebooks_wait_for_others_and_not_in_a_circle(write_notebook, tmp_path):
    write_notebook("01-a", after=["02-b"])
    for after, message in ((["01-a"], "wait for each other"), (["03-c"], "no such notebook")):
        write_notebook("02-b", after=after)
        with pytest.raises(UsageError, match=message):
            execution_order(find_notebooks(tmp_path / "notebooks"))


def test_a_time_limit_has_a_unit(write_notebook, tmp_path):
    write_notebook("01-a")
    assert check_arguments(tmp_path / "notebooks", None, {}, limit="1.5h")[2] == 5400
    with pytest.raises(UsageError, match="90s, 45m, 2h"):
        check_arguments(tmp_path / "notebooks", None, {}, limit="0s")


def test_what_a_notebook_trains_follows_from_its_metadata(write_notebook, generated, tmp_path):
    def trained(entry, before=(), **values):
        path = write_notebook("01-a", parameters="deep: bool = True  # d\n", trains=[entry])
        context = Context(generated, out=tmp_path / "out", parameters=values)
        return list(experiments_of(context.plan(read_notebook(path)), context, before))

    assert trained({"chapter": "baselines"}) == ["lr", "lstm"]
    assert trained({"chapter": "baselines", "if": "deep"}, deep=False) == []
    assert trained({"ablations": "baselines"}) == ["lr-no-norm"]
    assert trained({"experiments": ["ensemble-lr-lstm"]}) == ["lr", "lstm", "ensemble-lr-lstm"]
    assert "bi-gru-projection-glorot" in trained({"fusion_variants": True})
    assert trained({"ensemble_of_all": True}, before=["lr", "lstm"]) == ["ensemble-of-all"]
    assert "attention" in trained({"ladder": True}) and trained({"ladder": True}, before=["lr"]) == []
    assert {"netvlad", "netvlad-gated"} < set(trained({"beyond": "poolings"}))
    assert trained({"best_ensemble": True}) == ["ensemble-of-best"]
    assert trained({"checkpoints": True}) and trained({"baselines": True})


def test_a_plan_has_values_with_paths_that_may_move_together(write_notebook, generated, tmp_path):
    notebook = read_notebook(write_notebook("01-a", parameters="videos: int = 3  # v\n"))
    context = Context(generated, out=tmp_path / "out", seed=3, parameters={"videos": "7", "other": 1})
    values = context.plan(notebook).values
    assert values["videos"] == 7 and values["seed"] == 3 and "other" not in values
    assert values["runs"] == "../runs"
    assert (tmp_path / "out" / "notebooks" / values["data"]).resolve() == generated.resolve()
    fuses = read_notebook(write_notebook("02-b", needs=["two modalities"]))
    assert context.plan(fuses).reason is None
    context.modalities = ("rgb",)
    assert context.plan(fuses).reason == "it fuses modalities, and this data set has one only (rgb)"
    with pytest.raises(UsageError, match="4294967295"):
        Context(generated, out=tmp_path / "out", seed=2**32)


def test_a_dry_run_names_reasons_and_experiments_and_writes_nothing(
    write_notebook, build, generated, tmp_path, leave_run
):
    asked = {"data": generated, "profile": "smoke", "out": tmp_path / "out", "folder": tmp_path / "notebooks"}
    write_notebook("01-a", "print(videos)", parameters="videos: int = 3  # v\n")
    write_notebook("02-b", "print(2)", trains=[{"experiments": ["ensemble-lr-lstm"]}])
    write_notebook("03-c", "print(3)", trains=[{"chapter": "baselines"}], after=["02-b"])
    text = describe_plan(**asked)
    assert not (tmp_path / "out").exists()
    assert "02-b  would be executed: new" in text and "trains: lr, lstm, ensemble-lr-lstm" in text
    assert "trained before it: lr (by 02-b), lstm (by 02-b)" in text
    assert "Notebooks: 3 would be executed. Experiments: 3 would be trained" in text
    build()
    study = Study(generated, profile="smoke", runs=tmp_path / "out" / "runs")
    leave_lr(study, leave_run)
    damaged = study.runs / f"lstm-{study._fingerprint(find('lstm'), 0)[:8]}"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    text = describe_plan(**asked, parameters={"videos": "5"}, notebooks=["01", "02"])
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert "01-a  would be executed: the parameter videos changed" in text and "→ 5" in text
    assert "02-b  unchanged" in text and "already trained: lr" in text and "A run cannot be read" in text
