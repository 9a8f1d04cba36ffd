"""The three fusions against their equations in numpy."""

import keras
import numpy as np
import pytest

from dmlkit.errors import UsageError
from dmlkit.models import FUSIONS
from dmlkit.models.fusions import Alignment

SIZES = {"audio": 2, "rgb": 4}
NUM_FRAMES = np.array([3, 1], np.int32)
both_levels = pytest.mark.parametrize("frames", [False, True], ids=["video", "frame"])


def fuse(fusion, sizes=SIZES, *, frames, randomize=None, **settings):
    """The model, its inputs as arrays, and its output for them."""
    settings = {"units": 3, "mapping_initializer": "glorot", "alignment_weight": 0.5, **settings}
    features = {name: keras.Input((None, size) if frames else (size,)) for name, size in sizes.items()}
    num_frames = keras.Input((), dtype="int32", name="num_frames") if frames else None
    inputs = [*features.values(), *([num_frames] if frames else [])]
    model = keras.Model(inputs, FUSIONS[fusion](features, num_frames, **settings))
    if randomize:
        randomize(model)
    rng, shape = np.random.default_rng(0), (2, 3) if frames else (2,)
    values = [rng.normal(size=(*shape, size)).astype(np.float32) for size in sizes.values()]
    return model, values, np.asarray(model([*values, *([NUM_FRAMES] if frames else [])]))


@both_levels
def test_concat_and_shared_space_by_their_equations(frames, randomize):
    _, values, got = fuse("concat", frames=frames)
    np.testing.assert_array_equal(got, np.concatenate(values, -1))
    model, (audio, rgb), got = fuse("shared_space", frames=frames, randomize=randomize)
    matrix, bias = model.get_layer("fusion_shared_space").get_weights()
    np.testing.assert_allclose(got, np.tanh(audio @ matrix[:2] + rgb @ matrix[2:] + bias), atol=1e-5)


@both_levels
def test_projections_and_their_distance_over_valid_frames(frames, randomize):
    model, values, got = fuse("projection", frames=frames, randomize=randomize)
    mapped = []
    for name, value in zip(SIZES, values, strict=True):
        matrix, bias = model.get_layer(f"fusion_projection_{name}").get_weights()
        mapped.append(value @ matrix + bias)
    np.testing.assert_allclose(got, np.concatenate(mapped, -1), atol=1e-5)
    distance = ((mapped[0] - mapped[1]) ** 2).sum(-1)
    mean = (distance[0].sum() + distance[1, 0]) / 4 if frames else distance.mean()
    assert float(model.losses[0]) == pytest.approx(0.5 * mean, rel=1e-5)


def test_the_alignment_loss_counts_every_pair():
    layer = Alignment(2.0)
    layer([np.array([point], np.float32) for point in ([0, 0], [3, 4], [0, 1])])
    assert float(layer.losses[0]) == pytest.approx(2.0 * (25.0 + 1.0 + 18.0))


@pytest.mark.parametrize("fusion", ["shared_space", "projection"])
def test_mapping_initializers(fusion):
    keras.utils.set_random_seed(0)
    for initializer in ("normal", "glorot"):
        sizes, settings = {"audio": 200, "rgb": 200}, {"units": 200, "mapping_initializer": initializer}
        model, _, _ = fuse(fusion, sizes, frames=False, **settings)
        kernels = [np.asarray(each) for each in model.weights if each.path.endswith("kernel")]
        for kernel in kernels:
            expected = 0.01 if initializer == "normal" else np.sqrt(2 / sum(kernel.shape))
            assert kernel.std() == pytest.approx(expected, rel=0.05)
        assert len(kernels) == 1 or not np.allclose(*kernels)  # not the same numbers twice


def test_fusions_take_one_modality_but_projections_need_two():
    for fusion in ("concat", "shared_space"):
        assert fuse(fusion, {"rgb": 4}, frames=True)[2].shape[:2] == (2, 3)
    with pytest.raises(UsageError, match=r"at least two. Received: rgb\."):
        fuse("projection", {"rgb": 4}, frames=True)
