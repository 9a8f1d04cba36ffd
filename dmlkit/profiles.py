"""The conditions under which rungs are compared: one setting for all of a ladder.

A profile is sizes, input normalisation, optimiser and budget. Every rung trained under it sees the same
number of examples at the same learning rates; early stopping looks at the tuning part alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from dmlkit.errors import UsageError, choose


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One setting for all rungs of a ladder.

    Args:
        name: Its name in `PROFILES`.
        purpose: What it is for, in one line.
        units, layers: Size of the encoders: cells in a direction, layers stacked.
        normalization: Input normalisation, a name in `dmlkit.models.NORMALIZATIONS`.
        dropout, input_dropout: Share of the encoder's outputs, and of the normalized features, dropped in training.
        batch_size: Videos a step.
        epochs: Passes over the training part at most; `epochs` × videos is the budget of examples.
        patience: Epochs without a better GAP on the tuning part before training ends.
        learning_rate: Adam's, at the start.
        schedule: How the rate goes on, a name in `dmlkit.training.schedule.SCHEDULES`.
        cycles: How often a cyclic rate falls to 0 over the budget. Each cycle ends with an epoch (`cycle_ends`); where
            the epochs cannot be divided evenly, the later ones are longer.
        warm_up: Share of the budget in which a cosine rises.
        decay: Factor of each step of the staircase.
        decay_examples: Examples between two steps, before and after the loss has nearly converged.
        converged_after: Examples after which the second interval holds.
        clip_norm: Largest norm of each variable's gradient.
        label_smoothing: Share of each video's labels that is spread over all classes.
        mixup: α of the Beta(α, α) by which two videos and their labels are blended; 0 for none.
        class_balance: How much more often videos of rare classes are shown, from 0, all alike, to 1, each class
            about as often as any other.
        modality_dropout: Share of each modality's videos that are shown without it.
        ema: Decay of a moving average of the weights a step, which is what is scored and kept; 0 for none.
        teaching: Share of the labels that is the teachers' scores, where there are teachers.
        checkpoints: Of how many moments of the training the models are kept as runs of their own: the ends of the last
            cycles where the rate is cyclic, else of the last epochs; 0 for none.
        ridge: λ, by which a kernel machine is solved for in closed form; 0 where the optimiser trains the model. What
            belongs to its steps (`OF_STEPS`) must be 0 beside it.
        max_frames, frame_choice: Frames of a video that are read.
        frame_share: How many of those a training shows, drawn anew each epoch; scoring reads all of them.
        max_train_videos, max_tuning_videos, max_validate_videos: Caps on the parts; None for no cap.

    Counts of examples given as floats below 1 are shares of the budget, so that a staircase made for
    millions of videos keeps its shape on thousands.

    Paper: §Optimization (Adam, a decay of 95 % in two stages); gradients clipped as in YouTube-8M's starter code.
    """

    name: str
    purpose: str
    units: int
    layers: int = 2
    normalization: str = "layer"
    dropout: float = 0.0
    input_dropout: float = 0.0
    batch_size: int = 64
    epochs: int
    patience: int = 3
    learning_rate: float = 0.003
    schedule: str = "staircase"
    cycles: int = 1
    warm_up: float = 0.05
    decay: float = 0.95
    decay_examples: tuple[float, float] = (0.5, 0.025)
    converged_after: float = 0.5
    clip_norm: float = 1.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    class_balance: float = 0.0
    modality_dropout: float = 0.0
    ema: float = 0.0
    teaching: float = 0.5
    checkpoints: int = 0
    ridge: float = 0.0
    max_frames: int | None = 300
    frame_choice: str = "first"
    frame_share: float = 1.0
    max_train_videos: int | None = None
    max_tuning_videos: int | None = None
    max_validate_videos: int | None = None

    def to_record(self) -> dict:
        """Plain values for `run.json`."""
        return asdict(self) | {"decay_examples": list(self.decay_examples)}

    @classmethod
    def from_record(cls, record: Mapping) -> Profile:
        """The profile that `to_record` wrote."""
        return cls(**{**record, "decay_examples": tuple(record["decay_examples"])})

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """The epochs after which the rate has fallen to its end: of each cycle, or of the budget alone."""
        return tuple(self.epochs * (cycle + 1) // self.cycles for cycle in range(self.cycles))

    @property
    def moments(self) -> tuple[int, ...]:
        """The epochs after which training may stop early, and whose models may be kept: the ends of cycles, or all."""
        return self.cycle_ends if self.schedule == "cyclic" else tuple(range(1, self.epochs + 1))

    @property
    def caps(self) -> dict[str, int | None]:
        """The most videos read of each part."""
        return {
            "train": self.max_train_videos,
            "tuning": self.max_tuning_videos,
            "validate": self.max_validate_videos,
        }


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
STUDY = Profile(
    name="study",
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

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (SMOKE, DEMO, STUDY, PAPER)}


YT8M_BEST = Profile(
    name="yt8m-best",
    purpose="one model on thousands of video-level videos: wide, dropped from twice, 12 epochs",
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
)
YT8M_KERNEL = Profile(
    name="yt8m-kernel",
    purpose="kernel ridge regression on up to 12,800 video-level videos, solved for",
    units=12_800,
    layers=1,
    normalization="variance",
    batch_size=128,
    epochs=1,
    patience=1,
    ridge=0.005,
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


# The names that fields may have. Their tables load Keras, and a command tells a wrong name before it does.
CHOICES: dict[str, tuple[str, ...]] = {
    "normalization": ("none", "layer", "batch", "variance"),
    "schedule": ("staircase", "cosine", "cyclic"),
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
