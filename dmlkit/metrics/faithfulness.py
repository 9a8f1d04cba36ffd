"""How faithful weights on frames are: the score with frames deleted, and frames known to be relevant.

Everything that needs a model takes a function `score(kept)`: from (n, frames) bool, a row for each choice of the
frames that are kept, to their scores, (n,) or (n, classes). What deleting a frame means (its weight set to 0, or
the video encoded without it) is up to that function.

Attention is not by itself an explanation; these numbers show how far it is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.ranking import average_precision, check_count

Score = Callable[[np.ndarray], np.ndarray]


class Curve(NamedTuple):
    """Scores while frames are deleted or inserted."""

    shares: np.ndarray  # (points,) of the frames that are deleted (or inserted), from 0 to 1
    scores: np.ndarray  # (points,) or (points, classes)
    area: float | np.ndarray  # under the curve by the trapezoid rule; (classes,) for scores of several


def occlusion(score: Score, frames: int) -> np.ndarray:
    """The score less the score without each frame: (frames,) or (frames, classes), higher where it is needed."""
    all_kept = np.ones((1, frames), bool)
    scores = np.asarray(score(np.concatenate([all_kept, ~np.eye(frames, dtype=bool)])), np.float64)
    return scores[0] - scores[1:]


def deletion_curve(score: Score, importance: ArrayLike, *, insert: bool = False, steps: int = 20) -> Curve:
    """The score while frames are deleted, the most important first; a low area means a good order.

    Args:
        score: As described at the head of this file.
        importance: (frames,) the highest goes first; of equal ones the earlier.
        insert: Begin without frames and insert them instead; a high area means a good order.
        steps: At how many points between none and all frames to evaluate, at most.
    """
    importance = np.asarray(importance, np.float64)
    frames = len(importance)
    counts = np.unique(np.round(np.linspace(0, frames, check_count(steps, name="steps") + 1)).astype(int))
    rank = np.argsort(np.argsort(-importance, kind="stable"))
    first = rank[None, :] < counts[:, None]
    scores, shares = np.asarray(score(first if insert else ~first), np.float64), counts / frames
    return Curve(shares, scores, np.trapezoid(scores, shares, axis=0))


def random_importance(frames: int, *, seeds: int = 5, seed: int = 0) -> np.ndarray:
    """Orders to compare with: (seeds, frames), each row another permutation of 0 to frames - 1."""
    rows = np.tile(np.arange(frames), (check_count(seeds, name="seeds"), 1))
    return np.random.default_rng(seed).permuted(rows, axis=1)


def ground_truth_precision(weights: ArrayLike, ground_truth: ArrayLike) -> float:
    """Average precision of frames ranked by weight against the frames known to be relevant.

    Frames of equal weight form one threshold, so that uniform weights get the share of the relevant frames. NaN where
    no frame is relevant (`ground_truth` (frames,), true where not zero).
    """
    weights, relevant = np.asarray(weights, np.float64), np.asarray(ground_truth) != 0
    if not relevant.any():
        return float("nan")
    return average_precision(np.sort(weights), weights[relevant], int(relevant.sum()))
