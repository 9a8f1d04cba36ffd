"""The paper's nine rows on frame-level data, and what is left of them where a video is one vector."""

from __future__ import annotations

from dmlkit.experiments.rung import AnyExperiment, Ensemble, Experiment, by_name

LR = Experiment(
    name="lr", title="Logistic regression", chapter="baselines", pooling="mean", paper_gap=0.70727
)
LSTM = Experiment(name="lstm", title="LSTM", chapter="baselines", encoder="lstm", paper_gap=0.79903)
BI_LSTM = Experiment(name="bi-lstm", title="Bi-LSTM", chapter="bi-lstm", encoder="bi_lstm", paper_gap=0.80597)
BI_GRU_CONCAT = Experiment(
    name="bi-gru-concat", title="Bi-GRU, concat", chapter="bi-gru", encoder="bi_gru", paper_gap=0.84022
)
BI_GRU_SHARED_SPACE = Experiment(
    name="bi-gru-shared-space",
    title="Bi-GRU, shared space",
    chapter="fusion",
    encoder="bi_gru",
    fusion="shared_space",
    paper_gap=0.01106,
)
BI_GRU_PROJECTION = Experiment(
    name="bi-gru-projection",
    title="Bi-GRU, projection",
    chapter="fusion",
    encoder="bi_gru",
    fusion="projection",
    paper_gap=0.01684,
)
ATTENTION = Experiment(
    name="attention",
    title="Bi-GRU, attention",
    chapter="attention",
    encoder="bi_gru",
    pooling="attention",
    paper_gap=0.81415,
)
ENSEMBLE_LR_LSTM = Ensemble(
    name="ensemble-lr-lstm", title="Ensemble, LR + LSTM", members=("lr", "lstm"), paper_gap=0.81891
)
# The paper's row is the competition's winner, a weighted ensemble of 25 models around this one (Miech et al. 2017).
STATE_OF_THE_ART = Experiment(
    name="netvlad-gated",
    title="NetVLAD, gated",
    chapter="beyond",
    pooling="netvlad",
    pooled_units=256,
    gate_pooled="context",
    classifier="mixture_of_experts",
    gate_scores="context",
    paper_gap=0.84967,
)

LADDER: dict[str, AnyExperiment] = by_name(
    LR,
    LSTM,
    BI_LSTM,
    BI_GRU_CONCAT,
    BI_GRU_SHARED_SPACE,
    BI_GRU_PROJECTION,
    ATTENTION,
    ENSEMBLE_LR_LSTM,
    STATE_OF_THE_ART,
)

# One vector a video: no encoder reads it and no pooling is left; a hidden layer stands where they stood. A
# recurrent encoder's few units would be a bottleneck for thousands of classes, and a dense layer is cheap.
HIDDEN_UNITS = 512

VIDEO_LADDER: dict[str, AnyExperiment] = by_name(
    LR,
    Experiment(
        name="mixture-of-experts",
        title="Mixture of experts",
        chapter="baselines",
        classifier="mixture_of_experts",
    ),
    Experiment(
        name="hidden-concat",
        title="Hidden layer, concat",
        chapter="fusion",
        encoder="dense",
        layers=1,
        units=HIDDEN_UNITS,
    ),
    Experiment(
        name="hidden-shared-space",
        title="Hidden layer, shared space",
        chapter="fusion",
        encoder="dense",
        layers=1,
        units=HIDDEN_UNITS,
        fusion="shared_space",
    ),
    Experiment(
        name="hidden-projection",
        title="Hidden layer, projection",
        chapter="fusion",
        encoder="dense",
        layers=1,
        units=HIDDEN_UNITS,
        fusion="projection",
    ),
    Ensemble(
        name="ensemble-video",
        title="Ensemble of the five",
        members=("lr", "mixture-of-experts", "hidden-concat", "hidden-shared-space", "hidden-projection"),
    ),
)
