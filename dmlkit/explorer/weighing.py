"""What becomes of weights and scores when frames are masked: the arithmetic that the browser does as well.

`attention_view.js` holds the same functions; a test feeds both the same numbers. Numpy alone.
"""

from __future__ import annotations

import numpy as np

from dmlkit.errors import UsageError
from dmlkit.explorer.evidence import Evidence


def logits_of(evidence: Evidence) -> np.ndarray:
    """(frames,) what the softmax is taken of: the attention's logits, or where they are not known log α_t."""
    if evidence.logits is not None:
        return evidence.logits.astype(np.float64)
    with np.errstate(divide="ignore"):
        return np.log(evidence.weights.astype(np.float64))


def kept_frames(evidence: Evidence, *, masked=(), top: int | None = None) -> np.ndarray:
    """Which frames are weighed.

    Args:
        evidence: The video.
        masked: Frames taken away, by number or as (frames,) bool.
        top: Of the others, only so many with the highest logits, the earlier one where two are equal.

    Returns:
        (frames,) bool.

    Raises:
        UsageError: A frame that is not there, or `top` below 1.
    """
    kept = ~as_mask(masked, evidence.frames)
    if top is None:
        return kept
    if top < 1:
        raise UsageError(f"At least one frame is kept. Received: top={top}.")
    order = np.argsort(-logits_of(evidence), kind="stable")
    highest = np.zeros_like(kept)
    highest[order[kept[order]][:top]] = True
    return highest


def as_mask(frames, count: int) -> np.ndarray:
    """(count,) bool out of frame numbers, or of a mask already.

    Raises:
        UsageError: A frame that is not there.
    """
    frames = np.asarray(frames if isinstance(frames, np.ndarray) else list(frames))
    if frames.dtype == bool and frames.shape == (count,) and count:
        return frames.copy()
    outside = [int(each) for each in frames if not (0 <= each < count and int(each) == each)]
    if outside or (frames.dtype == bool and frames.size):
        wrong = outside[0] if outside else f"{frames.size} booleans"
        raise UsageError(f"The video has frames 0 to {count - 1}. Received: {wrong}.")
    mask = np.zeros(count, bool)
    mask[frames.astype(int)] = True
    return mask


def optimize_weights(
    evidence: Evidence, *, masked=(), top: int | None = None, temperature: float = 1.0, uniform: bool = False
) -> np.ndarray | None:
    """The weights of the frames kept, renormalised.

    Args:
        evidence: The video.
        masked, top: As for `kept_frames`.
        temperature: What the logits are divided by: above 1 the weights even out, below they gather.
        uniform: The same weight for every kept frame instead.

    Returns:
        (frames,) float64, 0 where not kept, a sum of 1; None where nothing that has any weight is kept.

    Raises:
        UsageError: A setting out of its range.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise UsageError(f"The temperature must be above 0. Received: temperature={temperature!r}.")
    kept = kept_frames(evidence, masked=masked, top=top)
    if not kept.any():
        return None
    if uniform:
        return kept / kept.sum()
    says = np.where(kept, logits_of(evidence) / temperature, -np.inf)
    if not np.isfinite(says.max()):
        return None  # frames whose weight was 0 from the start: how they compare is not known
    shares = np.exp(says - says.max())
    return shares / shares.sum()


def class_logits(evidence: Evidence, weights: np.ndarray | None) -> np.ndarray | None:
    """Σ_t α_t (w_k·h_t) + b_k of the classes carried.

    Args:
        evidence: The video.
        weights: (frames,) what `weigh` gives.

    Returns:
        (carried,) float64; None without weights, or where the classifier is not linear.
    """
    if weights is None or evidence.contributions is None:
        return None
    return weights @ evidence.contributions.astype(np.float64) + evidence.biases


def scores_of(evidence: Evidence, weights: np.ndarray | None) -> np.ndarray | None:
    """(carried,) σ of `class_logits`."""
    logits = class_logits(evidence, weights)
    return None if logits is None else sigmoid(logits)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x), for any size of x."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)


def entropy(weights: np.ndarray | None) -> tuple[float, float] | None:
    """How spread the weights are: −Σ α ln α in nats, and as a share of ln n, which uniform weights have.

    Args:
        weights: (frames,), n of them, masked ones too.

    Returns:
        Nats and share; a share of 0 for one frame. None without weights.
    """
    if weights is None or not len(weights):
        return None
    weights = np.asarray(weights, np.float64)
    some = weights[weights > 0]
    nats = float(-(some * np.log(some)).sum()) + 0.0
    return max(nats, 0.0), max(nats, 0.0) / np.log(len(weights)) if len(weights) > 1 else 0.0
