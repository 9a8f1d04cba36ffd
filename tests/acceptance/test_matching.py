"""Runs on other data than they were trained on: codings converted, classes matched by name, all else refused."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.data import dequantize, import_features, open_dataset
from dmlkit.profiles import as_profile

CLASSES = ("car", "cat", "dog")
VIDEOS, FRAMES, SIZE = 200, 6, 8
SPLITS = np.repeat(["train", "tuning", "validate"], [80, 20, 100])
IDS = [f"v{number:03}" for number in range(VIDEOS)]
SETTINGS = {"profile": replace(as_profile("smoke"), epochs=1), "progress": "silent"}


@pytest.fixture(scope="module")
def clips():
    """The bytes (videos, frames, size) of clips, and which of `CLASSES` each shows."""
    rng = np.random.default_rng(3)
    labels = rng.random((VIDEOS, 3)) < 0.45
    signal = (labels @ rng.normal(size=(3, SIZE)))[:, None] * 25
    return np.clip(128 + signal + rng.normal(size=(VIDEOS, FRAMES, SIZE)) * 20, 0, 255).astype(
        np.uint8
    ), labels


@pytest.fixture(scope="module")
def make(clips, tmp_path_factory):
    """A function that imports the clips, once under each name: in a coding, with classes of these names in order."""
    root, (stored, labels) = tmp_path_factory.mktemp("clips"), clips

    def make(name, classes=CLASSES, *, coding="byte", renamed=None, values=stored):
        if (folder := root / name).exists():
            return folder
        shown = [(renamed or {}).get(each, each) for each in CLASSES]
        cells = [
            ";".join(n for n, true in zip(shown, row, strict=True) if true and n in classes) for row in labels
        ]
        with (root / "labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("id", "labels", "split"), *zip(IDS, cells, SPLITS, strict=True)])
        (root / "classes.txt").write_text("\n".join(classes))
        np.savez(root / "clips.npz", ids=IDS, rgb=values, num_frames=np.full(VIDEOS, FRAMES))
        settings = {"labels": root / "labels.csv", "classes": root / "classes.txt", "coding": coding}
        import_features(root / "clips.npz", folder, records_per_shard=40, **settings)
        return folder

    return make


@pytest.fixture(scope="module")
def runs(make, tmp_path_factory):
    """Coding → a run with attention, trained on the clips in it."""
    root = tmp_path_factory.mktemp("runs")
    return {
        coding: dmlkit.train("attention", data=make(coding, coding=coding), out=root / coding, **SETTINGS)
        for coding in ("byte", "float")
    }


@pytest.fixture
def with_names(runs, tmp_path):
    """A function that leaves a copy of the run on bytes, trained on the same records under other class names."""

    def leave(*names):
        folder = shutil.copytree(runs["byte"].path, tmp_path / "-".join(names))
        record = runs["byte"].record
        changed = {"data": record["data"] | {"class_names": list(names)}, "seed": 1}
        (folder / "run.json").write_text(json.dumps(record | changed))
        return folder

    return leave


@pytest.fixture
def unlabelled(make, tmp_path):
    """The shards of the validation split without labels, dataset.toml and vocabulary."""
    source = open_dataset(make("byte"))
    (tmp_path / "unlabelled").mkdir()
    batch = next(iter(source.batches("validate", batch_size=100)))
    pairs = zip(batch["id"].tolist(), batch["rgb"], strict=True)
    records = [
        dmlkit.data.serialize_frames(video_id=name, labels=None, frames={"rgb": rgb}) for name, rgb in pairs
    ]
    dmlkit.data.write_shard(str(tmp_path / "unlabelled" / "test.tfrecord"), records)
    return tmp_path / "unlabelled"


def refused(ended, code, *parts):
    """An error in one paragraph, below the notes there may be; nothing on standard output."""
    *notes, message = ended[2].splitlines()
    assert ended[:2] == (code, "") and all(" is held as " in note for note in notes), ended
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(("trained", "other"), [("byte", "float"), ("float", "byte")])
def test_a_run_scores_the_same_clips_alike_in_either_coding(runs, make, command, trained, other):
    run, data = runs[trained], make(other)
    own, note = dmlkit.predict(run, data=make(trained)), f"rgb is held as {other} and read as {trained}"
    with pytest.warns(UserWarning, match=note):
        found = dmlkit.predict(run, data=data)
    # Bytes become the very floats that were imported, and those the very bytes.
    np.testing.assert_array_equal(found.scores, own.scores)
    assert len(np.unique(own.scores)) > 100 and 0.3 < run.gap < 1
    code, out, err = command("evaluate", run.path, "--data", data)
    assert code == 0 and f"GAP@20  {run.gap:.4f}" in out and err.startswith(f"dmlkit: {note}")
    # Together with a run in the data's own coding: each reads its own.
    both = dmlkit.predict([run, runs[other]], data=data)
    weights = dmlkit.gap_weights([run.tuning_gap, runs[other].tuning_gap])
    scores = [own.scores, dmlkit.predict(runs[other], data=data).scores]
    np.testing.assert_allclose(both.scores, dmlkit.weighted_average(scores, weights), atol=1e-3)
    view, expected = (dmlkit.explore(run, each) for each in (data, make(trained)))
    assert note in view.source.note and expected.source.note is None
    bare = dmlkit.explore(run.model, data)
    for shown in (view, bare):
        np.testing.assert_array_equal(shown.weights, expected.weights)
        assert shown.scores == expected.scores
    np.testing.assert_allclose(view.evidence[0].energy["rgb"], expected.evidence[0].energy["rgb"])


def test_values_that_no_byte_codes_are_counted_and_too_many_refused(runs, make, clips, command):
    run, values = runs["byte"].path, dequantize(clips[0])
    values[[100, 199], 0, :2] = [[5.0, -2.1], [2.5, 1.9]]  # of the 100 videos that validate
    code, _, err = command("evaluate", run, "--data", make("few", coding="float", values=values))
    assert code == 0 and "rgb: 3 of 4,800 values (0.062%) were clipped to [-2, 2]" in err
    values[190:, 0] = 3.0
    ended = command("evaluate", run, "--data", make("some", coding="float", values=values))
    refused(ended, 3, "rgb: 82 of 4,800 values (1.708%)", "import them as uint8")
    data = make("whole-numbers", coding="float", values=clips[0].astype(np.float32))
    refused(command("evaluate", run, "--data", data), 3, "bytes from 0 to 255 held as floats", "uint8")
    out = ("--split", "validate", "--out", data / "out.csv")
    refused(command("predict", run, "--data", data, *out), 3, "bytes from 0 to 255 held as floats")
    assert not (data / "out.csv").exists()
    view = dmlkit.explore(run, data)
    with pytest.raises(dmlkit.DataError, match="0 to 255"):
        view.video = "v101"
    assert view.evidence == ()
