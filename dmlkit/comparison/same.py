"""Whether runs speak of the same data, videos and labels; each run's scores, one run in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dmlkit.errors import DataError, UsageError
from dmlkit.metrics import TopPairs, average_precision_by_class, top_pairs
from dmlkit.predictions import Predictions
from dmlkit.runs import Run
from dmlkit.text import shorten


class Measured(NamedTuple):
    """What a comparison needs of one run, which is far less than its scores."""

    pairs: TopPairs
    precision: np.ndarray
    kept: int | None


def check_same_data(runs: Sequence[Run]) -> None:
    """Refuse runs on different data, before any scores are read.

    Raises:
        UsageError: Names the first run on other data than the first of all.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.record["data"]["fingerprint"] != first.record["data"]["fingerprint"]:
            raise UsageError(
                f"Runs on different data cannot be compared: {first.path} is of {_data(first)}, {run.path} of "
                f"{_data(run)}."
            )


def measure_in_order(runs: Sequence[Run]) -> tuple[list[Measured], np.ndarray]:
    """Every run's top pairs and average precisions, the videos in the order of the first run.

    Args:
        runs: On the same data.

    Returns:
        One `Measured` a run, and how many videos have each class.

    Raises:
        UsageError: The runs were scored on different videos, or on different labels of them.
        DataError: The scores of a run cannot be read, or have no labels.
    """
    first, measured = None, []
    for run in runs:
        held = "predictions" in vars(run)
        told = _told(run)
        first = first or told
        measured.append(_measure(told, first, run, runs[0]))
        if not held:
            # The scores of a run may take hundreds of megabytes; the comparison keeps its top pairs alone.
            del run.predictions
    return measured, first.labels.sum(axis=0)


def _told(run: Run) -> Predictions:
    told = run.predictions
    if told.labels is None:
        raise DataError(
            f"The scores of {run.path} have no labels, so nothing can be measured on them. Train it again."
        )
    if len(np.unique(told.ids)) != len(told.ids):
        raise DataError(f"The scores of {run.path} hold a video twice. Train it again.")
    return told


def _measure(told: Predictions, first: Predictions, run: Run, first_run: Run) -> Measured:
    turned = told.in_order_of(first.ids)
    if turned is None:
        raise UsageError(
            f"Runs on different videos cannot be compared: {first_run.path} was scored on {len(first.ids):,} videos, "
            f"{run.path} on {len(told.ids):,}. {_only(first, told, 'first')}{_only(told, first, 'second')}"
            "Profiles may cap how many videos validate; train both under one."
        )
    if turned.labels.shape != first.labels.shape:
        raise UsageError(
            f"{first_run.path} tells {first.labels.shape[1]:,} classes, {run.path} {turned.labels.shape[1]:,}: they "
            "cannot be compared."
        )
    if not np.array_equal(turned.labels, first.labels):
        row, label = np.argwhere(turned.labels != first.labels)[0]
        raise UsageError(
            f"The labels of {first_run.path} and {run.path} differ, first for the video "
            f"{shorten(first.ids[row])!r}, class {label}: they were measured on different truth and cannot be "
            "compared."
        )
    return Measured(
        pairs=top_pairs(turned.scores, turned.labels),
        precision=average_precision_by_class(turned.scores, turned.labels),
        kept=turned.kept,
    )


def _only(here: Predictions, there: Predictions, which: str) -> str:
    alone = np.setdiff1d(here.ids, there.ids)
    return f"Only the {which} knows {shorten(alone[0])!r}. " if len(alone) else ""


def _data(run: Run) -> str:
    data = run.record["data"]
    return f"{shorten(data['name'], 60)} (fingerprint {shorten(data['fingerprint'][:16])})"
