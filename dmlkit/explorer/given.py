"""What somebody gave, looked at before it is used: whole numbers, lists, and arrays of one's own."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from numbers import Real

import numpy as np

from dmlkit.errors import DataError, UsageError
from dmlkit.explorer.evidence import SUM


def whole(value, what: str) -> int:
    """A whole number as an int.

    Raises:
        UsageError: It is something else: 0.5, True, 'a'.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise UsageError(f"{what}: expected a whole number. Received: {value!r:.80}.") from None


def number(value, what: str) -> float:
    """A number as a float.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise UsageError(f"{what}: expected a number. Received: {value!r:.80}.")
    return float(value)


def yes_or_no(value, what: str) -> bool:
    """A truth value as a bool.

    Raises:
        UsageError: It is something else: 'no' is true in Python.
    """
    if not isinstance(value, bool | np.bool_):
        raise UsageError(f"{what}: expected True or False. Received: {value!r:.80}.")
    return bool(value)


def several(value, what: str) -> list:
    """A list of what was given.

    Raises:
        UsageError: A text, whose letters are not meant, or nothing that holds several.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise UsageError(f"{what}: expected a list. Received: {value!r:.80}.")
    return list(value)


def class_key(value, what: str = "classes") -> int | str:
    """A class by its name or its number.

    Raises:
        UsageError: It is neither.
    """
    return value if isinstance(value, str) else whole(value, f"{what}, names or numbers of classes")


def numbers(values, name: str) -> np.ndarray:
    """An array of real numbers in double precision.

    Raises:
        UsageError: Text, None, complex numbers, or rows of several lengths.
    """
    try:
        found = np.asarray(values)
        if found.dtype == object and found.size:
            raise ValueError
        if found.dtype.kind not in "biufO":
            raise ValueError
        return found.astype(np.float64)
    except (ValueError, TypeError):
        raise UsageError(f"{name}: expected an array of numbers. Received: {values!r:.80}.") from None


def ascending(times, name: str = "times") -> np.ndarray:
    """Times, each later than the one before.

    Raises:
        DataError: One is not.
    """
    found = numbers(times, name)
    steps = np.diff(found, axis=-1) if found.ndim == 1 else np.ones(0)
    if (steps <= 0).any():
        at = int(np.argmax(steps <= 0))
        raise DataError(
            f"{name}: expected each later than the one before. Received: {found[at]:g}, then {found[at + 1]:g}, at "
            f"frame {at + 1}."
        )
    return found


def probabilities(scores, name: str = "scores") -> np.ndarray:
    """Numbers between 0 and 1.

    Raises:
        DataError: One is not.
    """
    found = numbers(scores, name)
    outside = found[(found < 0) | (found > 1)]
    if outside.size:
        raise DataError(f"{name}: expected probabilities between 0 and 1. Received: {outside.flat[0]:g}.")
    return found


def flags(values, name: str, frames: int) -> np.ndarray:
    """(frames,) bool, given as truth values or as 0 and 1.

    Raises:
        UsageError: Another shape, or other values: numbers of frames for instance.
    """
    found = numbers(values, name)
    if found.shape != (frames,) or not np.isin(found, (0, 1)).all():
        raise UsageError(
            f"{name}: expected {frames} truth values, one for each frame. Received: {values!r:.80}."
        )
    return found.astype(bool)


def attention_logits(logits, weights: np.ndarray) -> np.ndarray | None:
    """Attention logits, −∞ only where the weight is 0, as for padding.

    Raises:
        UsageError: No numbers.
        DataError: −∞ elsewhere.
    """
    if logits is None:
        return None
    found = numbers(logits, "logits")
    if found.shape != weights.shape:
        return found  # the evidence says so
    low = np.isneginf(found)
    if (low & (weights > 0)).any():
        at = int(np.argmax(low & (weights > 0)))
        raise DataError(
            f"logits: expected -inf only where the weight is 0. Received: -inf at frame {at}, whose weight is "
            f"{weights[at]:g}."
        )
    return found


def count_classes(contributions, scores, occlusion, frames: int) -> int:
    """How many classes the arrays are of.

    Raises:
        UsageError: An array of another shape.
    """
    for given, name, form in (
        (contributions, "contributions", "(frames, classes)"),
        (occlusion, "occlusion", "(frames, classes)"),
        (scores, "scores", "(classes,)"),
    ):
        if given is None:
            continue
        shape = np.shape(given)
        if len(shape) != form.count(",") + (form != "(classes,)"):
            raise UsageError(f"{name} has the shape {form}. Received: {shape}.")
        if len(shape) == 2 and shape[0] != frames:
            raise UsageError(f"{name} has a row a frame. Received: {shape[0]} rows, {frames} weights.")
        return shape[-1]
    return 0


def check_logits(logits: np.ndarray | None, weights: np.ndarray, name: str) -> None:
    """Logits must be those of the weights, or a temperature of 1 would not give them back."""
    if logits is None or logits.shape != weights.shape or not len(weights) or not np.isfinite(logits.max()):
        return  # what is no number or has another shape the evidence refuses
    shares = np.exp(logits - logits.max())
    off = float(np.abs(shares / shares.sum() - weights).max())
    if off > SUM:
        raise UsageError(
            f"Video {name!r}: the softmax of the logits is not the weights, they differ by up to "
            f"{off:.3g}. Give the logits that the weights were made of, or leave them out."
        )


def rows(given, name: str) -> dict[str, np.ndarray]:
    """Modality → (frames,); one array alone goes by its argument's name."""
    if given is None:
        return {}
    found = given if isinstance(given, Mapping) else {name: given}
    return {str(key): numbers(row, name if key == name else f"{name} {key}") for key, row in found.items()}
