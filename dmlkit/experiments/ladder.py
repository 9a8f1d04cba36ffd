"""The paper's nine rows on frame-level data, and those that remain where a video is one vector."""

from __future__ import annotations

from dmlkit.errors import choose
from dmlkit.experiments.experiment import AnyExperiment, Ensemble, Experiment, by_name

LADDER: dict[str, AnyExperiment] = by_name(
    Experiment(
        name="lr", title="Logistic regression", chapter="baselines", pooling="mean", paper_gap=0.70727
    ),
    Experiment(name="lstm", title="LSTM", chapter="baselines", encoder="lstm", paper_gap=0.79903),
    Experiment(name="bi-lstm", title="Bi-LSTM", chapter="bi-lstm", encoder="bi_lstm", paper_gap=0.80597),
    Experiment(
        name="bi-gru-concat", title="Bi-GRU, concat", chapter="bi-gru", encoder="bi_gru", paper_gap=0.84022
    ),
    Experiment(
        name="bi-gru-shared-space",
        title="Bi-GRU, shared space",
        chapter="fusion",
        encoder="bi_gru",
        fusion="shared_space",
        paper_gap=0.01106,
    ),
    Experiment(
        name="bi-gru-projection",
        title="Bi-GRU, projection",
        chapter="fusion",
        encoder="bi_gru",
        fusion="projection",
        paper_gap=0.01684,
    ),
    Experiment(
        name="attention",
        title="Bi-GRU, attention",
        chapter="attention",
        encoder="bi_gru",
        pooling="attention",
        paper_gap=0.81415,
    ),
    Ensemble(name="ensemble-lr-lstm", title="Ensemble, LR + LSTM", members=("lr", "lstm"), paper_gap=0.81891),
    # The paper's row is the competition's winner: a weighted ensemble of 25 models around this one (Miech et al. 2017).
    Experiment(
        name="netvlad-gated",
        title="NetVLAD, gated",
        chapter="beyond",
        pooling="netvlad",
        pooled_units=256,
        gate_pooled="context",
        classifier="mixture_of_experts",
        gate_scores="context",
        paper_gap=0.84967,
    ),
)

# One vector a video has no sequence to encode and nothing to pool; a hidden layer takes their place. The few units of
# a profile's recurrent encoder would be a bottleneck for thousands of classes, and a dense layer is cheap.
_HIDDEN = {"chapter": "fusion", "encoder": "dense", "layers": 1, "units": 512}

VIDEO_LADDER: dict[str, AnyExperiment] = by_name(
    LADDER["lr"],
    Experiment(
        name="mixture-of-experts",
        title="Mixture of experts",
        chapter="baselines",
        classifier="mixture_of_experts",
    ),
    Experiment(name="hidden-concat", title="Hidden layer, concat", **_HIDDEN),
    Experiment(
        name="hidden-shared-space", title="Hidden layer, shared space", fusion="shared_space", **_HIDDEN
    ),
    Experiment(name="hidden-projection", title="Hidden layer, projection", fusion="projection", **_HIDDEN),
    Ensemble(
        name="ensemble-video",
        title="Ensemble of the five",
        members=("lr", "mixture-of-experts", "hidden-concat", "hidden-shared-space", "hidden-projection"),
    ),
)


def ladder_for(level: str) -> dict[str, AnyExperiment]:
    """The ladder for data of a level: `"frame"` or `"video"`."""
    return choose({"frame": LADDER, "video": VIDEO_LADDER}, level, what="level")
