"""The explorers as a user has them: `dmlkit.explore`, `explore_arrays`, live curve."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

import dmlkit
from dmlkit.explorer import LiveCurve
from dmlkit.models import build

SCENE = "application/vnd.dmlkit.attention+json"
NO_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # an import of either fails
import dmlkit
view = dmlkit.explore_arrays([0.1, 0.2, 0.7], contributions=[[1, -1], [0, 2], [3, 0]], class_names=["a", "b"])
view.masked = [2]
assert view._repr_mimebundle_()["image/png"]
print(view.scores["a"])
"""


@pytest.fixture(scope="module")
def dataset(generated):
    return dmlkit.open_dataset(generated)


@pytest.fixture(scope="module")
def batch(dataset):
    """The first videos, with the ten frames that the smoke profile reads."""
    return next(iter(dataset.batches("validate", batch_size=4, max_frames=10)))


@pytest.fixture
def view(smoke_runs, dataset):
    return dmlkit.explore(smoke_runs["attention"], dataset)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def array(packed) -> np.ndarray:
    """An array of a saved scene."""
    return np.frombuffer(base64.b64decode(packed["f32"]), "<f4").reshape(packed["shape"]).astype(float)


def test_one_line_shows_the_models_own_weights_and_scores(smoke_runs, generated, dataset, batch):
    run = smoke_runs["attention"]
    view = dmlkit.explore(str(run.path), generated)  # paths do as well as objects
    assert view.video == batch["id"][0] and view.frame == view.weights.argmax()
    np.testing.assert_allclose(view.weights, dmlkit.attention_weights(run.model, batch)[0], atol=1e-6)
    scores = run.model.predict_on_batch({name: batch[name] for name in run.model.input})[0]
    expected = dict(zip(dataset.class_names, scores, strict=True))
    assert all(score == pytest.approx(expected[name], abs=1e-6) for name, score in view.scores.items())


def test_masking_temperature_top_and_uniform_weights(view):
    saved = view._repr_mimebundle_()[SCENE]["videos"][0]["runs"][0]
    weights, contributions, biases = (array(saved[name]) for name in ("weights", "contributions", "biases"))
    weights, contributions = weights.ravel(), contributions[:, 0]
    kept = np.ones(10, bool)
    kept[[1, 3]] = False
    view.masked, view.temperature = [1, 3], 2.0
    expected = np.where(kept, np.sqrt(weights), 0)  # a temperature of 2 halves the logits
    expected /= expected.sum()
    np.testing.assert_allclose(view.weights, expected, atol=1e-6)
    scores = sigmoid(expected @ contributions + biases)
    np.testing.assert_allclose(list(view.scores.values()), scores, atol=1e-6)
    view.top, view.uniform = 3, True
    highest = np.argsort(-np.where(kept, weights, -1))[:3]
    assert np.flatnonzero(view.weights).tolist() == sorted(highest.tolist()) and view.weights.max() == 1 / 3
    view.reset()
    assert view.masked == () and view.temperature == 1 and view.top is None and not view.uniform
    view.removed = [0, 4]
    assert view.weights[0] == view.weights[4] == 0 and view.weights.sum() == pytest.approx(1)
    view.masked = range(10)
    assert view.weights is None and view.scores is None


def test_runs_side_by_side_and_their_worst_mistakes(smoke_runs, dataset):
    run = smoke_runs["attention"]
    view = dmlkit.explore([run, run.model], dataset, classes=[0])
    first, second = view.scores_by_run()
    assert first == run.title and view.shown == (first, second)
    assert view.scores_by_run()[first] == view.scores
    scores = np.clip(run.predictions.scores.astype(float), 1e-4, 1 - 1e-4)
    losses = -np.where(run.predictions.labels, np.log(scores), np.log(1 - scores)).sum(axis=1)
    assert list(view.source.worst(limit=3)) == run.predictions.ids[np.argsort(-losses)[:3]].tolist()


def test_a_saved_view_needs_no_kernel(smoke_runs, dataset):
    view = dmlkit.explore(smoke_runs["attention"], dataset, keep=2)
    view.masked = [1]
    bundle = view._repr_mimebundle_()
    scene = json.loads(json.dumps(bundle[SCENE], allow_nan=False))
    assert len(scene["videos"]) == 2 and scene["state"]["masked"] == [1] and scene["generated"]
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert "<img" in bundle["text/html"] and "<script" not in bundle["text/html"]
    assert view.video in bundle["text/plain"] and "1 frame masked" in bundle["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_plain_arrays_need_neither_a_model_nor_tensorflow():
    command = [sys.executable, "-c", NO_TENSORFLOW]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert float(done.stdout) == pytest.approx(sigmoid(1 / 3), abs=1e-6)


def test_what_cannot_be_explored_is_explained(view, smoke_runs, dataset, generated):
    run, usage, data = smoke_runs["attention"], dmlkit.UsageError, dmlkit.DataError
    of_videos = build(features={"rgb": (64, "byte")}, level="video", num_classes=3, encoder="none")
    cases = [
        (usage, "one vector a video", lambda: dmlkit.explore(of_videos, dataset)),
        (data, "nowhere", lambda: dmlkit.explore(run, generated / "nowhere")),
        (usage, "Did you mean", lambda: dmlkit.explore(run, dataset, video=view.video[:-1])),
        (data, "3 frames", lambda: dmlkit.explore_arrays([0.5, 0.3, 0.2], contributions=np.eye(2))),
        (usage, "model", lambda: setattr(dmlkit.explore_arrays([0.5, 0.5]), "removed", [0])),
        (usage, "3", lambda: dmlkit.explore([run] * 4, dataset)),
        (usage, "frames 0 to 9", lambda: setattr(view, "masked", [10])),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()
    assert view.masked == ()


def test_a_curve_grows_while_a_run_trains(generated, tmp_path):
    curve, settings = LiveCurve(), {"profile": "smoke", "progress": "silent"}
    dmlkit.train("lr", data=generated, out=tmp_path / "lr", on_epoch=curve, **settings)
    assert [row["epoch"] for row in curve.rows] == [1, 2]
    assert curve._repr_mimebundle_()[0]["image/png"].startswith(b"\x89PNG")
