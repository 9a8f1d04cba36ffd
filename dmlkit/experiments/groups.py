"""What stands beyond the ladder, idea by idea, and the rung of which each one changes one thing."""

from __future__ import annotations

from collections.abc import Callable

from dmlkit.errors import choose
from dmlkit.experiments.beyond import BEYOND
from dmlkit.experiments.finding import EXPERIMENTS, find, ladder_for, not_applicable_reason
from dmlkit.experiments.rung import AnyExperiment, Ensemble
from dmlkit.experiments.tricks import CHECKPOINTS, trick_ablations

FUSIONS = ("bi-gru-projection-loose",)
POOLINGS = (
    "netvlad",
    "netvlad-gated",
    "netrvlad-gated",
    "netfv-gated",
    "soft-bag-gated",
    "deep-bag",
    "feature-attention",
    "multi-head-attention",
)
ENCODERS = ("sru", "deep-bi-lstm", "deep-bi-gru", "temporal-convolutions", "transformer")
CLASSIFIERS = ("experts-gated", "chaining", "class-attention")

# AnyExperiment → the rung of which it changes one thing, or the nearest to that. A fusion stands against the concatenation and
# not against the fusion told before it. Where the rung below was not trained, the one below that serves.
BASELINES = {
    "lstm": "lr",
    "bi-lstm": "lstm",
    "bi-gru-concat": "bi-lstm",
    "bi-gru-shared-space": "bi-gru-concat",
    "bi-gru-projection": "bi-gru-concat",
    "attention": "bi-gru-concat",
    "netvlad-gated": "netvlad",
    "mixture-of-experts": "lr",
    "hidden-concat": "lr",
    "hidden-shared-space": "hidden-concat",
    "hidden-projection": "hidden-concat",
    # Beyond: a fusion that is made to work stands against the concatenation too.
    "bi-gru-projection-loose": "bi-gru-concat",
    # A pooling of bare frames stands against their mean, a gated one against the gated NetVLAD.
    "netvlad": "lr",
    "netrvlad-gated": "netvlad-gated",
    "netfv-gated": "netvlad-gated",
    "soft-bag-gated": "netvlad-gated",
    "deep-bag": "lr",
    "feature-attention": "attention",
    "multi-head-attention": "attention",
    "sru": "bi-gru-concat",
    "deep-bi-lstm": "bi-lstm",
    "deep-bi-gru": "bi-gru-concat",
    "temporal-convolutions": "attention",
    "transformer": "attention",
    "experts-gated": "mixture-of-experts",
    "chaining": "mixture-of-experts",
    "class-attention": "lr",
    "yt8m-best": "hidden-concat",
    "yt8m-kernel": "lr",
    "audioset-kernel": "lr",
    "audioset-best": "class-attention",
}


def _named(*names: str) -> Callable[[str], list[AnyExperiment]]:
    return lambda level: [find(name) for name in names]


def _recipes(level: str) -> list[AnyExperiment]:
    """Those made for data of this level; what reads one vector a video was not made for frames."""
    return [rung for rung in BEYOND.values() if _has_recipe(rung) and _level(rung) == level]


def _has_recipe(rung: AnyExperiment) -> bool:
    if isinstance(rung, Ensemble):
        return any(_has_recipe(find(name)) for name in rung.members)
    return bool(getattr(rung, "recipe", None))


def _level(rung: AnyExperiment) -> str:
    # It serves one vector a video too, but its settings are for means of frames.
    if rung.name == "audioset-kernel":
        return "frame"
    return "frame" if not_applicable_reason(rung, level="video", modalities=("rgb", "audio")) else "video"


# Group → its rungs, from the level of the data.
GROUPS: dict[str, Callable[[str], list[AnyExperiment]]] = {
    "fusions": _named(*FUSIONS),  # how modalities meet
    "poolings": _named(*POOLINGS),  # how a video's frames become one vector
    "encoders": _named(*ENCODERS),  # what reads the frames in their order
    "classifiers": _named(*CLASSIFIERS),  # what makes scores of a vector
    "tricks": lambda level: [
        *trick_ablations(level).values(),
        CHECKPOINTS[level],
    ],  # one model, trained otherwise
    "recipes": _recipes,  # models with conditions of their own, which nothing is compared with
}


def beyond_for(level: str, *groups: str) -> dict[str, AnyExperiment]:
    """The rungs beyond the ladder for data of a level, also those that such data cannot serve (`not_applicable_reason` tells).

    Args:
        level: `"frame"` or `"video"`.
        groups: Names in `GROUPS`; all of them where none is named.

    Raises:
        UsageError: An unknown group.
    """
    chosen = [choose(GROUPS, group, what="group of rungs") for group in groups or GROUPS]
    return {rung.name: rung for rungs in chosen for rung in rungs(level)}


def baselines_for(level: str, *, modalities: tuple[str, ...]) -> dict[str, AnyExperiment]:
    """The ladder's rungs that those beyond it stand against, in the ladder's order.

    Args:
        level: `"frame"` or `"video"`.
        modalities: The names of the data set's features.
    """
    ladder, rungs = ladder_for(level), beyond_for(level)
    wanted = set()
    for rung in rungs.values():
        if not_applicable_reason(rung, level=level, modalities=modalities) is None:
            name = baseline_of(rung.name)
            while name and name not in {**ladder, **rungs}:
                name = baseline_of(name)
            wanted.add(name)
    return {name: rung for name, rung in ladder.items() if name in wanted and name not in rungs}


def baseline_of(name: str) -> str | None:
    """The rung of which this one changes one thing; None for the first of a ladder and for what is not known."""
    rung = EXPERIMENTS.get(name)
    if getattr(rung, "member_runs", None) == "checkpoints":  # against the end of the training they are of
        return rung.members[0]
    trick = getattr(rung, "trick", None)
    return name.removesuffix(f"-{trick}") if trick else BASELINES.get(name)
