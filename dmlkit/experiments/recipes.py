"""Later systems on frames, and the recipes that reach the best scores here.

A recipe is a model and its own training conditions together (`Experiment.recipe`), one command each:

    dmlkit train yt8m-best --data DIR          video-level YouTube-8M
    dmlkit train yt8m-ensemble --data DIR      four seeds of it and a kernel machine, combined
    dmlkit train audioset-best --data DIR      frame-level AudioSet
    dmlkit train audioset-ensemble --data DIR
"""

from __future__ import annotations

from dmlkit.experiments.experiment import AnyExperiment, Ensemble, Experiment, by_name
from dmlkit.experiments.ladder import LADDER

# The poolings of Miech et al. over the frames as they are, gated as theirs, under a mixture of experts.
_GATED = {
    "classifier": "mixture_of_experts", "pooled_units": 256, "gate_pooled": "context", "gate_scores": "context"
}  # fmt: skip


def _later(name: str, title: str, **choices) -> Experiment:
    return Experiment(name=name, title=title, chapter="beyond", **choices)


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
