"""Evidence: what it refuses, and that nothing is lost on its way through JSON."""

import json
from dataclasses import fields

import numpy as np
import pytest

from dmlkit.errors import DataError
from dmlkit.explorer.evidence import FORMAT, Evidence, scene


def same(a, b):
    for each in fields(Evidence):
        one, other = getattr(a, each.name), getattr(b, each.name)
        if isinstance(one, dict):
            assert list(one) == list(other)
            for key in one:
                np.testing.assert_array_equal(one[key], other[key])
        else:
            np.testing.assert_array_equal(one, other)
            assert (one is None) == (other is None)


@pytest.mark.parametrize("frames", [0, 1, 12])
@pytest.mark.parametrize("linear", [True, False])
def test_json_loses_nothing(sample_evidence, frames, linear):
    evidence = sample_evidence(frames=frames, linear=linear)
    text = json.dumps(evidence.to_json(), allow_nan=False)
    same(Evidence.from_json(json.loads(text)), evidence)


def test_json_is_what_the_browser_reads(sample_evidence):
    said = sample_evidence(frames=4, classes=1, planted={7: [False, True, True, False]}).to_json()
    assert said["contributions"]["shape"] == [4, 1]
    assert said["planted"] == {"7": [1, 2]}
    assert said["classes"] == [0] and said["true"] == [0] and said["names"] == ["class 0"]
    assert set(said["energy"]) == {"rgb", "audio"}


def test_a_video_and_run_stays_far_below_200_kilobytes(sample_evidence):
    text = json.dumps(sample_evidence(frames=300, classes=20).to_json())
    assert len(text) < 50_000


def test_a_scene_carries_runs_side_by_side(sample_evidence):
    runs = [sample_evidence(), sample_evidence(run="Another")]
    said = scene({"video0000": runs}, title="t", data="d", generated=True, labels={"video0000": "a cat"})
    assert said["format"] == FORMAT and said["live"] is False and said["note"] is None
    (video,) = said["videos"]
    assert (video["id"], video["label"]) == ("video0000", "a cat")
    assert [each["run"] for each in video["runs"]] == ["Attention", "Another"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"weights": [0.5, np.nan, 0.5, 0]},
            r"'video0000', Attention: weights holds nan at 1, which is no number",
        ),
        ({"weights": [np.inf, 0, 0, 0]}, "holds inf at 0"),
        ({"weights": [0.5, 0.5, -0.1, 0.1]}, "cannot be negative. Received: -0.1 at frame 2"),
        ({"weights": [0.5, 0.5, 0.5, 0.5]}, "must sum to 1. Received: a sum of 2"),
        ({"times": [0, 1]}, r"times must have the shape \(4,\).*Received: \(2,\)"),
        ({"contributions": np.full((4, 3), np.nan)}, r"contributions holds nan at \(0, 0\)"),
        ({"biases": None}, "come together"),
        ({"names": ("one",)}, "one name for each of 3 classes"),
        ({"planted": {1: [True]}}, "planted 1 must have the shape"),
        ({"energy": {"rgb": [1.0]}}, "energy rgb must have the shape"),
    ],
)
def test_what_cannot_be_shown_is_refused(sample_evidence, changes, message):
    with pytest.raises(DataError, match=message):
        sample_evidence(frames=4, **changes)


@pytest.mark.parametrize(
    "damage", [{}, {"weights": None}, {"weights": {"f32": "?", "shape": [1]}}, {"planted": 3}]
)
def test_other_json_is_refused(sample_evidence, damage):
    said = sample_evidence().to_json() | damage if damage else {}
    with pytest.raises(DataError, match="not the evidence of one video"):
        Evidence.from_json(said)
