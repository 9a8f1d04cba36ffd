"""The paper's nine rows on frame-level data, and those that remain where a video is one vector."""

from __future__ import annotations

from dmlkit.errors import choose
from dmlkit.experiments.experiment import AnyExperiment, Ensemble, Experiment, by_name

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
