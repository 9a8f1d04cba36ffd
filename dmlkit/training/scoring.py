"""The scores of a part of a data set under a model."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from dmlkit.data import RAISE, Skipped
from dmlkit.predictions import Predictions, gather
from dmlkit.profiles import Profile
from dmlkit.training.provenance import as_profile

# A batch's inputs take about this much, so that what each call costs beside is little and memory stays small.
BATCH_BYTES = 16 << 20
FEWEST, MOST = 64, 1024
# Of a video, where all of its frames are read.
ALL_FRAMES = 300


def predict(
    model: keras.Model,
    dataset,
    split: str,
    *,
    profile: str | Profile = "demo",
    frame_choice=None,
    max_frames=None,
    on_fault: str | Skipped = RAISE,
) -> Predictions:
    """The scores of one part of a data set.

    Args:
        model: A model of `build_model`.
        dataset: What `open_dataset` gives.
        split: The part.
        profile: Batch size, frames read and cap on the videos.
        frame_choice, max_frames: Instead of the profile's.
        on_fault: As for `Dataset.batches`.
    """
    profile = as_profile(profile)
    max_frames = max_frames or profile.max_frames
    batches = dataset.batches(
        split,
        batch_size=batch_size(dataset, max_frames, least=profile.batch_size),
        frame_choice=frame_choice or profile.frame_choice,
        max_frames=max_frames,
        max_videos=profile.caps.get(split),
        on_fault=on_fault,
    )
    return gather(batches, scorer(model))


def scorer(model: keras.Model) -> Callable[[dict], np.ndarray]:
    """A function from a batch to the model's scores."""
    if isinstance(model, keras.Model) and not model.compiled:
        # Keras would have XLA compile a model from disk anew for every length of a batch.
        model.jit_compile = False
    names = [tensor.name for tensor in model.inputs]
    return lambda batch: model.predict_on_batch({name: batch[name] for name in names})


def batch_size(dataset, max_frames: int | None, *, least: int = FEWEST) -> int:
    """How many videos to score at once: many where a video is small.

    Args:
        dataset: What `open_dataset` gives.
        max_frames: The most frames a video.
        least: What a training's batches hold, which fits in memory.
    """
    frames = (max_frames or ALL_FRAMES) if dataset.level == "frame" else 1
    values = sum(each.size * (frames if each.in_frames else 1) for each in dataset.features.values())
    return max(least, FEWEST, min(MOST, BATCH_BYTES // (4 * values)))
