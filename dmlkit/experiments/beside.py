"""What the notebooks set beside the ladder to answer a question."""

from __future__ import annotations

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
