"""How good scores are: measures, intervals and ensembles, in numpy alone.

    measures      all of them at once (`measure`), or of videos that come in parts (`Measures`)
    gap           GAP@k, at once and streaming over shards and workers
    ranking       Hit@1 and precision at equal recall rate
    precision     average precision by class and its mean
    counts        the same over videos that come in parts, in flat memory
    bootstrap     what another draw of videos could have given
    compare       two systems on the same videos, several seeds of each
    ensemble      Algorithm 2: models weighted by their GAP
    ways          the ways to combine models, and how alike two are
    weighing      what each model is worth in an ensemble, found on the tuning part
    top           each video's k highest-scoring classes
    faithfulness  whether weights on frames say what a score rests on

Every function but those of `faithfulness` takes `scores` (videos, classes) and multi-hot `labels` (videos,
classes); any label that is not zero is true. Nothing here has seen Keras, TensorFlow or pandas.
"""

from dmlkit.evaluation.bootstrap import (
    GapDifference,
    Interval,
    gap_interval,
    gap_interval_of_pairs,
    mean_interval,
    paired_gap_difference,
    percentiles,
    resampled_gaps,
)
from dmlkit.evaluation.compare import (
    ClassDifferences,
    GapComparison,
    Spread,
    compare_classes,
    compare_gaps,
)
from dmlkit.evaluation.counts import ScoreCounts
from dmlkit.evaluation.ensemble import gap_weights, weighted_average
from dmlkit.evaluation.faithfulness import (
    TakingAway,
    deletion_curve,
    insertion_curve,
    occlusion,
    planted_precision,
    random_importance,
)
from dmlkit.evaluation.gap import GlobalAveragePrecision, gap_of_pairs, global_average_precision
from dmlkit.evaluation.measures import Measures, measure
from dmlkit.evaluation.precision import (
    MeanAveragePrecision,
    average_precision_by_class,
    mean_average_precision,
)
from dmlkit.evaluation.ranking import hit_at_one, precision_at_equal_recall_rate
from dmlkit.evaluation.top import TopK, TopPairs, top_k_pairs, top_pairs
from dmlkit.evaluation.ways import WAYS, combine, overlap, weigh
from dmlkit.evaluation.weighing import Weights, shortlist

__all__ = [
    "WAYS",
    "ClassDifferences",
    "GapComparison",
    "GapDifference",
    "GlobalAveragePrecision",
    "Interval",
    "MeanAveragePrecision",
    "Measures",
    "ScoreCounts",
    "Spread",
    "TakingAway",
    "TopK",
    "TopPairs",
    "Weights",
    "average_precision_by_class",
    "combine",
    "compare_classes",
    "compare_gaps",
    "deletion_curve",
    "gap_interval",
    "gap_interval_of_pairs",
    "gap_of_pairs",
    "gap_weights",
    "global_average_precision",
    "hit_at_one",
    "insertion_curve",
    "mean_average_precision",
    "mean_interval",
    "measure",
    "occlusion",
    "overlap",
    "paired_gap_difference",
    "percentiles",
    "planted_precision",
    "precision_at_equal_recall_rate",
    "random_importance",
    "resampled_gaps",
    "shortlist",
    "top_k_pairs",
    "top_pairs",
    "weigh",
    "weighted_average",
]
