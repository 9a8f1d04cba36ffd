"""The loss every rung is trained with."""

from __future__ import annotations

import keras
from keras import ops

SMALLEST = 1e-7
"""Scores are kept this far from 0 and 1, so that no logarithm is infinite."""


@keras.saving.register_keras_serializable(package="dmlkit")
def cross_entropy(labels, scores):
    """Cross-entropy of each class's yes or no, summed over the classes and averaged over the videos.

    Args:
        labels: (batch, classes), 0 or 1.
        scores: (batch, classes), probabilities.

    Returns:
        The loss, a scalar, in nats a video.

    Paper: §Training; the sum over classes is the starter code's.
    """
    labels = ops.cast(labels, "float32")
    scores = ops.clip(ops.cast(scores, "float32"), SMALLEST, 1.0 - SMALLEST)
    each = labels * ops.log(scores) + (1.0 - labels) * ops.log1p(-scores)
    return ops.mean(-ops.sum(each, axis=-1))
