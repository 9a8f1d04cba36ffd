"""Pictures and sound → numbers without learned weights.

A baseline: it tells colours, edges, texture and spectrum, not objects or words. Where weights can be had, a backbone's
features score higher. All values lie in [-2, 2], by fixed scalings, so that they can be coded in 8 bits.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_GRID, _ORIENTATIONS, _BANDS = 4, 8, 32
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as are Cb and Cr


def picture_descriptor(pictures: np.ndarray) -> np.ndarray:
    """Describe pictures by the layout of their colours, the orientations of their edges, and their texture.

    With R, G, B, Y in [0, 1], and cells that are a 4 × 4 grid over the picture:

    * 48 colours, cell by cell (rows first): the means of 4 (Y - 1/2), 4 Cb and 4 Cr, where
      Y = 0.299 R + 0.587 G + 0.114 B, Cb = (B - Y) / 1.772, Cr = (R - Y) / 1.402.
    * 128 orientations, cell by cell: bin j of 8 has the share p of the gradient magnitudes of Y whose direction is
      in [j, j + 1) π / 8, modulo π; 0 is a change from left to right. The shares are of the sum of all magnitudes and
      1/255 for each pixel, so that the noise of an even cell does not count. The value is 3.5 √p - 1.5.
    * 16 textures: local binary patterns of the four neighbours. A pixel's code has bit 0 set where the right
      neighbour's Y is larger by more than 2/255, bit 1 for the lower, bit 2 for the left and bit 3 for the upper one;
      p is the share of a code in the picture and the value 3.5 √p - 1.5. Neighbours beyond the edge equal the pixel.

    Args:
        pictures: uint8 RGB (pictures, height, width, 3), of any size.

    Returns:
        float32 (pictures, 192).
    """
    pictures = np.asarray(pictures)
    if (
        pictures.ndim != 4
        or pictures.shape[3] != 3
        or pictures.dtype != np.uint8
        or not all(pictures.shape[1:])
    ):
        raise ValueError(
            "`pictures` must be uint8 RGB of the shape (pictures, height, width, 3). "
            f"Received: pictures={pictures.dtype} {pictures.shape}."
        )
    rows, columns = (_cells(size) for size in pictures.shape[1:3])
    described = [_describe(picture, rows, columns) for picture in pictures]
    return np.array(described, np.float32).reshape(len(pictures), 192)


def _describe(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    picture = picture.astype(np.float32) / 255
    means = np.einsum("iwc,jw->ijc", np.tensordot(rows, picture, 1), columns)
    luma = means @ _LUMA
    blue, red = (means[..., 2] - luma) / 1.772, (means[..., 0] - luma) / 1.402
    colours = 4 * np.stack([luma - 0.5, blue, red], axis=-1)

    luma = np.pad(picture @ _LUMA, 1, mode="edge")
    centre = luma[1:-1, 1:-1]
    right, lower, left, upper = luma[1:-1, 2:], luma[2:, 1:-1], luma[1:-1, :-2], luma[:-2, 1:-1]
    across, down = right - left, lower - upper
    angle = np.arctan2(down, across) * (_ORIENTATIONS / np.pi)
    cell = (np.arange(height) * _GRID // height)[:, None] * _GRID + np.arange(width) * _GRID // width
    index = cell * _ORIENTATIONS + np.floor(angle).astype(np.int64) % _ORIENTATIONS
    cells = _GRID * _GRID
    magnitudes = np.bincount(index.ravel(), np.hypot(across, down).ravel() / 2, cells * _ORIENTATIONS)
    magnitudes = magnitudes.reshape(cells, _ORIENTATIONS)
    noise = np.maximum(np.bincount(cell.ravel(), minlength=cells), 1)[:, None] / 255
    orientations = magnitudes / (magnitudes.sum(1, keepdims=True) + noise)

    code = sum(
        (each > centre + 2 / 255).astype(np.uint8) << bit
        for bit, each in enumerate((right, lower, left, upper))
    )
    textures = np.bincount(code.ravel(), minlength=16) / code.size
    shares = np.concatenate([orientations.ravel(), textures])
    return np.concatenate([colours.ravel(), 3.5 * np.sqrt(shares) - 1.5])


@lru_cache
def _cells(size: int) -> np.ndarray:
    """(4, size): each cell's weights of the pixels, by the part of a pixel that lies in it."""
    edges = np.arange(_GRID + 1) * (size / _GRID)
    pixels = np.arange(size)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(covered, 0) * (_GRID / size)).astype(np.float32)


def sound_descriptor(windows: np.ndarray, *, rate: int) -> np.ndarray:
    """Describe windows of sound by mean and standard deviation of their log-mel spectrum over time.

    Frames of 25 ms, every 10 ms, are weighted by a periodic Hann window w and transformed at the next power of two;
    |X|² / (Σ w / 2)² is 1 at the peak of a full-scale sine. 32 triangles with the height 1, evenly spaced in
    mel = 2595 log10(1 + f / 700) between 60 Hz and the lower of 7,500 Hz and half of `rate`, sum that to e, with
    d = 10 log10(e + 1e-10) in decibels. The first 32 values are mean(d) / 25 + 2, the others std(d) / 15 - 1; both are
    limited to [-2, 2].

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
    weights, bands, hop = _filters(rate)
    windows = np.pad(windows, ((0, 0), (0, max(0, len(weights) - windows.shape[1]))))
    described = np.empty((len(windows), 2 * _BANDS), np.float32)
    for row, window in zip(described, windows, strict=True):
        spectrum = np.fft.rfft(
            sliding_window_view(window, len(weights))[::hop] * weights, 2 * (len(bands) - 1)
        )
        power = spectrum.real**2 + spectrum.imag**2
        decibels = 10 * np.log10(power @ bands + 1e-10)
        row[:_BANDS] = decibels.mean(0) / 25 + 2
        row[_BANDS:] = decibels.std(0) / 15 - 1
    return described.clip(-2, 2)


@lru_cache
def _filters(rate: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Weights of a frame's samples, (bins, 32) triangles, and the samples from a frame to the next."""
    length = round(0.025 * rate)
    size = 1 << (length - 1).bit_length()
    weights = np.hanning(length + 1)[:-1]
    edges = np.linspace(*2595 * np.log10(1 + np.array([60, min(7500, rate / 2)]) / 700), _BANDS + 2)
    low, centre, high = (700 * (10 ** (each / 2595) - 1) for each in (edges[:-2], edges[1:-1], edges[2:]))
    bins = np.arange(size // 2 + 1)[:, None] * (rate / size)
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(0)
    return (
        (weights / (weights.sum() / 2)).astype(np.float32),
        triangles.astype(np.float32),
        round(0.01 * rate),
    )
