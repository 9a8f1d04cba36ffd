"""What each member of an ensemble is worth, found on the tuning part and never on the one that is reported.

All that is looked at is a `Shortlist`: of every video the classes that count, under each member.

Weights are finite also where a member says the same of everything, is there twice, or makes no mistake: `found` leaves
a constant out, `logistic` shares among equals and gives a constant a part of the bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.checks import checked, count_labels
from dmlkit.metrics.ensemble import gap_weights, weighted_average
from dmlkit.metrics.gap import gap_of_pairs
from dmlkit.metrics.top import TopPairs, top_k_classes

TOP_K = 20
# A member's classes that are looked at: twice those GAP counts, for an average's best may be no member's best.
DEEP = 2 * TOP_K
# Additions of the forward selection, so that a member's share can be as small as one in this many.
ROUNDS = 30
# Scores are held at half precision, where all above is 1 and all below is 0.
LOWEST, HIGHEST = 2.0**-24, 1 - 2.0**-12


class Weights(NamedTuple):
    """What combines members: `members` (models,), and `bias`, which only `stacking` has."""

    members: np.ndarray
    bias: float = 0.0


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Of each video the classes among any member's highest.

    Args:
        scores: (models, videos, classes kept) each member's, of the same classes, in the order of the classes.
        correct: (videos, classes kept) bool: is the class one of the video's labels?
        true_labels: (videos,) int: all labels of the video, also those that are not kept.
    """

    scores: np.ndarray
    correct: np.ndarray
    true_labels: np.ndarray

    def gap(self, scores: np.ndarray) -> float:
        """GAP@20 of scores (videos, classes kept); a member's own is that over all classes."""
        top = top_k_classes(scores, min(TOP_K, scores.shape[1]))
        return gap_of_pairs(
            TopPairs(
                np.take_along_axis(scores, top, axis=1).astype(np.float32),
                np.take_along_axis(self.correct, top, axis=1),
                self.true_labels,
            )
        )


def shortlist(parts: Iterable[tuple[Sequence[ArrayLike], ArrayLike]]) -> Shortlist:
    """The shortlist of the tuning part, from some videos at a time.

    Args:
        parts: Pairs of the members' scores, each (videos, classes), and the labels (videos, classes).

    Raises:
        ValueError: No part or no member, other shapes, or a NaN.
    """
    kept = [_of_part(list(members), labels) for members, labels in parts]
    if not kept:
        raise ValueError("`parts` must hold at least one part of the videos. Received: none.")
    return Shortlist(
        np.concatenate([part.scores for part in kept], axis=1),
        np.concatenate([part.correct for part in kept]),
        np.concatenate([part.true_labels for part in kept]),
    )


def _of_part(members: list[ArrayLike], labels: ArrayLike) -> Shortlist:
    if not members:
        raise ValueError("An ensemble has at least one member. Received: none.")
    members = [
        checked(scores, labels, name=f"scores[{place}]")[0].astype(np.float32)
        for place, scores in enumerate(members)
    ]
    labels = np.asarray(labels) != 0
    num_classes = labels.shape[1]
    # Every member's highest come first; what room is left goes to the highest of the others.
    wanted = np.maximum.reduce(members)
    for scores in members:
        np.put_along_axis(wanted, top_k_classes(scores, min(DEEP, num_classes)), np.inf, axis=1)
    classes = top_k_classes(wanted, min(DEEP * len(members), num_classes))
    return Shortlist(
        np.stack([np.take_along_axis(scores, classes, axis=1) for scores in members]),
        np.take_along_axis(labels, classes, axis=1),
        count_labels(labels),
    )


def by_gap(tuning: Shortlist) -> Weights:
    """Each member's share of the members' GAPs.

    Paper: §Ensemble, Algorithm 2 (weights).
    """
    return Weights(gap_weights([tuning.gap(scores) for scores in tuning.scores]))


def equal(tuning: Shortlist) -> Weights:
    """The same for each member."""
    models = len(tuning.scores)
    return Weights(np.full(models, 1 / models))


def found(tuning: Shortlist) -> Weights:
    """Shares that maximise GAP@20 on the tuning part, by greedy forward selection with replacement.

    The best member begins. Then again and again that member is added, as often as need be, with which the mean is
    best; a member's share is how often it was added. The best mean on the way is taken, so that on the tuning part
    the ensemble is never below its best member. Of equal gains the better member is taken, then the earlier.

    Differs from the paper: Algorithm 2 weighs by GAP, under which shares are nearly equal however unequal the
    members. This is the selection of Caruana et al., Ensemble Selection from Libraries of Models (2004).
    """
    alone = [tuning.gap(scores) for scores in tuning.scores]
    # The better member first, so that max() takes it of equals.
    order = sorted(range(len(alone)), key=lambda member: -alone[member])
    counts = np.zeros(len(alone), int)
    counts[order[0]] = 1
    best, best_counts = alone[order[0]], counts
    for _ in range(ROUNDS - 1 if len(alone) > 1 else 0):
        gaps = {member: _gap_of_mean(tuning, _added(counts, member)) for member in order}
        chosen = max(gaps, key=gaps.get)
        counts = _added(counts, chosen)
        if gaps[chosen] > best:
            best, best_counts = gaps[chosen], counts
    return Weights(best_counts / best_counts.sum())


def _added(counts: np.ndarray, member: int) -> np.ndarray:
    return counts + (np.arange(len(counts)) == member)


def _gap_of_mean(tuning: Shortlist, counts: np.ndarray) -> float:
    # Rounded as they will be stored, so that what was found is what is measured.
    return tuning.gap(weighted_average(tuning.scores, counts / counts.sum()).astype(np.float16))


def logits_of(scores: np.ndarray) -> np.ndarray:
    """log(s / (1 - s)), finite also at 0 and 1.

    Raises:
        ValueError: A score is below 0 or above 1.
    """
    if scores.size and not 0 <= np.min(scores) <= np.max(scores) <= 1:
        raise ValueError(
            "Stacking takes probabilities, scores from 0 to 1. "
            f"Received: scores from {np.min(scores)} to {np.max(scores)}."
        )
    scores = np.clip(scores.astype(np.promote_types(np.float32, scores.dtype)), LOWEST, HIGHEST)
    return np.log(scores) - np.log1p(-scores)


def logistic(tuning: Shortlist, *, steps: int = 100) -> Weights:
    """A weight for each member's logits and one bias, by the least cross-entropy on the tuning part.

    Newton's method, each step halved until the loss falls. One video's worth of belief in equal weights tells equal
    members apart from a singular matrix. Weights may be negative and need not add up to 1.

    A weight is shared by all classes: per-class stacking has so many times more numbers as there are classes, most
    of which have a handful of labels in a tuning part.

    Args:
        tuning: The shortlist; the classes that no member scores high are left out of the loss.
        steps: The most.
    """
    models = len(tuning.scores)
    inputs = np.stack([*(logits_of(scores.astype(float)).ravel() for scores in tuning.scores)], axis=1)
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    correct = tuning.correct.ravel().astype(float)
    prior = np.append(np.full(models, 1 / models), 0.0)

    numbers = prior.copy()
    loss = _cross_entropy(numbers, inputs, correct, prior)
    for _ in range(steps):
        share = _sigmoid(inputs @ numbers)
        slope = inputs.T @ (share - correct) + (numbers - prior)
        bend = inputs.T @ (inputs * (share * (1 - share))[:, None]) + np.eye(models + 1)
        step = np.linalg.solve(bend, slope)
        while (lower := _cross_entropy(numbers - step, inputs, correct, prior)) > loss:
            step = step / 2
            if np.abs(step).max() < 1e-9:
                return Weights(numbers[:-1], float(numbers[-1]))
        numbers, loss = numbers - step, lower
        if np.abs(step).max() < 1e-9:
            break
    return Weights(numbers[:-1], float(numbers[-1]))


def _cross_entropy(numbers: np.ndarray, inputs: np.ndarray, correct: np.ndarray, prior: np.ndarray) -> float:
    logits = inputs @ numbers
    return float((np.logaddexp(0, logits) - correct * logits).sum() + ((numbers - prior) ** 2).sum() / 2)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -logits))
