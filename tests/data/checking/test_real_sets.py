"""The real data sets are whole, and what check says of them is what TensorFlow's own reader finds.

Needs the folder that DMLKIT_REAL_DATA names; skipped elsewhere.
"""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from dmlkit.data import serialize_frames, write_shard
from dmlkit.data.checking import check

# Folder → release, level, shards, classes.
SETS = {
    "yt8m-2018-video": ("YouTube-8M 2018", "video", 60, 3862),
    "yt8m-2017-video": ("YouTube-8M 2017", "video", 4, 4716),
    "audioset-frame": ("AudioSet", "frame", 4070, 527),
}


def counted(folder):
    """Records, labels a video, class counts and frames a video, by TensorFlow."""
    labels, classes, frames, records = Counter(), Counter(), Counter(), 0
    shards = sorted(str(path) for path in folder.rglob("*.tfrecord"))
    for record in tf.data.TFRecordDataset(shards).as_numpy_iterator():
        example = tf.train.SequenceExample.FromString(record)
        each = set(example.context.feature["labels"].int64_list.value)
        labels[len(each)] += 1
        classes.update(each)
        records += 1
        if lists := example.feature_lists.feature_list:
            frames[len(lists["audio_embedding"].feature)] += 1
    return records, labels, classes, frames


@pytest.mark.parametrize("name", SETS)
def test_whole_and_as_tensorflow_counts(real_data, name):
    release, level, shards, num_classes = SETS[name]
    report = check(real_data / name)
    (each,) = report.sets
    assert report.whole, report.text()
    assert (each.target.release, each.target.expected.level) == (release, level)
    assert (sum(map(len, each.target.splits.values())), each.num_classes) == (shards, num_classes)
    total = each.total
    assert (total.records, total.labels, total.classes, total.frames) == counted(real_data / name)
    assert total.good == total.records and not total.missing and not total.unnamed


def test_a_real_frame_level_video(real_data, tmp_path):
    with np.load(real_data / "yt8m-frame-one-video" / "SjJ3.npz") as arrays:
        real = dict(arrays)
    frames = {name: real[name] for name in ("rgb", "audio")}
    record = serialize_frames(video_id="SjJ3", labels=np.atleast_1d(real["labels"]), frames=frames)
    write_shard(tmp_path / "train0.tfrecord", [record])
    (each,) = check(tmp_path).sets
    assert each.whole and each.target.release == "YouTube-8M 2018" and each.num_classes == 3862
    assert each.total.frames == {170: 1} and each.total.classes == {11: 1}


def test_flips_in_a_real_shard(real_data, tmp_path):
    whole = (real_data / "yt8m-2018-video" / "validate0000.tfrecord").read_bytes()
    shard, rng = tmp_path / "train0.tfrecord", np.random.default_rng(3)
    shard.write_bytes(whole)
    records = check(shard).sets[0].total.records
    for place in rng.integers(len(whole), size=20).tolist():
        data = bytearray(whole)
        data[place] ^= int(rng.integers(1, 256))
        shard.write_bytes(data)
        (each,) = check(shard).sets
        (fault,) = each.faults
        assert fault.byte <= place < fault.byte + 8000 and each.total.good == records - 1
