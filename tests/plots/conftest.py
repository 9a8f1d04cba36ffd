"""Runs that were never trained and data that were never written: real `Run` values with made-up scores."""

import itertools
import re
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from dmlkit.metrics import gap_interval
from dmlkit.plots.style import NARROW, NARROW_MIME
from dmlkit.predictions import Predictions
from dmlkit.runs import Run

VIDEOS, CLASSES = 120, 10
BACKGROUND = r'<g id="patch_1">\s*<path[^>]*style="(?!fill: none|opacity: 0)'  # of an SVG
KINDS = ("steady visual", "steady audio", "together", "short event", "order") * 2
LABELS = np.random.default_rng(1007).random((VIDEOS, CLASSES)) < 0.25


class FakeData:
    """What plots ask of a data set."""

    def __init__(self, *, level="frame", generated=True, kinds=KINDS, names=None):
        self.name, self.level, self.generated, self.class_kinds = "made up", level, generated, kinds
        self.num_classes, self.notes = CLASSES, ("Every fifth shard validates.",)
        self.class_names = tuple(names or (f"class {number}" for number in range(CLASSES)))
        self.features = {name: SimpleNamespace(size=6, in_frames=True) for name in ("rgb", "audio")}
        self.splits = {"train": ("a",), "tuning": ("b",), "validate": ("c",)}

    def num_videos(self, split):
        return {"train": 30_000, "tuning": 200, "validate": 100}[split]

    def truth(self, split):
        frames = {0: np.arange(12), 3: np.arange(4, 6)}
        return {f"v{row}": frames for row in range(8)} if self.level == "frame" else {}

    def batches(self, split, *, batch_size, max_videos=None):
        rng, shape = np.random.default_rng(0), (8, 12, 6) if self.level == "frame" else (8, 6)
        labels = np.zeros((8, CLASSES), np.float32)
        batch = {"id": np.array([f"v{row}" for row in range(8)]), "labels": labels}
        batch["labels"][:, [0, 3]] = 1
        batch["labels"][2:, 5] = 1
        batch |= {name: rng.integers(0, 255, shape).astype(np.uint8) for name in self.features}
        yield batch | ({"num_frames": np.full(8, 12, np.int32)} if self.level == "frame" else {})


def fake_run(name, *, title=None, quality=0.5, seed=0, members=None, generated=True, trick=None):
    noise = np.random.default_rng(seed).random(LABELS.shape)
    scores = (LABELS * quality + noise).astype(np.float16) / 2
    metrics = Predictions(np.arange(len(LABELS)).astype(str), LABELS, scores).measured().result()
    metrics["gap_interval"] = list(gap_interval(scores.astype(np.float32), LABELS, resamples=50))
    record = {
        "kind": "ensemble" if members else "training",
        "experiment": {"name": name, "title": title or name} | ({"trick": trick} if trick else {}),
        "data": {"name": "made up", "generated": generated},
        "metrics": metrics,
        "tuning": {"gap": metrics["gap"]},
        "best_epoch": 2,
        "seed": seed,
    }
    if members:
        record["members"] = [{"name": member, "weight": 1 / len(members)} for member in members]
        record["experiment"]["members"] = list(members)
    run = Run(Path("nowhere"), record)
    epochs = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.5], "tuning_gap": [0.2, 0.4, 0.3]})
    epochs["tuning_loss"] = [2.5, 2.1, 2.2]
    run.__dict__["history"] = pd.DataFrame() if members else epochs
    ids = np.array([f"v{row}" for row in range(VIDEOS)])
    run.__dict__["predictions"] = Predictions(ids=ids, labels=LABELS, scores=scores)
    return run


def fake_row(run, **changed):
    low, high = run.metrics["gap_interval"]
    return {
        "name": run.name, "title": run.title, "status": "trained", "reason": None, "gap": run.gap, "gap_low": low,
        "gap_high": high, "map": 0.5, "hit_at_one": 0.6, "perr": 0.7, "parameters": 1_234_567,
        "seconds_an_epoch": 61.25, "videos": VIDEOS, "paper_gap": 0.70727, "experiment": run.record["experiment"],
    } | changed  # fmt: skip


NAMES = (
    "lr", "lstm", "bi-lstm", "bi-gru-concat", "bi-gru-shared-space", "bi-gru-projection", "attention", "own",
)  # fmt: skip


@pytest.fixture(scope="session")
def runs():
    """Name → run: eight trainings of rising quality, and an ensemble."""
    runs = {name: fake_run(name, quality=0.1 * place, seed=place) for place, name in enumerate(NAMES)}
    return runs | {"ensemble-lr-lstm": fake_run("ensemble-lr-lstm", quality=0.4, members=("lr", "lstm"))}


@pytest.fixture(scope="session")
def rows(runs):
    """The ladder of the nine runs, with a row that is not applicable and one that is not trained."""
    numbers = ("gap", "gap_low", "gap_high", "map", "hit_at_one", "perr", "parameters")
    absent = dict.fromkeys([*numbers, "experiment"])
    more = {"rnn": ("not applicable", "it reads frames"), "sota": ("not trained", None)}
    return [fake_row(run) for run in runs.values()] + [
        fake_row(runs["lr"], name=name, title=name, status=status, reason=reason, **absent)
        for name, (status, reason) in more.items()
    ]


@pytest.fixture(scope="session")
def make():
    """`make.data(...)`, `make.run(name, ...)` and `make.row(run, ...)`."""
    return SimpleNamespace(data=FakeData, run=fake_run, row=fake_row)


@pytest.fixture(scope="session")
def data():
    return FakeData()


@pytest.fixture(scope="session")
def batch(data):
    return next(iter(data.batches("train", batch_size=8)))


@pytest.fixture(scope="session")
def study():
    """The outcome of a faithfulness study, as `dmlkit.explorer.faithfulness_study` returns it."""
    orders, curves = ("attention", "occlusion", "random"), ("deletion", "insertion")
    ends = {"": 0.0, "_low": -0.05, "_high": 0.05}
    values = {
        "deletion": 0.3,
        "insertion": 0.8,
        "deletion_against_random": -0.2,
        "insertion_against_random": 0.2,
    }
    columns = {name + end: value + off for name, value in values.items() for end, off in ends.items()}
    areas = pd.DataFrame(columns, index=orders)
    points = [(*each, 0.5, 0.4, 0.6) for each in itertools.product(orders, curves, np.linspace(0, 1, 3))]
    truth = {f"{order}{end}": 0.2 + off for order in ("attention", "uniform") for end, off in ends.items()}
    return SimpleNamespace(
        areas=areas, curves=pd.DataFrame(points, columns=["order", "curve", "share", "score", "low", "high"]),
        ground_truth=pd.DataFrame(truth | {"labels": 7}, index=["short event", "all"]), videos=40, run="attention",
        data="made up", generated=True, question="remove",
    )  # fmt: skip


@pytest.fixture
def shown():
    """Draw a plot to the last pixel, and check what holds for every plot."""

    def draw(plot):
        pictures, about = plot._repr_mimebundle_()
        assert pictures["image/png"].startswith(b"\x89PNG")
        assert pictures["text/plain"] == about["image/png"]["alt"] == plot.alt == repr(plot)
        assert len(plot.alt) > 20 and "\n" not in plot.alt
        last = [axes for axes in plot.figure.axes if axes.get_subplotspec()][-1]
        assert last.get_xlabel() or not last.axison
        readable_on_a_phone(plot.narrow.figure)
        for svg in (pictures["image/svg+xml"], pictures[NARROW_MIME]):
            assert svg.startswith("<svg") and "@media (prefers-color-scheme:dark)" in svg
            assert not re.search(BACKGROUND, svg) and not re.search("stroke: #(000000|333333|f{6})", svg)
        return plot

    return draw


def readable_on_a_phone(figure):
    """All text lies within a narrow canvas, and no two texts overlap."""
    boxes = {}

    def draw(text, renderer):  # at this figure's resolution, not at that of the last SVG
        if text.get_text().strip():
            boxes[text] = text.get_window_extent(renderer)

    with patch("matplotlib.text.Text.draw", draw):
        figure.draw_without_rendering()
    width, height = figure.bbox.size
    assert width == 110 * NARROW
    for text, box in boxes.items():
        assert -1 <= box.x0 < box.x1 <= width + 1 and -1 <= box.y0 < box.y1 <= height + 1, text
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        down = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert across < 2 or down < 2, f"{one} overlaps {other}"
