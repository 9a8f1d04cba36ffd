"""The paper's ladder as values, and what goes beyond it.

Each rung is one line of the sentence *modalities → fusion → encoder → pooling → classifier*. `LADDER`
is the paper's nine rows on frame-level data, `VIDEO_LADDER` what is left of them where a video is one
vector, `ABLATIONS` what the notebooks set beside the ladder to answer a question, `BEYOND` what later systems
do better, with the recipes that reach the best scores here, `TRICKS` what a training may do otherwise.

    rung      what a rung is
    ladder    the paper's rows
    beside    other readings of them
    beyond    later systems, and the recipes
    tricks    one rung, trained otherwise
    finding   rungs by name; which a data set can serve
    groups    what is beyond, idea by idea, and what each rung stands against
"""

from dmlkit.experiments.beside import ABLATIONS, ablations_for, fusion_variants
from dmlkit.experiments.beyond import BEYOND
from dmlkit.experiments.finding import EXPERIMENTS, TRICK_ABLATIONS, find, ladder_for, not_applicable_reason
from dmlkit.experiments.groups import BASELINES, GROUPS, baseline_of, baselines_for, beyond_for
from dmlkit.experiments.ladder import (
    ATTENTION,
    BI_GRU_CONCAT,
    BI_GRU_PROJECTION,
    BI_GRU_SHARED_SPACE,
    BI_LSTM,
    ENSEMBLE_LR_LSTM,
    HIDDEN_UNITS,
    LADDER,
    LR,
    LSTM,
    STATE_OF_THE_ART,
    VIDEO_LADDER,
)
from dmlkit.experiments.rung import MEMBER_RUNS, AnyExperiment, Ensemble, Experiment, Missing, by_name
from dmlkit.experiments.tricks import CHECKPOINTS, TRICKS, Trick, trick_ablations

__all__ = [
    "ABLATIONS",
    "ATTENTION",
    "BASELINES",
    "BEYOND",
    "BI_GRU_CONCAT",
    "BI_GRU_PROJECTION",
    "BI_GRU_SHARED_SPACE",
    "BI_LSTM",
    "CHECKPOINTS",
    "ENSEMBLE_LR_LSTM",
    "EXPERIMENTS",
    "GROUPS",
    "HIDDEN_UNITS",
    "LADDER",
    "LR",
    "LSTM",
    "MEMBER_RUNS",
    "STATE_OF_THE_ART",
    "TRICKS",
    "TRICK_ABLATIONS",
    "VIDEO_LADDER",
    "AnyExperiment",
    "Ensemble",
    "Experiment",
    "Missing",
    "Trick",
    "ablations_for",
    "baseline_of",
    "baselines_for",
    "beyond_for",
    "by_name",
    "find",
    "fusion_variants",
    "ladder_for",
    "not_applicable_reason",
    "trick_ablations",
]
