"""Training as users know it: `dmlkit.train` and `dmlkit train`, a run left on disk, resumed, divided among workers."""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import dmlkit

SMOKE = dmlkit.PROFILES["smoke"]
# Every trick that draws random numbers in a step, and what the checkpoint must bring back with them.
SCRIPT = """
import dataclasses, json, sys, dmlkit
data, out, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
profile = dataclasses.replace(dmlkit.PROFILES["smoke"], **settings.pop("profile"))
experiment = dataclasses.replace(dmlkit.EXPERIMENTS[settings.pop("name")], **settings.pop("experiment", {}))
try:
    dmlkit.train(experiment, data=data, out=out, profile=profile, progress="lines", checkpoint_seconds=0, **settings)
except Exception as error:
    print(error, file=sys.stderr)
    sys.exit(getattr(error, "exit_code", 1))
"""
TRICKS = {
    "batch_size": 10, "epochs": 3, "patience": 3, "input_dropout": 0.3, "frame_choice": "random", "schedule": "cosine",
    "mixup": 0.4, "modality_dropout": 0.2, "label_smoothing": 0.1, "ema": 0.9, "checkpoints": 2,
}  # fmt: skip


def start(data, out, *, environment=None, **settings):
    """A training as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", SCRIPT, str(data), str(out), json.dumps(settings)],
        env=os.environ | {"TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"} | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_workers(data, out, count=2, **settings):
    """The workers of one training, on loopback."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    workers = []
    for index in range(count):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {"TF_CONFIG": json.dumps(cluster), "TF_NUM_INTEROP_THREADS": "2"}
        workers.append(start(data, out, strategy="multi-worker", environment=environment, **settings))
    return workers


def kill_within_epoch(process, victim, out, *, after):
    """SIGKILL once this epoch is done and two checkpoints within the next were written."""
    for line in process.stdout:
        if line.startswith(f"epoch {after:>2}"):
            break
    seen, deadline = set(), time.monotonic() + 120
    while len(seen) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        seen.add((out / "checkpoint.npz").stat().st_mtime_ns)
        time.sleep(0.002)
    victim.send_signal(signal.SIGKILL)


def test_a_run_holds_what_was_trained_and_how_well(smoke_runs):
    for name, run in smoke_runs.items():
        assert {path.name for path in run.path.iterdir()} == {
            "run.json", "history.csv", "model.keras", "predictions.npz", "tuning.npz",
        }  # fmt: skip
        assert run.name == name and len(run.history) == run.record["epochs"] == 2
        assert list(run.history["examples"]) == [180, 360]
        assert run.record["data"]["videos"] == {"train": 180, "tuning": 20, "validate": 100}
        assert run.record["parameters"] == run.model.count_params()
        assert set(run.record["versions"]) >= {"python", "keras", "tensorflow", "numpy"}
        scores = run.predictions.scores.astype(np.float32)
        assert run.gap == dmlkit.global_average_precision(scores, run.predictions.labels)


def test_the_best_epoch_on_the_tuning_videos_is_kept_and_patience_ends(generated, tmp_path):
    # A learning rate so high that scores jump about.
    profile = dataclasses.replace(SMOKE, epochs=12, patience=2, learning_rate=0.5)
    run = dmlkit.train("lr", data=generated, out=tmp_path / "run", profile=profile, progress="silent")
    gaps = run.history["tuning_gap"]
    assert run.record["best_epoch"] == gaps.idxmax() + 1
    assert run.tuning_gap == pytest.approx(gaps.max(), abs=1e-4)
    assert run.record["epochs"] == min(12, run.record["best_epoch"] + 2)
    diverging = dataclasses.replace(SMOKE, learning_rate=1e38, normalization="none", clip_norm=1e38)
    with pytest.raises(dmlkit.DataError, match="lower"):
        dmlkit.train("lr", data=generated, out=tmp_path / "diverged", profile=diverging, progress="silent")


@pytest.mark.timeout(280)
def test_killed_within_an_epoch_it_ends_with_the_same_run(generated, tmp_path):
    settings = {"name": "lr", "experiment": {"copies": 2}, "profile": TRICKS, "deterministic": True}
    straight = start(generated, tmp_path / "straight", **settings)
    killed = start(generated, tmp_path / "killed", **settings)
    kill_within_epoch(killed, killed, tmp_path / "killed", after=1)
    killed.wait()
    with pytest.raises(dmlkit.DataError, match="no finished run"):
        dmlkit.load_run(tmp_path / "killed")
    again = start(generated, tmp_path / "killed", **settings)
    assert "epoch  1" not in again.communicate()[0] and again.returncode == 0
    assert straight.communicate() and straight.returncode == 0
    for part in (".", "checkpoints/2", "checkpoints/3"):
        one, other = (dmlkit.load_run(tmp_path / name / part) for name in ("straight", "killed"))
        for mine, theirs in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert one.gap == other.gap and one.tuning_gap == other.tuning_gap
    one, other = (dmlkit.load_run(tmp_path / name) for name in ("straight", "killed"))
    assert one.history.drop(columns="seconds").equals(other.history.drop(columns="seconds"))


@pytest.fixture
def damaged(generated, tmp_path):
    """A copy of the data set, and its last training shard, whose first record is corrupt."""
    copied = shutil.copytree(generated, tmp_path / "damaged")
    shard = dmlkit.open_dataset(copied).splits["train"][-1]
    with open(shard, "r+b") as file:
        file.seek(40)
        file.write(b"\xff\xfe")
    return copied, shard


def test_corrupt_records_stop_a_training_or_are_skipped(damaged, tmp_path, command):
    folder, shard = damaged
    settings = ("train", "lr", "--data", folder, "--profile", "smoke", "--out", tmp_path / "run")
    code, _, error = command(*settings)
    assert code == 3 and f"{shard}, record 0" in error
    assert command(*settings, "--on-fault", "skip 1")[0] == 0
    skipped = dmlkit.load_run(tmp_path / "run").record["data"]["skipped"]
    assert skipped["records"] == 1 and skipped["first"][0]["record"] == 0
    assert command(*settings[:-1], tmp_path / "other", "--on-fault", "ignore")[0] == 2


def test_teachers_are_followed_and_named(generated, smoke_runs, tmp_path):
    teacher = smoke_runs["attention"]
    settings = {"profile": dataclasses.replace(SMOKE, teaching=1.0), "teachers": [teacher]}
    run = dmlkit.train("lr", data=generated, out=tmp_path / "run", progress="silent", **settings)
    assert [each["name"] for each in run.record["teachers"]] == ["attention"]
    assert not np.array_equal(run.predictions.scores, smoke_runs["lr"].predictions.scores)


def test_several_workers_need_to_be_named(generated, tmp_path, command, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    settings = ("train", "lr", "--data", generated, "--profile", "smoke", "--out", tmp_path / "run")
    code, _, error = command(*settings, "--strategy", "multi-worker")
    assert code == 2 and "TF_CONFIG" in error
    assert command(*settings, "--strategy", "mirrored")[0] == 0
    assert dmlkit.load_run(tmp_path / "run").record["strategy"]["name"] == "mirrored"


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_two_workers_train_as_one_process_does(generated, tmp_path):
    # All videos in one batch, so that the order in which workers read them changes nothing.
    profile = {"batch_size": 400, "epochs": 3, "patience": 3, "clip_norm": 0.2, "max_train_videos": None}
    one = start(generated, tmp_path / "one", name="lr", profile=profile)
    two = start_workers(generated, tmp_path / "two", name="lr", profile=profile)
    outputs = [each.communicate()[0] for each in (one, *two)]
    assert [each.returncode for each in (one, *two)] == [0, 0, 0], outputs
    one, two = (dmlkit.load_run(tmp_path / name) for name in ("one", "two"))
    for mine, theirs in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    assert two.gap == pytest.approx(one.gap, abs=1e-4)
    assert list(two.history["tuning_loss"]) == pytest.approx(list(one.history["tuning_loss"]), rel=1e-5)
    assert list(two.predictions.ids) == list(one.predictions.ids)
    assert two.record["strategy"] == {"name": "multi-worker", "workers": 2, "replicas": 2}


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_corrupt_record_of_one_worker_ends_both_with_its_name(damaged, tmp_path):
    folder, shard = damaged
    workers = start_workers(folder, tmp_path / "run", name="lr", profile={"batch_size": 15})
    for worker in workers:
        printed = worker.communicate()[0]
        assert worker.returncode == 3 and f"{shard}, record 0" in printed and "Traceback" not in printed


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_where_a_worker_dies_the_other_ends_with_75_and_both_go_on(generated, tmp_path):
    profile = {"batch_size": 10, "epochs": 3, "patience": 3}
    chief, other = start_workers(generated, tmp_path / "run", name="lr", profile=profile)
    kill_within_epoch(chief, other, tmp_path / "run", after=1)
    assert "another worker" in chief.communicate()[0] and chief.returncode == 75
    other.communicate()
    again = start_workers(generated, tmp_path / "run", name="lr", profile=profile)
    outputs = [each.communicate()[0] for each in again]
    assert [each.returncode for each in again] == [0, 0], outputs
    assert "epoch  1" not in outputs[0]
    assert list(dmlkit.load_run(tmp_path / "run").history["epoch"]) == [1, 2, 3]
