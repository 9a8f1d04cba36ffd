"""Files of predictions from runs: what is in them, and that they are measured as the runs are."""

import os
import shutil

import numpy as np
import pytest

import dmlkit
from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.metrics import measure
from dmlkit.submission import check
from dmlkit.submission import evaluate as evaluate_file
from dmlkit.training import submit
from dmlkit.training.members import members_of, score_blocks


def test_a_file_measures_as_its_run_does(smoke_runs, generated, tmp_path):
    runs = [run.path for run in smoke_runs.values()]
    for number, given in enumerate([runs[0], runs[1], runs]):
        file = tmp_path / f"{number}.csv.gz"
        assert submit(given, data=generated, out=file, split="validate") == 100
        of_run, of_file = dmlkit.evaluate(given, data=generated), evaluate_file(file, data=generated)
        assert {name: of_run[name] for name in of_file} == of_file


def test_every_video_of_a_part_without_labels_has_its_line(smoke_runs, generated, tmp_path):
    file = tmp_path / "test.csv"
    assert submit(smoke_runs["attention"], data=generated, out=file) == 20
    checked = check(file, data=generated)
    assert (checked.videos, list(checked.faults)) == (20, [])
    header, *lines = file.read_text().splitlines()
    assert header == "VideoId,LabelConfidencePairs"
    (block,) = score_blocks(members_of(smoke_runs["attention"]), open_dataset(generated), "test")
    for video, scores, line in zip(block.ids, block.scores, lines, strict=True):
        name, _, pairs = line.partition(",")
        classes = np.lexsort((np.arange(24), -scores.astype(np.float64)))[:20]
        assert name == video
        assert pairs.split()[::2] == list(map(str, classes))
        np.testing.assert_array_equal(np.array(pairs.split()[1::2], np.float16), scores[classes])


def test_fewer_pairs_and_names_for_people(smoke_runs, generated, tmp_path):
    submit(smoke_runs["lr"], data=generated, out=tmp_path / "s.csv", top_k=3)
    submit(smoke_runs["lr"], data=generated, out=tmp_path / "s.txt", top_k=3, names=True)
    lines = (tmp_path / "s.csv").read_text().splitlines()[1:]
    people = (tmp_path / "s.txt").read_text().splitlines()
    names = open_dataset(generated).class_names
    assert len(lines) == 20 and len(people) == 80
    for place, line in enumerate(lines):
        video, _, pairs = line.partition(",")
        assert people[4 * place] == video
        for shown, label in zip(people[4 * place + 1 : 4 * place + 4], pairs.split()[::2], strict=True):
            score, number, name = shown.split(maxsplit=2)
            assert (number, name) == (label, names[int(label)]) and 0 <= float(score) <= 1


def test_all_videos_are_measured_where_training_caps_them(smoke_runs, generated):
    """The smoke profile reads 200 videos of the part; the measure is of all or of as many as are asked for."""
    found = dmlkit.evaluate(smoke_runs["lr"], data=generated, split="train")
    assert found["videos"] == 180
    assert dmlkit.evaluate(smoke_runs["lr"], data=generated, max_videos=30)["videos"] == 30
    capped = dmlkit.evaluate(smoke_runs["lr"], data=generated, split="tuning")
    (block,) = score_blocks(members_of(smoke_runs["lr"]), open_dataset(generated), "tuning")
    assert capped | {"gap_interval": None} == measure(block.scores.astype(np.float32), block.labels) | {
        "gap_interval": None
    }


def test_nothing_is_left_where_something_goes_wrong(smoke_runs, generated, tmp_path):
    shutil.copytree(generated, tmp_path / "data")
    shard = open_dataset(tmp_path / "data").splits["test"][-1]
    with open(shard, "r+b") as file:
        file.seek(-6, 2)
        last = file.read(1)
        file.seek(-6, 2)
        file.write(bytes([last[0] ^ 1]))
    out = tmp_path / "out"
    out.mkdir()
    (out / "kept.csv").write_text("as it was")
    for name in ("new.csv", "kept.csv"):
        with pytest.raises(DataError, match="checksum"):
            submit(smoke_runs["lr"], data=tmp_path / "data", out=out / name)
    assert [path.name for path in out.iterdir()] == ["kept.csv"]
    assert (out / "kept.csv").read_text() == "as it was"
    assert submit(smoke_runs["lr"], data=tmp_path / "data", out=out / "new.csv", on_fault="skip 1") == 19
    assert [fault.kind for fault in check(out / "new.csv", data=generated).faults] == ["missing id"]


def test_a_link_stays_one(smoke_runs, generated, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s.csv").symlink_to(tmp_path / "elsewhere" / "real.csv")
    assert submit(smoke_runs["lr"], data=generated, out=tmp_path / "s.csv") == 20
    assert (tmp_path / "s.csv").is_symlink()
    assert len((tmp_path / "elsewhere" / "real.csv").read_text().splitlines()) == 21


def test_a_file_that_cannot_be_written_is_told_first(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for out, reason in (
        (tmp_path, "a folder stands there"),
        (tmp_path / "pipe", "a device or a pipe stands there"),
        ("/dev/null", "a device or a pipe stands there"),
        (tmp_path / "no" / "s.csv", "there is no folder"),
    ):
        with pytest.raises(UsageError, match=reason):
            submit("no run", data="no data", out=out)


def test_data_of_another_kind_are_refused(smoke_runs, generated, tmp_path):
    with pytest.raises(UsageError, match="level"):
        submit(smoke_runs["lr"], data=generated / "video", out=tmp_path / "s.csv")
    with pytest.raises(UsageError, match="no split 'tset'"):
        submit(smoke_runs["lr"], data=generated, out=tmp_path / "s.csv", split="tset")
    assert list(tmp_path.iterdir()) == []
