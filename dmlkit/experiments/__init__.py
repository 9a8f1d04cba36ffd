"""The paper's ladder as values, and what goes beyond it.

Each experiment is one sentence *modalities → fusion → encoder → pooling → classifier*.

    experiment   `Experiment` and `Ensemble`
    ladder       the paper's rows, on frames and where a video is one vector
    ablations    other readings of the paper; training tricks, each alone
    recipes      later systems, and the recipes of the best scores
    catalog      all of them by name, by group, and each one's baseline
"""

from dmlkit.experiments.ablations import (
    ABLATIONS,
    BASES,
    CHECKPOINTS,
    TRICK_ABLATIONS,
    TRICKS,
    Trick,
    ablations_for,
    fusion_variants,
    trick_ablations,
)
from dmlkit.experiments.catalog import (
    BASELINES,
    EXPERIMENTS,
    GROUPS,
    baseline_of,
    baselines_for,
    beyond_for,
    find,
    not_applicable_reason,
)
from dmlkit.experiments.experiment import (
    ALGORITHM_2,
    MEMBER_RUNS,
    AnyExperiment,
    Ensemble,
    Experiment,
    by_name,
)
from dmlkit.experiments.ladder import LADDER, VIDEO_LADDER, ladder_for
from dmlkit.experiments.recipes import BEYOND
