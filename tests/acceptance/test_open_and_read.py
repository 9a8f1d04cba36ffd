"""What the README promises about opening a folder of shards and reading batches, through the public face alone.

Shards are written by TensorFlow and read back.
"""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import dmlkit

CLASSES = 6


def feature(values):
    """A ``tf.train.Feature`` of bytes, floats or whole numbers."""
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def context_of(number):
    values = {"id": [f"v{number}".encode()], "labels": [number % CLASSES]}
    return {key: feature(each) for key, each in values.items()}


def frame_record(number):
    """A video of 1 to 5 frames whose bytes are its number + 1."""
    time, value = 1 + number % 5, (number + 1) % 256
    lists = {
        name: tf.train.FeatureList(feature=[feature([bytes([value]) * size])] * time)
        for name, size in {"rgb": 8, "audio": 3}.items()
    }
    return tf.train.SequenceExample(
        context=tf.train.Features(feature=context_of(number)),
        feature_lists=tf.train.FeatureLists(feature_list=lists),
    ).SerializeToString()


def video_record(number):
    means = {"mean_rgb": feature([float(number)] * 8), "mean_audio": feature([0.5] * 3)}
    entries = context_of(number) | means
    return tf.train.Example(features=tf.train.Features(feature=entries)).SerializeToString()


def write(folder, names, make=frame_record, each=4):
    """Shards of `each` videos, numbered on through all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard, name in enumerate(names):
        with tf.io.TFRecordWriter(f"{folder}/{name}.tfrecord") as writer:
            for number in range(shard * each, (shard + 1) * each):
                writer.write(make(number))
    return folder


def ids(batches):
    return list(itertools.chain.from_iterable(batch["id"].tolist() for batch in batches))


def counts(dataset):
    return {split: dataset.num_videos(split) for split in dataset.splits}


def names(dataset, split):
    return [os.path.basename(shard).removesuffix(".tfrecord") for shard in dataset.splits[split]]


@pytest.mark.parametrize("make", [frame_record, video_record])
def test_a_folder_without_a_description_describes_itself(tmp_path, make):
    write(tmp_path, [f"train{i:02}" for i in range(20)] + ["validate0"], make)
    (tmp_path / "vocabulary.csv").write_text('Index,Name\n0,"Speech, male"\n5,Guitar\n')
    dataset = dmlkit.open_dataset(tmp_path)
    assert dataset.level == ("frame" if make is frame_record else "video")
    prefix, coding = ("", "byte") if make is frame_record else ("mean_", "float")
    assert [(f.name, f.size, f.coding, f.key) for f in dataset.features.values()] == [
        ("rgb", 8, coding, f"{prefix}rgb"),
        ("audio", 3, coding, f"{prefix}audio"),
    ]
    assert dataset.num_classes == 6 and dataset.class_names[::5] == ("Speech, male", "Guitar")
    assert counts(dataset) == {"train": 72, "tuning": 8, "validate": 4}
    assert names(dataset, "tuning") == ["train09", "train19"] and len(set(names(dataset, "train"))) == 18
    assert any("tuning" in note for note in dataset.notes)


def test_where_one_split_is_labelled_a_fifth_of_its_shards_validates(tmp_path):
    dataset = dmlkit.open_dataset(write(tmp_path, [f"validate{i:02}" for i in range(10)]))
    assert names(dataset, "validate") == ["validate04", "validate09"]
    assert names(dataset, "tuning") == ["validate08"] and len(dataset.splits["train"]) == 7
    assert any("fifth" in note for note in dataset.notes)


def test_keras_reads_the_same_batches(tmp_path):
    dataset = dmlkit.open_dataset(write(tmp_path, ["train0", "train1", "validate0"]))
    (batch,) = dataset.batches("train", batch_size=8)
    assert batch["id"].tolist() == ["v0", "v1", "v2", "v3"] and batch["num_frames"].tolist() == [1, 2, 3, 4]
    assert [batch["rgb"][row, row].tolist() for row in range(4)] == [[row + 1] * 8 for row in range(4)]
    inputs, labels = next(iter(dataset.batches("train", batch_size=8).as_tensorflow()))
    np.testing.assert_array_equal(inputs["audio"], batch["audio"])
    np.testing.assert_array_equal(labels, np.eye(CLASSES)[:4])


def test_the_order_is_a_function_of_seed_and_epoch(tmp_path):
    dataset = dmlkit.open_dataset(write(tmp_path, [f"train{i}" for i in range(6)] + ["validate"]))
    read = {"batch_size": 3, "shuffle": True}
    plain = ids(dataset.batches("train", batch_size=3))
    seeds = ({"seed": 0, "epoch": 0}, {"seed": 0, "epoch": 1}, {"seed": 1, "epoch": 0})
    orders = [ids(dataset.batches("train", **read, **each)) for each in seeds]
    assert ids(dataset.batches("train", **read)) == orders[0]
    assert ids(dataset.batches("train", batch_size=5, shuffle=True)) == orders[0]
    assert all(a != b for a, b in itertools.combinations([plain, *orders], 2))
    assert all(sorted(order) == sorted(plain) for order in orders)


@pytest.mark.parametrize("choice", ["first", "uniform", "random"])
def test_the_frames_a_model_sees(generated, choice):
    dataset = dmlkit.open_dataset(generated)
    whole = next(iter(dataset.batches("validate", batch_size=5)))
    cut = next(iter(dataset.batches("validate", batch_size=5, frame_choice=choice, max_frames=7)))
    half = next(iter(dataset.batches("validate", batch_size=5, frame_choice=choice, frame_share=0.5)))
    assert cut["num_frames"].tolist() == [7] * 5
    assert half["num_frames"].tolist() == [-(-n // 2) for n in whole["num_frames"].tolist()]
    for row in range(5):
        frames = whole["rgb"][row].tolist()
        places = [frames.index(frame) for frame in cut["rgb"][row].tolist()]
        assert places == sorted(set(places)) and (places == [*range(7)]) == (choice == "first")


def test_remote_folders_are_read_like_local_ones(tmp_path):
    local = dmlkit.open_dataset(write(tmp_path, ["train0", "train1", "validate0"]))
    for shard in tmp_path.iterdir():
        tf.io.gfile.makedirs("ram://acceptance")
        with tf.io.gfile.GFile(f"ram://acceptance/{shard.name}", "wb") as file:
            file.write(shard.read_bytes())
    remote = dmlkit.open_dataset("ram://acceptance")
    assert remote.fingerprint == local.fingerprint
    for one, other in zip(*(d.batches("tuning", batch_size=3) for d in (local, remote)), strict=True):
        np.testing.assert_array_equal(one["rgb"], other["rgb"])


def test_reading_takes_no_tensorflow_and_finds_the_generated_data_itself(tmp_path, generated):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "generated").symlink_to(generated)
    program = "import sys, dmlkit.data; d = dmlkit.data.open_or_generate(); "
    program += "print(len(list(d.batches('train', batch_size=50))), 'tensorflow' in sys.modules)"
    environment = os.environ | {"DMLKIT_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["4", "False"], done.stderr


def test_real_shards_are_opened_without_a_description(real_data):
    video = dmlkit.open_dataset(real_data / "yt8m-2018-video")
    assert (video.level, video.num_classes) == ("video", 3862)
    assert {feature.size for feature in video.features.values()} == {1024, 128}
    clips = dmlkit.open_dataset(real_data / "audioset-frame")
    assert (clips.level, clips.num_classes, clips.features["audio"].coding) == ("frame", 527, "byte")
    assert sum(counts(clips).values()) == 22_160
