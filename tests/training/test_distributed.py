"""Two devices and two workers take the steps one device takes; what they cannot do is refused."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import dmlkit
from dmlkit.data import Skipped
from dmlkit.errors import UsageError
from dmlkit.models import build
from dmlkit.profiles import SMOKE
from dmlkit.training.distributed import (
    OneDeviceError,
    check_distributable,
    divide,
    read_cluster,
    split_inputs,
)
from dmlkit.training.objectives import learner_for

TWO = {"worker": ["a:1", "b:2"]}


def config(cluster, type="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": type, "index": index}})}


@pytest.mark.parametrize(
    ("environment", "addresses", "index"),
    [
        (config(TWO, index=1), ("a:1", "b:2"), 1),
        (config({"worker": ["a:1", "b:2"], "chief": ["c:3"]}, index=1), ("c:3", "a:1", "b:2"), 2),
        (config({"worker": ["a:1"], "chief": ["c:3"]}, type="chief"), ("c:3", "a:1"), 0),
        (config({"worker": ["[::1]:80"]}), ("[::1]:80",), 0),
    ],
)
def test_the_chief_is_the_first_worker(environment, addresses, index):
    cluster = read_cluster(environment)
    assert (cluster.addresses, cluster.index) == (addresses, index)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "it is not set here"),
        ({"TF_CONFIG": "{"}, "Invalid JSON"),
        ({"TF_CONFIG": '{"cluster": {}}'}, "task Field required"),
        (config({"worker": ["a"]}), "cluster.worker.0 .* String should match"),
        (config({"worker": [7]}), "cluster.worker.0"),
        (config({"worker": ["a:1", "a:1"]}), "the same address"),
        (config({"worker": ["a:1"], "chief": ["b:1", "c:1"]}), "cluster.chief"),
        (config({"worker": ["a:1"], "ps": ["b:1"]}), "cluster.ps"),
        (config(TWO, type="evaluator"), "task.type .*'chief' or 'worker'"),
        (config(TWO, index=2), "task.index is 2, and cluster.worker has 2"),
        (config(TWO, index=-1), "task.index"),
        (config(TWO, index=True), "task.index"),
    ],
)
def test_an_invalid_tf_config_names_what_is_wrong(environment, message):
    with pytest.raises(UsageError, match=f"(?s)TF_CONFIG.*{message}"):
        read_cluster(environment)


def test_nobody_trains_alone_where_tf_config_names_others(generated, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config(TWO)["TF_CONFIG"])
    with pytest.raises(UsageError, match="names 2 workers"):
        dmlkit.train("lr", data=generated, out=tmp_path / "run", profile="smoke", progress="silent")
    with pytest.raises(UsageError, match="mirrored, multi-worker"):
        dmlkit.train("lr", data=generated, out=tmp_path / "run", profile="smoke", strategy="mirored")


def ids(dataset, profile, split, **settings):
    if not dataset.splits[split]:
        return []
    reader = dataset.batches(split, batch_size=50, max_videos=profile.caps[split], max_frames=1, **settings)
    return [name for batch in reader for name in batch["id"]]


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 18])
@pytest.mark.parametrize("caps", [(None, None, None), (175, 100, 33)], ids=["all", "capped"])
def test_the_workers_videos_are_the_whole(generated, workers, caps):
    dataset = dmlkit.open_dataset(generated)
    splits = ("train", "tuning", "validate")
    limits = {f"max_{split}_videos": cap for split, cap in zip(splits, caps, strict=True)}
    profile = replace(SMOKE, batch_size=64, **limits)
    parts = [divide(dataset, profile, index=i, workers=workers, skipped=Skipped()) for i in range(workers)]
    assert sum(own.batch_size for _, own in parts) == 64
    for split in splits:
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


def test_a_batch_is_cut_into_pieces_as_equal_as_can_be():
    import tensorflow as tf

    for rows, pieces in ((7, 3), (2, 3), (0, 2), (6, 3)):
        places = [place for place, _ in split_inputs({"rgb": tf.zeros((rows, 2))}, pieces)]
        assert [row for place in places for row in range(rows)[place]] == list(range(rows))
        lengths = [place.stop - place.start for place in places]
        assert len(places) == pieces and max(lengths) - min(lengths) <= 1
    inputs = {"rgb": tf.zeros((1, 4, 2), tf.uint8), "num_frames": tf.fill((1,), 4)}
    _, (place, empty) = split_inputs(inputs, 2)
    # No layer takes an empty batch: a dummy row of one frame stands for none.
    assert place.start == place.stop == 1 and empty["rgb"].shape == (1, 4, 2)
    assert empty["num_frames"].numpy().tolist() == [1]


def small_model(**parts):
    features = {"rgb": (3, "float"), "audio": (2, "float")}
    return build(features=features, level="video", num_classes=4, encoder="none", **parts)


@pytest.mark.parametrize(
    ("parts", "profile", "message"),
    [
        ({}, {"mixup": 0.4}, "support mixup"),
        ({}, {"label_smoothing": 0.1, "modality_dropout": 0.2}, "support label_smoothing and modality_dropout"),
        ({"copies": 2}, {}, "support copies"),
        ({}, {"ema": 0.9}, "averaged weights"),
        ({}, {"after_tuning": "refit"}, "do not refit"),
        ({}, {"ridge": 0.1}, "kernel ridge"),
        ({"gate_scores": "context"}, {}, "each device's own statistics"),
        ({"precision": "mixed_float16"}, {}, "mixed_float16"),
    ],
)  # fmt: skip
def test_what_several_devices_would_compute_otherwise_is_refused(parts, profile, message):
    profile = replace(SMOKE, **profile)
    learner = learner_for(small_model(**parts), profile, seed=0)
    with pytest.raises(OneDeviceError, match=f"for one device alone: .*{message}"):
        check_distributable(learner, profile, replicas=2)


# Two logical processors stand for two GPUs, in a process of its own: TensorFlow divides them before anything else.
DEVICES = """
import dataclasses, json, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import numpy as np, dmlkit
from dmlkit.training import distributed
data, out, cases = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
for number, (level, experiment, profile, settings) in enumerate(cases):
    gpus = settings.pop("gpus", False)
    runs = []
    for strategy in ("auto", "mirrored"):
        if gpus and strategy == "auto":  # begins with all devices where there are several GPUs
            distributed.STRATEGIES["auto"] = distributed.mirrored
        try:
            runs.append(dmlkit.train(
                dmlkit.Experiment(name="case", title="Case", chapter="none", **experiment),
                data=data + ("/video" if level == "video" else ""), out=f"{out}/{number}-{strategy}",
                profile=dataclasses.replace(dmlkit.PROFILES["smoke"], **profile), strategy=strategy,
                **{"progress": "silent", **settings},
            ))
        except dmlkit.UsageError as error:
            print(json.dumps({"error": str(error), "trained": [run.record["strategy"] for run in runs]}))
    distributed.STRATEGIES["auto"] = distributed.auto
    if len(runs) == 2:
        weights = [run.model.get_weights() for run in runs]
        print(json.dumps({
            "difference": max(float(np.abs(a - b).max()) for a, b in zip(*weights, strict=True)),
            "losses": [list(run.history["loss"]) for run in runs],
            "gaps": [list(run.history["tuning_gap"]) for run in runs],
            "replicas": [run.record["strategy"]["replicas"] for run in runs],
        }))
"""
PROJECTION = {"fusion": "projection", "encoder": "none", "pooling": "mean", "alignment_weight": 2.0}


def train_on_two_devices(cases, data, out) -> list:
    command = [sys.executable, "-c", DEVICES, str(data), str(out), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) if line.startswith("{") else line for line in done.stdout.splitlines()]


def check_equal(result):
    assert result["difference"] < 1e-5
    assert result["losses"][0] == pytest.approx(result["losses"][1], abs=1e-4)
    assert result["gaps"][0] == pytest.approx(result["gaps"][1], abs=1e-3)
    assert result["replicas"] == [1, 2]


def test_two_devices_train_as_one(generated, tmp_path):
    # Losses of scores, of layers and of weights; a batch of 179 leaves one video for two devices.
    profile = {"batch_size": 179, "epochs": 2, "patience": 2, "clip_norm": 0.05}
    copies = ("video", {"copies": 2}, {"epochs": 1}, {"gpus": True, "progress": "lines"})
    equal, line, _, refused = train_on_two_devices(
        [("frame", PROJECTION, profile, {}), copies], generated, tmp_path
    )
    check_equal(equal)
    # Copies are for one device: `auto` takes one, and says so; who asks for several is refused.
    assert line == "Trained on one of 2 devices: several devices do not support copies."
    assert refused["trained"] == [{"name": "one device", "workers": 1, "replicas": 1}]
    assert "for one device alone" in refused["error"]


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_two_devices_train_other_models_as_one(generated, tmp_path):
    small = {"batch_size": 15}
    cases = [
        ("video", {"pooling": "last", "classifier": "mixture_of_experts"}, {"batch_size": 7}, {}),
        ("video", {**PROJECTION, "encoder": "dense", "pooling": "last"}, small, {}),
        ("frame", {"encoder": "bi_gru", "pooling": "attention"}, small, {}),
        ("frame", {"encoder": "bi_lstm", "pooling": "last"}, small, {}),
        ("frame", PROJECTION, small, {"xla": True}),
        ("frame", PROJECTION, small, {"deterministic": True}),
    ]
    for result in train_on_two_devices(cases, generated, tmp_path):
        check_equal(result)
    (dropout,) = train_on_two_devices(
        [("frame", {"encoder": "dense", "pooling": "mean"}, {"dropout": 0.5}, {})], generated, tmp_path / "dropout"
    )  # fmt: skip
    # Each device drops other values: the loss is another, and still of the same kind.
    assert dropout["difference"] > 1e-5
    assert dropout["losses"][0] == pytest.approx(dropout["losses"][1], rel=0.1)


# Two workers as two processes on loopback. That they train as one process does, and that one killed ends the other
# with 75, is in tests/acceptance/test_training.py.
WORKER = """
import dataclasses, json, sys, dmlkit
settings = json.loads(sys.argv[3])
profile = dataclasses.replace(dmlkit.PROFILES["smoke"], batch_size=15, **settings.pop("profile", {}))
try:
    dmlkit.train("lr", data=sys.argv[1], out=sys.argv[2], profile=profile, strategy="multi-worker", progress="lines",
                 checkpoint_seconds=0, **settings)
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(getattr(error, "exit_code", 1))
"""


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("second", "code", "message"),
    [
        ({"seed": 1}, 2, "worker 1 .* has another seed than worker 0"),
        ({}, 3, "train0019.tfrecord, record 0"),
    ],
    ids=["another training", "a corrupt record"],
)
def test_what_fails_on_one_worker_ends_all_with_its_message(generated, tmp_path, second, code, message):
    damaged = shutil.copytree(generated, tmp_path / "data")
    last = Path(dmlkit.open_dataset(damaged).splits["train"][-1])
    content = bytearray(last.read_bytes())
    content[40:42] = b"\xff\xff"
    last.write_bytes(content)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = ["{}:{}".format(*each.getsockname()) for each in sockets]
    for each in sockets:
        each.close()
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(damaged), str(tmp_path / "run"), json.dumps(settings)],
            env=os.environ | config({"worker": addresses}, index=index) | {"TF_NUM_INTEROP_THREADS": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index, settings in enumerate([{}, second])
    ]
    texts = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [code, code], texts
    for text in texts:
        assert re.search(message.replace("train0019", last.stem), text) and "Traceback" not in text
