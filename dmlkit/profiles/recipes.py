"""The profiles of single experiments, made for data of one kind."""

from __future__ import annotations

from dmlkit.profiles.profile import REFIT, Profile

YT8M_BEST = Profile(
    name="yt8m-best",
    purpose="one model on thousands of video-level videos: wide, dropped from twice, 12 epochs, twice",
    units=1024,
    layers=1,
    normalization="variance",
    dropout=0.5,
    input_dropout=0.25,
    batch_size=128,
    epochs=12,
    patience=12,
    learning_rate=0.001,
    schedule="cosine",
    warm_up=0.08,
    clip_norm=100.0,
    after_tuning=REFIT,
)
YT8M_KERNEL = Profile(
    name="yt8m-kernel",
    purpose="kernel ridge regression on up to 16,000 video-level videos, solved for twice",
    units=16_000,
    layers=1,
    normalization="variance",
    batch_size=128,
    epochs=1,
    patience=1,
    after_tuning=REFIT,
    ridge=0.02,
)
AUDIOSET_BEST = Profile(
    name="audioset-best",
    purpose="one model on thousands of clips of frames: a wide layer, blended clips, 8 epochs",
    units=1024,
    layers=1,
    dropout=0.5,
    batch_size=128,
    epochs=8,
    patience=8,
    learning_rate=0.0015,
    schedule="cosine",
    warm_up=0.1,
    mixup=0.4,
)
AUDIOSET_KERNEL = Profile(
    name="audioset-kernel",
    purpose="kernel ridge regression on the means of up to 16,000 clips of frames, solved for",
    units=16_000,
    layers=1,
    batch_size=128,
    epochs=1,
    patience=1,
    ridge=0.05,
)

RECIPES: dict[str, Profile] = {
    profile.name: profile for profile in (YT8M_BEST, YT8M_KERNEL, AUDIOSET_BEST, AUDIOSET_KERNEL)
}
"""The profiles of single experiments, which carry them as `Experiment.recipe`; a ladder is not compared under them."""
