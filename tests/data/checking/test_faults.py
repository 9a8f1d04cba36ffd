"""Faults made by hand: each is found, at its place, and no other; the records around it are counted."""

import struct

import numpy as np
import pytest
import tensorflow as tf
from google_crc32c import value

from dmlkit.data import serialize_frames, serialize_video, write_shard
from dmlkit.data.checking import check
from dmlkit.data.records import masked_crc
from dmlkit.errors import DataError, UsageError

from .conftest import CLASSES, RGB, float_record, frame_record, offsets, video_record, write_set

NAN = np.array([1.0] * (RGB - 1) + [np.nan])

CONTENT = {
    "label above": (frame_record, lambda: frame_record(77, labels=[0, CLASSES]), "label", f"label {CLASSES}"),
    "label below": (video_record, lambda: video_record(77, labels=[-1]), "label", "label -1"),
    "a huge label": (
        video_record,
        lambda: video_record(77, labels=[2**63 - 1]),
        "label",
        "9223372036854775807",
    ),
    "fewer values, bytes": (
        frame_record,
        lambda: frame_record(77, rgb=np.ones((3, RGB - 1), np.uint8)),
        "size",
        "rgb has 5",
    ),
    "more values, video": (
        video_record,
        lambda: video_record(77, mean_rgb=np.ones(RGB + 1)),
        "size",
        "mean_rgb has 7",
    ),
    "floats for bytes": (frame_record, lambda: float_record(77), "coding", "not written as bytes"),
    "bytes for floats": (float_record, lambda: frame_record(77), "coding", "not written as floats"),
    "unequal lengths": (
        frame_record,
        lambda: frame_record(77, rgb=np.ones((2, RGB), np.uint8)),
        "frames",
        "rgb 2, audio 3",
    ),
    "no frames": (frame_record, lambda: frame_record(77, frames=0), "frames", "no frames"),
    "NaN, video": (video_record, lambda: video_record(77, mean_rgb=NAN), "not finite", "NaN"),
    "infinite, frames": (
        float_record,
        lambda: float_record(77, rgb=np.full((2, RGB), np.inf)),
        "not finite",
        "infinite",
    ),
    "no record, frames": (frame_record, lambda: b"\xff\xff\xff", "not a record", "SequenceExample"),
    "no record, video": (video_record, lambda: b"\xff\xff\xff", "not a record", "tf.train.Example"),
    "another level, frames": (
        frame_record,
        lambda: video_record(77),
        "level",
        "a video-level record among frame",
    ),
    "another level, video": (
        video_record,
        lambda: frame_record(77),
        "level",
        "a frame-level record among video",
    ),
    "nothing but an id": (
        video_record,
        lambda: serialize_video(video_id="bare", labels=[1], features={}),
        "no features",
        "none of mean_rgb, mean_audio",
    ),
}


@pytest.mark.parametrize("fault", CONTENT)
@pytest.mark.parametrize("declared", [False, True])
def test_a_record_that_is_not_what_the_data_set_says(tmp_path, places, fault, declared):
    make, bad, kind, said = CONTENT[fault]
    shards = write_set(tmp_path, make, declared=declared)
    records = [make(4), make(5), bad(), make(7)]
    write_shard(shards[1], records)
    report = check(tmp_path)
    assert places(report) == [("train1.tfrecord", 2, offsets(records)[2], kind)]
    (each,) = report.sets
    assert said in each.faults[0].what
    assert not report.whole and (each.total.records, each.total.good) == (12, 11)
    assert each.total.faults == {kind: 1}


def damaged(path, place, value):
    data = bytearray(path.read_bytes())
    data[place : place + len(value)] = value
    path.write_bytes(data)


@pytest.mark.parametrize("make", [frame_record, float_record, video_record])
@pytest.mark.parametrize(
    ("part", "kind"),
    [
        (0, "length checksum"),
        (9, "length checksum"),
        (12, "record checksum"),
        (40, "record checksum"),
        (-1, "record checksum"),
    ],
)
def test_damaged_bytes(tmp_path, places, make, part, kind):
    shards = write_set(tmp_path, make)
    begins = offsets([make(number) for number in range(4, 8)])
    place = begins[1] + part if part >= 0 else begins[2] + part
    damaged(shards[1], place, bytes([shards[1].read_bytes()[place] ^ 0x10]))
    report = check(tmp_path)
    assert places(report) == [("train1.tfrecord", 1, begins[1], kind)]
    assert report.sets[0].total.good == 11


def test_a_hostile_length_with_a_good_checksum(tmp_path, places):
    shards = write_set(tmp_path, video_record)
    length = struct.pack("<Q", 2**63)
    damaged(shards[2], 0, length + struct.pack("<I", masked_crc(value(length))))
    assert places(check(tmp_path)) == [("train2.tfrecord", 0, 0, "cut off")]


def test_several_faults_in_the_order_of_the_shards(tmp_path, places):
    shards = write_set(tmp_path, frame_record, shards=4)
    begins = offsets([frame_record(number) for number in range(4)])
    damaged(shards[3], begins[0] + 20, b"\x99")
    damaged(shards[0], begins[3] + 20, b"\x99")
    shards[1].write_bytes(shards[1].read_bytes()[:-3])
    write_shard(shards[2], [frame_record(90, labels=[9]), frame_record(91), b"\xff"])
    found = [
        ("train0.tfrecord", 3, begins[3], "record checksum"),
        ("train1.tfrecord", 3, begins[3], "cut off"),
        ("train2.tfrecord", 0, 0, "label"),
        ("train2.tfrecord", 2, 2 * (len(frame_record(90)) + 16), "not a record"),
        ("train3.tfrecord", 0, 0, "record checksum"),
    ]
    report = check(tmp_path)
    assert places(report) == found
    assert report.sets[0].total.faults.total() == 5
    kept = check(tmp_path, keep=2)
    assert places(kept) == found[:2] and kept.sets[0].total.faults == report.sets[0].total.faults


def test_an_id_that_stands_twice_is_named_at_both_places(tmp_path, places):
    shards = write_set(tmp_path, video_record)
    records = [video_record(20), video_record(3), video_record(21), video_record(20)]
    write_shard(shards[2], records)
    report = check(tmp_path)
    begins = offsets(records)
    assert places(report) == [
        ("train2.tfrecord", 1, begins[1], "duplicate id"),
        ("train2.tfrecord", 3, begins[3], "duplicate id"),
    ]
    first, second = report.sets[0].faults
    assert f"'v3' stands twice, first in {shards[0]}, record 3" in first.what
    assert f"'v20' stands twice, first in {shards[2]}, record 0" in second.what
    # What a damaged record hides does not shift the others.
    damaged(shards[0], 20, b"\x99")
    assert places(check(tmp_path))[1:] == places(report)


def test_videos_without_an_id_are_no_duplicates(tmp_path):
    nameless = [
        serialize_video(video_id="", labels=[1], features={"mean_rgb": np.ones(RGB)}) for _ in range(3)
    ]
    write_shard(tmp_path / "train0.tfrecord", nameless)
    report = check(tmp_path)
    assert report.whole and report.sets[0].total.unnamed == 3


def test_a_shard_that_cannot_be_read_is_told(tmp_path, places):
    write_set(tmp_path, video_record)
    (tmp_path / "train9.tfrecord").symlink_to(tmp_path / "nowhere")
    assert places(check(tmp_path)) == [("train9.tfrecord", None, None, "unreadable")]


def test_all_shards_damaged_at_the_first_record(tmp_path, places):
    for shard in write_set(tmp_path, video_record):
        damaged(shard, 0, b"\x99")
    report = check(tmp_path)
    assert places(report) == [(f"train{i}.tfrecord", 0, 0, "length checksum") for i in range(3)]
    assert report.sets[0].target.expected.level == "video" and report.sets[0].total.good == 9


def test_what_holds_no_record_at_all(tmp_path):
    (tmp_path / "train0.tfrecord").write_bytes(b"not a shard at all, but some text")
    report = check(tmp_path)
    assert report.sets[0].target.expected.level is None and not report.whole
    assert "only checksums were looked at" in report.text()


def test_what_cannot_be_checked_at_all(tmp_path):
    with pytest.raises(DataError, match="nothing at"):
        check(tmp_path / "missing")
    with pytest.raises(DataError, match="No shards"):
        check(tmp_path)
    with pytest.raises(UsageError, match="Nothing to check"):
        check([])
    with pytest.raises(UsageError, match="jobs=0"):
        check(tmp_path, jobs=0)


def test_shards_far_away(tmp_path):
    """ram:// stands for all that goes through tf.io.gfile."""
    root = "ram://checked/set"
    shards = write_set(tmp_path, frame_record)
    for shard in shards:
        tf.io.gfile.copy(str(shard), f"{root}/{shard.name}")
    with tf.io.gfile.GFile(f"{root}/vocabulary.csv", "w") as file:
        file.write((tmp_path / "vocabulary.csv").read_text())
    assert check(root).whole
    damaged(shards[1], 20, b"\x99")
    tf.io.gfile.remove(f"{root}/train1.tfrecord")
    tf.io.gfile.copy(str(shards[1]), f"{root}/train1.tfrecord")
    far, near = check(root), check(tmp_path)
    assert [fault[1:] for fault in far.sets[0].faults] == [fault[1:] for fault in near.sets[0].faults]
    assert far.sets[0].faults[0].shard == f"{root}/train1.tfrecord" and far.sets[0].total.good == 11


def test_hostile_names_reach_no_terminal(tmp_path):
    write_set(tmp_path, frame_record)
    hostile = serialize_frames(
        video_id="\x1b[2J", labels=[1], frames={"rgb\x1b[31m": np.ones((2, 9), np.uint8)}
    )
    write_shard(tmp_path / "train0.tfrecord", [hostile] * 2)
    for path in (tmp_path, tmp_path / "train0.tfrecord"):
        assert "\x1b" not in check(path).text()


def test_a_file_that_is_no_shard_is_told_as_such(tmp_path, places):
    write_set(tmp_path, video_record)
    (tmp_path / "notes.txt").write_text("no record at all, but text of some length")
    report = check(tmp_path / "notes.txt")
    assert places(report) == [("notes.txt", 0, 0, "length checksum")]
    assert "the file is no TFRecord, or damaged as a whole" in report.sets[0].faults[0].what
