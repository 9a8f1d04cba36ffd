"""How good scores are: measures, intervals and ensembles, in numpy alone.

    measures      all of them at once (`measure`), or of videos that come in parts (`RankingMetrics`)
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

from dmlkit.metrics.bootstrap import (
    GapDifference,
    Interval,
    gap_interval,
    gap_interval_of_pairs,
    mean_interval,
    paired_gap_difference,
    percentiles,
    resampled_gaps,
)
from dmlkit.metrics.compare import (
    ClassDifferences,
    GapComparison,
    Spread,
    compare_classes,
    compare_gaps,
)
from dmlkit.metrics.counts import ScoreCounts
from dmlkit.metrics.ensemble import gap_weights, weighted_average
from dmlkit.metrics.faithfulness import (
    TakingAway,
    deletion_curve,
    ground_truth_precision,
    insertion_curve,
    occlusion,
    random_importance,
)
from dmlkit.metrics.gap import GlobalAveragePrecision, gap_of_pairs, global_average_precision
from dmlkit.metrics.precision import (
    MeanAveragePrecision,
    average_precision_by_class,
    mean_average_precision,
)
from dmlkit.metrics.ranking import hit_at_one, precision_at_equal_recall_rate
from dmlkit.metrics.ranking_metrics import RankingMetrics, measure
from dmlkit.metrics.top import TopK, TopPairs, top_k_pairs, top_pairs
from dmlkit.metrics.ways import COMBINERS, combine, optimize_weights, overlap
from dmlkit.metrics.weighing import Weights, shortlist

__all__ = [
    "COMBINERS",
    "ClassDifferences",
    "GapComparison",
    "GapDifference",
    "GlobalAveragePrecision",
    "Interval",
    "MeanAveragePrecision",
    "RankingMetrics",
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
    "ground_truth_precision",
    "hit_at_one",
    "insertion_curve",
    "mean_average_precision",
    "mean_interval",
    "measure",
    "occlusion",
    "optimize_weights",
    "overlap",
    "paired_gap_difference",
    "percentiles",
    "precision_at_equal_recall_rate",
    "random_importance",
    "resampled_gaps",
    "shortlist",
    "top_k_pairs",
    "top_pairs",
    "weighted_average",
]
