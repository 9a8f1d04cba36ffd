"""The profiles under which whole ladders are compared."""

from __future__ import annotations

from dmlkit.profiles.profile import Profile

SMOKE = Profile(
    name="smoke",
    purpose="seconds: does everything run? Its scores mean nothing",
    units=8,
    layers=1,
    epochs=2,
    patience=2,
    max_frames=10,
    max_train_videos=200,
    max_tuning_videos=100,
    max_validate_videos=200,
)
DEMO = Profile(
    name="demo",
    purpose="minutes on two cores: a small ladder whose steps can be seen",
    units=64,
    dropout=0.3,
    epochs=8,
    learning_rate=0.005,
    max_train_videos=20_000,
    max_tuning_videos=2_000,
    max_validate_videos=5_000,
)
FULL = Profile(
    name="full",
    purpose="an hour or more: larger models, every side question of the notebooks",
    units=128,
    dropout=0.3,
    epochs=24,
    patience=4,
    max_train_videos=100_000,
    max_tuning_videos=10_000,
    max_validate_videos=20_000,
)
PAPER = Profile(
    name="paper",
    purpose="the paper's sizes, for a GPU and the whole of YouTube-8M",
    units=1024,
    batch_size=1024,
    epochs=5,
    patience=2,
    learning_rate=0.001,
    decay_examples=(4_000_000, 40_000),
    converged_after=0.9,
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (SMOKE, DEMO, FULL, PAPER)}
