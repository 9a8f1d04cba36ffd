"""Bad shards: every error says what, in which file, at which record, and comes as a DataError."""

import numpy as np
import pytest

from dmlkit.data import open_dataset, serialize_frames, serialize_video, write_shard
from dmlkit.errors import DataError

RGB, AUDIO = 6, 4
CLASSES = 5


def frame_record(number=0, labels=(1,), frames=3, **other):
    matrices = {"rgb": np.full((frames, RGB), 7, np.uint8), "audio": np.full((frames, AUDIO), 8, np.uint8)}
    return serialize_frames(video_id=f"v{number}", labels=labels, frames={**matrices, **other})


def float_record(number=0, values=None):
    values = np.ones((2, RGB)) if values is None else values
    return serialize_frames(video_id=f"v{number}", labels=[0], frames={"rgb": values})


def video_record(number=0, labels=(1,), **other):
    features = {"mean_rgb": np.ones(RGB), "mean_audio": np.ones(AUDIO), **other}
    return serialize_video(video_id=f"v{number}", labels=labels, features=features)


def write_good(folder, make):
    for shard in range(5):
        write_shard(folder / f"train{shard}.tfrecord", [make(number) for number in range(20)])
    (folder / "vocabulary.csv").write_text(f"Index,Name\n{CLASSES - 1},last\n")
    return folder / "train1.tfrecord"


def with_nan(size):
    values = np.ones(size)
    values[-1] = np.nan
    return values


FAULTY = {
    "label too high, frames": (
        frame_record,
        lambda: frame_record(labels=[CLASSES]),
        f"label {CLASSES}.*0 to {CLASSES - 1}",
    ),
    "label too high, video": (video_record, lambda: video_record(labels=[0, CLASSES]), f"label {CLASSES}"),
    "label below zero": (video_record, lambda: video_record(labels=[-1]), "label -1"),
    "other dimensions, frames": (
        frame_record,
        lambda: frame_record(rgb=np.ones((3, 5), np.uint8)),
        "rgb has 5.*has 6",
    ),
    # 7 frames of 6 bytes are as long as 6 frames of 8 or so only with the prefixes: still told apart.
    "other dimensions, video": (
        video_record,
        lambda: video_record(mean_rgb=np.ones(7)),
        "mean_rgb has 7.*has 6",
    ),
    "floats for bytes": (frame_record, lambda: frame_record(rgb=np.ones((3, RGB))), "not written as bytes"),
    "bytes for floats": (
        float_record,
        lambda: float_record(values=np.ones((2, RGB), np.uint8)),
        "not written as floats",
    ),
    "unequal frames": (frame_record, lambda: frame_record(rgb=np.ones((2, RGB), np.uint8)), "rgb 2, audio 3"),
    "no frames": (frame_record, lambda: frame_record(frames=0), "no frames"),
    "NaN, video": (video_record, lambda: video_record(mean_rgb=with_nan(RGB)), "NaN"),
    "NaN, frames": (float_record, lambda: float_record(values=with_nan((2, RGB))), "NaN"),
    "infinite": (video_record, lambda: video_record(mean_audio=np.full(AUDIO, np.inf)), "infinite"),
    "not a record, frames": (frame_record, lambda: b"\xff\xff\xff", "not a tf.train.SequenceExample"),
    "not a record, video": (video_record, lambda: b"\xff\xff\xff", "not a tf.train.Example"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_record_is_named(tmp_path, fault):
    good, bad, said = FAULTY[fault]
    shard = write_good(tmp_path, good)
    write_shard(shard, [*(good(number) for number in range(17)), bad(), good()])
    dataset = open_dataset(tmp_path)
    split = next(split for split, shards in dataset.splits.items() if str(shard) in shards)
    batches = dataset.batches(split, batch_size=8, shuffle=True)
    with pytest.raises(DataError, match=rf"train1\.tfrecord, record 17 \(counted from 0\).*{said}") as told:
        list(batches)
    assert "\n" not in str(told.value)
    with pytest.raises(DataError, match="record 17"), batches.faults_named():
        list(batches.as_tensorflow())


@pytest.mark.parametrize("make", [frame_record, video_record])
def test_a_flipped_byte_is_named(tmp_path, make):
    shard = write_good(tmp_path, make)
    data = bytearray(shard.read_bytes())
    length = len(make(0)) + 16
    data[12 * length + 40] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"train1\.tfrecord, record 12 \(counted from 0\).*checksum"):
        list(open_dataset(tmp_path).batches("train", batch_size=8))


@pytest.mark.parametrize("cut", [3, 20])
def test_a_cut_off_shard_is_named(tmp_path, cut):
    shard = write_good(tmp_path, frame_record)
    shard.write_bytes(shard.read_bytes()[:-cut])
    dataset = open_dataset(tmp_path)
    where = r"train1\.tfrecord, record 19 \(counted from 0\).*ends within"
    with pytest.raises(DataError, match=where):
        list(dataset.batches("train", batch_size=8))
    with pytest.raises(DataError, match=where):
        dataset.num_videos("train")


def test_damage_in_the_first_record_is_named_on_opening(tmp_path):
    shard = write_good(tmp_path, frame_record).with_name("train0.tfrecord")
    shard.write_bytes(b"not a shard at all, but some text")
    with pytest.raises(DataError, match=r"train0\.tfrecord, record 0"):
        open_dataset(tmp_path)
    write_shard(shard, [b"\xff\xff"])
    with pytest.raises(DataError, match=r"train0\.tfrecord.*neither"):
        open_dataset(tmp_path)


def test_a_shard_that_has_gone_is_named(tmp_path):
    shard = write_good(tmp_path, frame_record)
    dataset = open_dataset(tmp_path)
    shard.unlink()
    with pytest.raises(DataError, match=r"train1\.tfrecord is not there"):
        list(dataset.batches("train", batch_size=8))


def test_errors_that_are_not_the_datas_pass_unchanged(tmp_path):
    write_good(tmp_path, frame_record)
    batches = open_dataset(tmp_path).batches("train", batch_size=8)
    with pytest.raises(ZeroDivisionError), batches.faults_named():
        for _ in batches.as_tensorflow():
            raise ZeroDivisionError
