"""Measure a finished run on a part of a data set."""

from __future__ import annotations

import os

import numpy as np

from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.evaluation import gap_interval, measure
from dmlkit.profiles import Profile
from dmlkit.runs import Run, load_run
from dmlkit.training.scoring import predict


def evaluate(run: Run | str | os.PathLike, *, data, split: str = "validate") -> dict:
    """Score a part of a data set with a run's model, and measure.

    Args:
        run: A run, or its folder; a training, not an ensemble.
        data: A data set, or the path of one, with the features the run was trained on.
        split: The part; it must be labelled.

    Returns:
        GAP@20 with its interval, Hit@1, PERR, mAP, and how many classes and videos they speak of.

    Raises:
        UsageError: The data set's features or classes are not the run's.
        DataError: The part has no labels, or the data are damaged.
    """
    run = run if isinstance(run, Run) else load_run(run)
    dataset = open_dataset(data) if isinstance(data, str | os.PathLike) else data
    features = {name: feature.size for name, feature in dataset.features.items()}
    for what, trained, given in (
        ("features", run.record["data"]["features"], features),
        ("classes", run.record["data"]["num_classes"], dataset.num_classes),
        ("level", run.record["data"]["level"], dataset.level),
    ):
        if trained != given:
            raise UsageError(
                f"{run.path} was trained on other {what} than {dataset.name} has. "
                f"Expected {trained}. Received: {given}."
            )
    predictions = predict(run.model, dataset, split, profile=Profile.from_record(run.record["profile"]))
    if predictions.labels is None:
        raise DataError(
            f"The '{split}' part of {dataset.name} has no labels, so nothing can be measured on it."
        )
    scores = predictions.scores.astype(np.float32)
    interval = gap_interval(scores, predictions.labels)
    return measure(scores, predictions.labels) | {"gap_interval": [interval.low, interval.high]}
