"""Random numbers that stay what they are.

numpy promises to keep PCG64's raw stream, but not what its `Generator` derives from it: a new numpy may draw other
normal numbers for the same seed. So everything is derived from the raw words here.
"""

from __future__ import annotations

import math

import numpy as np


class Stream:
    """Random numbers from PCG64's raw 64-bit words."""

    def __init__(self, *words: int):
        self._words = np.random.PCG64(np.random.SeedSequence(words)).random_raw

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        return low + (high - low) * ((self._words() >> 11) * 2.0**-53)

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self._words() % (high - low + 1)

    def sign(self) -> int:
        """-1 or 1."""
        return 1 - 2 * self.integer(0, 1)

    def order(self, length: int) -> np.ndarray:
        """The numbers 0 to length - 1, shuffled."""
        return np.argsort(self._words(length), kind="stable")

    def bell(self, *shape: int) -> np.ndarray:
        """Bell-shaped noise of mean 0 and deviation 1: each value is the sum of four uniform ones (exact)."""
        words = self._words(math.prod(shape)).reshape(shape)
        low = np.uint64(0xFFFF)
        total = (words & low) + (words >> np.uint64(48))
        total += (words >> np.uint64(16)) & low
        total += (words >> np.uint64(32)) & low
        return (total.astype(np.float32) - np.float32(131070)) * np.float32(math.sqrt(3) / 65536)
