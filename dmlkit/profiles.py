"""The conditions under which experiments are compared: one setting for a whole ladder.

A profile is sizes, input normalization, optimizer and budget. Every experiment trained under it sees the same number
of examples at the same learning rates; early stopping looks at the tuning split alone.

`PROFILES` are the conditions of whole ladders, `RECIPES` those of single experiments (`Experiment.recipe`).
"""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from dmlkit.errors import UsageError, brief, choose, nearest
from dmlkit.experiments import TRICKS, Experiment

REFIT = "refit"

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareAboveZero = Annotated[float, Field(gt=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Profile:
    """One setting for all experiments of a ladder, checked when it is made (also by `dataclasses.replace`).

    Args:
        name: Its name in `PROFILES`.
        purpose: What it is for, in one line.
        units, layers: Size of the encoders: cells in a direction, layers stacked.
        normalization: Input normalization, a name in `dmlkit.models.NORMALIZATIONS`.
        dropout, input_dropout: Share of the encoder's outputs, and of the normalized features, dropped in training.
        batch_size: Videos a step.
        epochs: Most epochs over the training split; `epochs` × videos is the budget of examples.
        patience: Epochs without a better GAP on the tuning split before training ends.
        learning_rate: Adam's initial learning rate.
        schedule: Learning rate schedule: `staircase` (the paper's), `cosine` or `cyclic`.
        cycles: Number of cosine cycles over the budget (`cyclic` only), each of whole epochs (`cycle_ends`).
        warm_up: Share of the budget in which a cosine schedule rises.
        decay: Factor of each step of the staircase.
        decay_examples: Examples between two steps, before and after the loss has nearly converged.
        converged_after: Examples after which the second interval holds.
        clip_norm: Largest norm of each variable's gradient.
        label_smoothing: Share of each video's labels that is spread over all classes.
        mixup: α of the Beta(α, α) by which two videos and their labels are blended; 0 for none.
        class_balance: Sampling of videos in proportion to the mean over their classes of (videos of the class) to the
            power of -`class_balance`, from 0 (uniform) to 1 (where videos have one class each, classes equally often).
        modality_dropout: Share of each modality's videos that are shown without it.
        ema: Decay per step of an exponential moving average of the weights, which is scored and kept; 0 for none.
        teaching: Weight of the teachers' scores against the labels, where there are teachers (distillation).
        checkpoints: How many epochs' models are kept as runs of their own: the last of `moments`.
        after_tuning: `keep` the best epoch's model, or `refit`: train as many epochs again on the training and tuning
            splits together and keep the last; the tuning scores stay those of the model that had not seen that split.
        ridge: λ of the closed-form solution of a kernel machine; 0 where the optimizer trains the model.
        max_frames, frame_choice: Frames of a video that are read, and which (`first`, `uniform`, `random`).
        frame_share: Share of those frames that training samples, again each epoch; scoring reads all of them.
        max_train_videos, max_tuning_videos, max_validate_videos: Caps on the splits: the videos of a fixed sample of
            their shards, whatever the seed; None for no cap.

    Counts of examples given as floats below 1 are shares of the budget, so that a staircase made for millions of
    videos keeps its shape on thousands.

    Raises:
        UsageError: A value is of the wrong type or out of its range, or two do not go together.

    Paper: §Optimization (Adam, a decay of 95 % in two stages); gradients clipped as in YouTube-8M's starter code.
    """

    name: str
    purpose: str
    units: Count
    layers: Count = 2
    normalization: Literal["none", "layer", "batch", "variance"] = "layer"
    dropout: ShareBelowOne = 0.0
    input_dropout: ShareBelowOne = 0.0
    batch_size: Count = 64
    epochs: Count
    patience: Count = 3
    learning_rate: Positive = 0.003
    schedule: Literal["staircase", "cosine", "cyclic"] = "staircase"
    cycles: Count = 1
    warm_up: ShareBelowOne = 0.05
    decay: ShareAboveZero = 0.95
    decay_examples: tuple[Positive, Positive] = (0.5, 0.025)
    converged_after: Positive = 0.5
    clip_norm: Positive = 1.0
    label_smoothing: ShareBelowOne = 0.0
    mixup: NonNegative = 0.0
    class_balance: Share = 0.0
    modality_dropout: ShareBelowOne = 0.0
    ema: ShareBelowOne = 0.0
    teaching: Share = 0.5
    checkpoints: Annotated[int, Field(ge=0)] = 0
    after_tuning: Literal["keep", "refit"] = "keep"
    ridge: NonNegative = 0.0
    max_frames: Count | None = 300
    frame_choice: Literal["first", "uniform", "random"] = "first"
    frame_share: ShareAboveZero = 1.0
    max_train_videos: Count | None = None
    max_tuning_videos: Count | None = None
    max_validate_videos: Count | None = None

    __repr__ = brief

    @model_validator(mode="wrap")
    @classmethod
    def _as_usage_error(cls, data, handler):
        try:
            return handler(data)
        except ValidationError as error:
            raise UsageError(_explain(error)) from None

    @model_validator(mode="after")
    def _check_combinations(self):
        def refuse(message: str, *names: str) -> None:
            received = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
            raise UsageError(f"{message} Received: {received}.")

        if self.cycles > self.epochs or (self.cycles > 1 and self.schedule != "cyclic"):
            message = "Cycles belong to the schedule 'cyclic', and each takes at least one epoch."
            refuse(message, "cycles", "schedule", "epochs")
        if self.checkpoints and self.after_tuning == REFIT:
            message = "Checkpoints are of the training before a refit, which replaces its model. Choose one."
            refuse(message, "checkpoints", "after_tuning")
        # A closed-form solution has no steps of an optimizer.
        for name in ("label_smoothing", "mixup", "modality_dropout", "ema"):
            if self.ridge and getattr(self, name):
                refuse(f"A ridge has no training steps that {name} could change: choose one.", "ridge", name)
        # A training that stops early must not leave fewer checkpoints than an ensemble counts on.
        earliest_stop = min(epoch for epoch in self.moments if epoch >= min(self.epochs, self.patience + 1))
        if self.checkpoints > (kept := sum(epoch <= earliest_stop for epoch in self.moments)):
            message = (
                f"The profile's training may end after {earliest_stop} epochs, by when only {kept} checkpoints exist "
                "(at the ends of cycles under a cyclic schedule, else after each epoch). Raise patience or cycles, or "
                "ask for fewer."
            )
            refuse(message, "checkpoints", "cycles", "patience", "epochs")
        return self

    def to_record(self) -> dict:
        """Plain values for `run.json`; `Profile(**record)` is the profile again."""
        return asdict(self) | {"decay_examples": list(self.decay_examples)}

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """The epochs after which the learning rate has fallen to its end: of each cycle, or of the budget alone."""
        return tuple(self.epochs * (cycle + 1) // self.cycles for cycle in range(self.cycles))

    @property
    def moments(self) -> tuple[int, ...]:
        """The epochs after which training may stop early and models may be kept: the ends of cycles, or all."""
        return self.cycle_ends if self.schedule == "cyclic" else tuple(range(1, self.epochs + 1))

    @property
    def caps(self) -> dict[str, int | None]:
        """Split → the most videos read of it."""
        return {split: getattr(self, f"max_{split}_videos") for split in ("train", "tuning", "validate")}


def _explain(error: ValidationError) -> str:
    """The first error: which field, what it may be, what was received."""
    first = error.errors()[0]
    name, received, kind = str(first["loc"][0]), first["input"], first["type"]
    if kind == "unexpected_keyword_argument":
        return f"A profile has no field {name!r}.{nearest(name, Profile.__dataclass_fields__)}"
    if kind == "missing" and len(first["loc"]) == 1:
        return f"A profile needs a value for {name!r}."
    allowed = "two numbers" if name == "decay_examples" else first["msg"].removeprefix("Input should be ")
    hint = nearest(received, allowed.split("'")[1::2]) if kind == "literal_error" else ""
    optional = ", or None for all" if name.startswith("max_") else ""
    return f"The profile's {name} must be {allowed}{optional}. Received: {name}={received!r}.{hint}"


# fmt: off
SMOKE = Profile(
    name="smoke", purpose="seconds: does everything run? Its scores mean nothing",
    units=8, layers=1, epochs=2, patience=2, max_frames=10,
    max_train_videos=200, max_tuning_videos=100, max_validate_videos=200,
)
DEMO = Profile(
    name="demo", purpose="minutes on two cores: a small ladder whose steps can be seen",
    units=64, dropout=0.3, epochs=8, learning_rate=0.005,
    max_train_videos=20_000, max_tuning_videos=2_000, max_validate_videos=5_000,
)
FULL = Profile(
    name="full", purpose="an hour or more: larger models and every ablation of the notebooks",
    units=128, dropout=0.3, epochs=24, patience=4,
    max_train_videos=100_000, max_tuning_videos=10_000, max_validate_videos=20_000,
)
PAPER = Profile(
    name="paper", purpose="the paper's sizes, for a GPU and the whole of YouTube-8M",
    units=1024, batch_size=1024, epochs=5, patience=2, learning_rate=0.001,
    decay_examples=(4_000_000, 40_000), converged_after=0.9,
)
YT8M_BEST = Profile(
    name="yt8m-best", purpose="one model on thousands of video-level videos: wide, two dropouts, 12 epochs, refitted",
    units=1024, layers=1, normalization="variance", dropout=0.5, input_dropout=0.25, batch_size=128, epochs=12,
    patience=12, learning_rate=0.001, schedule="cosine", warm_up=0.08, clip_norm=100.0, after_tuning=REFIT,
)
YT8M_KERNEL = Profile(
    name="yt8m-kernel", purpose="kernel ridge regression on up to 16,000 video-level videos, solved for and refitted",
    units=16_000, layers=1, normalization="variance", batch_size=128, epochs=1, patience=1, after_tuning=REFIT,
    ridge=0.02,
)
AUDIOSET_BEST = Profile(
    name="audioset-best", purpose="one model on thousands of clips of frames: a wide layer, mixup, 8 epochs",
    units=1024, layers=1, dropout=0.5, batch_size=128, epochs=8, patience=8, learning_rate=0.0015,
    schedule="cosine", warm_up=0.1, mixup=0.4,
)
AUDIOSET_KERNEL = Profile(
    name="audioset-kernel", purpose="kernel ridge regression on the means of up to 16,000 clips of frames, solved for",
    units=16_000, layers=1, batch_size=128, epochs=1, patience=1, ridge=0.05,
)
# fmt: on

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (SMOKE, DEMO, FULL, PAPER)}
"""The profiles under which whole ladders are compared."""

RECIPES: dict[str, Profile] = {
    profile.name: profile for profile in (YT8M_BEST, YT8M_KERNEL, AUDIOSET_BEST, AUDIOSET_KERNEL)
}
"""The profiles of single experiments, which name them as `Experiment.recipe`; no ladder is compared under them."""

SETTABLE = tuple(field.name for field in fields(Profile) if field.name not in ("name", "purpose"))
"""The fields that `dmlkit train --set` takes; a profile's name decides the folder of its runs."""


def describe_settings(profile: Profile = DEMO) -> dict[str, tuple[str, str]]:
    """Each of `SETTABLE` → the values it takes (type and range, or names), and the one a profile has, as texts."""
    signs = {"minimum": ">= {}", "exclusiveMinimum": "> {}", "maximum": "<= {}", "exclusiveMaximum": "< {}"}
    schema, described = TypeAdapter(Profile).json_schema()["properties"], {}
    for name in SETTABLE:
        kind, *optional = schema[name].get("anyOf", [schema[name]])
        several = kind.get("prefixItems", [kind])  # of one type each
        kind, value = several[0], getattr(profile, name)
        limits = [sign.format(f"{kind[key]:g}") for key, sign in signs.items() if key in kind]
        values = ", ".join(kind.get("enum") or [kind["type"], *limits]) + ", or none" * len(optional)
        texts = map(str, value) if isinstance(value, tuple) else [str(value).lower()]
        described[name] = f"{len(several)} × {values}" if len(several) > 1 else values, ",".join(texts)
    return described


def as_profile(profile: str | Profile) -> Profile:
    """The profile of this name, or the profile itself."""
    return choose(PROFILES | RECIPES, profile, what="profile") if isinstance(profile, str) else profile


def profile_for(experiment: Experiment, profile: str | Profile | None) -> Profile:
    """The conditions an experiment is trained under: its trick changes the profile, whichever it is.

    Where no profile is asked for, the experiment's own recipe; where it has none, `demo`.
    """
    base = as_profile(profile or experiment.recipe or "demo")
    trick = experiment.trick
    return base if trick is None else replace(base, **choose(TRICKS, trick, what="trick").changes)
