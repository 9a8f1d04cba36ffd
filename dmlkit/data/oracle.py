"""Who knows the patterns: how well the generated data can be told at all. Numpy only.

Matched filters with the generator's own templates, one test a kind. The scores are nearly probabilities, so that the
classes' scores can be compared with one another, as GAP does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dmlkit.data import synthetic_kinds as kinds
from dmlkit.data.coding import dequantize
from dmlkit.data.schema import TEXT
from dmlkit.data.synthetic_kinds import ORDER, SHORT_EVENT, STEADY_LOOK, STEADY_SOUND, TOGETHER
from dmlkit.data.synthetic_settings import Settings
from dmlkit.data.synthetic_texts import NAMED, STRAY, TOPICS
from dmlkit.data.synthetic_videos import event_lengths, half_lengths, make_templates
from dmlkit.data.texts import place


class Oracle:
    """Scores the frames of generated videos by the patterns that made them.

    Args:
        settings: Of the data set, as `dmlkit.data.synthetic.read_settings` gives them.

    Differs from the paper: a bound that only generated data can have.
    """

    def __init__(self, settings: Settings):
        self._templates = make_templates(settings)

    def scores(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Scores for a batch of whole videos, as `Dataset.batches` gives it.

        Args:
            batch: ``"rgb"`` and ``"audio"``, uint8 (videos, time, size), and ``"num_frames"`` (videos,); ``"text"``
                (videos, size) where the data have texts.

        Returns:
            float64, (videos, NUM_CLASSES), between 0 and 1.
        """
        rgb, audio = dequantize(batch["rgb"]), dequantize(batch["audio"])
        evidence = np.stack(
            [self._evidence(rgb[at, :time], audio[at, :time]) for at, time in enumerate(batch["num_frames"])]
        )
        if TEXT in batch:
            evidence += _said(batch[TEXT])
        return np.stack([_posterior(each) for each in evidence])

    def _evidence(self, rgb: np.ndarray, audio: np.ndarray) -> np.ndarray:
        """One video: (time, rgb size) and (time, audio size) → (NUM_CLASSES,) log likelihood ratios."""
        # What each frame holds of each pattern. The patterns are (nearly) orthogonal, so that each is told by itself.
        looks = {index: rgb @ pattern for index, pattern in self._templates.look.items()}
        sounds = {index: audio @ pattern for index, pattern in self._templates.sound.items()}
        evidence = np.zeros(kinds.NUM_CLASSES)
        for kind, tracks in ((STEADY_LOOK, looks), (STEADY_SOUND, sounds)):
            for index in kinds.members(kind):
                evidence[index] = _steady(tracks[index], kinds.LENGTHS[kind])
        for index in kinds.members(SHORT_EVENT):
            evidence[index] = _short_event(looks[index])
        for first, second in kinds.pairs(TOGETHER):
            look, sound = looks[first], sounds[first]
            evidence[first], evidence[second] = _together(look, sound), _together(look, -sound)
        for first, second in kinds.pairs(ORDER):
            evidence[first], evidence[second] = _order(looks[first]), _order(-looks[first])
        return evidence


def _said(bags: np.ndarray) -> np.ndarray:
    """What texts say: (videos, size) → (videos, NUM_CLASSES). No text says nothing."""
    named = bags[:, [place(topic, bags.shape[1]) for topic in TOPICS]] > 0
    says = np.where(named, math.log(NAMED / STRAY), math.log((1 - NAMED) / (1 - STRAY)))
    return np.where(bags.any(axis=1, keepdims=True), says, 0.0)


def _posterior(evidence: np.ndarray) -> np.ndarray:
    """Log likelihood ratios and the labels' frequencies to probabilities; of a pair at most one is true."""
    prior = np.array(kinds.probabilities())
    rivals = [[index] for index in range(kinds.NUM_CLASSES)]
    for pair in (*kinds.pairs(TOGETHER), *kinds.pairs(ORDER)):
        for index in pair:
            rivals[index] = list(pair)
    absent = np.array([math.log(1 - prior[each].sum()) for each in rivals])
    present = evidence + np.log(prior)
    highest = np.array([max(none, *present[each]) for none, each in zip(absent, rivals, strict=True)])
    total = np.array(
        [
            math.exp(none - top) + np.exp(present[each] - top).sum()
            for none, each, top in zip(absent, rivals, highest, strict=True)
        ]
    )
    return np.exp(present - highest) / total


def _steady(track: np.ndarray, length: float) -> float:
    variance = kinds.OFFSET_DEVIATION**2 + _noise_of_mean(len(track))
    return float((track.mean() - length / 2) * length / variance)


def _short_event(track: np.ndarray) -> float:
    """The best window, against the video's median, which knows its offset and hardly sees the event."""
    track = track - np.median(track)
    length = kinds.LENGTHS[SHORT_EVENT]
    found = []
    for frames in event_lengths(len(track)):
        variance = _noise_of_mean(frames) + _noise_of_mean(len(track))
        found.append((_window_means(track, frames) - length / 2) * length / variance)
    return _best(found)


def _together(look: np.ndarray, sound: np.ndarray) -> float:
    """Both must turn at the same moment in the same direction: the weaker of the two decides, or decoys would win."""
    length = kinds.LENGTHS[TOGETHER]
    found = []
    for frames in half_lengths(len(look)):
        first, second = _turns(look, frames), _turns(sound, frames)
        both = np.maximum(np.minimum(first, second), np.minimum(-first, -second))
        found.append((both - length / 2) * length / (_noise_of_mean(frames) / 2))
    return _best(found)


def _order(track: np.ndarray) -> float:
    length = kinds.LENGTHS[ORDER]
    return _best(
        [
            (_turns(track, frames) - length / 2) * length / (_noise_of_mean(frames) / 2)
            for frames in half_lengths(len(track))
        ]
    )


def _best(found: list[np.ndarray]) -> float:
    """The best place of all there are; each of them might have been it."""
    return max(float(each.max()) for each in found) - math.log(sum(len(each) for each in found))


def _window_means(track: np.ndarray, frames: int) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(track, dtype=np.float64)])
    return (total[frames:] - total[:-frames]) / frames


def _turns(track: np.ndarray, frames: int) -> np.ndarray:
    """Half the difference between the means of two neighbouring windows, at every place."""
    means = _window_means(track, frames)
    return (means[:-frames] - means[frames:]) / 2


def _noise_of_mean(frames: int) -> float:
    """The variance of the mean of so many frames of the autoregressive noise."""
    carry = kinds.NOISE_CARRY
    correlated = (1 + carry) / (1 - carry) - 2 * carry * (1 - carry**frames) / (frames * (1 - carry) ** 2)
    return kinds.NOISE_DEVIATION**2 * correlated / frames
