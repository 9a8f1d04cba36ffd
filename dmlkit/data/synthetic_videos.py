"""One generated video after another, as arrays. Numpy only.

The bytes are a function of the settings alone, on every machine: random numbers come from `synthetic_stream`, and all
arithmetic is elementwise (no matrix product, whose rounding depends on the library behind it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dmlkit.data import synthetic_kinds as kinds
from dmlkit.data.coding import quantize
from dmlkit.data.synthetic_kinds import ORDER, SHORT_EVENT, STEADY_LOOK, STEADY_SOUND, TOGETHER
from dmlkit.data.synthetic_settings import Settings
from dmlkit.data.synthetic_stream import Stream
from dmlkit.data.synthetic_texts import make_texts

# First words of the random streams: templates, then the videos of each part.
_TEMPLATES = 0
_PARTS = {"train": 1, "validate": 2, "test": 3}
# The word behind a video's own of its texts' stream, so that its frames are the same with them and without.
_TEXTS = 1


@dataclass(frozen=True)
class Templates:
    """The patterns behind the classes: unit vectors whose entries share one height and differ in sign.

    Attributes:
        look: Class → pattern, shape (rgb size,). Both classes of a pair have the same.
        sound: Class → pattern, shape (audio size,).
    """

    look: Mapping[int, np.ndarray]
    sound: Mapping[int, np.ndarray]


@dataclass(frozen=True)
class Video:
    """A generated video.

    Attributes:
        id: Its name.
        labels: Its classes, ascending.
        frames: Modality → uint8, shape (time, size).
        truth: Class → the numbers of the frames that made the label.
        texts: Its title and keywords, where the data set has texts.
    """

    id: str
    labels: list[int]
    frames: dict[str, np.ndarray]
    truth: dict[int, range]
    texts: list[str]


def make_templates(settings: Settings) -> Templates:
    """The patterns of a generated data set; a function of its seed and sizes."""
    stream = Stream(settings.seed, _TEMPLATES)
    together, order = kinds.pairs(TOGETHER), kinds.pairs(ORDER)
    alone = [(index,) for kind in (STEADY_LOOK, SHORT_EVENT) for index in kinds.members(kind)]
    lookers = [*alone, *together, *order]
    sounders = [*((index,) for index in kinds.members(STEADY_SOUND)), *together]
    return Templates(
        look=_shared(lookers, _patterns(stream, len(lookers), settings.sizes["rgb"])),
        sound=_shared(sounders, _patterns(stream, len(sounders), settings.sizes["audio"])),
    )


def make_video(settings: Settings, templates: Templates, *, part: str, number: int) -> Video:
    """One video.

    Args:
        settings: Of the data set; how many videos it has makes no difference to this one.
        templates: `make_templates` of the same settings.
        part: ``"train"``, ``"validate"`` or ``"test"``.
        number: Of the video in its part, from 0.
    """
    stream = Stream(settings.seed, _PARTS[part], number)
    time = stream.integer(settings.min_frames, settings.max_frames)
    labels = _draw_labels(stream)
    rgb = _background(stream, time, settings.sizes["rgb"])
    audio = _background(stream, time, settings.sizes["audio"])
    truth: dict[int, range] = {}
    for index in labels:
        if kinds.RANKS[index] in (STEADY_LOOK, STEADY_SOUND):
            truth[index] = range(time)
            frames, pattern = (rgb, templates.look) if index in templates.look else (audio, templates.sound)
            _plant(frames, truth[index], pattern[index], _gain(stream, kinds.RANKS[index]))
        elif kinds.RANKS[index] == SHORT_EVENT:
            truth[index] = _event(stream, time)
            _plant(rgb, truth[index], templates.look[index], _gain(stream, SHORT_EVENT))
    for pair in kinds.pairs(TOGETHER):
        truth |= _plant_together(stream, rgb, audio, templates, pair, labels)
    for pair in kinds.pairs(ORDER):
        truth |= _plant_order(stream, rgb, templates, pair, labels)
    return Video(
        id=f"{part}{number:06d}",
        labels=labels,
        frames={"rgb": quantize(rgb), "audio": quantize(audio)},
        truth={index: truth[index] for index in labels},
        texts=make_texts(Stream(settings.seed, _PARTS[part], number, _TEXTS), labels)
        if settings.text
        else [],
    )


def _draw_labels(stream: Stream) -> list[int]:
    """The classes of a video, ascending. Of a pair at most one; else each hidden from means on its own."""
    chances = kinds.draw_probabilities()
    labels = []
    for first, second in (*kinds.pairs(TOGETHER), *kinds.pairs(ORDER)):
        draw = stream.uniform()
        if draw < chances[first]:
            labels.append(first)
        elif draw < chances[first] + chances[second]:
            labels.append(second)
    seen: list[int] = []
    while not seen:
        for kind in kinds.SEEN_BY_MEANS:
            seen += [index for index in kinds.members(kind) if stream.uniform() < chances[index]]
    return sorted(labels + seen)


def _background(stream: Stream, time: int, size: int) -> np.ndarray:
    """A video's offset plus noise that each frame partly hands on to the next, shape (time, size)."""
    fresh = np.float32(math.sqrt(1 - kinds.NOISE_CARRY**2) * kinds.NOISE_DEVIATION)
    carry = np.float32(kinds.NOISE_CARRY)
    offset = stream.bell(size) * np.float32(kinds.OFFSET_DEVIATION)
    noise = stream.bell(time, size) * fresh
    noise[0] *= np.float32(1 / math.sqrt(1 - kinds.NOISE_CARRY**2))
    for step in range(1, time):
        noise[step] += carry * noise[step - 1]
    return noise + offset


def _plant_together(
    stream: Stream,
    rgb: np.ndarray,
    audio: np.ndarray,
    templates: Templates,
    pair: tuple[int, int],
    labels: list[int],
) -> dict[int, range]:
    """A look and a sound at the same moment; the product of their signs is the label. Or a decoy, or nothing."""
    time = len(rgb)
    look, sound = templates.look[pair[0]], templates.sound[pair[0]]
    for index, product in zip(pair, (1, -1), strict=True):
        if index in labels:
            first, second = _halves(stream, time)
            sign, gain = stream.sign(), _gain(stream, TOGETHER)
            # The signs turn at half-time, so that the mean over the frames holds nothing of either.
            for half, turn in ((first, 1), (second, -1)):
                _plant(rgb, half, look, sign * turn * gain)
                _plant(audio, half, sound, sign * product * turn * gain)
            return {index: range(first.start, second.stop)}
    for frames, pattern in ((rgb, look), (audio, sound)):
        if stream.uniform() < kinds.DECOY_PROBABILITY:
            first, second = _halves(stream, time)
            height = stream.sign() * _gain(stream, TOGETHER)
            _plant(frames, first, pattern, height)
            _plant(frames, second, pattern, -height)
    return {}


def _plant_order(
    stream: Stream, rgb: np.ndarray, templates: Templates, pair: tuple[int, int], labels: list[int]
) -> dict[int, range]:
    """A then B for the pair's first class, B then A for its second, where B is the negative of A."""
    for index, sign in zip(pair, (1, -1), strict=True):
        if index in labels:
            first, second = _halves(stream, len(rgb))
            height = sign * _gain(stream, ORDER)
            _plant(rgb, first, templates.look[index], height)
            _plant(rgb, second, templates.look[index], -height)
            return {index: range(first.start, second.stop)}
    return {}


def _plant(frames: np.ndarray, where: range, pattern: np.ndarray, height: float) -> None:
    frames[where.start : where.stop] += np.float32(height) * pattern


def _gain(stream: Stream, kind: str) -> float:
    return kinds.LENGTHS[kind] * stream.uniform(*kinds.GAINS)


def half_lengths(time: int) -> range:
    """How many frames a half of TOGETHER or ORDER may last in a video of `time` frames."""
    low, high = kinds.HALF_SHARE
    return range(math.ceil(low * time), math.floor(high * time) + 1)


def event_lengths(time: int) -> range:
    """How many frames a short event may last in a video of `time` frames."""
    low, high = kinds.EVENT_SHARE
    return range(max(kinds.EVENT_FRAMES, math.ceil(low * time)), math.floor(high * time) + 1)


def _halves(stream: Stream, time: int) -> tuple[range, range]:
    lengths = half_lengths(time)
    length = stream.integer(lengths[0], lengths[-1])
    start = stream.integer(0, time - 2 * length)
    return range(start, start + length), range(start + length, start + 2 * length)


def _event(stream: Stream, time: int) -> range:
    lengths = event_lengths(time)
    length = stream.integer(lengths[0], lengths[-1])
    start = stream.integer(0, time - length)
    return range(start, start + length)


def _patterns(stream: Stream, count: int, size: int) -> np.ndarray:
    """Nearly orthogonal patterns of ±1 / sqrt(size), shape (count, size).

    Rows of a Hadamard matrix (orthogonal where size is a power of two), with their columns shuffled and turned.
    """
    order = 1 << (size - 1).bit_length()
    columns = stream.order(order)[:size]
    turns = np.array([stream.sign() for _ in range(size)])
    rows = (
        1 + stream.order(order - 1)[:count]
    )  # not row 0, which is constant and turns into a twin of `turns`
    common = rows[:, None] & columns[None, :]
    parity = np.zeros_like(common)
    while common.any():
        parity ^= common & 1
        common >>= 1
    return ((1 - 2 * parity) * turns / math.sqrt(size)).astype(np.float32)


def _shared(groups: list[tuple[int, ...]], patterns: np.ndarray) -> dict[int, np.ndarray]:
    return {index: pattern for group, pattern in zip(groups, patterns, strict=True) for index in group}
