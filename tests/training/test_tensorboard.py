"""TensorBoard's logs: asked for, read back, and none the worse for a training that was interrupted."""

import pytest
from click.testing import CliRunner

import dmlkit
from dmlkit.cli.main import app
from dmlkit.profiles import SMOKE
from dmlkit.training import Study
from dmlkit.training.event_file import PATTERN


def curves(folder):
    """Name → [(step, value)], out of the one event file of a folder."""
    import tensorflow as tf

    (file,) = folder.glob(PATTERN)
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found.setdefault(value.tag, []).append((event.step, float(tf.make_ndarray(value.tensor))))
    return found


def expected(run):
    rows = run.history.to_dict("records")
    return {
        name: [(row["epoch"], pytest.approx(row[name], rel=1e-6)) for row in rows]
        for name in ("loss", "tuning_gap", "learning_rate")
    }


def test_each_run_has_its_curves_and_is_the_same_run_as_without(smoke_runs, generated, tmp_path):
    study = Study(generated, profile="smoke", runs=tmp_path / "runs", progress="silent", tensorboard="logs")
    run = study.train("lr")["lr"]
    assert curves(tmp_path / "logs" / run.path.name) == expected(run)
    assert run.record["fingerprint"] == smoke_runs["lr"].record["fingerprint"]


def test_a_report_without_them_writes_none(smoke_runs):
    assert not list(smoke_runs["lr"].path.parent.rglob(PATTERN))


class Interrupted(Exception):
    pass


def test_a_training_that_goes_on_has_one_curve(generated, tmp_path):
    def interrupt(row):
        raise Interrupted

    arguments = {"data": generated, "out": tmp_path / "run", "profile": SMOKE, "progress": "silent"}
    with pytest.raises(Interrupted):
        dmlkit.train("lr", **arguments, tensorboard=tmp_path / "logs", on_epoch=interrupt)
    assert [step for step, _ in curves(tmp_path / "logs" / "run")["loss"]] == [1]
    run = dmlkit.train("lr", **arguments, tensorboard=tmp_path / "logs")
    assert curves(tmp_path / "logs" / "run") == expected(run)


def test_a_folder_that_cannot_be_written_is_told(generated, tmp_path):
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(dmlkit.UsageError, match="logs cannot be written"):
        dmlkit.train("lr", data=generated, out=tmp_path / "run", profile=SMOKE, tensorboard=tmp_path / "logs")


def test_the_command_writes_them_too(generated, tmp_path):
    arguments = [
        "train",
        "lr",
        "--data",
        str(generated),
        "--profile",
        "smoke",
        "--out",
        str(tmp_path / "run"),
    ]
    done = CliRunner().invoke(app, [*arguments, "--tensorboard", str(tmp_path / "logs")])
    assert done.exit_code == 0, done.output
    assert curves(tmp_path / "logs" / "run") == expected(dmlkit.load_run(tmp_path / "run"))
