"""Opening folders by dataset.toml, names and records; divided splits; single videos and contexts."""

import os
import subprocess
import sys
import time
from itertools import chain

import numpy as np
import pytest

from dmlkit.data import (
    Feature,
    VideoReader,
    capped,
    open_dataset,
    open_or_generate,
    read_contexts,
    serialize_frames,
    serialize_video,
    with_tuning,
    write_dataset_toml,
    write_shard,
)
from dmlkit.data.check import check
from dmlkit.data.records import SequenceExample
from dmlkit.errors import DataError, UsageError

RGB, AUDIO = 6, 4


def video(number, labels=(1,), **more):
    features = {"mean_rgb": np.full(RGB, number / 8), "mean_audio": np.full(AUDIO, -number / 8)}
    return serialize_video(video_id=f"v{number}", labels=labels, features=features, **more)


def write_shards(folder, names, *, labels=(1,), each=2):
    for shard, name in enumerate(names):
        write_shard(f"{folder}/{name}.tfrecord", [video(each * shard + i, labels) for i in range(each)])


def ids(dataset, split, **settings):
    return list(chain.from_iterable(each["id"] for each in dataset.batches(split, batch_size=16, **settings)))


def test_the_smallest_folders_that_can_be_divided(tmp_path):
    write_shards(tmp_path / "1", ["a", "b"])
    with pytest.raises(DataError, match=r"2 shards.*at least 3"):
        open_dataset(tmp_path / "1")
    write_shards(tmp_path / "1", ["c"])
    divided = {split: len(shards) for split, shards in open_dataset(tmp_path / "1").splits.items()}
    assert divided == {"train": 1, "tuning": 1, "validate": 1}
    write_shards(tmp_path / "2", ["train0", "validate0"])
    with pytest.raises(DataError, match="single training shard"):
        open_dataset(tmp_path / "2")


@pytest.mark.parametrize(("labels", "labelled"), [([2], True), ([], False)])
def test_a_split_has_labels_though_its_first_videos_have_none(tmp_path, labels, labelled):
    write_shards(tmp_path, ["train0", "train1", "validate0"])
    videos = [*(video(number, []) for number in range(40)), video(40, labels)]
    write_shard(tmp_path / "test0.tfrecord", videos)
    assert ("test" in open_dataset(tmp_path).labelled) == labelled
    write_shard(tmp_path / "test0.tfrecord", [*(video(60 + number, None) for number in range(40)), video(40)])
    with pytest.raises(DataError, match=r"record 40 .*has labels, the first records of its split have none"):
        ids(open_dataset(tmp_path), "test")
    assert check(tmp_path).sets[0]["faults"]["by_kind"] == {"label": 1}
    write_shard(tmp_path / "test1.tfrecord", [video(number) for number in range(50, 54)])
    dataset = open_dataset(tmp_path)
    assert "Of 26 records looked at, 16 have no labels: read as videos of no class." in dataset.notes
    assert "test" in dataset.labelled and check(tmp_path).whole


BROKEN = {
    b"a,b\n1,2\n": "must name a column",
    b"Index,Name\nx,y\n": "line 2: 'x' is no class number",
    b"Index,Name\n0,A\n-1,B\n": "line 3: '-1' is no class number",
    b"Index,Name\n0,A\n99999999,B\n": "'99999999' is no class number",
    b"Index,Name\n0,A\n1,B\n1,C\n": "line 4: class 1 comes twice",
    b"Index,Name\n0,A, a\n1,B\n": "line 2: there are more cells.*quotation marks",
    b'Index,Name\n0,"A\n1,B\n': "no CSV in UTF-8",
    b"Index,Name\n0,A\xe9\n": "no CSV in UTF-8",
    b"Index,Name\n": "no class",
}


def test_vocabularies(tmp_path):
    write_shards(tmp_path, ["a", "b", "c"])
    table = 'index,mid,display_name\n0,/m/1,"Male speech, man"\n2,/m/2,\n'
    (tmp_path / "class_labels_indices.csv").write_text(table)
    assert open_dataset(tmp_path).class_names == ("Male speech, man", "class 1", "class 2")
    (tmp_path / "class_labels_indices.csv").rename(tmp_path / "label_names_2018.csv")
    assert open_dataset(tmp_path).num_classes == 3
    (tmp_path / "vocabulary.csv").write_text(
        "\ufeffIndex,Name,Kind\n1,B,order\n0,A\x1b[0m,x\n", encoding="utf-8"
    )
    with pytest.raises(
        DataError, match=r"several vocabularies, vocabulary.csv \(2\), label_names_2018.csv \(3\)"
    ):
        open_dataset(tmp_path)
    assert not check(tmp_path).whole
    (tmp_path / "dataset.toml").write_text("num_classes = 2")
    dataset = open_dataset(tmp_path)
    assert any(
        "vocabulary.csv, of vocabulary.csv (2), label_names_2018.csv (3)" in note for note in dataset.notes
    )
    assert dataset.class_names == ("A [0m", "B") and dataset.class_kinds == ("x", "order")
    assert dataset.class_groups is None
    (tmp_path / "label_names_2018.csv").unlink()
    (tmp_path / "vocabulary.csv").write_text("Index,Name,Vertical1,Vertical2\n0,A,Games,x\n1,B,,\n")
    assert open_dataset(tmp_path).class_groups == ("Games", "") and open_dataset(tmp_path).class_kinds is None
    for table in (b" INDEX ; name \r\n1;B\r\n0; A\r\n", b"index\tname\n0\tA\n\n1\tB\n"):
        (tmp_path / "vocabulary.csv").write_bytes(table)
        assert open_dataset(tmp_path).class_names == ("A", "B")
    for table, message in BROKEN.items():
        (tmp_path / "vocabulary.csv").write_bytes(table)
        with pytest.raises(DataError, match=message):
            open_dataset(tmp_path)


def test_a_dataset_toml_is_read_as_written(tmp_path):
    write_shards(tmp_path, ["a0", "a1", "a2", "b0"])
    write_shard(tmp_path / "a2.tfrecord", [video(9)])  # the last of its split may be shorter
    (tmp_path / "names.csv").write_text("Index,Name\n0,x\n")
    (tmp_path / "truth.json").write_text('{"v0": {"2": [3, 4]}}')
    write_dataset_toml(
        tmp_path,
        name='a "name"',
        level="video",
        features={"sight": Feature("sight", RGB, "float", "mean_rgb")},
        num_classes=3,
        splits={"train": ["a*.tfrecord"], "validate": ["b*.tfrecord"]},
        vocabulary="names.csv",
        generated=True,
        records_per_shard=2,
        truth={"train": "truth.json"},
        counts={"a0.tfrecord": 2, "gone.tfrecord": 7},
        thumbnails={"path": "{id}.webp", "width": 64, "height": 36, "columns": 5},
        media=["{id}.mp4", "{id}.*"],
        link="https://a.example/{id}#{second}",
    )
    dataset = open_dataset(tmp_path)
    assert vars(dataset.thumbnails) == {"path": "{id}.webp", "width": 64, "height": 36, "columns": 5}
    assert dataset.media == ("{id}.mp4", "{id}.*") and dataset.link == "https://a.example/{id}#{second}"
    assert dataset.name == 'a "name"' and dataset.generated
    assert dataset.features == {"sight": Feature("sight", RGB, "float", "mean_rgb")}
    assert dataset.class_names == ("x", "class 1", "class 2")
    assert dataset.splits["tuning"] == (f"{tmp_path}/a2.tfrecord",) and dataset.num_videos("tuning") == 1
    assert dataset.counts == {f"{tmp_path}/a{shard}.tfrecord": 2 for shard in (0, 1)}
    assert any("gone.tfrecord" in note for note in dataset.notes)
    for split in ("train", "tuning"):
        assert dataset.truth(split)["v0"][2].tolist() == [3, 4]
    assert dataset.truth("validate") == {}
    (batch,) = dataset.batches("validate", batch_size=4)
    assert batch["sight"].shape == (2, RGB)


def test_a_partial_dataset_toml_is_completed_from_the_records(tmp_path):
    for number, name in enumerate("abc"):
        write_shard(tmp_path / f"{name}.tfrecord", [video(number, texts={"text": ["cats"]})])
    (tmp_path / "dataset.toml").write_text('name = "mine"\n[splits]\ntrain = "[ab]*"\nvalidate = ["c*"]\n')
    plain = open_dataset(tmp_path)
    assert plain.name == "mine" and plain.features["audio"].size == AUDIO and plain.num_classes == 2
    assert any("carry text, which is not used" in note for note in plain.notes)
    (tmp_path / "dataset.toml").write_text('[features.text]\nsize = 97\ncoding = "text"\n')
    texts = open_dataset(tmp_path)
    assert texts.features == {**plain.features, "text": Feature("text", 97, "text", "text")}
    assert not any("not used" in note for note in texts.notes) and texts.fingerprint != plain.fingerprint
    (tmp_path / "dataset.toml").write_text('level = "video"\n[features.rgb]\nsize = 6\n')
    assert list(open_dataset(tmp_path).features) == ["rgb"]


MISTAKES = {
    "name = ": "not valid TOML",
    "nam = 'x'": "Did you mean 'name'",
    "num_classes = '3'": r"num_classes: it should be a valid integer.*Received: '3'",
    "[features.rgb]\ncoding = 'byte'": r"features\.rgb\.size: Field required",
    "[features.text]\nsize = 2000000\ncoding = 'text'": "at most 1,048,576",
    "level = 'video'\n[features.rgb]\nsize = 3\ncoding = 'byte'": "hold floats",
    "[splits]\ntraining = ['*']": "Did you mean 'train'",
    "[splits]\ntrain = ['nothing*']": "No shards match 'nothing",
    "[splits]\ntrain = ['a*']\nvalidate = ['a0*']": "in two splits",
    "[counts]\n'a0.tfrecord' = -1": r"counts\.a0\.tfrecord: .*Received: -1",
    "vocabulary = 'gone.csv'": "no vocabulary",
    "level = 'frame'": "there declares frame",
    "media = 'v/{ID}.mp4'": r"media\.0: .* match pattern .*Received: 'v/.ID.\.mp4'",
    "link = 'javascript:{id}'": r"link: .* pattern .\^https\?://.*Received: .javascript",
    "[thumbnails]\npath = '{id}.webp'\nwidth = 3": "thumbnails: a sprite takes width and height",
    "[thumbnails]\npath = '{id}/*.jpg'\nrows = 3": "unknown entry 'thumbnails.rows'.*path, width",
    f"level = 'video'\n[features.rgb]\nsize = {RGB}\nkey = 'rgb'": 'do not have.*add `key = "mean_rgb"`',
}


def test_mistakes_in_a_dataset_toml(tmp_path):
    write_shards(tmp_path, ["a0", "a1", "a2"])
    for text, message in MISTAKES.items():
        (tmp_path / "dataset.toml").write_text(text)
        with pytest.raises(DataError, match=message) as caught:
            open_dataset(tmp_path)
        assert "\n" not in str(caught.value) and ".toml" in str(caught.value)


def test_folders_that_cannot_be_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for path, error, message in (
        (" ", UsageError, "is empty"),
        ("~/missing/", DataError, f"nothing at {tmp_path}/missing\\."),
        ("tape://tapes/7", DataError, "cannot be reached: .*'tape'.* Check the address"),
    ):
        for use in (open_dataset, open_or_generate):
            with pytest.raises(error, match=message):
                use(path)
        with pytest.raises(error, match=message):
            check(path)
    write_shard(tmp_path / "train0.tfrecord", [])
    with pytest.raises(DataError, match="hold no records"):
        open_dataset(tmp_path)
    write_shard(tmp_path / "train0.tfrecord", [b"\xff\xff"])
    with pytest.raises(DataError, match=r"train0\.tfrecord.*neither"):
        open_dataset(tmp_path)
    write_shards(tmp_path, ["train0", "train1"])
    record = serialize_frames(video_id="a", labels=[0], frames={"rgb": np.ones((2, 3), np.uint8)})
    write_shard(tmp_path / "validate0.tfrecord", [record])
    with pytest.raises(DataError, match="mixes frame-level and video-level"):
        open_dataset(tmp_path)


def test_the_fingerprint_is_that_of_the_data(tmp_path):
    for folder in ("here", "there/moved"):
        write_shards(tmp_path / folder, ["a", "b", "c"])
    here = open_dataset(tmp_path / "here").fingerprint
    assert here == open_dataset(f"{tmp_path}/there/moved/").fingerprint
    # Same sizes, one other label in the last record.
    write_shards(tmp_path / "there" / "moved", ["a", "b", "c"], labels=(0,))
    (tmp_path / "there" / "moved" / "vocabulary.csv").write_text("Index,Name\n1,x\n")
    with pytest.raises(DataError, match="class 0, which the vocabulary does not name"):
        open_dataset(tmp_path / "there" / "moved")
    (tmp_path / "there" / "moved" / "vocabulary.csv").write_text("Index,Name\n0,x\n1,x\n")
    assert here != open_dataset(tmp_path / "there" / "moved").fingerprint
    (tmp_path / "here" / "vocabulary.csv").write_text("Index,Name\n2,x\n")
    assert here != open_dataset(tmp_path / "here").fingerprint
    (tmp_path / "here" / "vocabulary.csv").unlink()
    assert here == open_dataset(tmp_path / "here").fingerprint
    write_shard(tmp_path / "here" / "b.tfrecord", [video(3)])  # the last record as before, the first one lost
    assert here != open_dataset(tmp_path / "here").fingerprint


# Single videos, contexts, training and tuning as one.


def test_single_videos_are_those_of_the_batches(generated):
    dataset, index = open_dataset(generated), 0
    reader = VideoReader(dataset, "validate")
    contexts = list(read_contexts(dataset, "validate", labelled=True))
    for batch in dataset.batches("validate", batch_size=16):
        for row, frames in enumerate(batch["num_frames"]):
            assert contexts[index] == (batch["id"][row], np.flatnonzero(batch["labels"][row]).tolist())
            if index % 7 == 0 or index > 95:
                one = reader.read(index)
                assert one["id"][0] == batch["id"][row]
                np.testing.assert_array_equal(one["labels"][0], batch["labels"][row])
                for name in dataset.features:
                    np.testing.assert_array_equal(one[name][0], batch[name][row, :frames])
            index += 1
    assert index == len(contexts) == 100
    with pytest.raises(UsageError, match="Received: index=100"):
        reader.read(100)


def test_clips_of_audioset_begin_at_a_second_of_a_video_of_youtube(tmp_path):
    frames = {"audio_embedding": np.ones((3, 128), np.uint8)}
    for number, start in enumerate([0.0, 30.5, float("nan")]):
        record = SequenceExample.FromString(
            serialize_frames(video_id=f"v{number}", labels=[1], frames=frames)
        )
        record.context.feature["start_time_seconds"].float_list.value.append(start)
        record.context.feature["video_id"].CopyFrom(record.context.feature.pop("id"))
        write_shard(tmp_path / f"{number}.tfrecord", [record.SerializeToString()])
    dataset = open_dataset(tmp_path)
    assert dataset.link == "https://www.youtube.com/watch?v={id}&t={second}s" and dataset.num_classes == 527
    starts = {VideoReader(dataset, split).read(0)["id"][0]: split for split in dataset.splits}
    read = {name: VideoReader(dataset, split).read(0)["start"].tolist() for name, split in starts.items()}
    assert read == {"v0": [0.0], "v1": [30.5], "v2": [0.0]}


def test_training_and_tuning_as_one(generated):
    dataset = open_dataset(generated)
    joined = with_tuning(dataset)
    both = sorted(ids(dataset, "train") + ids(dataset, "tuning"))
    assert sorted(ids(joined, "train")) == both and joined.num_videos("train") == len(set(both)) == 200
    with pytest.raises(UsageError, match="no split 'tuning'"):
        joined.num_videos("tuning")
    caps = {"train": 44, "tuning": 15}
    joined = with_tuning(capped(dataset, caps))
    read = [name for split in caps for name in ids(dataset, split, max_videos=caps[split])]
    assert sorted(ids(joined, "train")) == sorted(read) and joined.num_videos("train") == 59


# The generated data set, made where it is missing: once, and nowhere else.

OPEN = """
import functools, sys, time
from dmlkit.data import opening
opening.synthesize = functools.partial(opening.synthesize, train=40, validate=20, test=4)
while time.time() < float(sys.argv[1]):
    time.sleep(0.01)
print(opening.open_or_generate().path)
"""


def test_two_that_start_together_generate_it_once(tmp_path):
    environment = os.environ | {"DMLKIT_HOME": str(tmp_path)}
    command = [sys.executable, "-c", OPEN, str(time.time() + 2)]
    processes = [
        subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True)
        for folder in ("/", tmp_path)
    ]
    outputs = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    folder = tmp_path / "data" / "generated"
    assert {lines[-1] for lines in outputs} == {str(folder)}
    assert sum(line.startswith("Generating") for lines in outputs for line in lines) == 1


def test_nothing_is_generated_under_another_name_or_where_nothing_can_be_written(tmp_path):
    with pytest.raises(DataError):
        open_or_generate(tmp_path / "generatd")
    assert not list(tmp_path.iterdir())
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UsageError, match="cannot be generated"):
        open_or_generate(tmp_path / "data" / "generated")
