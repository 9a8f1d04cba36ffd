"""Ensembles: how members are weighted on the tuning split, and how their scores are combined, as a table.

    name         weights               score of a class
    algorithm_2  GAP_i / Σ GAP         Σ α_i S_i
    uniform      equal                 Σ S_i / models
    majority     equal                 how many members have it among their 20 highest, then Σ S_i / models
    rank_mean    equal                 mean of 1 / its rank among the video's classes
    optimized    on the tuning split   Σ α_i S_i
    stacking     on the tuning split   σ(bias + Σ w_i logit S_i)

Weights come from the tuning split and never from the one that is reported. Scores are combined one video at a time, so
that some of the videos combine as all of them do. All that is read of the tuning split is a `Shortlist`: of every
video the classes that count, under each member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.errors import choose
from dmlkit.metrics.ranking import (
    TopPairs,
    check_scores,
    check_scores_and_labels,
    count_labels,
    gap_of_pairs,
    top_k_classes,
)

TOP_K = 20
SHORTLIST_K = 2 * TOP_K  # classes of each member: an average's best may be no member's best
SELECTION_ROUNDS = 30  # of the forward selection: the smallest share of a member is one in this many
LOWEST, HIGHEST = 2.0**-24, 1 - 2.0**-12  # of scores before the logit; at half precision 0 and 1 lie beyond


class Weights(NamedTuple):
    """`members` (models,), and `bias`, which only `stacking` has."""

    members: np.ndarray
    bias: float = 0.0


class Combiner(NamedTuple):
    """`weigh`: the tuning split's shortlist → weights. `combine`: members' scores, weights → scores."""

    weigh: Callable[[Shortlist], Weights]
    combine: Callable[[Iterable[ArrayLike], Weights], np.ndarray]


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Of each video the classes among any member's highest, in the order of the classes."""

    scores: np.ndarray  # (models, videos, classes kept)
    correct: np.ndarray  # (videos, classes kept) bool: is the class one of the video's labels?
    true_labels: np.ndarray  # (videos,) int: all labels of the video, also those that are not kept

    def gap(self, scores: np.ndarray) -> float:
        """GAP@20 of scores (videos, classes kept); a member's own is that over all classes."""
        top = top_k_classes(scores, TOP_K)
        best = np.take_along_axis(scores, top, axis=1).astype(np.float32)
        return gap_of_pairs(TopPairs(best, np.take_along_axis(self.correct, top, axis=1), self.true_labels))


def gap_weights(gaps: ArrayLike) -> np.ndarray:
    """α_i = GAP_i / Σ GAP, (models,): each model's share, by its GAP on the tuning split, not on the reported one.

    Paper: §Ensemble, Algorithm 2 (weights).
    """
    gaps = np.asarray(gaps, dtype=np.float64)
    if gaps.ndim != 1 or not gaps.size or not np.isfinite(gaps).all() or (gaps < 0).any() or not gaps.any():
        raise ValueError(
            "`gaps` must hold one GAP for each model, at least one, all finite and not negative, and not all 0 "
            f"(measure them on videos with labels). Received: gaps={gaps.tolist()}."
        )
    return gaps / gaps.sum()


def weighted_average(scores: Iterable[ArrayLike], weights: ArrayLike) -> np.ndarray:
    """Σ_i α_i S_i: the ensemble's scores, (videos, classes), in at least single precision.

    Args:
        scores: One array (videos, classes) for each model, all for the same videos in the same order. They
            are taken one at a time, so a generator that loads them keeps a single one in memory.
        weights: (models,), for example from `gap_weights`; they need not add up to 1.

    Paper: §Ensemble, Algorithm 2 (S = Σ_i α_i S_i). Differs from the paper: its line 4 prints "S_i ← GAP in
    model i"; read as model i's score for the class.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 1 or weights.size == 0 or not np.isfinite(weights).all():
        raise ValueError(
            "`weights` must hold one finite number for each model, at least one. "
            f"Received: weights={weights.tolist()}."
        )
    average, models = None, 0
    for models, member in enumerate(scores, start=1):
        if models > weights.size:
            break
        member = check_scores(member, name=f"scores[{models - 1}]")
        if average is not None and member.shape != average.shape:
            raise ValueError(
                "The models' scores must share one shape (videos, classes). "
                f"Received: scores[0]={average.shape}, scores[{models - 1}]={member.shape}."
            )
        # In half precision, close classes would have the same sum.
        precision = np.promote_types(np.float32, member.dtype)
        share = member.astype(precision, copy=False) * precision.type(weights[models - 1])
        average = share if average is None else average + share
    if models != weights.size:
        raise ValueError(
            f"`weights` must hold one number for each model. Received: {weights.size} weights for "
            f"{'more' if models > weights.size else models} models."
        )
    return average


def optimize_weights(parts: Iterable[tuple[Sequence[ArrayLike], ArrayLike]], *, by: str) -> Weights:
    """The members' weights by a name of `COMBINERS`, from the tuning split; `parts` as for `shortlist`."""
    return choose(COMBINERS, by, what="combiner").weigh(shortlist(parts))


def combine(scores: Iterable[ArrayLike], weights: Weights, *, by: str) -> np.ndarray:
    """The ensemble's scores from its members', as for `weighted_average`, and the weights that `by` has optimized."""
    return choose(COMBINERS, by, what="combiner").combine(scores, weights)


def overlap(scores: ArrayLike, other: ArrayLike, *, top_k: int = TOP_K) -> float:
    """The mean share of classes in both models' top k of a video; top_k / classes for two that choose at random."""
    scores, other = check_scores(scores), check_scores(other, name="other")
    if scores.shape != other.shape or not len(scores):
        raise ValueError(
            "`scores` and `other` must share one shape (videos, classes), of at least one video. "
            f"Received: scores={scores.shape}, other={other.shape}."
        )
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, top_k_classes(scores, top_k), True, axis=1)
    return float(np.take_along_axis(chosen, top_k_classes(other, top_k), axis=1).mean())


def shortlist(parts: Iterable[tuple[Sequence[ArrayLike], ArrayLike]]) -> Shortlist:
    """The shortlist of the tuning split, from the members' scores and labels of some videos at a time."""
    kept = []
    for members, labels in parts:
        checked = [
            check_scores_and_labels(each, labels, name=f"scores[{i}]") for i, each in enumerate(members)
        ]
        members, labels = [scores.astype(np.float32) for scores, _ in checked], checked[0][1]
        # Every member's highest come first; what room is left goes to the highest of the others.
        priority = np.maximum.reduce(members)
        for scores in members:
            np.put_along_axis(priority, top_k_classes(scores, SHORTLIST_K), np.inf, axis=1)
        classes = top_k_classes(priority, SHORTLIST_K * len(members))
        scores = np.stack([np.take_along_axis(scores, classes, axis=1) for scores in members])
        kept.append((scores, np.take_along_axis(labels, classes, axis=1), count_labels(labels)))
    if not kept:
        raise ValueError("`parts` must hold at least one part of the videos. Received: none.")
    scores, correct, true_labels = zip(*kept, strict=True)
    return Shortlist(np.concatenate(scores, axis=1), np.concatenate(correct), np.concatenate(true_labels))


def _by_gap(tuning: Shortlist) -> Weights:
    return Weights(gap_weights([tuning.gap(scores) for scores in tuning.scores]))


def _equal(tuning: Shortlist) -> Weights:
    return Weights(np.full(len(tuning.scores), 1 / len(tuning.scores)))


def _forward_selection(tuning: Shortlist) -> Weights:
    """Shares that maximize GAP@20 on the tuning split, by greedy forward selection with replacement.

    The best member begins. Then the member is added, again and again, with which the mean is best; a member's share
    is how often it was added. The best mean on the way is taken, so that on the tuning split the ensemble is never
    below its best member. Of equal gains the better member is taken, then the earlier.

    Differs from the paper: this is Caruana et al., Ensemble Selection from Libraries of Models (2004).
    """

    def gap_of_mean(counts):
        # Rounded as they will be stored, so that the shares are measured as they will be used.
        return tuning.gap(weighted_average(tuning.scores, counts / counts.sum()).astype(np.float16))

    alone = [tuning.gap(scores) for scores in tuning.scores]
    add = np.eye(len(alone), dtype=int)
    # The better member first, so that max() takes it of equals.
    order = np.argsort(np.negative(alone), kind="stable")
    best, counts = alone[order[0]], add[order[0]]
    best_counts = counts
    for _ in range(SELECTION_ROUNDS - 1 if len(alone) > 1 else 0):
        gaps = {member: gap_of_mean(counts + add[member]) for member in order}
        chosen = max(gaps, key=gaps.get)
        counts = counts + add[chosen]
        if gaps[chosen] > best:
            best, best_counts = gaps[chosen], counts
    return Weights(best_counts / best_counts.sum())


def _logistic_regression(tuning: Shortlist) -> Weights:
    """A weight for each member's logits and one bias, shared by all classes, by penalized logistic regression.

    The classes outside the shortlist are left out of the loss. Weights may be negative and need not add up to 1; the
    penalty, half the squared distance from equal weights, shares them among equal members and keeps those of a
    faultless member finite. (scikit-learn penalizes the distance from 0, which shrinks a small tuning split's scores.)
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    members = len(tuning.scores)
    inputs = np.stack([logits(scores.astype(float)).ravel() for scores in tuning.scores], axis=1)
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    correct, prior = tuning.correct.ravel(), np.append(np.full(members, 1 / members), 0.0)

    def penalized_cross_entropy(weights):
        outputs, distance = inputs @ weights, weights - prior
        loss = np.logaddexp(0, outputs).sum() - outputs[correct].sum() + distance @ distance / 2
        return loss, inputs.T @ (expit(outputs) - correct) + distance

    *weights, bias = minimize(penalized_cross_entropy, prior, jac=True, method="BFGS", tol=1e-6).x
    return Weights(np.array(weights), float(bias))


def _mean(scores: Iterable[ArrayLike], weights: Weights) -> np.ndarray:
    return weighted_average(scores, weights.members)


def _majority(scores: Iterable[ArrayLike], weights: Weights) -> np.ndarray:
    """How many members have the class among the video's 20 highest; of equals, the mean score.

    With 20 classes or fewer all have every vote, and the order is that of the mean. Scores from 0 to 1.
    """
    members = [check_scores(member) for member in scores]
    average = weighted_average(members, weights.members)
    votes = np.zeros(average.shape, np.float32)
    for member in members:
        top = top_k_classes(member, TOP_K)
        np.put_along_axis(votes, top, np.take_along_axis(votes, top, axis=1) + 1, axis=1)
    # The root keeps the order, and separates small means where votes and mean share half precision.
    return (votes + np.sqrt(np.clip(average, 0, 1))) / (len(members) + 1)


def _rank_mean(scores: Iterable[ArrayLike], weights: Weights) -> np.ndarray:
    """The mean of 1 / rank among the video's classes, the highest score being 1; equal ones share their mean rank.

    Reciprocal, because GAP depends on each video's top: in a mean of plain ranks one member's lowest ranks outweigh
    another's first place.
    """
    from scipy.stats import rankdata

    ranks = (rankdata(-check_scores(member), axis=1).astype(np.float32) for member in scores)
    return weighted_average((1 / each for each in ranks), weights.members)


def _stacked(scores: Iterable[ArrayLike], weights: Weights) -> np.ndarray:
    """σ(bias + Σ w_i logit S_i), of scores from 0 to 1."""
    total = weighted_average((logits(check_scores(member)) for member in scores), weights.members)
    total = total + total.dtype.type(weights.bias)
    return np.exp(-np.logaddexp(0, -total))


def logits(scores: np.ndarray) -> np.ndarray:
    """log(S / (1 - S)) of scores from 0 to 1, finite at the ends."""
    if scores.size and (np.min(scores) < 0 or np.max(scores) > 1):
        raise ValueError(
            "Stacking takes probabilities, scores from 0 to 1. "
            f"Received: scores from {np.min(scores)} to {np.max(scores)}."
        )
    scores = np.clip(scores.astype(np.promote_types(np.float32, scores.dtype)), LOWEST, HIGHEST)
    return np.log(scores) - np.log1p(-scores)


COMBINERS = {
    "algorithm_2": Combiner(_by_gap, _mean),
    "uniform": Combiner(_equal, _mean),
    "majority": Combiner(_equal, _majority),
    "rank_mean": Combiner(_equal, _rank_mean),
    "optimized": Combiner(_forward_selection, _mean),
    "stacking": Combiner(_logistic_regression, _stacked),
}
