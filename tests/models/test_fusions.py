import keras
import numpy as np
import pytest

from dmlkit.errors import UsageError
from dmlkit.models.fusions import FUSIONS, MAPPING_STARTS, Closeness

SETTINGS = {"units": 3, "mapping_initializer": "glorot", "alignment_weight": 0.5}


def _model(fusion, sizes, *, frames, **settings):
    features = {name: keras.Input((None, size) if frames else (size,)) for name, size in sizes.items()}
    num_frames = keras.Input((), dtype="int32", name="num_frames") if frames else None
    fused = FUSIONS[fusion](features, num_frames, **{**SETTINGS, **settings})
    inputs = [*features.values(), *([num_frames] if frames else [])]
    return keras.Model(inputs, fused)


def _values(sizes, *, time=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = (2,) if time is None else (2, time)
    return [rng.normal(size=(*shape, size)).astype(np.float32) for size in sizes.values()]


def _matrices(model, name):
    return [weight.numpy() for weight in model.get_layer(name).weights]


SIZES = {"audio": 2, "rgb": 4}


@pytest.mark.parametrize("time", [None, 3])
def test_concat_is_side_by_side(time):
    values = _values(SIZES, time=time)
    model = _model("concat", SIZES, frames=time is not None)
    lengths = [] if time is None else [np.array([3, 1], np.int32)]
    np.testing.assert_array_equal(model([*values, *lengths]), np.concatenate(values, -1))


@pytest.mark.parametrize("time", [None, 3])
def test_shared_space_is_one_sum_of_mappings(time, randomize):
    audio, rgb = _values(SIZES, time=time)
    model = randomize(_model("shared_space", SIZES, frames=time is not None))
    lengths = [] if time is None else [np.array([3, 1], np.int32)]
    matrix, bias = _matrices(model, "fusion_shared_space")
    expected = np.tanh(audio @ matrix[:2] + rgb @ matrix[2:] + bias)
    np.testing.assert_allclose(model([audio, rgb, *lengths]), expected, atol=1e-5)


def test_projections_and_their_distance_over_valid_frames(randomize):
    audio, rgb = _values(SIZES, time=3)
    model = randomize(_model("projection", SIZES, frames=True))
    got = model([audio, rgb, np.array([3, 1], np.int32)])
    matrix, bias = _matrices(model, "fusion_projection_audio")
    z_audio = audio @ matrix + bias
    matrix, bias = _matrices(model, "fusion_projection_rgb")
    z_rgb = rgb @ matrix + bias
    np.testing.assert_allclose(got, np.concatenate([z_audio, z_rgb], -1), atol=1e-5)
    distance = ((z_audio - z_rgb) ** 2).sum(-1)
    expected = 0.5 * (distance[0].sum() + distance[1, 0]) / 4
    assert float(model.losses[0]) == pytest.approx(expected, rel=1e-5)


def test_projections_at_video_level_are_averaged_over_videos(randomize):
    audio, rgb = _values(SIZES)
    model = randomize(_model("projection", SIZES, frames=False))
    got = np.asarray(model([audio, rgb]))
    expected = 0.5 * ((got[:, :3] - got[:, 3:]) ** 2).sum(-1).mean()
    assert float(model.losses[0]) == pytest.approx(expected, rel=1e-5)


def test_closeness_counts_every_pair_of_three():
    points = [np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), np.array([[0.0, 1.0]])]
    layer = Closeness(2.0)
    layer([point.astype(np.float32) for point in points])
    assert float(layer.losses[0]) == pytest.approx(2.0 * (25.0 + 1.0 + 18.0))


def test_closeness_of_videos_without_any_frame_is_zero():
    layer = Closeness(1.0)
    layer([np.ones((1, 2, 3), np.float32), np.zeros((1, 2, 3), np.float32)], np.array([0], np.int32))
    assert float(layer.losses[0]) == 0.0


def test_projection_of_one_modality_is_refused():
    with pytest.raises(UsageError, match=r"at least two. Received: rgb\."):
        _model("projection", {"rgb": 4}, frames=True)


@pytest.mark.parametrize("fusion", ["shared_space", "projection"])
def test_mappings_start_as_asked(fusion):
    keras.utils.set_random_seed(0)
    sizes = {"audio": 100, "rgb": 300}
    kernels = {
        start: [
            weight.numpy()
            for weight in _model(fusion, sizes, frames=False, units=200, mapping_initializer=start).weights
            if weight.path.endswith("kernel")
        ]
        for start in MAPPING_STARTS
    }
    for kernel in kernels["normal"]:
        assert kernel.std() == pytest.approx(0.01, rel=0.05)
        assert abs(kernel.mean()) < 1e-3
    for kernel in kernels["glorot"]:
        assert kernel.std() == pytest.approx(np.sqrt(2.0 / sum(kernel.shape)), rel=0.05)


def test_two_projections_do_not_start_alike():
    model = _model("projection", {"audio": 4, "rgb": 4}, frames=False)
    first, second = (_matrices(model, f"fusion_projection_{name}")[0] for name in ("audio", "rgb"))
    assert not np.allclose(first, second)


def test_an_unknown_start_lists_the_choices():
    with pytest.raises(UsageError, match=r"Did you mean 'glorot'.*normal, glorot"):
        _model("shared_space", SIZES, frames=False, mapping_initializer="glorrot")


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_takes_any_number_of_modalities(fusion, count):
    sizes = dict(list({"audio": 2, "rgb": 4, "text": 3}.items())[:count])
    if fusion == "projection" and count == 1:
        pytest.skip("one modality has nothing to be close to; its refusal is tested above")
    fused = _model(fusion, sizes, frames=True)([*_values(sizes, time=3), np.array([3, 1], np.int32)])
    assert fused.shape[:2] == (2, 3)
