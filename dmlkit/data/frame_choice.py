"""Which frames of a video a model sees: the first n, n spread evenly, or n at random."""

from __future__ import annotations

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


def seed_of(video_id: str, *, seed: int, epoch: int) -> tuple[int, int, int]:
    """The seed of one video's draw: new each epoch, the same wherever in the order the video comes."""
    return (seed, epoch, zlib.crc32(video_id.encode()))
