"""Whole models: every line of every table, alone and in chosen pairs, under any padding, saved, in 16 bits."""

import keras
import numpy as np
import pytest

from dmlkit.errors import DataError, UsageError
from dmlkit.models import (
    CLASSIFIERS,
    ENCODERS,
    FRAME_CLASSIFIERS,
    FUSIONS,
    GATES,
    NORMALIZATIONS,
    POOLINGS,
    VIDEO_ENCODERS,
    build,
    cross_entropy,
    load_model,
    training_model,
)

FEATURES = {"rgb": (4, "byte"), "audio": (3, "float")}
FLOATS = {"rgb": (4, "float"), "audio": (3, "float")}
TEXT_ALONE = {"text": (6, "text")}
VIDEO = {"features": FLOATS, "level": "video", "encoder": "none", "pooling": "last"}
LABELS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1]], np.float32)

# Every encoder in a model of the ladder, every other part of a table somewhere, some in pairs that experiments use.
TABLE = [
    *({"encoder": name} for name in ENCODERS),
    {"pooling": "netrvlad"},
    {"pooling": "soft_bag", "gate_pooled": "context"},
    {"fusion": "shared_space"},
    {"fusion": "projection", "fusion_stage": "late"},
    {"encoder": "bi_lstm_separate", "pooling": "last", "layers": 2},
    {"encoder": "deep_bi_gru", "pooling": "last", "layers": 2, "fusion": "shared_space"},
    {"encoder": "temporal_convolutions", "pooling": "last", "layers": 2, "fusion_stage": "late"},
    {"encoder": "none", "pooling": "mean", "fusion": "projection", "normalization": "none"},
    {"encoder": "none", "pooling": "netvlad", "pooled_units": 4, "gate_pooled": "context"},
    {"encoder": "none", "pooling": "netfv", "normalization": "none", "gate_scores": "context"},
    {"encoder": "hidden", "pooling": "deep_bag", "classifier": "mixture_of_experts"},
    {"encoder": "hidden", "pooling": "mean", "classifier": "chaining", "normalization": "variance"},
    {"encoder": "hidden", "pooling": "last", "classifier": "class_attention", "gate_scores": "context"},
    {"pooling": "multi_head_attention", "fusion_stage": "late", "gate_pooled": "context"},
    {"pooling": "feature_attention", "normalization": "batch", "classifier": "mixture_of_experts"},
]
DEFAULTS = {"encoder": "bi_gru", "pooling": "attention", "fusion": "concat", "classifier": "logistic"}
DEFAULTS |= {"normalization": "layer", "gate_pooled": "none", "gate_scores": "none"}


def make(**parts):
    settings = {"features": FEATURES, "level": "frame", "num_classes": 3, "units": 3, "layers": 1}
    settings |= {"mapping_initializer": "glorot", "alignment_weight": 0.7}
    return build(**{**settings, **DEFAULTS, **parts})


def step(model, batch):
    """Scores, loss, gradients and running statistics as a training sees them; then all is put back."""
    before = model.get_weights()
    scores = np.asarray(model(batch, training=True))
    model.set_weights(before)
    # A step of size 1 down the gradient: the weights before it less those after it are the gradient.
    model.compile(keras.optimizers.SGD(1.0), cross_entropy, run_eagerly=True, jit_compile=False)
    loss = model.train_on_batch(batch, LABELS)
    moved = [old - new for old, new in zip(before, model.get_weights(), strict=True)]
    model.set_weights(before)
    return scores, loss, moved


def test_the_table_holds_every_line_of_every_table():
    tables = (ENCODERS, POOLINGS, FUSIONS, CLASSIFIERS | FRAME_CLASSIFIERS, NORMALIZATIONS, GATES, GATES)
    for (part, default), names in zip(DEFAULTS.items(), tables, strict=True):
        assert {parts.get(part, default) for parts in TABLE} == set(names)


@pytest.mark.parametrize("parts", TABLE, ids=lambda parts: "-".join(map(str, parts.values())))
def test_padding_and_saving_change_nothing(parts, batch, repadded, randomize, tmp_path):
    """Neither in the scores nor in the loss, gradients and running statistics of a training step."""
    model = randomize(make(**parts))
    scores, loss, moved = step(model, batch)
    other_scores, other_loss, other_moved = step(model, repadded)
    np.testing.assert_allclose(other_scores, scores, atol=1e-5)
    np.testing.assert_allclose(other_loss, loss, rtol=1e-5)
    assert max(np.abs(gradient).max() for gradient in moved) > 1e-3
    for weight, gradient, other in zip(model.weights, moved, other_moved, strict=True):
        np.testing.assert_allclose(other, gradient, rtol=1e-4, atol=1e-5, err_msg=weight.path)
    alone = {name: values[1:2, :2] for name, values in batch.items() if name != "num_frames"}
    alone["num_frames"] = batch["num_frames"][1:2]
    np.testing.assert_allclose(np.asarray(model(alone))[0], np.asarray(model(batch))[1], atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(load_model(tmp_path / "model.keras")(batch), model(batch), atol=1e-6)


def test_missing_and_damaged_models_are_named(tmp_path):
    path = tmp_path / "model.keras"
    with pytest.raises(DataError, match=r"There is no model at .*model\.keras"):
        load_model(path)
    make(encoder="none").save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"model\.keras cannot be read as a model"):
        load_model(path)


def test_16_bits_are_near_32(batch, randomize):
    policy = keras.config.dtype_policy()
    for encoder in ENCODERS:
        parts = {"encoder": encoder, "fusion": "projection"}
        full, mixed = randomize(make(**parts)), make(**parts, precision="mixed_bfloat16")
        assert keras.config.dtype_policy() == policy
        mixed.set_weights(full.get_weights())
        assert mixed.get_layer("fusion_projection_rgb").compute_dtype == "bfloat16"
        assert {weight.dtype for weight in mixed.trainable_weights} == {"float32"}
        scores = np.asarray(mixed(batch))
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, full(batch), atol=0.03, err_msg=encoder)


def test_inputs_and_the_order_of_modalities(batch):
    models = []
    for features in (FEATURES, dict(reversed(FEATURES.items()))):
        keras.utils.set_random_seed(0)
        models.append(make(features=features))
    np.testing.assert_array_equal(models[0](batch), models[1](batch))
    dtypes = {name: each.dtype for name, each in models[0].input.items()}
    assert dtypes == {"audio": "float32", "rgb": "uint8", "num_frames": "int32"}


def test_logistic_regression_at_video_level_is_one_matrix(randomize):
    model, rng = randomize(make(**VIDEO, normalization="none")), np.random.default_rng(0)
    batch = {name: rng.normal(size=(5, size)).astype(np.float32) for name, (size, _) in FLOATS.items()}
    kernel, bias = model.get_weights()
    logits = np.concatenate([batch["audio"], batch["rgb"]], axis=1) @ kernel + bias
    np.testing.assert_allclose(model(batch), 1 / (1 + np.exp(-logits)), atol=1e-6)
    for name, table in {"encoder": VIDEO_ENCODERS, "fusion": FUSIONS, "classifier": CLASSIFIERS}.items():
        for each in table:
            assert make(**{**VIDEO, name: each})(batch).shape == (5, 3)
    texts = make(**VIDEO | {"features": TEXT_ALONE})
    assert texts({"text": np.ones((5, 6), np.float32)}).shape == (5, 3)


@pytest.mark.parametrize(("classifier", "copies"), [("logistic", 2), ("chaining", 1), ("chaining", 2)])
def test_copies_and_stages_are_trained_each_by_itself(classifier, copies, batch, tmp_path):
    parts = {"encoder": "hidden", "pooling": "mean", "gate_scores": "context", "classifier": classifier}
    built, stages = make(**parts, copies=copies), 2 if classifier == "chaining" else 1
    assert built.count_params() == copies * make(**parts).count_params()
    assert (training_model(built) is built) == (copies * stages == 1)
    built.save(tmp_path / "model.keras")
    for model in (built, load_model(tmp_path / "model.keras")):
        trained = training_model(model)
        scores = np.asarray(trained(batch))
        assert scores.shape == (3, copies * stages, 3)
        np.testing.assert_allclose(model(batch), scores[:, stages - 1 :: stages].mean(1), atol=1e-6)
        assert np.abs(scores[:, 0] - scores[:, -1]).max() > 1e-4
        assert {id(weight) for weight in trained.weights} == {id(weight) for weight in model.weights}


def test_what_makes_no_model_is_named():
    for parts, message in (
        ({"encoder": "bi-gru"}, "bi-gru.*Did you mean 'bi_gru'.*none, dense, hidden"),
        ({"mapping_initializer": "norml"}, "Did you mean 'normal'"),
        ({**VIDEO, "encoder": "bi_gru"}, "'bi_gru' needs frames"),
        ({"classifier": "class_attention", "pooling": "attention"}, "pooling must stay 'last'"),
        ({"copies": 0}, "whole number of at least 1. Received: copies=0"),
        ({"dropout": 1.0}, "Received: dropout=1"),
        ({"features": {}}, "at least one modality"),
        ({"features": TEXT_ALONE}, "needs a modality that has frames.*Received: text"),
        ({"features": {"rgb": (0, "byte")}}, "size of the modality 'rgb'=0"),
        ({"features": {"num_frames": (4, "byte")}}, "cannot be the name"),
    ):
        with pytest.raises(UsageError, match=message):
            make(**parts)
