"""The paper's ensemble: models weighted by what they reached, scores averaged."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from dmlkit.metrics.checks import checked_scores


def gap_weights(gaps: ArrayLike) -> np.ndarray:
    """α_i = GAP_i / Σ GAP: each model's share.

    Args:
        gaps: (models,) each model's GAP on the tuning part, not on the part that is reported.

    Returns:
        (models,) float64, adding up to 1.

    Raises:
        ValueError: No model, a negative or non-finite GAP, or no GAP above 0.

    Paper: §Ensemble, Algorithm 2 (weights).
    """
    gaps = np.asarray(gaps, dtype=np.float64)
    if gaps.ndim != 1 or gaps.size == 0:
        raise ValueError(
            f"`gaps` must hold one GAP for each model, at least one. Received: shape={gaps.shape}."
        )
    if not np.isfinite(gaps).all() or (gaps < 0).any():
        raise ValueError(f"`gaps` must be finite and not negative. Received: gaps={gaps.tolist()}.")
    if not gaps.any():
        raise ValueError(
            "`gaps` are all 0, which gives no model any weight: measure them on videos with labels. "
            f"Received: gaps={gaps.tolist()}."
        )
    return gaps / gaps.sum()


def weighted_average(scores: Iterable[ArrayLike], weights: ArrayLike) -> np.ndarray:
    """Σ_i α_i S_i: the ensemble's scores.

    Args:
        scores: One array (videos, classes) for each model, all for the same videos in the same order. They
            are taken one at a time, so a generator that loads them keeps a single one in memory.
        weights: (models,), for example from `gap_weights`; they need not add up to 1.

    Returns:
        (videos, classes), in the widest of the members' precisions and single precision.

    Raises:
        ValueError: No model, more or fewer weights than models, a weight that is not finite, members of
            different shapes, or a NaN.

    Paper: §Ensemble, Algorithm 2 (S = Σ_i α_i S_i). Differs from the paper: its line 4 prints "S_i ← GAP in
    model i"; read as model i's score for the class.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 1 or weights.size == 0 or not np.isfinite(weights).all():
        raise ValueError(
            "`weights` must hold one finite number for each model, at least one. "
            f"Received: weights={weights.tolist()}."
        )
    average: np.ndarray | None = None
    models = 0
    for models, member in enumerate(scores, start=1):
        if models > weights.size:
            raise ValueError(
                f"`weights` must hold one number for each model. Received: {weights.size} weights for more models."
            )
        member = checked_scores(member, name=f"scores[{models - 1}]")
        if average is not None and member.shape != average.shape:
            raise ValueError(
                "The models' scores must share one shape (videos, classes). "
                f"Received: scores[0]={average.shape}, scores[{models - 1}]={member.shape}."
            )
        # A half-precision sum would lose what tells close classes apart.
        precision = np.promote_types(np.float32, member.dtype)
        share = member.astype(precision, copy=False) * precision.type(weights[models - 1])
        average = share if average is None else average + share
    if average is None or models < weights.size:
        raise ValueError(
            f"`weights` must hold one number for each model. Received: {weights.size} weights, {models} models."
        )
    return average
