"""What one training reads, shows, skips, follows and leaves."""

import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import dmlkit
from dmlkit.data import Batches, Dataset, open_dataset
from dmlkit.data.records import HEADER_BYTES, scan_headers
from dmlkit.errors import DataError, UsageError
from dmlkit.experiments import LADDER
from dmlkit.profiles import SMOKE
from dmlkit.training.objectives import learner_for
from dmlkit.training.prediction import members_of
from dmlkit.training.trainer import build_model, open_teachers

LR = LADDER["lr"]
TEN = replace(SMOKE, batch_size=10)


def train(data, out, profile=SMOKE, experiment=LR, **settings):
    return dmlkit.train(experiment, data=data, out=out, profile=profile, **{"progress": "silent"} | settings)


def interrupt(row):
    raise KeyboardInterrupt


def test_each_epoch_has_its_order_and_validation_is_read_once_at_the_end(generated, tmp_path, monkeypatch):
    read, batches = [], Dataset.batches

    def watched(self, split, **settings):
        read.append((split, settings.get("epoch")))
        return batches(self, split, **settings)

    monkeypatch.setattr(Dataset, "batches", watched)
    train(generated, tmp_path / "run")
    # At last a sample of the training videos, for their scale.
    assert [split for split, _ in read] == [*["train", "tuning"] * 2, "tuning", "validate", "train"]
    assert [epoch for split, epoch in read if split == "train"] == [0, 1, None]  # another order in each


def test_progress_is_a_line_an_epoch_or_a_bar(generated, with_texts, tmp_path, capsys):
    run = train(generated, tmp_path / "lines", progress="lines")
    lines = capsys.readouterr().out.splitlines()
    assert [line[:9] for line in lines] == ["epoch  1/", "epoch  2/"]
    assert f"tuning GAP {run.history['tuning_gap'][1]:.4f}" in lines[1]
    run = train(with_texts, tmp_path / "bars", progress="bars", precision="mixed_bfloat16")
    features = {name: (each["size"], each["coding"]) for name, each in run.record["data"]["features"].items()}
    assert features == {"rgb": (64, "byte"), "audio": (16, "byte"), "text": (512, "text")}
    assert np.isfinite(run.predictions.scores).all() and run.record["precision"] == "mixed_bfloat16"
    shown = capsys.readouterr()
    assert "lr 2/2" in shown.err and "epoch  2/2" in shown.out + shown.err


def test_what_cannot_be_trained_leaves_nothing(generated, tmp_path):
    for settings, message in (
        ({"experiment": "ensemble-lr-lstm"}, "is an ensemble of lr, lstm"),
        ({"progress": "loud"}, "silent"),
        ({"strategy": "mirored"}, "mirrored, multi-worker"),
        ({"experiment": "attention-distilled"}, "follows bi-lstm, bi-gru-concat, attention, and no runs"),
    ):
        with pytest.raises(UsageError, match=message):
            train(generated, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_moving_averages_are_scored_and_change_nothing_about_the_training(generated, tmp_path, precision):
    plain, averaged = (
        train(generated, tmp_path / str(ema), replace(TEN, ema=ema), precision=precision) for ema in (0, 0.9)
    )
    assert list(averaged.history["loss"]) == pytest.approx(list(plain.history["loss"]), rel=1e-5)
    pairs = zip(plain.model.get_weights(), averaged.model.get_weights(), strict=True)
    assert max(np.abs(one - other).max() for one, other in pairs) > 1e-3


@pytest.mark.parametrize("level", ["", "video"])
def test_the_tuning_loss_is_the_cross_entropy_of_the_kept_weights_alone(
    generated, tmp_path, monkeypatch, level
):
    monkeypatch.setattr(
        "dmlkit.training.prediction.batch_size", lambda *_, **settings: 8
    )  # the last batch has 4
    # The training loss has other labels, teachers' and blended ones, two copies and penalties.
    changed = {"ema": 0.9, "label_smoothing": 0.1, "mixup": 0.4, "class_balance": 0.5, "input_dropout": 0.3}
    profile = replace(TEN, **changed)
    rows = []
    settings = {"experiment": replace(LR, copies=2), "on_epoch": rows.append}
    run = train(generated / level, tmp_path / "run", profile, **settings)
    summed, videos = 0.0, 0
    for batch in open_dataset(generated / level).batches(
        "tuning", batch_size=7, max_frames=profile.max_frames
    ):
        scores = run.model.predict_on_batch({each.name: batch[each.name] for each in run.model.inputs})
        summed += (
            float(keras.losses.BinaryCrossentropy(reduction="sum")(batch["labels"], scores)) * scores.shape[1]
        )
        videos += len(scores)
    expected = pytest.approx(summed / videos, rel=2e-6)
    assert videos == 20 and run.history["tuning_loss"][run.record["best_epoch"] - 1] == expected
    assert [row["tuning_loss"] for row in rows] == pytest.approx(list(run.history["tuning_loss"]))


@pytest.fixture
def damaged(generated, tmp_path):
    """Three corrupt records to train on, and one to validate on."""
    dataset = open_dataset(shutil.copytree(generated, tmp_path / "damaged"))
    first, second = dataset.splits["train"][:2]
    for shard, number in ((first, 5), (first, 6), (second, 3), (dataset.splits["validate"][0], 1)):
        start, _, _ = list(scan_headers(shard))[number]
        with open(shard, "r+b") as file:
            file.seek(start + HEADER_BYTES + 9)
            value = file.read(1)[0]
            file.seek(start + HEADER_BYTES + 9)
            file.write(bytes([value ^ 4]))
    return dataset


def relative(shard, dataset):
    return Path(shard).relative_to(dataset.path).as_posix()


def test_a_training_that_a_record_stopped_resumes_with_skipping(damaged, generated, tmp_path):
    with pytest.raises(DataError, match=r"record \d \(counted from 0\), byte \d+: "):
        train(damaged, tmp_path / "run", TEN, checkpoint_seconds=0)
    with pytest.raises(KeyboardInterrupt):
        train(damaged, tmp_path / "run", TEN, on_fault="skip 3", on_epoch=interrupt)
    first, second = damaged.splits["train"][:2]
    for shard in (first, second):  # repaired meanwhile: three had been skipped nevertheless
        shutil.copy(generated / relative(shard, damaged), shard)
    with pytest.raises(DataError, match=r"validate.*one too many: .*3"):
        train(damaged, tmp_path / "run", TEN, on_fault="skip 3")
    run = train(damaged, tmp_path / "run", TEN, on_fault="skip 4")
    skipped = run.record["data"]["skipped"]
    assert skipped["records"] == 4 and len(run.predictions.ids) == 99
    found = {(each["shard"], each["record"]) for each in skipped["first"]}
    assert found >= {(relative(first, damaged), 5), (relative(second, damaged), 3)}


@pytest.mark.filterwarnings("error:Your input ran out of data")
def test_all_records_of_a_batch_may_be_skipped(damaged, tmp_path):
    profile = replace(SMOKE, batch_size=1, epochs=1, max_train_videos=60)
    assert np.isfinite(train(damaged, tmp_path / "run", profile, on_fault="skip 4").history["loss"]).all()


def test_an_ensemble_teaches_as_it_scores(smoke_runs, generated, tmp_path):
    dataset = open_dataset(generated)
    batch = next(iter(dataset.batches("tuning", batch_size=4, max_frames=5)))
    inputs = {name: batch[name] for name in ("audio", "num_frames", "rgb")}
    scores = [np.asarray(run.model(inputs), np.float64) for run in smoke_runs.values()]
    gaps = [run.tuning_gap for run in smoke_runs.values()]
    both = dmlkit.ensemble(list(smoke_runs.values()), out=tmp_path / "both")
    runs = open_teachers([both.path, smoke_runs["lr"]], dataset, experiment=LR)
    teachers = [(each.run.model, each.weight / 2) for run in runs for each in members_of(run)]
    learner = learner_for(build_model("lr", dataset, profile=SMOKE), SMOKE, seed=0, teachers=teachers)
    expected = ((gaps[0] * scores[0] + gaps[1] * scores[1]) / sum(gaps) + scores[0]) / 2
    np.testing.assert_allclose(learner(inputs, training=True)["soft"], expected, atol=1e-5)
    votes = dmlkit.ensemble(list(smoke_runs.values()), out=tmp_path / "votes", by="majority")
    with pytest.raises(UsageError, match="by 'majority', which is no weighted mean"):
        open_teachers([votes], dataset, experiment=LR)
    with pytest.raises(UsageError, match="trained on other data"):
        open_teachers([both], open_dataset(generated / "video"), experiment=LR)


def test_a_refit_is_a_training_on_both_splits(generated, tmp_path):
    kept = replace(SMOKE, max_train_videos=None, learning_rate=0.02)
    refitted = train(generated, tmp_path / "refitted", replace(kept, after_tuning="refit"))
    dataset = open_dataset(generated)
    moved = dataset.splits | {
        "train": dataset.splits["tuning"] + dataset.splits["train"],
        "tuning": dataset.splits["validate"][:1],
    }
    by_hand = train(replace(dataset, splits=moved), tmp_path / "by-hand", kept)
    assert refitted.record["refit"] == {"epochs": by_hand.record["best_epoch"], "videos": 200}
    for one, other in zip(refitted.model.get_weights(), by_hand.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    # The tuning scores stay those of the model that had not seen these videos.
    once = train(generated, tmp_path / "kept", kept)
    assert refitted.tuning_gap == pytest.approx(once.tuning_gap, abs=1e-6)
    assert dmlkit.evaluate(refitted, data=generated, split="tuning")["gap"] > refitted.tuning_gap + 0.01


@pytest.mark.parametrize("most", [12, 155])
def test_a_refit_reads_the_videos_that_were_fitted_and_that_judged(generated, tmp_path, monkeypatch, most):
    read, batches = [], Batches.__iter__

    def watched(self):
        read.append((self.split, set()))
        for batch in batches(self):
            read[-1][1].update(batch["id"].tolist())
            yield batch

    monkeypatch.setattr(Batches, "__iter__", watched)
    profile = replace(SMOKE, epochs=1, max_train_videos=most, max_tuning_videos=15, after_tuning="refit")
    run = train(generated, tmp_path / "run", profile)
    (fitted, judged, _, refitted, *_) = (ids for _, ids in read)  # at last a sample of the training's scale
    assert [split for split, _ in read] == ["train", "tuning", "tuning", "train", "validate", "train"]
    assert (len(fitted), len(judged)) == (most, 15) and refitted == fitted | judged
    assert run.record["refit"]["videos"] == len(refitted) == run.history["examples"].iloc[-1] + 15


def test_tensorboard_shows_the_history_as_one_curve_after_a_resume(generated, tmp_path):
    import tensorflow as tf

    def curves():
        """Name → [(step, value)] of the one event file."""
        (file,), found = (tmp_path / "logs" / "run").glob("events.out.tfevents.*"), {}
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, float(tf.make_ndarray(value.tensor))))
        return found

    with pytest.raises(KeyboardInterrupt):
        train(generated, tmp_path / "run", tensorboard=tmp_path / "logs", on_epoch=interrupt)
    assert [step for step, _ in curves()["loss"]] == [1]
    run = train(generated, tmp_path / "run", tensorboard=tmp_path / "logs")
    for name in ("loss", "tuning_loss", "tuning_gap", "learning_rate"):
        history = run.history.set_index("epoch")[name]
        assert curves()[name] == [(step, pytest.approx(value, rel=1e-6)) for step, value in history.items()]
