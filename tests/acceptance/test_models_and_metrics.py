"""What users rely on in models and metrics: every experiment builds, trains and loads; GAP, intervals and ensembles."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

import dmlkit

SCORES = np.array([[0.9, 0.8, 0.5], [0.7, 0.6, 0.1]])
LABELS = np.array([[1, 0, 1], [1, 0, 0]])


def random_scores(videos=120, classes=40, *, noise=1.0, seed=0):
    """Labels, and scores between 0 and 1 that know them through noise, some of them equal."""
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(99).random((videos, classes)) < 0.1
    return np.round(1 / (1 + np.exp(2 - 4 * labels - noise * rng.normal(size=labels.shape))), 2), labels


def vary(value, **changes):
    """The same experiment or profile with other fields; those that are None stay."""
    return replace(value, **{name: each for name, each in changes.items() if each is not None})


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
    small = vary(dmlkit.PROFILES["smoke"], units=4, layers=1)
    for name in EXPERIMENTS[part::4]:
        keras.utils.set_random_seed(0)
        experiment = dmlkit.EXPERIMENTS[name]
        sizes = {"units": 4 if experiment.units else None, "layers": 1 if experiment.layers else None}
        model = dmlkit.build_model(vary(experiment, **sizes), dataset, profile=small)
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


def test_an_experiment_of_ones_own_is_built_and_a_wrong_name_is_reported(frames):
    dataset, inputs, _ = frames
    model = {"encoder": "sru", "fusion": "shared_space", "pooling": "netvlad"}
    mine = dmlkit.Experiment(name="mine", title="Mine", chapter="08-beyond", **model)
    assert dmlkit.build_model(mine, dataset, profile="smoke")(inputs).shape == (2, dataset.num_classes)
    with pytest.raises(dmlkit.UsageError, match="Did you mean 'bi_gru'"):
        dmlkit.build_model(vary(mine, encoder="bigru"), dataset, profile="smoke")
    with pytest.raises(dmlkit.DataError, match="There is no model at"):
        dmlkit.load_model("nowhere.keras")


def test_attention_weights_add_up_and_padding_gets_none(trained, frames):
    _, inputs, _ = frames
    model = trained["attention"].model
    weights = dmlkit.attention_weights(model, inputs)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert (weights[1, 2:] == 0).all() and (weights[0] > 0).all()
    padded = {
        name: np.concatenate([each, each[:, :3] * 0 + 7], 1) for name, each in inputs.items() if each.ndim > 1
    }
    padded["num_frames"] = inputs["num_frames"]
    np.testing.assert_allclose(np.asarray(model(padded)), np.asarray(model(inputs)), atol=1e-6)
    np.testing.assert_allclose(dmlkit.attention_weights(model, padded)[:, :4], weights, atol=1e-6)
    with pytest.raises(dmlkit.UsageError, match="attention"):
        dmlkit.attention_weights(trained["lr"].model, inputs)


IN_JAX = """
import sys
sys.modules["tensorflow"] = None  # from here on, importing it is an error
import keras, numpy as np, dmlkit
run, inputs, out = dmlkit.load_run(sys.argv[1]), dict(np.load(sys.argv[2])), sys.argv[3]
model = run.model
np.savez(out, scores=np.asarray(model(inputs)), weights=dmlkit.attention_weights(model, inputs))
print(keras.backend.backend())
"""


def test_jax_opens_what_tensorflow_trained(trained, frames, tmp_path):
    pytest.importorskip("jax")
    _, inputs, _ = frames
    run = trained["attention"]
    np.savez(tmp_path / "inputs.npz", **inputs)
    done = subprocess.run(
        [sys.executable, "-c", IN_JAX, run.path, tmp_path / "inputs.npz", tmp_path / "out.npz"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1:] == ["jax"], done.stderr
    found = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(found["scores"], np.asarray(run.model(inputs)), atol=1e-5)
    np.testing.assert_allclose(found["weights"], dmlkit.attention_weights(run.model, inputs), atol=1e-5)


def test_gap_is_the_papers():
    # Pooled: .9 right (1/1), .8 wrong, .7 right (2/3), .6 wrong, .5 right (3/5), .1 wrong; 3 true labels.
    assert dmlkit.global_average_precision(SCORES, LABELS) == pytest.approx(
        (1 + 2 / 3 + 3 / 5) / 3, abs=1e-15
    )
    assert dmlkit.global_average_precision(SCORES, LABELS, top_k=1) == pytest.approx(2 / 3, abs=1e-15)
    # The denominator of recall is all true labels, and equal scores form one threshold.
    assert dmlkit.global_average_precision(np.zeros((1, 1000)), np.ones((1, 1000))) == 20 / 1000
    scores, labels = random_scores(classes=20)
    expected = average_precision_score(labels.ravel(), scores.ravel())
    assert dmlkit.global_average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ValueError, match="NaN"):
        dmlkit.global_average_precision([[np.nan]], [[1]])


def test_gap_over_workers_is_that_of_all_videos():
    scores, labels = random_scores()
    workers = [dmlkit.GlobalAveragePrecision() for _ in range(3)]
    for start in range(0, 120, 7):
        workers[start % 3].update(scores[start : start + 7], labels[start : start + 7])
    workers[1].merge(workers[2])
    workers[0].merge(workers[1])
    assert workers[0].result() == dmlkit.global_average_precision(scores, labels)


def test_map_is_scikit_learns_over_the_classes_that_occur():
    scores, labels = random_scores(classes=12)
    labels = labels & (np.arange(12) != 3)
    value, counted, classes = dmlkit.mean_average_precision(scores, labels)
    expected = [average_precision_score(labels[:, c], scores[:, c]) for c in range(12) if c != 3]
    assert (value, counted, classes) == (pytest.approx(np.mean(expected), abs=1e-12), 11, 12)


def test_an_interval_is_that_of_videos_literally_resampled():
    scores, labels = random_scores(60)
    rng = np.random.default_rng(3)
    resamples = [rng.integers(60, size=60) for _ in range(40)]
    gaps = [dmlkit.global_average_precision(scores[rows], labels[rows]) for rows in resamples]
    interval = dmlkit.gap_interval(scores, labels, resamples=40, seed=3)
    np.testing.assert_allclose(interval, np.quantile(gaps, [0.025, 0.975]), rtol=0, atol=1e-12)
    assert interval.low < dmlkit.global_average_precision(scores, labels) < interval.high


def test_algorithm_2():
    weights = dmlkit.gap_weights([0.3, 0.1])
    np.testing.assert_allclose(weights, [0.75, 0.25], atol=1e-15)
    found = dmlkit.weighted_average([np.array([[0.2, 0.6, 0.2]]), np.array([[0.8, 0.2, 0.8]])], weights)
    np.testing.assert_allclose(found, [[0.35, 0.5, 0.35]], atol=1e-15)
