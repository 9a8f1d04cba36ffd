"""What a profile is: sizes, input normalisation, optimiser and budget, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

KEEP, REFIT = "keep", "refit"
AFTER_TUNING = {
    KEEP: "its model is kept",
    REFIT: "as many epochs are trained anew, on the training and tuning parts together, and the last is kept; the "
    "scores of the tuning part stay those of the model that had not seen it (`training.Trainer.refit`)",
}


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
        schedule: How the rate goes on, a name in `dmlkit.training.objectives.SCHEDULES`.
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
        after_tuning: What becomes of the best epoch, a name in `AFTER_TUNING`.
        ridge: λ, by which a kernel machine is solved for in closed form; 0 where the optimiser trains the model. What
            belongs to its steps (`checking.OF_STEPS`) must be 0 beside it.
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
    after_tuning: str = KEEP
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
