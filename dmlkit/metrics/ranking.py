"""RankingMetrics that look at each video's own ranking: Hit@1 and precision at equal recall rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.checks import checked, count_labels
from dmlkit.metrics.top import top_k_classes


def hit_at_one(scores: ArrayLike, labels: ArrayLike) -> float:
    """The share of videos whose best class is one of their labels.

    Args:
        scores: (videos, classes); of equal best scores the lowest class counts.
        labels: (videos, classes), any type; true where not zero. A video without labels is a miss.

    Returns:
        Between 0 and 1; 0.0 without videos.

    Raises:
        ValueError: The shapes differ or a value is NaN.

    Paper: §Measure (Hit@1).
    """
    scores, labels = checked(scores, labels)
    if not scores.shape[0]:
        return 0.0
    best = np.argmax(scores, axis=1)
    return float(np.count_nonzero(labels[np.arange(len(best)), best]) / len(best))


def precision_at_equal_recall_rate(scores: ArrayLike, labels: ArrayLike) -> float:
    """PERR: how many of a video's n best classes are true, n being the number of its labels.

    Args:
        scores: (videos, classes); of equal scores at the n-th place the lower class counts.
        labels: (videos, classes), any type; true where not zero.

    Returns:
        The mean over the videos that have labels, between 0 and 1; 0.0 where none has.

    Raises:
        ValueError: The shapes differ or a value is NaN.

    Paper: §Measure (PERR). Differs from the paper: the starter code counts a video without labels as 0 and
    never counts a score of 0 as right; here such videos are left out, and only the order of scores matters.
    """
    scores, labels = checked(scores, labels)
    label_counts = count_labels(labels)
    total = 0.0
    # Videos with equally many labels share one n; sizes seldom exceed a few dozen.
    for n in np.unique(label_counts[label_counts > 0]):
        videos = np.flatnonzero(label_counts == n)
        best = top_k_classes(scores[videos], int(n))
        total += np.count_nonzero(labels[videos[:, None], best]) / n
    labelled = np.count_nonzero(label_counts)
    return float(total / labelled) if labelled else 0.0
