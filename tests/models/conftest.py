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


@pytest.fixture
def batch_of():
    """A function: frame-level inputs of the modalities rgb and audio, whose padding is as random as their frames."""

    def make(*, time=5, num_frames=(5, 2, 1), seed=0):
        rng = np.random.default_rng(seed)
        shape = (len(num_frames), time)
        return {
            "num_frames": np.array(num_frames, np.int32),
            "rgb": rng.integers(0, 256, (*shape, 4)).astype(np.uint8),
            "audio": rng.normal(size=(*shape, 3)).astype(np.float32),
        }

    return make


@pytest.fixture
def repad():
    """A function: the same videos padded to `time` frames, with other values in the padding."""

    def make(batch, *, time):
        rng, padded = np.random.default_rng(1), dict(batch)
        for name in ("rgb", "audio"):
            values = batch[name]
            shape = (len(values), time, values.shape[-1])
            other = rng.integers(0, 256, shape) if name == "rgb" else rng.normal(scale=50.0, size=shape)
            padded[name] = other.astype(values.dtype)
            for video, length in enumerate(batch["num_frames"]):
                padded[name][video, :length] = values[video, :length]
        return padded

    return make


@pytest.fixture
def randomize():
    """A function: give every weight a random value, where a fresh model's biases and gains are zeros and ones."""

    def change(model, *, seed=0, scale=0.4):
        rng = np.random.default_rng(seed)
        for weight in model.weights:
            if weight.dtype == "float32":  # not the state of a dropout's generator
                values = rng.normal(scale=scale, size=weight.shape)
                weight.assign(np.abs(values) + 0.5 if weight.path.endswith("moving_variance") else values)
        return model

    return change
