"""What the fields of a profile may be, and which do not go together."""

from __future__ import annotations

import math
from collections.abc import Callable

from dmlkit.errors import UsageError, choose
from dmlkit.profiles.profile import AFTER_TUNING, REFIT, Profile

# The names that fields may have. Their tables load Keras, and a command tells a wrong name before it does.
CHOICES: dict[str, tuple[str, ...]] = {
    "normalization": ("none", "layer", "batch", "variance"),
    "schedule": ("staircase", "cosine", "cyclic"),
    "after_tuning": tuple(AFTER_TUNING),
    "frame_choice": ("first", "uniform", "random"),
}

# What numbers fields may have: in words, as a test, and which fields.
RANGES: tuple[tuple[str, Callable[[float], bool], tuple[str, ...]], ...] = (
    (
        "at least 1",
        lambda value: value >= 1,
        ("units", "layers", "batch_size", "epochs", "patience", "cycles"),
    ),
    (
        "at least 1, or None for all",
        lambda value: value is None or value >= 1,
        ("max_frames", "max_train_videos", "max_tuning_videos", "max_validate_videos"),
    ),
    ("above 0", lambda value: 0 < value < math.inf, ("learning_rate", "clip_norm", "converged_after")),
    ("two numbers above 0", lambda two: all(0 < value < math.inf for value in two), ("decay_examples",)),
    ("at least 0", lambda value: 0 <= value < math.inf, ("mixup", "checkpoints", "ridge")),
    ("above 0 and at most 1", lambda value: 0 < value <= 1, ("decay", "frame_share")),
    ("at least 0 and at most 1", lambda value: 0 <= value <= 1, ("teaching", "class_balance")),
    (
        "at least 0 and below 1",
        lambda value: 0 <= value < 1,
        ("dropout", "input_dropout", "label_smoothing", "modality_dropout", "ema", "warm_up"),
    ),
)

# What happens in the optimiser's steps alone, of which a solution has none.
OF_STEPS = ("label_smoothing", "mixup", "modality_dropout", "ema")


def positive(profile: Profile) -> Profile:
    """The profile itself, if its numbers and names make sense.

    Raises:
        UsageError: A size, rate or count is out of its range, a name unknown, or two that do not go together.
    """
    for name, choices in CHOICES.items():
        choose(dict.fromkeys(choices), getattr(profile, name), what=name.replace("_", " "))
    for words, fits, names in RANGES:
        for name in names:
            if not fits(getattr(profile, name)):
                raise UsageError(
                    f"The profile's {name} must be {words}. Received: {name}={getattr(profile, name)!r}."
                )
    if profile.cycles > profile.epochs or (profile.cycles > 1 and profile.schedule != "cyclic"):
        raise UsageError(
            "The profile's cycles belong to the schedule 'cyclic', and each takes an epoch or more. "
            f"Received: cycles={profile.cycles}, schedule={profile.schedule!r}, epochs={profile.epochs}."
        )
    if profile.checkpoints and profile.after_tuning == REFIT:
        raise UsageError(
            "The moments of a training are kept where its best epoch is, not where it is done once more. Choose one. "
            f"Received: checkpoints={profile.checkpoints}, after_tuning={profile.after_tuning!r}."
        )
    for name in OF_STEPS:
        if profile.ridge and (value := getattr(profile, name)):
            raise UsageError(
                f"With a ridge the model is solved for, in no steps that {name} could change. Leave one of them at 0. "
                f"Received: ridge={profile.ridge}, {name}={value}."
            )
    # A training that stops early is not to leave fewer than an ensemble counts on.
    waits = min(profile.epochs, profile.patience + 1)
    surely = min(epoch for epoch in profile.moments if epoch >= waits)
    if profile.checkpoints > (there := sum(epoch <= surely for epoch in profile.moments)):
        raise UsageError(
            f"The profile's training may end after {surely} epochs, by when only {there} models could be kept (at the "
            "ends of cycles where the rate is cyclic, else after each epoch). Raise the patience or the cycles, or ask "
            f"for fewer. Received: checkpoints={profile.checkpoints}, cycles={profile.cycles}, "
            f"patience={profile.patience}, epochs={profile.epochs}."
        )
    return profile
