"""What the notebooks set beside the ladder to answer a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dmlkit.experiments.ladder import (
    ATTENTION,
    BI_GRU_CONCAT,
    BI_GRU_PROJECTION,
    BI_GRU_SHARED_SPACE,
    BI_LSTM,
    LR,
    LSTM,
)
from dmlkit.experiments.rung import AnyExperiment, Experiment, by_name
from dmlkit.profiles import Profile

# Beside the ladder: the paper's other readings, its exact cells, and where else the fusion could stand.
ABLATIONS: dict[str, AnyExperiment] = by_name(
    LR.without_normalization(),
    LSTM.without_normalization(),
    BI_LSTM.without_normalization(),
    BI_GRU_CONCAT.without_normalization(),
    BI_GRU_SHARED_SPACE.without_normalization(),
    BI_GRU_PROJECTION.without_normalization(),
    ATTENTION.without_normalization(),
    Experiment(name="rnn", title="Plain RNN", chapter="baselines", encoder="rnn"),
    Experiment(
        name="lstm-peephole", title="LSTM with peepholes", chapter="baselines", encoder="peephole_lstm"
    ),
    Experiment(
        name="lstm-mean",
        title="LSTM, mean of the states",
        chapter="baselines",
        encoder="lstm",
        pooling="mean",
    ),
    Experiment(
        name="lstm-experts",
        title="LSTM, mixture of experts",
        chapter="baselines",
        encoder="lstm",
        classifier="mixture_of_experts",
    ),
    Experiment(
        name="bi-lstm-separate", title="Bi-LSTM, two stacks", chapter="bi-lstm", encoder="bi_lstm_separate"
    ),
    Experiment(name="bi-gru-exact", title="Bi-GRU, the paper's cell", chapter="bi-gru", encoder="paper_gru"),
    Experiment(
        name="bi-gru-late",
        title="Bi-GRU, late fusion",
        chapter="fusion",
        encoder="bi_gru",
        fusion_stage="late",
    ),
    Experiment(
        name="attention-bi-lstm",
        title="Bi-LSTM, attention",
        chapter="attention",
        encoder="bi_lstm",
        pooling="attention",
    ),
)


# Chapter → what even the demo trains beside its rungs.
ALWAYS: dict[str, tuple[str, ...]] = {
    "baselines": ("lr-no-norm",),
    "bi-gru": ("bi-gru-concat-no-norm",),
    "attention": ("attention-bi-lstm",),
}
THOROUGH = ("full", "paper")

CLOSENESS = (0.0,)
CLOSENESS_THOROUGH = (0.0, 0.01, 0.1, 10.0, 100.0)


def ablations_for(chapter: str, profile: Profile) -> list[Experiment]:
    """The experiments beside the ladder that belong to a chapter: bare forms, exact cells, other readings.

    Args:
        chapter: As in `Experiment.chapter`.
        profile: Under `full` and `paper` all of them, else the few of `ALWAYS`.
    """
    if profile.name in THOROUGH:
        return [rung for rung in ABLATIONS.values() if rung.chapter == chapter]
    return [ABLATIONS[name] for name in ALWAYS.get(chapter, ())]


def fusion_variants(rungs: Mapping[str, Experiment], profile: Profile) -> dict[str, Experiment]:
    """The fusions of a ladder with another start or another alignment_weight: the paper's riddle, taken apart.

    Both mapped fusions from a Glorot start, and the projection with no alignment_weight at all; under `full` and
    `paper` also at other λ.

    Args:
        rungs: The ladder.
        profile: Decides how many λ there are.

    Paper: §Experiments (0.011 and 0.017 for the mapped fusions).
    """
    mapped = {
        rung.fusion: rung
        for rung in rungs.values()
        if isinstance(rung, Experiment) and rung.fusion in ("shared_space", "projection")
    }
    variants = [
        replace(
            rung,
            name=f"{rung.name}-glorot",
            title=f"{rung.title}, Glorot",
            mapping_initializer="glorot",
            paper_gap=None,
        )
        for rung in mapped.values()
    ]
    for alignment_weight in CLOSENESS_THOROUGH if profile.name in THOROUGH else CLOSENESS:
        rung = mapped["projection"]
        variants.append(
            replace(
                rung,
                name=f"{rung.name}-closeness-{alignment_weight:g}",
                title=f"{rung.title}, λ = {alignment_weight:g}",
                alignment_weight=alignment_weight,
                paper_gap=None,
            )
        )
    return {variant.name: variant for variant in variants}
