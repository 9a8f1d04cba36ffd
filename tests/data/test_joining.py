"""The training and tuning parts as one: all their videos, nothing else, and what dataset.toml counts."""

from collections import Counter

import pytest
from dmlkit.data.joining import with_tuning

from dmlkit.data import open_dataset
from dmlkit.errors import UsageError


def ids(dataset, part, **settings):
    batches = dataset.batches(part, batch_size=16, **settings)
    return [str(each) for batch in batches for each in batch["id"]]


def test_the_training_part_holds_both_and_the_others_are_as_they_were(generated):
    dataset = open_dataset(generated)
    joined = with_tuning(dataset)
    both = Counter(ids(dataset, "train") + ids(dataset, "tuning"))
    assert Counter(ids(joined, "train")) == Counter(ids(joined, "train", shuffle=True)) == both
    assert joined.num_videos("train") == 200 and set(both.values()) == {1}
    assert ids(joined, "validate") == ids(dataset, "validate")
    with pytest.raises(UsageError, match="no split 'tuning'"):
        joined.num_videos("tuning")
    assert "tuning" in dataset.splits and dataset.num_videos("train") == 180


def test_a_cap_leaves_no_tuning_video_out(generated):
    dataset = open_dataset(generated)
    capped = ids(with_tuning(dataset), "train", max_videos=60)
    assert set(ids(dataset, "tuning")) < set(capped) and len(capped) == 60


def test_shards_are_counted_as_before(generated):
    # dataset.toml says how many records every shard of a part but its last holds.
    dataset = open_dataset(generated)
    assert dataset.records_per_shard == 10
    known = dataset.counted("train") | dataset.counted("tuning")
    assert with_tuning(dataset).counted("train") == known
