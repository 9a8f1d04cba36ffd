"""Models under Keras's other backends, JAX and (where it is installed) torch, without TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dmlkit.models import build

ROOT = Path(__file__).parents[2]
MODELS = {
    "gru": {"encoder": "bi_gru", "pooling": "attention", "fusion": "shared_space"},
    "lstm": {"encoder": "bi_lstm", "classifier": "mixture_of_experts", "fusion": "projection"},
    "paper": {"encoder": "peephole_lstm", "pooling": "mean", "normalization": "batch"},
    "clusters": {
        "encoder": "sru",
        "pooling": "netvlad",
        "gate_scores": "context",
        "precision": "mixed_bfloat16",
    },
}
SCORE = """
import sys
sys.modules["tensorflow"] = None  # from here on, importing it is an error
from pathlib import Path
import keras
import numpy as np
from dmlkit.models import load_model

folder = Path(sys.argv[1])
batch = dict(np.load(folder / "batch.npz"))
for path in folder.glob("*.keras"):
    np.save(path.with_suffix(".npy"), keras.ops.convert_to_numpy(load_model(path)(batch)))
print(keras.backend.backend())
"""


@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=pytest.mark.slow)])
def test_models_load_and_score_the_same_elsewhere(backend, batch, randomize, tmp_path):
    pytest.importorskip(backend)
    scores = {}
    np.savez(tmp_path / "batch.npz", **batch)
    features = {"rgb": (4, "byte"), "audio": (3, "float")}
    for name, parts in MODELS.items():
        model = randomize(build(features=features, level="frame", num_classes=3, units=3, layers=1, **parts))
        model.save(tmp_path / f"{name}.keras")
        scores[name] = np.asarray(model(batch))
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path}
    command = [sys.executable, "-c", SCORE, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == backend
    for name, expected in scores.items():
        tolerance = 0.02 if "precision" in MODELS[name] else 1e-5
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), expected, atol=tolerance)
