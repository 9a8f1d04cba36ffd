"""Killed at any moment a training ends with the same run; snapshots; folders and fingerprints."""

import pkgutil
import shutil
from dataclasses import fields, replace

import keras
import numpy as np
import pytest

import dmlkit
from dmlkit.data import Skipped
from dmlkit.errors import DataError, UsageError
from dmlkit.experiments import LADDER
from dmlkit.metrics import global_average_precision
from dmlkit.predictions import Predictions
from dmlkit.profiles import SMOKE
from dmlkit.runs import WHILE_TRAINING, find_runs
from dmlkit.training.state import (
    TrainingState,
    snapshot_epochs,
    snapshot_fingerprints,
    snapshots_of,
    training_fingerprint,
)

LR = LADDER["lr"]
SAVE = "dmlkit.training.state.TrainingState.save"


def train(data, out, profile=SMOKE, experiment=LR, **settings):
    settings = {"progress": "silent", "checkpoint_seconds": 0} | settings
    return dmlkit.train(experiment, data=data, out=out, profile=profile, **settings)


class Killed(BaseException):
    pass


def train_and_kill(monkeypatch, name, call, *arguments, **settings):
    """A training that ends in the nth call of a function."""
    owner, _, attribute = name.rpartition(".")
    owner = pkgutil.resolve_name(owner)
    function, left = getattr(owner, attribute), [call]

    def counting(*arguments, **settings):
        left[0] -= 1
        if not left[0]:
            raise Killed
        return function(*arguments, **settings)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(owner, attribute, counting)
        train(*arguments, **settings)


def assert_same_run(one, other):
    names = [{str(path.relative_to(run.path)) for path in run.path.rglob("*")} for run in (one, other)]
    assert names[0] == names[1]
    histories = [run.history.drop(columns="seconds").to_numpy() for run in (one, other)]
    assert histories[0] == pytest.approx(histories[1], abs=1e-6)
    for first, second in zip([one, *snapshots_of(one)], [other, *snapshots_of(other)], strict=True):
        assert first.record["fingerprint"] == second.record["fingerprint"]
        for mine, theirs in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
        for file in ("tuning.npz", "predictions.npz"):
            scores = [Predictions.load(run.path / file).scores.astype("f4") for run in (first, second)]
            np.testing.assert_allclose(*scores, atol=1e-3)


# In the order in which one training meets them.
MOMENTS = [
    (SAVE, 5),  # within the first epoch, a step after the last checkpoint
    ("dmlkit.training.trainer.score_split", 1),  # all batches done, the tuning split not scored
    ("os.replace", 3),  # within the second epoch, a checkpoint written and not in its place
    ("dmlkit.training.trainer.global_average_precision", 2),  # the tuning split scored, nothing noted
    ("dmlkit.training.trainer.finish_run", 3),  # the snapshots finished, the run not
    ("dmlkit.predictions.Predictions.save", 6),
    ("dmlkit.training.state.write_record", 3),
]


@pytest.mark.slow
def test_killed_at_one_moment_after_another_it_ends_with_the_same_run(generated, tmp_path, monkeypatch):
    # Everything that draws random numbers, and everything that a checkpoint must bring back.
    profile = replace(
        SMOKE, batch_size=20, epochs=3, patience=3, input_dropout=0.3, frame_choice="random", schedule="cosine",
        mixup=0.4, modality_dropout=0.2, label_smoothing=0.1, ema=0.9, checkpoints=2,
    )  # fmt: skip
    experiment = replace(LR, copies=2)
    straight = train(generated, tmp_path / "straight", profile, experiment)
    for moment in MOMENTS:
        train_and_kill(monkeypatch, *moment, generated, tmp_path / "killed", profile, experiment)
    assert_same_run(train(generated, tmp_path / "killed", profile, experiment), straight)


@pytest.mark.slow
def test_a_refit_killed_before_and_within_resumes(generated, tmp_path, monkeypatch, capsys):
    profile = replace(SMOKE, input_dropout=0.3, max_train_videos=None, after_tuning="refit")
    settings = {
        "profile": profile,
        "checkpoint_seconds": 600,
    }  # a checkpoint an epoch, then those of the refit
    straight = train(generated, tmp_path / "straight", **settings)
    for call in (3, 2):
        train_and_kill(monkeypatch, SAVE, call, generated, tmp_path / "killed", **settings)
    run = train(generated, tmp_path / "killed", progress="lines", **settings)
    assert capsys.readouterr().out.startswith("refitting") and run.record["refit"]["videos"] == 200
    assert_same_run(run, straight)


def test_a_damaged_checkpoint_is_not_used(generated, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / WHILE_TRAINING).write_bytes(b"PK\x03\x04 cut short")
    assert list(train(generated, tmp_path / "run").history["epoch"]) == [1, 2]
    assert not (tmp_path / "run" / WHILE_TRAINING).exists()


def test_an_epoch_under_way_is_resumed_by_as_many_workers(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    state = TrainingState("x", epoch=1, batches=3, workers=2, metrics=[np.array(1.5)], skipped=Skipped(9))
    state.skipped.add_rows([["shard", 1, 12, "label"]])
    state.save(tmp_path, model)
    with pytest.raises(UsageError, match="2 workers had divided among them, and now there are 1"):
        TrainingState.restore(tmp_path, model, fingerprint="x", workers=1, skipped=Skipped())
    restored = TrainingState.restore(tmp_path, model, fingerprint="x", workers=2, skipped=Skipped(9))
    assert (restored.epoch, restored.batches, len(restored.skipped.records)) == (1, 3, 1)
    assert TrainingState.restore(tmp_path, model, fingerprint="y", workers=2, skipped=Skipped()).epoch == 0


def test_snapshots_are_runs_of_the_models_after_their_epochs(generated, tmp_path):
    twelve = replace(SMOKE, epochs=12, patience=12)
    cycles = replace(twelve, checkpoints=3, schedule="cyclic", cycles=4)
    assert snapshot_epochs(twelve, epochs=12) == ()
    assert snapshot_epochs(replace(twelve, checkpoints=3), epochs=7) == (5, 6, 7)
    assert [snapshot_epochs(cycles, epochs=epochs) for epochs in (8, 12)] == [(3, 6), (6, 9, 12)]

    data, profile = generated / "video", replace(cycles, epochs=4, cycles=2, checkpoints=2)
    run = train(data, tmp_path / "lr", profile)
    snapshots = snapshots_of(run)
    assert [each.name for each in snapshots] == ["lr-epoch-2", "lr-epoch-4"]
    expected = snapshot_fingerprints(run.record["fingerprint"], 2)
    assert [each.record["fingerprint"] for each in snapshots] == expected
    for each in snapshots:
        tuning = Predictions.load(each.path / "tuning.npz")
        gap = global_average_precision(tuning.scores.astype("f4"), tuning.labels)
        assert each.tuning_gap == run.history["tuning_gap"][each.record["epochs"] - 1] == pytest.approx(gap)
        assert dmlkit.evaluate(each.path, data=data)["gap"] == pytest.approx(each.gap, abs=1e-3)
        assert not (each.path / "weights.npz").exists()
    best = next(each for each in snapshots if each.record["epochs"] == run.record["best_epoch"])
    np.testing.assert_array_equal(best.predictions.scores, run.predictions.scores)
    # They change nothing about the training, and are listed only where their folder is named.
    plain = train(data, tmp_path / "plain", replace(profile, checkpoints=0))
    assert list(plain.history["tuning_gap"]) == list(run.history["tuning_gap"]) and snapshots_of(plain) == []
    assert [each.name for each in find_runs(run.path)[0]] == ["lr"]
    shutil.rmtree(run.path / "checkpoints" / "2")
    with pytest.raises(DataError, match="should hold 2 snapshots, and 1 can"):
        snapshots_of(dmlkit.load_run(run.path))


def test_a_folder_is_another_runs_or_a_file(smoke_runs, generated, tmp_path):
    with pytest.raises(UsageError, match="already holds another run"):
        train(generated, smoke_runs["lr"].path, seed=1)
    (tmp_path / "file").write_text("something else")
    with pytest.raises(UsageError, match="cannot be made"):
        train(generated, tmp_path / "file")


def test_a_fingerprint_tells_apart_whatever_decides_the_result(generated, with_texts):
    dataset = dmlkit.open_dataset(generated)
    settings = {"profile": SMOKE, "seed": 0, "precision": "float32", "deterministic": False}
    found = [training_fingerprint(LR, dataset, **settings)]
    found.append(training_fingerprint(LR, dmlkit.open_dataset(with_texts), **settings))
    assert found[0] == training_fingerprint(replace(LR), dmlkit.open_dataset(generated), **settings)
    for changes in (
        {"seed": 1}, {"precision": "mixed_bfloat16"}, {"deterministic": True}, {"teachers": ["a"]},
        {"teachers": ["b"]}, {"profile": replace(SMOKE, ridge=0.1)}, {"profile": replace(SMOKE, epochs=3)},
    ):  # fmt: skip
        found.append(training_fingerprint(LR, dataset, **settings | changes))
    for field in fields(LR):
        value = getattr(LR, field.name)
        other = "another" if value is None or isinstance(value, str) else 7 if value != () else ("lr",)
        found.append(training_fingerprint(replace(LR, **{field.name: other}), dataset, **settings))
    assert len(set(found)) == len(found)
