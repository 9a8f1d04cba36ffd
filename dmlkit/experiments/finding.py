"""Rungs by their names, the ladder of a data set, and whether data can serve a rung."""

from __future__ import annotations

from dmlkit.errors import choose
from dmlkit.experiments.beside import ABLATIONS
from dmlkit.experiments.beyond import BEYOND
from dmlkit.experiments.ladder import LADDER, VIDEO_LADDER
from dmlkit.experiments.rung import AnyExperiment, Ensemble, Missing, by_name
from dmlkit.experiments.tricks import BASES, CHECKPOINTS, TRICKS, trick_ablations

TRICK_ABLATIONS: dict[str, AnyExperiment] = {
    name: rung for level in BASES for name, rung in trick_ablations(level).items()
}
"""Every trick alone, on the base of each level."""

EXPERIMENTS: dict[str, AnyExperiment] = (
    LADDER | VIDEO_LADDER | ABLATIONS | BEYOND | TRICK_ABLATIONS | by_name(*CHECKPOINTS.values())
)


def find(name: str) -> AnyExperiment:
    """The rung of this name, wherever it stands.

    Raises:
        UsageError: There is none; the message names the nearest.
    """
    return choose(EXPERIMENTS, name, what="experiment")


def ladder_for(level: str) -> dict[str, AnyExperiment]:
    """The ladder that data of this level can climb: `"frame"` or `"video"`."""
    return choose({"frame": LADDER, "video": VIDEO_LADDER}, level, what="level")


def not_applicable_reason(rung: AnyExperiment, *, level: str, modalities: tuple[str, ...]) -> str | None:
    """Why a data set cannot serve a rung, or None where it can.

    Args:
        rung: The rung.
        level: `"frame"` or `"video"`.
        modalities: The names of the data set's features.
    """
    if isinstance(rung, Missing):
        return rung.reason
    if isinstance(rung, Ensemble):
        reasons = [
            not_applicable_reason(find(name), level=level, modalities=modalities) for name in rung.members
        ]
        return next((reason for reason in reasons if reason), None)
    if rung.encoder not in ("none", "dense", "hidden", "kernel") and level == "video":
        return "it reads frames, and this data set holds one vector a video"
    if (rung.pooling not in ("last", "mean") or rung.classifier == "class_attention") and level == "video":
        return "it weighs frames, and this data set holds one vector a video"
    if (rung.fusion != "concat" or rung.fusion_stage == "late") and len(modalities) < 2:
        return f"it fuses modalities, and this data set has one only ({', '.join(modalities)})"
    changes = TRICKS[rung.trick].changes if rung.trick else {}
    if "frame_share" in changes and level == "video":
        return "it draws frames, and this data set holds one vector a video"
    if "modality_dropout" in changes and len(modalities) < 2:
        return f"it drops modalities, and this data set has one only ({', '.join(modalities)})"
    for name in rung.teachers:
        if reason := not_applicable_reason(find(name), level=level, modalities=modalities):
            return f"its teacher {name} cannot learn from them: {reason}"
    return None
