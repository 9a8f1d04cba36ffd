"""Whether weights on frames say what a score rests on: frames taken away, and frames known to be right.

Everything that needs a model takes a function `score(kept)`: from (n, frames) bool, a row for each choice of the
frames that are kept, to their scores, (n,) or (n, classes). What taking a frame away means (its weight set to 0,
or the video encoded without it) is that function's business.

Attention is not by itself an explanation; these numbers show how far it is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.checks import checked_count
from dmlkit.metrics.precision import average_precision

Score = Callable[[np.ndarray], np.ndarray]


class TakingAway(NamedTuple):
    """A curve of scores while frames are taken away, or given back.

    Attributes:
        shares: (points,) share of the frames that are away (deletion) or there (insertion), from 0 to 1.
        scores: (points,) or (points, classes).
        area: Under the curve by the trapezoid rule; a float, or (classes,).
    """

    shares: np.ndarray
    scores: np.ndarray
    area: float | np.ndarray


def occlusion(score: Score, frames: int) -> np.ndarray:
    """How much of the score each frame alone makes: the score less the score without the frame.

    Args:
        score: As the head of this file describes it.
        frames: How many there are.

    Returns:
        (frames,) or (frames, classes); higher where the score needs the frame.

    Raises:
        ValueError: `score` gives something else than a row for each row.
    """
    everything = np.ones((1, frames), bool)
    scores = _ask(score, np.concatenate([everything, ~np.eye(frames, dtype=bool)]))
    return scores[0] - scores[1:]


def deletion_curve(score: Score, importance: ArrayLike, *, steps: int = 20) -> TakingAway:
    """The score while the most important frames are taken away first; a low area is a good order.

    Args:
        score: As the head of this file describes it.
        importance: (frames,) the highest goes first; of equal ones the earlier.
        steps: At how many places between none and all frames to look, at most.

    Returns:
        `TakingAway(shares, scores, area)`, from all frames to none.

    Raises:
        ValueError: Importance is no row of numbers, or `score` gives something else than a row for each row.
    """
    return _curve(score, importance, steps=steps, give_back=False)


def insertion_curve(score: Score, importance: ArrayLike, *, steps: int = 20) -> TakingAway:
    """The score while the most important frames are given first; a high area is a good order.

    Args:
        score, importance, steps: As for `deletion_curve`.

    Returns:
        `TakingAway(shares, scores, area)`, from no frames to all.

    Raises:
        ValueError: As for `deletion_curve`.
    """
    return _curve(score, importance, steps=steps, give_back=True)


def random_importance(frames: int, *, seeds: int = 5, seed: int = 0) -> np.ndarray:
    """Orders to compare with: (seeds, frames), each row another shuffling of 0 to frames - 1.

    Args:
        frames: How many there are.
        seeds: How many orders.
        seed: The same seed gives the same orders.
    """
    rows = np.tile(np.arange(frames), (checked_count(seeds, name="seeds"), 1))
    return np.random.default_rng(seed).permuted(rows, axis=1)


def ground_truth_precision(weights: ArrayLike, planted: ArrayLike) -> float:
    """Average precision of frames ranked by weight against the frames known to be right.

    Frames of equal weight form one threshold, as everywhere here, so that uniform weights get the share of the
    frames that are right.

    Args:
        weights: (frames,) any numbers.
        planted: (frames,) true where not zero.

    Returns:
        Between 0 and 1; NaN where no frame is right.

    Raises:
        ValueError: The shapes differ, or a weight is NaN.
    """
    weights, planted = _importance(weights, name="weights"), np.asarray(planted) != 0
    if planted.shape != weights.shape:
        raise ValueError(
            f"`weights` and `planted` must share one shape (frames,). Received: weights={weights.shape}, "
            f"planted={planted.shape}."
        )
    if not planted.any():
        return float("nan")
    return average_precision(np.sort(weights), weights[planted], int(planted.sum()))


def _curve(score: Score, importance: ArrayLike, *, steps: int, give_back: bool) -> TakingAway:
    importance = _importance(importance, name="importance")
    frames = len(importance)
    if not frames:
        raise ValueError("A curve needs at least one frame. Received: importance of 0 frames.")
    places = np.unique(np.round(np.linspace(0, frames, checked_count(steps, name="steps") + 1)).astype(int))
    rank = np.empty(frames, int)
    rank[np.argsort(-importance, kind="stable")] = np.arange(frames)
    touched = rank[None, :] < places[:, None]
    scores = _ask(score, touched if give_back else ~touched)
    shares = places / frames
    area = np.trapezoid(scores, shares, axis=0)
    return TakingAway(shares, scores, float(area) if scores.ndim == 1 else area)


def _importance(values: ArrayLike, *, name: str) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or np.isnan(values).any():
        raise ValueError(
            f"`{name}` must be numbers of the shape (frames,), none of them NaN. Received: shape {values.shape}."
        )
    return values


def _ask(score: Score, kept: np.ndarray) -> np.ndarray:
    scores = np.asarray(score(kept), np.float64)
    if scores.ndim not in (1, 2) or len(scores) != len(kept):
        raise ValueError(
            f"`score` must give a score (or a row of them) for each of {len(kept)} rows. Received: {scores.shape}."
        )
    return scores
