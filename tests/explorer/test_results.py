"""Runs side by side, and the curve of a training."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.errors import DataError, UsageError
from dmlkit.explorer import LiveCurve, ResultsExplorer
from dmlkit.explorer.results import disagreement, losses
from dmlkit.predictions import Predictions, concatenate


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


def test_choosing_runs_orders_and_videos(smoke_runs, folder, dataset, monkeypatch):
    explorer = ResultsExplorer(folder, dataset)
    # Of thousands of classes it takes seconds: it is not computed again for a run that was chosen before.
    monkeypatch.setattr("dmlkit.explorer.results.average_precision_by_class", None)
    explorer.runs = [smoke_runs["lr"].path.name]
    assert list(explorer.precision.columns) == ["name", "videos", *explorer.top]
    assert "Choose a second run" in explorer._curves.value and list(explorer.videos) == ["loss of A"]
    explorer.runs = []
    assert explorer.top == {} and explorer.video is None and "No run is chosen" in explorer._curves.value
    assert "in common" not in explorer._curves.value + explorer._classes.value
    explorer.runs = [run.path.name for run in smoke_runs.values()]
    assert "Choose" not in explorer._curves.value
    differences = explorer.precision.iloc[:, 2:].max(axis=1) - explorer.precision.iloc[:, 2:].min(axis=1)
    most = explorer.precision["videos"].idxmax()
    for order, label in (("largest difference", differences.idxmax()), ("most videos", most)):
        explorer._order.value = order
        cells = [explorer._classes.value.find(f">{name}<") for name in explorer.precision["name"]]
        assert cells == sorted(cells) and cells[0] > 0  # all of them, in the order of `precision`
        assert explorer.precision.index[0] == label
    ids = smoke_runs["lr"].predictions.ids
    wrong = ids[3][:-1] + "x"
    explorer._id.value = wrong
    assert f"video &#x27;{wrong}&#x27;. Did you mean" in explorer._problem.value
    explorer._id.value = ids[3]
    assert explorer.video == ids[3] and not explorer._problem.value
    with pytest.raises(UsageError, match="did not all score"):
        explorer.video = "nobody"


def test_videos_are_ordered_by_disagreement_loss_and_class(leave_run, tmp_path, monkeypatch):
    runs = [
        leave_run(tmp_path / name, name, quality=quality) for name, quality in (("lr", 0.9), ("lstm", 0.1))
    ]
    monkeypatch.setattr("dmlkit.explorer.results.LISTED", 3)
    explorer, ids, labels = ResultsExplorer(tmp_path), runs[0].predictions.ids, runs[0].predictions.labels
    a, b = (run.predictions.scores.astype(float) for run in runs)
    absent, present = (np.where(labels, 0, -np.log1p(-each)) for each in (a, b)), (a, b)
    loss_a, loss_b = (x - np.where(labels, np.log(y), 0) for x, y in zip(absent, present, strict=True))
    expected = {  # of 10 classes all are among the top 20
        "disagreement of A and B": np.abs(a - b).mean(axis=1),
        "loss of A": loss_a.sum(axis=1),
        "loss of A − loss of B": loss_a.sum(axis=1) - loss_b.sum(axis=1),
        "score of A − score of B for the class": a[:, 4] - b[:, 4],
    }
    assert list(explorer.videos) == list(expected)[:3] and "80 videos" in explorer._count.value
    explorer._class.value = "4: class 4"
    assert set(explorer.videos.index) == set(ids[labels[:, 4]]) and "1 of 10" in explorer._classes.value
    for show, chosen in {
        "all videos": labels[:, 4] >= 0,
        "videos not labelled with it": ~labels[:, 4],
    }.items():
        explorer._show.value = show
        for order, values in expected.items():
            explorer._sort.value = order
            rows = np.flatnonzero(chosen)[np.argsort(-np.abs(values[chosen]), kind="stable")]
            assert explorer.videos.index.tolist() == ids[rows].tolist() and explorer.video == ids[rows[0]]
            np.testing.assert_allclose(explorer.videos[order], values[rows], rtol=1e-5, atol=1e-7)
        steps = [explorer._step(1) or explorer.video for _ in range(4)]  # beyond the three that are listed
        assert steps == ids[rows[1:5]].tolist() and len(explorer._video.options) == 5
    one, other = explorer.top.values()
    ranks = other.reset_index().set_index("class")["rank"]
    assert one["rank in B"].tolist() == ranks[one["class"]].tolist() != one.index.tolist()
    explorer._class.value = "nothing"
    assert explorer._show.disabled and "0 of 10" in explorer._classes.value and len(explorer.videos) == 80
    for run in explorer.choices.values():
        run.predictions = concatenate([run.predictions], kept=2)
    explorer._update({"owner": explorer._runs})
    assert ">not kept<" in explorer._tops.value and "NA" not in explorer._tops.value


def test_scores_that_were_not_kept(monkeypatch):
    """Of 60 classes each video's 30 are kept: disagreement and loss as their definitions say, video by video."""
    monkeypatch.setattr("dmlkit.predictions.BLOCK", 4)
    rng, labels = np.random.default_rng(0), np.random.default_rng(1).random((9, 60)) < 0.1
    ids = np.array([f"v{video}" for video in range(9)])
    scores = rng.random((2, 9, 60)).astype(np.float16)
    cut = [concatenate([Predictions(ids, labels, each)], kept=30) for each in scores]
    found = disagreement(*cut), losses(cut[0])
    for video, true in enumerate(labels):
        values = [each.scores[video].astype(float) for each in cut]
        either = sorted({label for each in values for label in np.argsort(-each, kind="stable")[:20]})
        assert found[0][video] == pytest.approx(np.abs(values[0] - values[1])[either].mean(), rel=1e-5)
        kept = cut[0].is_kept[video]
        loss = -np.log(values[0][true]).sum() - np.log1p(-values[0][kept & ~true]).sum()
        assert found[1][video] == pytest.approx(loss, rel=1e-5)
    assert (labels & ~cut[0].is_kept).any()  # a true class whose score was not kept counts


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
    first, *_, last = both.choices
    other = both.choices[last]
    other.record["data"] = both.choices[first].record["data"]
    other.predictions.ids = np.char.add("other-", other.predictions.ids)
    both.runs = [last, first]
    assert "no video in common" in both._curves.value and both.video is None and not both._classes.value
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
    gaps = {1: 0.1, 2: 0.3, 3: 0.2}
    rows = [{"epoch": epoch, "loss": 8.0 / epoch, "tuning_gap": gap} for epoch, gap in gaps.items()]
    for row in [*rows, rows[0]]:  # the last begins another training
        curve(row)
    # Its place is taken before the first line of a log; there all pictures follow.
    assert [name for name, _ in shown] == ["display", *["update"] * 4]
    assert shown[0][1] == {"text/html": "", "text/plain": ""}
    texts = [bundle[0]["text/plain"] for _, bundle in shown[1:]]
    assert "epoch 3" in texts[2] and "epoch 2" in texts[2] and "0.3000" in texts[2]
    assert "epoch 1" in texts[3] and "0.3000" not in texts[3] and len(curve.rows) == 1
