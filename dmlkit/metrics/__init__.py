"""Metrics of scores, bootstrap intervals and ensembles, on numpy (and scipy, loaded on first use).

    ranking       GAP@k, mAP, Hit@1, PERR, of all videos or in parts; each video's k highest-scoring classes
    bootstrap     intervals over videos, and over seeds where there are several; two systems on the same videos
    ensembling    Algorithm 2 and the other ways to weight and combine models
    segments      mAP@K of rated segments, and its interval over videos
    faithfulness  whether weights on frames show what a score rests on

Functions take `scores` (videos, classes) and multi-hot `labels` (videos, classes), but for those of `segments` and
`faithfulness`; any label that is not zero is true. Nothing here loads Keras, TensorFlow or pandas.
"""

from dmlkit.metrics.bootstrap import (
    FEWEST_FOR_A_TEST,
    FOR_THIS_SEED,
    OVER_SEEDS,
    GapComparison,
    Interval,
    Spread,
    compare_gaps,
    gap_interval,
    gap_interval_of_pairs,
    mean_interval,
    over_seeds,
    percentiles,
    resampled_gaps,
    too_few,
)
from dmlkit.metrics.ensembling import (
    COMBINERS,
    Weights,
    combine,
    gap_weights,
    optimize_weights,
    overlap,
    shortlist,
    weighted_average,
)
from dmlkit.metrics.faithfulness import deletion_curve, ground_truth_precision, occlusion, random_importance
from dmlkit.metrics.ranking import (
    GlobalAveragePrecision,
    RankingMetrics,
    TopK,
    TopPairs,
    average_precision_by_class,
    gap_of_pairs,
    global_average_precision,
    mean_average_precision,
    precision_recall_curve,
    top_k_pairs,
    top_pairs,
)
from dmlkit.metrics.segments import (
    SEGMENTS_A_CLASS,
    RatedPairs,
    SegmentPrecision,
    interval_over_videos,
    map_at_k_interval,
    map_at_k_of_pairs,
    mean_average_precision_at_k,
    measure_pairs,
    rated_pairs,
    videos_of,
)
