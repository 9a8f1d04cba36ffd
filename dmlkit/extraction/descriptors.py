"""Pictures and sound → numbers without learned weights.

A baseline: it tells colours, edges, texture and spectrum, not objects or words; a trained backbone's features score
higher. All values lie in [-2, 2] by fixed scalings, as 8-bit coding wants them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_GRID, _DIRECTIONS, _BANDS = 4, 8, 32
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def picture_descriptor(pictures: np.ndarray) -> np.ndarray:
    """Describe pictures by the layout of their colours, the orientations of their edges, and their texture.

    R, G and B are in [0, 1], Y = 0.299 R + 0.587 G + 0.114 B, and cell (i, j) of a 4 × 4 grid has the rows from
    ⌊i height / 4⌋ and the columns from ⌊j width / 4⌋ to the next cell's, at least one each:

    * 48 values, three a cell: the means of 4 (Y - 1/2), 4 (B - Y) / 1.772 and 4 (R - Y) / 1.402.
    * 128 values, eight a cell: 3.5 √p - 1.5, where p is the share of the directions nearest to k π / 8, modulo π, in
      the cell's mean of |∇Y|, plus 1/255 so that noise does not count. Direction 0 is a change along a row.
    * 16 values: 3.5 √p - 1.5, where p is the share of the pixels whose local binary pattern is k. Its bits 0 to 3 say
      whether the right, lower, left and upper neighbour's Y is larger by more than 2/255.

    Args:
        pictures: uint8 RGB (pictures, height, width, 3), of any size. Beyond an edge its pixels are repeated.

    Returns:
        float32 (pictures, 192), cell by cell, rows first.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or pictures.shape[3] != 3 or pictures.dtype != np.uint8 or 0 in pictures.shape[1:]:
        raise ValueError(
            "`pictures` must be uint8 RGB of the shape (pictures, height, width, 3). "
            f"Received: pictures={pictures.dtype} {pictures.shape}."
        )
    described = [_describe(picture / np.float32(255)) for picture in pictures]
    return np.array(described, np.float32).reshape(len(pictures), 192)


def _describe(picture: np.ndarray) -> np.ndarray:
    means = _means(picture)
    luma = means @ _LUMA
    blue, red = (means[..., 2] - luma) / 1.772, (means[..., 0] - luma) / 1.402
    colours = 4 * np.stack([luma - 0.5, blue, red], axis=-1)

    luma = np.pad(picture @ _LUMA, 1, mode="edge")
    pixel = luma[1:-1, 1:-1]
    neighbours = right, lower, left, upper = luma[1:-1, 2:], luma[2:, 1:-1], luma[1:-1, :-2], luma[:-2, 1:-1]
    across, down = (right - left) / 2, (lower - upper) / 2
    direction = np.round(np.arctan2(down, across) * (_DIRECTIONS / np.pi)).astype(np.int8) % _DIRECTIONS
    slope = np.sqrt(across**2 + down**2)
    edges = np.stack([_means(slope * (direction == k)) for k in range(_DIRECTIONS)], axis=-1)
    directions = edges / (edges.sum(-1, keepdims=True) + 1 / 255)

    bits = [(each > pixel + 2 / 255).view(np.uint8) << bit for bit, each in enumerate(neighbours)]
    patterns = np.bincount(sum(bits).ravel(), minlength=16) / pixel.size
    shares = np.concatenate([directions.ravel(), patterns])
    return np.concatenate([colours.ravel(), 3.5 * np.sqrt(shares) - 1.5])


def _means(plane: np.ndarray) -> np.ndarray:
    """The means of the cells: (height, width, …) → (4, 4, …)."""
    for axis, size in zip((1, 0), plane.shape[1::-1], strict=True):
        starts = np.arange(_GRID) * size // _GRID
        sums = np.add.reduceat(plane, starts, axis).swapaxes(axis, -1)
        plane = (sums / np.maximum(1, np.diff(starts, append=size))).swapaxes(axis, -1)
    return plane


def sound_descriptor(windows: np.ndarray, *, rate: int) -> np.ndarray:
    """Describe windows of sound by mean and standard deviation of their log-mel spectrum over time.

    Frames of 25 ms, every 10 ms, are weighted by a periodic Hann window w and transformed at the next power of two.
    Their power |X|² / (Σ w / 2)², 1 at the peak of a full-scale sine, is summed to e by each of 32 triangles of
    height 1, evenly spaced in mel = 2595 log10(1 + f / 700) from 60 Hz to the lower of 7,500 Hz and rate / 2. With
    d = 10 log10(e + 1e-10), the first 32 values are mean(d) / 25 + 2 and the others std(d) / 15 - 1, cut to [-2, 2].

    Args:
        windows: float32 (windows, samples) in [-1, 1]; shorter than 25 ms they are filled with zeros.
        rate: Samples a second, at least 1,000.

    Returns:
        float32 (windows, 64).
    """
    windows = np.asarray(windows, np.float32)
    if windows.ndim != 2 or rate < 1000:
        raise ValueError(
            "`windows` must have the shape (windows, samples), and `rate` be at least 1,000. "
            f"Received: windows={windows.shape}, rate={rate}."
        )
    weights, triangles, hop = _filters(rate)
    windows = np.pad(windows, ((0, 0), (0, max(0, len(weights) - windows.shape[1]))))
    described = np.empty((len(windows), 2 * _BANDS), np.float32)
    for row, window in zip(described, windows, strict=True):
        frames = sliding_window_view(window, len(weights))[::hop] * weights
        power = np.abs(np.fft.rfft(frames, 2 * (len(triangles) - 1))) ** 2
        # Not by BLAS, whose threads wait for each other for milliseconds where processes share cores.
        decibels = 10 * np.log10(np.einsum("tf,fb->tb", power, triangles) + 1e-10)
        row[:_BANDS], row[_BANDS:] = decibels.mean(0) / 25 + 2, decibels.std(0) / 15 - 1
    return described.clip(-2, 2)


@lru_cache
def _filters(rate: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Weights of a frame's samples, (frequencies, 32) triangles, and the samples from a frame to the next."""
    length = round(0.025 * rate)
    size = 1 << (length - 1).bit_length()
    weights = np.hanning(length + 1)[:-1]
    lowest, highest = 2595 * np.log10(1 + np.array([60, min(7500, rate / 2)]) / 700)
    edges = 700 * (10 ** (np.linspace(lowest, highest, _BANDS + 2) / 2595) - 1)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    frequencies = np.arange(size // 2 + 1)[:, None] * (rate / size)
    triangles = np.minimum((frequencies - low) / (centre - low), (high - frequencies) / (high - centre)).clip(
        0
    )
    return (
        (weights / (weights.sum() / 2)).astype(np.float32),
        triangles.astype(np.float32),
        round(0.01 * rate),
    )
