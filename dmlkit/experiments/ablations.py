"""Ablations: other readings of the paper, and training tricks, each alone on one base experiment.

    dmlkit train attention-mixup --data DIR        frame level: `attention` with one trick
    dmlkit train hidden-concat-ema --data DIR      video level: `hidden-concat` with one trick

A trick changes fields of the profile, whichever it is, and nothing of the model. The values are usual ones and were not
tuned. Every variant is scored as its base is: on all frames and modalities of a video.

Differs from the paper: it trains on whole videos and their plain labels. Random frames are its §Future work; the other
tricks are from Zou et al. 2017 and later solutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dmlkit.errors import choose
from dmlkit.experiments.experiment import AnyExperiment, Ensemble, Experiment, by_name
from dmlkit.experiments.ladder import LADDER, VIDEO_LADDER

# fmt: off
ABLATIONS: dict[str, AnyExperiment] = by_name(
    # As in the paper: the dequantized features as they are.
    *(
        each.variant("no-norm", "without input normalization", normalization="none")
        for each in list(LADDER.values())[:7]
    ),
    Experiment("rnn", "Plain RNN", "baselines", encoder="rnn"),
    Experiment("lstm-peephole", "LSTM with peepholes", "baselines", encoder="peephole_lstm"),
    Experiment("lstm-mean", "LSTM, mean of the states", "baselines", encoder="lstm", pooling="mean"),
    Experiment(
        "lstm-experts", "LSTM, mixture of experts", "baselines", encoder="lstm", classifier="mixture_of_experts"
    ),
    Experiment("bi-lstm-separate", "Bi-LSTM, two stacks", "bi-lstm", encoder="bi_lstm_separate"),
    Experiment("bi-gru-exact", "Bi-GRU, the paper's cell", "bi-gru", encoder="paper_gru"),
    Experiment("bi-gru-late", "Bi-GRU, late fusion", "fusion", encoder="bi_gru", fusion_stage="late"),
    Experiment("attention-bi-lstm", "Bi-LSTM, attention", "attention", encoder="bi_lstm", pooling="attention"),
)
# fmt: on
"""Other readings of the paper: without input normalization, its exact cells, fusion at another stage."""


@dataclass(frozen=True)
class Trick:
    """One change to how a model is trained: of fields of `Profile`, or of the experiments it is distilled from."""

    title: str  # appended to the base's title
    changes: Mapping[str, object] = field(default_factory=dict)
    teachers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # level of the data → experiments
    levels: tuple[str, ...] = ("frame", "video")  # of data for which it makes a difference


TRICKS: dict[str, Trick] = {
    # Half, so that it means the same for 20 frames as for 300; the sampled frames keep their order in time.
    "random-frames": Trick(
        "half of the frames, resampled each epoch", changes={"frame_share": 0.5}, levels=("frame",)
    ),
    "modality-dropout": Trick("modality dropout", changes={"modality_dropout": 0.2}),
    "label-smoothing": Trick("label smoothing", changes={"label_smoothing": 0.1}),
    "mixup": Trick("mixup", changes={"mixup": 0.4}),
    # About the last 100 steps: a small fraction of the shortest budget that is worth a score.
    "ema": Trick("moving average of the weights", changes={"ema": 0.99}),
    "cosine": Trick("cosine learning rate", changes={"schedule": "cosine"}),
    # Two cycles, so that even a budget of two epochs can be divided; no early stopping before the last cycle ends,
    # as `CHECKPOINTS` combines the models at the ends of all cycles.
    "cyclic": Trick(
        "cyclic learning rate",
        changes={"schedule": "cyclic", "cycles": 2, "checkpoints": 2, "patience": 1_000},
    ),
    "class-balance": Trick("class-balanced sampling", changes={"class_balance": 0.5}),
    # The base is among its teachers, so the student is no smaller than they are.
    "distilled": Trick(
        "distilled from three",
        teachers={
            "frame": ("bi-lstm", "bi-gru-concat", "attention"),
            "video": ("lr", "mixture-of-experts", "hidden-concat"),
        },
    ),
}

BASES: dict[str, Experiment] = {"frame": LADDER["attention"], "video": VIDEO_LADDER["hidden-concat"]}
"""Level of the data → the experiment that is trained with each trick."""

CHECKPOINTS: dict[str, Ensemble] = {
    level: Ensemble(
        f"{base.name}-checkpoints", f"{base.title}, checkpoints of one training", (f"{base.name}-cyclic",),
        member_runs="checkpoints", chapter="beyond",
    )
    for level, base in BASES.items()
}  # fmt: skip
"""Level of the data → the base's models at the ends of one training's cycles, combined (Huang et al., 2017)."""


def trick_ablations(level: str) -> dict[str, Experiment]:
    """Name → the base experiment of a level (`"frame"`, `"video"`) with one trick, in the order of `TRICKS`."""
    base = choose(BASES, level, what="level")
    return by_name(
        *(
            base.variant(
                name, trick.title, chapter="beyond", trick=name, teachers=trick.teachers.get(level, ())
            )
            for name, trick in TRICKS.items()
            if level in trick.levels
        )
    )


FULL_PROFILES = ("full", "paper")  # train all ablations
ALWAYS = ("lr-no-norm", "bi-gru-concat-no-norm", "attention-bi-lstm")  # trained under the others too


def ablations_for(chapter: str, profile) -> list[AnyExperiment]:
    """The ablations of a chapter: all of them under the profiles `full` and `paper`, else few or none."""
    return [
        each
        for each in ABLATIONS.values()
        if each.chapter == chapter and (profile.name in FULL_PROFILES or each.name in ALWAYS)
    ]


def fusion_variants(ladder: Mapping[str, AnyExperiment], profile) -> dict[str, Experiment]:
    """The mapped fusions of a ladder from Glorot's initializer, and the projection without alignment loss (λ = 0).

    Under the profiles `full` and `paper` also the projection with other λ.

    Paper: §Experiments (its low results of the mapped fusions, 0.011 and 0.017).
    """
    mapped = {each.fusion: each for each in ladder.values() if getattr(each, "fusion", "concat") != "concat"}
    weights = (0.0, 0.01, 0.1, 10.0, 100.0) if profile.name in FULL_PROFILES else (0.0,)
    return by_name(
        *(each.variant("glorot", "Glorot", mapping_initializer="glorot") for each in mapped.values()),
        *(
            mapped["projection"].variant(f"alignment-{weight:g}", f"λ = {weight:g}", alignment_weight=weight)
            for weight in weights
        ),
    )
