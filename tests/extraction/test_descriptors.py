"""Descriptors against their formulas, written another way, and pictures and sounds whose values are known."""

import math

import numpy as np
import pytest
from scipy import ndimage, signal

from dmlkit.extraction.descriptors import picture_descriptor, sound_descriptor

RATE = 16000


def parts(picture):
    """Colours (4, 4, 3), directions (4, 4, 8), patterns (16,)."""
    (values,) = picture_descriptor(picture[None])
    return values[:48].reshape(4, 4, 3), values[48:176].reshape(4, 4, 8), values[176:]


def share(value):
    return ((value + 1.5) / 3.5) ** 2


def by_formula(picture):
    """The formulas of the docstring, pixel by pixel."""
    rgb = picture.astype(np.float64) / 255
    height, width = picture.shape[:2]
    luma = rgb @ [0.299, 0.587, 0.114]
    across, down = (ndimage.correlate1d(luma, [-0.5, 0, 0.5], axis, mode="nearest") for axis in (1, 0))
    colours, directions, patterns = [], [], np.zeros(16)
    for i in range(4):
        for j in range(4):
            top, left = i * height // 4, j * width // 4
            bottom, right = max(top + 1, (i + 1) * height // 4), max(left + 1, (j + 1) * width // 4)
            red, green, blue = rgb[top:bottom, left:right].mean((0, 1))
            y = 0.299 * red + 0.587 * green + 0.114 * blue
            colours += [4 * (y - 0.5), 4 * (blue - y) / 1.772, 4 * (red - y) / 1.402]
            bins = np.zeros(8)
            for dx, dy in zip(
                across[top:bottom, left:right].flat, down[top:bottom, left:right].flat, strict=True
            ):
                bins[round(math.atan2(dy, dx) / (math.pi / 8)) % 8] += math.hypot(dx, dy)
            bins /= (bottom - top) * (right - left)
            directions += list(3.5 * np.sqrt(bins / (bins.sum() + 1 / 255)) - 1.5)
    around = np.pad(luma, 1, mode="edge")
    for i in range(height):
        for j in range(width):
            neighbours = around[i + 1, j + 2], around[i + 2, j + 1], around[i + 1, j], around[i, j + 1]
            patterns[sum(2**bit for bit, each in enumerate(neighbours) if each > luma[i, j] + 2 / 255)] += 1
    return np.array([*colours, *directions, *(3.5 * np.sqrt(patterns / patterns.sum()) - 1.5)])


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (17, 30), (40, 23)])
def test_pictures_have_the_values_of_the_formulas(size):
    pictures = np.random.default_rng(5).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    found = picture_descriptor(pictures)
    assert found.shape == (3, 192) and found.dtype == np.float32 and np.abs(found).max() <= 2
    np.testing.assert_allclose(found, [by_formula(picture) for picture in pictures], atol=1e-4)


def test_a_picture_of_two_colours():
    picture = np.zeros((40, 64, 3), np.uint8)
    picture[:, 32:] = 255, 0, 0
    colours, directions, patterns = parts(picture)
    np.testing.assert_allclose(colours[:, :2], np.broadcast_to([-2, 0, 0], (4, 2, 3)), atol=1e-6)
    red = [4 * (0.299 - 0.5), 4 * -0.299 / 1.772, 4 * 0.701 / 1.402]
    np.testing.assert_allclose(colours[:, 2:], np.broadcast_to(red, (4, 2, 3)), atol=1e-6)
    assert (directions[:, [0, 3]] == -1.5).all()  # even cells have no direction
    slope = 0.299 / 2 / 16  # in one of a cell's 16 columns
    np.testing.assert_allclose(share(directions[:, 1:3, 0]), slope / (slope + 1 / 255), atol=1e-6)
    assert (directions[:, 1:3, 1:] == -1.5).all()
    # The right neighbour is lighter in one column of 64.
    np.testing.assert_allclose(share(patterns)[[0, 1]], [63 / 64, 1 / 64], atol=1e-6)


@pytest.mark.parametrize("k", range(8))
def test_stripes_have_their_direction(k):
    down, across = np.mgrid[:96, :128]
    angle = k * np.pi / 8
    wave = np.sin((across * np.cos(angle) + down * np.sin(angle)) * 2 * np.pi / 12)
    picture = np.round(127.5 + 120 * wave).astype(np.uint8)[..., None].repeat(3, 2)
    directions = parts(picture)[1]
    assert (directions.argmax(-1) == k).all() and (share(directions[1:3, 1:3, k]) > 0.9).all()


def test_a_sine_is_in_its_band_at_its_level():
    edges = np.linspace(*(2595 * np.log10(1 + np.array([60, 7500]) / 700)), 34)
    centres = 700 * (10 ** (edges[1:-1] / 2595) - 1)
    time = np.arange(RATE) / RATE
    for band in (5, 12, 20, 31):
        for level in (1.0, 0.01):
            (values,) = sound_descriptor(level * np.sin(2 * np.pi * centres[band] * time)[None], rate=RATE)
            assert values[:32].argmax() == band
            decibels = 25 * (values[band] - 2)
            assert decibels == pytest.approx(
                20 * np.log10(level), abs=3
            )  # more than one frequency in the triangle
            assert values[32 + band] == pytest.approx(-1, abs=0.02)  # a steady tone


def test_sound_has_the_values_of_the_formulas():
    windows = np.random.default_rng(3).normal(0, 0.1, (2, RATE)) * np.linspace(0, 1, RATE)
    found = sound_descriptor(windows, rate=RATE)
    _, _, spectrum = signal.stft(
        windows,
        RATE,
        signal.get_window("hann", 400),
        400,
        240,
        512,
        boundary=None,
        padded=False,
        scaling="spectrum",
    )  # scipy divides by the sum of the window
    power = np.abs(2 * spectrum) ** 2
    hertz = np.linspace(0, 8000, 257)
    edges = 700 * (
        10 ** (np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7500 / 700), 34) / 2595) - 1
    )
    bands = np.array([np.interp(hertz, edges[b : b + 3], [0, 1, 0]) for b in range(32)])
    decibels = 10 * np.log10(np.einsum("bf,wft->wbt", bands, power) + 1e-10)
    expected = np.concatenate([decibels.mean(-1) / 25 + 2, decibels.std(-1) / 15 - 1], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(
        sound_descriptor(np.zeros((1, 50)), rate=RATE)[0], [-2] * 32 + [-1] * 32, atol=1e-6
    )


def test_what_is_no_picture_or_sound_is_refused():
    assert picture_descriptor(np.zeros((0, 5, 5, 3), np.uint8)).shape == (0, 192)
    for wrong in (np.zeros((5, 5, 3), np.uint8), np.zeros((1, 5, 5, 3)), np.zeros((1, 0, 5, 3), np.uint8)):
        with pytest.raises(ValueError, match="must be uint8 RGB"):
            picture_descriptor(wrong)
    with pytest.raises(ValueError, match="must have the shape"):
        sound_descriptor(np.zeros(RATE), rate=RATE)
