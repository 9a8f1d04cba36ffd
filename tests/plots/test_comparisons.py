"""Differences, groups, calibration and pairs of labels against the metrics themselves, scikit-learn and plain loops."""

import itertools
from collections import Counter

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from dmlkit import plots
from dmlkit.metrics import compare_gaps, gap_interval, global_average_precision, top_pairs
from dmlkit.plots.data import Survey
from dmlkit.plots.ladder import FREQUENCIES, class_groups
from dmlkit.plots.style import PAPER
from dmlkit.predictions import Predictions, concatenate


def pairs(rows):
    return list(zip(rows["name"], rows["baseline"], strict=True)) if len(rows) else []


def test_an_experiment_is_compared_with_the_one_it_changes(runs):
    assert pairs(plots.paired_differences(runs)) == [
        ("lstm", "lr"), ("bi-lstm", "lstm"), ("bi-gru-concat", "bi-lstm"), ("bi-gru-shared-space", "bi-gru-concat"),
        ("bi-gru-projection", "bi-gru-concat"), ("attention", "bi-gru-concat"), ("own", "attention"),
        ("ensemble-lr-lstm", "lstm"),
    ]  # fmt: skip


def test_the_nearest_available_baseline_serves(make):
    rows = plots.paired_differences([make.run("lr"), make.run("bi-gru-projection")])
    assert pairs(rows) == [("bi-gru-projection", "lr")]
    assert pairs(plots.paired_differences([make.run("own"), make.run("attention")])) == [("attention", "own")]
    tricked = make.run("attention-mixup", title="Bi-GRU, attention, mixup", seed=1, trick="mixup")
    base = make.run("attention", title="Bi-GRU, attention")
    rows = plots.paired_differences([tricked], [make.run("lr"), base])
    assert pairs(rows) == [("mixup", "Bi-GRU, attention")]
    # Given baselines: only those, and those among the runs themselves.
    some = [make.run("netvlad"), make.run("transformer", seed=1), make.run("netvlad-gated")]
    rows = plots.paired_differences(some, [make.run("attention", seed=2)])
    assert pairs(rows) == [("transformer", "attention"), ("netvlad-gated", "netvlad")]


def test_the_order_of_videos_does_not_matter_and_other_videos_are_not_compared(make):
    lr, lstm = make.run("lr"), make.run("lstm", quality=0.9)
    in_order, kept = plots.paired_differences([lr, lstm]), lstm.predictions
    assert in_order["difference"][0] == pytest.approx(lstm.gap - lr.gap, abs=1e-6)
    ids, labels, scores = kept.ids, kept.labels, kept.scores
    lstm.__dict__["predictions"] = Predictions(ids=ids[::-1], labels=labels[::-1], scores=scores[::-1])
    reversed_ = plots.paired_differences([lr, lstm])
    assert reversed_["difference"][0] == pytest.approx(in_order["difference"][0], abs=1e-9)
    lstm.__dict__["predictions"] = Predictions(ids=np.char.add(ids, "x"), labels=labels, scores=scores)
    assert plots.paired_differences([lr, lstm]).empty


def test_significance_shows_without_colour_and_in_the_table(make, data, shown):
    some = [make.run("lr"), make.run("lstm", quality=0.9), make.run("bi-lstm", quality=0.9, seed=1)]
    axes = shown(plots.differences(plots.paired_differences(some), data)).figure.axes[0]
    assert {text.get_weight() for text in axes.texts} == {"normal"}
    assert axes.get_xlabel().endswith("95 % CI over videos, for this seed; one seed a side: no test)")
    some[0].siblings = (make.run("lr", seed=2),)
    rows = plots.paired_differences(some)
    plot = shown(plots.differences(rows, data))
    axes = plot.figure.axes[0]
    assert [text.get_weight() for text in axes.texts] == ["bold", "normal", "normal", "normal"]
    filled = [line.get_markerfacecolor() != PAPER for line in axes.lines if line.get_marker() == "o"]
    assert filled == [True, False]
    drawn = [axes.collections[place].get_segments()[0][:, 0] for place in range(2)]
    np.testing.assert_allclose(drawn, rows[["low", "high"]])
    table = plots.comparison(rows, data)
    assert [text.split(" (")[0] for text in table.data["result"]] == [
        "significant over videos",
        "not significant",
    ]
    interval = f"{rows['low'][0]:+.4f} to {rows['high'][0]:+.4f}"
    assert table.data["95 % CI over videos, for these seeds"].iloc[0] == interval
    assert "generated data" in table.heading
    assert axes.get_xlabel().endswith("; filled, bold: significant)")
    for run in [*some, *some[0].siblings]:
        kept = run.predictions
        run.__dict__["predictions"] = Predictions(kept.ids[:99], kept.labels[:99], kept.scores[:99])
    rows = plots.paired_differences(some)
    axes = shown(plots.differences(rows, data)).figure.axes[0]
    assert "too few videos for a test (99 < 100)" in axes.get_xlabel()
    assert {text.get_weight() for text in axes.texts} == {"normal"}
    assert set(plots.comparison(rows, data).data["result"]) == {"too few videos for a test (99 < 100)"}


def test_several_seeds_of_a_run_are_compared_over_videos_and_seeds(make, data):
    named = (("lr", 0.2), ("lstm", 0.9))
    sides = [[make.run(name, quality=q, seed=seed) for seed in (4, 5, 6)] for name, q in named]
    for first, *others in sides:
        first.siblings = tuple(others)
    lr, lstm = ([top_pairs(run.predictions.scores, run.predictions.labels) for run in side] for side in sides)
    expected = compare_gaps(lstm, lr, resamples=500)
    (row,) = plots.paired_differences([sides[0][0], sides[1][0]]).to_dict("records")
    assert (row["low"], row["high"]) == expected.interval and row["verdict"] == "significant"
    assert row["gap"] == expected.a.mean and row["seeds"] == "4, 5, 6 / 4, 5, 6"
    # One seed of an idea against several of its baseline: what seeds alone do is beside it.
    sides[1][0].siblings = ()
    rows = plots.paired_differences([sides[1][0]], [sides[0][0]])
    bound = plots.comparison(rows, data).data["seeds alone"].iloc[0]
    assert bound == f"±{compare_gaps(lstm[:1], lr).seed_bound:.4f}"


def test_classes_are_grouped_by_kind_or_by_quarters_of_the_labels(data, make, runs):
    labels = runs["lr"].predictions.labels
    assert list(class_groups(data, labels)) == list(dict.fromkeys(data.class_kinds))
    rng = np.random.default_rng(0)
    labels = rng.random((500, 10)) < 0.6 / np.arange(1, 11)
    labels[:, 9] = False
    groups = class_groups(make.data(kinds=None), labels)
    counts = labels.sum(axis=0)
    assert sorted(np.concatenate(list(groups.values()))) == list(np.flatnonzero(counts))
    means = [counts[classes].mean() for classes in groups.values()]
    assert len(groups) == 4 and means == sorted(means, reverse=True)
    assert next(iter(groups)) == "most frequent quarter of the labels (1 class)"


def test_gap_by_kind_is_the_metric_on_some_classes(runs, data, shown):
    frame = plots.gap_by_kind(runs, data)
    assert list(frame.index) == [FREQUENCIES, *(run.title for run in runs.values())]
    scored = runs["attention"].predictions
    for kind in frame.columns:
        classes = [index for index, each in enumerate(data.class_kinds) if each == kind]
        expected = global_average_precision(scored.scores[:, classes], scored.labels[:, classes])
        assert frame.loc["attention", kind] == pytest.approx(expected, abs=1e-9)
        # The training split's frequencies, which the validation split's own may not improve.
        constant = np.broadcast_to([8, 0, 0, 8, 0, 6, 0, 0, 0, 0], scored.labels.shape)[:, classes]
        expected = global_average_precision(constant, scored.labels[:, classes])
        assert frame.loc[FREQUENCIES, kind] == pytest.approx(expected, abs=1e-6)
    by_frequency = plots.by_kind(runs, data, by="frequency")
    assert (
        by_frequency.alt.startswith("GAP@20 by label frequency")
        and "quarter of the labels (" in by_frequency.alt
    )
    plot = shown(plots.by_kind(runs, data))
    texts = plot.figure.axes[0].texts
    assert len(texts) == frame.size and texts[-1].get_text() == f"{frame.iloc[-1, -1]:.3f}"
    assert {text.get_color() for text in texts} == {"black", "white"}


def cut(run, kept=None, videos=120):
    """The run with each video's `kept` highest scores alone, of its first videos."""
    whole = run.predictions
    block = Predictions(whole.ids[:videos], whole.labels[:videos], whole.scores[:videos])
    run.__dict__["predictions"] = concatenate([block], kept=kept)
    return run


@pytest.mark.parametrize("kept", [None, 4])
def test_calibration_is_that_of_scikit_learn_over_the_kept_pairs(make, data, shown, kept, monkeypatch):
    monkeypatch.setattr("dmlkit.predictions.BLOCK", 50)
    run = make.run("attention", quality=0.9)
    run.predictions.scores[0] = 0.5  # an edge of the bins
    scored = cut(run, kept).predictions
    scores, true = scored.scores[scored.is_kept].astype(float), scored.labels[scored.is_kept]
    assert len(scores) == 120 * (kept or 10)
    bins = plots.reliability(scored)
    share, mean = calibration_curve(true, scores, n_bins=10)
    np.testing.assert_allclose(bins["share true"], share)
    np.testing.assert_allclose(bins["mean score"], mean)
    assert bins["pairs"].sum() == len(scores)
    in_bin = np.ceil(scores * 10)
    error = sum(abs((scores - true)[in_bin == place].sum()) for place in np.unique(in_bin)) / len(scores)
    plot, curve = shown(plots.calibration(run, data)), shown(plots.precision_recall(run, data))
    recall, precision = curve.figure.axes[0].lines[0].get_data()
    gap = global_average_precision(scored.scores, scored.labels)
    assert np.sum(np.diff(recall, prepend=0) * precision) == pytest.approx(gap, abs=0.01)
    label = plot.figure.axes[0].get_legend_handles_labels()[1][1]
    assert f"ECE {error:.4f}" in label and ("each video's 4 highest" in label) == bool(kept)


@pytest.mark.parametrize("kept", [None, 2])
def test_pairs_of_labels_are_counted_as_by_hand(make, kept, monkeypatch):
    monkeypatch.setattr("dmlkit.predictions.BLOCK", 50)
    run = cut(make.run("attention", quality=0.3), kept)
    run.record["data"]["class_names"] = names = list("abcdefghij")
    confused, both, labels = Counter(), Counter(), run.predictions.labels
    for video, scores in enumerate(run.predictions.kept_scores):
        true = set(np.flatnonzero(labels[video]))
        n = min(len(true), kept or 10)
        best = set(sorted(range(10), key=lambda each: (-scores[each], each))[:n])
        confused.update(itertools.product(true - best, best - true))
        both.update(itertools.combinations(sorted(true - best), 2))
    for table, expected in zip(plots.label_pairs(run), (confused, both), strict=True):
        assert table["videos"].is_monotonic_decreasing and len(table) == len(expected) > 5
        for first, second, *counts in table.itertuples(index=False):
            a, b = names.index(first), names.index(second)
            assert counts == [expected[a, b], labels[:, a].sum(), (labels[:, a] & labels[:, b]).sum()]
    run.__dict__["predictions"] = Predictions(run.predictions.ids, labels, labels.astype(np.float16))
    assert [len(table) for table in plots.label_pairs(run)] == [0, 0]


def test_quarters_of_the_videos_by_frames_are_measured_each(make):
    run, frames = cut(make.run("attention"), videos=100), np.arange(100) % 40 + 1
    ids, scored = run.predictions.ids, run.predictions
    shuffled = np.random.default_rng(0).permutation(100)[5:]  # five were not counted
    rows = plots.gap_by_frames(run, Survey("validate", None, None, frames[shuffled], ids[shuffled]))
    assert rows["videos"].sum() == 95 and len(rows) == 4
    for row in rows.itertuples():
        low, high = (int(end) for end in row.frames.split("\n")[0].split(" to "))
        own = np.intersect1d(np.flatnonzero((frames >= low) & (frames <= high)), shuffled)
        scores, labels = scored.scores[own].astype(np.float32), scored.labels[own]
        assert row.videos == len(own) and row.gap == pytest.approx(global_average_precision(scores, labels))
        assert (row.gap_low, row.gap_high) == pytest.approx(gap_interval(scores, labels, resamples=300))
    none = Survey("validate", None, None, np.zeros(0, int), ids)
    assert plots.frame_counts(plots.gap_by_frames(run, none)) is None
