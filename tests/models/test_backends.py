"""Models under Keras's other backends, JAX and (where it is installed) torch, with TensorFlow locked away."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from dmlkit.models import attention_weights, build, cross_entropy

ROOT = Path(__file__).parents[2]
LABELS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1]], np.float32)
MODELS = {
    "attention": {"encoder": "bi_gru", "pooling": "attention", "fusion": "shared_space"},
    "mixture": {"encoder": "bi_lstm", "classifier": "mixture_of_experts", "fusion": "projection"},
    "paper": {"encoder": "peephole_lstm", "pooling": "mean", "normalization": "batch"},
}
STEP = 0.05

OTHER_BACKEND = """
import sys
sys.modules["tensorflow"] = None  # from here on, importing it is an error
import json
from pathlib import Path
import keras
import numpy as np
from dmlkit.models import attention_weights, cross_entropy, load_model

folder, step = Path(sys.argv[1]), float(sys.argv[2])
batch, labels = dict(np.load(folder / "batch.npz")), np.load(folder / "labels.npy")
results = {"backend": keras.backend.backend()}
for path in sorted(folder.glob("*.keras")):
    model = load_model(path)
    arrays = {"scores": model.predict_on_batch(batch)}
    if path.stem == "attention":
        arrays["weights"] = attention_weights(model, batch)
    model.compile(keras.optimizers.SGD(step), cross_entropy)
    results[path.stem] = [float(model.train_on_batch(batch, labels)) for _ in range(2)]
    np.savez(folder / f"{path.stem}.npz", **arrays)
(folder / "results.json").write_text(json.dumps(results))
"""


# JAX compiles every shape again: one model among the quick tests.
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the others are started from TensorFlow's"
)
@pytest.mark.parametrize(
    ("backend", "names"),
    [
        ("jax", ["attention"]),
        pytest.param("jax", ["mixture", "paper"], marks=pytest.mark.slow),
        pytest.param("torch", list(MODELS), marks=pytest.mark.slow),
    ],
)
def test_models_score_and_learn_the_same_elsewhere(backend, names, batch_of, randomize, tmp_path):
    pytest.importorskip(backend)
    batch, scores, losses, weights = batch_of(), {}, {}, None
    np.savez(tmp_path / "batch.npz", **batch)
    np.save(tmp_path / "labels.npy", LABELS)
    sizes = {"level": "frame", "num_classes": 3, "units": 3, "layers": 1, "mapping_initializer": "glorot"}
    for name in names:
        parts = {"features": {"rgb": (4, "byte"), "audio": (3, "float")}, **sizes, **MODELS[name]}
        model = randomize(build(**parts))
        model.save(tmp_path / f"{name}.keras")
        scores[name] = model.predict_on_batch(batch)
        weights = attention_weights(model, batch) if name == "attention" else weights
        model.compile(keras.optimizers.SGD(STEP), cross_entropy, jit_compile=False)
        losses[name] = [float(model.train_on_batch(batch, LABELS)) for _ in range(2)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path}
    command = [sys.executable, "-c", OTHER_BACKEND, str(tmp_path), str(STEP)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["backend"] == backend
    for name in names:
        arrays = np.load(tmp_path / f"{name}.npz")
        np.testing.assert_allclose(arrays["scores"], scores[name], atol=1e-5)
        # The second loss is after a step: equal only if the gradients are.
        np.testing.assert_allclose(results[name], losses[name], rtol=1e-4)
        assert losses[name][1] < losses[name][0]
        if name == "attention":
            np.testing.assert_allclose(arrays["weights"], weights, atol=1e-5)
