"""GAP@20 of a submission, from its file alone."""

from __future__ import annotations

import os

import numpy as np

from dmlkit.data import as_dataset, read_contexts
from dmlkit.errors import DataError
from dmlkit.metrics import TopPairs, gap_interval_of_pairs, gap_of_pairs
from dmlkit.submission.checking import find_faults
from dmlkit.submission.lines import MOST_PAIRS, read_lines


def evaluate(file: str | os.PathLike, *, data, split: str = "validate") -> dict:
    """GAP@20 of a submission and its interval, the same as of the scores it was written from.

    Args:
        file: The path; one that ends in `.gz` is unpacked.
        data: A data set, or the path of one.
        split: The part; it must be labelled.

    Returns:
        `gap`, `gap_interval` (low, high), `num_classes` and `videos`. Held in memory are some 300 bytes a video.

    Raises:
        UsageError: An unknown part.
        DataError: The part has no labels, or the file cannot be read or is faulty, so that it would not be measured
            elsewhere either.

    Paper: §Measure.
    """
    dataset = as_dataset(data)
    ids, labels = [], []
    for video, classes in read_contexts(dataset, split, labelled=True):
        ids.append(video)
        labels.append(np.array(sorted(set(classes)), np.int32))
    faults = find_faults(file, ids=ids, num_classes=dataset.num_classes)
    if first := next(faults, None):
        more = sum(1 for _ in faults)
        where = f", line {first.line}" if first.line else ""
        raise DataError(
            f"{os.fspath(file)}{where}: {first.kind}: {first.what}"
            + (f" ({more:,} more faults). " if more else ". ")
            + "`dmlkit submission check` lists every fault."
        )
    rows = {video: row for row, video in enumerate(ids)}
    # What a line lacks of 20 pairs lies below all others and is never right, so it changes nothing.
    scores = np.full((len(ids), MOST_PAIRS), -np.inf, np.float64)
    correct = np.zeros(scores.shape, bool)
    for line in read_lines(file):
        if line.video:
            row, pairs = rows[line.video], len(line.classes)
            scores[row, :pairs] = line.scores
            correct[row, :pairs] = np.isin(line.classes, labels[row])
    pairs = TopPairs(scores, correct, np.array([len(each) for each in labels], np.int64))
    interval = gap_interval_of_pairs(pairs)
    return {
        "gap": gap_of_pairs(pairs),
        "gap_interval": [interval.low, interval.high],
        "num_classes": dataset.num_classes,
        "videos": len(ids),
    }
