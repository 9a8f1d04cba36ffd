"""The scores of a part of a data set under a model."""

from __future__ import annotations

import keras

from dmlkit.predictions import Predictions, gather
from dmlkit.profiles import Profile
from dmlkit.training.building import as_profile


def predict(
    model: keras.Model,
    dataset,
    split: str,
    *,
    profile: str | Profile = "demo",
    frame_choice=None,
    max_frames=None,
) -> Predictions:
    """The scores of one part of a data set.

    Args:
        model: A model of `build_model`.
        dataset: What `open_dataset` gives.
        split: The part.
        profile: Batch size, frames read and cap on the videos.
        frame_choice, max_frames: Instead of the profile's.
    """
    profile = as_profile(profile)
    batches = dataset.batches(
        split,
        batch_size=max(profile.batch_size, 64),
        frame_choice=frame_choice or profile.frame_choice,
        max_frames=max_frames or profile.max_frames,
        max_videos=profile.caps.get(split),
    )
    names = [tensor.name for tensor in model.inputs]
    return gather(batches, lambda batch: model.predict_on_batch({name: batch[name] for name in names}))
