"""Runs side by side, and the curve of a training."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.errors import DataError, UsageError
from dmlkit.explorer import LiveCurve, ResultsExplorer


@pytest.fixture
def folder(smoke_runs):
    return smoke_runs["lr"].path.parent


def test_precision_and_top_classes_are_those_of_the_predictions(smoke_runs, folder, dataset):
    explorer = ResultsExplorer(folder, dataset)
    best = sorted(smoke_runs.values(), key=lambda run: -run.gap)
    assert [*explorer.choices] == [*explorer.runs] == [run.path.name for run in best]
    for run in smoke_runs.values():
        labels, scores = run.predictions.labels, run.predictions.scores.astype(np.float32)
        for label, row in explorer.precision.iterrows():
            expected = average_precision_score(labels[:, label], scores[:, label])
            assert row[run.title] == pytest.approx(expected)
            assert row["name"] == dataset.class_names[label] and row["videos"] == labels[:, label].sum()
    run = smoke_runs["lr"]
    explorer.video = run.predictions.ids[7]
    assert list(explorer.top) == [run.title for run in best]
    table, scores = explorer.top[run.title], run.predictions.scores[7].astype(float)
    assert table["class"].tolist()[:20] == np.argsort(-scores, kind="stable")[:20].tolist()
    assert set(table["class"][table["true"]]) == set(np.flatnonzero(run.predictions.labels[7]))


def test_choosing_runs_orders_and_videos(smoke_runs, folder, dataset):
    explorer = ResultsExplorer(folder, dataset)
    explorer.runs = [smoke_runs["lr"].path.name]
    assert list(explorer.precision.columns) == ["name", "videos", *explorer.top]
    explorer.runs = []
    assert explorer.top == {} and explorer.video is None and "Choose one run" in explorer._curves.value
    explorer.runs = [run.path.name for run in smoke_runs.values()]
    differences = explorer.precision.iloc[:, 2:].max(axis=1) - explorer.precision.iloc[:, 2:].min(axis=1)
    most = explorer.precision["videos"].idxmax()
    for order, label in (("largest difference", differences.idxmax()), ("most videos", most)):
        explorer._order.value = order
        names = [name for name in explorer.precision["name"] if f">{name}<" in explorer._classes.value]
        first = min(names, key=lambda name: explorer._classes.value.index(f">{name}<"))
        assert first == explorer.precision["name"][label]
    with pytest.raises(UsageError, match="did not all score"):
        explorer.video = "nobody"


def test_runs_on_other_data_are_not_compared(folder, smoke_runs, tmp_path, dataset):
    here = shutil.copytree(folder, tmp_path / "runs")
    record = here / smoke_runs["lr"].path.name / "run.json"
    other = json.loads(record.read_text())
    other["data"]["fingerprint"] = "0123456789abcdef"
    record.write_text(json.dumps(other))
    assert list(ResultsExplorer(here, dataset).choices) == [smoke_runs["attention"].path.name]
    both = ResultsExplorer(here)
    both.runs = list(both.choices)
    assert "On other data than the first" in both._curves.value and len(both.top) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no finished run on .* below"):
        ResultsExplorer(tmp_path / "empty", dataset)


def test_a_saved_page_keeps_what_was_chosen_as_text(folder, dataset, tmp_path):
    names = [f"<script>alert('x')</script>{number}" for number in range(dataset.num_classes)]
    for file in shutil.copytree(folder, tmp_path / "runs").glob("*/run.json"):
        record = json.loads(file.read_text())
        file.write_text(json.dumps(record | {"data": record["data"] | {"class_names": names}}))
    with pytest.raises(DataError, match="no finished run"):  # the same records under other names
        ResultsExplorer(tmp_path / "runs", dataset)
    explorer = ResultsExplorer(tmp_path / "runs", replace(dataset, named=False))
    bundle = explorer._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.widget.model_id
    assert "Average precision by class" in bundle["text/html"] and "<img" in bundle["text/html"]
    assert "<script" not in bundle["text/html"] and "&lt;script&gt;" in bundle["text/html"]
    assert "2 runs" in bundle["text/plain"]


def test_a_live_curve_redraws_in_place(monkeypatch):
    shown = []
    for name in ("display", "update"):
        record = lambda self, curve, name=name: shown.append((name, curve._repr_mimebundle_()))  # noqa: E731
        monkeypatch.setattr(f"dmlkit.explorer.results.DisplayHandle.{name}", record)
    curve = LiveCurve()
    assert "No epoch" in curve._repr_mimebundle_()["text/plain"]
    rows = [{"epoch": epoch, "loss": 8.0 / epoch, "tuning_gap": 0.1 * epoch} for epoch in (1, 2, 3)]
    for row in [*rows, rows[0]]:  # the last begins another training
        curve(row)
    assert [name for name, _ in shown] == ["display", "update", "update", "display"]
    assert shown[2][1]["text/plain"] == "epoch 3: loss 2.667, tuning GAP@20 0.3000"
    assert all(bundle["image/png"].startswith(b"\x89PNG") for _, bundle in shown)
