"""`check` against damage made by hand and by chance: each fault is found at its place, and no other."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from dmlkit.data import Feature, serialize_frames, serialize_video, write_dataset_toml, write_shard
from dmlkit.data.check import check

RGB, AUDIO, CLASSES = 6, 4, 5


def frame_record(number=0, labels=(1,), frames=3, coding=np.uint8, **other):
    matrices = {"rgb": np.full((frames, RGB), 7, coding), "audio": np.full((frames, AUDIO), 8, coding)}
    return serialize_frames(video_id=f"v{number}", labels=labels, frames={**matrices, **other})


def video_record(number=0, labels=(1,), **other):
    features = {"mean_rgb": np.full(RGB, number / 8), "mean_audio": np.ones(AUDIO), **other}
    return serialize_video(video_id=f"v{number}", labels=labels, features=features)


def write_set(folder, make, *, shards=3, each=4, declared=False):
    """Shards of good records, no id twice; with a dataset.toml that counts them, or a vocabulary alone."""
    paths = [Path(folder) / f"train{shard}.tfrecord" for shard in range(shards)]
    for shard, path in enumerate(paths):
        write_shard(path, [make(shard * each + number) for number in range(each)])
    if not declared:
        (Path(folder) / "vocabulary.csv").write_text(f"Index,Name\n0,first\n{CLASSES - 1},last\n")
        return paths
    video, coding = make is video_record, "float" if make is video_record else "byte"
    sizes = {"rgb": RGB, "audio": AUDIO}
    write_dataset_toml(
        str(folder),
        name="made by hand",
        level="video" if video else "frame",
        features={n: Feature(n, size, coding, f"mean_{n}" if video else n) for n, size in sizes.items()},
        num_classes=CLASSES,
        splits={"train": ["train*.tfrecord"]},
        counts={path.name: each for path in paths},
    )
    return paths


def offsets(records):
    return np.cumsum([0, *(len(record) + 16 for record in records)]).tolist()


def damage_first_byte(path):
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 0x10]) + data[1:])


def places(report):
    """The faults as (file's name, record, byte, kind)."""
    listed = [fault for each in report.sets for fault in each["faults"]["list"]]
    return [(Path(fault["shard"]).name, fault["record"], fault["byte"], fault["kind"]) for fault in listed]


CONTENT = [
    (frame_record, lambda: frame_record(77, labels=[0, CLASSES]), "label", f"label {CLASSES}"),
    (video_record, lambda: video_record(77, mean_rgb=np.ones(RGB + 1)), "size", "mean_rgb"),
    (frame_record, lambda: video_record(77), "level", "not of frame level"),
]


def test_a_record_that_is_not_what_the_data_set_holds(tmp_path):
    for case, (make, bad, kind, what) in enumerate(CONTENT):
        shards = write_set(tmp_path / str(case), make, declared=case % 2 == 0)
        records = [make(4), make(5), bad(), make(7)]
        write_shard(shards[1], records)
        report = check(tmp_path / str(case))
        assert places(report) == [("train1.tfrecord", 2, offsets(records)[2], kind)]
        (each,) = report.sets
        assert what in each["faults"]["list"][0]["what"] and not report.whole
        assert (each["records"], each["good_records"], each["faults"]["by_kind"]) == (12, 11, {kind: 1})


def test_repeated_ids_are_named_at_both_places(tmp_path):
    shards = write_set(tmp_path, video_record)
    records = [video_record(20), video_record(3), video_record(21), video_record(20)]
    write_shard(shards[2], records)
    report, begins = check(tmp_path), offsets(records)
    expected = [("train2.tfrecord", number, begins[number], "duplicate id") for number in (1, 3)]
    assert places(report) == expected == places(check(shards))  # single shards of one data set
    first, second = (fault["what"] for fault in report.sets[0]["faults"]["list"])
    assert f"{shards[0]}, record 3 (counted from 0)" in first
    assert f"{shards[2]}, record 0 (counted from 0), byte 0" in second


def test_counts_of_dataset_toml(tmp_path):
    shards = write_set(tmp_path, frame_record, declared=True)
    begins = offsets([frame_record(number) for number in range(4)])
    shards[0].write_bytes(shards[0].read_bytes()[: begins[2]])
    write_shard(shards[1], [frame_record(20 + number) for number in range(5)])
    shards[2].unlink()
    assert places(check(tmp_path)) == [
        (tmp_path.name, None, None, "refused"),  # two shards are too few to open
        ("train0.tfrecord", 2, begins[2], "count"),
        ("train1.tfrecord", 5, shards[1].stat().st_size, "count"),
        ("train2.tfrecord", None, None, "missing shard"),
    ]
    # A damaged stretch may have been any number of records, so the count is no fault.
    damage_first_byte(shards[0])
    assert places(check(shards[0])) == [("train0.tfrecord", 0, 0, "length checksum")]
    toml = (tmp_path / "dataset.toml").read_text().partition("[counts]")[0]
    (tmp_path / "dataset.toml").write_text("records_per_shard = 3\n" + toml)
    write_shard(shards[0], [frame_record(number) for number in range(2)])
    assert places(check(tmp_path))[1:] == [("train0.tfrecord", 2, shards[0].stat().st_size, "count")]


def test_what_cannot_be_read_and_what_is_no_shard(tmp_path):
    write_set(tmp_path / "a", video_record)
    (tmp_path / "a" / "train9.tfrecord").symlink_to(tmp_path / "nowhere")
    assert places(check(tmp_path / "a")) == [("train9.tfrecord", None, None, "unreadable")]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "train0.tfrecord").write_bytes(b"not a shard at all, but some text")
    report = check(tmp_path / "b")
    assert report.sets[0]["level"] is None and "only checksums" in report.text()
    for shard in write_set(tmp_path / "c", video_record):
        damage_first_byte(shard)
    report = check(tmp_path / "c", keep=1)  # the layout comes from the records behind
    assert report.sets[0]["level"] == "video" and report.sets[0]["good_records"] == 9
    assert len(places(report)) == 1 and report.sets[0]["faults"]["total"] == 3


def test_the_record_counts_what_is_there(tmp_path):
    shards = write_set(tmp_path, frame_record, shards=2)
    lengths = [1, 2, 3, 30]
    write_shard(shards[0], [frame_record(50 + n, labels=range(n % 3), frames=n) for n in lengths])
    shorter = frame_record(3, audio=np.ones((2, AUDIO), np.uint8))
    silent = {"audio": np.zeros((0, AUDIO), np.uint8)}
    write_shard(shards[1], [frame_record(1, labels=[4]), frame_record(2, **silent), shorter])
    (record,) = check(tmp_path).to_record()["sets"]
    assert (record["records"], record["good_records"], record["shards"]) == (7, 7, 2)
    values = np.array([*lengths, 3, 3, 2])
    assert record["frames"] == {"min": 1, "median": 3, "mean": values.mean(), "max": 30}
    assert record["labels"] == {"min": 1, "median": 1, "mean": 1.2, "max": 2}
    assert record["splits"]["train"] == {"shards": 2, "records": 7, "without_labels": 2}
    assert (
        record["missing"] == {"audio": 1} and record["classes"] == {0: 2, 1: 3, 4: 1} and record["cut"] == 1
    )
    text = check(tmp_path).text()
    assert (
        "frames a video  1 to 30, median 3, mean 6.3" in text
        and "1 video to the shortest" in text
        and "read as silence" in text
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Many shards, some damaged: more than one worker is given at a time."""
    folder = tmp_path_factory.mktemp("many")
    for shard in range(60):
        records = [video_record(2 * shard), video_record(2 * shard + 1)]
        write_shard(folder / f"train{shard:03}.tfrecord", records)
    for shard in (7, 59):
        path = folder / f"train{shard:03}.tfrecord"
        path.write_bytes(path.read_bytes()[:-shard])
    write_shard(folder / "train030.tfrecord", [video_record(0), video_record(900)])
    return folder


def test_several_processes_give_the_answer_of_one(many):
    one, two = (check(many, jobs=jobs).sets for jobs in (1, 2))
    assert one == two and one[0]["faults"]["by_kind"] == {"cut off": 2, "duplicate id": 1}


HOOK = """
import os, sys, time

def at(event, arguments):
    if event == "open" and str(arguments[0]).endswith("train001.tfrecord"):
        {what}

sys.addaudithook(at)
"""


@pytest.fixture
def started(tmp_path, many):
    """A function that starts `dmlkit data check --jobs 2`, in which opening one shard runs some code."""
    processes = []

    def start(what):
        (tmp_path / "sitecustomize.py").write_text(HOOK.format(what=what))
        path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "dmlkit.cli", "data", "check", str(many), "--jobs", "2"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = os.environ | {"PYTHONPATH": path}
        processes.append(subprocess.Popen(command, env=environment, start_new_session=True, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_a_worker_that_dies_ends_the_check_with_advice(started):
    process = started("__import__('multiprocessing').parent_process() and os.kill(os.getpid(), 9)")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 3 and "train00" in errors and "--jobs 1" in errors


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_command(started, tmp_path, how):
    def group_is_gone():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 0)
            return False
        return True

    marker, worker = tmp_path / "marker", "__import__('multiprocessing').parent_process()"
    process = started(f"{worker} and (os.makedirs({str(marker)!r}, exist_ok=True), time.sleep(600))")
    assert until(marker.exists)
    os.killpg(process.pid, how) if how == signal.SIGINT else process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert until(group_is_gone, 20)
    assert how == signal.SIGKILL or (process.returncode, errors.strip()) == (130, "dmlkit: interrupted.")


def test_real_shards_are_whole(real_data):
    report = check(real_data / "yt8m-2017-video")
    assert report.whole and report.sets[0]["good_records"] == 1201
