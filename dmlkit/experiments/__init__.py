"""The paper's ladder as values, and what goes beyond it.

Each experiment is one sentence *modalities → fusion → encoder → pooling → classifier*.

    experiment   `Experiment` and `Ensemble`
    ladder       all of them: the paper's rows, ablations, later systems, recipes, tricks

This file holds all of them by name and by group, each one's baseline, and which a data set can serve.
"""

from dmlkit.errors import UsageError, choose, nearest
from dmlkit.experiments.experiment import (
    ALGORITHM_2,
    MEMBER_RUNS,
    AnyExperiment,
    Ensemble,
    Experiment,
    by_name,
)
from dmlkit.experiments.ladder import (
    ABLATIONS,
    BEYOND,
    CHECKPOINTS,
    CLASSIFIERS,
    ENCODERS,
    FUSIONS,
    LADDER,
    POOLINGS,
    RECIPES,
    TRICKS,
    VIDEO_LADDER,
    ablations_for,
    fusion_variants,
    ladder_for,
    trick_ablations,
)

EXPERIMENTS: dict[str, AnyExperiment] = by_name(
    *(LADDER | VIDEO_LADDER | ABLATIONS | BEYOND).values(),
    *(trick_ablations("frame") | trick_ablations("video")).values(),
    *CHECKPOINTS.values(),
)

# Experiment → the experiment of which it changes one thing, or the nearest to that. A fusion is compared with the
# concatenation, a pooling of plain frames with their mean, a gated pooling with the gated NetVLAD. Where a baseline
# was not trained, the baseline's own baseline serves.
# fmt: off
BASELINES = {
    "lstm": "lr", "bi-lstm": "lstm", "bi-gru-concat": "bi-lstm", "bi-gru-shared-space": "bi-gru-concat",
    "bi-gru-projection": "bi-gru-concat", "attention": "bi-gru-concat", "netvlad-gated": "netvlad",
    "mixture-of-experts": "lr", "hidden-concat": "lr", "hidden-shared-space": "hidden-concat",
    "hidden-projection": "hidden-concat", "rnn": "lstm", "lstm-peephole": "lstm", "lstm-mean": "lstm",
    "lstm-experts": "lstm", "bi-lstm-separate": "bi-lstm", "bi-gru-exact": "bi-gru-concat",
    "bi-gru-late": "bi-gru-concat", "attention-bi-lstm": "bi-lstm", "bi-gru-projection-loose": "bi-gru-concat",
    "netvlad": "lr", "netrvlad-gated": "netvlad-gated", "netfv-gated": "netvlad-gated",
    "soft-bag-gated": "netvlad-gated", "deep-bag": "lr", "feature-attention": "attention",
    "multi-head-attention": "attention", "sru": "bi-gru-concat",
    "deep-bi-lstm": "bi-lstm", "deep-bi-gru": "bi-gru-concat", "temporal-convolutions": "attention",
    "transformer": "attention", "experts-gated": "mixture-of-experts", "chaining": "mixture-of-experts",
    "class-attention": "lr", "yt8m-best": "hidden-concat", "yt8m-kernel": "lr", "audioset-kernel": "lr",
    "audioset-best": "class-attention",
}
# fmt: on

GROUPS = ("fusions", "poolings", "encoders", "classifiers", "tricks", "recipes")
"""The groups of experiments beyond the ladder; nothing is compared with recipes, whose conditions are their own."""


def find(name: str) -> AnyExperiment:
    """The experiment of this name; a `UsageError` that names the nearest where there is none."""
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    hint = nearest(name, EXPERIMENTS, most=3)
    raise UsageError(f"Unknown experiment {name!r}.{hint} `dmlkit experiments` lists all {len(EXPERIMENTS)}.")


def not_applicable_reason(
    experiment: AnyExperiment, *, level: str, modalities: tuple[str, ...]
) -> str | None:
    """Why data of a level (`"frame"` or `"video"`) and modalities cannot serve an experiment, or None."""
    data = {"level": level, "modalities": modalities}
    if isinstance(experiment, Ensemble):
        reasons = (not_applicable_reason(find(name), **data) for name in experiment.members)
        return next(filter(None, reasons), None)
    for name in experiment.teachers:
        if reason := not_applicable_reason(find(name), **data):
            return f"its teacher {name} cannot be trained: {reason}"
    changes = TRICKS[experiment.trick].changes if experiment.trick else {}
    needs_frames = {
        "reads": experiment.encoder not in ("none", "dense", "hidden", "kernel"),
        "weighs": experiment.pooling not in ("last", "mean") or experiment.classifier == "class_attention",
        "samples": "frame_share" in changes,
    }
    needs_modalities = {
        "fuses": experiment.fusion != "concat" or experiment.fusion_stage == "late",
        "drops": "modality_dropout" in changes,
    }
    for verb, needed in needs_frames.items():
        if needed and level == "video":
            return f"it {verb} frames, and this data set holds one vector a video"
    for verb, needed in needs_modalities.items():
        if needed and len(modalities) < 2:
            return f"it {verb} modalities, and this data set has one only ({', '.join(modalities)})"
    return None


def beyond_for(level: str, *groups: str) -> dict[str, AnyExperiment]:
    """The experiments beyond the ladder for data of a level, applicable or not; of some `GROUPS`, or of all."""
    # Recipes are those made for the level: `audioset-kernel` could serve one vector a video too, but its settings are
    # for means of frames.
    of_level = "yt8m" if level == "video" else "audioset"
    tables = {
        "fusions": FUSIONS,
        "poolings": POOLINGS,
        "encoders": ENCODERS,
        "classifiers": CLASSIFIERS,
        "tricks": trick_ablations(level) | by_name(CHECKPOINTS[level]),
        "recipes": {name: each for name, each in RECIPES.items() if name.startswith(of_level)},
    }
    return {
        name: each
        for group in groups or GROUPS
        for name, each in choose(tables, group, what="group of experiments").items()
    }


def baselines_for(level: str, *, modalities: tuple[str, ...]) -> dict[str, AnyExperiment]:
    """The ladder's experiments that those beyond it are compared with, in the ladder's order."""
    ladder, beyond = ladder_for(level), beyond_for(level)
    wanted = set()
    for experiment in beyond.values():
        if not_applicable_reason(experiment, level=level, modalities=modalities) is None:
            name = baseline_of(experiment.name)
            while name and name not in {**ladder, **beyond}:
                name = baseline_of(name)
            wanted.add(name)
    return {name: each for name, each in ladder.items() if name in wanted and name not in beyond}


def baseline_of(name: str) -> str | None:
    """The experiment of which this one changes one thing; None for the first of a ladder and for unknown names."""
    experiment = EXPERIMENTS.get(name)
    if getattr(experiment, "member_runs", None) == "checkpoints":
        return experiment.members[0]  # the end of the same training
    if trick := getattr(experiment, "trick", None):
        return name.removesuffix(f"-{trick}")
    if name in BASELINES:
        return BASELINES[name]
    # A variant is named after its base: `lr-no-norm`, `bi-gru-projection-glorot`.
    return max((each for each in EXPERIMENTS if name.startswith(f"{each}-")), key=len, default=None)
