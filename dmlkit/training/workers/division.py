"""Which shards are whose: every shard is one worker's, in every epoch."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from dmlkit.data import Skipped, count_records, limit_shards
from dmlkit.errors import UsageError
from dmlkit.profiles import Profile

PARTS = ("train", "tuning", "validate")


def divide(dataset, profile: Profile, *, index: int, workers: int, skipped: Skipped) -> tuple:
    """One worker's part of a data set, as a data set, and what it reads of it, as a profile.

    The shards in their order are cut into as many blocks as there are workers, block by block as equal as can be, so
    that the workers' videos one after the other are those of the whole part in its order. A part of which a worker
    has no shard is empty for it.

    Args:
        dataset: The whole.
        profile: Of the training: the batch of all, the caps of all.
        index, workers: Which worker of how many.
        skipped: What happens at a faulty record; it decides whether a damaged shard can be counted.

    Returns:
        The data set with the worker's shards alone, and the profile with its share of the batch and its caps.

    Raises:
        UsageError: The training part has fewer shards than there are workers, or a batch fewer videos.
    """
    if profile.batch_size < workers:
        raise UsageError(
            f"A batch of {profile.batch_size} videos cannot be divided among {workers} workers. "
            "Choose a larger batch or fewer workers."
        )
    splits, caps = dict(dataset.splits), {}
    skip = skipped.most > 0
    for part in PARTS:
        chosen = limit_shards(dataset.splits[part], profile.caps[part], skip_damaged=skip)
        if part == "train" and len(chosen) < workers:
            cap = profile.caps[part]
            raise UsageError(
                f"The training part of {dataset.name} is read from {len(chosen)} shards"
                f"{'' if cap is None else f' (the profile takes {cap:,} videos)'}, which cannot be divided among "
                f"{workers} workers. Use as many workers as there are shards at most, or write smaller shards."
            )
        first, last = (len(chosen) * place // workers for place in (index, index + 1))
        mine = chosen[first:last]
        splits[part] = tuple(shard for shard, _ in mine)
        # A cap of all is the sum of what each shard may give at most, and the last one's part of it.
        capping = profile.caps[part] is not None and mine
        caps[f"max_{part}_videos"] = (
            sum(min(most, count_records(shard, skip_damaged=skip)) for shard, most in mine)
            if capping
            else None
        )
    own = replace(dataset, splits=splits)
    batch = _share(profile.batch_size, index, workers)
    return own, replace(profile, batch_size=batch, **caps)


def cut(rows: int, pieces: int) -> list[slice]:
    """A batch of so many videos in pieces as equal as can be; there may be empty ones."""
    ends = np.cumsum([0] + [_share(rows, place, pieces) for place in range(pieces)])
    return [slice(int(start), int(end)) for start, end in itertools.pairwise(ends)]


def _share(whole: int, index: int, parts: int) -> int:
    return whole // parts + (index < whole % parts)
