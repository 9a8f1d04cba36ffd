"""Several devices of one process take the steps that one device takes; two logical processors stand for two GPUs."""

import json
import subprocess
import sys

import pytest

# In a process of its own, as TensorFlow divides its processors before anything else or not at all.
TRAIN = """
import dataclasses, json, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import numpy as np
import dmlkit
from dmlkit.errors import DmlkitError
from dmlkit.experiments import Experiment
from dmlkit.profiles import SMOKE
from dmlkit.training.workers import starting

data, out, cases = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
for number, (level, experiment, profile, settings) in enumerate(cases):
    runs = {}
    # How many GPUs `auto` is told of: where there are several, it begins with all devices.
    starting.gpus = lambda found=settings.pop("gpus", 0): found
    for strategy in ("auto", "mirrored"):
        try:
            runs[strategy] = dmlkit.train(
                Experiment(name="case", title="Case", chapter="none", **experiment),
                data=data + ("/video" if level == "video" else ""), out=f"{out}/{number}-{strategy}",
                profile=dataclasses.replace(SMOKE, **profile), strategy=strategy,
                **{"progress": "silent", **settings},
            )
        except DmlkitError as error:
            trained = [run.record["strategy"] for run in runs.values()]
            print(json.dumps({"said": f"{strategy}: {error}", "trained": trained}))
    if len(runs) == 2:
        one, two = (runs[strategy].model.get_weights() for strategy in runs)
        print(json.dumps({
            "difference": max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True)),
            "losses": [list(run.history["loss"]) for run in runs.values()],
            "gaps": [list(run.history["tuning_gap"]) for run in runs.values()],
            "strategies": [run.record["strategy"] for run in runs.values()],
        }))
"""


def train(cases, data, out) -> list[dict | str]:
    """What is told of each case, and the lines that are printed."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(data), str(out), json.dumps(cases)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) if line.startswith("{") else line for line in done.stdout.splitlines()]


def check(told):
    assert told["difference"] < 1e-5
    assert told["losses"][0] == pytest.approx(told["losses"][1], abs=1e-4)
    assert told["gaps"][0] == pytest.approx(told["gaps"][1], abs=1e-3)
    assert told["strategies"] == [
        {"name": "one device", "workers": 1, "replicas": 1},
        {"name": "mirrored", "workers": 1, "replicas": 2},
    ]


PROJECTION = {"fusion": "projection", "encoder": "none", "pooling": "mean", "alignment_weight": 2.0}
MIXTURE = {"encoder": "none", "pooling": "last", "classifier": "mixture_of_experts"}


@pytest.mark.timeout(240)
def test_two_devices_train_as_one(generated, tmp_path):
    # Every kind of loss: of scores, of layers, of weights. A batch of 179 leaves one video for two devices.
    profile = {"batch_size": 179, "epochs": 2, "patience": 2, "clip_norm": 0.05}
    told, line, *epochs, refused = train(
        [
            ("frame", PROJECTION, profile, {}),
            ("video", {"copies": 2}, {"epochs": 1}, {"gpus": 2, "progress": "lines"}),
        ],
        generated,
        tmp_path,
    )
    check(told)
    # Copies are for one device: `auto` takes one, and says so; who asks for several is refused.
    assert line == "Trained on one of 2 devices: several devices do not know copies."
    assert len(epochs) == 1
    assert refused["trained"] == [{"name": "one device", "workers": 1, "replicas": 1}]
    assert refused["said"].startswith("mirrored: This training is for one device alone: ")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whatever_is_trained(generated, tmp_path):
    small = {"batch_size": 15}
    cases = [
        ("video", MIXTURE, {"batch_size": 7}, {}),
        ("video", {**PROJECTION, "encoder": "dense", "pooling": "last"}, small, {}),
        ("frame", {"encoder": "bi_gru", "pooling": "attention"}, small, {}),
        ("frame", {"encoder": "bi_lstm", "pooling": "last"}, small, {}),
        ("frame", PROJECTION, small, {"xla": True}),
        ("frame", PROJECTION, small, {"deterministic": True}),
    ]
    for told in train(cases, generated, tmp_path):
        check(told)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_would_differ_is_refused_or_drawn_anew(generated, tmp_path):
    batch, half, bfloat, dropout = train(
        [
            ("frame", {**PROJECTION, "normalization": "batch"}, {}, {}),
            ("frame", PROJECTION, {}, {"precision": "mixed_float16"}),
            ("frame", PROJECTION, {}, {"precision": "mixed_bfloat16"}),
            # Each device drops other values: the loss is another, and still of the same kind.
            ("frame", {"encoder": "dense", "pooling": "mean"}, {"dropout": 0.5}, {}),
        ],
        generated,
        tmp_path,
    )
    assert "for one device alone: batch normalization" in batch["said"]
    assert "for one device alone: mixed_float16" in half["said"]
    assert bfloat["losses"][0] == pytest.approx(bfloat["losses"][1], rel=0.02)
    assert dropout["difference"] > 1e-5
    assert dropout["losses"][0] == pytest.approx(dropout["losses"][1], rel=0.1)
