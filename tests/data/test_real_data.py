"""Real shards against a reader that knows nothing of ours: protobuf messages, one by one.

Needs YouTube-8M and AudioSet shards in the folder that DMLKIT_REAL_DATA names; skipped elsewhere.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dmlkit.data import dequantize, open_dataset, serialize_frames, write_shard

ROOT = os.environ.get("DMLKIT_REAL_DATA")
pytestmark = pytest.mark.skipif(not ROOT, reason="DMLKIT_REAL_DATA names no folder of real shards")


def folder(name):
    path = Path(ROOT) / name
    if not path.exists():
        pytest.skip(f"no {name} in DMLKIT_REAL_DATA")
    return path


def records(shards, kind):
    return map(kind.FromString, tf.data.TFRecordDataset(list(shards)).as_numpy_iterator())


def videos(dataset, split, **choice):
    """Row by row what the batches hold."""
    for batch in dataset.batches(split, batch_size=100, **choice):
        for row in range(len(batch["id"])):
            yield {name: values[row] for name, values in batch.items()}


@pytest.mark.parametrize(
    ("name", "split", "shards", "id_key"),
    [
        ("yt8m-2018-video", "validate", 12, "id"),
        ("yt8m-2017-video", "train", 1, "video_id"),
        ("yt8m-2017-video", "test", 1, "video_id"),
    ],
)
def test_video_level(name, split, shards, id_key):
    dataset = open_dataset(folder(name))
    assert dataset.level == "video"
    assert {feature.name: feature.size for feature in dataset.features.values()} == {
        "rgb": 1024,
        "audio": 128,
    }
    assert dataset.num_classes == (3862 if "2018" in name else 4716)
    assert len(dataset.splits[split]) == shards
    count = 0
    read = records(dataset.splits[split], tf.train.Example)
    for ours, example in zip(videos(dataset, split), read, strict=True):
        entries = example.features.feature
        assert ours["id"] == entries[id_key].bytes_list.value[0].decode()
        for modality in ("rgb", "audio"):
            np.testing.assert_array_equal(
                ours[modality], np.float32(entries[f"mean_{modality}"].float_list.value)
            )
        if split == "test":
            assert "labels" not in ours and "labels" not in entries
        else:
            assert np.flatnonzero(ours["labels"]).tolist() == sorted(set(entries["labels"].int64_list.value))
        count += 1
    assert count == dataset.num_videos(split)


def test_video_level_classes_and_splits():
    dataset = open_dataset(folder("yt8m-2018-video"))
    assert dataset.class_names[0] == "Game" and all(dataset.class_names)
    assert {split: len(shards) for split, shards in dataset.splits.items()} == {
        "train": 44,
        "tuning": 4,
        "validate": 12,
    }
    assert any("every fifth" in note for note in dataset.notes)
    total = sum(dataset.num_videos(split) for split in dataset.splits)
    assert total == sum(1 for _ in tf.data.TFRecordDataset(sum(dataset.splits.values(), ())))


def test_audioset_frames():
    dataset = open_dataset(folder("audioset-frame"))
    assert dataset.level == "frame" and dataset.num_classes == 527 and dataset.class_names[0] == "Speech"
    assert sum(len(shards) for shards in dataset.splits.values()) == 4070
    assert sum(dataset.num_videos(split) for split in dataset.splits) == 22_160
    lengths = []
    read = records(dataset.splits["validate"], tf.train.SequenceExample)
    for ours, example in zip(videos(dataset, "validate"), read, strict=True):
        context = example.context.feature
        frames = example.feature_lists.feature_list["audio_embedding"].feature
        assert ours["id"] == context["video_id"].bytes_list.value[0].decode()
        assert np.flatnonzero(ours["labels"]).tolist() == sorted(set(context["labels"].int64_list.value))
        written = b"".join(frame.bytes_list.value[0] for frame in frames)
        length = int(ours["num_frames"])
        assert ours["audio"][:length].tobytes() == written
        assert not ours["audio"][length:].any()
        lengths.append(length)
    assert max(lengths) == 10 and min(lengths) < 10


def test_a_whole_epoch_of_tiny_shards_keeps_every_clip_once():
    dataset = open_dataset(folder("audioset-frame"))
    plain = [str(video["id"]) for video in videos(dataset, "train")]
    shuffled = [str(video["id"]) for video in videos(dataset, "train", shuffle=True, seed=1)]
    assert len(plain) == len(set(plain)) and sorted(plain) == sorted(shuffled) and plain != shuffled


def test_one_real_video_at_frame_level(tmp_path):
    with np.load(folder("yt8m-frame-one-video") / "SjJ3.npz") as arrays:
        real = dict(arrays)
    video_id, frames = real["id"].item().decode(), {name: real[name] for name in ("rgb", "audio")}
    record = serialize_frames(video_id=video_id, labels=np.atleast_1d(real["labels"]), frames=frames)
    for shard in range(3):
        write_shard(tmp_path / f"train{shard}.tfrecord", [record])
    dataset = open_dataset(tmp_path)
    assert dataset.num_classes == 3862 and [f.size for f in dataset.features.values()] == [1024, 128]
    (video,) = videos(dataset, "train")
    assert video["id"] == "SjJ3" and video["num_frames"] == 170
    assert np.flatnonzero(video["labels"]).tolist() == [11]
    for name, matrix in frames.items():
        np.testing.assert_array_equal(video[name], matrix)
    (uniform,) = videos(dataset, "train", frame_choice="uniform", max_frames=17)
    np.testing.assert_array_equal(uniform["rgb"], frames["rgb"][5::10])
    # YouTube-8M's features are whitened: their mean lies near zero once the bytes are decoded.
    assert abs(dequantize(video["rgb"]).mean()) < 0.3
