"""All measures of one set of scores, as plain numbers that JSON can hold."""

from __future__ import annotations

from numpy.typing import ArrayLike

from dmlkit.evaluation.checks import checked
from dmlkit.evaluation.gap import global_average_precision
from dmlkit.evaluation.precision import mean_average_precision
from dmlkit.evaluation.ranking import hit_at_one, precision_at_equal_recall_rate


def measure(scores: ArrayLike, labels: ArrayLike, *, top_k: int = 20) -> dict[str, float | int]:
    """Every measure at once.

    Args:
        scores: (videos, classes).
        labels: (videos, classes), any type; true where not zero.
        top_k: Pairs a video for GAP.

    Returns:
        `gap`, `hit_at_one`, `perr`, `map` (floats between 0 and 1), `map_classes` (the classes that occur,
        over which `map` is the mean), `num_classes` and `videos` (ints).

    Raises:
        ValueError: The shapes differ, a value is NaN, or `top_k` is not a whole number of at least 1.

    Paper: §Measure.
    """
    scores, labels = checked(scores, labels)
    mean = mean_average_precision(scores, labels)
    return {
        "gap": global_average_precision(scores, labels, top_k=top_k),
        "hit_at_one": hit_at_one(scores, labels),
        "perr": precision_at_equal_recall_rate(scores, labels),
        "map": mean.value,
        "map_classes": mean.classes_counted,
        "num_classes": mean.num_classes,
        "videos": int(scores.shape[0]),
    }
