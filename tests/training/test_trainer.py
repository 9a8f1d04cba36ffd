"""What one training reads, shows, skips, follows and leaves."""

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dmlkit
from dmlkit.data import Dataset, open_dataset
from dmlkit.data.records import HEADER_BYTES, frame_record, scan_headers
from dmlkit.errors import DataError, UsageError
from dmlkit.experiments import LADDER, find
from dmlkit.profiles import SMOKE
from dmlkit.training.distributed import ONE_DEVICE
from dmlkit.training.objectives import Teacher, learner_for
from dmlkit.training.prediction import members_of
from dmlkit.training.state import TrainingState
from dmlkit.training.trainer import build_model, open_teachers

LR = LADDER["lr"]


def train(data, out, profile=SMOKE, name="lr", **settings):
    return dmlkit.train(name, data=data, out=out, profile=profile, **{"progress": "silent"} | settings)


def test_each_epoch_has_its_order_and_validation_videos_are_read_once_at_the_end(
    generated, tmp_path, monkeypatch
):
    read, batches = [], Dataset.batches

    def watched(self, split, **settings):
        read.append((split, settings.get("epoch")))
        return batches(self, split, **settings)

    monkeypatch.setattr(Dataset, "batches", watched)
    train(generated, tmp_path / "run")
    assert [split for split, _ in read] == ["train", "tuning", "train", "tuning", "tuning", "validate"]
    assert [epoch for split, epoch in read if split == "train"] == [0, 1]  # another order in each


def test_stored_predictions_are_the_validation_splits_and_the_models(smoke_runs, generated):
    batches = list(open_dataset(generated).batches("validate", batch_size=33))
    for run in smoke_runs.values():
        assert list(run.predictions.ids) == [video for batch in batches for video in batch["id"]]
        assert np.array_equal(
            run.predictions.labels, np.concatenate([each["labels"] for each in batches]) > 0
        )
        assert dmlkit.evaluate(run.path, data=generated)["gap"] == pytest.approx(run.gap, abs=1e-4)
        low, high = run.metrics["gap_interval"]
        assert low < run.gap < high and run.record["hardware"]["threads"] >= 1


def test_progress_is_a_line_an_epoch_or_a_bar(generated, tmp_path, capsys):
    run = train(generated, tmp_path / "lines", progress="lines")
    lines = capsys.readouterr().out.splitlines()
    assert [line[:9] for line in lines] == ["epoch  1/", "epoch  2/"]
    assert f"tuning GAP {run.history['tuning_gap'][1]:.4f}" in lines[1]
    train(generated, tmp_path / "bars", progress="bars")
    shown = capsys.readouterr()
    assert "lr 2/2" in shown.err and "epoch  2/2" in shown.out + shown.err
    with pytest.raises(UsageError, match="silent"):
        train(generated, tmp_path / "other", progress="loud")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "atention"}, "Did you mean 'attention'"),
        ({"name": "ensemble-lr-lstm"}, "is an ensemble of lr, lstm"),
        ({"profile": "smok"}, "Did you mean 'smoke'"),
        ({"on_fault": "ignore"}, "'raise' or 'skip N'"),
        ({"name": "attention-distilled"}, "follows bi-lstm, bi-gru-concat, attention, and no runs"),
    ],
)
def test_what_cannot_be_trained_leaves_nothing(settings, message, generated, tmp_path):
    with pytest.raises(UsageError, match=message):
        train(generated, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="one vector a video"):
        train(generated / "video", tmp_path / "run", name="lstm")


def test_texts_and_16_bits_train_with_every_trick_on_inputs(with_texts, tmp_path):
    profile = replace(SMOKE, epochs=1, mixup=0.4, modality_dropout=0.3, input_dropout=0.1)
    run = train(with_texts, tmp_path / "run", profile, "bi-gru-projection", precision="mixed_bfloat16")
    assert run.record["data"]["features"] == {"rgb": 64, "audio": 16, "text": 512}
    assert np.isfinite(run.predictions.scores).all() and run.record["precision"] == "mixed_bfloat16"


# Corrupt records


@pytest.fixture
def damaged(generated, tmp_path):
    """Three corrupt records to train on, and one to validate on."""
    dataset = open_dataset(shutil.copytree(generated, tmp_path / "damaged"))
    first, second = dataset.splits["train"][:2]
    flip(first, 5, 2)
    flip(first, 6, HEADER_BYTES + 9)
    flip(dataset.splits["validate"][0], 1, HEADER_BYTES + 9)
    start, length, _ = list(scan_headers(second))[3]
    data = Path(second).read_bytes()
    rest = data[start + HEADER_BYTES + length + 4 :]
    Path(second).write_bytes(data[:start] + frame_record(b"\xff\xff\xff") + rest)
    return dataset


def relative(shard, dataset):
    return Path(shard).relative_to(dataset.path).as_posix()


def flip(shard, number, byte):
    start, _, _ = list(scan_headers(shard))[number]
    with open(shard, "r+b") as file:
        file.seek(start + byte)
        value = file.read(1)[0]
        file.seek(start + byte)
        file.write(bytes([value ^ 4]))


TEN = replace(SMOKE, batch_size=10)


def test_corrupt_records_are_skipped_counted_once_and_named(damaged, tmp_path):
    run = train(damaged, tmp_path / "run", TEN, on_fault="skip 4")
    skipped = run.record["data"]["skipped"]
    assert skipped["records"] == 4 and len(run.predictions.ids) == 99
    assert skipped["by_fault"] == {"record checksum": 2, "length checksum": 1, "not a record": 1}
    first, second = (relative(shard, damaged) for shard in damaged.splits["train"][:2])
    assert {(each["shard"], each["record"]) for each in skipped["first"]} >= {
        (first, 5),
        (first, 6),
        (second, 3),
    }


def test_a_training_that_a_record_stopped_resumes_with_skipping_and_keeps_its_limit(
    damaged, generated, tmp_path
):
    with pytest.raises(DataError, match=r"record \d \(counted from 0\), byte \d+: "):
        train(damaged, tmp_path / "run", TEN, checkpoint_seconds=0)
    with pytest.raises(DataError, match=r"one too many: .*\(skip 1\)"):
        train(damaged, tmp_path / "run", TEN, checkpoint_seconds=0, on_fault="skip 1")

    def interrupt(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(damaged, tmp_path / "run", TEN, on_fault="skip 3", on_epoch=interrupt)
    for shard in damaged.splits["train"][:2]:  # repaired meanwhile: three had been skipped nevertheless
        shutil.copy(generated / relative(shard, damaged), shard)
    with pytest.raises(DataError, match=r"validate.*one too many: .*3"):
        train(damaged, tmp_path / "run", TEN, on_fault="skip 3")


@pytest.mark.filterwarnings("error:Your input ran out of data")
def test_whole_batches_may_be_skipped_and_nothing_may_be_left_of_an_epoch(damaged, tmp_path):
    profile = replace(SMOKE, batch_size=1, epochs=1, max_train_videos=60)
    assert np.isfinite(train(damaged, tmp_path / "run", profile, on_fault="skip 4").history["loss"]).all()
    examples = damaged.batches("train", batch_size=1, max_videos=20, on_fault="skip 4")
    model = build_model("lr", damaged, profile=SMOKE)
    model.compile(optimizer="sgd", loss="binary_crossentropy")
    state = TrainingState("x", batches=sum(1 for _ in examples))
    assert state.batches < 20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ONE_DEVICE.fit_epoch(model, None, examples, state, batches=20, callbacks=[])


# Teachers


def test_an_ensemble_teaches_as_it_scores(smoke_runs, generated, tmp_path):
    dataset = open_dataset(generated)
    batch = next(iter(dataset.batches("tuning", batch_size=4, max_frames=5)))
    inputs = {name: batch[name] for name in ("audio", "num_frames", "rgb")}
    scores = [np.asarray(run.model(inputs), np.float64) for run in smoke_runs.values()]
    gaps = [run.tuning_gap for run in smoke_runs.values()]
    both = dmlkit.ensemble(list(smoke_runs.values()), out=tmp_path / "both")
    runs = open_teachers([both.path, smoke_runs["lr"]], dataset, experiment=LR)
    teachers = [Teacher(each.run.model, each.weight / 2) for run in runs for each in members_of(run)]
    learner = learner_for(build_model("lr", dataset, profile=SMOKE), SMOKE, seed=0, teachers=teachers)
    expected = ((gaps[0] * scores[0] + gaps[1] * scores[1]) / sum(gaps) + scores[0]) / 2
    np.testing.assert_allclose(learner(inputs, training=True)["soft"], expected, atol=1e-5)
    votes = dmlkit.ensemble(list(smoke_runs.values()), out=tmp_path / "votes", by="majority")
    with pytest.raises(UsageError, match="by 'majority', which is no weighted mean"):
        open_teachers([votes], dataset, experiment=LR)
    with pytest.raises(UsageError, match="trained on other data"):
        open_teachers([both], open_dataset(generated / "video"), experiment=LR)


# Refitting and kernel machines


def test_a_refit_is_a_training_on_both_splits(generated, tmp_path):
    kept = replace(SMOKE, epochs=2, patience=2, max_train_videos=None, learning_rate=0.02)
    refitted = train(generated, tmp_path / "refitted", replace(kept, after_tuning="refit"))
    dataset = open_dataset(generated)
    moved = dataset.splits | {
        "train": dataset.splits["tuning"] + dataset.splits["train"],
        "tuning": dataset.splits["validate"][:1],
    }
    by_hand = train(replace(dataset, splits=moved, records_per_shard=None), tmp_path / "by-hand", kept)
    assert refitted.record["best_epoch"] == by_hand.record["best_epoch"] == 2
    for one, other in zip(refitted.model.get_weights(), by_hand.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    # The tuning scores stay those of the model that had not seen these videos.
    assert refitted.tuning_gap == pytest.approx(
        train(generated, tmp_path / "kept", kept).tuning_gap, abs=1e-6
    )
    assert dmlkit.evaluate(refitted, data=generated, split="tuning")["gap"] > refitted.tuning_gap + 0.01


def test_a_kernel_machine_is_fitted_and_refitted_in_closed_form(generated, tmp_path):
    profile = replace(
        SMOKE, epochs=1, patience=1, ridge=0.05, units=300, normalization="none", after_tuning="refit"
    )
    run = train(generated / "video", tmp_path / "run", profile, replace(find("yt8m-kernel"), recipe=None))
    assert list(run.history["learning_rate"]) == [0.0]
    dataset = open_dataset(generated / "video")

    def read(*splits):
        batches = [each for split in splits for each in dataset.batches(split, batch_size=16)]
        features = [np.concatenate([batch["audio"], batch["rgb"]], axis=1) for batch in batches]
        return np.concatenate(features), np.concatenate([batch["labels"] for batch in batches])

    def kernel(a, b):
        return np.exp(-0.3 * np.mean((a[:, None] - b[None]) ** 2, axis=-1))

    (learnt, labels), (videos, _) = read("train", "tuning"), read("validate")
    weights = np.linalg.solve(kernel(learnt, learnt) + 0.05 * np.eye(200), labels)
    expected = 1 / (1 + np.exp(5 - 10 * kernel(videos, learnt) @ weights))
    np.testing.assert_allclose(run.predictions.scores.astype("f4"), expected, atol=2e-3)
    with pytest.raises(UsageError, match="labels alone"):
        train(generated / "video", tmp_path / "other", profile, run.experiment, teachers=[run])


# TensorBoard


def curves(folder):
    """Name → [(step, value)] of the one event file of a folder."""
    import tensorflow as tf

    (file,) = folder.glob("events.out.tfevents.*")
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found.setdefault(value.tag, []).append((event.step, float(tf.make_ndarray(value.tensor))))
    return found


def test_tensorboard_shows_the_history_as_one_curve_after_a_resume(generated, tmp_path):
    def interrupt(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(generated, tmp_path / "run", tensorboard=tmp_path / "logs", on_epoch=interrupt)
    assert [step for step, _ in curves(tmp_path / "logs" / "run")["loss"]] == [1]
    run = train(generated, tmp_path / "run", tensorboard=tmp_path / "logs")
    for name in ("loss", "tuning_gap", "learning_rate"):
        expected = [
            (row.epoch, pytest.approx(getattr(row, name), rel=1e-6)) for row in run.history.itertuples()
        ]
        assert curves(tmp_path / "logs" / "run")[name] == expected
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="logs cannot be written"):
        train(generated, tmp_path / "other", tensorboard=tmp_path / "file")
