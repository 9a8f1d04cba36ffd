"""Trainings on damaged data: stopped at the first fault, or going on without what is faulty."""

import dataclasses
import shutil
import warnings

import numpy as np
import pytest

import dmlkit
from dmlkit.data import open_dataset
from dmlkit.data.records import HEADER_BYTES, frame_record, relative_name, scan_headers
from dmlkit.errors import DataError, UsageError
from dmlkit.profiles import SMOKE
from dmlkit.training.building import build_model
from dmlkit.training.checkpoint import Progress
from dmlkit.training.strategies import OneDevice

PROFILE = dataclasses.replace(SMOKE, batch_size=10, epochs=2, patience=2)


@pytest.fixture
def damaged(generated, tmp_path):
    """A folder with three faulty records to train on, and one to validate on."""
    folder = shutil.copytree(generated, tmp_path / "damaged")
    dataset = open_dataset(folder)
    _flip(dataset.splits["train"][0], 5, 2)
    _flip(dataset.splits["train"][0], 6, HEADER_BYTES + 9)
    _replace(dataset.splits["train"][1], 3, b"\xff\xff\xff")
    _flip(dataset.splits["validate"][0], 1, HEADER_BYTES + 9)
    return dataset


def _flip(path, number, byte):
    begin, _, _ = list(scan_headers(path))[number]
    with open(path, "r+b") as file:
        file.seek(begin + byte)
        old = file.read(1)[0]
        file.seek(begin + byte)
        file.write(bytes([old ^ 4]))


def _replace(path, number, record):
    begin, length, _ = list(scan_headers(path))[number]
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data[:begin] + frame_record(record) + data[begin + HEADER_BYTES + length + 4 :])


def train(dataset, out, **settings):
    settings = {"profile": PROFILE, "progress": "silent", "checkpoint_seconds": 0} | settings
    return dmlkit.train("lr", data=dataset, out=out, **settings)


@pytest.mark.filterwarnings("error:Your input ran out of data")
def test_a_training_goes_on_without_faulty_records(damaged, tmp_path):
    run = train(damaged, tmp_path / "run", on_fault="skip 4")
    told = run.record["data"]["skipped"]
    assert told["records"] == 4
    assert told["by_fault"] == {"record checksum": 2, "length checksum": 1, "not a record": 1}
    shards = {(each["shard"], each["record"]) for each in told["first"]}
    train0, train1 = (relative_name(shard, damaged.path) for shard in damaged.splits["train"][:2])
    assert shards >= {(train0, 5), (train0, 6), (train1, 3)}
    assert not any(shard.startswith("/") for shard, _ in shards)
    assert len(run.predictions.ids) == 99


def test_stopped_by_a_fault_it_can_go_on_without_it(damaged, tmp_path):
    once = dataclasses.replace(PROFILE, epochs=1)
    with pytest.raises(DataError, match=r"record \d \(counted from 0\), byte \d+: "):
        train(damaged, tmp_path / "stopped", profile=once)
    with pytest.raises(DataError, match=r"one too many: .*\(skip 1\)"):
        train(damaged, tmp_path / "stopped", profile=once, on_fault="skip 1")
    stopped = train(damaged, tmp_path / "stopped", profile=once, on_fault="skip 10")
    straight = train(damaged, tmp_path / "straight", profile=once, on_fault="skip 10")
    for one, other in zip(stopped.model.get_weights(), straight.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert {each["record"] for each in stopped.record["data"]["skipped"]["first"]} == {1, 3, 5, 6}


def test_the_limit_outlives_a_restart(damaged, generated, tmp_path):
    def interrupt(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(damaged, tmp_path / "run", on_fault="skip 3", on_epoch=interrupt)
    for shard in damaged.splits["train"][:2]:  # mended meanwhile: three had been left out nevertheless
        shutil.copy(generated / relative_name(shard, damaged.path), shard)
    with pytest.raises(DataError, match=r"validate.*one too many: .*3"):
        train(damaged, tmp_path / "run", on_fault="skip 3", profile=PROFILE)


@pytest.mark.filterwarnings("error:Your input ran out of data")
def test_whole_batches_may_be_left_out(damaged, tmp_path):
    profile = dataclasses.replace(PROFILE, batch_size=1, epochs=1, max_train_videos=60)
    run = train(damaged, tmp_path / "run", on_fault="skip 4", profile=profile)
    assert np.isfinite(run.history["loss"]).all()


def test_nothing_left_of_an_epoch_is_no_error(damaged):
    examples = damaged.batches("train", batch_size=1, max_videos=20, on_fault="skip 4")
    model = build_model("lr", damaged, profile=PROFILE)
    model.compile(optimizer="sgd", loss="binary_crossentropy")
    done = Progress("x", batches=sum(1 for _ in examples))
    assert done.batches < 20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OneDevice().fit(model, examples, done, batches=20, callbacks=[])


def test_a_policy_is_checked_first(generated, tmp_path):
    with pytest.raises(UsageError, match="'raise' or 'skip N'"):
        train(open_dataset(generated), tmp_path / "run", on_fault="ignore")
    assert not (tmp_path / "run").exists()
