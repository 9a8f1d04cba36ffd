"""What `build` refuses: names, numbers and parts that do not go together."""

from __future__ import annotations

from collections.abc import Mapping

from dmlkit.errors import UsageError, choose
from dmlkit.models.classifiers import CLASSIFIERS, FRAME_CLASSIFIERS
from dmlkit.models.encoders import VIDEO_ENCODERS
from dmlkit.models.inputs import CODINGS, TEXT

RESERVED = (
    *("num_frames", "id", "labels", "attention", "scores", "fusion", "mean", "last", "gates", "experts"),
    *("heads", "clusters", "judged", "says", "copies", "side_by_side", "pooled", "stages"),
    *("chained", "chained_projection", "chained_length"),
    *(f"{stage}_{layer}" for stage in ("first", "second") for layer in ("gates", "experts", "scores")),
)
"""Names a modality cannot have: they are a batch's other entries, or layers."""


def check_features(features: Mapping[str, tuple[int, str]], *, level: str) -> None:
    """Refuse modalities that no model can be made for.

    Raises:
        UsageError: None at all, a name or a size that cannot be, or at frame level none that has frames.
    """
    if not features:
        raise UsageError("A model needs at least one modality. Received: features={}.")
    if level == "frame" and all(coding == TEXT for _, coding in features.values()):
        raise UsageError(
            "A model of frames needs a modality that has frames; a text is said once a video. Received: "
            f"{', '.join(features)}. Use a video-level data set."
        )
    for name, (size, coding) in features.items():
        choose(dict.fromkeys(CODINGS), coding, what=f"coding of the modality '{name}'")
        if not name.isidentifier() or name in RESERVED:
            raise UsageError(
                f"The modality {name!r} cannot be the name of a model's input: it must be letters, digits and "
                f"underscores, and none of {', '.join(RESERVED)}. Rename it in the data set."
            )
        check_numbers({f"size of the modality '{name}'": size}, rates={}, weights={})


def check_numbers(
    counts: Mapping[str, int | None], *, rates: Mapping[str, float], weights: Mapping[str, float]
) -> None:
    """Refuse numbers out of their range.

    Args:
        counts: What must be whole numbers of at least 1, or None.
        rates: What must lie at 0 or above, and below 1.
        weights: What must not be below 0.

    Raises:
        UsageError: One of them.
    """
    for name, count in counts.items():
        if count is not None and (count != int(count) or count < 1):
            raise UsageError(f"Expected a whole number of at least 1. Received: {name}={count!r}.")
    for name, weight in weights.items():
        if not weight >= 0:
            raise UsageError(f"Expected a weight of at least 0. Received: {name}={weight!r}.")
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise UsageError(f"Expected a rate of at least 0 and below 1. Received: {name}={rate!r}.")


def check_by_frame(classifier: str, *, pooling: str, gate_pooled: str, pooled_units: int | None) -> None:
    """A classifier that judges frames leaves nothing to pool, and nothing to do after it.

    Raises:
        UsageError: It is to be pooled, or something to be done after it.
    """
    for name, value, nothing in (
        ("pooling", pooling, "last"),
        ("gate_pooled", gate_pooled, "none"),
        ("pooled_units", pooled_units, None),
    ):
        if value != nothing:
            raise UsageError(
                f"The classifier {classifier!r} judges each frame and pools what it says of them, so {name} must "
                f"stay {nothing!r}. Received: {name}={value!r}."
            )


def check_video_level(*, encoder: str, pooling: str, classifier: str) -> None:
    """Refuse parts that read frames where there are none.

    Raises:
        UsageError: One of them does.
    """
    if encoder not in VIDEO_ENCODERS:
        raise UsageError(
            f"The encoder {encoder!r} reads frames, and at video level there are none. Use one of "
            f"{', '.join(VIDEO_ENCODERS)}, or a frame-level data set."
        )
    if pooling != "last":
        raise UsageError(
            f"The pooling {pooling!r} pools frames, and at video level there are none. Leave it at 'last', or "
            f"use a frame-level data set."
        )
    if classifier in FRAME_CLASSIFIERS:
        raise UsageError(
            f"The classifier {classifier!r} judges frames, and at video level there are none. Use one of "
            f"{', '.join(CLASSIFIERS)}, or a frame-level data set."
        )
