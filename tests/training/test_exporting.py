"""Exported models score as their runs, in processes without dmlkit; what would not is refused, and nothing is left."""

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

import dmlkit
from dmlkit.cli.runs import export as command_line
from dmlkit.data import dequantize, open_dataset
from dmlkit.data.importing import import_features
from dmlkit.errors import UsageError
from dmlkit.training import ensemble
from dmlkit.training.exporting import FORMATS

# From `model`, a folder, and `inputs`, a dict of arrays, to `scores`; the name of the module that may not be there.
RUNTIMES = {
    "saved-model": """
import tensorflow as tf
run = tf.saved_model.load(model + "/1").signatures["serving_default"]
scores = run(**{name: tf.constant(each) for name, each in inputs.items()})["scores"].numpy()
""",
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(model + "/model.onnx")
assert {each.name for each in session.get_inputs()} == set(inputs)
scores = session.run(["scores"], inputs)[0]
assert "tensorflow" not in sys.modules
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
run = Interpreter(model + "/model.tflite").get_signature_runner()
videos = range(len(inputs["num_frames"]))
scores = np.concatenate([run(**{k: each[i : i + 1] for k, each in inputs.items()})["scores"] for i in videos])
assert "tensorflow" not in sys.modules
""",
    # As MediaPipe's TensorFlowSessionFromSavedModelCalculator opens it, by the names of the signature.
    "mediapipe": """
import tensorflow as tf
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    loaded = tf.compat.v1.saved_model.load(session, ["serve"], model + "/saved_model")
    signature = loaded.signature_def["serving_default"]
    feed = {signature.inputs[name].name: each for name, each in inputs.items()}
    scores = session.run(signature.outputs["predictions"].name, feed)
""",
}
READ = "import sys, numpy as np\nmodel, inputs = sys.argv[1], dict(np.load(sys.argv[2]))"
WRITE = "assert 'dmlkit' not in sys.modules\nnp.save(sys.argv[3], scores)"


def elsewhere(format, folder, inputs):
    """The scores of an exported model in a process of its own."""
    paths = [folder, folder / "inputs.npz", folder / "scores.npy"]
    np.savez(paths[1], **inputs)
    subprocess.run([sys.executable, "-I", "-c", READ + RUNTIMES[format] + WRITE, *paths], check=True)
    return np.load(paths[2])


def three_videos(data):
    """Three videos, the first cut to 4 frames, each followed by noise."""
    batch = next(iter(open_dataset(data).batches("validate", batch_size=3)))
    inputs = {name: batch[name] for name in ("rgb", "audio", "num_frames")}
    inputs["num_frames"][0] = 4
    for name in ("rgb", "audio"):
        inputs[name] = np.pad(inputs[name], ((0, 0), (0, 5), (0, 0)))
        inputs[name][np.arange(inputs[name].shape[1]) >= inputs["num_frames"][:, None]] = 77
    return inputs


def first_frames(inputs, most):
    cut = {name: each[:, :most] for name, each in inputs.items() if name != "num_frames"}
    return cut | {"num_frames": np.minimum(inputs["num_frames"], most)}


@pytest.fixture(scope="module")
def both(smoke_runs, tmp_path_factory):
    """An ensemble of `lr` and `attention`, by weighted mean."""
    return ensemble(smoke_runs.values(), out=tmp_path_factory.mktemp("runs") / "both")


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("onnx", "ensemble"),  # a SavedModel is served in the tests of the documentation
        *(slow("saved-model", "attention"), slow("saved-model", "ensemble"), slow("onnx", "attention")),
        *(slow("litert", "attention"), slow("litert", "ensemble")),
    ],
)
def test_an_exported_model_scores_as_its_run(format, kind, smoke_runs, both, generated, tmp_path, command):
    run, out = {"attention": smoke_runs["attention"], "ensemble": both}[kind], tmp_path / "out"
    ended, printed, _ = command("export", run.path, "--to", out, "--format", format, "--data", generated)
    found = re.match(
        r"Largest .* scores: (\S+) \(at most 1e-05\), on 100 videos of \d+ to 40 frames", printed
    )
    assert ended == 0 and 0 <= float(found[1]) <= 1e-5
    inputs = three_videos(generated)
    scores = elsewhere(format, out, inputs)
    read = first_frames(inputs, 10)  # by the profile smoke
    members = run.record.get("members", [{"name": "attention", "weight": 1}])
    expected = sum(each["weight"] * smoke_runs[each["name"]].model.predict_on_batch(read) for each in members)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    # And as it was measured, with scores stored at half precision.
    np.testing.assert_allclose(scores[1:], run.predictions.scores[1:3], atol=2e-3)


@pytest.mark.slow
def test_mediapipe_gets_a_model_for_its_graph(tmp_path, smoke_runs):
    labels, random = [("id", "labels")], np.random.default_rng(0)
    for number in range(60):
        labels.append((f"v{number}", number % 3))
        for name, size in {"rgb": 1024, "audio": 128}.items():
            (tmp_path / "clips" / name).mkdir(parents=True, exist_ok=True)
            values = random.integers(0, 256, (6 + number % 9, size), np.uint8)
            np.save(tmp_path / "clips" / name / f"v{number}.npy", values)
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(labels)
    data = import_features(tmp_path / "clips", tmp_path / "data", labels=tmp_path / "labels.csv").folder
    profile = replace(dmlkit.PROFILES["smoke"], max_frames=9, epochs=1, units=4)
    run = dmlkit.train("attention", data=data, out=tmp_path / "run", profile=profile, progress="silent")
    out = tmp_path / "out"
    assert dmlkit.export(run, out, format="mediapipe").compared_on == "random values instead of data"
    batch = three_videos(data)
    floats = np.concatenate([dequantize(batch[name]) for name in ("rgb", "audio")], axis=-1)
    expected = run.model.predict_on_batch(first_frames(batch, 9))
    for lengths in (batch["num_frames"][:, None], batch["num_frames"]):
        # Numbers between two bytes, as features have that were never coded, are rounded to the nearer one.
        inputs = {"rgb_and_audio": floats + np.float32(0.007), "num_frames": lengths}
        np.testing.assert_allclose(elsewhere("mediapipe", out, inputs), expected, atol=1e-5)
    assert len((out / "label_map.txt").read_text().splitlines()) == 3
    with pytest.raises(UsageError, match=r"frames of rgb 1,024, audio 128 .* reads rgb 64"):
        dmlkit.export(smoke_runs["attention"], tmp_path / "other", format="mediapipe")
    assert not (tmp_path / "other").exists()


def test_what_does_not_score_as_its_run_is_refused(smoke_runs, tmp_path, monkeypatch, command):
    run, out = smoke_runs["attention"], tmp_path / "out"
    right = FORMATS["saved-model"]

    def perturbed(model, file, at_once):
        weight = model.weights[-1]
        was = weight.numpy()
        weight.assign(was + 1e-3)
        right.write(model, file, at_once)
        weight.assign(was)

    def reads_padding(file):
        score = right.open(file)
        return lambda inputs: score(inputs | {"num_frames": inputs["num_frames"] * 0 + 10_000})

    for broken, message in (
        (right._replace(write=perturbed), "gives other scores: they differ by up to"),
        (right._replace(open=reads_padding), "gives other scores"),
        (right._replace(open=lambda file: lambda inputs: right.open(file)(inputs) * np.nan), "by up to inf"),
        (right._replace(write=lambda *_: 1 / 0), "cannot be exported as saved-model (ZeroDivisionError"),
        (right._replace(packages=("no_such_package",), extra="onnx"), "pip install 'dmlkit[onnx]'"),
    ):
        monkeypatch.setitem(FORMATS, "saved-model", broken)
        ended, _, error = command("export", run.path, "--to", out, "--format", "saved-model", "--videos", 40)
        assert ended == 2 and message in error and error.count("\n") == 1
        assert [*tmp_path.iterdir()] == []


def test_runs_that_no_model_can_stand_for_are_refused(smoke_runs, tmp_path, command):
    by_stacking = ensemble(smoke_runs.values(), out=tmp_path / "stacking", by="stacking")
    uniform = shutil.copytree(smoke_runs["attention"].path, tmp_path / "uniform")
    record = json.loads((uniform / "run.json").read_text())
    record["profile"]["frame_choice"] = "uniform"
    (uniform / "run.json").write_text(json.dumps(record))
    for run, message in ((by_stacking.path, "'stacking', and only a weighted mean"), (uniform, "=uniform")):
        ended, _, error = command("export", run, "--to", tmp_path / "out", "--format", "onnx")
        assert ended == 2 and message in error
    ended, _, error = command("export", smoke_runs["lr"].path, "--to", tmp_path, "--format", "onnx")
    assert ended == 2 and "takes a new folder" in error
    (choices,) = (each.type.choices for each in command_line.params if each.name == "form")
    assert [*choices] == [*FORMATS] and not (tmp_path / "out").exists()


def test_the_card_shows_names_from_data_letter_by_letter(smoke_runs, tmp_path):
    hostile = "<script>alert(1)</script> [click](http://x.test) | *a*_b_ `c` www.x.test\n# heading"
    path = shutil.copytree(smoke_runs["lr"].path, tmp_path / "run")
    record = json.loads((path / "run.json").read_text())
    record["data"]["class_names"][0] = record["data"]["name"] = hostile
    record["data"]["extractor"] = {"pictures": hostile, "fps": 1.0}
    (path / "run.json").write_text(json.dumps(record))
    done = dmlkit.export(path, tmp_path / "out", format="saved-model", videos=5)
    card = (done.path / "model_card.md").read_text()
    assert unescape(card).count(" ".join(hostile.split())) == 3
    assert not re.search(r"<script|\[click|\*a|_b|`c`|www\.x|^# heading", card, re.MULTILINE)
    gap, interval = (
        "{:.4f}".format(record["metrics"]["gap"]),
        "{:.4f} to {:.4f}".format(*record["metrics"]["gap_interval"]),
    )
    assert f"| {gap} (95 % interval over videos, for this seed: {interval}) |" in card
    with open(done.path / "class_names.csv", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert rows[0] == {"class": "0", "name": " ".join(hostile.split())} and len(rows) == 24
    about = json.loads((done.path / "export.json").read_text())
    assert about["arrays"]["scores"] == ["float32", ["videos", 24]] and about["difference"] == done.difference
