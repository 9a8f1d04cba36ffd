"""The paper's ladder as values, and what goes beyond it.

Each rung is one line of the sentence *modalities → fusion → encoder → pooling → classifier*. `LADDER`
is the paper's nine rows on frame-level data, `VIDEO_LADDER` what is left of them where a video is one
vector, `BESIDE` what the notebooks set beside the ladder to answer a question, `BEYOND` what later systems
do better, with the recipes that reach the best scores here, `TRICKS` what a training may do otherwise.

    rung      what a rung is
    ladder    the paper's rows
    beside    other readings of them
    beyond    later systems, and the recipes
    tricks    one rung, trained otherwise
    finding   rungs by name; which a data set can serve
    groups    what is beyond, idea by idea, and what each rung stands against
"""

from dmlkit.experiments.beside import BESIDE
from dmlkit.experiments.beyond import BEYOND
from dmlkit.experiments.finding import ABLATIONS, EXPERIMENTS, find, ladder_for, why_not
from dmlkit.experiments.groups import BEFORE, GROUPS, bases_for, below, beyond_for
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
from dmlkit.experiments.rung import TAKES, Ensemble, Experiment, Missing, Rung, by_name
from dmlkit.experiments.tricks import CHECKPOINTS, TRICKS, Trick, ablations

__all__ = [
    "ABLATIONS",
    "ATTENTION",
    "BEFORE",
    "BESIDE",
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
    "STATE_OF_THE_ART",
    "TAKES",
    "TRICKS",
    "VIDEO_LADDER",
    "Ensemble",
    "Experiment",
    "Missing",
    "Rung",
    "Trick",
    "ablations",
    "bases_for",
    "below",
    "beyond_for",
    "by_name",
    "find",
    "ladder_for",
    "why_not",
]
