"""Measure finished runs on a part of a data set."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dmlkit.data import RAISE, Skipped, as_dataset
from dmlkit.metrics import RankingMetrics
from dmlkit.runs import Run
from dmlkit.training.members import check_fit, members_of, score_blocks


def evaluate(
    run: Run | str | os.PathLike | Sequence[Run | str | os.PathLike],
    *,
    data,
    split: str = "validate",
    max_videos: int | None = None,
    by: str | None = None,
    on_fault: str | Skipped = RAISE,
) -> dict:
    """Score a part of a data set with a run's model, and measure.

    Scores are counted as they come and let go, so that memory does not grow with them (`evaluation.RankingMetrics`); all
    of them are measured, where a run on a large part keeps each video's highest.

    Args:
        run: A run, or its folder; an ensemble scores with its members, several runs as an ensemble of them.
        data: A data set, or the path of one, with the features the run was trained on.
        split: The part; it must be labelled.
        max_videos: Only the first videos of the part; all of them where None, also where the run's profile caps
            the part while training.
        by: How several runs are combined, as for `ensemble`; where None, by Algorithm 2.
        on_fault: As for `Dataset.batches`.

    Returns:
        GAP@20 with its interval, Hit@1, PERR, mAP, and how many classes and videos they speak of.

    Raises:
        UsageError: The data set's features or classes are not the run's.
        DataError: The part has no labels, or the data are damaged.
    """
    members = members_of(run, by=by)
    dataset = as_dataset(data)
    check_fit(members, dataset)
    dataset.require_labels(split)
    metrics = RankingMetrics(dataset.num_classes)
    for block in score_blocks(members, dataset, split, max_videos=max_videos, on_fault=on_fault):
        metrics.update(block.scores, block.labels)
    interval = metrics.gap_interval()
    return metrics.result() | {"gap_interval": [interval.low, interval.high]}
