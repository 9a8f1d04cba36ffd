"""What is counted, against numbers worked out by hand; the record other programs read; layouts and releases."""

import json

import numpy as np
import pytest

from dmlkit.data import serialize_frames, serialize_video, write_shard
from dmlkit.data.checking import check

from .conftest import AUDIO, RGB, frame_record, video_record, write_set


@pytest.fixture
def counted(tmp_path):
    """Two parts whose every figure is known: lengths 1, 2, 2, 7 and 30; two videos without sound; one test video."""
    silent = serialize_frames(video_id="v3", labels=[0, 2], frames={"rgb": np.ones((7, RGB), np.uint8)})
    quiet = serialize_frames(
        video_id="v5",
        labels=[2],
        frames={"rgb": np.ones((2, RGB), np.uint8), "audio": np.ones((0, AUDIO), np.uint8)},
    )
    write_shard(tmp_path / "train0.tfrecord", [frame_record(1, [2], 1), frame_record(2, [2, 2, 4], 2)])
    write_shard(tmp_path / "train1.tfrecord", [silent, frame_record(4, [], 30), quiet])
    write_shard(tmp_path / "train2.tfrecord", [])
    write_shard(tmp_path / "test0.tfrecord", [frame_record(9, None, 2)])
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n0,A\n2,C\n5,last\n")
    return tmp_path


def test_every_entry_of_the_record(counted):
    report = check(counted)
    record = json.loads(json.dumps(report.to_record()))
    seconds = record.pop("seconds")
    assert 0 < seconds < 60
    size = sum(path.stat().st_size for path in counted.glob("*.tfrecord"))
    assert record == {
        "schema": 1,
        "whole": True,
        "processes": 1,
        "sets": [
            {
                "path": str(counted),
                "name": counted.name,
                "whole": True,
                "level": "frame",
                "release": None,
                "features": [
                    {"name": "rgb", "size": 6, "coding": "byte", "key": "rgb"},
                    {"name": "audio", "size": 4, "coding": "byte", "key": "audio"},
                ],
                "num_classes": 6,
                "shards": 4,
                "empty_shards": 1,
                "bytes": size,
                "records": 6,
                "good_records": 6,
                "splits": {
                    "test": {"shards": 1, "records": 1, "without_labels": 1},
                    "train": {"shards": 3, "records": 5, "without_labels": 1},
                },
                "frames": {
                    "min": 1,
                    "median": 2.0,
                    "mean": 44 / 6,
                    "max": 30,
                    "bins": [
                        {
                            "from": low,
                            "to": low + 4,
                            "videos": {0: 4, 5: 1, 30: 1}.get(low, 0),
                        }
                        for low in range(0, 31, 5)
                    ],
                },
                "labels": {
                    "min": 1,
                    "median": 1.5,
                    "mean": 1.5,
                    "max": 2,
                    "bins": [{"from": 1, "to": 1, "videos": 2}, {"from": 2, "to": 2, "videos": 2}],
                },
                "without_labels": 2,
                "without_id": 0,
                "missing": {"audio": 2},
                "classes": {
                    "occur": 3,
                    "commonest": [
                        {"class": 2, "name": "C", "videos": 4},
                        {"class": 0, "name": "A", "videos": 1},
                        {"class": 4, "name": "class 4", "videos": 1},
                    ],
                    "rarest": [
                        {"class": 4, "name": "class 4", "videos": 1},
                        {"class": 0, "name": "A", "videos": 1},
                        {"class": 2, "name": "C", "videos": 4},
                    ],
                },
                "faults": {"total": 0, "by_kind": {}, "list": []},
            }
        ],
    }


def test_faults_in_the_record(tmp_path):
    shards = write_set(tmp_path, video_record)
    write_shard(shards[0], [video_record(0), video_record(70, labels=[9]), video_record(8)])
    (each,) = check(tmp_path).to_record()["sets"]
    first, second = each["faults"]["list"]
    assert first | {"what": ""} == {
        "shard": str(shards[0]),
        "record": 1,
        "byte": len(video_record(0)) + 16,
        "kind": "label",
        "what": "",
    }
    assert second["kind"] == "duplicate id" and each["whole"] is False
    assert each["faults"]["by_kind"] == {"duplicate id": 1, "label": 1} and each["faults"]["total"] == 2


def test_the_text(counted):
    shards = write_set(counted, frame_record, shards=1, each=30)
    write_shard(shards[0], [frame_record(number, [0], 1) for number in range(100, 130)] + [b"\xff"] * 3)
    text = check(counted, keep=2).text(faults=2)
    for line in (
        "  layout          a layout of its own, frame level: rgb 6 (byte), audio 4",
        "                  (byte); 5 classes",
        "  faults          3: not a record (3)",
        "    and 1 more (--faults N shows more of them, --json all)",
        "  missing         audio in 2 videos: read as silence",
        "  empty           1 shard",
        "    commonest     first (31), class 2 (2)",
    ):
        assert line in text.splitlines(), text
    assert text.count(f"{shards[0]}, record ") == 2 and "record 30 (counted from 0), byte " in text
    assert "Damaged: 3 faults." in text


def test_no_line_but_those_of_faults_and_folders_is_wider_than_a_terminal(tmp_path):
    names = [f"a class of a rather long name {number}" for number in range(40)]
    write_set(tmp_path, video_record, shards=2, each=40)
    write_shard(tmp_path / "train0.tfrecord", [video_record(n, labels=range(n % 40 + 1)) for n in range(40)])
    write_shard(tmp_path / "train1.tfrecord", [video_record(99, labels=[77])])
    table = "Index,Name\n" + "".join(f"{number},{name}\n" for number, name in enumerate(names))
    (tmp_path / "vocabulary.csv").write_text(table)
    lines = check(tmp_path).text().splitlines()
    wide = [line for line in lines if len(line) > 80]
    assert all(str(tmp_path) in line for line in wide), wide
    text = " ".join(" ".join(lines).split())
    assert "commonest a class of a rather lon… (40)" in text and "rarest a class of a rather lon… (1)" in text


RELEASES = {
    "YouTube-8M 2017, video": (serialize_video, "mean_rgb", 1024, "video_id", "YouTube-8M 2017", 4716),
    "YouTube-8M 2018, video": (serialize_video, "mean_rgb", 1024, "id", "YouTube-8M 2018", 3862),
    "YouTube-8M 2017, frame": (serialize_frames, "rgb", 1024, "video_id", "YouTube-8M 2017", 4716),
    "YouTube-8M 2018, frame": (serialize_frames, "rgb", 1024, "id", "YouTube-8M 2018", 3862),
    "AudioSet": (serialize_frames, "audio_embedding", 128, "video_id", "AudioSet", 527),
    "own": (serialize_frames, "rgb", 77, "id", None, 4),
}


@pytest.mark.parametrize("name", RELEASES)
def test_releases(tmp_path, name):
    make, key, size, id_key, release, classes = RELEASES[name]
    frames = make is serialize_frames
    values = {key: np.ones((2, size), np.uint8) if frames else np.ones(size)}
    features = {"frames" if frames else "features": values}
    write_shard(tmp_path / "train0.tfrecord", [make(video_id="a", labels=[3], id_key=id_key, **features)])
    (each,) = check(tmp_path).sets
    assert (each.target.release, each.num_classes) == (release, classes)
    assert each.target.expected.level == ("frame" if frames else "video") and each.whole


def test_single_shards_are_put_to_their_data_set(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    first, second = write_set(one, video_record), write_set(other, frame_record)
    report = check([first[0], first[2], second[1], first[0]])
    assert [(each.target.path, each.total.records) for each in report.sets] == [
        (str(one), 8),
        (str(other), 4),
    ]
    # A vocabulary beside them counts the classes; a folder named as a whole holds its shards already.
    assert report.sets[0].num_classes == 5
    assert [each.total.records for each in check([one, first[1]]).sets] == [12]


def test_ids_of_two_data_sets_do_not_meet(tmp_path):
    write_set(tmp_path / "frame", frame_record)
    write_set(tmp_path / "video", video_record)
    assert check([tmp_path / "frame", tmp_path / "video"]).whole


def test_the_odd_shard_is_at_fault_even_where_it_comes_first(tmp_path):
    shards = write_set(tmp_path, video_record, shards=6)
    odd = [video_record(100 + number, mean_rgb=np.ones(RGB + 1)) for number in range(4)]
    write_shard(shards[0], odd)
    (each,) = check(tmp_path).sets
    assert each.total.faults == {"size": 4} and {fault.shard for fault in each.faults} == {str(shards[0])}
