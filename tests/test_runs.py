"""The folders that trainings leave: read, listed, and distinguished from damaged ones."""

import json

import pytest

import dmlkit
from dmlkit.errors import DataError
from dmlkit.experiments import LADDER
from dmlkit.runs import experiment_row, find_runs, list_runs, load_run


@pytest.fixture(scope="module")
def record(leave_run, tmp_path_factory) -> dict:
    return leave_run(tmp_path_factory.mktemp("run") / "lr").record


def write(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(content) if isinstance(content, dict) else content
    (folder / "run.json").write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def test_a_damaged_record_is_one_warning_that_names_file_and_key(tmp_path, record):
    write(tmp_path / "whole", record)
    no_number = record["metrics"] | {"gap": float("nan")}
    unnamed = {key: value for key, value in record["data"].items() if key != "class_names"}
    for content, message in (
        (json.dumps(record)[:200], ""),
        (b"\x93NUMPY\x00\xff\xfe", ""),
        ("[" * 100_000, "recursion"),
        ({"name": "my run", "config": {}}, "and 19 more"),
        (record | {"experiment": {"name": 5, "title": "x"}}, "experiment.name"),
        (record | {"metrics": no_number}, "metrics.gap: Input should be a finite number"),
        (record | {"data": unnamed}, "data.class_names: Field required"),
        (record | {"data": record["data"] | {"class_names": ["a"]}}, "a name for each class"),
        (record | {"seed": True}, "seed: Input should be a valid integer"),
        (record | {"members": [{"name": "lr", "path": "../lr"}]}, "members.0.fingerprint: Field required"),
    ):
        folder = write(tmp_path / "damaged", content)
        with pytest.warns(UserWarning) as warned:
            table = dmlkit.load_runs(tmp_path)
        assert table["path"].tolist() == [str(tmp_path / "whole")]
        (warning,) = (str(each.message) for each in warned)
        assert str(folder / "run.json") in warning and message in warning and "\n" not in warning
        assert len(warning) <= 500
        with pytest.raises(DataError, match=r"damaged/run\.json"):
            load_run(folder)


def test_runs_at_any_depth_the_highest_first(tmp_path, record):
    for folder, gap in (("a", 0.2), ("deep/er/b", 0.9), (".", 0.5)):
        write(tmp_path / folder, record | {"metrics": record["metrics"] | {"gap": gap}})
    table = dmlkit.load_runs(tmp_path)
    assert table["gap"].tolist() == [0.9, 0.5, 0.2]
    assert table["path"].tolist() == [str(tmp_path / "deep/er/b"), str(tmp_path), str(tmp_path / "a")]


def test_hidden_and_unfinished_folders_and_links_are_skipped(tmp_path, record):
    for name in (".hidden/a", "b.partial", ".ipynb_checkpoints", "deep/.trash/c"):
        write(tmp_path / name, record)
    whole = write(tmp_path / "whole", record)
    (whole / "up").symlink_to(tmp_path, target_is_directory=True)
    assert [run.path for run in find_runs(tmp_path)[0]] == [whole]
    assert len(list_runs(tmp_path / ".hidden")) == 1  # unless it is named itself
    # The checkpoints of a run are listed only where their own folder is named.
    write(whole / "checkpoints" / "2", record)
    write(tmp_path / "checkpoints" / "mine", record)
    assert len(list_runs(tmp_path)) == 2 and len(list_runs(whole / "checkpoints")) == 1
    with pytest.warns(UserWarning, match="nowhere"):
        assert dmlkit.load_runs(tmp_path / "nowhere").empty


def test_an_experiment_as_a_row(tmp_path, record):
    folder = write(tmp_path / "lr", record)
    (folder / "history.csv").write_text("epoch,seconds\n1,9.5\n2,2.0\n3,7.0\n4,2.5\n")
    row = experiment_row(LADDER["lr"], load_run(folder), None)
    assert (row["status"], row["gap"], row["paper_gap"]) == ("trained", record["metrics"]["gap"], 0.70727)
    assert [row["gap_low"], row["gap_high"]] == record["metrics"]["gap_interval"]
    assert row["seconds_an_epoch"] == 2.5  # without the first, which compiles
    (folder / "history.csv").write_text("epoch,seconds\n1,9.5\n2,2.0\n3,7.0\n")
    assert experiment_row(LADDER["lr"], load_run(folder), None)["seconds_an_epoch"] is None  # too few
    missing = experiment_row(LADDER["lstm"], None, None)
    assert (missing["status"], missing["gap"]) == ("not trained", None)
