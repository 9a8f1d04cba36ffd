"""Faulty records left out: all others in their order, no more than allowed, and what is told of them."""

import itertools

import numpy as np
import pytest
from dmlkit.data.contexts import read_contexts
from dmlkit.data.framing import HEADER, frame, hop
from dmlkit.data.skipping import NAMED, Skipped

from dmlkit.data import (
    Feature,
    open_dataset,
    serialize_frames,
    serialize_video,
    write_dataset_toml,
    write_shard,
)
from dmlkit.errors import DataError, UsageError

CLASSES, SIZE = 5, 6


def frame_record(name, labels=(1,)):
    rng = np.random.default_rng(len(name) + ord(name[-1]))
    frames = {"rgb": rng.integers(1, 256, (1 + ord(name[-1]) % 4, SIZE), np.uint8)}
    return serialize_frames(video_id=name, labels=labels, frames=frames)


def video_record(name, labels=(1,), value=1.0):
    return serialize_video(video_id=name, labels=labels, features={"mean_rgb": np.full(SIZE, value)})


def write_folder(folder, make):
    for shard in range(6):
        write_shard(folder / f"train{shard}.tfrecord", [make(f"v{shard}-{number}") for number in range(10)])
    for split in ("tuning", "validate"):
        write_shard(folder / f"{split}.tfrecord", [make("t")])
    (folder / "vocabulary.csv").write_text(f"Index,Name\n{CLASSES - 1},last\n")
    return open_dataset(folder)


def damage(folder, make, *, labels=(CLASSES,)):
    """A fault of each of four kinds, in four shards; where they are."""
    faults = {}

    def change(shard, number, change):
        path = folder / f"train{shard}.tfrecord"
        data = bytearray(path.read_bytes())
        begin, length, _ = list(hop(path))[number]
        change(data, begin, length)
        path.write_bytes(data)
        return begin

    def flip(byte):
        def one(data, begin, length):
            data[begin + byte] ^= 1

        return one

    def outside(data, begin, length):
        data[begin : begin + HEADER + length + 4] = frame(make("bad", labels=labels))

    def cut(data, begin, length):
        del data[begin + HEADER + length :]

    faults["train0.tfrecord", 3] = (change(0, 3, flip(HEADER + 4)), "record checksum")
    faults["train1.tfrecord", 0] = (change(1, 0, flip(2)), "length checksum")
    faults["train2.tfrecord", 7] = (change(2, 7, outside), "label")
    faults["train4.tfrecord", 9] = (change(4, 9, cut), "cut off")
    return faults


LOST = {"v0-3", "v1-0", "v2-7", "v4-9"}


@pytest.mark.parametrize("make", [frame_record, video_record])
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_others_come_as_they_would_have(tmp_path, make, shuffle):
    dataset = write_folder(tmp_path, make)
    settings = {"batch_size": 8, "shuffle": shuffle, "seed": 2, "epoch": 1}
    before = [batch["id"].tolist() for batch in dataset.batches("train", **settings)]
    faults = damage(tmp_path, make)
    batches = dataset.batches("train", **settings, on_fault="skip 4")
    after = [batch["id"].tolist() for batch in batches]
    assert after == [[name for name in batch if name not in LOST] for batch in before]
    assert batches.skipped.records == faults
    # A second time they are the same four.
    assert [batch["id"].tolist() for batch in batches] == after
    assert batches.skipped.records == faults
    assert dataset.num_videos("train", on_fault="skip 4") == 60
    with pytest.raises(DataError, match=r"train1\.tfrecord, record 0"):
        dataset.num_videos("train")


def test_fit_gets_what_is_left(tmp_path):
    dataset = write_folder(tmp_path, frame_record)
    damage(tmp_path, frame_record)
    batches = dataset.batches("train", batch_size=8, shuffle=True, on_fault="skip 9")
    with batches.faults_named():
        rows = [len(labels) for _, labels in batches.as_tensorflow()]
    assert sum(rows) == 56 and len(rows) == 8
    batches = dataset.batches("train", batch_size=8, shuffle=True, on_fault="skip 3")
    with pytest.raises(DataError, match=r"one too many: .*\(skip 3\)"), batches.faults_named():
        list(batches.as_tensorflow())


def test_a_batch_of_which_nothing_is_left_is_not_handed_out(tmp_path):
    dataset = write_folder(tmp_path, frame_record)
    damage(tmp_path, frame_record)
    batches = list(dataset.batches("train", batch_size=1, on_fault="skip 4"))
    assert len(batches) == 56


@pytest.mark.parametrize("make", [frame_record, video_record])
def test_one_too_many_stops_and_names_it(tmp_path, make):
    dataset = write_folder(tmp_path, make)
    damage(tmp_path, make)
    said = (
        r"train2\.tfrecord, record 7 \(counted from 0\), byte \d+: label 5 .*"
        r"one too many: .*\(skip 2\)"
    )
    with pytest.raises(DataError, match=said):
        list(dataset.batches("train", batch_size=8, on_fault="skip 2"))
    with pytest.raises(
        DataError, match=r"train0\.tfrecord, record 3 \(counted from 0\), byte \d+: .*checksum"
    ):
        list(dataset.batches("train", batch_size=8))


def test_the_limit_is_of_all_readings_together(tmp_path):
    dataset = write_folder(tmp_path, frame_record)
    damage(tmp_path, frame_record)
    skipped = Skipped.of("skip 4")
    for epoch in range(3):
        list(dataset.batches("train", batch_size=8, shuffle=True, epoch=epoch, on_fault=skipped))
    write_shard(tmp_path / "validate.tfrecord", [frame_record("t"), frame_record("u", labels=[CLASSES])])
    with pytest.raises(DataError, match=r"validate\.tfrecord, record 1 .*one too many"):
        list(dataset.batches("validate", batch_size=8, on_fault=skipped))


def test_a_cap_counts_what_is_broken(tmp_path):
    dataset = write_folder(tmp_path, frame_record)
    settings = {"batch_size": 8, "max_videos": 25}
    before = list(
        itertools.chain.from_iterable(batch["id"] for batch in dataset.batches("train", **settings))
    )
    damage(tmp_path, frame_record)
    batches = dataset.batches("train", **settings, on_fault="skip 9")
    after = list(itertools.chain.from_iterable(batch["id"] for batch in batches))
    assert after == [name for name in before if name not in LOST]
    shuffled = dataset.batches("train", **settings, shuffle=True, on_fault="skip 9")
    assert sorted(itertools.chain.from_iterable(batch["id"] for batch in shuffled)) == sorted(after)


def test_values_that_are_no_numbers_whichever_frames_are_read(tmp_path):
    values = np.ones((4, SIZE))
    values[3, 0] = np.nan
    records = [
        serialize_frames(video_id=name, labels=[1], frames={"rgb": each})
        for name, each in (("good", np.ones((4, SIZE))), ("bad", values))
    ]
    for split in ("train", "tuning", "validate"):
        write_shard(tmp_path / f"{split}.tfrecord", records)
    for most in (None, 2):
        batches = open_dataset(tmp_path).batches("train", batch_size=2, max_frames=most, on_fault="skip 1")
        assert [batch["id"].tolist() for batch in batches] == [["good"]]
        assert batches.skipped.to_record()["by_fault"] == {"not finite": 1}


def test_a_shard_that_has_gone_is_never_left_out(tmp_path):
    dataset = write_folder(tmp_path, frame_record)
    (tmp_path / "train3.tfrecord").unlink()
    for shuffle in (False, True):
        with pytest.raises(DataError, match=r"train3\.tfrecord is not there"):
            list(dataset.batches("train", batch_size=8, shuffle=shuffle, on_fault="skip 100"))


@pytest.mark.parametrize("change", ["grow", "shrink"])
def test_a_shard_that_changes_while_it_is_read(tmp_path, change):
    big = [frame_record(f"v{number}") + b"\x5a\x80\x80\x40" + bytes(1 << 20) for number in range(6)]
    dataset = write_folder(tmp_path, frame_record)
    path = tmp_path / "train0.tfrecord"

    def read(on_fault):
        write_shard(path, big)
        batches = dataset.batches("train", batch_size=1, on_fault=on_fault)
        reading = iter(batches)
        next(reading)
        if change == "grow":
            with path.open("ab") as file:
                file.write(frame(big[0]))
        else:
            with path.open("r+b") as file:
                file.truncate(4 << 20)
        return sum(1 for _ in reading), batches.skipped

    with pytest.raises(DataError, match=r"train0\.tfrecord, record \d .*grew or shrank while it was read"):
        read("raise")
    rest, skipped = read("skip 5")
    (((_, number), (_, fault)),) = skipped.records.items()
    assert fault == "changed" and rest == 50 + (5 if change == "grow" else 2)
    assert number == (6 if change == "grow" else 3)


def test_what_a_record_says(tmp_path):
    dataset = write_folder(tmp_path, frame_record)
    faults = damage(tmp_path, frame_record)
    batches = dataset.batches("train", batch_size=8, on_fault="skip 99")
    assert batches.skipped.to_record() == {"records": 0, "by_fault": {}, "first": []}
    list(batches)
    told = batches.skipped.to_record()
    assert told["records"] == 4
    assert told["by_fault"] == {"record checksum": 1, "length checksum": 1, "label": 1, "cut off": 1}
    assert told["first"] == [
        {"shard": shard, "record": number, "byte": byte, "fault": fault}
        for (shard, number), (byte, fault) in faults.items()
    ]
    again = Skipped.of("skip 99")
    again.add_rows(batches.skipped.to_rows())
    again.add_rows(batches.skipped.to_rows())
    assert again == batches.skipped
    again.add_rows(("other", number, 0, "label") for number in range(50))
    assert len(again.to_record()["first"]) == NAMED and again.to_record()["records"] == 54


@pytest.mark.parametrize(
    "policy", ["skip", "skip -1", "skip many", "ignore", "", "raise 3", 5, None, "skip 1.5"]
)
def test_what_is_no_policy(generated, policy):
    with pytest.raises(UsageError, match=r"'raise' or 'skip N'.*Received: "):
        open_dataset(generated).batches("train", batch_size=2, on_fault=policy)


def test_policies():
    assert [Skipped.of(text).policy for text in ("raise", "skip 0", "skip 7", " skip  12 ")] == [
        "raise",
        "raise",
        "skip 7",
        "skip 12",
    ]


def test_damage_among_the_first_records_does_not_keep_a_folder_shut(tmp_path):
    write_folder(tmp_path, frame_record)
    path = tmp_path / "train0.tfrecord"
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    dataset = open_dataset(tmp_path)
    assert dataset.features["rgb"].size == SIZE
    with pytest.raises(DataError, match="record 0"):
        list(dataset.batches("train", batch_size=8))


def counted_folder(folder, *, kept):
    """A data set whose first training shard holds `kept` of the four records that dataset.toml counts."""
    for split in ("train", "tuning", "validate"):
        records = [frame_record(f"{split}{number}") for number in range(4)]
        write_shard(folder / f"{split}.tfrecord", records[:kept] if split == "train" else records)
    write_dataset_toml(
        str(folder),
        name="counted",
        level="frame",
        features={"rgb": Feature("rgb", SIZE, "byte", "rgb")},
        num_classes=CLASSES,
        splits={split: [f"{split}.tfrecord"] for split in ("train", "tuning", "validate")},
        counts={"train.tfrecord": 4},
    )
    return open_dataset(folder)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kept", [3, 1])
def test_a_shard_cut_between_two_records_is_told_by_its_count(tmp_path, kept, shuffle):
    dataset = counted_folder(tmp_path, kept=kept)
    end = (tmp_path / "train.tfrecord").stat().st_size
    batches = dataset.batches("train", batch_size=3, shuffle=shuffle, on_fault="skip 1")
    assert sum(len(batch["id"]) for batch in batches) == kept
    assert batches.skipped.records == {("train.tfrecord", kept): (end, "count")}
    said = rf"train\.tfrecord, record {kept} \(counted from 0\), byte {end}: .*dataset\.toml counts another number"
    with pytest.raises(DataError, match=said):
        list(dataset.batches("train", batch_size=3, shuffle=shuffle))
    with pytest.raises(DataError, match=said):
        list(read_contexts(dataset, "train"))


def test_a_shard_of_more_records_than_are_counted_is_told_too(tmp_path):
    counted_folder(tmp_path, kept=4)
    write_shard(tmp_path / "train.tfrecord", [frame_record(f"train{number}") for number in range(5)])
    with pytest.raises(DataError, match=r"record 5 \(counted from 0\).*another number"):
        list(open_dataset(tmp_path).batches("train", batch_size=3))


def test_what_is_counted_right_or_not_at_all_is_no_fault(tmp_path):
    dataset = counted_folder(tmp_path, kept=4)
    assert (
        dataset.counted("train") == {str(tmp_path / "train.tfrecord"): 4} and dataset.counted("tuning") == {}
    )
    for split in dataset.splits:
        assert sum(len(batch["id"]) for batch in dataset.batches(split, batch_size=3)) == 4
    # A cap ends before the shard does.
    (batch,) = counted_folder(tmp_path, kept=3).batches("train", batch_size=3, max_videos=2)
    assert len(batch["id"]) == 2


def test_after_a_broken_length_nothing_is_said_of_the_count(tmp_path):
    """It may have been the length of any number of records."""
    dataset = counted_folder(tmp_path, kept=4)
    path = tmp_path / "train.tfrecord"
    data = bytearray(path.read_bytes())
    begin, length, _ = list(hop(path))[1]
    data[begin] ^= 1
    del data[begin + HEADER + length + 4 :]
    path.write_bytes(data)
    batches = dataset.batches("train", batch_size=3, on_fault="skip 9")
    assert [len(batch["id"]) for batch in batches] == [1]
    assert batches.skipped.to_record()["by_fault"] == {"length checksum": 1}
