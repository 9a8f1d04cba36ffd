"""One training: what it leaves, what it never looks at, what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.data import Dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.experiments import Missing
from dmlkit.metrics import global_average_precision
from dmlkit.profiles import SMOKE
from dmlkit.runtime import threads
from dmlkit.training import checkpoint


def quick(out, data, *, name="lr", profile=SMOKE, **more):
    return dmlkit.train(name, data=data, out=out, profile=profile, progress="silent", **more)


def test_a_run_is_a_folder_that_needs_nothing_else(smoke_runs):
    run = smoke_runs["attention"]
    assert {path.name for path in run.path.iterdir()} == {
        "run.json",
        "history.csv",
        "model.keras",
        "predictions.npz",
        "tuning.npz",
    }
    record = json.loads((run.path / "run.json").read_text())
    assert record["experiment"]["encoder"] == "bi_gru" and record["experiment"]["pooling"] == "attention"
    assert record["data"]["generated"] is True
    assert record["data"]["videos"] == {"train": 180, "tuning": 20, "validate": 100}
    assert record["parameters"] == run.model.count_params()
    assert set(record["versions"]) >= {"python", "keras", "tensorflow", "numpy"}
    assert record["seconds"]["training"] > 0 and record["hardware"]["cores"] >= 1
    assert 0 < record["seconds"]["scoring"] < 60
    assert len(run.history) == record["epochs"] == 2
    assert list(run.history["examples"]) == [180, 360]


def test_a_run_tells_the_threads_it_had(smoke_runs, monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    hardware = smoke_runs["lr"].record["hardware"]
    assert hardware["threads"] == threads() >= 1
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    assert threads() == 3


def test_measures_are_those_of_the_stored_scores(smoke_runs):
    run = smoke_runs["lr"]
    predictions = run.predictions
    assert predictions.scores.dtype == np.float16 and predictions.scores.shape == (100, 24)
    assert run.gap == global_average_precision(predictions.scores.astype(np.float32), predictions.labels)
    low, high = run.metrics["gap_interval"]
    assert low < run.gap < high


def test_stored_ids_and_labels_are_the_validation_parts(smoke_runs, generated):
    batches = list(dmlkit.open_dataset(generated).batches("validate", batch_size=33))
    predictions = smoke_runs["lr"].predictions
    assert list(predictions.ids) == [video for batch in batches for video in batch["id"]]
    assert np.array_equal(predictions.labels, np.concatenate([batch["labels"] for batch in batches]) > 0)


def test_evaluating_the_saved_model_gives_the_runs_measures(smoke_runs, generated):
    for run in smoke_runs.values():
        assert dmlkit.evaluate(run.path, data=generated)["gap"] == pytest.approx(run.gap, abs=1e-4)


def test_a_finished_run_is_not_trained_again(smoke_runs, generated, capsys):
    run = smoke_runs["lr"]
    before = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    again = dmlkit.train("lr", data=generated, out=run.path, profile="smoke")
    assert again.record == run.record
    assert {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()} == before
    assert "epoch" not in capsys.readouterr().out


def test_a_folder_that_holds_another_run_is_refused(smoke_runs, generated):
    with pytest.raises(UsageError, match="already holds another run"):
        quick(smoke_runs["lr"].path, generated, seed=1)


def test_a_file_in_the_runs_place_is_refused(generated, tmp_path):
    (tmp_path / "run").write_text("something else")
    with pytest.raises(UsageError, match="a file stands there"):
        quick(tmp_path / "run", generated)


def test_a_folder_without_a_record_is_no_run(tmp_path, smoke_runs):
    for name in ("model.keras", "predictions.npz", "history.csv"):
        (tmp_path / name).write_bytes((smoke_runs["lr"].path / name).read_bytes())
    with pytest.raises(DataError, match=r"no finished run"):
        dmlkit.load_run(tmp_path)


def test_validation_is_read_once_at_the_end(generated, tmp_path, monkeypatch):
    read = []
    batches = Dataset.batches

    def watched(self, split, **settings):
        read.append(split)
        return batches(self, split, **settings)

    monkeypatch.setattr(Dataset, "batches", watched)
    quick(tmp_path / "run", generated)
    assert read == ["train", "tuning", "train", "tuning", "tuning", "validate"]


def test_the_weights_kept_are_the_best_on_the_tuning_part(generated, tmp_path):
    # A rate this high makes scores jump about, so that the last epoch is not simply the best.
    run = quick(tmp_path / "run", generated, profile=replace(SMOKE, epochs=8, patience=3, learning_rate=0.5))
    best = run.history["tuning_gap"].max()
    assert run.tuning_gap == pytest.approx(best, abs=1e-4)
    assert run.history["tuning_gap"].idxmax() + 1 == run.record["best_epoch"]


def test_training_ends_when_the_tuning_part_has_not_gained_for_long_enough(generated, tmp_path):
    run = quick(
        tmp_path / "run", generated, profile=replace(SMOKE, epochs=30, patience=2, learning_rate=1e-9)
    )
    assert run.record["epochs"] == run.record["best_epoch"] + 2 < 30


def test_each_epoch_is_told(generated, tmp_path, capsys):
    rows = []
    dmlkit.train(
        "lr", data=generated, out=tmp_path / "run", profile="smoke", progress="lines", on_epoch=rows.append
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch", "epoch"]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert f"tuning GAP {rows[1]['tuning_gap']:.4f}" in lines[1]


def test_no_checkpoint_is_left_behind(smoke_runs):
    assert not (smoke_runs["lr"].path / checkpoint.FILE).exists()


def test_a_diverged_training_says_so_and_is_no_run(generated, tmp_path):
    profile = replace(SMOKE, learning_rate=1e38, normalization="none", clip_norm=1e38)
    with pytest.raises(DataError, match="lower"):
        quick(tmp_path / "run", generated, profile=profile)
    with pytest.raises(DataError, match="no finished run"):
        dmlkit.load_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("atention", "Did you mean 'attention'"),
        ("ensemble-lr-lstm", "is an ensemble of lr, lstm"),
        (Missing(name="row", title="Row", reason="nobody built it"), "cannot be trained: nobody built it"),
    ],
)
def test_what_cannot_be_trained_is_told(name, message, generated, tmp_path):
    with pytest.raises(UsageError, match=message):
        quick(tmp_path / "run", generated, name=name)


def test_an_unknown_profile_names_the_nearest(generated, tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'smoke'"):
        quick(tmp_path / "run", generated, profile="smok")


def test_frames_are_needed_where_the_encoder_reads_them(generated, tmp_path):
    with pytest.raises(UsageError, match="one vector a video"):
        quick(tmp_path / "run", generated / "video", name="lstm")


def test_mixed_precision_trains(generated, tmp_path):
    run = quick(tmp_path / "run", generated, name="lstm", precision="mixed_bfloat16")
    assert run.record["precision"] == "mixed_bfloat16"
    assert np.isfinite(run.predictions.scores).all()
