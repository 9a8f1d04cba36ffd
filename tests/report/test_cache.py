"""What counts as a change, and what an earlier call left."""

import json
import os
import shutil

import pytest

from dmlkit.errors import UsageError
from dmlkit.report.cache import (
    BLOCK,
    WHOLE,
    State,
    accessed_runs,
    changes,
    check_same_data,
    data_digest,
    locked_folder,
    read_stamp,
    run_digests,
    software,
    write_stamp,
)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "dataset.toml").write_text("a = 1")
    (folder / "small.tfrecord").write_bytes(b"0123")
    (folder / "large.tfrecord").write_bytes(bytes(WHOLE + 10 * BLOCK))
    return folder


def test_a_data_set_is_told_by_names_sizes_and_contents_and_by_no_clock(data, tmp_path):
    out = tmp_path / "data" / "report"
    before = data_digest(data, without=out)
    out.mkdir()
    (out / "index.html").write_text("of the report")
    (data / ".hidden").write_text("a lock")
    for path in data.iterdir():
        os.utime(path, (0, 0))
    shutil.copytree(data, tmp_path / "copy")
    (tmp_path / "link").symlink_to(data)
    for place in (data, tmp_path / "link"):
        assert data_digest(place, without=out) == before
    assert data_digest(tmp_path / "copy", without=tmp_path / "copy" / "report") == before

    def changed(path, content):
        former = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        assert data_digest(data, without=out) != before
        path.unlink() if former is None else path.write_bytes(former)
        assert data_digest(data, without=out) == before

    changed(data / "small.tfrecord", b"0124")
    changed(data / "new.tfrecord", b"")
    large = bytearray((data / "large.tfrecord").read_bytes())
    large[-1] = 1
    changed(data / "large.tfrecord", bytes(large))
    changed(data / "large.tfrecord", bytes(len(large) + 1))
    assert data_digest("gs://bucket/data", without=out) is None
    assert data_digest(tmp_path / "nowhere", without=out) is None


def test_runs_count_by_their_records_and_the_sizes_of_their_files(tmp_path):
    runs = tmp_path / "runs"
    (runs / "lr-1").mkdir(parents=True)
    (runs / "lr-1" / "run.json").write_text("{}")
    log = tmp_path / "log"
    log.write_text(f"{runs / 'lr-1'}\n{runs / 'lstm-2'}\n{runs / 'lr-1'}\n{tmp_path / 'elsewhere'}\n")
    seen = accessed_runs(log, runs)
    assert set(seen) == {"lr-1", "lstm-2", str(tmp_path / "elsewhere")}
    assert seen["lr-1"] and seen["lstm-2"] is None
    assert accessed_runs(tmp_path / "none", runs) == {}
    (runs / "lr-1" / "checkpoint.npz").write_bytes(b"1")
    assert run_digests(["lr-1"], runs)["lr-1"] == seen["lr-1"]
    (runs / "lr-1" / "model.keras").write_bytes(b"1")
    assert run_digests(["lr-1"], runs)["lr-1"] != seen["lr-1"]


@pytest.fixture
def stamped(tmp_path):
    """An executed notebook, and what it was made of."""
    notebook = tmp_path / "01-a.ipynb"
    notebook.write_text(json.dumps({"cells": [], "metadata": {}}))
    inputs = {"source": "a", "data": "b", "values": {"seed": 1, "shown": (1, 2)}, "software": software()}
    stamp = {"inputs": inputs, "runs": {"lr-1": None}, "executed": "2026-03-08T14:05:00", "seconds": 1.5}
    write_stamp(notebook, stamp)
    return notebook, inputs


def test_every_change_is_named(stamped, tmp_path):
    notebook, inputs = stamped
    assert changes(notebook, inputs, tmp_path) == []
    assert changes(tmp_path / "02-b.ipynb", inputs, tmp_path) == ["new"]
    packages = inputs["software"]
    for changed, message in (
        ({"source": "other"}, "the source changed"),
        ({"data": "other"}, "the data changed"),
        ({"values": {"seed": 2, "shown": (1, 2)}}, "the parameter seed changed (1 → 2)"),
        ({"values": {"seed": 1}}, "the parameter shown changed (1,2 → its default)"),
        ({"software": packages | {"keras": "9"}}, f"keras changed ({packages['keras']} → 9)"),
        ({"software": packages | {"files": "x"}}, "dmlkit's files changed"),
    ):
        assert changes(notebook, inputs | changed, tmp_path) == [message]
    (tmp_path / "lr-1").mkdir()
    (tmp_path / "lr-1" / "run.json").write_text("{}")
    assert changes(notebook, inputs, tmp_path) == ["the run lr-1 is there now"]


def test_an_altered_or_damaged_notebook_bears_no_stamp(stamped, tmp_path):
    notebook, inputs = stamped
    text = notebook.read_text()
    for altered in (text.replace('"cells": []', '"cells": [1]'), text[:-20], "[]", '{"metadata": {}}'):
        notebook.write_text(altered)
        assert read_stamp(notebook) is None
        assert changes(notebook, inputs, tmp_path) == ["it was not finished, or was altered since"]


def test_the_record_of_a_report_survives_nothing_but_its_own_form(tmp_path):
    state = State(tmp_path)
    state.write("a.html", "a", "of")
    state.call = {"seconds": 1}
    state.save()
    moment = (tmp_path / ".report.json").stat().st_mtime_ns
    again = State(tmp_path)
    assert again.up_to_date("a.html", "of") and again.call == {"seconds": 1}
    again.save()
    assert (tmp_path / ".report.json").stat().st_mtime_ns == moment
    assert not again.up_to_date("a.html", "other") and not again.up_to_date("b.html", "of")
    (tmp_path / "a.html").write_text("b")
    assert not again.up_to_date("a.html", "of")
    for content in ("", '{"data": 1}'):
        (tmp_path / ".report.json").write_text(content)
        assert State(tmp_path).files == {}


def test_a_folder_is_held_by_one_and_left_clean(tmp_path):
    out = tmp_path / "new" / "out"
    with locked_folder(out):
        (out / "notebooks" / ".123.01-a.ipynb").touch()
        (out / ".123.index.html").touch()
        with pytest.raises(UsageError, match=f"by process {os.getpid()} on .*--out"), locked_folder(out):
            pass
    with locked_folder(out):
        assert {path.name for path in out.iterdir() if path.is_file()} == {".lock", ".lock.holder"}
        assert not list((out / "notebooks").iterdir())
    (tmp_path / "file").write_text("something else")
    with pytest.raises(UsageError, match="cannot be written"), locked_folder(tmp_path / "file"):
        pass


def test_a_folder_that_nobody_named_is_not_taken_from_other_data(data, tmp_path):
    state = State(tmp_path)
    state.data = {"path": str(tmp_path / "gone"), "digest": data_digest(data, without=tmp_path)}
    state.save()
    check_same_data(tmp_path, data)  # the same, moved
    check_same_data(tmp_path, tmp_path / "nowhere")
    (data / "more").touch()
    with pytest.raises(UsageError, match=f"{tmp_path / 'gone'}.*{data}.*--out"):
        check_same_data(tmp_path, data)
