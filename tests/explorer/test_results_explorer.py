import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.explorer import ResultsExplorer

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def dataset(generated):
    return open_dataset(generated)


@pytest.fixture(scope="module")
def folder(smoke_runs):
    return smoke_runs["lr"].path.parent


@pytest.fixture
def explorer(folder, dataset):
    return ResultsExplorer(folder, dataset)


def name_of(run) -> str:
    return run.path.name


def test_it_begins_with_the_best_two(explorer, smoke_runs):
    best = sorted(smoke_runs.values(), key=lambda run: -run.gap)
    assert explorer.runs == tuple(name_of(run) for run in best)
    assert explorer.video == best[0].predictions.ids[0]


def test_average_precision_by_class_is_scikit_learns(explorer, smoke_runs, dataset):
    table = explorer.precision
    for run in smoke_runs.values():
        told = run.predictions
        for label, row in table.iterrows():
            expected = average_precision_score(
                told.labels[:, label], told.scores[:, label].astype(np.float32)
            )
            assert row[run.title] == pytest.approx(expected)
            assert row["name"] == dataset.class_names[label]
            assert row["videos"] == told.labels[:, label].sum()


def test_a_videos_top_20_under_two_runs(explorer, smoke_runs):
    run = smoke_runs["lr"]
    explorer.video = run.predictions.ids[7]
    table = explorer.top[run.title]
    scores, labels = run.predictions.scores[7], run.predictions.labels[7]
    assert table["class"].tolist()[:20] == np.argsort(-scores.astype(float), kind="stable")[:20].tolist()
    assert set(table["class"][table["true"]]) == set(np.flatnonzero(labels))
    assert list(explorer.top) == [explorer.choices[name].title for name in explorer.runs]


def test_true_labels_below_the_twentieth_are_listed_with_their_rank(folder, dataset):
    explorer = ResultsExplorer(folder, dataset, top_k=1)
    for table in explorer.top.values():
        assert table.index[0] == 1
        assert table["true"][1:].all()


def test_choosing_runs_changes_what_is_shown(explorer, smoke_runs):
    explorer.video = smoke_runs["lr"].predictions.ids[3]
    explorer.runs = [name_of(smoke_runs["lr"])]
    assert list(explorer.precision.columns) == ["name", "videos", smoke_runs["lr"].title]
    assert list(explorer.top) == [smoke_runs["lr"].title]
    assert explorer.video == smoke_runs["lr"].predictions.ids[3]
    assert explorer._curves.value.count("<polyline") == 2
    explorer.runs = []
    assert explorer.top == {} and explorer.video is None
    assert "Choose one run or more" in explorer._curves.value
    explorer.runs = [name_of(run) for run in smoke_runs.values()]
    assert explorer.video is not None
    assert explorer._curves.value.count("<polyline") == 4


def test_the_order_of_classes(explorer):
    runs = explorer.precision.iloc[:, 2:]
    explorer._order.value = "the largest difference"
    gaps = (runs.max(axis=1) - runs.min(axis=1)).sort_values(ascending=False)
    assert shown_names(explorer)[0] == explorer.precision["name"][gaps.index[0]]
    explorer._order.value = "name"
    assert shown_names(explorer) == sorted(explorer.precision["name"])[: explorer.rows]
    explorer._order.value = "most videos"
    most = explorer.precision["videos"].idxmax()
    assert shown_names(explorer)[0] == explorer.precision["name"][most]


def shown_names(explorer) -> list[str]:
    return re.findall(r'<td class="name">([^<]*)</td>', explorer._classes.value)


def test_any_video_can_be_set_also_one_that_is_not_offered(folder, dataset, smoke_runs):
    explorer = ResultsExplorer(folder, dataset, videos=5)
    last = smoke_runs["lr"].predictions.ids[-1]
    assert len(explorer._video.options) == 5
    explorer.video = last
    assert explorer.video == last
    assert len(explorer._video.options) == 6
    with pytest.raises(UsageError, match="did not all score a video"):
        explorer.video = "nobody"


def test_an_unknown_run_is_named(explorer):
    with pytest.raises(UsageError, match="no run 'lr'"):
        explorer.runs = ["lr"]


def test_runs_on_other_data_are_not_compared(folder, smoke_runs, tmp_path, dataset):
    here = tmp_path / "runs"
    shutil.copytree(folder, here)
    record = here / name_of(smoke_runs["lr"]) / "run.json"
    other = json.loads(record.read_text())
    other["data"]["fingerprint"] = "0123456789abcdef"
    record.write_text(json.dumps(other))
    assert list(ResultsExplorer(here, dataset).choices) == [name_of(smoke_runs["attention"])]
    both = ResultsExplorer(here)
    assert len(both.choices) == 2 and len(both.runs) == 1
    both.runs = list(both.choices)
    assert "On other data than the first" in both._curves.value
    assert len(both.top) == 1


def test_without_a_data_set_classes_have_numbers(folder):
    explorer = ResultsExplorer(folder)
    assert explorer.precision["name"].str.fullmatch(r"class \d+").all()


def test_names_with_markup_stay_text(folder, dataset):
    evil = replace(dataset, class_names=tuple(f"{EVIL}{number}" for number in range(dataset.num_classes)))
    explorer = ResultsExplorer(folder, evil)
    shown = [explorer._repr_mimebundle_()["text/html"]]
    shown += [part.value for part in (explorer._curves, explorer._classes, explorer._tops)]
    assert not any("<script" in part for part in shown)
    assert "&lt;script&gt;" in shown[0]


def test_a_saved_page_keeps_what_was_chosen(explorer):
    bundle = explorer._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.widget.model_id
    assert "Average precision by class" in bundle["text/html"] and "in JupyterLab" in bundle["text/html"]
    assert "2 runs" in bundle["text/plain"]


def test_a_folder_without_runs_is_an_error(tmp_path, dataset):
    with pytest.raises(DataError, match=r"no finished run on .* below"):
        ResultsExplorer(tmp_path, dataset)
