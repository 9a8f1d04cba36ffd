"""Frames, their padding and their normalization; texts."""

import keras
import numpy as np
import pytest

from dmlkit.models import NORMALIZATIONS, build, frame_mask
from dmlkit.models.inputs import Dequantize, LastFrame, ReverseFrames

FRAMES = np.array([[[1.0], [2.0], [3.0], [0.0]], [[5.0], [0.0], [0.0], [0.0]]], np.float32)
NUM_FRAMES = np.array([3, 1], np.int32)


def test_valid_frames_the_last_and_the_reverse():
    mask = [[True, True, True, False], [True, False, False, False]]
    assert np.asarray(frame_mask(FRAMES, NUM_FRAMES)).tolist() == mask
    assert np.asarray(LastFrame()(FRAMES, NUM_FRAMES))[:, 0].tolist() == [3.0, 5.0]
    assert np.asarray(ReverseFrames()(FRAMES, NUM_FRAMES))[:, :, 0].tolist() == [[3, 2, 1, 0], [5, 0, 0, 0]]


def test_bytes_are_the_numbers_of_the_paper():
    q = np.arange(256, dtype=np.uint8)
    numbers = np.asarray(Dequantize()(q[None]))[0]
    np.testing.assert_allclose(numbers, q * 4.0 / 255 + 4 / 512 - 2, atol=1e-6)
    assert (numbers[0], numbers[255]) == (-1.9921875, 2.0078125)


def normalizer(name, size, *, frames=True):
    values = keras.Input((None, size) if frames else (size,))
    lengths = keras.Input((), dtype="int32") if frames else None
    outputs = NORMALIZATIONS[name](values, lengths, name="normalization")
    return keras.Model([values, lengths] if frames else values, outputs)


@pytest.mark.parametrize(("name", "layer"), [("batch", ""), ("variance", "_variance")])
def test_running_statistics_are_those_of_the_valid_frames(name, layer):
    model = normalizer(name, 2)
    values = np.array([[[1.0, 0.0], [3.0, 0.0], [900.0, 5.0]]], np.float32)
    model([values, np.array([2], np.int32)], training=True)
    layer = model.get_layer(f"normalization{layer}")
    np.testing.assert_allclose(np.asarray(layer.moving_mean), [0.1 * 2.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(np.asarray(layer.moving_variance), [0.9 + 0.1 * 1.0, 0.9], atol=1e-6)


def test_layer_and_variance_normalization_by_their_equations():
    def standardized(values):
        return (values - values.mean(-1, keepdims=True)) / np.sqrt(values.var(-1, keepdims=True) + 1e-3)

    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 3, 6)).astype(np.float32)
    got = normalizer("layer", 6)([values, np.array([3, 2], np.int32)])
    np.testing.assert_allclose(got, standardized(values), atol=1e-5)
    values = (rng.normal(size=(4000, 4)) * [1.0, 1.0, 1.0, 3.0]).astype(np.float32)
    model = normalizer("variance", 4, frames=False)
    for _ in range(80):  # until the running variance, which starts at 1, has converged
        model(values, training=True)
    expected = standardized(values * values.var(0) / values.var(0).mean())
    np.testing.assert_allclose(np.asarray(model(values)), expected, atol=0.02)


FEATURES = {"rgb": (4, "byte"), "audio": (3, "float"), "text": (6, "text")}
BAGS = np.array([[1, 0, 1, 0, 0, 1], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], np.float32)


def build_with_text(**parts):
    defaults = {"level": "frame", "num_classes": 3, "units": 3, "layers": 1, "text_units": 5}
    return build(**{"features": FEATURES, **defaults, **parts})


def test_a_text_is_the_sum_of_its_tokens_vectors_over_the_root_of_their_number(batch, randomize):
    model, batch = randomize(build_with_text(input_dropout=0.2)), {**batch, "text": BAGS}
    vectors = np.asarray(model.get_layer("text_embedding").kernel)
    expected = np.array([(vectors[0] + vectors[2] + vectors[5]) / np.sqrt(3), vectors[1], np.zeros(5)])
    # In the order of the names: audio, rgb, text, which is repeated for every frame and never normalized.
    fused = np.asarray(keras.Model(model.input, model.get_layer("fusion").output)(batch))
    np.testing.assert_allclose(fused[:, :, 7:], np.repeat(expected[:, None], 5, axis=1), atol=1e-6)


@pytest.mark.parametrize(("fusion", "stage"), [("shared_space", "early"), ("projection", "late")])
def test_texts_are_fused_whatever_the_padding(fusion, stage, batch, repadded, randomize):
    model = randomize(build_with_text(fusion=fusion, fusion_stage=stage, pooling="attention"))
    batch = {**batch, "text": BAGS}
    scores = np.asarray(model(batch))
    np.testing.assert_allclose(model({**repadded, "text": BAGS}), scores, atol=1e-5)
    other = np.asarray(model({**batch, "text": BAGS[::-1].copy()}))
    np.testing.assert_array_equal(np.abs(other - scores).max(axis=1) > 1e-4, [True, False, True])
