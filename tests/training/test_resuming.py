"""A killed training goes on where it stopped, and ends with the weights of an undisturbed one."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import dmlkit
from dmlkit.profiles import SMOKE
from dmlkit.training import checkpoint

TRAIN = """
import sys, dataclasses, dmlkit
from dmlkit.profiles import SMOKE
profile = dataclasses.replace(SMOKE, batch_size=10, epochs=3, patience=3, dropout=0.3, frame_choice="random",
                              schedule="cosine", mixup=0.4, modality_dropout=0.2, label_smoothing=0.1, ema=0.9,
                              checkpoints=2)
rung = dataclasses.replace(dmlkit.experiments.find("bi-lstm"), copies=2)
dmlkit.train(rung, data=sys.argv[1], out=sys.argv[2], profile=profile, deterministic=True,
             checkpoint_seconds=0, progress="lines")
"""


def start(data, out) -> subprocess.Popen:
    environment = os.environ | {"TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", TRAIN, str(data), str(out)], env=environment)


def weights(folder):
    return dmlkit.load_run(folder).model.get_weights()


@pytest.mark.timeout(280)
def test_killed_within_an_epoch_it_ends_with_the_same_weights(generated, tmp_path):
    undisturbed = start(generated, tmp_path / "undisturbed")
    killed = start(generated, tmp_path / "killed")
    deadline = time.monotonic() + 120
    while not (within := started_epoch(tmp_path / "killed", after=1)):
        assert killed.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    with pytest.raises(dmlkit.DataError, match="no finished run"):
        dmlkit.load_run(tmp_path / "killed")
    assert within
    assert start(generated, tmp_path / "killed").wait(120) == 0
    assert undisturbed.wait(120) == 0

    for one, other in zip(weights(tmp_path / "undisturbed"), weights(tmp_path / "killed"), strict=True):
        np.testing.assert_array_equal(one, other)
    for epoch in ("2", "3"):
        kept = [tmp_path / name / "checkpoints" / epoch for name in ("undisturbed", "killed")]
        for one, other in zip(*map(weights, kept), strict=True):
            np.testing.assert_array_equal(one, other)
    histories = [dmlkit.load_run(tmp_path / name).history for name in ("undisturbed", "killed")]
    for column in ("epoch", "examples", "loss", "tuning_gap", "learning_rate"):
        assert list(histories[0][column]) == list(histories[1][column])


def started_epoch(folder, *, after: int) -> bool:
    """Whether a checkpoint within an epoch later than `after` is there."""
    try:
        with np.load(folder / checkpoint.FILE, allow_pickle=False) as file:
            about = str(file["about"])
    except (OSError, ValueError, EOFError, KeyError):
        return False
    import json

    about = json.loads(about)
    return about["epoch"] >= after and about["batches"] >= 3


class Interrupted(Exception):
    pass


def test_interrupted_between_epochs_it_goes_on_with_the_next(generated, tmp_path, capsys):
    def interrupt(row):
        raise Interrupted

    with pytest.raises(Interrupted):
        dmlkit.train(
            "lr", data=generated, out=tmp_path / "run", profile=SMOKE, progress="silent", on_epoch=interrupt
        )
    run = dmlkit.train("lr", data=generated, out=tmp_path / "run", profile=SMOKE, progress="lines")
    assert capsys.readouterr().out.startswith("epoch  2/2")
    assert list(run.history["epoch"]) == [1, 2]


def test_interrupted_after_an_epochs_last_batch_it_goes_on_with_the_tuning_part(
    generated, tmp_path, monkeypatch
):
    arguments = {"data": generated, "profile": SMOKE, "progress": "silent", "checkpoint_seconds": 0}

    def interrupt(*arguments, **settings):
        raise Interrupted

    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        patched.setattr("dmlkit.training.strategies.predict", interrupt)
        dmlkit.train("lr", out=tmp_path / "killed", **arguments)
    killed = dmlkit.train("lr", out=tmp_path / "killed", **arguments)
    undisturbed = dmlkit.train("lr", out=tmp_path / "undisturbed", **arguments)
    assert list(killed.history["epoch"]) == [1, 2]
    assert killed.history["loss"].to_numpy() == pytest.approx(
        undisturbed.history["loss"].to_numpy(), rel=1e-6
    )


# The moments at which the next test kills, in the order in which one training meets them: before the nth call of a
# function since the process began.
MOMENTS = [
    ("dmlkit.training.checkpoint", "save", 5),  # within the first epoch, a step after the last checkpoint
    ("dmlkit.training.strategies", "predict", 1),  # all batches done, the tuning part not scored
    ("os", "replace", 3),  # within the second epoch, a checkpoint written and not in its place
    ("dmlkit.training.strategies", "global_average_precision", 2),  # the tuning part scored, nothing noted
    ("dmlkit.training.loop", "save_model", 1),
    ("dmlkit.predictions.Predictions", "save", 2),
    ("dmlkit.training.folder", "write_record", 1),
]
KILLED = """
import os, pkgutil, signal, sys
import dmlkit.training
owner, name, calls = sys.argv[3], sys.argv[4], int(sys.argv[5])
owner = pkgutil.resolve_name(owner)
function = getattr(owner, name)
left = [calls]
def counting(*arguments, **settings):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return function(*arguments, **settings)
setattr(owner, name, counting)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_one_moment_after_another_it_ends_with_the_same_run(generated, tmp_path):
    undisturbed = start(generated, tmp_path / "undisturbed")
    environment = os.environ | {"TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    for moment in MOMENTS:
        arguments = [str(generated), str(tmp_path / "killed"), *map(str, moment)]
        done = subprocess.run(
            [sys.executable, "-c", KILLED + TRAIN, *arguments],
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, f"{moment}: {done.stderr.decode()[-800:]}"
    assert start(generated, tmp_path / "killed").wait(120) == 0
    assert undisturbed.wait(120) == 0
    one, other = (dmlkit.load_run(tmp_path / name) for name in ("undisturbed", "killed"))
    times = {"seconds", "started", "git_commit"}  # somebody may commit meanwhile
    assert {name: value for name, value in one.record.items() if name not in times} == {
        name: value for name, value in other.record.items() if name not in times
    }
    assert one.history.drop(columns="seconds").equals(other.history.drop(columns="seconds"))
    for first, second in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert {path.name for path in one.path.iterdir()} == {path.name for path in other.path.iterdir()}
    for name in ("predictions.npz", "tuning.npz"):
        with np.load(one.path / name) as first, np.load(other.path / name) as second:
            assert all(np.array_equal(first[key], second[key]) for key in first.files)


BEFORE_AND_AFTER = """
import sys, dataclasses, dmlkit
from dmlkit.profiles import SMOKE
settings = {"data": dmlkit.open_dataset(sys.argv[1]), "profile": dataclasses.replace(SMOKE, dropout=0.3),
            "deterministic": True, "progress": "silent"}
for name, out in (("attention", "first"), ("lr", "between"), ("attention", "last")):
    dmlkit.train(name, out=f"{sys.argv[2]}/{out}", **settings)
"""


@pytest.mark.slow
def test_what_was_trained_before_in_a_notebook_changes_nothing(generated, tmp_path):
    # A notebook that goes on after a kill starts with the rung that was under way, an undisturbed one does not.
    subprocess.run([sys.executable, "-c", BEFORE_AND_AFTER, str(generated), str(tmp_path)], check=True)
    for one, other in zip(weights(tmp_path / "first"), weights(tmp_path / "last"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_a_fresh_start(content, generated, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / checkpoint.FILE).write_bytes(content)
    run = dmlkit.train("lr", data=generated, out=tmp_path / "run", profile=SMOKE, progress="silent")
    assert list(run.history["epoch"]) == [1, 2]


def test_the_checkpoint_of_another_run_is_not_used(generated, tmp_path):
    def interrupt(row):
        raise Interrupted

    with pytest.raises(Interrupted):
        dmlkit.train(
            "lr", data=generated, out=tmp_path / "run", profile=SMOKE, progress="silent", on_epoch=interrupt
        )
    run = dmlkit.train("lr", data=generated, out=tmp_path / "run", profile=SMOKE, progress="silent", seed=1)
    assert list(run.history["epoch"]) == [1, 2]
