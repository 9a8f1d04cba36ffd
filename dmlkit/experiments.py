"""The paper's ladder as values.

Each rung is one line of the sentence *modalities → fusion → encoder → pooling → classifier*. `LADDER`
is the paper's nine rows on frame-level data, `VIDEO_LADDER` what is left of them where a video is one
vector, `BESIDE` what the notebooks set beside the ladder to answer a question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from dmlkit.errors import choose


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A model to train, as plain values.

    Sizes, input normalisation, optimiser and budget belong to the profile, one setting for all rungs;
    what is not None here is set apart from it on purpose.

    Args:
        name: Short name: the run's folder, the command line.
        title: Name for people.
        chapter: The notebook that trains it.
        fusion, fusion_stage, encoder, pooling, classifier: Names in the tables of `dmlkit.models`.
        closeness: λ of the projection's closeness loss.
        mapping_start: What the fusion's mapping matrices start from.
        units, layers, normalization: Instead of the profile's.
        paper_gap: GAP@20 the paper reports for it, on the paper's data.

    Paper: §Our Method; Table 1.
    """

    name: str
    title: str
    chapter: str
    fusion: str = "concat"
    fusion_stage: str = "early"
    encoder: str = "none"
    pooling: str = "last"
    classifier: str = "logistic"
    closeness: float = 1.0
    mapping_start: str = "normal"
    units: int | None = None
    layers: int | None = None
    normalization: str | None = None
    paper_gap: float | None = None

    def bare(self) -> Experiment:
        """The paper's bare form: the dequantised features as they are, without input normalisation."""
        return replace(
            self, name=f"{self.name}-bare", title=f"{self.title}, bare", normalization="none", paper_gap=None
        )

    def to_record(self) -> dict:
        """Plain values for `run.json`."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping) -> Experiment:
        """The experiment that `to_record` wrote; fields this version does not know are an error."""
        return cls(**record)


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """A rung that is made of runs: their scores, weighted by their GAP on the tuning part.

    Paper: §Ensemble, Algorithm 2.
    """

    name: str
    title: str
    members: tuple[str, ...]
    chapter: str = "ensemble"
    paper_gap: float | None = None

    def to_record(self) -> dict:
        """Plain values for `run.json`."""
        return asdict(self) | {"members": list(self.members)}


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A row of the paper's table that nothing here trains yet, and what is missing for it."""

    name: str
    title: str
    reason: str
    chapter: str = "results"
    paper_gap: float | None = None


Rung = Experiment | Ensemble | Missing


def by_name(*rungs: Rung) -> dict[str, Rung]:
    """A table of rungs in their order."""
    return {rung.name: rung for rung in rungs}


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
STATE_OF_THE_ART = Missing(
    name="state-of-the-art",
    title="State of the art (2017)",
    reason="the competition's winner, a weighted ensemble of 25 models around gated NetVLAD: "
    "learnable VLAD pooling and context gating are not built here yet",
    paper_gap=0.84967,
)

LADDER: dict[str, Rung] = by_name(
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

VIDEO_LADDER: dict[str, Rung] = by_name(
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

# Beside the ladder: the paper's other readings, its exact cells, and where else the fusion could stand.
BESIDE: dict[str, Rung] = by_name(
    LR.bare(),
    LSTM.bare(),
    BI_LSTM.bare(),
    BI_GRU_CONCAT.bare(),
    BI_GRU_SHARED_SPACE.bare(),
    BI_GRU_PROJECTION.bare(),
    ATTENTION.bare(),
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

EXPERIMENTS: dict[str, Rung] = LADDER | VIDEO_LADDER | BESIDE


def find(name: str) -> Rung:
    """The rung of this name, wherever it stands.

    Raises:
        UsageError: There is none; the message names the nearest.
    """
    return choose(EXPERIMENTS, name, what="experiment")


def ladder_for(level: str) -> dict[str, Rung]:
    """The ladder that data of this level can climb: `"frame"` or `"video"`."""
    return choose({"frame": LADDER, "video": VIDEO_LADDER}, level, what="level")


def why_not(rung: Rung, *, level: str, modalities: tuple[str, ...]) -> str | None:
    """Why a data set cannot serve a rung, or None where it can.

    Args:
        rung: The rung.
        level: `"frame"` or `"video"`.
        modalities: The names of the data set's features.
    """
    if isinstance(rung, Missing):
        return rung.reason
    if isinstance(rung, Ensemble):
        reasons = [why_not(find(name), level=level, modalities=modalities) for name in rung.members]
        return next((reason for reason in reasons if reason), None)
    if rung.encoder not in ("none", "dense") and level == "video":
        return "it reads frames, and this data set holds one vector a video"
    if rung.pooling == "attention" and level == "video":
        return "it weighs frames, and this data set holds one vector a video"
    if (rung.fusion != "concat" or rung.fusion_stage == "late") and len(modalities) < 2:
        return f"it fuses modalities, and this data set has one only ({', '.join(modalities)})"
    return None
