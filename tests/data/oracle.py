"""The generated data's upper bound: classes recognized by the patterns that made them. Numpy only.

Matched filters with the generator's own templates, one test a kind. The scores are nearly probabilities, so that the
classes' scores can be compared with one another, as GAP does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

import dmlkit.data.synthetic as synthetic
from dmlkit.data.schema import dequantize
from dmlkit.data.synthetic import (
    NOISE_DEVIATION,
    NORMS,
    ORDER,
    SHORT_EVENT,
    STEADY_AUDIO,
    STEADY_VISUAL,
    TOGETHER,
)


class Oracle:
    """Scores the frames of generated videos by the patterns that made them.

    `settings` are the data set's, as `read_settings` gives them.
    """

    def __init__(self, settings: synthetic.SyntheticSettings):
        self._templates = synthetic.make_templates(settings)

    def scores(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Scores between 0 and 1 for a batch of whole videos, float64 (videos, NUM_CLASSES)."""
        rgb, audio = dequantize(batch["rgb"]), dequantize(batch["audio"])
        lengths = enumerate(batch["num_frames"])
        return _posterior(np.stack([self._evidence(rgb[i, :time], audio[i, :time]) for i, time in lengths]))

    def _evidence(self, rgb: np.ndarray, audio: np.ndarray) -> np.ndarray:
        """One video: (time, rgb size) and (time, audio size) → (NUM_CLASSES,) log likelihood ratios."""
        # The patterns are (nearly) orthogonal, so that each is recognized by itself.
        visual = {index: rgb @ pattern for index, pattern in self._templates.visual.items()}
        sound = {index: audio @ pattern for index, pattern in self._templates.audio.items()}
        evidence = np.zeros(synthetic.NUM_CLASSES)
        for kind, tracks in ((STEADY_VISUAL, visual), (STEADY_AUDIO, sound)):
            for index in synthetic.classes_of(kind):
                variance = synthetic.OFFSET_DEVIATION**2 + _noise_of_mean(len(rgb))
                evidence[index] = _ratio(tracks[index].mean(), kind, variance)
        for index in synthetic.classes_of(SHORT_EVENT):
            evidence[index] = _short_event(visual[index])
        for first, second in synthetic.pairs_of(TOGETHER):
            evidence[first] = _halves(visual[first], sound[first], TOGETHER)
            evidence[second] = _halves(visual[first], -sound[first], TOGETHER)
        for first, second in synthetic.pairs_of(ORDER):
            evidence[first] = _halves(visual[first], None, ORDER)
            evidence[second] = _halves(-visual[first], None, ORDER)
        return evidence


def _posterior(evidence: np.ndarray) -> np.ndarray:
    """Log likelihood ratios (videos, classes) to probabilities, by the labels' frequencies; of a pair one at most."""
    prior = np.array(synthetic.probabilities())
    partner = np.full(len(prior), -1)
    for first, second in (*synthetic.pairs_of(TOGETHER), *synthetic.pairs_of(ORDER)):
        partner[first], partner[second] = second, first
    paired = partner >= 0
    absent = np.log(1 - prior - np.where(paired, prior[partner], 0))
    present = evidence + np.log(prior)
    other = np.where(paired, present[:, partner], -np.inf)
    return np.exp(present - np.logaddexp(np.logaddexp(present, other), absent))


def _ratio(mean, kind: str, variance: float):
    """The log likelihood ratio of a pattern of this kind's norm, where a mean of this variance was measured."""
    return (mean - NORMS[kind] / 2) * NORMS[kind] / variance


def _short_event(track: np.ndarray) -> float:
    """The best window, against the video's median, which knows its offset and hardly sees the event."""
    track, found = track - np.median(track), []
    for frames in synthetic.event_lengths(len(track)):
        variance = _noise_of_mean(frames) + _noise_of_mean(len(track))
        found.append(_ratio(_window_means(track, frames), SHORT_EVENT, variance))
    return _best(found)


def _halves(track: np.ndarray, other: np.ndarray | None, kind: str) -> float:
    """The best place at which a track flips its sign, for TOGETHER at the same moment as another track.

    The weaker of the two decides, or decoys would win.
    """
    found = []
    for frames in synthetic.half_lengths(len(track)):
        flips = _flips(track, frames)
        if other is not None:
            second = _flips(other, frames)
            flips = np.maximum(np.minimum(flips, second), np.minimum(-flips, -second))
        found.append(_ratio(flips, kind, _noise_of_mean(frames) / 2))
    return _best(found)


def _best(found: list[np.ndarray]) -> float:
    """The best place of all there are; each of them might have been it."""
    return max(float(each.max()) for each in found) - math.log(sum(len(each) for each in found))


def _window_means(track: np.ndarray, frames: int) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(track, dtype=np.float64)])
    return (total[frames:] - total[:-frames]) / frames


def _flips(track: np.ndarray, frames: int) -> np.ndarray:
    """Half the difference between the means of two neighbouring windows, at every place."""
    means = _window_means(track, frames)
    return (means[:-frames] - means[frames:]) / 2


def _noise_of_mean(frames: int) -> float:
    """The variance of the mean of so many frames of the autoregressive noise."""
    carry = synthetic.NOISE_CARRY
    correlated = (1 + carry) / (1 - carry) - 2 * carry * (1 - carry**frames) / (frames * (1 - carry) ** 2)
    return NOISE_DEVIATION**2 * correlated / frames
