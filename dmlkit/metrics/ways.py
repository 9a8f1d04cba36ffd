"""The ways to combine models, as a table: how the members are weighed, and what is made of their scores.

    name         weights               score of a class
    algorithm_2  GAP_i / Σ GAP         Σ α_i S_i
    uniform      equal                 Σ S_i / models
    majority     equal                 how many members have it among their 20 highest, then Σ S_i / models
    rank_mean    equal                 mean of 1 / its rank among the video's classes
    found        on the tuning part    Σ α_i S_i
    stacking     on the tuning part    σ(bias + Σ w_i logit S_i)

Each looks at one video at a time, so that some videos combine as all of them do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.errors import choose
from dmlkit.metrics.checks import checked_scores
from dmlkit.metrics.ensemble import weighted_average
from dmlkit.metrics.top import top_k_classes
from dmlkit.metrics.weighing import (
    TOP_K,
    Shortlist,
    Weights,
    by_gap,
    equal,
    found,
    logistic,
    logits_of,
    shortlist,
)


class Way(NamedTuple):
    """`weigh`: the tuning part's shortlist → weights. `combine`: members' scores, weights → scores."""

    weigh: Callable[[Shortlist], Weights]
    combine: Callable[[Iterable[ArrayLike], Weights], np.ndarray]


def optimize_weights(parts: Iterable[tuple[Sequence[ArrayLike], ArrayLike]], *, by: str) -> Weights:
    """The members' weights, from the tuning part.

    Args:
        parts: Some videos at a time: the members' scores, each (videos, classes), and the labels.
        by: A name of `COMBINERS`.

    Raises:
        UsageError: An unknown way.
        ValueError: No video or no member, other shapes, a NaN, or scores the way cannot take.
    """
    way = choose(COMBINERS, by, what="way to combine")
    return way.weigh(shortlist(parts))


def combine(scores: Iterable[ArrayLike], weights: Weights, *, by: str) -> np.ndarray:
    """The ensemble's scores.

    Args:
        scores: One array (videos, classes) for each member, all of the same videos in the same order.
        weights: From `weigh`, by the same way.
        by: A name of `COMBINERS`.

    Returns:
        (videos, classes), floats.

    Raises:
        UsageError: An unknown way.
        ValueError: More or fewer weights than members, other shapes, a NaN, or scores the way cannot take.
    """
    return choose(COMBINERS, by, what="way to combine").combine(scores, weights)


def mean(scores: Iterable[ArrayLike], weights: Weights) -> np.ndarray:
    """Σ α_i S_i; see `weighted_average`."""
    return weighted_average(scores, weights.members)


def majority(scores: Iterable[ArrayLike], weights: Weights) -> np.ndarray:
    """How many members have the class among the video's 20 highest; of equals, the mean score.

    With 20 classes or fewer all have every vote, and it is the order of the mean. Scores from 0 to 1.
    """
    members = [checked_scores(member) for member in scores]
    average = weighted_average(members, weights.members)
    votes = np.zeros(average.shape, np.float32)
    for member in members:
        for_these = top_k_classes(member, min(TOP_K, member.shape[1]))
        np.put_along_axis(votes, for_these, np.take_along_axis(votes, for_these, axis=1) + 1, axis=1)
    # The root keeps the order, and keeps small means apart where votes and mean share half precision.
    return (votes + np.sqrt(np.clip(average, 0, 1))) / (len(members) + 1)


def rank_mean(scores: Iterable[ArrayLike], weights: Weights) -> np.ndarray:
    """The mean of 1 / rank, ranks among the classes of the video, the highest score being 1; equals share theirs.

    Reciprocal, because GAP looks at each video's top: there one place is much, and at rank 3,000 it is nothing,
    where a mean of plain ranks would let one member's far end outweigh another's first place. How sure a member
    is of one video against another is lost.
    """
    return weighted_average((1 / ranks(member) for member in scores), weights.members)


def ranks(scores: ArrayLike) -> np.ndarray:
    """(videos, classes) float32: 1 for a video's highest score; equal scores share the mean of their ranks."""
    scores = checked_scores(scores)
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    places = np.arange(scores.shape[1], dtype=np.int32)
    new = np.ones(scores.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    last = np.ones(scores.shape, bool)
    last[:, :-1] = new[:, 1:]
    # Of every run of equals, where it begins and where it ends.
    begins = np.maximum.accumulate(np.where(new, places, 0), axis=1)
    ends = np.minimum.accumulate(np.where(last, places, places[-1])[:, ::-1], axis=1)[:, ::-1]
    found_ranks = np.empty(scores.shape, np.float32)
    np.put_along_axis(found_ranks, order, (begins + ends).astype(np.float32) / 2 + 1, axis=1)
    return found_ranks


def stacked(scores: Iterable[ArrayLike], weights: Weights) -> np.ndarray:
    """σ(bias + Σ w_i logit S_i), of scores from 0 to 1."""
    logits = weighted_average((logits_of(checked_scores(member)) for member in scores), weights.members)
    logits = logits + logits.dtype.type(weights.bias)
    return np.exp(-np.logaddexp(0, -logits))


def overlap(scores: ArrayLike, other: ArrayLike, *, top_k: int = TOP_K) -> float:
    """How alike two models are: the share of classes in both of a video's top k, the mean over videos.

    Two that choose at random share top_k / classes.

    Args:
        scores, other: (videos, classes) of the same videos.
        top_k: All classes where there are fewer.

    Raises:
        ValueError: The shapes differ, there is no video, or a NaN.
    """
    scores, other = checked_scores(scores), checked_scores(other, name="other")
    if scores.shape != other.shape or not len(scores):
        raise ValueError(
            "`scores` and `other` must share one shape (videos, classes), of at least one video. "
            f"Received: scores={scores.shape}, other={other.shape}."
        )
    top_k = min(top_k, scores.shape[1])
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, top_k_classes(scores, top_k), True, axis=1)
    return float(np.take_along_axis(chosen, top_k_classes(other, top_k), axis=1).mean())


COMBINERS = {
    "algorithm_2": Way(by_gap, mean),
    "uniform": Way(equal, mean),
    "majority": Way(equal, majority),
    "rank_mean": Way(equal, rank_mean),
    "optimized": Way(found, mean),
    "stacking": Way(logistic, stacked),
}
