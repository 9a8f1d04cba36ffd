"""Segments from the command line: train, fine-tune, evaluate, predict, check and measure."""

import re

import pytest

import dmlkit
from dmlkit.report.plan import Context, find_notebooks, notebooks_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "data"
    dmlkit.synthesize(folder, train=200, validate=60, test=20, segments=True)
    return folder


def test_from_a_run_on_videos_to_a_measured_submission_of_segments(data, tmp_path, command):
    video, fine, file = tmp_path / "video", tmp_path / "fine", tmp_path / "segments.csv"
    of_segments = ("--data", data / "segments", "--unit", "segment")
    small = ("--profile", "smoke", "--epochs", "1")
    assert command("train", "attention", "--data", data, *small, "--out", video)[0] == 0
    code, out, _ = command("train", "attention", *of_segments, *small, "--start-from", video, "--out", fine)
    assert code == 0 and "tuning mAP@K" in out and "mAP@K" in out.splitlines()[-2]

    figures = {}
    for method in ("clip", "contribution", "video"):
        code, out, _ = command("evaluate", video, *of_segments, "--method", method)
        assert code == 0 and "60 videos of 'validate'" in out
        figures[method] = re.search(r"mAP@K +(0\.\d{4})  \(95 % interval", out)[1]
    assert len({*figures.values()}) == 3

    code, out, _ = command(
        "predict", video, *of_segments, "--method", "contribution", "--split", "validate", "--out", file
    )
    assert code == 0 and re.match(r"\d+ segments of 'validate' are in", out)
    measured = command("evaluate", "--submission", file, *of_segments)[1]
    assert re.search(r"mAP@K +(0\.\d{4})", measured)[1] == figures["contribution"]
    assert (
        command("predict", fine, *of_segments, "--out", file)[0] == 0
    )  # of the test split, which nobody rated
    assert command("submission", "check", file, *of_segments)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "RUN", "--data", "DIR", "--method", "contribution"], "add --unit segment"),
        (
            ["evaluate", "RUN", "--data", "DIR", "--unit", "segment", "--method", "contributions"],
            "Did you mean",
        ),
        (
            ["predict", "RUN", "--data", "DIR", "--unit", "segment", "--out", "x", "--names"],
            "leave out --top-k",
        ),
        (["train", "lr", "--data", "DIR", "--start-from", "nowhere"], "no finished run"),
        (["train", "ensemble-lr-lstm", "--data", "DIR", "--start-from", "RUN"], "leave out --start-from"),
        (["train", "lr", "--unit", "segment", "--set", "mixup=0.4", "--data", "SEGMENTS"], "set mixup to 0"),
    ],
)
def test_what_cannot_be_is_one_sentence(data, tmp_path, command, arguments, message):
    places = {"DIR": data, "SEGMENTS": data / "segments", "RUN": tmp_path / "run"}
    code, _, error = command(*(places.get(each, each) for each in arguments))
    assert code in (2, 3) and message in error and "Traceback" not in error


def test_the_notebook_is_for_data_with_rated_segments(data, generated, tmp_path):
    (notebook,) = find_notebooks(notebooks_folder(), ["09"])
    without = Context(generated, out=tmp_path / "without").plan(notebook)
    assert "no rated segments" in without.reason and "--segments" in without.reason
    own, named = (
        Context(folder, out=tmp_path / "out", parameters=parameters).plan(notebook)
        for folder, parameters in ((data, {}), (generated, {"segments": str(data / "segments")}))
    )
    for plan in (own, named):
        there = (tmp_path / "out" / "notebooks" / plan.values["segments"]).resolve()
        assert plan.reason is None and there == (data / "segments").resolve()
    assert own.inputs["data"] != named.inputs["data"]
