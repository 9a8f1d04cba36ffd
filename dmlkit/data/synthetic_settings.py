"""What a generated data set is a function of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dmlkit.data.synthetic_kinds import DEMO_FRAMES, DEMO_SIZES
from dmlkit.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a generated data set is a function of.

    Args:
        seed: Of everything random; not negative.
        train: Videos of the training part (a tenth of its shards is the tuning part).
        validate: Videos of the validation part.
        test: Videos of the test part, which has no labels; 0 for none.
        sizes: Values a frame for ``"rgb"`` and ``"audio"``.
        min_frames: Frames of the shortest video, at least 20; None for half of the longest.
        max_frames: Frames of the longest.
        text: Whether videos have a title and keywords as a third modality.

    Raises:
        UsageError: A value with which the data would not be what their kinds say.
    """

    seed: int = 0
    train: int = 2000
    validate: int = 1000
    test: int = 200
    sizes: Mapping[str, int] = field(default_factory=lambda: dict(DEMO_SIZES))
    min_frames: int | None = None
    max_frames: int = DEMO_FRAMES
    text: bool = False

    def __post_init__(self) -> None:
        # Two settings are equal if they mean the same data, however they were given.
        object.__setattr__(self, "sizes", {name: int(self.sizes[name]) for name in sorted(self.sizes)})
        if self.min_frames is None:
            object.__setattr__(self, "min_frames", self.max_frames // 2)
        if set(self.sizes) != set(DEMO_SIZES) or min(self.sizes.values()) < 16:
            raise UsageError(
                "The generated data have the modalities rgb and audio, of at least 16 values a frame "
                f"(their patterns need the room). Received: sizes={self.sizes}."
            )
        if not 20 <= self.min_frames <= self.max_frames:
            raise UsageError(
                "The generated videos need at least 20 frames, so that a short event of 5 to 10 % lasts two: "
                f"20 <= min_frames <= max_frames. Received: min_frames={self.min_frames}, "
                f"max_frames={self.max_frames}."
            )
        if self.seed < 0 or self.train < 2 or self.validate < 1 or self.test < 0:
            raise UsageError(
                "`seed` and `test` must not be negative, `train` at least 2 (one is for tuning) and `validate` at "
                f"least 1. Received: seed={self.seed}, train={self.train}, validate={self.validate}, test={self.test}."
            )
