"""Models under Keras's other backends, JAX and (where it is installed) torch, without TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from dmlkit.models import FrameProbe, build, cross_entropy

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
LABELS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1]], np.float32)
SCORE = """
import sys
sys.modules["tensorflow"] = None  # from here on, importing it is an error
from pathlib import Path
import keras
import numpy as np
from dmlkit.models import FrameProbe, cross_entropy, load_model

folder = Path(sys.argv[1])
batch, labels = dict(np.load(folder / "batch.npz")), np.load(folder / "labels.npy")
for path in folder.glob("*.keras"):
    model = load_model(path)
    np.save(path.with_suffix(".npy"), keras.ops.convert_to_numpy(model(batch)))
    if path.stem == "gru":
        video = {name: batch[name][0] for name in ("rgb", "audio")}
        found = FrameProbe(model).explain(video, [0, 2], method="gradient_input")
        np.savez(folder / "terms", values=found.values, gap=found.gap)
        model.compile(keras.optimizers.SGD(0.05), cross_entropy)
        np.save(folder / "losses", [float(model.train_on_batch(batch, labels)) for _ in range(2)])
print(keras.backend.backend())
"""


@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=pytest.mark.slow)])
def test_models_score_and_learn_the_same_elsewhere(backend, batch, randomize, tmp_path):
    pytest.importorskip(backend)
    scores = {}
    np.savez(tmp_path / "batch.npz", **batch)
    np.save(tmp_path / "labels.npy", LABELS)
    features = {"rgb": (4, "byte"), "audio": (3, "float")}
    for name, parts in MODELS.items():
        model = randomize(build(features=features, level="frame", num_classes=3, units=3, layers=1, **parts))
        model.save(tmp_path / f"{name}.keras")
        scores[name] = np.asarray(model(batch))
        if name == "gru":
            video = {each: batch[each][0] for each in ("rgb", "audio")}
            terms = FrameProbe(model).explain(video, [0, 2], method="gradient_input")
            model.compile(keras.optimizers.SGD(0.05), cross_entropy)
            losses = [float(model.train_on_batch(batch, LABELS)) for _ in range(2)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path}
    command = [sys.executable, "-c", SCORE, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == backend
    for name, expected in scores.items():
        tolerance = 0.02 if "precision" in MODELS[name] else 1e-5
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), expected, atol=tolerance)
    for each, values in np.load(tmp_path / "terms.npz").items():
        np.testing.assert_allclose(values, getattr(terms, each), atol=1e-5)
    # The second loss is after a step: equal only if the gradients are.
    np.testing.assert_allclose(np.load(tmp_path / "losses.npy"), losses, rtol=1e-4)
    assert losses[1] < losses[0]
