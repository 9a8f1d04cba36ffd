"""How wrong a model was about each video: what orders its worst mistakes, and what they are in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dmlkit.text import shorten

# Half precision and kept classes leave true labels scored 0; none of them costs more than this says.
LEAST = 1e-4


def losses(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The cross-entropy of each video's scores, in nats: −Σ ln s over its labels, −Σ ln (1 − s) over all others.

    Args:
        scores: (videos, classes) probabilities.
        labels: (videos, classes), true where not zero.

    Returns:
        (videos,) float64; the worst mistake is the highest.
    """
    found = np.empty(len(scores))
    # A few at a time: thousands of videos by thousands of classes would be held several times over.
    for start in range(0, len(scores), 1024):
        some = slice(start, start + 1024)
        right = np.where(np.asarray(labels[some]) != 0, scores[some], 1 - scores[some].astype(np.float32))
        found[some] = -np.log(np.clip(right, LEAST, 1)).sum(axis=1)
    return found


def say_mistake(scores: np.ndarray, true: Sequence[int], names: Sequence[str]) -> str:
    """A video's worst miss and worst false alarm in a few words.

    Args:
        scores: (classes,).
        true: The video's labels.
        names: Of the classes.
    """
    scores = np.asarray(scores, np.float32)
    others = np.ones(len(scores), bool)
    others[list(true)] = False
    said = []
    if len(true):
        missed = min(true, key=lambda label: scores[label])
        said.append(f"{shorten(names[missed])} is true and scored {scores[missed]:.2f}")
    if others.any():
        alarm = int(np.where(others, scores, -1).argmax())
        said.append(f"{shorten(names[alarm])} is not and scored {scores[alarm]:.2f}")
    return "; ".join(said)
