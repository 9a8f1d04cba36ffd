"""Shards as written: what comes out again through TensorFlow's own protobufs, and the byte coding."""

import numpy as np
import pytest
import tensorflow as tf

from dmlkit.data import dequantize, quantize, serialize_frames, serialize_video, write_shard


def test_range_of_the_byte_coding():
    assert dequantize(np.uint8([0, 255])).tolist() == [-1.9921875, 2.0078125]
    assert dequantize(np.uint8([[7]])).dtype == np.float32


def test_quantize_inverts_dequantize_for_every_byte():
    every = np.arange(256, dtype=np.uint8)
    assert (quantize(dequantize(every)) == every).all()


def test_quantize_takes_the_nearest_byte_and_clips():
    values = np.linspace(-1.99, 2.0, 1001)
    every = np.arange(256) * 4 / 255 + 4 / 512 - 2
    assert (quantize(values) == np.abs(values[:, None] - every).argmin(axis=1)).all()
    assert quantize(np.array([-9.0, 9.0, np.inf, -np.inf])).tolist() == [0, 255, 255, 0]


def test_quantize_refuses_nan():
    with pytest.raises(ValueError, match="NaN"):
        quantize(np.array([0.0, np.nan]))


def test_a_video_comes_out_as_written():
    values = np.float32([0.5, -1.25, 3])
    record = serialize_video(video_id="x1", labels=[3, 1], features={"mean_rgb": values}, id_key="video_id")
    entries = tf.train.Example.FromString(record).features.feature
    assert sorted(entries) == ["labels", "mean_rgb", "video_id"]
    assert entries["video_id"].bytes_list.value[:] == [b"x1"]
    assert entries["labels"].int64_list.value[:] == [3, 1]
    assert entries["mean_rgb"].float_list.value[:] == values.tolist()


def test_frames_come_out_as_written():
    rgb = np.arange(6, dtype=np.uint8).reshape(2, 3)
    audio = np.float32([[0.5], [1.5]])
    record = serialize_frames(video_id="x1", labels=None, frames={"rgb": rgb, "audio": audio})
    parsed = tf.train.SequenceExample.FromString(record)
    lists = parsed.feature_lists.feature_list
    assert list(parsed.context.feature) == ["id"]
    assert [frame.bytes_list.value[0] for frame in lists["rgb"].feature] == [b"\x00\x01\x02", b"\x03\x04\x05"]
    assert [frame.float_list.value[:] for frame in lists["audio"].feature] == [[0.5], [1.5]]


def test_the_same_video_gives_the_same_bytes():
    features = {f"mean_{name}": np.ones(2) for name in ("rgb", "audio", "text", "motion")}
    one = serialize_video(video_id="a", labels=[1], features=features)
    other = serialize_video(video_id="a", labels=[1], features=dict(reversed(features.items())))
    assert one == other


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"mean_rgb.*\(2, 2\)"):
        serialize_video(video_id="a", labels=None, features={"mean_rgb": np.ones((2, 2))})
    with pytest.raises(ValueError, match=r"rgb.*\(2,\)"):
        serialize_frames(video_id="a", labels=None, frames={"rgb": np.ones(2)})


def test_a_shard_appears_whole_or_not_at_all(tmp_path):
    def breaks():
        yield b"one"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "a" / "train.tfrecord", breaks())
    assert list((tmp_path / "a").iterdir()) == []
    assert write_shard(tmp_path / "a" / "train.tfrecord", [b"one", b"two"]) == 2
    read = tf.data.TFRecordDataset(str(tmp_path / "a" / "train.tfrecord")).as_numpy_iterator()
    assert list(read) == [b"one", b"two"]
