"""Which frames of a video a model sees: the first n, n spread evenly, or n at random."""

from __future__ import annotations

import math
import zlib

import numpy as np


def first(num_frames: int, count: int, *, seed: tuple[int, ...]) -> slice | np.ndarray:
    """The first ``count`` frames, as the starter code does.

    Paper: §Task and data, up to 360 s in the data and 300 in common use.
    """
    return slice(0, count)


def uniform(num_frames: int, count: int, *, seed: tuple[int, ...]) -> slice | np.ndarray:
    """The middle frame of each of ``count`` equal parts of the video."""
    return ((np.arange(count) + 0.5) * num_frames / count).astype(np.int64)


def random(num_frames: int, count: int, *, seed: tuple[int, ...]) -> slice | np.ndarray:
    """``count`` different frames drawn at random, in their order of time.

    Paper: §Future work, training on randomly sampled frames.
    """
    return np.sort(np.random.default_rng(seed).choice(num_frames, count, replace=False))


FRAME_CHOICES = {"first": first, "uniform": uniform, "random": random}


def shown(
    num_frames: int, *, choice: str, max_frames: int | None, share: float, seed: tuple[int, ...]
) -> slice | np.ndarray:
    """The frames of a video that a model is shown.

    Args:
        num_frames: Of the video.
        choice, max_frames: Which stay of a video that has more.
        share: How many of those that stay are shown, drawn at random; at least one.
        seed: Of what is drawn.

    Paper: §Future work, training on randomly sampled frames.
    """
    most = num_frames if max_frames is None else min(num_frames, max_frames)
    stay = slice(0, most) if most == num_frames else FRAME_CHOICES[choice](num_frames, most, seed=seed)
    if share == 1:
        return stay
    if choice == "random":
        # Drawn at once: of two draws by one seed the second follows the first, and some frames come more often.
        return random(num_frames, math.ceil(share * most), seed=seed)
    return np.arange(num_frames)[stay][random(most, math.ceil(share * most), seed=seed)]


def seed_of(video_id: str, *, seed: int, epoch: int) -> tuple[int, int, int]:
    """The seed of one video's draw: new each epoch, the same wherever in the order the video comes."""
    return (seed, epoch, zlib.crc32(video_id.encode()))
