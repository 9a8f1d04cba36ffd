"""Default folders, files written whole or not at all, locks, names without control characters."""

import os
import re
import sys
from pathlib import Path

import pytest
from filelock import Timeout

from dmlkit import paths, runtime, training
from dmlkit.errors import (
    UsageError,
    counted,
    date,
    duration,
    html_card,
    nearest,
    one_line,
    readable_size,
    shorten,
    without_controls,
)
from dmlkit.experiments import EXPERIMENTS
from dmlkit.files import atomic_write, file_lock
from dmlkit.profiles import SETTABLE
from dmlkit.runtime import check_keras


def test_home_is_the_named_folder_else_the_checkout_else_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(paths.SETTING, raising=False)
    monkeypatch.chdir(tmp_path)
    checkout = Path(__file__).parents[1]
    assert paths.home() == checkout and paths.generated_data() == checkout / "data" / "generated"
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site-packages" / "dmlkit" / "paths.py"))
    assert paths.home() == tmp_path
    monkeypatch.setenv(paths.SETTING, str(tmp_path / "home"))
    assert paths.home() == tmp_path / "home"


def test_a_report_is_called_by_its_data_and_profile(tmp_path, monkeypatch):
    monkeypatch.setenv(paths.SETTING, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for data, name in {
        None: "demo",
        f"{tmp_path}/data/generated/": "demo",
        Path("yt8m"): "yt8m-demo",
        "gs://bucket/yt8m/": "yt8m-demo",
    }.items():
        assert paths.report_name(data, "demo") == name
        assert paths.default_runs(data, "demo") == tmp_path / "reports" / name / "runs"


KERAS_SETTINGS = {
    "KERAS_BACKEND=theano": "environment variable KERAS_BACKEND",
    "KERAS_BACKEND=not_installed": "KERAS_BACKEND=tensorflow",
    "KERAS_MAX_STEPS_PER_EPOCH=3": "environment variable KERAS_MAX_STEPS_PER_EPOCH",
    '{"floatx": "float16"}': "Set that; --precision mixed_float16",
    '{"floatx": "bfloat16"}': "floatx is 'bfloat16'",
    '{"epsilon": 0.001}': "Make it 1e-07",
    '{"image_data_format": 3}': "channels_last",
    '{"backend": ["jax"]}': "KERAS_BACKEND=tensorflow",
    "{": "cannot be read",
    "[1]": "cannot be read",
}


@pytest.mark.parametrize("setting", KERAS_SETTINGS)
def test_settings_of_keras_that_change_numbers_or_stop_it_are_refused(
    setting, tmp_path, monkeypatch, command
):
    monkeypatch.delitem(sys.modules, "keras", raising=False)  # as before its import
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    name, equals, value = setting.partition("=")
    if equals:
        monkeypatch.setenv(name, value)
        monkeypatch.setitem(
            runtime._KERAS, "backend", (("tensorflow", "not_installed"), "Set KERAS_BACKEND=tensorflow")
        )
    else:
        (tmp_path / "keras.json").write_text(setting)
    code, out, err = command("train", "lr", "--data", tmp_path / "missing")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert KERAS_SETTINGS[setting] in err and (equals or str(tmp_path / "keras.json") in err)


def test_what_keras_was_set_to_later_counts_too(monkeypatch, tmp_path):
    import keras

    from dmlkit.models import load_model

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    check_keras(training=True)
    for train, name in ((training.train, "lr"), (training.train_ensemble, "ensemble-lr-lstm")):
        with monkeypatch.context() as patched:
            patched.setattr(keras.config, "backend", lambda: "tensorflow2")
            patched.setitem(runtime._KERAS, "backend", (("tensorflow2",), ""))
            patched.setattr(runtime.importlib.util, "find_spec", lambda name: name)
            with pytest.raises(
                UsageError, match=r"backend is 'tensorflow2', by keras\.config.* TensorFlow alone"
            ):
                train(name, data=tmp_path / "missing")
    monkeypatch.setattr(keras.config, "floatx", lambda: "float16")
    with pytest.raises(UsageError, match=r"floatx is 'float16', by keras\.config"):
        load_model(tmp_path / "model.keras")


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    path, synced, fsync = tmp_path / "index.html", [], os.fsync

    def watched(opened):
        fsync(opened)
        synced.append(path.read_text())

    path.write_text("former")
    monkeypatch.setattr(os, "fsync", watched)
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
    assert synced[0] == "former" and path.read_text() == "whole"
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("ha")
        1 / 0  # noqa: B018
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


def test_a_lock_is_held_once_at_a_time_and_names_its_holder(tmp_path):
    holders = []
    with file_lock(tmp_path / "lock", taken=holders.append):
        with pytest.raises(Timeout), file_lock(tmp_path / "lock", taken=holders.append):
            pass
        assert len(holders) == 1 and f"process {os.getpid()} on " in holders[0]
    with file_lock(tmp_path / "lock", taken=holders.append):
        assert len(holders) == 1


def test_what_is_meant_is_suggested_before_what_is_spelled_alike():
    asked = {
        "lr": "learning_rate", "bs": "batch_size", "batchsize": "batch_size", "Batch-Size": "batch_size",
        "frames": "max_frames", "mixpu": "mixup", "balance": "class_balance",
    }  # fmt: skip
    assert {name: nearest(name, SETTABLE) for name in asked} == {
        k: f" Did you mean '{v}'?" for k, v in asked.items()
    }
    assert nearest("bi-gru", EXPERIMENTS) == " Did you mean 'bi-gru-concat'?"
    assert nearest("cat", ["Category", "Cats"], 2) == " Did you mean 'Cats' or 'Category'?"
    assert nearest("", SETTABLE) == nearest("zzzz", SETTABLE) == nearest("z", ["zebra crossing"]) == ""


def test_a_card_escapes_what_it_shows_and_leaves_out_what_is_empty():
    card = html_card("<b>\n&", {"seed": 0, "epochs": None, "notes": "", "path": "<script>"})
    texts = re.findall(r">([^<>]+)<", card)
    assert texts == ["&lt;b&gt; &amp;", "seed", "0", "path", "&lt;script&gt;"]


def test_numbers_sizes_and_times_are_readable():
    assert [counted(n, "class", "classes") for n in (0, 1, 2000)] == ["0 classes", "1 class", "2,000 classes"]
    sizes = {7: "7 bytes", 1000: "1.0 kB", 7_800_000_000: "7.8 GB", 130_000_000: "130 MB", 1.53e12: "1.53 TB"}
    assert {size: readable_size(size) for size in sizes} == sizes
    times = {None: "", 0.04: "0.0 s", 9.94: "9.9 s", 48: "48 s", 252: "4 min 12 s", 7500: "2 h 05 min"}
    assert {seconds: duration(seconds) for seconds in times} == times
    assert date("2026-03-08T14:05:00+00:00") == "8 March 2026, 14:05 UTC"


def test_no_control_character_gets_through():
    for control in ("\x1b[31m", "\n", "\r", "\x07", "\u202e", "\u200b", "\x9b", "\0"):
        text = f"a  b{control}c"
        for shown in (one_line(text), shorten(text), without_controls(text)):
            assert shown.isprintable() and shown.startswith("a") and shown.endswith("c")
        # A path may hold two blanks.
        assert without_controls(text).startswith("a  b") and one_line(text).startswith("a b")
    assert shorten("x" * 50, 10) == "x" * 9 + "…"
