"""Class-balanced sampling: videos of rare classes more often, those of common ones less often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from dmlkit.data.contexts import context_of
from dmlkit.data.faults import RecordFault
from dmlkit.data.framing import walk_records
from dmlkit.data.order import RunListing


def expected_copies(classes: Sequence[Sequence[int]], *, num_classes: int, balance: float) -> np.ndarray:
    """How often each video is shown in an epoch, on average.

    In proportion to the mean over its classes of n_c^-balance, n_c being how many videos have the class; all
    together as often as there are videos. One without classes is shown once.

    Args:
        classes: Of each video.
        num_classes: C.
        balance: From 0, each once, to 1, each class about as often as any other.

    Returns:
        (videos,) float64.
    """
    owners = np.repeat(np.arange(len(classes)), [len(each) for each in classes])
    flat = np.array([label for each in classes for label in each], np.int64)
    rareness = np.maximum(np.bincount(flat, minlength=num_classes), 1.0) ** -balance
    labels = np.bincount(owners, minlength=len(classes))
    known = labels > 0
    copies = np.ones(len(classes))
    copies[known] = np.bincount(owners, rareness[flat], minlength=len(classes))[known] / labels[known]
    if known.any():
        copies[known] /= copies[known].mean()
    return copies


def copies_by_shard(
    dataset, taken: Sequence[tuple[str, int | None]], balance: float
) -> dict[str, np.ndarray]:
    """`expected_copies` of the records of each shard; all shards are read through once, for their classes.

    Args:
        dataset: What `open_dataset` gives.
        taken: Shards, and how many records of each, None for all.
        balance: As above.

    Returns:
        Shard → (records,). A faulty record stands there as one without classes: it is met when its turn comes.
    """
    classes, counts = [], []
    for shard, most in taken:
        found = [_classes(dataset, framed) for framed in islice(walk_records(shard), most)]
        counts.append(len(found))
        classes += found
    copies = expected_copies(classes, num_classes=dataset.num_classes, balance=balance)
    parts = np.split(copies, np.cumsum(counts)[:-1]) if counts else []
    return {shard: part for (shard, _), part in zip(taken, parts, strict=True)}


def _classes(dataset, framed) -> list[int]:
    if framed.fault:
        return []
    try:
        return sorted(set(context_of(dataset, framed.record)[1]))
    except RecordFault:
        return []


def times_shown(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How often each video is shown in one epoch: w times is ⌊w⌋ times or once more, and w on average.

    All together it is as often as there are videos: the expectations are laid end to end in a random order, and
    each video is shown once for every whole number, shifted by one random share, that its stretch holds.

    Args:
        expected: (videos,) w, whose sum is the number of videos.
        rng: Draws order and shift.

    Returns:
        (videos,) int64.
    """
    order = rng.permutation(len(expected))
    ends = np.cumsum(expected[order])
    ends[-1:] = len(expected)  # what rounding has left of the sum
    times = np.empty(len(expected), np.int64)
    times[order] = np.diff(np.floor(ends + rng.random()).astype(np.int64), prepend=0)
    return times


def repeated(
    records: Iterator[RunListing], expected: Mapping[str, np.ndarray], rng: np.random.Generator
) -> Iterator[RunListing]:
    """Each record as many times as an epoch shows it.

    Args:
        records: Of each shard in their order.
        expected: As `copies_by_shard` gives them.
        rng: For `times_shown`.
    """
    if not expected:
        return
    times = times_shown(np.concatenate(list(expected.values())), rng)
    ends = np.cumsum([len(each) for each in expected.values()])
    parts = np.split(times, ends[:-1])
    left = {shard: iter(part.tolist()) for shard, part in zip(expected, parts, strict=True)}
    for found in records:
        # What a shard has grown by since it was counted comes once.
        yield from [found] * next(left[found.shard], 1)
