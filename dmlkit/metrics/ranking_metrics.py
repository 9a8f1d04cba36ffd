"""All metrics of one set of scores, as plain numbers that JSON can hold: at once, or streaming."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.bootstrap import Interval, gap_interval_of_pairs
from dmlkit.metrics.checks import checked, checked_count
from dmlkit.metrics.counts import ScoreCounts
from dmlkit.metrics.gap import gap_of_pairs, global_average_precision
from dmlkit.metrics.precision import mean_average_precision
from dmlkit.metrics.ranking import hit_at_one, precision_at_equal_recall_rate
from dmlkit.metrics.top import TopPairs, top_k_classes, top_pairs


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


class RankingMetrics:
    """`measure` over videos that come in parts: `update` with each part, `merge` workers, ask for the `result`.

    Exact: the same bits as `measure` of the same scores at half precision, in any order and any grouping.
    Memory: 64 bytes a video and those of `ScoreCounts`. A worker sends home its `state()`.

    Args:
        num_classes: How many classes each video is scored for.
        top_k: Pairs a video for GAP; all classes where there are fewer.

    Raises:
        ValueError: A number is not whole and at least 1.

    Paper: §Measure.
    """

    def __init__(self, num_classes: int, *, top_k: int = 20):
        self.num_classes = checked_count(num_classes, name="num_classes")
        self.top_k = min(checked_count(top_k, name="top_k"), self.num_classes)
        self.num_videos = 0
        self._counts = ScoreCounts(self.num_classes)
        self._pairs: list[TopPairs] = []
        # Number of labels → how many of so many best classes were right.
        self._right: dict[int, int] = {}

    def update(self, scores: ArrayLike, labels: ArrayLike) -> None:
        """Add videos. Nothing is added where an error is raised.

        Args:
            scores: (videos, classes) from 0 to 1; rounded to half precision.
            labels: (videos, classes), any type; true where not zero.

        Raises:
            ValueError: The shapes differ, or a score is NaN or not between 0 and 1.
        """
        halves = np.asarray(scores, np.float16)
        # Half precision as single loses nothing, and is looked through many times faster.
        scores, labels = checked(halves.astype(np.float32), labels)
        pairs = top_pairs(scores, labels, top_k=self.top_k)
        self._counts.update(halves, labels)
        self._add(pairs)
        for n, right in _right_of_best(scores, labels, pairs).items():
            self._right[n] = self._right.get(n, 0) + right

    def merge(self, other: RankingMetrics) -> None:
        """Add what another one has seen, after the videos of this one; the other stays as it is.

        Raises:
            ValueError: The two measure other classes or pairs.
        """
        if (other.num_classes, other.top_k) != (self.num_classes, self.top_k):
            raise ValueError(
                "Only metrics of the same classes and pairs can be merged. "
                f"Received: num_classes={self.num_classes}, other.num_classes={other.num_classes}, "
                f"top_k={self.top_k}, other.top_k={other.top_k}."
            )
        self._counts.merge(other._counts)
        for pairs in tuple(other._pairs):
            self._add(pairs)
        for n, right in tuple(other._right.items()):
            self._right[n] = self._right.get(n, 0) + right

    def result(self) -> dict[str, float | int]:
        """What `measure` returns, of all videos so far. Asking changes nothing."""
        pairs, mean = self.pairs(), self._counts.result()
        labelled = int(np.count_nonzero(pairs.true_labels))
        # Pairs ascend by class, so of equal best scores the lowest class is found.
        best = np.argmax(pairs.scores, axis=1)
        hits = np.count_nonzero(pairs.correct[np.arange(len(best)), best])
        right = 0.0
        for n in sorted(self._right):  # `sum` would add more exactly, and so give other bits
            right += self._right[n] / n
        return {
            "gap": gap_of_pairs(pairs),
            "hit_at_one": float(hits / len(best)) if len(best) else 0.0,
            "perr": float(right / labelled) if labelled else 0.0,
            "map": mean.value,
            "map_classes": mean.classes_counted,
            "num_classes": mean.num_classes,
            "videos": self.num_videos,
        }

    def gap_interval(self, *, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
        """The bootstrap interval of GAP over all videos so far; see `dmlkit.metrics.gap_interval`.

        Which videos a seed draws goes by their places, so another order gives another interval, as another seed
        does.

        Raises:
            ValueError: There is no video, or a setting is out of range.
        """
        return gap_interval_of_pairs(self.pairs(), level=level, resamples=resamples, seed=seed)

    def pairs(self) -> TopPairs:
        """Every video's best pairs (score, correct), in the order in which the videos came."""
        if not self._pairs:
            nothing = np.empty((0, self.top_k), np.float16)
            return TopPairs(nothing.astype(np.float32), nothing.astype(bool), np.empty(0, np.int64))
        return TopPairs(
            scores=np.concatenate([pairs.scores for pairs in self._pairs]).astype(np.float32),
            correct=np.concatenate([pairs.correct for pairs in self._pairs]),
            true_labels=np.concatenate([pairs.true_labels for pairs in self._pairs]).astype(np.int64),
        )

    def state(self) -> dict[str, np.ndarray]:
        """What was seen, as plain arrays that a file or a network can carry; `from_state` takes it back."""
        pairs = self.pairs()
        return {
            "pair_scores": pairs.scores.astype(np.float16),
            "pair_correct": pairs.correct,
            "true_labels": pairs.true_labels,
            "right": np.array(sorted(self._right.items()), np.int64).reshape(-1, 2),
            **self._counts.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> RankingMetrics:
        """What `state` told."""
        metrics = cls(state["held"].shape[1], top_k=state["pair_scores"].shape[1])
        metrics._counts = ScoreCounts.from_state(state)
        metrics._add(TopPairs(state["pair_scores"], state["pair_correct"], state["true_labels"]))
        metrics._right = {int(n): int(right) for n, right in state["right"]}
        return metrics

    def _add(self, pairs: TopPairs) -> None:
        self.num_videos += len(pairs.scores)
        self._pairs.append(
            TopPairs(
                pairs.scores.astype(np.float16, copy=False),
                pairs.correct,
                pairs.true_labels.astype(np.int32, copy=False),
            )
        )


def _right_of_best(scores: np.ndarray, labels: np.ndarray, pairs: TopPairs) -> dict[int, int]:
    """Number of labels n → how many of the n best classes are right, over the videos that have so many."""
    right = {}
    # The classes ascend, so a stable sort leaves the lower of two equals in front.
    order = np.argsort(-pairs.scores, axis=1, kind="stable")
    running = np.cumsum(np.take_along_axis(pairs.correct, order, axis=1), axis=1)
    for n in np.unique(pairs.true_labels[pairs.true_labels > 0]).tolist():
        videos = np.flatnonzero(pairs.true_labels == n)
        if n <= running.shape[1]:
            right[n] = int(running[videos, n - 1].sum())
        else:
            best = top_k_classes(scores[videos], n)
            right[n] = int(np.count_nonzero(labels[videos[:, None], best]))
    return right
