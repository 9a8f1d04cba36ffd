"""Later systems on frames, and the recipes that reach the best scores here.

A recipe is a model and its own training conditions together (`Experiment.recipe`), one command each:

    dmlkit train yt8m-best --data DIR        video-level YouTube-8M
    dmlkit train yt8m-ensemble --data DIR    the same from four starts, and a model that errs differently, combined
    dmlkit train audioset-best --data DIR    frame-level AudioSet
    dmlkit train audioset-ensemble --data DIR
"""

from __future__ import annotations

from dataclasses import replace

from dmlkit.experiments.ladder import BI_GRU_PROJECTION
from dmlkit.experiments.rung import AnyExperiment, Ensemble, Experiment, by_name

YT8M_BEST = Experiment(
    name="yt8m-best",
    title="Wide hidden layer",
    chapter="beyond",
    encoder="hidden",
    recipe="yt8m-best",
)
YT8M_KERNEL = Experiment(
    name="yt8m-kernel",
    title="Kernel ridge regression",
    chapter="beyond",
    encoder="kernel",
    recipe="yt8m-kernel",
)
AUDIOSET_BEST = Experiment(
    name="audioset-best",
    title="Wide hidden layer, class-wise attention, two copies",
    chapter="beyond",
    encoder="hidden",
    classifier="class_attention",
    copies=2,
    recipe="audioset-best",
)

AUDIOSET_KERNEL = Experiment(
    name="audioset-kernel",
    title="Kernel ridge regression on mean frames",
    chapter="beyond",
    encoder="kernel",
    recipe="audioset-kernel",
)

# Miech et al.'s poolings, gated as theirs, over the frames as they are. Their classifier is the mixture of experts.
_GATED = {
    "chapter": "beyond",
    "classifier": "mixture_of_experts",
    "pooled_units": 256,
    "gate_pooled": "context",
    "gate_scores": "context",
}

BEYOND: dict[str, AnyExperiment] = by_name(
    YT8M_BEST,
    YT8M_KERNEL,
    Ensemble(
        name="yt8m-starts",
        title="Wide hidden layer, mean of four starts",
        members=("yt8m-best",),
        seeds=(0, 1, 2, 3),
        by="uniform",
        chapter="beyond",
    ),
    Ensemble(
        name="yt8m-ensemble",
        title="Hidden layers of four starts and kernel",
        members=("yt8m-starts", "yt8m-kernel"),
        by="stacking",
        chapter="beyond",
    ),
    AUDIOSET_BEST,
    AUDIOSET_KERNEL,
    Ensemble(
        name="audioset-ensemble",
        title="Class-wise attention and kernel",
        members=("audioset-best", "audioset-kernel"),
        by="optimized",
        chapter="beyond",
    ),
    # The paper's projections failed. A λ of 1 lets both modalities say only what they share; a hundredth does not.
    replace(
        BI_GRU_PROJECTION,
        name="bi-gru-projection-loose",
        title="Bi-GRU, projection, loosely close",
        chapter="beyond",
        alignment_weight=0.01,
        mapping_initializer="glorot",
        paper_gap=None,
    ),
    Experiment(name="netvlad", title="NetVLAD", chapter="beyond", pooling="netvlad", pooled_units=256),
    Experiment(name="netrvlad-gated", title="NetRVLAD, gated", pooling="netrvlad", **_GATED),
    Experiment(name="netfv-gated", title="NetFV, gated", pooling="netfv", **_GATED),
    Experiment(name="soft-bag-gated", title="Soft bag of frames, gated", pooling="soft_bag", **_GATED),
    Experiment(
        name="deep-bag", title="Deep bag of frames", chapter="beyond", pooling="deep_bag", clusters=256
    ),
    Experiment(
        name="experts-gated",
        title="Mixture of experts, gated",
        chapter="beyond",
        pooling="mean",
        classifier="mixture_of_experts",
        gate_scores="context",
    ),
    Experiment(
        name="chaining",
        title="Mixture of experts, chained twice",
        chapter="beyond",
        pooling="mean",
        classifier="chaining",
    ),
    Experiment(name="sru", title="Bidirectional SRU", chapter="beyond", encoder="sru"),
    Experiment(
        name="deep-bi-lstm",
        title="Bi-LSTM, seven layers with short-cuts over temporal ResNet blocks",
        chapter="beyond",
        encoder="deep_bi_lstm",
        layers=7,
    ),
    Experiment(
        name="deep-bi-gru",
        title="Bi-GRU, seven layers with short-cuts over temporal ResNet blocks",
        chapter="beyond",
        encoder="deep_bi_gru",
        layers=7,
    ),
    Experiment(
        name="temporal-convolutions",
        title="Dilated convolutions over time",
        chapter="beyond",
        encoder="temporal_convolutions",
        pooling="attention",
    ),
    Experiment(
        name="transformer", title="Transformer", chapter="beyond", encoder="transformer", pooling="attention"
    ),
    Experiment(
        name="class-attention",
        title="Hidden layers, class-wise attention",
        chapter="beyond",
        encoder="hidden",
        classifier="class_attention",
    ),
    Experiment(
        name="feature-attention",
        title="Bi-GRU, attention by feature",
        chapter="beyond",
        encoder="bi_gru",
        pooling="feature_attention",
    ),
    Experiment(
        name="multi-head-attention",
        title="Bi-GRU, attention by four heads",
        chapter="beyond",
        encoder="bi_gru",
        pooling="multi_head_attention",
    ),
)
