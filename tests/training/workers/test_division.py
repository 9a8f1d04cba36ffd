"""Each shard is one worker's, and all of them together are the whole in its order."""

import dataclasses

import pytest

import dmlkit
from dmlkit.data import Skipped
from dmlkit.errors import UsageError
from dmlkit.profiles import SMOKE
from dmlkit.training.workers.division import cut, divide

NO_CAPS = {f"max_{part}_videos": None for part in ("train", "tuning", "validate")}


def ids(dataset, profile, part, **settings):
    if not dataset.splits[part]:
        return []
    batches = dataset.batches(
        part, batch_size=profile.batch_size, max_videos=profile.caps[part], max_frames=1, **settings
    )
    return [name for batch in batches for name in batch["id"]]


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 18])
@pytest.mark.parametrize("caps", [NO_CAPS, {}, {"max_train_videos": 175, "max_validate_videos": 33}])
def test_the_workers_videos_are_the_whole(generated, workers, caps):
    dataset = dmlkit.open_dataset(generated)
    profile = dataclasses.replace(SMOKE, batch_size=64, **caps)
    shares = [
        divide(dataset, profile, index=index, workers=workers, skipped=Skipped()) for index in range(workers)
    ]
    assert sum(own.batch_size for _, own in shares) == 64
    for part in ("train", "tuning", "validate"):
        whole = ids(dataset, profile, part)
        assert [name for own in shares for name in ids(*own, part)] == whole
        shuffled = [ids(*own, part, shuffle=True, epoch=3) for own in shares]
        assert sorted(name for names in shuffled for name in names) == sorted(whole)
        read = [shard for own, _ in shares for shard in own.splits[part]]
        assert len(read) == len(set(read))
    lengths = [len(own.splits["train"]) for own, _ in shares]
    assert max(lengths) - min(lengths) <= 1


def test_more_workers_than_shards_are_told(generated):
    dataset = dmlkit.open_dataset(generated)
    shards = len(dataset.splits["train"])
    with pytest.raises(UsageError, match=f"from {shards} shards .* {shards + 1} workers"):
        divide(dataset, SMOKE, index=0, workers=shards + 1, skipped=Skipped())
    few = dataclasses.replace(SMOKE, max_train_videos=15)
    with pytest.raises(UsageError, match=r"from 2 shards \(the profile takes 15 videos\)"):
        divide(dataset, few, index=0, workers=3, skipped=Skipped())
    with pytest.raises(UsageError, match="batch of 2 videos"):
        divide(dataset, dataclasses.replace(SMOKE, batch_size=2), index=0, workers=3, skipped=Skipped())


@pytest.mark.parametrize(("rows", "pieces"), [(7, 3), (2, 3), (0, 2), (6, 3)])
def test_a_batch_is_cut_as_equally_as_can_be(rows, pieces):
    slices = cut(rows, pieces)
    assert [row for place in slices for row in range(rows)[place]] == list(range(rows))
    lengths = [place.stop - place.start for place in slices]
    assert len(slices) == pieces
    assert max(lengths) - min(lengths) <= 1
