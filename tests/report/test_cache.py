"""What counts as a change, and what an earlier call left."""

import json
import os
import shutil

import pytest

import dmlkit
from dmlkit.errors import UsageError
from dmlkit.report.cache import (
    BLOCK,
    WHOLE,
    State,
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
    (folder / "small.tfrecord").write_bytes(b"0123")
    (folder / "large.tfrecord").write_bytes(bytes(WHOLE + 10 * BLOCK))
    return folder


def test_data_are_identified_by_names_sizes_and_contents_and_by_no_clock(data, tmp_path):
    out = data / "report"
    before = data_digest(data, without=out)
    out.mkdir()
    (out / "index.html").write_text("of the report")
    (data / ".hidden").write_text("a lock")
    for path in data.iterdir():
        os.utime(path, (0, 0))
    shutil.copytree(data, tmp_path / "copy")
    (tmp_path / "link").symlink_to(data)
    assert data_digest(data, without=out) == data_digest(tmp_path / "link", without=out) == before
    assert data_digest(tmp_path / "copy", without=tmp_path / "copy" / "report") == before
    large = bytes(WHOLE + 10 * BLOCK)
    changed = {"small": b"0124", "new": b"", "large": large[:-1] + b"1"}
    for name, content in changed.items():
        shutil.copytree(data, tmp_path / name)
        (tmp_path / name / f"{name}.tfrecord").write_bytes(content)
        assert data_digest(tmp_path / name, without=tmp_path / name / "report") != before
    assert data_digest("gs://bucket/data", without=out) is None


def test_every_file_of_the_package_counts(tmp_path, monkeypatch):
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "view.js").write_text("1")
    monkeypatch.setattr(dmlkit, "__file__", str(tmp_path / "__init__.py"))
    before = software.__wrapped__()
    (tmp_path / "view.js").write_text("2")
    assert software.__wrapped__() != before
    assert {"python", "keras", "tensorflow"} <= before.keys()


def test_every_change_is_named_and_an_altered_notebook_is_made_again(tmp_path):
    notebook = tmp_path / "01-a.ipynb"
    notebook.write_text(json.dumps({"cells": [], "metadata": {}}))
    packages = software()
    inputs = {"source": "a", "data": "b", "values": {"shown": (1, 2)}, "software": packages}
    write_stamp(notebook, {"inputs": inputs, "runs": {"lr-1": None}, "executed": "", "seconds": 1.5})
    assert changes(notebook, inputs, tmp_path) == []
    for changed, message in (
        ({"source": "other"}, "the source changed"),
        ({"data": "other"}, "the data changed"),
        ({"values": {}}, "the parameter shown changed (1,2 → its default)"),
        ({"software": packages | {"keras": "9"}}, f"keras changed ({packages['keras']} → 9)"),
    ):
        assert changes(notebook, inputs | changed, tmp_path) == [message]
    (tmp_path / "lr-1").mkdir()
    (tmp_path / "lr-1" / "run.json").write_text("{}")
    assert changes(notebook, inputs, tmp_path) == ["the run lr-1 is there now"]
    write_stamp(notebook, {"inputs": inputs, "runs": run_digests(["lr-1"], tmp_path), "executed": ""})
    (tmp_path / "lr-1" / "model.keras").write_bytes(b"1")
    assert changes(notebook, inputs, tmp_path) == ["the run lr-1 changed"]
    text = notebook.read_text()
    for altered in (text.replace('"cells": []', '"cells": [1]'), text[:-20]):
        notebook.write_text(altered)
        assert read_stamp(notebook) is None
        assert changes(notebook, inputs, tmp_path) == ["it was not finished, or was altered since"]


def test_files_of_a_report_are_written_whole_and_remembered(tmp_path):
    state = State(tmp_path)
    state.write("a.html", "a", "of")
    state.call = {"seconds": 1}
    state.save()
    again = State(tmp_path)
    assert again.up_to_date("a.html", "of") and again.call == {"seconds": 1}
    assert not again.up_to_date("a.html", "other") and not again.up_to_date("b.html", "of")
    with pytest.raises(UnicodeEncodeError):
        state.write("a.html", "half of it, and then \ud800", "of")
    assert (tmp_path / "a.html").read_text() == "a"
    (tmp_path / "a.html").write_text("b")
    assert not again.up_to_date("a.html", "of")
    for content in ("", '{"data": 1}'):
        (tmp_path / ".report.json").write_text(content)
        assert State(tmp_path).files == {}


def test_a_folder_is_locked_cleaned_and_not_taken_from_other_data(data, tmp_path):
    out = tmp_path / "new" / "out"
    with locked_folder(out):
        (out / "notebooks" / ".123.01-a.ipynb").touch()
        (out / ".123.index.html").touch()
    with locked_folder(out):
        assert {path.name for path in out.iterdir() if path.is_file()} == {".lock", ".lock.holder"}
        assert not list((out / "notebooks").iterdir())
    state = State(out)
    state.data = {"path": str(tmp_path / "gone"), "digest": data_digest(data, without=out)}
    state.save()
    check_same_data(out, data)  # the same, moved
    (data / "more").touch()
    with pytest.raises(UsageError, match=f"{tmp_path / 'gone'}.*{data}.*--out"):
        check_same_data(out, data)
