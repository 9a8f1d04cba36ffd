"""Files cut between two records: valid shards, told by what dataset.toml counts; and who else goes by its counts."""

import pytest

from dmlkit.data import open_dataset, synthesize, write_shard
from dmlkit.data.checking import check
from dmlkit.errors import DataError

from .conftest import LAYOUTS, offsets, video_record, write_set


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("left", [0, 1, 3])
def test_a_file_cut_between_two_records(tmp_path, places, make, left):
    shards = write_set(tmp_path, make, declared=True)
    assert check(tmp_path).whole
    cut = offsets([make(number) for number in range(4, 8)])[left]
    shards[1].write_bytes(shards[1].read_bytes()[:cut])
    report = check(tmp_path)
    assert places(report) == [("train1.tfrecord", left, cut, "count")]
    assert f"holds {left} records, dataset.toml says 4" in report.sets[0].faults[0].what
    # The shard alone is told as well: its dataset.toml lies beside it.
    assert places(check(shards[1])) == places(report) and check(shards[0]).whole


def test_a_cut_is_not_told_twice(tmp_path, places):
    shards = write_set(tmp_path, video_record, declared=True)
    shards[2].write_bytes(shards[2].read_bytes()[:-2])
    assert [fault[-1] for fault in places(check(tmp_path))] == ["cut off"]


def test_more_records_than_counted(tmp_path, places):
    shards = write_set(tmp_path, video_record, declared=True)
    write_shard(shards[0], [video_record(number) for number in range(50, 56)])
    assert places(check(tmp_path)) == [("train0.tfrecord", 4, None, "count")]


def test_a_counted_shard_that_is_not_there(tmp_path, places):
    shards = write_set(tmp_path, video_record, declared=True, shards=4)
    shards[1].unlink()
    assert places(check(tmp_path)) == [("train1.tfrecord", None, None, "missing shard")]
    dataset = open_dataset(tmp_path)
    assert any("1 more shards" in note and "train1.tfrecord" in note for note in dataset.notes)


def test_without_counts_nothing_tells(tmp_path):
    shards = write_set(tmp_path, video_record)
    shards[1].write_bytes(b"")
    report = check(tmp_path)
    assert report.whole and report.sets[0].empty_shards == 1


def test_records_per_shard_is_a_count_of_all_but_the_last(tmp_path, places):
    shards = write_set(tmp_path, video_record)
    said = "[splits]\ntrain = ['train[01]*']\nvalidate = ['train2*']\n"
    (tmp_path / "dataset.toml").write_text(f"records_per_shard = 4\n{said}")
    assert check(tmp_path).whole
    write_shard(shards[0], [video_record(number) for number in range(3)])
    write_shard(
        shards[1], [video_record(number) for number in range(20, 22)]
    )  # the last of its split may be short
    assert places(check(tmp_path))[0][0::3] == ("train0.tfrecord", "count")
    write_shard(shards[2], [video_record(number) for number in range(30, 35)])
    assert [fault[0] for fault in places(check(tmp_path))] == ["train0.tfrecord", "train2.tfrecord"]


def test_opening_takes_the_counts(tmp_path):
    shards = write_set(tmp_path, video_record, declared=True, shards=4)
    dataset = open_dataset(tmp_path)
    assert dataset.counts == {str(shard): 4 for shard in shards}
    for shard in shards:  # nothing is read for a number that is known
        shard.write_bytes(b"")
    assert sum(dataset.num_videos(split) for split in dataset.splits) == 16


@pytest.mark.parametrize("count", ["-1", "true", "'4'", "1.5"])
def test_counts_that_are_none(tmp_path, count):
    write_set(tmp_path, video_record)
    (tmp_path / "dataset.toml").write_text(f"[counts]\n'train0.tfrecord' = {count}\n")
    for look in (open_dataset, check):
        with pytest.raises(DataError, match=r"counts\.train0\.tfrecord: "):
            look(tmp_path)


def test_the_generated_data_set_counts_its_shards(tmp_path, places):
    folder = synthesize(tmp_path / "generated", train=40, validate=5, test=3)
    for level in (folder, folder / "video"):
        report = check(level)
        (each,) = report.sets
        assert report.whole and each.total.records == 48 and len(each.target.exactly) == 25
        assert each.target.release == "generated data"
        assert {split: tally.labels[0] for split, tally in each.splits.items()} == {
            "train": 0,
            "validate": 0,
            "test": 3,
        }
    cut = folder / "frame" / "validate0002.tfrecord"  # the last, of one video
    cut.write_bytes(b"")
    assert places(check(folder)) == [("validate0002.tfrecord", 0, 0, "count")]
