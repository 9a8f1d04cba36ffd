"""Once more on the tuning part too: what is trained then, what stays as it was, and what is killed meanwhile."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.data import open_dataset
from dmlkit.errors import UsageError
from dmlkit.profiles import SMOKE
from dmlkit.training import checkpoint
from dmlkit.training.refitting import leave_to_refitting
from dmlkit.training.rows import row
from dmlkit.training.workers.refusing import OneDeviceError

# As many epochs as there are, so that the best one is known beforehand; no cap, so that all videos are read.
KEPT = replace(SMOKE, epochs=2, dropout=0.3, max_train_videos=None, learning_rate=0.02)
REFITTED = replace(KEPT, after_tuning="refit")


@pytest.fixture(scope="module")
def train(generated, tmp_path_factory):
    def train(name, profile, *, data=generated, progress="silent", out=None, **settings):
        out = out or tmp_path_factory.mktemp("run") / "run"
        return dmlkit.train(name, data=data, out=out, profile=profile, progress=progress, **settings)

    return train


@pytest.fixture(scope="module")
def refitted(train):
    return train("lr", REFITTED)


def test_the_model_is_one_that_was_trained_on_both_parts(refitted, train, generated):
    # The same by other means: shards moved from one part to the other by hand, and a tuning part that decides nothing.
    dataset = open_dataset(generated)
    moved = replace(
        dataset,
        splits=dataset.splits
        | {
            "train": dataset.splits["tuning"] + dataset.splits["train"],
            "tuning": dataset.splits["validate"][:1],
        },
        records_per_shard=None,
    )
    by_hand = train("lr", replace(KEPT, epochs=2, patience=2), data=moved)
    assert refitted.record["best_epoch"] == by_hand.record["best_epoch"] == 2
    for one, other in zip(refitted.model.get_weights(), by_hand.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(refitted.predictions.scores, by_hand.predictions.scores, atol=1e-3)


def test_the_tuning_part_is_scored_by_who_has_not_seen_it(refitted, train, generated):
    kept = train("lr", KEPT)
    assert refitted.tuning_gap == kept.tuning_gap
    assert refitted.history.drop(columns="seconds").equals(kept.history.drop(columns="seconds"))
    assert not np.array_equal(refitted.predictions.scores, kept.predictions.scores)
    # By now the model knows it better than that.
    assert dmlkit.evaluate(refitted, data=generated, split="tuning")["gap"] > refitted.tuning_gap + 0.01


def test_the_record_tells_of_it(refitted, train):
    assert refitted.record["refit"] == {"epochs": 2, "videos": 200}
    assert refitted.record["data"]["videos"] == {"train": 180, "tuning": 20, "validate": 100}
    assert "refit" not in train("lr", KEPT).record
    told = row(refitted.experiment, refitted, None)
    assert told["epochs"] == 2
    assert told["seconds_an_epoch"] == pytest.approx(told["training_seconds"] / 4, abs=1e-3)


def test_it_trains_as_long_as_the_best_epoch_took(train, capsys):
    # A rate so high that the first epochs are the best.
    hasty = replace(REFITTED, learning_rate=3.0, epochs=5, patience=1)
    run = train("lr", hasty, progress="lines")
    best = run.record["best_epoch"]
    assert best < run.record["epochs"] and run.record["refit"]["epochs"] == best
    said = capsys.readouterr().out.partition("once more, on the tuning part too: 200 videos")[2]
    assert said.count("epoch ") == best and "tuning GAP" not in said


def test_runs_with_and_without_are_combined(refitted, train, tmp_path):
    both = dmlkit.ensemble([refitted, train("lstm", KEPT)], out=tmp_path / "both", by="stacking")
    assert both.metrics["videos"] == 100


def test_a_kernel_machine_is_solved_for_all_of_them(train, generated):
    profile = replace(
        REFITTED, epochs=1, patience=1, ridge=0.05, units=300, dropout=0.0, normalization="none"
    )
    run = train("yt8m-kernel", profile, data=generated / "video")
    dataset = open_dataset(generated / "video")

    def read(part):
        batches = list(dataset.batches(part, batch_size=16))
        features = [np.concatenate([batch["audio"], batch["rgb"]], axis=1) for batch in batches]
        labels, names = ([batch[what] for batch in batches] for what in ("labels", "id"))
        return np.concatenate(features), np.concatenate(labels), np.concatenate(names)

    def kernel(a, b):
        return np.exp(-0.3 * np.mean((a[:, None] - b[None]) ** 2, axis=-1))

    (one, its), (other, others) = (read(part)[:2] for part in ("train", "tuning"))
    learnt, labels = np.concatenate([one, other]), np.concatenate([its, others])
    videos, _, names = read("validate")
    weights = np.linalg.solve(kernel(learnt, learnt) + 0.05 * np.eye(200), labels)
    wanted = 1 / (1 + np.exp(5 - 10 * kernel(videos, learnt) @ weights))
    predictions = run.predictions.in_order_of(names)
    np.testing.assert_allclose(predictions.scores.astype(np.float32), wanted, atol=2e-3)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("saved", [2, 3], ids=["before it", "within it"])
def test_what_was_killed_goes_on_where_it_stopped(saved, refitted, train, tmp_path, monkeypatch, capsys):
    left, save = [saved], checkpoint.save

    def save_and_die(*arguments):
        save(*arguments)
        left[0] -= 1
        if not left[0]:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(checkpoint, "save", save_and_die)
        train("lr", REFITTED, out=tmp_path / "run")
    run = train("lr", REFITTED, out=tmp_path / "run", progress="lines")
    said = capsys.readouterr().out
    assert said.startswith("once more") and said.count("epoch ") == 4 - saved
    assert {path.name for path in run.path.iterdir()} == {path.name for path in refitted.path.iterdir()}
    for one, other in zip(run.model.get_weights(), refitted.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with np.load(run.path / "tuning.npz") as one, np.load(refitted.path / "tuning.npz") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one.files)


class Several:
    workers, replicas = 1, 2


def test_several_devices_refuse_it():
    with pytest.raises(OneDeviceError, match="once more on the tuning part \\(after_tuning\\)"):
        leave_to_refitting(REFITTED, Several)
    leave_to_refitting(KEPT, Several)


def test_moments_are_kept_of_what_was_judged():
    with pytest.raises(UsageError, match=r"Choose one\. Received: checkpoints=1, after_tuning='refit'"):
        replace(REFITTED, checkpoints=1)
    with pytest.raises(UsageError, match=r"Unknown after tuning 'refitt'\. Did you mean 'refit'"):
        replace(KEPT, after_tuning="refitt")


def test_it_is_a_setting_of_the_command(generated, tmp_path):
    command = [
        sys.executable,
        "-m",
        "dmlkit.cli",
        "train",
        "lr",
        "--data",
        generated,
        "--out",
        tmp_path / "run",
    ]
    done = subprocess.run(
        [*map(str, command), "--profile", "smoke", "--set", "after_tuning=refit"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert dmlkit.load_run(tmp_path / "run").record["refit"]["epochs"] >= 1
