"""What the tests of the models share: small batches, and weights that are no special case.

They run under each of Keras's backends: `KERAS_BACKEND=jax pytest tests/models`.
"""

import keras
import numpy as np
import pytest

if keras.backend.backend() == "torch":
    import torch

    # The tests read tensors as arrays; torch refuses where a gradient could still be asked for, or on a GPU.
    torch.Tensor.__array__ = lambda self, dtype=None, copy=None: np.asarray(
        self.detach().cpu().numpy(), dtype=dtype
    )

FEATURES = {"rgb": (4, "byte"), "audio": (3, "float")}


def _batch(*, time=5, num_frames=(5, 2, 1), features=FEATURES, seed=0):
    """Frame-level inputs whose padding is as random as their frames."""
    rng = np.random.default_rng(seed)
    batch = {"num_frames": np.array(num_frames, np.int32)}
    for name, (size, coding) in features.items():
        shape = (len(num_frames), time, size)
        if coding == "byte":
            batch[name] = rng.integers(0, 256, shape).astype(np.uint8)
        else:
            batch[name] = rng.normal(size=shape).astype(np.float32)
    return batch


def _repad(batch, *, time, seed=1):
    """The same videos padded to `time` frames, with other values in the padding."""
    rng = np.random.default_rng(seed)
    padded = {"num_frames": batch["num_frames"]}
    for name, values in batch.items():
        if name == "num_frames":
            continue
        shape = (len(values), time, values.shape[-1])
        fresh = (
            rng.integers(0, 256, shape) if values.dtype == np.uint8 else rng.normal(scale=50.0, size=shape)
        ).astype(values.dtype)
        for video, length in enumerate(batch["num_frames"]):
            fresh[video, :length] = values[video, :length]
        padded[name] = fresh
    return padded


def _randomize(model, *, seed=0, scale=0.4):
    """Give every weight a random value: biases and gains of a fresh model are zeros and ones."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype != "float32":
            continue  # the state of a dropout's generator
        values = rng.normal(scale=scale, size=weight.shape)
        weight.assign(np.abs(values) + 0.5 if weight.path.endswith("moving_variance") else values)
    return model


@pytest.fixture
def batch_of():
    return _batch


@pytest.fixture
def repad():
    return _repad


@pytest.fixture
def randomize():
    return _randomize
