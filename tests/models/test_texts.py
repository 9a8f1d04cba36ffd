"""A text as a modality: embedded once a video, said beside every frame, fused like any other."""

import keras
import numpy as np
import pytest

from dmlkit.errors import UsageError
from dmlkit.models import FUSIONS, NORMALIZATIONS, build, load_model
from dmlkit.models.build import FUSION_STAGES
from dmlkit.models.inputs import BesideFrames, UnitLength

FEATURES = {"rgb": (4, "byte"), "audio": (3, "float"), "text": (6, "text")}
BAGS = np.array([[1, 0, 1, 0, 0, 1], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], np.float32)


def _build(**parts):
    defaults = {"level": "frame", "num_classes": 3, "units": 3, "layers": 1, "text_units": 5}
    return build(**{"features": FEATURES, **defaults, **parts})


@pytest.fixture
def batch(batch_of):
    frames = {name: each for name, each in FEATURES.items() if name != "text"}
    return {**batch_of(features=frames), "text": BAGS}


def _padded(batch, repad):
    frames = repad({name: values for name, values in batch.items() if name != "text"}, time=8)
    return {**frames, "text": batch["text"]}


def _layer(model, name, batch):
    seen = keras.Model(model.input, model.get_layer(name).output)
    return keras.ops.convert_to_numpy(seen(batch))


def test_a_text_is_the_sum_of_its_tokens_vectors_over_the_root_of_their_number(batch, randomize):
    model = randomize(_build())
    vectors = keras.ops.convert_to_numpy(model.get_layer("text_embedding").kernel)
    expected = [(vectors[0] + vectors[2] + vectors[5]) / np.sqrt(3), vectors[1], np.zeros(5)]
    np.testing.assert_allclose(_layer(model, "text_embedding", batch), expected, atol=1e-6)
    beside = _layer(model, "text_beside_frames", batch)
    np.testing.assert_allclose(beside, np.repeat(np.array(expected)[:, None], 5, axis=1), atol=1e-6)
    # In the order of the names: audio, rgb, text.
    np.testing.assert_allclose(_layer(model, "fusion", batch)[:, :, 7:], beside, atol=1e-6)


def test_a_bag_of_length_1_whatever_it_holds():
    bags = np.array([[3, 4, 0], [0, 0, 0], [0.5, 0, 0]], np.float32)
    np.testing.assert_allclose(UnitLength()(bags), [[0.6, 0.8, 0], [0, 0, 0], [1, 0, 0]], atol=1e-6)


def test_thousands_of_tokens_are_counted_in_float32():
    # Added up one by one in bfloat16, ones stop at 256.
    scaled = UnitLength(dtype="mixed_bfloat16")(np.ones((1, 10_000), np.float32))
    np.testing.assert_allclose(np.asarray(keras.ops.cast(scaled, "float32")), 0.01, rtol=0.01)


def test_beside_frames_takes_their_number_and_nothing_else():
    frames = np.full((2, 3, 7), np.nan, np.float32)
    values = np.array([[1, 2], [3, 4]], np.float32)
    np.testing.assert_array_equal(BesideFrames()(values, frames), np.repeat(values[:, None], 3, axis=1))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_no_normalization_is_put_over_a_text(normalization):
    names = {layer.name for layer in _build(normalization=normalization, input_dropout=0.2).layers}
    assert "text_normalization" not in names
    assert {"text_bag", "text_embedding", "text_dropout", "rgb_dropout"} <= names


@pytest.mark.parametrize("fusion_stage", FUSION_STAGES)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_three_modalities_whatever_the_padding(fusion, fusion_stage, batch, repad, randomize):
    model = randomize(_build(fusion=fusion, fusion_stage=fusion_stage, pooling="attention"))
    assert set(model.input) == {"rgb", "audio", "text", "num_frames"}
    scores, losses = np.asarray(model(batch)), [float(sum(model.losses))]
    np.testing.assert_allclose(model(_padded(batch, repad)), scores, atol=1e-5)
    losses.append(float(sum(model.losses)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    alone = {name: values[1:2] for name, values in batch.items()}
    np.testing.assert_allclose(model(alone)[0], scores[1], atol=1e-5)
    other = np.asarray(model({**batch, "text": BAGS[::-1].copy()}))
    changed = np.abs(other - scores).max(axis=1) > 1e-4
    np.testing.assert_array_equal(changed, [True, False, True])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_saved_and_loaded_the_scores_are_the_same(fusion, batch, randomize, tmp_path):
    model = randomize(_build(fusion=fusion, pooling="mean"))
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(load_model(tmp_path / "model.keras")(batch), model(batch), atol=1e-6)


def test_the_order_in_which_modalities_are_listed_makes_no_difference(batch):
    turned = dict(reversed(FEATURES.items()))
    one, other = _build(), _build(features=turned)
    other.set_weights(one.get_weights())
    np.testing.assert_array_equal(one(batch), other(batch))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_video_level(fusion, randomize):
    features = {
        name: (size, "float" if coding == "byte" else coding) for name, (size, coding) in FEATURES.items()
    }
    model = randomize(_build(features=features, level="video", encoder="dense", fusion=fusion))
    batch = {"rgb": np.ones((3, 4), np.float32), "audio": np.ones((3, 3), np.float32), "text": BAGS}
    scores = np.asarray(model(batch))
    assert scores.shape == (3, 3)
    assert len({tuple(row.round(5)) for row in scores}) == 3


def test_several_copies_share_the_text(batch):
    model = _build(copies=2, input_dropout=0.1)
    assert np.isfinite(np.asarray(model(batch))).all()


def test_a_text_alone_has_no_frames():
    alone = {"text": FEATURES["text"]}
    with pytest.raises(UsageError, match=r"needs a modality that has frames.*Received: text"):
        _build(features=alone)
    model = _build(features=alone, level="video", encoder="none")
    assert np.asarray(model({"text": BAGS})).shape == (3, 3)


def test_a_size_for_the_embedding():
    assert _build(text_units=2).get_layer("text_embedding").units == 2
    with pytest.raises(UsageError, match="text_units=0"):
        _build(text_units=0)


def test_training_moves_the_vectors_of_the_tokens_that_occur(batch):
    model = _build(pooling="mean", encoder="none")
    before = keras.ops.convert_to_numpy(model.get_layer("text_embedding").kernel)
    model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy", jit_compile=False)
    model.train_on_batch(batch, np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1]], np.float32))
    moved = np.abs(keras.ops.convert_to_numpy(model.get_layer("text_embedding").kernel) - before).max(axis=1)
    np.testing.assert_array_equal(moved > 0, BAGS.any(axis=0))
