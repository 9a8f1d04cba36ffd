"""One video as a reader hands it on, and what all readers say in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmlkit.data.opening import modality_name
from dmlkit.errors import DataError
from dmlkit.text import shorten

# Arrays, columns and so on that say something of a video and are no modality.
ID_NAMES = ("id", "video_id")
COUNT_NAMES = ("num_frames", "nframes")
LABELS, SPLIT = "labels", "split"
# The most that one modality of one video may take: 32,000 frames of 4,096 floats.
LARGEST = 1 << 29


@dataclass(frozen=True, slots=True)
class Imported:
    """One video.

    Attributes:
        id: Its name.
        labels: Its classes, numbers or names; None where the source says nothing of them.
        features: Modality → (frames, size), or (size,) at video level.
        part: The part of the data set that the source puts it in; None where it does not.
        where: File and record, for messages.
        left_aside: What else the source holds and cannot be a modality.
    """

    id: str
    labels: Sequence[int] | Sequence[str] | None
    features: Mapping[str, np.ndarray]
    part: str | None
    where: str
    left_aside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which modalities are wanted; None for all there are."""

    names: tuple[str, ...] | None = None

    def takes(self, name: str) -> bool:
        """Whether an array or column of this name is wanted."""
        return self.names is None or name in self.names or modality_name(name) in self.names


def video_id(value: object, where: str) -> str:
    """The name of a video out of an array, a column or a record.

    Raises:
        DataError: It is empty, or neither text nor a whole number.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.item() if value.size == 1 else value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(
            f"{where}: the id must be a text or a whole number. Received: {shorten(repr(value))}."
        )
    if not str(value).strip():
        raise DataError(f"{where}: the id is empty. Give every video a name of its own.")
    return str(value)


def text(value: object, where: str, what: str) -> str | None:
    """A text out of an array, a column or a record; None where it is empty.

    Raises:
        DataError: It is something else.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.item() if value.size == 1 else value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None or isinstance(value, str):
        return value or None
    raise DataError(f"{where}: {what} must be a text. Received: {shorten(repr(value))}.")


def labels_of(values: np.ndarray, where: str) -> list[int] | list[str]:
    """The classes of one video out of an array: numbers, names, or a row of true and false.

    Raises:
        DataError: Neither.
    """
    values = np.atleast_1d(values)
    if values.ndim == 1 and values.dtype.kind in "iu":
        return values.tolist()
    if values.ndim == 1 and values.dtype.kind == "b":
        return np.flatnonzero(values).tolist()
    if values.ndim == 1 and values.dtype.kind in "US":
        return [str(text(value, where, "a label") or "") for value in values]
    if values.size == 0:  # an empty list has no type of its own: numpy makes it floats
        return []
    raise DataError(
        f"{where}: labels must be whole numbers, names, or true and false for each class. Received: "
        f"{values.dtype} {values.shape}."
    )


def hot(values: np.ndarray, where: str) -> list[int]:
    """The classes out of a row of 0 and 1.

    Raises:
        DataError: It holds something else.
    """
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise DataError(f"{where}: labels (N, classes) must hold 0 and 1 only. Received: {values.dtype}.")
    return np.flatnonzero(values).tolist()


def by_modality(names: Iterable[str], where: str) -> dict[str, str]:
    """Modality → the array's name: ``mean_rgb`` and ``rgb_embedding`` are both called rgb.

    Raises:
        DataError: Two arrays are the same modality.
    """
    found: dict[str, str] = {}
    for name in names:
        if found.setdefault(modality_name(name), name) != name:
            raise DataError(
                f"{where}: {found[modality_name(name)]} and {shorten(name)} are both the modality "
                f"{modality_name(name)}. Say which is wanted (`--modalities`)."
            )
    return found


def stem(path: Path) -> str:
    """A file's name without its ending."""
    return path.name.removesuffix(path.suffix)
