"""Runs that nobody trained and data that nobody wrote: real `Run` values with made-up scores."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dmlkit.metrics import gap_interval, measure
from dmlkit.predictions import Predictions
from dmlkit.runs import Run

VIDEOS, CLASSES = 120, 10
KINDS = ("steady look", "steady sound", "together", "short event", "order") * 2


class FakeData:
    """What plots ask of a data set."""

    def __init__(self, *, level="frame", generated=True, kinds=KINDS, names=None, features=("rgb", "audio")):
        self.name, self.level, self.generated, self.class_kinds = "made up", level, generated, kinds
        self.num_classes = CLASSES
        self.class_names = tuple(names or (f"class {number}" for number in range(CLASSES)))
        self.features = {name: SimpleNamespace(size=6, in_frames=True) for name in features}
        self.splits = {"train": ("a",), "tuning": ("b",), "validate": ("c",)}
        self.notes = ("Every fifth shard validates.",)

    def num_videos(self, split):
        return {"train": 30_000, "tuning": 200, "validate": 100}[split]

    def truth(self, split):
        if not self.generated or self.level == "video":
            return {}
        return {f"v{row}": {0: np.arange(12), 3: np.arange(4, 6)} for row in range(8)}

    def batches(self, split, *, batch_size, max_videos=None):
        rng = np.random.default_rng(0)
        labels = np.zeros((8, CLASSES), np.float32)
        labels[:, [0, 3]] = 1
        shape = (8, 12, 6) if self.level == "frame" else (8, 6)
        batch = {"id": np.array([f"v{row}" for row in range(8)]), "labels": labels}
        batch |= {name: rng.integers(0, 255, shape).astype(np.uint8) for name in self.features}
        if self.level == "frame":
            batch["num_frames"] = np.full(8, 12, np.int32)
        yield batch


def fake_run(name, *, title=None, quality=0.5, seed=0, members=None, generated=True, classes=CLASSES):
    rng = np.random.default_rng(1007)
    labels = rng.random((VIDEOS, classes)) < 0.25
    scores = (labels * quality + np.random.default_rng(seed).random(labels.shape)).astype(np.float16) / 2
    metrics = measure(scores.astype(np.float32), labels)
    metrics["gap_interval"] = list(gap_interval(scores.astype(np.float32), labels, resamples=50))
    record = {
        "kind": "ensemble" if members else "training",
        "experiment": {"name": name, "title": title or name},
        "data": {"name": "made up", "generated": generated},
        "metrics": metrics,
        "tuning": {"gap": metrics["gap"]},
        "best_epoch": 2,
        "parameters": 1234,
        "seconds": {"training": 3.5},
    }
    if members:
        record["members"] = [{"name": member, "weight": 1 / len(members)} for member in members]
        record["experiment"]["members"] = list(members)
    run = Run(Path("nowhere"), record)
    epochs = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.5], "tuning_gap": [0.2, 0.4, 0.3]})
    run.__dict__["history"] = pd.DataFrame() if members else epochs
    run.__dict__["predictions"] = Predictions(
        ids=np.array([f"v{row}" for row in range(VIDEOS)]), labels=labels, scores=scores
    )
    return run


def fake_row(run, **changed):
    low, high = run.metrics["gap_interval"]
    return {
        "name": run.name, "title": run.title, "status": "trained", "reason": None, "gap": run.gap,
        "gap_low": low, "gap_high": high, "map": run.metrics["map"], "map_classes": CLASSES,
        "hit_at_one": run.metrics["hit_at_one"], "perr": run.metrics["perr"], "parameters": 1_234_567,
        "training_seconds": 61.25, "epochs": 3, "videos": VIDEOS, "paper_gap": 0.70727,
        "experiment": run.record["experiment"], "run": "folder",
    } | changed  # fmt: skip


@pytest.fixture(scope="session")
def make_data():
    return FakeData


@pytest.fixture(scope="session")
def make_run():
    return fake_run


@pytest.fixture(scope="session")
def make_row():
    return fake_row


@pytest.fixture(scope="session")
def data():
    return FakeData()


@pytest.fixture(scope="session")
def nine_runs():
    """Name → run: eight trainings of rising quality, and an ensemble."""
    names = (
        "lr",
        "lstm",
        "bi-lstm",
        "bi-gru-concat",
        "bi-gru-shared-space",
        "bi-gru-projection",
        "attention",
        "own",
    )
    runs = {name: fake_run(name, quality=0.1 * place, seed=place) for place, name in enumerate(names)}
    return runs | {"ensemble-lr-lstm": fake_run("ensemble-lr-lstm", quality=0.4, members=("lr", "lstm"))}


@pytest.fixture(scope="session")
def rows(nine_runs):
    """The ladder of the nine, with a row that is not applicable and one that is missing."""
    absent = dict.fromkeys(
        ("gap", "gap_low", "gap_high", "map", "hit_at_one", "perr", "parameters", "experiment")
    )
    first = next(iter(nine_runs.values()))
    return [
        *(fake_row(run) for run in nine_runs.values()),
        fake_row(
            first, name="rnn", title="Plain RNN", status="not applicable", reason="it reads frames", **absent
        ),
        fake_row(first, name="sota", title="Best", status="missing", reason="not built " * 30, **absent),
    ]


@pytest.fixture(scope="session")
def batch(data):
    return next(iter(data.batches("train", batch_size=8)))


@pytest.fixture
def shown():
    """Draw a plot to the last pixel, and hold what every plot must keep."""

    def draw(plot):
        pictures, about = plot._repr_mimebundle_()
        assert pictures["image/png"].startswith(b"\x89PNG")
        assert pictures["text/plain"] == about["image/png"]["alt"] == plot.alt
        assert len(plot.alt) > 20
        return plot

    return draw
