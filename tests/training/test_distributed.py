"""Two devices take the steps one device takes; what they cannot do is refused.

Two workers as two processes are in tests/acceptance/test_training.py.
"""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

import dmlkit
from dmlkit.data import Skipped
from dmlkit.errors import UsageError
from dmlkit.models import build
from dmlkit.profiles import SMOKE
from dmlkit.training.distributed import (
    STRATEGIES,
    Distribution,
    OneDeviceError,
    check_distributable,
    divide,
    mirrored,
    read_cluster,
)
from dmlkit.training.objectives import learner_for

TWO = {"worker": ["a:1", "b:2"]}
SPLITS = ("train", "tuning", "validate")


def config(cluster, type="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": type, "index": index}})}


def test_tf_config_names_the_workers_the_chief_first_or_what_is_wrong(generated, tmp_path, monkeypatch):
    chief = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    for environment, addresses, index in (
        (config(TWO, index=1), ("a:1", "b:2"), 1),
        (config(chief, index=1), ("c:3", "a:1", "b:2"), 2),
        (config(chief, type="chief"), ("c:3", "a:1", "b:2"), 0),
    ):
        cluster = read_cluster(environment)
        assert (tuple(cluster.addresses), cluster.index) == (addresses, index)
    for environment, message in (
        ({}, "it is not set here"),
        (config({"worker": ["a"]}), "cluster.worker.0"),
        (config({"worker": ["a:1", "a:1"]}), "the same address"),
        (config({"worker": ["a:1"], "ps": ["b:1"]}), "cluster.ps"),
        (config(TWO, type="evaluator"), "task.type .*'chief' or 'worker'"),
        (config(TWO, index=2), "task.index is 2, and cluster.worker has 2"),
    ):
        with pytest.raises(UsageError, match=f"TF_CONFIG.*{message}"):
            read_cluster(environment)
    # Nobody trains alone where others are named, nor another training than the chief.
    monkeypatch.setenv("TF_CONFIG", config(TWO)["TF_CONFIG"])
    with pytest.raises(UsageError, match="names 2 workers"):
        dmlkit.train("lr", data=generated, out=tmp_path / "run", profile="smoke", progress="silent")
    workers = Distribution("two", cluster=read_cluster(config(TWO)))
    monkeypatch.setattr(workers, "gather", lambda facts: [facts, facts | {"seed": 7}])
    with pytest.raises(UsageError, match=r"worker 1 \(b:2\) has another seed than worker 0"):
        workers.agree({"experiment": "lr", "seed": 0})


def ids(dataset, profile, split, **settings):
    if not dataset.splits[split]:
        return []
    reader = dataset.batches(split, batch_size=50, max_videos=profile.caps[split], max_frames=1, **settings)
    return [name for batch in reader for name in batch["id"]]


@pytest.mark.parametrize("workers", [1, 3, 7, 18])
@pytest.mark.parametrize("caps", [(None, None, None), (175, 100, 33)], ids=["all", "capped"])
def test_the_workers_videos_are_the_whole(generated, workers, caps):
    dataset = dmlkit.open_dataset(generated)
    limits = {f"max_{split}_videos": cap for split, cap in zip(SPLITS, caps, strict=True)}
    profile = replace(SMOKE, batch_size=64, **limits)
    parts = [divide(dataset, profile, index=i, workers=workers, skipped=Skipped()) for i in range(workers)]
    assert sum(own.batch_size for _, own in parts) == 64
    for split in SPLITS:
        whole = ids(dataset, profile, split)
        assert [name for part in parts for name in ids(*part, split)] == whole
        shuffled = [name for part in parts for name in ids(*part, split, shuffle=True, epoch=3)]
        assert sorted(shuffled) == sorted(whole)
    counts = [len(own.splits["train"]) for own, _ in parts]
    assert max(counts) - min(counts) <= 1


def test_more_workers_than_shards_or_videos_are_refused(generated):
    dataset = dmlkit.open_dataset(generated)
    shards = len(dataset.splits["train"])
    for profile, workers, message in (
        (SMOKE, shards + 1, f"from {shards} shards .* {shards + 1} workers"),
        (replace(SMOKE, max_train_videos=15), 3, r"from 2 shards \(max_train_videos=15\)"),
        (replace(SMOKE, batch_size=2), 3, "batch of 2 videos"),
    ):
        with pytest.raises(UsageError, match=message):
            divide(dataset, profile, index=0, workers=workers, skipped=Skipped())


@pytest.mark.parametrize(
    ("parts", "profile", "message"),
    [
        (
            {},
            {"label_smoothing": 0.1, "modality_dropout": 0.2},
            "support label_smoothing and modality_dropout",
        ),
        ({"copies": 2}, {}, "support copies"),
        ({}, {"ema": 0.9}, "averaged weights"),
        ({}, {"after_tuning": "refit"}, "do not refit"),
        ({"gate_scores": "context"}, {}, "each device's own statistics"),
        ({"precision": "mixed_float16"}, {}, "mixed_float16"),
    ],
)
def test_what_several_devices_would_compute_otherwise_is_refused(parts, profile, message):
    profile, features = replace(SMOKE, **profile), {"rgb": (3, "float"), "audio": (2, "float")}
    model = build(features=features, level="video", num_classes=4, encoder="none", **parts)
    with pytest.raises(OneDeviceError, match=f"for one device alone: .*{message}"):
        check_distributable(learner_for(model, profile, seed=0), profile, replicas=2)


def test_auto_takes_one_device_where_several_cannot(generated, tmp_path, monkeypatch, capsys):
    settings = {"data": generated / "video", "out": tmp_path / "run", "profile": "smoke", "progress": "lines"}
    experiment = replace(dmlkit.EXPERIMENTS["lr"], copies=2)
    with pytest.raises(UsageError, match="for one device alone"):
        dmlkit.train(experiment, strategy="mirrored", **settings)
    monkeypatch.setitem(STRATEGIES, "auto", mirrored)  # as where there are several GPUs
    run = dmlkit.train(experiment, **settings)
    line = "Trained on one of 1 devices: several devices do not support copies."
    assert line in capsys.readouterr().out and run.record["strategy"]["name"] == "one device"


# Two logical processors stand for two GPUs, in a process of its own: TensorFlow divides them before anything else.
DEVICES = """
import dataclasses, json, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import numpy as np, dmlkit
data, out, cases = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
for number, (level, experiment, profile, settings) in enumerate(cases):
    runs = [
        dmlkit.train(
            dmlkit.Experiment(name="case", title="Case", chapter="none", **experiment),
            data=data + ("/video" if level == "video" else ""), out=f"{out}/{number}-{strategy}", progress="silent",
            profile=dataclasses.replace(dmlkit.PROFILES["smoke"], **profile), strategy=strategy, **settings,
        )
        for strategy in ("auto", "mirrored")
    ]
    weights = [run.model.get_weights() for run in runs]
    print(json.dumps({
        "difference": max(float(np.abs(a - b).max()) for a, b in zip(*weights, strict=True)),
        "losses": [list(run.history["loss"]) for run in runs],
        "gaps": [list(run.history["tuning_gap"]) for run in runs],
        "tuning": [list(run.history["tuning_loss"]) for run in runs],
        "replicas": [run.record["strategy"]["replicas"] for run in runs],
    }))
"""
PROJECTION = {"fusion": "projection", "encoder": "none", "pooling": "mean", "alignment_weight": 2.0}
LATE = PROJECTION | {"fusion_stage": "late", "pooling": "last", "mapping_initializer": "glorot"}


def test_two_devices_train_as_one(generated, tmp_path):
    cases = [
        # Losses of scores, of layers and of weights; a batch of 179 leaves one video for two devices.
        ("frame", PROJECTION, {"batch_size": 179, "epochs": 2, "patience": 2, "clip_norm": 0.05}, {}),
        # Last states are aligned video by video, whatever the videos' lengths.
        ("frame", LATE, {"batch_size": 20, "max_frames": None, "epochs": 1}, {}),
        ("video", {"pooling": "last", "classifier": "mixture_of_experts"}, {"batch_size": 7}, {"xla": True}),
    ]
    command = [sys.executable, "-c", DEVICES, str(generated), str(tmp_path), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for line in done.stdout.splitlines():
        result = json.loads(line)
        assert result["difference"] < 1e-5
        assert result["losses"][0] == pytest.approx(result["losses"][1], abs=1e-4)
        assert result["gaps"][0] == pytest.approx(result["gaps"][1], abs=1e-3)
        assert result["tuning"][0] == pytest.approx(result["tuning"][1], abs=1e-4)
        assert result["replicas"] == [1, 2]
