"""Two workers as two processes: one training, the same as one process with the same batches."""

import dataclasses
import json
import signal
import time

import keras
import numpy as np
import pytest

import dmlkit
from dmlkit.data import Skipped
from dmlkit.models import cross_entropy
from dmlkit.profiles import SMOKE
from dmlkit.training import build_model, checkpoint
from dmlkit.training.schedule import staircase
from dmlkit.training.workers.division import divide

PROFILE = {"batch_size": 15, "epochs": 2, "patience": 2, "clip_norm": 0.2, "max_train_videos": 175}
TOLD = {"experiment": "lr", "profile": PROFILE}


def joined(batches):
    """Several workers' batches as one, padded to the longest video of all."""
    longest = max(batch["rgb"].shape[1] for batch in batches)
    whole = {}
    for name in ("rgb", "audio", "num_frames", "labels"):
        parts = [batch[name] for batch in batches]
        if parts[0].ndim == 3:
            parts = [np.pad(part, ((0, 0), (0, longest - part.shape[1]), (0, 0))) for part in parts]
        whole[name] = np.concatenate(parts)
    return whole


def trained_by_one_process(experiment, data, profile, *, workers):
    """The weights after each epoch: Keras alone, over the batches that the workers have together."""
    dataset = dmlkit.open_dataset(data)
    keras.utils.set_random_seed(0)
    model = build_model(experiment, dataset, profile=profile)
    rate = staircase(profile, videos=175)
    model.compile(optimizer=keras.optimizers.Adam(rate, clipnorm=profile.clip_norm), loss=cross_entropy)
    shares = [
        divide(dataset, profile, index=index, workers=workers, skipped=Skipped()) for index in range(workers)
    ]
    weights = []
    for epoch in range(profile.epochs):
        readers = [
            iter(
                own.batches(
                    "train",
                    batch_size=mine.batch_size,
                    shuffle=True,
                    epoch=epoch,
                    max_frames=mine.max_frames,
                    max_videos=mine.max_train_videos,
                )
            )
            for own, mine in shares
        ]
        while batches := [batch for batch in (next(reader, None) for reader in readers) if batch]:
            batch = joined(batches)
            model.train_on_batch(
                {name: batch[name] for name in ("rgb", "audio", "num_frames")}, batch["labels"]
            )
        weights.append(model.get_weights())
    return weights


@pytest.mark.parametrize("experiment", ["lr", pytest.param("bi-gru-projection", marks=pytest.mark.slow)])
@pytest.mark.timeout(280)
def test_two_workers_train_as_one_process(experiment, generated, tmp_path, start_workers):
    told = {"experiment": experiment, "profile": PROFILE}
    workers = start_workers(generated, tmp_path / "run", told, told)
    expected = trained_by_one_process(experiment, generated, dataclasses.replace(SMOKE, **PROFILE), workers=2)
    assert [worker.wait() for worker in workers] == [0, 0], "\n".join(worker.text for worker in workers)
    run, dataset = dmlkit.load_run(tmp_path / "run"), dmlkit.open_dataset(generated)

    # The weights are those of one process.
    for mine, theirs in zip(run.model.get_weights(), expected[run.record["best_epoch"] - 1], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)

    # Each shard is read by one worker an epoch, and no worker scores the other's videos.
    # The cap of 175 leaves the last shard alone.
    shards = {part: [shard.rsplit("/", 1)[1] for shard in dataset.splits[part]] for part in dataset.splits}
    read = [worker.notes for worker in workers]
    assert [name for name, _ in read[0]] == ["fit", "predict", "fit", "predict", "predict", "predict"]
    for part, calls in (("train", (0, 2)), ("tuning", (1, 3, 4)), ("validate", (5,))):
        for call in calls:
            both = [notes[call][1] for notes in read]
            assert all(both)
            assert sorted(both[0] + both[1]) == sorted(shards[part][: len(both[0] + both[1])])
            assert len(both[0] + both[1]) == len(shards[part])

    # What is measured is the whole, in the order in which one process reads it; the chief alone tells.
    for file, part in (("tuning.npz", "tuning"), ("predictions.npz", "validate")):
        with np.load(run.path / file) as scores:
            whole = [name for batch in dataset.batches(part, batch_size=50) for name in batch["id"]]
            assert scores["ids"].tolist() == whole
    evaluated = dmlkit.evaluate(run, data=dataset)
    assert evaluated["gap"] == pytest.approx(run.gap, abs=1e-4)
    assert run.record["tuning"]["gap"] == pytest.approx(max(run.history["tuning_gap"]), abs=1e-6)
    assert run.record["strategy"] == {"name": "multi-worker", "workers": 2, "replicas": 2}
    assert run.record["data"]["videos"] == {"train": 175, "tuning": 20, "validate": 100}
    assert [worker.text.count("epoch ") for worker in workers] == [2, 0]
    assert [line[:15] for line in (worker.text for worker in workers)] == [
        "worker 0 of 2 (",
        "worker 1 of 2 (",
    ]
    assert {path.name for path in run.path.iterdir()} == {
        "history.csv",
        "model.keras",
        "predictions.npz",
        "run.json",
        "tuning.npz",
    }


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_what_two_workers_keep_of_an_epoch_is_what_one_process_has_then(generated, tmp_path, start_workers):
    profile = PROFILE | {"checkpoints": 2}
    told = {"experiment": "lr", "profile": profile}
    workers = start_workers(generated, tmp_path / "run", told, told)
    expected = trained_by_one_process("lr", generated, dataclasses.replace(SMOKE, **profile), workers=2)
    assert [worker.wait() for worker in workers] == [0, 0], "\n".join(worker.text for worker in workers)
    for epoch, weights in enumerate(expected, start=1):
        kept = dmlkit.load_run(tmp_path / "run" / "checkpoints" / str(epoch))
        for mine, theirs in zip(kept.model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)
        assert dmlkit.evaluate(kept, data=generated)["gap"] == pytest.approx(kept.gap, abs=1e-4)


def within_epoch(folder, *, after: int, since: float = 0) -> bool:
    """Whether there is a checkpoint within an epoch later than `after`, written since a time."""
    try:
        if (folder / checkpoint.FILE).stat().st_mtime < since:
            return False
        with np.load(folder / checkpoint.FILE, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
    except (OSError, ValueError, EOFError, KeyError):
        return False
    return about["epoch"] >= after and about["batches"] >= 3


def wait_until(true, workers, seconds=150):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        assert all(worker.process.poll() is None for worker in workers), "\n".join(w.text for w in workers)
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_within_an_epoch_all_start_again_and_end_the_same(generated, tmp_path, start_workers):
    # Quick to compile; its dropout draws by seeds that the checkpoint must bring back, a worker's own each.
    told = {"experiment": "lr", "checkpoint_seconds": 0, "deterministic": True}
    told["profile"] = PROFILE | {"dropout": 0.3, "epochs": 4, "patience": 4}
    undisturbed = start_workers(generated, tmp_path / "undisturbed", told, told)
    assert [worker.wait() for worker in undisturbed] == [0, 0]

    # A worker killed, the chief killed, a worker that hangs; each in an epoch of its own, so one training goes on.
    for epoch, (victim, blow) in enumerate([(1, signal.SIGKILL), (0, signal.SIGKILL), (1, signal.SIGSTOP)]):
        now = time.time()
        workers = start_workers(generated, tmp_path / "killed", told, told)
        wait_until(lambda: within_epoch(tmp_path / "killed", after=epoch, since=now), workers)  # noqa: B023
        workers[victim].process.send_signal(blow)
        since = time.monotonic()
        survivor = workers[1 - victim]
        assert survivor.wait() == 75, survivor.text
        assert time.monotonic() - since < 40
        assert "another worker has ended or cannot be reached any more" in survivor.text
        assert "Traceback" not in survivor.text
        workers[victim].process.kill()
        workers[victim].wait()

    again = start_workers(generated, tmp_path / "killed", told, told)
    assert [worker.wait() for worker in again] == [0, 0], "\n".join(worker.text for worker in again)
    one, other = (dmlkit.load_run(tmp_path / name) for name in ("undisturbed", "killed"))
    for first, second in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)
    for column in ("epoch", "examples", "loss", "tuning_gap", "learning_rate"):
        np.testing.assert_allclose(one.history[column], other.history[column], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_started_for_different_trainings_say_so(generated, tmp_path, start_workers):
    workers = start_workers(generated, tmp_path / "run", TOLD, TOLD | {"seed": 1})
    assert [worker.wait() for worker in workers] == [2, 2]
    for worker in workers:
        assert "worker 1 (127.0.0.1:" in worker.text
        assert "has another seed than worker 0" in worker.text
        assert "Traceback" not in worker.text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_one_worker_cannot_read_ends_all_and_is_named(generated, tmp_path, start_workers):
    import shutil

    damaged = tmp_path / "data"
    shutil.copytree(generated, damaged)
    last = dmlkit.open_dataset(damaged).splits["train"][-1]
    with open(last, "r+b") as file:
        file.seek(40)
        file.write(b"\xff\xff")
    told = {"experiment": "lr", "profile": PROFILE | {"max_train_videos": None}}
    workers = start_workers(damaged, tmp_path / "run", told, told)
    assert [worker.wait() for worker in workers] == [3, 3]
    for worker in workers:
        assert f"{last}, record 0" in worker.text
        assert "Traceback" not in worker.text
    assert "worker 1 (127.0.0.1:" in workers[0].text


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_waiting_for_others_can_be_interrupted(generated, tmp_path, start_workers):
    alone, other = start_workers(generated, tmp_path / "run", TOLD, TOLD)
    other.process.kill()
    wait_until(lambda: "waiting for 127.0.0.1" in alone.text, [alone])
    alone.process.send_signal(signal.SIGINT)
    # To a shell, 130.
    assert alone.wait(20) in (-signal.SIGINT, 130)
    assert "Traceback" not in alone.text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_within_an_epoch_only_as_many_workers_go_on(generated, tmp_path, start_workers):
    told = {"experiment": "lr", "profile": PROFILE, "checkpoint_seconds": 0}
    workers = start_workers(generated, tmp_path / "run", told, told)
    wait_until(lambda: within_epoch(tmp_path / "run", after=0), workers)
    for worker in workers:
        worker.process.kill()
        worker.wait()
    (alone,) = start_workers(generated, tmp_path / "run", told)
    assert alone.wait() == 2
    assert "within an epoch that 2 workers had divided among them, and now there are 1" in " ".join(
        alone.text.split()
    )
