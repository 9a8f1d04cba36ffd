"""What the README promises about opening a folder of shards and reading batches, through the public face alone.

Shards are written by TensorFlow and read back.
"""

import itertools
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import dmlkit
from dmlkit.data import read_contexts

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


# Records that are not quite YouTube-8M's: read as what they are, and so noted, or refused; `data check` agrees.

VOCABULARY = "Index,Name\n0,Cat\n1,Dog\n2,Bird\n3,Caf\u00e9\n"
NAMES = ("Cat", "Dog", "Bird", "Cafe\u0301")


def record_of(level, frames=None, lists=None, **context):
    """A record; by default of 2 or 3 random frames of 8 bytes, or 8 floats."""
    rng = np.random.default_rng(len(str(context)))
    entries = {key: feature(values) for key, values in context.items() if values}
    lists = {key: feature(values) for key, values in (lists or {}).items()}
    if level == "video":
        entries |= lists
        entries["mean_rgb"] = feature(frames or rng.standard_normal(8).tolist())
        return tf.train.Example(features=tf.train.Features(feature=entries)).SerializeToString()
    frames = frames or [[rng.integers(70, 180, 8, np.uint8).tobytes()] for _ in range(rng.integers(2, 4))]
    lists = {key: tf.train.FeatureList(feature=[each] * 3) for key, each in lists.items()}
    lists["rgb"] = tf.train.FeatureList(feature=[feature(frame) for frame in frames])
    return tf.train.SequenceExample(
        context=tf.train.Features(feature=entries), feature_lists=tf.train.FeatureLists(feature_list=lists)
    ).SerializeToString()


def write_records(folder, make, level="frame", vocabulary=None, toml=None):
    """18 records of what `make` gives for each number beside `id` and `labels`."""
    usual = {number: {"id": [f"v{number}".encode()], "labels": [number % 4]} for number in range(18)}
    shards = ["train0", "train1", "validate0"]
    write(folder, shards, lambda n: record_of(**{"level": level} | usual[n] | make(n)), each=6)
    if vocabulary:
        (folder / "vocabulary.csv").write_text(vocabulary)
    if toml:
        (folder / "dataset.toml").write_text(toml)
    return folder


def one_hot(number, kind=int, classes=4):
    return [kind(label == number % classes) for label in range(classes)]


# What is written of video n, whose class is n % 4 → its part of the notes.
TAKEN = {
    "vectors": (lambda n: {"labels": one_hot(n)}, "vectors of 4 zeros and ones"),
    "float vectors": (lambda n: {"labels": one_hot(n, float)}, "floats under 'labels'.*vectors of 4"),
    "floats": (lambda n: {"labels": [float(n % 4)]}, "floats under 'labels', read as class numbers"),
    "texts": (lambda n: {"labels": [b"%d" % (n % 4)]}, "byte strings under 'labels'"),
    "names": (lambda n: {"labels": [NAMES[n % 4].encode()]}, "class numbers or names"),
    "another key": (lambda n: {"labels": None, "label": [n % 4]}, "under 'label', read"),
    "index and text": (
        lambda n: {"labels": None, "label/index": [n % 4], "label/string": [b"x"]},
        "'label/index'.*Left aside.*label/string",
    ),
    "numbers as ids": (lambda n: {"id": [n]}, "whole numbers \\(int64\\), read as decimal texts"),
    "another id": (lambda n: {"id": None, "VideoId": [b"v%d" % n]}, "Ids are those under 'VideoId'"),
    "more": (lambda n: {"title": [b"A Title"], "times": [1, 2]}, "Left aside.*times .*int64.*title"),
    "images": (
        lambda n: {"lists": {"jpg": [b"\xff\xd8\xff" + bytes(9)]}},
        "Left aside.*jpg \\(encoded images",
    ),
    "another label": (
        lambda n: {"label": [0], "segment_labels": [1]},
        "Left aside.*label .int64.*segment_labels",
    ),
    "a modality in a split": (
        lambda n: {"lists": {"audio": [0.5, 1.5]} if n < 12 else None},
        "No record looked at of the split 'validate' has (mean_)?audio: read as silence",
    ),
    "captions": (lambda n: {"lists": {"caption": [b"A title of 17 .."]}}, "Left aside.*caption \\(texts"),
}


@pytest.mark.parametrize("level", ["frame", "video"])
@pytest.mark.parametrize("case", TAKEN)
def test_what_is_unambiguous_is_read_and_noted(tmp_path, command, case, level):
    make, note = TAKEN[case]
    write_records(tmp_path, make, level, VOCABULARY if "name" in case else None)
    dataset = dmlkit.open_dataset(tmp_path)
    assert dataset.num_classes == 4 and re.search(note, " ".join(dataset.notes))
    (batch,) = dataset.batches("validate", batch_size=6)
    np.testing.assert_array_equal(batch["labels"], np.eye(4)[np.arange(12, 18) % 4])
    expected = [str(n) if "numbers" in case else f"v{n}" for n in range(12, 18)]
    assert batch["id"].tolist() == expected == [video for video, _ in read_contexts(dataset, "validate")]
    for word in ("check", "show"):
        code, out, _ = command("data", word, tmp_path)
        assert code == 0 and re.search(note, " ".join(out.split()))
    assert "fewer than 100 videos: too few for intervals and tests" in out


def in_record(number, change):
    return lambda n: change if n == number else {}


def memory(dtype):
    rng = np.random.default_rng(0)
    return lambda n: {"frames": [[rng.standard_normal(8).astype(dtype).tobytes()] for _ in range(8)]}


# Of frames: what is written → level, and the parts of the message: key, type, remedy; last a dataset.toml.
DECLARED = "num_classes = 4\n[features.rgb]\nsize = 8\n"
REFUSED = {
    "vectors of another length": (lambda n: {"labels": one_hot(n, classes=5)}, "5 zeros and ones.*4 classes"),
    "one vector": (in_record(17, {"labels": [0, 1, 0, 0]}), "record 5.*repeat.*each once"),
    "a pair in another order": (
        lambda n: {"labels": [0, 1] if n < 17 else [1, 0]},
        r"\[1, 0\].*may be a vector",
        "num_classes = 2",
    ),
    "no vector": (lambda n: {"labels": one_hot(n) if n < 17 else [3]}, r"\[3\]|repeat"),
    "names not known": (lambda n: {"labels": [b"Horse"]}, "'labels'.*Horse.*vocabulary.csv"),
    "a name not known": (lambda n: {"labels": [b"Horse" if n == 14 else b"Cat"]}, "record 2.*Horse"),
    "soft labels": (lambda n: {"labels": [0.3, 0.7]}, "'labels'.*floats.*0.3.*int64"),
    "padding": (lambda n: {"labels": [n % 4, -1, -1]}, r"-1, -1\] hold what is no class"),
    "a number too high": (
        in_record(17, {"labels": [2**40]}),
        "1099511627776 is none of",
        "[features.rgb]\nsize = 8",
    ),
    "numbered from 1": (lambda n: {"labels": [1 + n % 4]}, "4 is none of the data set's classes, 0 to 3"),
    "another key in a split": (
        lambda n: {"lists": {"audio" if n < 12 else "audio_embedding": [bytes([n, n + 99])]}},
        "audio is 2 values .byte. under 'audio' and .* under 'audio_embedding' .*validate0.tfrecord",
    ),
    "another coding in a shard": (
        lambda n: {"frames": [[0.5] * 8]} if 6 <= n < 12 else {},
        "rgb is 8 values .byte. .* .float. under 'rgb' .*train1.tfrecord",
    ),
    "images": (lambda n: {"frames": [[b"\x89PNG" + bytes(9)]]}, "'rgb' holds encoded images"),
    "one record of floats": (in_record(14, {"labels": [1.0]}), "floats under 'labels'.*int64"),
    "one record of another key": (in_record(17, {"labels": None, "label": [1]}), "under 'label'.*Write all"),
    "two keys": (lambda n: {"labels": None, "label": [1], "class": [2]}, "'class'.*'label'.*under 'labels'"),
    "float32": (memory("<f4"), "'rgb' holds the memory of float32.*floats.*serialize_frames"),
    "float32 of a declared size": (memory("<f4"), "rgb.*(float32.*bytes|bytes.*float32)", DECLARED),
    "float64": (memory("<f8"), "'rgb' holds the memory of float64"),
    "float16": (memory("<f2"), "'rgb' holds the memory of float16"),
    "one record of float32": (
        in_record(17, {"frames": [[bytes(32)]]}),
        "32 values.*rgb has 8.*Write all alike",
    ),
    "whole numbers": (lambda n: {"frames": [[1, 2, 3]] * 2}, "'rgb' holds int64.*string of bytes"),
    "float32, video": (
        lambda n: {"level": "video", "frames": [b"\x00\x00\x80\x3f" * 8]},
        "'mean_rgb'.*floats",
    ),
    "another level": (in_record(17, {"level": "video"}), "not of frame level.*folder of its own"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_is_refused_by_opening_or_reading_and_by_check(tmp_path, command, monkeypatch, case):
    monkeypatch.setattr("dmlkit.data.layout.SAMPLED_RECORDS", 5)  # the last of a shard's is not among them
    make, message, *toml = REFUSED[case]
    write_records(tmp_path, make, vocabulary=None if toml else VOCABULARY, toml=toml[0] if toml else None)
    with pytest.raises(dmlkit.DataError, match=message) as caught:
        list(dmlkit.open_dataset(tmp_path).batches("validate", batch_size=6))
    assert "\n" not in str(caught.value)
    code, out, _ = command("data", "check", tmp_path)
    assert code == 3 and re.search(message.replace("record 2", "").replace("record 5", ""), out)


def test_check_refuses_what_opening_does_and_ids_that_cannot_be_written(tmp_path, command):
    write(tmp_path / "two", ["a", "b"], video_record)
    code, out, _ = command("data", "check", tmp_path / "two")
    assert code == 3 and "refused (1)" in out and "at least 3" in out
    write_records(tmp_path / "ids", lambda n: {"id": [b'a,"%d' % n if n else b"a\n"]})
    code, out, _ = command("data", "check", tmp_path / "ids")
    assert code == 3 and "id (1)" in out and "train0.tfrecord, record 0" in out
    write_records(tmp_path / "none", lambda n: {"id": None})
    assert "ids of videos are missing" in command("data", "show", tmp_path / "none")[1]
    assert "id (18)" in command("data", "check", tmp_path / "none")[1]
    write(tmp_path / "test", ["test0"], lambda n: record_of("video", id=[b"%d" % n]))
    assert "number of classes is unknown" in command("data", "check", tmp_path / "test")[1]
    (tmp_path / "test" / "vocabulary.csv").write_text(VOCABULARY)
    assert command("data", "check", tmp_path / "test")[0] == 0


def test_real_shards_are_opened_without_a_description(real_data):
    video = dmlkit.open_dataset(real_data / "yt8m-2018-video")
    assert (video.level, video.num_classes) == ("video", 3862)
    assert {feature.size for feature in video.features.values()} == {1024, 128}
    clips = dmlkit.open_dataset(real_data / "audioset-frame")
    assert (clips.level, clips.num_classes, clips.features["audio"].coding) == ("frame", 527, "byte")
    assert sum(counts(clips).values()) == 22_160
