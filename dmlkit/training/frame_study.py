"""How many frames a trained model needs, and how they should be chosen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dmlkit.data import FRAME_CHOICES
from dmlkit.metrics import gap_interval, global_average_precision
from dmlkit.profiles import Profile
from dmlkit.runs import Run
from dmlkit.training.scoring import predict

COLUMNS = ("frames", "choice", "gap", "gap_low", "gap_high", "seconds", "videos")
RESAMPLES = 300


def frame_study(
    run: Run | None, dataset, *, counts: Sequence[int | None] = (10, 20, 40, None), split: str = "tuning"
) -> pd.DataFrame:
    """Score a part of the data with fewer frames, chosen in each of the ways there are.

    The model stays as it was trained; nothing is trained anew. The seconds are those of reading and scoring,
    without what Keras does once for each new shape.

    Args:
        run: A trained run on frames; None where the data set has none.
        dataset: The data set the run was trained on.
        counts: Frames of a video at most; None for all of them.
        split: The part. How many frames to read is a setting, so it is the tuning part unless said otherwise.

    Returns:
        A row for each choice and count: `frames` (text, "all" for None), `choice`, `gap`, `gap_low`,
        `gap_high`, `seconds`, `videos`. Empty without a run, or where there are no frames.

    Paper: §Future work (training on randomly sampled frames). Differs from the paper: the frames are sampled when
    a model is used; `Profile.frame_share` draws them in training.
    """
    if run is None or dataset.level != "frame":
        return pd.DataFrame(columns=list(COLUMNS))
    profile = Profile.from_record(run.record["profile"])
    _warm_up(run, dataset, split, profile, counts)
    # All frames are the same frames whichever way they are chosen.
    every = _score(run, dataset, split, profile, count=None, choice="first") if None in counts else {}
    rows = []
    for choice in FRAME_CHOICES:
        for count in counts:
            measured = (
                every if count is None else _score(run, dataset, split, profile, count=count, choice=choice)
            )
            rows.append({"frames": "all" if count is None else str(count), "choice": choice, **measured})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _warm_up(run: Run, dataset, split: str, profile: Profile, counts: Sequence[int | None]) -> None:
    """Let Keras see batches of several sizes and lengths, after which it stops compiling for new ones."""
    few = max(profile.batch_size, 64) + 1
    profile = replace(profile, max_train_videos=few, max_tuning_videos=few, max_validate_videos=few)
    for count in counts:
        predict(run.model, dataset, split, profile=replace(profile, max_frames=count))


def _score(run: Run, dataset, split: str, profile: Profile, *, count: int | None, choice: str) -> dict:
    profile = replace(profile, max_frames=count, frame_choice=choice)
    since = time.monotonic()
    predictions = predict(run.model, dataset, split, profile=profile)
    seconds = time.monotonic() - since
    scores = predictions.scores.astype(np.float32)
    low, high = gap_interval(scores, predictions.labels, resamples=RESAMPLES)
    return {
        "gap": global_average_precision(scores, predictions.labels),
        "gap_low": low,
        "gap_high": high,
        "seconds": round(seconds, 3),
        "videos": len(scores),
    }
