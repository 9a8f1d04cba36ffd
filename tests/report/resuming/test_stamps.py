import dataclasses
import os
import shutil

import pytest

import dmlkit.runs
from dmlkit.report.chapters import Plan
from dmlkit.report.planning.notebooks import read_notebook
from dmlkit.report.resuming import stamps
from dmlkit.report.resuming.digests import data_mark, software
from dmlkit.report.resuming.stamps import (
    looked_at,
    marks_of,
    read_stamp,
    stamp_of,
    standing_stamp,
    write_stamp,
)


@pytest.fixture
def data(generated, tmp_path):
    shutil.copytree(generated, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def plan(write_notebook):
    return Plan(read_notebook(write_notebook("01-first", "print(1)")), values={"seed": 3})


def mark(folder, tmp_path):
    return data_mark(folder, without=tmp_path / "out")


def test_a_copy_of_data_has_the_same_mark_whatever_the_clock_said(generated, data, tmp_path):
    for place, path in enumerate(data.rglob("*")):
        os.utime(path, (0, 0) if place % 2 else (4e9, 4e9))
    assert mark(data, tmp_path) == mark(generated, tmp_path)


def shards(data):
    return sorted(path for path in data.rglob("*.tfrecord"))


def alter(path, where):
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1
    path.write_bytes(content)


CHANGES = {
    "a shard is missing": lambda data: shards(data)[0].unlink(),
    "a shard has another name": lambda data: shards(data)[0].rename(data / "other.tfrecord"),
    "a shard ends differently": lambda data: shards(data)[0].write_bytes(
        shards(data)[0].read_bytes()[:-1] + b"x"
    ),
    "a byte in the middle of a shard is another": lambda data: alter(shards(data)[0], 1 / 2),
    "a shard is longer": lambda data: shards(data)[0].write_bytes(shards(data)[0].read_bytes() * 2),
    "a declaration says more": lambda data: (data / "dataset.toml").write_text(
        "# more\n" + (data / "dataset.toml").read_text()
    ),
    "a file is new": lambda data: (data / "train99.tfrecord").write_bytes(b""),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_data_that_change_have_another_mark(data, tmp_path, change):
    before = mark(data, tmp_path)
    change(data)
    assert mark(data, tmp_path) != before


def test_large_files_are_looked_at_from_end_to_end(tmp_path):
    large = tmp_path / "data" / "train00.tfrecord"
    large.parent.mkdir()
    large.write_bytes(bytes(3 << 20))
    marks = {mark(large.parent, tmp_path)}
    for where in (0, 1 / 15, 8 / 15, 0.9999999):
        alter(large, where)
        marks.add(mark(large.parent, tmp_path))
    assert len(marks) == 5


def test_what_lies_behind_a_link_is_data_too(data, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shard = elsewhere / "train99.tfrecord"
    shard.write_bytes(b"before")
    (data / "more").symlink_to(elsewhere)
    (data / "round").symlink_to(data)
    (elsewhere / "up").symlink_to(tmp_path)
    before = mark(data, tmp_path)
    (tmp_path / "beside").write_text("no data")
    assert mark(data, tmp_path) == before
    shard.write_bytes(b"after!")
    assert mark(data, tmp_path) != before


def test_a_report_among_its_data_does_not_change_them(data, tmp_path):
    before = data_mark(data, without=data / "report")
    (data / "report" / "runs").mkdir(parents=True)
    (data / "report" / "results.json").write_text("{}")
    (data / ".DS_Store").write_text("what a desktop leaves")
    assert data_mark(data, without=data / "report") == before


def test_remote_and_missing_data_have_no_mark(tmp_path):
    assert mark("gs://bucket/data", tmp_path) is None
    assert mark(tmp_path / "nowhere", tmp_path) is None


def test_a_stamp_is_of_source_values_data_and_software(plan, write_notebook):
    stamp = stamp_of(plan, data="a")
    assert stamp == stamp_of(plan, data="a")
    edited = Plan(read_notebook(write_notebook("01-first", "print(2)")), values=plan.values)
    others = [
        stamp_of(edited, data="a"),
        stamp_of(plan, data="b"),
        stamp_of(dataclasses.replace(plan, values={"seed": 4}), data="a"),
    ]
    assert len({stamp, *others}) == 4
    assert {"python", "keras", "tensorflow", "dmlkit", "package"} == set(software())


def stamped(plan, tmp_path, runs):
    executed = tmp_path / "executed.ipynb"
    # As a notebook that prints half a surrogate pair is written.
    executed.write_text(plan.notebook.path.read_text().replace("print(1)", "print('\\\\ud800 ü')"))
    told = {"stamp": stamp_of(plan, data="a"), "runs": runs, "seconds": 1.5, "executed": "2026-03-08"}
    write_stamp(executed, told)
    return executed, told


def test_an_executed_notebook_tells_its_stamp_until_it_is_altered(plan, tmp_path):
    executed, told = stamped(plan, tmp_path, {})
    read = read_stamp(executed)
    assert {name: read[name] for name in told} == told
    write_stamp(executed, told)  # again: nothing piles up
    assert read_stamp(executed) == read
    executed.write_text(executed.read_text().replace("Does it", "Did it"))
    assert read_stamp(executed) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"metadata": []}', '{"metadata": {"dmlkit_report": 3}}']
)
def test_what_is_no_stamped_notebook_has_no_stamp(tmp_path, text):
    (tmp_path / "x.ipynb").write_text(text)
    assert read_stamp(tmp_path / "x.ipynb") is None
    assert read_stamp(tmp_path / "missing.ipynb") is None


def test_a_notebook_stands_until_a_run_it_looked_at_changes(plan, tmp_path):
    runs, noted = tmp_path / "runs", tmp_path / "noted"
    elsewhere = tmp_path / "elsewhere" / "gru"
    for folder in (runs / "lr-1", elsewhere):
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    noted.write_text(f"{runs / 'lr-1'}\n{runs / 'lstm-2'}\n{elsewhere}\n{runs / 'lr-1'}\n")
    seen = looked_at(noted, runs)
    assert seen == {"lr-1": seen[str(elsewhere)], "lstm-2": None, str(elsewhere): seen["lr-1"]} != {}
    executed, _ = stamped(plan, tmp_path, seen)

    def stands():
        return standing_stamp(plan, executed, data="a", runs=runs) is not None

    assert stands()
    (elsewhere / "run.json").write_text("{ }")
    assert not stands()
    (elsewhere / "run.json").write_text("{}")
    assert stands()
    (runs / "lstm-2").mkdir()
    (runs / "lstm-2" / "run.json").write_text("{}")
    assert not stands()
    assert standing_stamp(plan, executed, data="b", runs=runs) is None


def test_a_run_that_lost_its_scores_is_another_run(tmp_path):
    run = tmp_path / "lr-1"
    run.mkdir()
    for name in ("run.json", "history.csv", "model.keras", "predictions.npz", "tuning.npz"):
        (run / name).write_text("whole")
    whole = marks_of(["lr-1"], tmp_path)
    for name in ("checkpoint.npz", ".lock", ".4711.model.keras"):
        (run / name).write_text("comes and goes")
    (tmp_path / ".lr-1.lock").touch()
    assert marks_of(["lr-1"], tmp_path) == whole
    (run / "predictions.npz").write_text("wh")
    cut = marks_of(["lr-1"], tmp_path)
    (run / "predictions.npz").unlink()
    gone = marks_of(["lr-1"], tmp_path)
    assert len({marks["lr-1"] for marks in (whole, cut, gone)}) == 3


def test_a_process_that_looked_at_no_run_noted_nothing(tmp_path):
    assert looked_at(tmp_path / "missing", tmp_path) == {}


def test_the_name_of_a_record_is_that_of_the_runs():
    assert stamps.RECORD == dmlkit.runs.RECORD
