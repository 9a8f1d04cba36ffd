import keras
import numpy as np
import pytest

from dmlkit.errors import UsageError
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
    load_model,
    training_model,
)
from dmlkit.models.build import FUSION_STAGES, PRECISIONS

THREE = {"rgb": (4, "byte"), "audio": (3, "float"), "text": (2, "float")}
TWO = {name: THREE[name] for name in ("rgb", "audio")}
ONE = {"rgb": THREE["rgb"]}


def _build(**parts):
    return build(**{"features": TWO, "level": "frame", "num_classes": 3, "units": 3, **parts})


def _video_batch(features, videos=5):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(videos, size)).astype(np.float32) for name, (size, _) in features.items()}


def _floats(features):
    return {name: (size, "float") for name, (size, _) in features.items()}


def _check_scores(scores, videos):
    scores = np.asarray(scores)
    assert scores.shape == (videos, 3)
    assert scores.dtype == np.float32
    assert ((scores > 0) & (scores < 1)).all()


@pytest.mark.parametrize("features", [ONE, TWO, THREE], ids=["one", "two", "three"])
@pytest.mark.parametrize("fusion_stage", FUSION_STAGES)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_any_number_of_modalities(fusion, fusion_stage, features, batch_of):
    if fusion == "projection" and len(features) == 1:
        with pytest.raises(UsageError, match=r"at least two\. Received: rgb"):
            _build(features=features, fusion=fusion, fusion_stage=fusion_stage)
        return
    model = _build(features=features, fusion=fusion, fusion_stage=fusion_stage, layers=1, pooling="mean")
    assert set(model.input) == {*features, "num_frames"}
    _check_scores(model(batch_of(features=features)), 3)


@pytest.mark.parametrize("fusion_stage", FUSION_STAGES)
@pytest.mark.parametrize("encoder", VIDEO_ENCODERS)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_video_level(fusion, encoder, fusion_stage):
    features = _floats(TWO)
    parts = {"fusion": fusion, "encoder": encoder, "fusion_stage": fusion_stage}
    model = _build(features=features, level="video", **parts)
    assert set(model.input) == set(features)
    _check_scores(model(_video_batch(features)), 5)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_video_level_ends(normalization, classifier):
    features = _floats(TWO)
    parts = {"encoder": "dense", "normalization": normalization, "classifier": classifier}
    _check_scores(_build(features=features, level="video", **parts)(_video_batch(features)), 5)


def test_bytes_go_in_as_bytes():
    model = _build()
    assert model.input["rgb"].dtype == "uint8"
    assert model.input["audio"].dtype == "float32"
    assert model.input["num_frames"].dtype == "int32"


def test_logistic_regression_is_one_matrix_over_the_modalities_by_name(randomize):
    features = _floats(TWO)
    model = randomize(
        build(features=features, level="video", num_classes=3, normalization="none", encoder="none")
    )
    batch = _video_batch(features)
    kernel, bias = model.get_weights()
    logits = np.concatenate([batch["audio"], batch["rgb"]], axis=1) @ kernel + bias
    np.testing.assert_allclose(model(batch), 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_the_order_in_which_modalities_are_listed_does_not_matter(batch_of):
    models = []
    for features in (TWO, dict(reversed(TWO.items()))):
        keras.utils.set_random_seed(0)
        models.append(_build(features=features))
    np.testing.assert_array_equal(models[0](batch_of()), models[1](batch_of()))


def test_fusion_units_are_those_of_the_encoder_unless_said():
    assert _build(fusion="shared_space").get_layer("fusion_shared_space").units == 3
    assert _build(fusion="shared_space", fusion_units=7).get_layer("fusion_shared_space").units == 7


def test_late_fusion_gives_each_modality_its_encoder():
    names = {layer.name for layer in _build(fusion_stage="late", encoder="lstm", layers=1).layers}
    assert {"encoder_rgb", "encoder_audio"} <= names


def test_late_and_early_agree_where_there_is_nothing_to_encode(batch_of):
    models = []
    for fusion_stage in FUSION_STAGES:
        keras.utils.set_random_seed(0)
        models.append(_build(encoder="none", pooling="mean", fusion_stage=fusion_stage))
    np.testing.assert_allclose(models[0](batch_of()), models[1](batch_of()), atol=1e-6)


def test_no_weight_is_left_without_a_gradient(batch_of):
    parts = {"fusion": "projection", "pooling": "attention", "classifier": "mixture_of_experts"}
    model = _build(**parts, layers=1)
    model.compile(keras.optimizers.SGD(1.0), loss="binary_crossentropy", jit_compile=False)
    before = [weight.numpy() for weight in model.trainable_weights]
    model.train_on_batch(batch_of(), np.eye(3, dtype=np.float32))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.abs(weight.numpy() - old).max() > 0, weight.path


@pytest.mark.parametrize("precision", [name for name in PRECISIONS if name != "float32"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_mixed_precision_gives_float32_scores_near_the_full_ones(encoder, precision, batch_of, randomize):
    parts = {"encoder": encoder, "pooling": "attention", "fusion": "projection", "layers": 1}
    policy = keras.config.dtype_policy()
    full = randomize(_build(**parts))
    mixed = _build(**parts, precision=precision)
    assert keras.config.dtype_policy() == policy
    mixed.set_weights(full.get_weights())
    assert mixed.get_layer("fusion_projection_rgb").compute_dtype == precision.removeprefix("mixed_")
    _check_scores(mixed(batch_of()), 3)
    np.testing.assert_allclose(mixed(batch_of()), full(batch_of()), atol=0.03)


def test_the_policy_set_in_keras_is_followed(batch_of):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = _build(layers=1)
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.get_layer("encoder_1_forward").compute_dtype == "bfloat16"
    _check_scores(model(batch_of()), 3)


UNKNOWN = {
    "normalization": ("layers", NORMALIZATIONS),
    "fusion": ("sharedspace", FUSIONS),
    "encoder": ("bi-gru", ENCODERS),
    "pooling": ("atention", POOLINGS),
    "classifier": ("logistics", CLASSIFIERS),
    "gate_pooled": ("contex", GATES),
    "gate_scores": ("contex", GATES),
    "fusion_stage": ("erly", FUSION_STAGES),
    "mapping_initializer": ("norml", ("normal", "glorot")),
    "precision": ("bfloat16", PRECISIONS),
    "level": ("frames", ("video", "frame")),
}


@pytest.mark.parametrize("part", UNKNOWN)
def test_unknown_names_list_the_choices(part):
    name, choices = UNKNOWN[part]
    with pytest.raises(UsageError) as caught:
        _build(**{part: name})
    assert name in str(caught.value)
    assert "Did you mean" in str(caught.value)
    for choice in choices:
        assert choice in str(caught.value)


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name not in VIDEO_ENCODERS])
def test_encoders_of_frames_are_refused_at_video_level(encoder):
    with pytest.raises(UsageError, match=f"'{encoder}' reads frames"):
        _build(features=_floats(TWO), level="video", encoder=encoder)


@pytest.mark.parametrize("pooling", [name for name in POOLINGS if name != "last"])
def test_poolings_are_refused_at_video_level(pooling):
    with pytest.raises(UsageError, match=f"'{pooling}' pools frames"):
        _build(features=_floats(TWO), level="video", encoder="none", pooling=pooling)


@pytest.mark.parametrize("classifier", FRAME_CLASSIFIERS)
def test_classifiers_of_frames_are_refused_at_video_level(classifier):
    with pytest.raises(UsageError, match=f"'{classifier}' judges frames"):
        _build(features=_floats(TWO), level="video", encoder="none", classifier=classifier)


@pytest.mark.parametrize("part", [{"pooling": "mean"}, {"gate_pooled": "context"}, {"pooled_units": 4}])
@pytest.mark.parametrize("classifier", FRAME_CLASSIFIERS)
def test_classifiers_of_frames_leave_nothing_to_pool(classifier, part):
    with pytest.raises(UsageError, match=f"{next(iter(part))} must stay"):
        _build(classifier=classifier, layers=1, **part)


def test_copies_differ_and_their_mean_is_the_score(batch_of):
    model = _build(copies=3, encoder="hidden", pooling="mean", layers=1)
    batch = batch_of()
    each = np.asarray(training_model(model)(batch))
    assert each.shape == (3, 3, 3)
    assert np.abs(each[:, 0] - each[:, 1]).max() > 1e-4
    np.testing.assert_allclose(model(batch), each.mean(1), atol=1e-6)
    assert model.count_params() == 3 * _build(encoder="hidden", pooling="mean", layers=1).count_params()


def test_a_model_without_copies_is_trained_as_it_is():
    model = _build(layers=1)
    assert training_model(model) is model


@pytest.mark.parametrize("gate", GATES)
def test_a_chains_first_stage_is_trained_beside_its_last(gate, batch_of, randomize):
    model = randomize(_build(classifier="chaining", encoder="hidden", pooling="mean", gate_scores=gate))
    batch = batch_of()
    stages = np.asarray(training_model(model)(batch))
    assert stages.shape == (3, 2, 3)
    np.testing.assert_allclose(stages[:, 1], model(batch), atol=1e-6)
    first = keras.Model(model.input, model.get_layer("first_scores").output)
    np.testing.assert_allclose(stages[:, 0], first(batch), atol=1e-6)
    assert np.abs(stages[:, 0] - stages[:, 1]).max() > 1e-2
    assert {id(weight) for weight in training_model(model).weights} == {
        id(weight) for weight in model.weights
    }


def test_copies_of_chains_are_trained_each_stage_by_itself(batch_of, tmp_path):
    built = _build(classifier="chaining", encoder="hidden", pooling="mean", layers=1, copies=2)
    built.save(tmp_path / "model.keras")
    batch = batch_of()
    for model in (built, load_model(tmp_path / "model.keras")):
        stages = np.asarray(training_model(model)(batch))
        assert stages.shape == (3, 2 * 2, 3)
        np.testing.assert_allclose(model(batch), stages[:, [1, 3]].mean(1), atol=1e-6)
        assert {id(weight) for weight in training_model(model).weights} == {
            id(weight) for weight in model.weights
        }


def test_a_linear_layer_makes_little_of_a_wide_pooling(batch_of):
    model = _build(encoder="none", pooling="netvlad", clusters=5, pooled_units=6, gate_pooled="context")
    assert model.get_layer("pooled").kernel.shape == (5 * 7, 6)
    _check_scores(model(batch_of()), 3)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("units", 0),
        ("units", 2.5),
        ("layers", 0),
        ("mixtures", -1),
        ("num_classes", 0),
        ("fusion_units", 0),
        ("attention_units", -3),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("input_dropout", 1.5),
        ("heads", 0),
        ("clusters", 0),
        ("pooled_units", 0),
        ("copies", 0),
        ("alignment_weight", -1.0),
        ("l2", float("nan")),
    ],
)
def test_numbers_out_of_range_are_named(part, value):
    with pytest.raises(UsageError, match=f"Received: {part}="):
        _build(**{part: value})


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ({}, "at least one modality"),
        ({"rgb": (4, "bytes")}, "Did you mean 'byte'"),
        ({"rgb": (0, "byte")}, "size of the modality 'rgb'=0"),
        ({"num_frames": (4, "byte")}, "cannot be the name"),
        ({"mean/rgb": (4, "byte")}, "cannot be the name"),
    ],
)
def test_features_that_make_no_model(features, says):
    with pytest.raises(UsageError, match=says):
        _build(features=features)
