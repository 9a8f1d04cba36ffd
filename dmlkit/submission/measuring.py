"""GAP@20 of a submission, from its file alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

from dmlkit.errors import DataError
from dmlkit.evaluation import TopPairs, gap_interval_of_pairs, gap_of_pairs
from dmlkit.submission.checking import check
from dmlkit.submission.lines import MOST_PAIRS, read_lines


def measure_submission(
    file: str | os.PathLike, *, videos: Iterable[tuple[str, Sequence[int]]], num_classes: int
) -> dict:
    """GAP@20 of a submission and its interval, the same as of the scores it was written from.

    Args:
        file: The path; one that ends in `.gz` is unpacked.
        videos: Every video of the part, in its order: id and the classes that are true.
        num_classes: How many classes the data set has.

    Returns:
        `gap`, `gap_interval` (low, high), `num_classes` and `videos`. Held in memory are some 200 bytes a video.

    Raises:
        DataError: The file cannot be read or is faulty, so that it would not be measured elsewhere either.

    Paper: §Measure.
    """
    ids, labels = [], []
    for video, classes in videos:
        ids.append(video)
        labels.append(np.array(sorted(set(classes)), np.int32))
    faults = check(file, ids=ids, num_classes=num_classes)
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
        "num_classes": num_classes,
        "videos": len(ids),
    }
