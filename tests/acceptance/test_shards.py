"""Files and folders as people have them: each is read right, or refused in one paragraph with the remedy that works."""

import gzip
import io
import os
import shutil
import tarfile
from functools import partial
from itertools import chain

import numpy as np
import pytest
import tensorflow as tf

from dmlkit import DataError, open_dataset
from dmlkit.data import VideoReader, serialize_frames, serialize_video, write_shard
from dmlkit.data.check import check
from dmlkit.data.records import frame_record


def means(number, size=6, **more):
    features = {"mean_rgb": np.full(size, number / 8)}
    return serialize_video(video_id=f"v{number}", labels=[number % 3], features=features, **more)


def frames(number):
    return serialize_frames(video_id=f"v{number}", labels=[0], frames={"rgb": np.full((2, 6), 9, np.uint8)})


def write(folder, *names, make=means, first=0, option=""):
    """Shards of two videos, numbered on through all of them, by TensorFlow's writer."""
    for place, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(f"{folder}/{name}", options=option) as writer:
            for number in (0, 1):
                writer.write(make(first + 2 * place + number))
    return folder


def ids(dataset, split):
    return [name for batch in dataset.batches(split, batch_size=3) for name in batch["id"].tolist()]


def refused(command, path, *parts):
    """One paragraph with all these parts, from `data show` and `train`; what `data check` prints."""
    for arguments in (["data", "show", path], ["train", "lr", "--data", path, "--profile", "smoke"]):
        code, _, err = command(*arguments)
        assert code == 3 and len(err.splitlines()) == 1, err
        assert all(part in err for part in parts), err
    code, out, err = command("data", "check", path)
    assert code == 3 and all(part in out + err for part in parts), out + err
    return out


def test_compressed_shards_are_read_like_others(command, tmp_path):
    names = ["train0.tfrecord", "train1.tfrecord.gz", "tuning.tfrecord", "validate.tfrecord.gz"]
    folders = [write(tmp_path / f"{kind}-", *names, option=kind) for kind in ("", "GZIP", "ZLIB")]
    plain, *others = map(open_dataset, folders)
    read = {"batch_size": 2, "shuffle": True, "balance": 0.5}
    for dataset in others:
        for split in plain.splits:
            pairs = zip(*(each.batches(split, **read) for each in (plain, dataset)), strict=True)
            assert all((one[key] == other[key]).all() for one, other in pairs for key in ("id", "rgb"))
            assert dataset.num_videos(split) == plain.num_videos(split)
        assert VideoReader(dataset, "train").read(3)["id"] == ["v3"]
        assert dataset.fingerprint != plain.fingerprint
        assert check(dataset.path).to_record()["sets"][0]["good_records"] == 8
    path = folders[1] / "train1.tfrecord.gz"
    path.write_bytes(path.read_bytes()[:-9])
    assert "record 2 (counted from 0)" in command("data", "check", folders[1])[1]
    train = ("train", "lr", "--data", folders[1], "--out", tmp_path / "run", "--profile", "smoke")
    code, _, err = command(*train)
    assert code == 3 and f"{path}, record" in err and "cannot be decompressed from here on" in err


def other_kinds():
    archive, arrays = io.BytesIO(), io.BytesIO()
    np.savez(arrays, rgb=np.ones(3))
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        file.addfile(tarfile.TarInfo("x"))
    mediapipe = tf.train.SequenceExample()
    mediapipe.feature_lists.feature_list["RGB/feature/floats"].feature.add().float_list.value.append(1)
    return [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 9\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><title>404</title>" * 40, "is a web page"),
        (gzip.compress(b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>"), "is a web page"),
        ("404: 没有找到".encode(), "is text ('404: 没有找到')"),
        (mediapipe.SerializeToString(), "dmlkit data import {} --out DIR"),
        (means(1), 'write_shard("NAME.tfrecord", [open("{}", "rb").read()])'),
        (arrays.getvalue(), ".npz"),
        (archive.getvalue(), "is an archive"),
        (b"\xfd7zXZ\x00 and so on", "Unpack it"),
        (gzip.compress(gzip.compress(frame_record(means(1)))), "compressed twice"),
        (b"404\n", "is text ('404')"),
        (b"PAR1 and so on", "parquet"),
    ]


def test_files_of_other_kinds_are_named_with_their_remedy(command, tmp_path):
    path = write(tmp_path, "train0.tfrecord", "train1.tfrecord", "validate.tfrecord") / "validate.tfrecord"
    for content, advice in other_kinds():
        path.write_bytes(content)
        out = refused(command, tmp_path, f"{path}", advice.format(path))
        assert "Damaged: 1 fault" in out
    # The remedies of two of them.
    path.write_bytes(means(1))
    write_shard(path, [path.read_bytes()])
    assert ids(open_dataset(tmp_path), "validate") == ["v1"]


NAMES = {
    "train": [
        "x-train.tfrecord-00000-of-00003", "train.tfrecords", "train/part-00000.gz", "A.tfrec", "b.record",
        *(f"{name}.tfrecord" for name in ("trainZp", "bal_train/Ab", "valuable", "latest0", "medieval", "detrained")),
    ],
    "tuning": ["tuning-00000-of-00001"],
    "validate": [
        "valid.tfrecord/part-r-00000", "Validation-00000-of-00001.tfrecord.gz", "validateZp.tfrecord.gz",
        "eval/zz.tfrecord", "Dev-2.tfrecord",
    ],
    "test": [
        "test-00000-of-00002.tfrecord", "split=test/part-00001-3b-c000.gz", "test.tfrecord-00001-of-00002",
        "train/test01.tfrecord",
    ],
}  # fmt: skip
ASIDE = {
    "shards that are hidden or in hidden folders: 3": ["__MACOSX/._x.tfrecord", "a/.x.tfrecord", ".nb/x.tfrecord"],
    "files whose names are not those of shards: 2": ["x.tfrecord.bak", "x.tfrecord.part"],
    "files for `dmlkit data import`: 1": ["x.npz"],
    "folders deeper than 3 levels: 1": ["1/2/3/4/x.tfrecord", ".nb/2/3/4/x.tfrecord"],
}  # fmt: skip


def test_shards_by_every_usual_name(command, tmp_path):
    tmp_path = tmp_path / "test set"  # the path above the data set states nothing
    write(tmp_path, *chain.from_iterable(NAMES.values()))
    dataset = open_dataset(tmp_path)
    expected = {split: {str(tmp_path / name) for name in names} for split, names in NAMES.items()}
    assert {split: {*shards} for split, shards in dataset.splits.items()} == expected
    write(tmp_path, *chain.from_iterable(ASIDE.values()))
    for name in (".x.tfrecords.crc", "A.tfrec.md5", "valid.tfrecord/_SUCCESS", ".git/1/2/3/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "train-00001-of-00002.tfrecord").write_bytes(b"")  # TensorFlow leaves such
    (tmp_path / "z").symlink_to(tmp_path)
    told = [f"Left aside, {kind} (" for kind in ASIDE]
    told += [f"Of the 3 shards {tmp_path}/x-train.tfrecord-…-of-00003 only 1 are there"]
    told += ["shards without records: 1 (", "there already: 1 (z)"]
    assert open_dataset(tmp_path).splits == dataset.splits
    for arguments in (["data", "show", tmp_path], ["data", "check", tmp_path]):
        code, out, _ = command(*arguments)
        assert code == 0 and all(note in out for note in told), out
    (tmp_path / "train.tfrecords").rename(tmp_path / "train\udce9.tfrecords")  # no UTF-8
    assert len(open_dataset(tmp_path).fingerprint) == 64


def test_single_shards_and_patterns(command, tmp_path):
    write(tmp_path, "a0.tfrecord", "a1.tfrecord", "a2.tfrecord", "b0.tfrecord")
    (tmp_path / "dataset.toml").write_text(
        '[splits]\ntrain = "a[01]*"\ntuning = "a2*"\nvalidate = "b*"\n[counts]\n"a2.tfrecord" = 2\n'
    )
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n0,x\n4,y\n")
    for path, expected in {
        "a1.tfrecord": {"train": ["v2", "v3"]},
        "a[12].*": {"train": ["v2", "v3"], "tuning": ["v4", "v5"]},
        "*": {split: ids(open_dataset(tmp_path), split) for split in ("train", "tuning", "validate")},
    }.items():
        dataset = open_dataset(tmp_path / path)
        assert not any("missing" in note for note in dataset.notes)
        assert {split: ids(dataset, split) for split in dataset.splits} == expected
        assert dataset.class_names[::4] == ("x", "y") and command("data", "check", tmp_path / path)[0] == 0
    (tmp_path / "d[1]").mkdir()
    shutil.copy(tmp_path / "a1.tfrecord", tmp_path / "d[1]" / "x.bin")
    assert ids(open_dataset(tmp_path / "d[1]" / "*.bin"), "train") == ["v2", "v3"]
    (tmp_path / "one").mkdir()
    shutil.move(tmp_path / "a1.tfrecord", tmp_path / "one" / "x.tfrecord")
    code, out, _ = command("data", "show", tmp_path / "one" / "x.tf*")
    assert code == 0 and "5 classes" in out and "Nothing can be trained on these shards alone" in out
    code, _, err = command("train", "lr", "--data", tmp_path / "one" / "x.tfrecord", "--profile", "smoke")
    assert code == 3 and "no labelled 'tuning' split" in err, err
    for missing in ("c*", "c.tfrecord"):
        assert f"There is nothing at {tmp_path}/{missing}" in command("data", "show", tmp_path / missing)[2]


def test_two_levels_side_by_side(command, tmp_path):
    levels = {"frame": frames, "video": means}
    for level, make in levels.items():
        for name in (f"kaggle/{level}-sample/{level}/train0", f"one/yt8m_{level}_"):
            write(tmp_path, *(f"{name}{number}.tfrecord" for number in range(3)), make=make)
    for folder, places in (("kaggle", "{0}/{1}-sample/{1}"), ("one", "{0}/yt8m_{1}_*")):
        ways = [places.format(tmp_path / folder, level) for level in levels]
        refused(command, tmp_path / folder, "frame-level and video-level", *ways)
        for level, way in zip(levels, ways, strict=True):
            assert open_dataset(way).level == level and command("data", "check", way)[0] == 0
    (tmp_path / "one" / "dataset.toml").write_text('[splits]\ntrain = "*deo_[01]*"\nvalidate = "*deo_2*"\n')
    assert open_dataset(tmp_path / "one").level == "video"
    # Among those that are not looked at when it is opened.
    write(tmp_path / "many", *(f"train{n}.tfrecord" for n in range(9)))
    write(tmp_path / "many", "train5.tfrecord", make=frames)
    with pytest.raises(DataError, match=r"train5.tfrecord, record 0 .*not of video level"):
        ids(open_dataset(tmp_path / "many"), "train")
    assert check(tmp_path / "many").sets[0]["faults"]["by_kind"] == {"level": 2}


def test_two_releases_are_never_read_as_one(command, tmp_path):
    for key in ("id", "video_id"):
        names = [f"{key}/train{number}.tfrecord" for number in range(9)]
        write(tmp_path, *names, make=partial(means, size=1024, id_key=key))
        assert command("data", "check", tmp_path / key)[0] == 0
        dataset = open_dataset(tmp_path / key)
        assert dataset.num_classes == (3862 if key == "id" else 4716) and len(ids(dataset, "train")) == 14
    refused(command, tmp_path, "YouTube-8M 2017 and YouTube-8M 2018", f"--data {tmp_path}/id")
    write_shard(tmp_path / "id" / "train5.tfrecord", [means(70, 1024), means(71, 1024, id_key="video_id")])
    message = r"train5.tfrecord, record 1 .*'video_id', not 'id'.*folder of its own"
    with pytest.raises(DataError, match=message):
        ids(open_dataset(tmp_path / "id"), "train")
    assert check(tmp_path / "id").sets[0]["faults"]["by_kind"] == {"release": 1}


def test_real_releases_and_their_vocabularies(command, tmp_path, real_data):
    for release in ("2017", "2018"):
        (tmp_path / release).symlink_to(real_data / f"yt8m-{release}-video")
    refused(command, tmp_path, "YouTube-8M 2017 and YouTube-8M 2018", f"--data {tmp_path}/2018")
    # Names of the other release; then those of both, of which one fits.
    shutil.copytree(real_data / "yt8m-2018-video", tmp_path / "names", ignore=shutil.ignore_patterns("*.csv"))
    shutil.copy(real_data / "yt8m-2017-video" / "label_names.csv", tmp_path / "names")
    refused(command, tmp_path / "names", "label_names.csv names 4,716 classes, those of YouTube-8M 2017")
    shutil.copy(real_data / "yt8m-2018-video" / "vocabulary.csv", tmp_path / "names" / "label_names_2018.csv")
    dataset = open_dataset(tmp_path / "names")
    assert dataset.num_classes == 3862 and dataset.class_names[0] == "Game"
    assert any("names/label_names_2018.csv, of label_names.csv (4,716)" in note for note in dataset.notes)
    (tmp_path / "names" / "label_names.csv").unlink()
    video = tmp_path / "kaggle" / "video-sample" / "video"
    shutil.copytree(tmp_path / "names", video)
    shutil.move(video / "label_names_2018.csv", tmp_path / "kaggle")
    assert open_dataset(video).class_names[0] == "Game"


def test_what_cannot_be_read_is_one_paragraph(command, tmp_path, monkeypatch):
    path = write(tmp_path, "train0.tfrecord", "train1.tfrecord", "validate.tfrecord") / "validate.tfrecord"
    path.unlink()
    os.mkfifo(path)
    refused(command, tmp_path, f"{path}", "is a pipe or device")
    refused(command, path, f"{path}", "is a pipe or device")
    for target, message in (("nowhere", "is a link to a file that is"), (path.name, "Too many levels")):
        path.unlink()
        path.symlink_to(target)
        refused(command, tmp_path, f"{path}", message)
    path.unlink()
    write(tmp_path, path.name)
    (tmp_path / "locked").mkdir()
    (tmp_path / "dataset.toml").mkdir()
    refused(command, tmp_path, f"{tmp_path}/dataset.toml cannot be read (Is a directory)")
    (tmp_path / "dataset.toml").rmdir()
    denied, allow = {path}, {"open": open, "scandir": os.scandir, "stat": os.stat}

    def deny(name):
        def guarded(file, *args, **more):
            if str(file) in set(map(str, denied)):
                raise PermissionError(13, "Permission denied", str(file))
            return allow[name](file, *args, **more)

        return guarded

    monkeypatch.setattr("builtins.open", deny("open"))
    refused(command, tmp_path, f"{path}", "Permission denied", "chmod u+r")
    monkeypatch.setattr(os, "scandir", deny("scandir"))
    denied = {tmp_path / "locked"}
    assert "folders that cannot be read: 1 (locked)" in command("data", "check", tmp_path)[1]
    denied = {tmp_path}
    refused(command, tmp_path, f"{tmp_path} cannot be read (Permission denied)")
    monkeypatch.setattr(os, "stat", deny("stat"))
    denied = {path}
    for arguments in (["data", "show", path], ["data", "check", path]):
        code, _, err = command(*arguments)
        assert code == 3 and f"{path} cannot be reached: Permission denied." in err and err.count("\n") == 1
