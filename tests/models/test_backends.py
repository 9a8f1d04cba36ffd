"""Models under Keras's other backends: JAX, and torch where it is installed. In each, TensorFlow is locked away."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import dmlkit
from dmlkit.models import attention_weights, build, cross_entropy

ROOT = Path(dmlkit.__file__).parents[1]
FEATURES = {"rgb": (4, "byte"), "audio": (3, "float")}
LABELS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1]], np.float32)
MODELS = {
    "attention": {"encoder": "bi_gru", "pooling": "attention", "fusion": "shared_space"},
    "mixture": {"encoder": "bi_lstm", "classifier": "mixture_of_experts", "fusion": "projection"},
    "letter": {"encoder": "peephole_lstm", "pooling": "mean", "normalization": "batch"},
}
STEP = 0.05

OTHER_BACKEND = """
import sys
sys.modules["tensorflow"] = None  # from here on, importing it is an error
import json
from pathlib import Path
import keras
import numpy as np
from dmlkit.models import AttentionProbe, attention_weights, cross_entropy
from dmlkit.runs import load_run

folder, step = Path(sys.argv[1]), float(sys.argv[2])
arrays = {name: dict(np.load(folder / f"{name}.npz")) for name in ("batch", "padded")}
labels = np.load(folder / "labels.npy")
told = {"backend": keras.backend.backend()}
for path in sorted(folder.glob("run-*")):
    model = load_run(path).model
    found = {name: model.predict_on_batch(batch) for name, batch in arrays.items()}
    if "attention" in path.name:
        found["weights"] = attention_weights(model, arrays["batch"])
        found["opened"] = AttentionProbe(model).parts(arrays["batch"]).weights
    model.compile(keras.optimizers.SGD(step), cross_entropy)
    losses = [float(model.train_on_batch(arrays["batch"], labels)) for _ in range(2)]
    told[path.name] = {"losses": losses}
    np.savez(folder / f"{path.name}.npz", **found)
(folder / "told.json").write_text(json.dumps(told))
"""


def _installed(backend):
    return importlib.util.find_spec(backend) is not None


def _run(arguments, *, backend, cwd):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


only_here = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the other backends are started from TensorFlow's session"
)


def _if_installed(backend, *values, slow=True):
    missing = pytest.mark.skipif(not _installed(backend), reason=f"{backend} is not installed")
    return pytest.param(backend, *values, marks=[missing, *([pytest.mark.slow] if slow else [])])


# JAX compiles every shape anew: one model at once, all of them among the slow tests.
@only_here
@pytest.mark.parametrize(
    ("backend", "names"),
    [
        _if_installed("jax", ["attention"], slow=False),
        _if_installed("jax", ["mixture", "letter"]),
        _if_installed("torch", list(MODELS)),
    ],
)
def test_what_tensorflow_trained_scores_and_learns_the_same_elsewhere(
    backend, names, batch_of, repad, randomize, leave_run, tmp_path
):
    batch = batch_of()
    np.savez(tmp_path / "batch.npz", **batch)
    np.savez(tmp_path / "padded.npz", **repad(batch, time=5))  # another length would be compiled anew
    np.save(tmp_path / "labels.npy", LABELS)
    scores, losses, weights = {}, {}, None
    for name in names:
        model = randomize(
            build(
                features=FEATURES,
                level="frame",
                num_classes=3,
                units=3,
                layers=1,
                mapping_initializer="glorot",
                **MODELS[name],
            )
        )
        leave_run(tmp_path / f"run-{name}", name)
        model.save(tmp_path / f"run-{name}" / "model.keras")
        scores[name] = model.predict_on_batch(batch)
        if name == "attention":
            weights = attention_weights(model, batch)
        model.compile(keras.optimizers.SGD(STEP), cross_entropy, jit_compile=False)
        losses[name] = [float(model.train_on_batch(batch, LABELS)) for _ in range(2)]

    done = _run(["-c", OTHER_BACKEND, str(tmp_path), str(STEP)], backend=backend, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["backend"] == backend
    for name in names:
        found = np.load(tmp_path / f"run-{name}.npz")
        np.testing.assert_allclose(found["batch"], scores[name], atol=1e-5)
        np.testing.assert_allclose(found["padded"], scores[name], atol=1e-5)
        # The second loss is after a step: equal only if the gradients are.
        np.testing.assert_allclose(told[f"run-{name}"]["losses"], losses[name], rtol=1e-4)
        assert losses[name][1] < losses[name][0]
        if name == "attention":
            np.testing.assert_allclose(found["weights"], weights, atol=1e-5)
            np.testing.assert_allclose(found["opened"], weights, atol=1e-5)


# Quick enough where every shape is compiled anew. All of it: `KERAS_BACKEND=jax pytest tests/models`.
SUITE = ("encoders", "frames", "fusions", "inputs", "losses", "poolings", "classifiers", "recurrent", "sru")


@only_here
@pytest.mark.parametrize("backend", [_if_installed("jax"), _if_installed("torch")])
def test_the_models_tests_pass_elsewhere(backend):
    files = [f"tests/models/test_{name}.py" for name in SUITE]
    pytest_alone = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-o",
        "addopts=",
        *files,
    ]
    done = _run(pytest_alone, backend=backend, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
