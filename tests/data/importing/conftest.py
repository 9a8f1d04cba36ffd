"""What the tests of importing share: made-up videos, and a data set read back row by row."""

import numpy as np
import pytest

from dmlkit.data import open_dataset

SIZES = {"rgb": 12, "audio": 5}


@pytest.fixture
def make_videos():
    """A function that makes videos: id → modality → array, of 1 to 9 frames, or one row at video level."""

    def make(count=40, *, dtype=np.float32, level="frame", seed=0):
        random = np.random.default_rng(seed)
        videos = {}
        for number in range(count):
            frames = int(random.integers(1, 10))
            shape = (frames,) if level == "frame" else ()
            if dtype == np.uint8:
                arrays = {name: random.integers(0, 256, (*shape, size)) for name, size in SIZES.items()}
            else:
                arrays = {name: random.uniform(-1.9, 1.9, (*shape, size)) for name, size in SIZES.items()}
            videos[f"v{number:03}"] = {name: array.astype(dtype) for name, array in arrays.items()}
        return videos

    return make


@pytest.fixture
def labels_for():
    """A function that gives each video its classes: one or two of five."""

    def labels(videos):
        return {name: sorted({number % 5, number % 3}) for number, name in enumerate(videos)}

    return labels


@pytest.fixture
def read_back():
    """A function that opens a data set and gives id → (modality → its frames, classes, part)."""

    def read(folder):
        dataset = open_dataset(folder)
        found = {}
        for split in dataset.splits:
            for batch in dataset.batches(split, batch_size=7):
                for row, name in enumerate(batch["id"].tolist()):
                    length = batch["num_frames"][row] if dataset.level == "frame" else None
                    arrays = {modality: batch[modality][row][:length] for modality in dataset.features}
                    classes = np.flatnonzero(batch["labels"][row]).tolist() if "labels" in batch else None
                    assert name not in found
                    found[name] = (arrays, classes, split)
        return found

    return read
