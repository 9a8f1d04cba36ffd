"""What counts as a change, and what an earlier call left."""

import json
import shutil
from dataclasses import replace

import pytest

import dmlkit
from dmlkit.errors import UsageError
from dmlkit.report.cache import (
    State,
    _package_digest,
    changes,
    check_same_data,
    data_digest,
    locked_folder,
    read_stamp,
    run_digests,
    software,
    write_stamp,
)


def test_data_are_identified_by_their_shards_and_classes_wherever_they_lie(generated):
    dataset = dmlkit.open_dataset(generated)
    splits = {**dataset.splits, "train": dataset.splits["train"][1:]}
    named = replace(dataset, class_names=("other", *dataset.class_names[1:]))
    digests = {data_digest(each) for each in (dataset, named, replace(dataset, splits=splits))}
    assert len(digests) == 3 and data_digest(dmlkit.open_dataset(generated)) in digests


def test_every_file_of_the_package_counts(tmp_path, monkeypatch):
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "view.js").write_text("1")
    monkeypatch.setattr(dmlkit, "__file__", str(tmp_path / "__init__.py"))
    before = _package_digest.__wrapped__()
    (tmp_path / "view.js").write_text("2")
    assert _package_digest.__wrapped__() != before
    assert {"python", "keras", "tensorflow"} <= software().keys()


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


def test_a_folder_is_locked_cleaned_and_not_taken_from_other_data(generated, tmp_path):
    out, data = tmp_path / "new" / "out", tmp_path / "data"
    with locked_folder(out):
        (out / "notebooks" / ".123.01-a.ipynb").touch()
        (out / ".123.index.html").touch()
    with locked_folder(out):
        assert {path.name for path in out.iterdir() if path.is_file()} == {".lock", ".lock.holder"}
        assert not list((out / "notebooks").iterdir())
    shutil.copytree(generated, data)
    state = State(out)
    state.data = {"path": str(tmp_path / "gone"), "digest": data_digest(dmlkit.open_dataset(generated))}
    state.save()
    check_same_data(out, data)  # the same, moved
    next(data.rglob("*test*.tfrecord*")).unlink()
    with pytest.raises(UsageError, match=f"{tmp_path / 'gone'}.*{data}.*--out"):
        check_same_data(out, data)
