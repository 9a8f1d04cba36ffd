"""All experiments as values: the paper's ladder, other readings of it, later systems, recipes, and tricks.

A recipe is a model and its own training conditions together (`Experiment.recipe`), those of the best scores here. A
trick is one change to how the base experiment of a level is trained: it changes fields of the profile, whichever it is,
and nothing of the model, which is scored as its base is. The values are usual ones and were not tuned.

Differs from the paper: it trains on whole videos and their plain labels. Random frames are its §Future work; the other
tricks are from Zou et al. 2017 and later solutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from dmlkit.errors import choose
from dmlkit.experiments.experiment import AnyExperiment, Ensemble, Experiment, by_name

# --- The paper's ladder, on frames and where a video is one vector ---

# fmt: off
LADDER: dict[str, AnyExperiment] = by_name(
    Experiment("lr", "Logistic regression", "baselines", pooling="mean", paper_gap=0.70727),
    Experiment("lstm", "LSTM", "baselines", encoder="lstm", paper_gap=0.79903),
    Experiment("bi-lstm", "Bi-LSTM", "bi-lstm", encoder="bi_lstm", paper_gap=0.80597),
    Experiment("bi-gru-concat", "Bi-GRU, concat", "bi-gru", encoder="bi_gru", paper_gap=0.84022),
    Experiment(
        "bi-gru-shared-space", "Bi-GRU, shared space", "fusion", encoder="bi_gru", fusion="shared_space",
        paper_gap=0.01106
    ),
    Experiment(
        "bi-gru-projection", "Bi-GRU, projection", "fusion", encoder="bi_gru", fusion="projection", paper_gap=0.01684
    ),
    Experiment(
        "attention", "Bi-GRU, attention", "attention", encoder="bi_gru", pooling="attention", paper_gap=0.81415
    ),
    Ensemble("ensemble-lr-lstm", "Ensemble, LR + LSTM", ("lr", "lstm"), paper_gap=0.81891),
    # The paper's row is the competition's winner: a weighted ensemble of 25 models around this one (Miech et al. 2017).
    Experiment(
        "netvlad-gated", "NetVLAD, gated", "beyond", pooling="netvlad", pooled_units=256, gate_pooled="context",
        classifier="mixture_of_experts", gate_scores="context", paper_gap=0.84967
    ),
)

# One vector a video has no sequence to encode and nothing to pool; a hidden layer takes their place. The few units of
# a profile's recurrent encoder would be a bottleneck for thousands of classes, and a dense layer is cheap.
_HIDDEN = {"chapter": "fusion", "encoder": "dense", "layers": 1, "units": 512}

VIDEO_LADDER: dict[str, AnyExperiment] = by_name(
    LADDER["lr"],
    Experiment("mixture-of-experts", "Mixture of experts", "baselines", classifier="mixture_of_experts"),
    Experiment("hidden-concat", "Hidden layer, concat", **_HIDDEN),
    Experiment("hidden-shared-space", "Hidden layer, shared space", fusion="shared_space", **_HIDDEN),
    Experiment("hidden-projection", "Hidden layer, projection", fusion="projection", **_HIDDEN),
    Ensemble(
        "ensemble-video", "Ensemble of the five",
        ("lr", "mixture-of-experts", "hidden-concat", "hidden-shared-space", "hidden-projection")
    ),
)
# fmt: on


def ladder_for(level: str) -> dict[str, AnyExperiment]:
    """The ladder for data of a level: `"frame"` or `"video"`."""
    return choose({"frame": LADDER, "video": VIDEO_LADDER}, level, what="level")


# --- Other readings of the paper ---

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

# --- Later systems, and recipes ---

# The poolings of Miech et al. over the frames as they are, gated as theirs, under a mixture of experts.
_GATED = {
    "classifier": "mixture_of_experts", "pooled_units": 256, "gate_pooled": "context", "gate_scores": "context"
}  # fmt: skip
_later = partial(Experiment, chapter="beyond")

# fmt: off
RECIPES: dict[str, AnyExperiment] = by_name(
    _later("yt8m-best", "Wide hidden layer", encoder="hidden", recipe="yt8m-best"),
    _later("yt8m-kernel", "Kernel ridge regression", encoder="kernel", recipe="yt8m-kernel"),
    Ensemble(
        "yt8m-starts", "Wide hidden layer, mean of four seeds", ("yt8m-best",), seeds=(0, 1, 2, 3), by="uniform",
        chapter="beyond"
    ),
    Ensemble(
        "yt8m-ensemble", "Hidden layers of four seeds and kernel", ("yt8m-starts", "yt8m-kernel"), by="stacking",
        chapter="beyond"
    ),
    _later(
        "audioset-best", "Wide hidden layer, class-wise attention, two copies", encoder="hidden",
        classifier="class_attention", copies=2, recipe="audioset-best"
    ),
    _later("audioset-kernel", "Kernel ridge regression on mean frames", encoder="kernel", recipe="audioset-kernel"),
    Ensemble(
        "audioset-ensemble", "Class-wise attention and kernel", ("audioset-best", "audioset-kernel"), by="optimized",
        chapter="beyond"
    ),
)

# With λ = 1 both modalities can only express what they share; with a hundredth of it they need not.
FUSIONS: dict[str, Experiment] = by_name(
    LADDER["bi-gru-projection"].variant(
        "loose", "weakly aligned", chapter="beyond", alignment_weight=0.01, mapping_initializer="glorot"
    )
)

POOLINGS: dict[str, Experiment] = by_name(
    _later("netvlad", "NetVLAD", pooling="netvlad", pooled_units=256),
    LADDER["netvlad-gated"],
    _later("netrvlad-gated", "NetRVLAD, gated", pooling="netrvlad", **_GATED),
    _later("netfv-gated", "NetFV, gated", pooling="netfv", **_GATED),
    _later("soft-bag-gated", "Soft bag of frames, gated", pooling="soft_bag", **_GATED),
    _later("deep-bag", "Deep bag of frames", pooling="deep_bag", clusters=256),
    _later("feature-attention", "Bi-GRU, attention by feature", encoder="bi_gru", pooling="feature_attention"),
    _later(
        "multi-head-attention", "Bi-GRU, attention by four heads", encoder="bi_gru", pooling="multi_head_attention"
    ),
)

_RESIDUAL = "seven layers with short-cuts over temporal ResNet blocks"
ENCODERS: dict[str, Experiment] = by_name(
    _later("sru", "Bidirectional SRU", encoder="sru"),
    _later("deep-bi-lstm", f"Bi-LSTM, {_RESIDUAL}", encoder="deep_bi_lstm", layers=7),
    _later("deep-bi-gru", f"Bi-GRU, {_RESIDUAL}", encoder="deep_bi_gru", layers=7),
    _later(
        "temporal-convolutions", "Dilated convolutions over time", encoder="temporal_convolutions",
        pooling="attention"
    ),
    _later("transformer", "Transformer", encoder="transformer", pooling="attention"),
)

CLASSIFIERS: dict[str, Experiment] = by_name(
    _later(
        "experts-gated", "Mixture of experts, gated", pooling="mean", classifier="mixture_of_experts",
        gate_scores="context"
    ),
    _later("chaining", "Mixture of experts, chained twice", pooling="mean", classifier="chaining"),
    _later("class-attention", "Hidden layers, class-wise attention", encoder="hidden", classifier="class_attention"),
)
# fmt: on

BEYOND: dict[str, AnyExperiment] = RECIPES | FUSIONS | POOLINGS | ENCODERS | CLASSIFIERS

# --- Tricks, and the checkpoints of one training ---


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
