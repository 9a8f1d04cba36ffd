import keras
import numpy as np
import pytest

from dmlkit.models.inputs import NORMALIZATIONS, Dequantize


def test_bytes_are_the_numbers_of_the_paper():
    q = np.arange(256, dtype=np.uint8)
    numbers = np.asarray(Dequantize()(q[None]))[0]
    np.testing.assert_allclose(numbers, q * 4.0 / 255 + 4 / 512 - 2, atol=1e-6)
    assert numbers[0] == -1.9921875
    assert numbers[255] == 2.0078125


def _normalized(name, values, num_frames, *, training):
    inputs = keras.Input(values.shape[1:])
    lengths = None if num_frames is None else keras.Input((), dtype="int32")
    outputs = NORMALIZATIONS[name](inputs, lengths, name="normalization")
    if num_frames is None:
        return np.asarray(keras.Model(inputs, outputs)(values, training=training))
    return np.asarray(keras.Model([inputs, lengths], outputs)([values, num_frames], training=training))


def test_batch_statistics_are_those_of_the_valid_frames():
    rng = np.random.default_rng(0)
    values = rng.normal(loc=3.0, scale=2.0, size=(3, 5, 4)).astype(np.float32)
    num_frames = np.array([5, 2, 1], np.int32)
    valid = np.concatenate([values[video, :length] for video, length in enumerate(num_frames)])
    expected = (values - valid.mean(0)) / np.sqrt(valid.var(0) + 1e-3)
    values[1, 2:] = 1e4  # padding that would be seen in any statistic
    got = _normalized("batch", values, num_frames, training=True)
    for video, length in enumerate(num_frames):
        np.testing.assert_allclose(got[video, :length], expected[video, :length], atol=1e-4)


def test_running_statistics_are_those_of_the_valid_frames():
    values = np.array([[[1.0, 0.0], [3.0, 0.0], [900.0, 5.0]]], np.float32)
    inputs, lengths = keras.Input((None, 2)), keras.Input((), dtype="int32")
    outputs = NORMALIZATIONS["batch"](inputs, lengths, name="normalization")
    model = keras.Model([inputs, lengths], outputs)
    model([values, np.array([2], np.int32)], training=True)
    layer = model.get_layer("normalization")
    assert float(layer.moving_mean[0]) == pytest.approx(0.1 * 2.0)
    assert float(layer.moving_variance[0]) == pytest.approx(0.9 + 0.1 * 1.0)


def test_layer_normalization_is_each_frame_by_itself():
    values = np.random.default_rng(0).normal(size=(2, 3, 6)).astype(np.float32)
    expected = (values - values.mean(-1, keepdims=True)) / np.sqrt(values.var(-1, keepdims=True) + 1e-3)
    got = _normalized("layer", values, np.array([3, 2], np.int32), training=False)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_every_normalization_takes_video_level_features(name):
    values = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    got = _normalized(name, values, None, training=True)
    assert got.shape == values.shape
    assert np.isfinite(got).all()


def test_what_varies_more_counts_for_more():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(4000, 4)) * [1.0, 1.0, 1.0, 3.0]).astype(np.float32)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, NORMALIZATIONS["variance"](inputs, None, name="normalization"))
    for _ in range(80):  # until the running variance, which starts at 1, has come to the values'
        model(values, training=True)
    weighted = values * values.var(0) / values.var(0).mean()
    expected = (weighted - weighted.mean(-1, keepdims=True)) / np.sqrt(weighted.var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(np.asarray(model(values)), expected, atol=0.02)


def test_padding_has_no_part_in_the_variance():
    values = np.array([[[1.0, 0.0], [3.0, 0.0], [900.0, 5.0]]], np.float32)
    inputs, lengths = keras.Input((None, 2)), keras.Input((), dtype="int32")
    outputs = NORMALIZATIONS["variance"](inputs, lengths, name="normalization")
    model = keras.Model([inputs, lengths], outputs)
    model([values, np.array([2], np.int32)], training=True)
    layer = model.get_layer("normalization_variance")
    np.testing.assert_allclose(np.asarray(layer.moving_variance), [0.9 + 0.1 * 1.0, 0.9], atol=1e-6)
