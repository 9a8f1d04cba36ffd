"""Opening folders: what dataset.toml says, what names and records tell, what is divided."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from dmlkit.data import (
    Feature,
    open_dataset,
    serialize_frames,
    serialize_video,
    write_dataset_toml,
    write_shard,
)
from dmlkit.errors import DataError, UsageError

RGB, AUDIO = 6, 4


def video(number, labels=(1,), **more):
    features = {"mean_rgb": np.full(RGB, number / 8), "mean_audio": np.full(AUDIO, -number / 8)}
    return serialize_video(video_id=f"v{number}", labels=labels, features=features, **more)


def write_shards(folder, names, *, labels=(1,), each=2):
    for shard, name in enumerate(names):
        write_shard(f"{folder}/{name}.tfrecord", [video(each * shard + i, labels) for i in range(each)])


def names_in(dataset):
    return {split: [shard.rsplit("/", 1)[1] for shard in shards] for split, shards in dataset.splits.items()}


def test_bare_shards_tell_everything(tmp_path):
    write_shards(tmp_path, [*(f"train{i:02d}" for i in range(20)), "validate0", "test0"], labels=(1, 8))
    dataset = open_dataset(tmp_path)
    assert dataset.path == str(tmp_path) and dataset.name == tmp_path.name
    assert dataset.level == "video"
    assert list(dataset.features.values()) == [
        Feature("rgb", RGB, "float", "mean_rgb"),
        Feature("audio", AUDIO, "float", "mean_audio"),
    ]
    assert dataset.num_classes == 9
    assert dataset.class_names == tuple(f"class {i}" for i in range(9))
    assert names_in(dataset)["tuning"] == ["train09.tfrecord", "train19.tfrecord"]
    assert len(dataset.splits["train"]) == 18
    assert not set(dataset.splits["train"]) & set(dataset.splits["tuning"])
    assert {split: dataset.num_videos(split) for split in dataset.splits} == {
        "train": 36,
        "tuning": 4,
        "validate": 2,
        "test": 2,
    }
    assert not dataset.generated and dataset.truth("train") == {} and dataset.class_kinds is None
    assert any("tenth" in note for note in dataset.notes) and any(
        "highest label" in note for note in dataset.notes
    )


def test_a_lone_labelled_split_is_divided_by_shards(tmp_path):
    write_shards(tmp_path, [f"validate{i:02d}" for i in range(11)])
    dataset = open_dataset(tmp_path)
    assert names_in(dataset)["validate"] == ["validate04.tfrecord", "validate09.tfrecord"]
    assert names_in(dataset)["tuning"] == ["validate10.tfrecord"]
    assert len(dataset.splits["train"]) == 8
    assert dataset.labelled == {"train", "tuning", "validate"}
    assert any("every fifth" in note and "'validate'" in note for note in dataset.notes)


def test_the_smallest_folder_that_can_be_divided(tmp_path):
    write_shards(tmp_path, ["a", "b"])
    with pytest.raises(DataError, match=r"2 shards.*at least 3"):
        open_dataset(tmp_path)
    write_shards(tmp_path, ["c"])
    assert names_in(open_dataset(tmp_path)) == {
        "train": ["a.tfrecord"],
        "tuning": ["b.tfrecord"],
        "validate": ["c.tfrecord"],
    }


def test_one_training_shard_is_too_few(tmp_path):
    write_shards(tmp_path, ["train0", "validate0"])
    with pytest.raises(DataError, match="single training shard"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("place", "split"),
    [
        ("bal_train/Ab", "train"),
        ("unbal_train/x/y", "train"),
        ("eval/zz", "validate"),
        ("frame/validate/part-01", "validate"),
        ("val/0", "validate"),
        ("train/test01", "test"),
        ("tuning/3", "tuning"),
        ("valuable", "train"),
    ],
)
def test_splits_from_names(place, split):
    from dmlkit.data.splits import split_of

    assert split_of(f"/data/test set/train/{place}.tfrecord", "/data/test set/train") == split


def test_unlabelled_test_shards_alone_can_be_opened(tmp_path):
    write_shards(tmp_path, ["test0"], labels=None)
    with pytest.raises(DataError, match="number of classes"):
        open_dataset(tmp_path)
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n1,b\n")
    dataset = open_dataset(tmp_path)
    assert list(dataset.splits) == ["test"] and dataset.labelled == frozenset()
    with pytest.raises(UsageError, match=r"no split 'train'.*test"):
        dataset.num_videos("train")


@pytest.mark.parametrize("labels, labelled", [([2], True), ([], False), (None, False)])
def test_a_part_has_labels_though_its_first_videos_have_none(tmp_path, labels, labelled):
    """A video of no class has the key without a label; only a part none of whose videos has one is unlabelled."""
    write_shards(tmp_path, ["train0", "train1", "validate0"], labels=(1,))
    without = None if labels is None else []
    records = [*(video(number, without) for number in range(40)), video(40, labels)]
    write_shard(f"{tmp_path}/test0.tfrecord", records)
    assert ("test" in open_dataset(tmp_path).labelled) == labelled


def test_known_releases_without_a_vocabulary(tmp_path):
    for release, (id_key, classes) in {"2017": ("video_id", 4716), "2018": ("id", 3862)}.items():
        for shard in range(3):
            record = serialize_video(
                video_id="a", labels=[0], features={"mean_rgb": np.ones(1024)}, id_key=id_key
            )
            write_shard(tmp_path / release / f"train{shard}.tfrecord", [record])
        dataset = open_dataset(tmp_path / release)
        assert dataset.num_classes == classes
        assert any(release in note for note in dataset.notes)


def test_vocabularies(tmp_path):
    write_shards(tmp_path, ["a", "b", "c"])
    (tmp_path / "class_labels_indices.csv").write_text(
        'index,mid,display_name\n0,/m/1,"Male speech, man"\n2,/m/2,\n'
    )
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == ("Male speech, man", "class 1", "class 2")
    (tmp_path / "label_names.csv").write_text("label_id,label_name\n0,Games\n3,Car\n")
    assert open_dataset(tmp_path).class_names == ("Games", "class 1", "class 2", "Car")
    (tmp_path / "vocabulary.csv").write_text("\ufeffIndex,Name,Kind\n1,B,order\n0,A,look\n", encoding="utf-8")
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == ("A", "B") and dataset.class_kinds == ("look", "order")
    for broken, said in {
        "a,b\n1,2\n": "needs a column",
        "Index,Name\nx,y\n": "line 2",
        "Index,Name\n": "no class",
    }.items():
        (tmp_path / "vocabulary.csv").write_text(broken)
        with pytest.raises(DataError, match=said):
            open_dataset(tmp_path)


def write_declared(folder, **more):
    write_shards(folder, ["a0", "a1", "a2", "b0"])
    said = {
        "name": 'a "name"',
        "level": "video",
        "features": {"sight": Feature("sight", RGB, "float", "mean_rgb")},
        "num_classes": 3,
        "splits": {"train": ["a*.tfrecord"], "validate": ["b*.tfrecord"]},
    }
    return write_dataset_toml(str(folder), **(said | more))


def test_a_declaration_is_read_as_written(tmp_path):
    (tmp_path / "names.csv").write_text("Index,Name\n0,x\n")
    (tmp_path / "truth.json").write_text('{"v0": {"2": [3, 4]}}')
    write_declared(
        tmp_path, vocabulary="names.csv", generated=True, records_per_shard=2, truth={"train": "truth.json"}
    )
    dataset = open_dataset(tmp_path)
    assert dataset.name == 'a "name"' and dataset.generated and dataset.records_per_shard == 2
    assert dataset.features == {"sight": Feature("sight", RGB, "float", "mean_rgb")}
    assert dataset.num_classes == 3 and dataset.class_names == ("x", "class 1", "class 2")
    assert names_in(dataset)["tuning"] == ["a2.tfrecord"]
    assert dataset.num_videos("train") == 4
    for split in ("train", "tuning"):
        assert dataset.truth(split)["v0"][2].tolist() == [3, 4]
    assert dataset.truth("validate") == {}
    (batch,) = dataset.batches("validate", batch_size=4)
    assert batch["sight"].shape == (2, RGB)


def test_tuning_shards_that_are_named_are_used_as_they_are(tmp_path):
    splits = {"train": ["a[01]*"], "tuning": ["a2*"], "validate": ["b*"]}
    write_declared(tmp_path, splits=splits)
    dataset = open_dataset(tmp_path)
    assert [len(dataset.splits[split]) for split in splits] == [2, 1, 1]
    assert dataset.notes == ()


def test_a_partial_declaration_is_completed_from_the_records(tmp_path):
    write_shards(tmp_path, ["a0", "a1", "a2"])
    (tmp_path / "dataset.toml").write_text('name = "mine"\n')
    dataset = open_dataset(tmp_path)
    assert dataset.name == "mine" and dataset.features["audio"].size == AUDIO and dataset.num_classes == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "not valid TOML"),
        ("nam = 'x'", "Did you mean 'name'"),
        ("num_classes = '3'", "num_classes must be a whole number"),
        ("num_classes = true", "num_classes must be a whole number"),
        ("level = 'frames'", "Did you mean 'frame'"),
        ("[features.rgb]\ncoding = 'byte'", "at least `size`"),
        ("[features.rgb]\nsize = 0", "whole number above 0"),
        ("[features.rgb]\nsize = 3\ncoding = 'bytes'", "Did you mean 'byte'"),
        ("[features.rgb]\nsize = 3\nkeys = 'x'", "Did you mean 'key'"),
        ("level = 'video'\n[features.rgb]\nsize = 3\ncoding = 'byte'", "hold floats"),
        ("[splits]\ntraining = ['*']", "Did you mean 'train'"),
        ("[splits]\ntrain = []", "list of patterns"),
        ("[splits]\ntrain = ['nothing*']", "No shards match 'nothing"),
        ("[splits]\ntrain = ['a*']\nvalidate = ['a0*']", "in two splits"),
        ("vocabulary = 'gone.csv'", "no vocabulary"),
        ("level = 'frame'", "mixes"),
    ],
)
def test_mistakes_in_a_declaration(tmp_path, text, said):
    write_shards(tmp_path, ["a0", "a1", "a2"])
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(DataError, match=said):
        open_dataset(tmp_path)


def test_folders_without_shards(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        open_dataset(tmp_path / "missing")
    with pytest.raises(DataError, match="No shards"):
        open_dataset(tmp_path)
    write_shards(tmp_path / "1" / "2" / "3" / "4", ["deep"])
    with pytest.raises(DataError, match="No shards"):
        open_dataset(tmp_path)
    write_shard(tmp_path / "train0.tfrecord", [])
    with pytest.raises(DataError, match="hold no records"):
        open_dataset(tmp_path)


def test_mixed_levels_are_refused(tmp_path):
    write_shards(tmp_path, ["train0", "train1"])
    record = serialize_frames(video_id="a", labels=[0], frames={"rgb": np.ones((2, 3), np.uint8)})
    write_shard(tmp_path / "validate0.tfrecord", [record])
    with pytest.raises(DataError, match="mixes frame-level and video-level"):
        open_dataset(tmp_path)


def test_the_fingerprint_is_that_of_the_data(tmp_path):
    write_shards(tmp_path / "here", ["a", "b", "c"])
    write_shards(tmp_path / "there" / "moved", ["a", "b", "c"])
    here = open_dataset(tmp_path / "here").fingerprint
    assert here == open_dataset(f"{tmp_path}/there/moved/").fingerprint
    # Same sizes, one other label in the last record.
    write_shards(tmp_path / "there" / "moved", ["a", "b", "c"], labels=(0,))
    (tmp_path / "there" / "moved" / "vocabulary.csv").write_text("Index,Name\n1,x\n")
    assert here != open_dataset(tmp_path / "there" / "moved").fingerprint
    (tmp_path / "here" / "vocabulary.csv").write_text("Index,Name\n2,x\n")
    assert here != open_dataset(tmp_path / "here").fingerprint


def test_a_file_system_in_memory(tmp_path):
    """What is remote goes through tf.io.gfile; ram:// stands for it."""
    root = "ram://bucket/set"
    write_shards(f"{root}/deep", [f"train{i}" for i in range(4)])
    write_shards(tmp_path / "deep", [f"train{i}" for i in range(4)])
    with tf.io.gfile.GFile(f"{root}/vocabulary.csv", "w") as file:
        file.write("Index,Name\n1,x\n")
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n1,x\n")
    remote, local = open_dataset(root), open_dataset(tmp_path)
    assert remote.fingerprint == local.fingerprint
    for split in ("train", "tuning", "validate"):
        assert remote.num_videos(split) == local.num_videos(split)
        for one, other in zip(
            remote.batches(split, batch_size=3, shuffle=True),
            local.batches(split, batch_size=3, shuffle=True),
            strict=True,
        ):
            assert one["id"].tolist() == other["id"].tolist()
            np.testing.assert_array_equal(one["rgb"], other["rgb"])
    write_dataset_toml(
        root,
        name="r",
        level="video",
        features=local.features,
        num_classes=2,
        splits={"train": ["deep/train[012]*"], "validate": ["deep/train3*"]},
    )
    declared = open_dataset(root)
    assert declared.name == "r" and [len(shards) for shards in declared.splits.values()] == [2, 1, 1]


def test_describing_a_data_set_loads_no_tensorflow():
    program = "import sys, dmlkit.data.schema, dmlkit.data; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
