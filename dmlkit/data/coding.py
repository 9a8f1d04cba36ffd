"""YouTube-8M's byte coding: one byte a value, and back.

Numpy only. Readers keep bytes as bytes; a model's first layer dequantises them.
"""

from __future__ import annotations

import numpy as np

SCALE = 4.0 / 255.0
OFFSET = 4.0 / 512.0 - 2.0
# The byte nearest to zero (it decodes to -0.00003): what stands in for the frames of a missing modality.
SILENCE = 127


def dequantize(quantized: np.ndarray) -> np.ndarray:
    """Bytes to values between -1.9921875 and 2.0078125.

    Args:
        quantized: uint8, any shape.

    Returns:
        float32 of the same shape.

    Paper: §Task and data, dequantisation of a byte q: q * 4/255 + 4/512 - 2.
    """
    return np.asarray(quantized).astype(np.float32) * np.float32(SCALE) + np.float32(OFFSET)


def quantize(values: np.ndarray) -> np.ndarray:
    """Values to the nearest byte; what lies outside the coding's range is clipped to it.

    Args:
        values: Real numbers, any shape.

    Returns:
        uint8 of the same shape, with ``quantize(dequantize(q)) == q`` for every byte.

    Raises:
        ValueError: A value is NaN, which no byte can stand for.
    """
    values = np.asarray(values, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError(
            f"`values` must be numbers to be coded as bytes. Received NaN in an array of {values.shape}."
        )
    return np.clip(np.rint((values - OFFSET) / SCALE), 0, 255).astype(np.uint8)
