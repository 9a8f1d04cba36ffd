"""What users rely on in models: every experiment builds, learns, saves and loads, in JAX too."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import dmlkit


@pytest.fixture(scope="module")
def frames(generated):
    """A data set, and two of its videos, cut to four frames: (dataset, inputs, labels)."""
    dataset = dmlkit.open_dataset(generated)
    batch = next(iter(dataset.batches("train", batch_size=2)))
    inputs = {name: np.asarray(batch[name])[:, :4] for name in dataset.features}
    inputs["num_frames"] = np.array([4, 2], np.int32)
    return dataset, inputs, np.asarray(batch["labels"], np.float32)


NOT_OF_THE_MODEL = {"name", "title", "chapter", "recipe", "trick", "teachers", "paper_gap"}
# The first experiment of each model: what only trains the same one otherwise would be built twice.
EXPERIMENTS = list(
    {
        str({field: value for field, value in vars(each).items() if field not in NOT_OF_THE_MODEL}): name
        for name, each in reversed(dmlkit.EXPERIMENTS.items())
        if isinstance(each, dmlkit.Experiment)
    }.values()
)


@pytest.mark.parametrize("part", range(4))
def test_every_experiment_builds_learns_saves_and_loads(part, frames, tmp_path):
    """One step down the gradient lowers the loss of the step's own batch, or at least changes the scores."""
    import keras

    dataset, inputs, labels = frames
    small = replace(dmlkit.PROFILES["smoke"], units=4, layers=1)
    for name in EXPERIMENTS[part::4]:
        keras.utils.set_random_seed(0)
        experiment = dmlkit.EXPERIMENTS[name]
        sizes = {"units": experiment.units and 4, "layers": experiment.layers and 1}
        model = dmlkit.build_model(replace(experiment, **sizes), dataset, profile=small)
        before = np.asarray(model(inputs))
        assert before.shape == (2, dataset.num_classes), name
        assert ((before >= 0) & (before <= 1)).all(), name
        model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", run_eagerly=True, jit_compile=False)
        model.train_on_batch(inputs, labels)
        after = np.asarray(model(inputs))
        assert np.isfinite(after).all() and np.abs(after - before).max() > 1e-7, name
        model.save(tmp_path / f"{name}.keras")
        loaded = dmlkit.load_model(tmp_path / f"{name}.keras")
        np.testing.assert_allclose(np.asarray(loaded(inputs)), after, atol=1e-6, err_msg=name)


IN_JAX = """
import sys
sys.modules["tensorflow"] = None  # from here on, importing it is an error
import dmlkit.cli, importlib.util
importlib.util.find_spec("keras")  # TensorFlow looks for it so, before tf.keras imports it
import keras, numpy as np
run, inputs, out = dmlkit.load_run(sys.argv[1]), dict(np.load(sys.argv[2])), sys.argv[3]
model = keras.models.load_model(run.path / "model.keras")  # Keras knows the layers, though it came after
gap = dmlkit.evaluate(run, data=sys.argv[4])["gap"]
np.savez(out, scores=np.asarray(model(inputs)), weights=dmlkit.attention_weights(run.model, inputs), gap=gap)
print(keras.backend.backend())
sys.argv = ["dmlkit", "train", "lr", "--data", "no/such/data"]
dmlkit.cli.main()
"""


@pytest.mark.slow
def test_jax_scores_what_tensorflow_trained_and_trains_nothing(smoke_runs, generated, frames, tmp_path):
    pytest.importorskip("jax")
    _, inputs, _ = frames
    run = smoke_runs["attention"]
    np.savez(tmp_path / "inputs.npz", **inputs)
    done = subprocess.run(
        [sys.executable, "-c", IN_JAX, run.path, tmp_path / "inputs.npz", tmp_path / "out.npz", generated],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1:] == ["jax"] and done.returncode == 2, done.stderr
    assert "'jax', by the environment variable KERAS_BACKEND, and training runs on TensorFlow" in done.stderr
    found = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(found["scores"], np.asarray(run.model(inputs)), atol=1e-5)
    assert found["gap"] == pytest.approx(run.gap, abs=1e-5)
    np.testing.assert_allclose(found["weights"], dmlkit.attention_weights(run.model, inputs), atol=1e-5)


EXPLORE = """
import sys, dmlkit
try:
    dmlkit.explore(sys.argv[1], data=sys.argv[2])
except dmlkit.UsageError as error:
    print(error)
"""


def test_a_backend_that_is_not_there_is_one_paragraph_from_python_too(smoke_runs, generated):
    done = subprocess.run(
        [sys.executable, "-c", EXPLORE, smoke_runs["lr"].path, generated],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "KERAS_BACKEND": "theano"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("Keras's setting backend is 'theano', by the environment"), done.stderr
