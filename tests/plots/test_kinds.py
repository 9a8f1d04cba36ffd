import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit import plots
from dmlkit.plots.kinds import FREQUENCIES, class_groups


def test_gap_within_a_kind_is_average_precision_over_its_pairs(make_run, data):
    run = make_run("lr")
    frame = plots.gap_by_kind(run, data)
    of_kind = [index for index, kind in enumerate(data.class_kinds) if kind == "order"]
    labels, scores = run.predictions.labels[:, of_kind], run.predictions.scores[:, of_kind].astype(np.float64)
    assert frame.loc["lr", "order"] == pytest.approx(average_precision_score(labels.ravel(), scores.ravel()))


def test_the_floor_is_what_frequencies_reach(make_run, data):
    run = make_run("lr")
    labels = run.predictions.labels[:, [0, 5]]
    constant = np.broadcast_to(labels.mean(axis=0), labels.shape)
    expected = average_precision_score(labels.ravel(), constant.ravel())
    assert plots.gap_by_kind(run, data).loc[FREQUENCIES, "steady look"] == pytest.approx(expected, abs=1e-6)


def test_without_kinds_each_quarter_holds_a_quarter_of_the_labels(make_data):
    labels = np.zeros((100, 6), bool)
    for index, count in enumerate((40, 20, 20, 40, 30, 0)):
        labels[:count, index] = True
    groups = class_groups(make_data(kinds=None), labels)
    # 150 labels: 40 and 40, then 30, then 20 and 20; the class that never occurs is in none.
    assert [list(classes) for classes in groups.values()] == [[0], [3], [4, 1], [2]]
    assert next(iter(groups)) == "most frequent quarter of the labels (1 class)"


def test_a_row_a_run_with_its_numbers_in_words(nine_runs, data, shown):
    plot = shown(plots.by_kind(nine_runs, data))
    assert plots.gap_by_kind(nine_runs, data).shape == (10, 5)
    assert "bi-lstm: " in plot.alt and "steady look" in plot.alt


def test_data_without_kinds(nine_runs, make_data, shown):
    assert (
        "quarter of the labels" in shown(plots.by_kind(nine_runs, make_data(kinds=None, generated=False))).alt
    )


def test_no_runs(data, shown):
    assert "no run" in shown(plots.by_kind({}, data)).alt
    assert plots.gap_by_kind([None], data).empty
