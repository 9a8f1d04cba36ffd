"""The order of an epoch, what is skipped, balanced sampling, and the way into `fit`."""

import itertools
import json
import shutil
from collections import Counter

import numpy as np
import pytest

from dmlkit.data import (
    Feature,
    Skipped,
    capped,
    limit_shards,
    open_dataset,
    read_contexts,
    serialize_frames,
    serialize_video,
    write_dataset_toml,
    write_shard,
)
from dmlkit.data import batches as chapter
from dmlkit.data.batches import expected_repeats
from dmlkit.data.records import HEADER_BYTES, frame_record, scan_headers
from dmlkit.errors import DataError, UsageError

CLASSES, SIZE, SHARDS, EACH = 5, 6, 6, 10


def frame_level(name, labels=(1,)):
    rng = np.random.default_rng(list(name.encode()))
    frames = {"rgb": rng.integers(1, 256, (1 + ord(name[-1]) % 4, SIZE), np.uint8)}
    return serialize_frames(video_id=name, labels=labels, frames=frames)


def video_level(name, labels=(1,)):
    values = np.full(SIZE, float(sum(name.encode())))
    return serialize_video(video_id=name, labels=labels, features={"mean_rgb": values})


def write_folder(folder, make=frame_level, **more):
    """Six training shards of ten videos: v0-0, v0-1, ..."""
    for shard in range(SHARDS):
        write_shard(folder / f"train{shard}.tfrecord", [make(f"v{shard}-{number}") for number in range(EACH)])
    for split in ("tuning", "validate"):
        write_shard(folder / f"{split}.tfrecord", [make(f"{split}{number}") for number in range(4)])
    video = make is video_level
    write_dataset_toml(
        folder,
        name="small",
        level="video" if video else "frame",
        features={"rgb": Feature("rgb", SIZE, "float" if video else "byte", "mean_rgb" if video else "rgb")},
        num_classes=CLASSES,
        splits={split: [f"{split}*.tfrecord"] for split in ("train", "tuning", "validate")},
        **more,
    )
    return open_dataset(folder)


def ids(batches):
    return list(itertools.chain.from_iterable(batch["id"].tolist() for batch in batches))


def shuffled(dataset, **settings):
    return ids(dataset.batches("train", **{"batch_size": 7, "shuffle": True, **settings}))


# The order.


def test_shuffling_in_small_windows_loses_nothing(tmp_path, monkeypatch):
    dataset = write_folder(tmp_path)
    monkeypatch.setattr(chapter, "SHUFFLE_BYTES", 700)
    monkeypatch.setattr(chapter, "OPEN_SHARDS", 2)
    batches = dataset.batches("train", batch_size=4, shuffle=True, seed=1)
    found = ids(batches)
    assert found == ids(batches) and sorted(found) == sorted(ids(dataset.batches("train", batch_size=4)))


def test_videos_cut_to_their_shortest_modality_are_counted_once_each(tmp_path):
    for split, apart in (("train0", 0), ("train1", 1), ("train2", 2), ("validate", 2)):
        frames = [
            {"rgb": np.ones((4, 6), np.uint8), "audio": np.ones((4 - apart * n % 3, 3), np.uint8)}
            for n in range(3)
        ]
        records = [
            serialize_frames(video_id=f"{split}{n}", labels=[n], frames=each) for n, each in enumerate(frames)
        ]
        write_shard(tmp_path / f"{split}.tfrecord", records)
    dataset, skipped = open_dataset(tmp_path), Skipped()
    for epoch in range(2):
        for split, shuffle in (("train", True), ("validate", False)):
            list(dataset.batches(split, batch_size=2, shuffle=shuffle, epoch=epoch, on_fault=skipped))
    again = Skipped()
    again.add_rows(json.loads(json.dumps(skipped.to_rows())))
    again.add_rows(skipped.to_rows())
    assert again.cut == skipped.cut
    assert skipped.to_record() == again.to_record() == {"records": 0, "by_fault": {}, "first": [], "cut": 4}


def test_a_cap_keeps_the_same_videos_in_every_epoch(tmp_path):
    dataset = write_folder(tmp_path)
    every, smaller = ids(dataset.batches("train", batch_size=4)), set()
    moved = open_dataset(shutil.copytree(tmp_path, tmp_path.with_name("moved")))
    for max_videos in (1, 12, 33, 99):
        plain = ids(dataset.batches("train", batch_size=4, max_videos=max_videos))
        assert plain == [name for name in every if name in set(plain)] and len(plain) == min(60, max_videos)
        assert smaller <= set(plain) and plain == ids(
            moved.batches("train", batch_size=9, max_videos=max_videos)
        )
        smaller = set(plain)
        for seed, epoch in ((0, 0), (0, 1), (7, 1)):
            assert sorted(shuffled(dataset, seed=seed, epoch=epoch, max_videos=max_videos)) == sorted(plain)
    again = capped(capped(dataset, {"train": 25}), {"train": 25})
    assert ids(again.batches("train", batch_size=4)) == ids(
        dataset.batches("train", batch_size=4, max_videos=25)
    )
    assert again.num_videos("train") == 25 and len(again.splits["train"]) == 3


def test_a_cap_takes_shards_from_everywhere(monkeypatch):
    monkeypatch.setattr(chapter, "count_records", lambda shard, **_: 1000)
    shards = [f"/data/train{number:04}.tfrecord" for number in range(3844)]
    places = [shards.index(shard) for shard, _ in limit_shards(shards, 100_000, root="/data")]
    assert len(places) == 100 and places == sorted(places)
    assert np.mean(places) == pytest.approx(3843 / 2, abs=3 * 3844 / np.sqrt(12 * 100))


def test_a_sample_of_frames_does_not_depend_on_the_order(tmp_path):
    dataset = write_folder(tmp_path)
    settings = {"batch_size": 60, "frame_choice": "random", "max_frames": 2, "frame_share": 0.5, "epoch": 3}
    (plain,), (mixed,) = (dataset.batches("train", shuffle=shuffle, **settings) for shuffle in (False, True))
    rows = [mixed["id"].tolist().index(name) for name in plain["id"]]
    np.testing.assert_array_equal(plain["rgb"], mixed["rgb"][rows])


def test_settings_out_of_range_are_refused(generated):
    for settings, message in (
        ({"batch_size": 0}, "batch_size"),
        ({"max_videos": 0}, "max_videos"),
        ({"frame_share": float("nan")}, "frame_share"),
        ({"balance": 0.5, "shuffle": False}, "only a shuffled order"),
        ({"frame_choice": "last"}, "first, uniform, random"),
        ({"on_fault": "skip -1"}, "'raise' or 'skip N'.*Received: "),
    ):
        with pytest.raises(UsageError, match=message):
            open_dataset(generated).batches("train", **{"batch_size": 2, "shuffle": True, **settings})


# Corrupt records.


def damage(folder, make):
    """Damage four shards, each in another way: (shard, record) → its byte and the kind of error."""
    errors = {}

    def change(shard, number, edit, kind):
        path = folder / f"train{shard}.tfrecord"
        data = bytearray(path.read_bytes())
        begin, length, _ = list(scan_headers(path))[number]
        edit(data, begin, begin + HEADER_BYTES + length)
        path.write_bytes(data)
        errors[path.name, number] = (begin, kind)

    def flip(byte):
        return lambda data, begin, end: data.__setitem__(begin + byte, data[begin + byte] ^ 1)

    bad = frame_record(make("bad", labels=[CLASSES]))
    change(0, 3, flip(HEADER_BYTES + 4), "record checksum")
    change(1, 0, flip(2), "length checksum")
    change(2, 7, lambda data, begin, end: data.__setitem__(slice(begin, end + 4), bad), "label")
    change(4, 9, lambda data, begin, end: data.__delitem__(slice(end, None)), "cut off")
    return errors


LOST = {"v0-3", "v1-0", "v2-7", "v4-9"}


@pytest.mark.parametrize(("make", "shuffle"), [(frame_level, False), (video_level, True)])
def test_the_others_come_as_they_would_have(tmp_path, make, shuffle):
    dataset = write_folder(tmp_path, make)
    settings = {"batch_size": 8, "shuffle": shuffle, "seed": 2, "epoch": 1}
    before = [batch["id"].tolist() for batch in dataset.batches("train", **settings)]
    errors = damage(tmp_path, make)
    batches = dataset.batches("train", **settings, on_fault="skip 4")
    for _ in range(2):  # the same four a second time
        assert [batch["id"].tolist() for batch in batches] == [
            [name for name in batch if name not in LOST] for batch in before
        ]
        assert batches.skipped.records == errors
    assert dataset.num_videos("train", on_fault="skip 4") == 60
    with pytest.raises(DataError, match=r"train1\.tfrecord, record 0"):
        dataset.num_videos("train")
    with pytest.raises(DataError, match=r"tfrecord, record \d \(counted from 0\), byte \d+: "):
        list(dataset.batches("train", **settings))
    assert len(list(dataset.batches("train", batch_size=1, on_fault="skip 4"))) == 56  # no empty batch


def test_one_too_many_stops_and_names_it(tmp_path):
    dataset = write_folder(tmp_path)
    before = ids(dataset.batches("train", batch_size=8, max_videos=25))
    damage(tmp_path, frame_level)
    message = r"train2\.tfrecord, record 7 \(counted from 0\), byte \d+: label 5 .*one too many: .*\(skip 2\)"
    with pytest.raises(DataError, match=message):
        list(dataset.batches("train", batch_size=8, on_fault="skip 2"))
    # The limit is of all readings together.
    skipped = Skipped.of("skip 4")
    for epoch in range(2):
        shuffled(dataset, epoch=epoch, on_fault=skipped)
    write_shard(tmp_path / "validate.tfrecord", [frame_level("t"), frame_level("u", labels=[CLASSES])])
    with pytest.raises(DataError, match=r"validate\.tfrecord, record 1 .*one too many"):
        list(dataset.batches("validate", batch_size=8, on_fault=skipped))
    # A cap counts corrupt records.
    kept = ids(dataset.batches("train", batch_size=8, max_videos=25, on_fault="skip 9"))
    assert kept == [name for name in before if name not in LOST] and len(kept) == 22


def test_a_missing_shard_is_never_skipped(tmp_path):
    dataset = write_folder(tmp_path)
    (tmp_path / "train3.tfrecord").unlink()
    for shuffle in (False, True):
        with pytest.raises(DataError, match=r"train3\.tfrecord is not there"):
            list(dataset.batches("train", batch_size=8, shuffle=shuffle, on_fault="skip 100"))


@pytest.mark.parametrize(("kept", "shuffle"), [(9, False), (9, True), (11, False)])
def test_a_shard_of_another_length_is_found_by_its_count(tmp_path, kept, shuffle):
    dataset = write_folder(tmp_path, counts={"train0.tfrecord": EACH})
    path = tmp_path / "train0.tfrecord"
    write_shard(path, [frame_level(f"v0-{number}") for number in range(kept)])
    batches = dataset.batches("train", batch_size=3, shuffle=shuffle, on_fault="skip 1")
    assert len(ids(batches)) == 50 + kept
    assert batches.skipped.records == {("train0.tfrecord", kept): (path.stat().st_size, "count")}
    message = rf"train0\.tfrecord, record {kept} .*dataset\.toml counts another number"
    for read in (dataset.batches("train", batch_size=3, shuffle=shuffle), read_contexts(dataset, "train")):
        with pytest.raises(DataError, match=message):
            list(read)
    assert dataset.num_videos("train") == 60  # as counted
    # A cap ends before the shard does.
    assert len(ids(dataset.batches("train", batch_size=3, max_videos=1))) == 1


# Class-balanced sampling.


def test_expected_repeats():
    labels = [[0], [0], [0, 1], [], [0]]
    # Classes 0 and 1 have 4 and 1 videos; the video without classes comes once.
    for balance, rareness in ((1.0, [1 / 4, 1 / 4, 5 / 8, 1 / 4]), (0.5, [1 / 2, 1 / 2, 3 / 4, 1 / 2])):
        expected = np.insert(rareness / np.mean(rareness), 3, 1.0)
        np.testing.assert_allclose(expected_repeats(labels, num_classes=3, balance=balance), expected)
    np.testing.assert_allclose(expected_repeats(labels, num_classes=3, balance=0.0), 1.0)
    np.testing.assert_array_equal(expected_repeats([[], []], num_classes=3, balance=1.0), 1.0)


def test_rare_classes_come_as_often_as_expected(tmp_path):
    write_folder(tmp_path, video_level)
    for shard in range(SHARDS):  # class 2 in one video of a shard, class 1 in nine
        records = [video_level(f"v{shard}-{number}", labels=[1 + (number == 4)]) for number in range(EACH)]
        write_shard(tmp_path / f"train{shard}.tfrecord", records)
    dataset, seen = open_dataset(tmp_path), Counter()
    for epoch in range(100):
        found = shuffled(dataset, balance=1.0, epoch=epoch)
        assert len(found) == 60
        for name, count in Counter(found).items():  # the expected number, rounded down or up
            assert 4 < count < 7 if name.endswith("4") else count == 1
        seen.update(found)
    for name, count in seen.items():  # each class half of the time
        assert count / 100 == pytest.approx(5 if name.endswith("4") else 5 / 9, rel=0.35)
    assert shuffled(dataset, balance=1.0) == shuffled(open_dataset(tmp_path), balance=1.0)
    ten = ids(dataset.batches("train", batch_size=9, max_videos=EACH))
    assert set(shuffled(dataset, balance=1.0, max_videos=EACH)) <= set(ten)
    damage(tmp_path, video_level)
    assert not LOST & set(shuffled(dataset, balance=0.5, on_fault="skip 4"))
