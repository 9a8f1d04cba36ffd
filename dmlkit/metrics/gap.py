"""GAP@k, the paper's measure: at once, or streaming over batches, shards and workers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.checks import checked_count
from dmlkit.metrics.precision import average_precision
from dmlkit.metrics.top import TopPairs, top_pairs


def global_average_precision(scores: ArrayLike, labels: ArrayLike, top_k: int = 20) -> float:
    """GAP@k: the pairs of every video's k best classes, pooled, as one ranking.

    Args:
        scores: (videos, classes).
        labels: (videos, classes), any type; true where not zero. A video without labels adds wrong pairs.
        top_k: Pairs a video; all classes where there are fewer.

    Returns:
        Between 0 and 1. The denominator of recall is the number of all true labels, not capped at `top_k`
        a video; 0.0 where there is no true label at all.

    Raises:
        ValueError: The shapes differ, a value is NaN, or `top_k` is not a whole number of at least 1.

    Paper: §Measure, GAP = Σ_i p(i) Δr(i). Differs from the paper: the starter code breaks ties at random with
    a fixed seed; here equal scores form one threshold, as in scikit-learn.
    """
    return gap_of_pairs(top_pairs(scores, labels, top_k=top_k))


def gap_of_pairs(pairs: TopPairs) -> float:
    """GAP of pairs already picked; see `global_average_precision`."""
    return average_precision(
        np.sort(pairs.scores, axis=None), pairs.scores[pairs.correct], int(pairs.true_labels.sum())
    )


class GlobalAveragePrecision:
    """GAP@k over videos that come in parts: `update` with each part, `merge` workers, ask for the `result`.

    Exact: any order and any grouping of the same videos gives the same result. It keeps `top_k` pairs
    (score, correct) a video, five bytes each for scores of up to single precision, and the number of true
    labels; nothing else. It can be pickled, so a worker can send it home.

    Args:
        top_k: Pairs a video; all classes where there are fewer.

    Raises:
        ValueError: `top_k` is not a whole number of at least 1.

    Paper: §Measure. Differs from the paper: see `global_average_precision`.
    """

    def __init__(self, top_k: int = 20):
        self.top_k = checked_count(top_k, name="top_k")
        self.num_videos = 0
        self.num_true_labels = 0
        self._chunks: list[tuple[np.ndarray, np.ndarray]] = []

    def update(self, scores: ArrayLike, labels: ArrayLike) -> None:
        """Add videos. Nothing is added where an error is raised.

        Args:
            scores: (videos, classes).
            labels: (videos, classes), any type; true where not zero.

        Raises:
            ValueError: The shapes differ or a value is NaN.
        """
        pairs = top_pairs(scores, labels, top_k=self.top_k)
        self.num_videos += pairs.scores.shape[0]
        self.num_true_labels += int(pairs.true_labels.sum())
        self._append(pairs.scores.ravel(), pairs.correct.ravel())

    def merge(self, other: GlobalAveragePrecision) -> None:
        """Add what another one has seen; the other stays as it is.

        Raises:
            TypeError: The other is no `GlobalAveragePrecision`.
            ValueError: The two keep different numbers of pairs a video.
        """
        if not isinstance(other, GlobalAveragePrecision):
            raise TypeError(
                f"`other` must be a GlobalAveragePrecision. Received: other={type(other).__name__}."
            )
        if other.top_k != self.top_k:
            raise ValueError(
                "Only measures with the same `top_k` can be merged. "
                f"Received: top_k={self.top_k}, other.top_k={other.top_k}."
            )
        self.num_videos += other.num_videos
        self.num_true_labels += other.num_true_labels
        for scores, correct in tuple(other._chunks):
            self._append(scores, correct)

    def result(self) -> float:
        """GAP@k of all videos so far; 0.0 where there is no true label. Asking changes nothing."""
        if not self._chunks:
            return 0.0
        scores = np.concatenate([scores for scores, _ in self._chunks])
        correct = np.concatenate([correct for _, correct in self._chunks])
        hits = scores[correct]
        scores.sort()
        return average_precision(scores, hits, self.num_true_labels)

    @property
    def num_pairs(self) -> int:
        """How many pairs are kept: `min(top_k, classes)` for each video."""
        return sum(scores.size for scores, _ in self._chunks)

    @property
    def nbytes(self) -> int:
        """What the kept pairs take in memory."""
        return sum(scores.nbytes + correct.nbytes for scores, correct in self._chunks)

    def _append(self, scores: np.ndarray, correct: np.ndarray) -> None:
        """Keep a part, joined to its neighbours as in a binary counter.

        Many small updates would otherwise leave many small arrays, whose headers outweigh the pairs.
        """
        while self._chunks and self._chunks[-1][0].size <= scores.size:
            kept_scores, kept_correct = self._chunks.pop()
            scores = np.concatenate([kept_scores, scores])
            correct = np.concatenate([kept_correct, correct])
        self._chunks.append((scores, correct))
