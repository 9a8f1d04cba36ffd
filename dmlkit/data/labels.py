"""What both levels' records share: a context with the video's name and classes, and labels as multi-hot rows."""

from __future__ import annotations

import numpy as np

from dmlkit.data import messages
from dmlkit.data.faults import RecordFault

ID_KEYS = ("id", "video_id")


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


def multi_hot(classes: np.ndarray, counts: np.ndarray, num_classes: int) -> np.ndarray:
    """Lists of classes as rows of 0 and 1.

    Args:
        classes: All videos' classes one after another, integers.
        counts: How many of them belong to each video, shape (B,).
        num_classes: C.

    Returns:
        float32, shape (B, C).

    Raises:
        RecordFault: A class outside 0 to C - 1.
    """
    outside = (classes < 0) | (classes >= num_classes)
    if outside.any():
        raise RecordFault(
            f"label {classes[outside][0]} is outside the data set's {num_classes} classes (0 to {num_classes - 1}). "
            "Correct num_classes or the vocabulary in dataset.toml, or leave the record out.",
            kind="label",
        )
    rows = np.zeros((len(counts), num_classes), dtype=np.float32)
    rows[np.repeat(np.arange(len(counts)), counts), classes] = 1.0
    return rows
