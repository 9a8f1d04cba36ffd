"""The folders that trainings leave: read, listed, and told from what is damaged or something else."""

import json
import os
import sys
import time
import warnings
from pathlib import Path

import pytest

import dmlkit
from dmlkit.errors import DataError
from dmlkit.run_record import KEYS, value_at, wrong_keys
from dmlkit.runs import ACCESS_LOG, WARNINGS, find_runs, list_runs, load_run, read_record

RECORD = {
    "kind": "training",
    "fingerprint": "0123456789abcdef",
    "experiment": {"name": "lr", "title": "Logistic regression"},
    "profile": {"name": "smoke"},
    "seed": 0,
    "data": {"name": "made up", "fingerprint": "f" * 64, "generated": True},
    "parameters": 1234,
    "epochs": 3,
    "seconds": {"training": 1.5},
    "started": "2026-01-01T00:00:00+00:00",
    "tuning": {"gap": 0.5},
    "metrics": {
        "gap": 0.5, "gap_interval": [0.4, 0.6], "map": 0.3, "hit_at_one": 0.7, "perr": 0.6, "videos": 100
    },
}  # fmt: skip


def write(folder, record=RECORD, **changed):
    folder.mkdir(parents=True, exist_ok=True)
    text = record if isinstance(record, str | bytes) else json.dumps(record | changed)
    (folder / "run.json").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def with_gap(gap):
    return RECORD | {"metrics": RECORD["metrics"] | {"gap": gap}}


DAMAGED = {
    "truncated": json.dumps(RECORD)[:200],
    "empty": "",
    "binary": b"\x93NUMPY\x00\xff\xfe",
    "a list": "[1, 2]",
    "a number": "3",
    "null": "null",
    "brackets": "[" * 100_000,
    "another's": '{"name": "my run", "config": {}}',
    "a number as name": json.dumps(RECORD | {"experiment": {"name": 5, "title": "x"}}),
    "a list as data": json.dumps(RECORD | {"data": []}),
    "measures as text": json.dumps(RECORD | {"metrics": "0.5"}),
    "no number": json.dumps(with_gap(float("nan"))),
    "half an interval": json.dumps(RECORD | {"metrics": RECORD["metrics"] | {"gap_interval": [0.4]}}),
    "true as seed": json.dumps(RECORD | {"seed": True}),
}


def test_runs_at_any_depth_the_highest_first(tmp_path):
    write(tmp_path / "a", with_gap(0.2))
    write(tmp_path / "deep" / "er" / "b", with_gap(0.9))
    write(tmp_path, with_gap(0.5))
    table = dmlkit.load_runs(tmp_path)
    assert table["gap"].tolist() == [0.9, 0.5, 0.2]
    assert table["path"].tolist() == [str(tmp_path / "deep/er/b"), str(tmp_path), str(tmp_path / "a")]
    assert table.loc[0, ["name", "profile", "gap_high", "seconds"]].tolist() == ["lr", "smoke", 0.6, 1.5]


def test_what_is_hidden_or_not_finished_is_passed_by(tmp_path):
    for name in (".hidden/a", "b.partial", ".ipynb_checkpoints", "deep/.trash/c"):
        write(tmp_path / name)
    assert write(tmp_path / "whole") == find_runs(tmp_path).runs[0].path
    assert len(list_runs(tmp_path)) == 1
    # Who names a hidden folder means it.
    assert len(list_runs(tmp_path / ".hidden")) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="names of folders are bytes on Linux")
def test_a_folder_of_whatever_name_is_listed(tmp_path, leave_run):
    run = leave_run(Path(os.fsdecode(os.fsencode(tmp_path) + b"/na\xefve")))
    assert dmlkit.load_runs(tmp_path)["path"].tolist() == [str(run.path)]


def test_links_lead_nowhere_twice(tmp_path):
    write(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "a" / "up").symlink_to(tmp_path / "runs", target_is_directory=True)
    assert len(list_runs(tmp_path)) == 1


def test_no_runs_are_an_empty_table_with_its_columns(tmp_path):
    assert dmlkit.load_runs(tmp_path).empty and "gap" in dmlkit.load_runs(tmp_path)
    with pytest.warns(UserWarning, match="nowhere"):
        assert dmlkit.load_runs(tmp_path / "nowhere").empty


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_record_is_one_warning_that_names_the_file(tmp_path, what):
    write(tmp_path / "whole")
    folder = write(tmp_path / "damaged", DAMAGED[what])
    with pytest.warns(UserWarning) as told:
        table = dmlkit.load_runs(tmp_path)
    assert table["path"].tolist() == [str(tmp_path / "whole")]
    (warning,) = told
    assert str(folder / "run.json") in str(warning.message) and "\n" not in str(warning.message)
    assert len(str(warning.message)) <= 500
    assert warning.filename == __file__
    with pytest.raises(DataError, match=r"damaged/run\.json"):
        load_run(folder)


def test_many_damaged_runs_stay_readable(tmp_path):
    write(tmp_path / "whole")
    for number in range(WARNINGS + 37):
        write(tmp_path / f"damaged-{number:02}", "{")
    with pytest.warns(UserWarning) as told:
        assert len(list_runs(tmp_path)) == 1
    assert len(told) == WARNINGS + 1
    assert str(told[-1].message) == "37 more cannot be read."
    assert len(find_runs(tmp_path).damaged) == WARNINGS + 37


def test_every_key_is_missed_where_it_is_missing():
    assert wrong_keys(RECORD) == ""
    for where in KEYS:
        record = json.loads(json.dumps(RECORD))
        *above, last = where.split(".")
        parent = value_at(record, ".".join(above)) if above else record
        del parent[int(last) if isinstance(parent, list) else last]
        assert wrong_keys(record), where
    assert "and 18 more keys" in wrong_keys({})
    assert wrong_keys(RECORD | {"epochs": None}) == ""


def test_who_looks_is_noted(tmp_path, monkeypatch):
    monkeypatch.setenv(ACCESS_LOG, str(tmp_path / "looked"))
    write(tmp_path / "runs" / "a")
    assert read_record(tmp_path / "runs" / "b") is None
    dmlkit.load_runs(tmp_path / "runs")
    noted = (tmp_path / "looked").read_text().splitlines()
    assert noted == [str(tmp_path / "runs" / name) for name in ("b", "a")]


def test_a_thousand_runs_in_a_few_seconds(tmp_path):
    for number in range(1000):
        write(tmp_path / f"{number % 7}" / f"lr-{number:04}", RECORD | {"notes": ["of a real size"] * 150})
    since = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(dmlkit.load_runs(tmp_path)) == 1000
    # Measured: 0.1 s; what would fail here reads scores or models along with the records.
    assert time.monotonic() - since < 5
