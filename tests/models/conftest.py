"""What the tests of the models share: small batches, and weights that are no special case."""

import numpy as np
import pytest

NUM_FRAMES = (5, 2, 1)


@pytest.fixture
def batch():
    """Frame-level inputs of the modalities rgb and audio, whose padding is as random as their frames."""
    rng = np.random.default_rng(0)
    return {
        "num_frames": np.array(NUM_FRAMES, np.int32),
        "rgb": rng.integers(0, 256, (3, 5, 4)).astype(np.uint8),
        "audio": rng.normal(size=(3, 5, 3)).astype(np.float32),
    }


@pytest.fixture
def repadded(batch):
    """The same videos padded to 8 frames, with other values in the padding, the last of them infinite."""
    rng = np.random.default_rng(1)
    padded = {
        "num_frames": batch["num_frames"],
        "rgb": rng.integers(0, 256, (3, 8, 4)).astype(np.uint8),
        "audio": rng.normal(scale=50.0, size=(3, 8, 3)).astype(np.float32),
    }
    padded["audio"][:, -1] = np.inf
    for video, length in enumerate(NUM_FRAMES):
        for name in ("rgb", "audio"):
            padded[name][video, :length] = batch[name][video, :length]
    return padded


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
