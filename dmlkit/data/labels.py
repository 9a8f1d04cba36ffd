"""What both levels' records share: a context with the video's name and classes, and labels as multi-hot rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from dmlkit.data import aligned, messages
from dmlkit.data.faults import RecordFault

ID_KEYS = ("id", "video_id")


class Seen(NamedTuple):
    """What one record holds, without its values.

    Attributes:
        video_id: Empty where it has none.
        classes: Empty where it has none.
        num_frames: 0 at video level.
        modalities: The names of those it has.
    """

    video_id: str
    classes: list[int]
    num_frames: int
    modalities: tuple[str, ...]


def read_context(features: messages.Features) -> tuple[str, list[int]]:
    """A video's name and classes.

    Args:
        features: The features of an example, or the context of a sequence example.

    Returns:
        The name (empty where there is none) and the classes (none where the key is absent).
    """
    entries = features.feature
    for key in ID_KEYS:
        if key in entries and entries[key].bytes_list.value:
            video_id = entries[key].bytes_list.value[0].decode("utf-8", "replace")
            break
    else:
        video_id = ""
    return video_id, list(entries["labels"].int64_list.value) if "labels" in entries else []


def check_classes(classes: list[int], num_classes: int) -> None:
    """Look at one video's classes.

    Raises:
        RecordFault: A class outside 0 to C - 1.
    """
    for label in classes:
        if not 0 <= label < num_classes:
            raise _outside(label, num_classes)


def multi_hot(classes: Sequence[Sequence[int]], num_classes: int) -> np.ndarray:
    """Each video's classes as a row of 0 and 1; they must be within 0 to C - 1 (see `check_classes`).

    Args:
        classes: Those of B videos.
        num_classes: C.

    Returns:
        float32, shape (B, C).
    """
    rows = aligned.zeros((len(classes), num_classes), np.float32)
    counts = [len(each) for each in classes]
    rows[np.repeat(np.arange(len(classes)), counts), np.fromiter(chain.from_iterable(classes), np.int64)] = (
        1.0
    )
    return rows


def _outside(label: int, num_classes: int) -> RecordFault:
    return RecordFault(
        f"label {label} is outside the data set's {num_classes} classes (0 to {num_classes - 1}). "
        "Correct num_classes or the vocabulary in dataset.toml, or leave the record out.",
        kind="label",
    )
