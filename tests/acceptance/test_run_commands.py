"""`dmlkit train`, `evaluate`, `predict`, `ensemble`, `compare`, `runs` and `experiments`, as they are typed."""

import csv
import json
import re
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import dmlkit as library
from dmlkit import paths

COMBINERS = ("algorithm_2", "uniform", "majority", "rank_mean", "optimized", "stacking")


Ended = namedtuple("Ended", "code out err")


@pytest.fixture
def dmlkit(command):
    """A function that runs the command line."""
    return lambda *arguments: Ended(*command(*arguments))


@pytest.fixture
def folders(smoke_runs) -> dict[str, Path]:
    """Name → folder of the trained runs."""
    return {name: run.path for name, run in smoke_runs.items()}


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def gap_in(text: str) -> float:
    return float(re.search(r"GAP@20\s+(\d\.\d+)", text)[1])


def one_paragraph(ended, code: int, *parts: str) -> None:
    """An error for a reader: an exit code, one line that names what is wrong, nothing on standard output."""
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (code, "", 1), ended
    for part in parts:
        assert part in ended.err, ended.err


def test_a_run_is_not_trained_twice(dmlkit, folders, generated):
    folder = folders["attention"]
    before = (folder / "run.json").stat().st_mtime_ns
    again = ("train", "attention", "--data", generated, "--out", folder)
    ended = dmlkit(*again, "--profile", "smoke")
    assert ended.code == 0 and f"The run is in {folder}" in ended.out
    assert (folder / "run.json").stat().st_mtime_ns == before
    one_paragraph(dmlkit(*again, "--profile", "smoke", "--seed", "1"), 2, str(folder), "another run")


def test_home_is_the_same_for_every_command_wherever_one_works(
    dmlkit, generated, leave_run, tmp_path, monkeypatch
):
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("DMLKIT_HOME", str(home))
    one_paragraph(dmlkit("runs"), 2, f"There is no folder {home}/reports")
    one_paragraph(dmlkit("compare", "lr", "lstm"), 2, f"below {home}/reports")
    runs = paths.default_runs(None, "demo")
    for name in ("lr", "lstm"):
        leave_run(runs / f"{name}-0", name)
    listed, compared = dmlkit("runs"), dmlkit("compare", "lr", "lstm")
    assert f"below {home}/reports/demo/runs" in listed.out and (listed.code, compared.code) == (0, 0)
    planned = dmlkit("report", "--data", generated, "--profile", "smoke", "--dry-run")
    assert f"The report in {home}/reports/generated-smoke would" in planned.out
    assert f"{home}/data/generated (not there yet" in dmlkit("report", "--dry-run").out
    one_paragraph(dmlkit("runs", "reports"), 2, "There is no folder reports")
    assert not list(work.iterdir())


def test_experiments_are_listed_once_each(dmlkit):
    ended = dmlkit("experiments")
    listed = [line.split()[0] for line in ended.out.splitlines() if line.startswith("  ")]
    assert ended.code == 0 and len(listed) == len(set(listed)) and set(listed) == set(library.EXPERIMENTS)


def test_fields_of_a_profile_can_be_set_and_nonsense_is_named(dmlkit, generated, tmp_path):
    fields = ("max_frames=4", "epochs=1", "decay_examples=0.5,4000", "ema=0.5")
    sets = [each for field in fields for each in ("--set", field)]
    out = ("--data", generated / "video", "--profile", "smoke", "--out", tmp_path / "run")
    assert dmlkit("train", "lr", *out, *sets, "--deterministic").code == 0
    assert record(tmp_path / "run")["deterministic"] is True
    profile = record(tmp_path / "run")["profile"]
    assert (profile["max_frames"], profile["epochs"], profile["ema"]) == (4, 1, 0.5)
    assert profile["decay_examples"] == [0.5, 4000] and profile["units"] == 8
    for name, value, *parts in (
        ("lr", "mixpu=0.4", "mixpu", "Did you mean 'mixup'"),
        ("lr", "lr=0.1", "Did you mean 'learning_rate'"),
        ("bi-gru", "epochs=1", "Did you mean 'bi-gru-concat' or", "`dmlkit experiments` lists all"),
        ("lr", "mixup", "FIELD=VALUE", "'mixup'"),
        ("lr", "epochs=1.5", "epochs", "1.5"),
        ("attention-mixup", "mixup=1", "mixup=0.4"),
        ("yt8m-ensemble", "mixup=0.4", "yt8m-kernel", "ridge"),
    ):
        ended = dmlkit("train", name, "--data", "nowhere", "--set", value)
        one_paragraph(ended, 2, *parts)
    train = ("train", "lr", "--data", "nowhere")
    one_paragraph(dmlkit(*train, "--batch-size", "0.5"), 2, "batch_size must be", "'0.5'")
    one_paragraph(dmlkit(*train, "--learning-rate", "0"), 2, "learning_rate must be greater than 0")
    one_paragraph(dmlkit(*train, "--epochs", "2", "--set", "epochs=3"), 2, "epochs is set twice")
    assert re.search(r"\n  warm_up +number, >= 0, < 1 +\[0\.05\]\n", dmlkit("train", "--help").out)


def test_classes_are_measured_each(dmlkit, folders, generated, tmp_path):
    file, run = tmp_path / "classes.csv", library.load_run(folders["attention"])
    measure = ("evaluate", folders["attention"], "--data", generated, "--per-class")
    assert dmlkit(*measure, file).code == 0
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    table = run.per_class()
    assert list(rows[0]) == list(table) and [row["name"] for row in rows] == run.class_names
    assert [int(row["videos"]) for row in rows] == list(run.predictions.labels.sum(axis=0))
    found = [float(row["average_precision"] or "nan") for row in rows]
    np.testing.assert_allclose(found, table["average_precision"], atol=2e-3)
    assert np.nanmean(found) == pytest.approx(run.metrics["map"], abs=1e-3)
    one_paragraph(dmlkit(*measure, tmp_path), 2, f"cannot be written to {tmp_path}")


def test_an_ensemble_by_each_combiner_is_a_run(dmlkit, folders, generated, tmp_path):
    for by in COMBINERS:
        ended = dmlkit("ensemble", *folders.values(), "--by", by, "--out", tmp_path / by)
        assert ended.code == 0 and f"The ensemble is in {tmp_path / by}" in ended.out, ended.err
        written = record(tmp_path / by)
        assert [member["name"] for member in written["members"]] == ["lr", "attention"]
        measured = dmlkit("evaluate", tmp_path / by, "--data", generated)
        assert gap_in(measured.out) == pytest.approx(written["metrics"]["gap"], abs=2e-3)
        assert dmlkit("evaluate", *folders.values(), "--by", by, "--data", generated).out == measured.out
    together, runs = (
        dmlkit("evaluate", *folders.values(), "--data", generated),
        map(library.load_run, folders.values()),
    )
    assert together.out.startswith("100 videos of 'validate'") and "\nmAP     0." in together.out
    gaps, predictions = zip(*((run.tuning_gap, run.predictions) for run in runs), strict=True)
    weights = [member["weight"] for member in record(tmp_path / "algorithm_2")["members"]]
    assert weights == pytest.approx(np.array(gaps) / sum(gaps))
    scores = library.weighted_average([each.scores for each in predictions], weights)
    expected = library.global_average_precision(scores, predictions[0].labels)
    assert gap_in(together.out) == pytest.approx(expected, abs=1e-3)
    few = dmlkit("evaluate", folders["lr"], "--data", generated, "--split", "train", "--max-videos", "30")
    assert "30 videos of 'train'" in few.out
    assert record(tmp_path / "optimized")["tuning"]["gap"] >= max(gaps)
    one_paragraph(dmlkit("ensemble", folders["lr"], "--out", tmp_path / "x"), 2, "two runs")
    ended = dmlkit("ensemble", *folders.values(), "--by", "staking", "--out", tmp_path / "x")
    one_paragraph(ended, 2, "Did you mean 'stacking'")
    ended = dmlkit("ensemble", *folders.values(), "--by", "uniform", "--out", tmp_path / "stacking")
    one_paragraph(ended, 2, "another run")


def test_a_named_ensemble_trains_what_is_missing_and_is_whole_by_itself(dmlkit, generated, tmp_path):
    command = ("train", "ensemble-lr-lstm", "--data", generated, "--profile", "smoke", "--set", "epochs=1")
    ended = dmlkit(*command, "--out", tmp_path / "both")
    assert ended.code == 0, ended.err
    assert re.search(r"0\.\d{4}  lr\n0\.\d{4}  lstm\n", ended.out)
    members = [path.parent.name.rsplit("-", 1)[0] for path in (tmp_path / "both/members").glob("*/run.json")]
    assert sorted(members) == ["lr", "lstm"]
    again = dmlkit(*command, "--out", tmp_path / "both")
    assert again.out.splitlines()[-1] == ended.out.splitlines()[-1]
    moved = shutil.move(tmp_path / "both", tmp_path / "moved")
    measured = dmlkit("evaluate", moved, "--data", generated)
    assert gap_in(measured.out) == pytest.approx(record(Path(moved))["metrics"]["gap"], abs=2e-3)
    ended = dmlkit("train", "ensemble-lr-lstm", "--data", generated / "video", "--out", tmp_path / "x")
    one_paragraph(ended, 2, "one vector a video")


def test_predictions_are_a_submission_that_measures_as_its_run(dmlkit, folders, generated, tmp_path):
    file = tmp_path / "s.csv"
    ended = dmlkit("predict", *folders.values(), "--data", generated, "--split", "validate", "--out", file)
    assert ended == (0, f"100 videos of 'validate' are in {file}.\n", "")
    lines = file.read_text().splitlines()
    assert lines[0] == "VideoId,LabelConfidencePairs" and len(lines) == 101
    assert {len(line.split(",")[1].split()) for line in lines[1:]} == {40}
    check = ("submission", "check", file, "--data", generated, "--split", "validate")
    assert dmlkit(*check).code == 0
    of_file = dmlkit("evaluate", "--submission", file, "--data", generated).out
    of_runs = dmlkit("evaluate", *folders.values(), "--data", generated).out
    assert of_runs.startswith(of_file.rstrip("\n"))
    people = dmlkit("predict", folders["lr"], "--data", generated, "--names", "--top-k", "3", "--out", "-")
    assert people.code == 0 and "20 videos of 'test' written" in people.err
    rows = [line.split(maxsplit=2) for line in people.out.splitlines() if line.startswith("  ")]
    class_names = library.open_dataset(generated).class_names
    assert len(rows) == 60 and all(class_names[int(label)] == name for _, label, name in rows)
    ended = dmlkit("predict", folders["lr"], "--data", generated, "--out", tmp_path)
    one_paragraph(ended, 2, str(tmp_path))
    ended = dmlkit("evaluate", folders["lr"], "--submission", file, "--data", generated)
    one_paragraph(ended, 2, "--submission")
    file.write_bytes("\r\n".join(lines).encode())
    ended = dmlkit("evaluate", "--submission", file, "--data", generated)
    assert ended.out == of_file and "99 lines, the first line 2: ends in CR and LF" in ended.err
    assert "measures the file" in dmlkit(*check).out
    file.write_text("\n".join([*lines[:2], lines[1], *lines[3:]]) + "\n")
    ended = dmlkit(*check, "--json")
    found = [(fault["line"], fault["kind"]) for fault in json.loads(ended.out)["faults"]]
    assert ended.code == 3 and sorted(found, key=str) == [(3, "duplicate id"), (None, "missing id")]
    assert dmlkit("evaluate", "--submission", file, "--data", generated).code == 3


def test_two_runs_are_compared_on_the_same_videos(dmlkit, folders, generated):
    a, b = folders["attention"], folders["lr"]
    ended = dmlkit("compare", a, b, "--data", generated, "--resamples", "200")
    difference = record(a)["metrics"]["gap"] - record(b)["metrics"]["gap"]
    assert ended.code == 0 and f"{difference:+.4f}" in ended.out and "100 videos" in ended.out
    found = json.loads(dmlkit("compare", a, b, "--resamples", "200", "--json").out)
    assert found["difference"] == pytest.approx(difference, abs=1e-9)
    names = library.load_run(a).class_names  # without --data
    assert found["classes"] and all(each["name"] == names[each["number"]] for each in found["classes"])
    assert found["interval"][0] < found["difference"] < found["interval"][1]
    swapped = json.loads(dmlkit("compare", b, a, "--resamples", "200", "--json").out)
    assert swapped["interval"] == pytest.approx([-end for end in reversed(found["interval"])])
    assert library.compare(a, b, resamples=200).difference == found["difference"]
    one_paragraph(dmlkit("compare", a), 2, "two sides")


def test_a_name_stands_for_all_seeds_of_an_experiment(dmlkit, leave_run, tmp_path):
    for seed in range(3):
        leave_run(tmp_path / f"attention-{seed}", "attention", seed=seed, quality=0.6, videos=120)
    leave_run(tmp_path / "lr-0", "lr", quality=0.3, videos=120)
    where = ("--runs", tmp_path, "--resamples", "20")
    found = json.loads(dmlkit("compare", "attention", "lr", *where, "--json").out)
    assert [run["seed"] for run in found["a"]["runs"]] == [0, 1, 2] and found["excludes_zero"]
    assert found["over"] == "over videos, for these seeds"  # lr has one
    assert found["a"]["gap_mean"] == pytest.approx(np.mean([run["gap"] for run in found["a"]["runs"]]))
    paths = [tmp_path / f"attention-{seed}" for seed in range(3)]
    assert json.loads(dmlkit("compare", *paths, tmp_path / "lr-0", *where, "--json").out) == found
    one_paragraph(dmlkit("compare", "atention", "lr", *where), 2, "Did you mean 'attention'")
    leave_run(tmp_path / "attention-9", "attention", seed=9, profile="demo", videos=120)
    ended = dmlkit("compare", "attention", "lr", *where, "--profile", "smoke", "--json")
    assert json.loads(ended.out)["difference"] == found["difference"]
    for seed in (1, 2):
        leave_run(tmp_path / f"lr-{seed}", "lr", seed=seed, quality=0.3, videos=120)
    both = dmlkit("compare", "attention", "lr", *where, "--profile", "smoke").out
    assert "95 % CI over videos and seeds" in both and ", significant\n" in both


def test_runs_are_listed_best_first_and_damaged_ones_are_named(dmlkit, leave_run, tmp_path):
    leave_run(tmp_path / "deep" / "good", "good", quality=0.6)
    leave_run(tmp_path / "bad", "bad", quality=0.2, profile="demo")
    leave_run(tmp_path / "else", "lstm", data="other data")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text('{"kind": "trai')
    ended = dmlkit("runs", tmp_path)
    assert ended.code == 0 and len(ended.out.split("\n\n")) == 2 and "other data" in ended.out
    assert ended.out.index("good") < ended.out.index("bad") and "broken/run.json" in ended.err
    rows = json.loads(dmlkit("runs", tmp_path, "--json", "--profile", "smoke").out)
    assert {row["name"] for row in rows} == {"good", "lstm"}
    assert rows[0]["gap"] >= rows[1]["gap"] and rows[0]["gap_low"] <= rows[0]["gap"] <= rows[0]["gap_high"]
    one_paragraph(dmlkit("runs", tmp_path / "nowhere"), 2, "nowhere")
    assert "Did you mean 'good'" in dmlkit("runs", tmp_path, "--experiment", "goood").err
