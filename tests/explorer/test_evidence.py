"""Evidence: what it refuses, its way through JSON, and the arithmetic of masking against plain equations."""

import base64
import json

import numpy as np
import pytest

from dmlkit.errors import DataError, UsageError
from dmlkit.explorer.evidence import (
    FORMAT,
    class_scores,
    distinct,
    frame_mask,
    reweight,
    scene,
    select_classes,
)


def test_json_holds_every_array_bit_for_bit(sample_evidence):
    for frames, linear in ((0, True), (1, False), (12, True)):
        evidence = sample_evidence(frames=frames, linear=linear)
        record = json.loads(json.dumps(evidence.to_json(), allow_nan=False))
        for name in ("times", "weights", "logits", "scores", "contributions", "biases", "occlusion"):
            array, packed = getattr(evidence, name), record[name]
            assert (array is None) == (packed is None)
            if array is not None:
                found = np.frombuffer(base64.b64decode(packed["f32"]), "<f4").reshape(packed["shape"])
                np.testing.assert_array_equal(found, array)
    assert len(json.dumps(sample_evidence(frames=300, classes=20).to_json())) < 50_000
    record = sample_evidence(frames=4, classes=1, ground_truth={7: [False, True, True, False]}).to_json()
    assert record["ground_truth"] == {"7": [1, 2]} and record["classes"] == record["true"] == [0]
    assert set(record["energy"]) == {"rgb", "audio"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": [0.5, np.nan, 0.5, 0]}, r"'video0000', Attention: weights holds nan at 1"),
        ({"weights": [0.5, 0.5, -0.1, 0.1]}, "cannot be negative. Received: -0.1 at frame 2"),
        ({"weights": [0.5, 0.5, 0.5, 0.5]}, "must sum to 1. Received: a sum of 2"),
        ({"times": [0, 1]}, r"times must have the shape \(4,\).*Received: \(2,\)"),
        ({"contributions": np.full((4, 3), np.inf)}, r"contributions holds inf at \(0, 0\)"),
        ({"biases": None}, "given together"),
        ({"names": ("one",)}, "one name for each of 3 classes"),
        ({"ground_truth": {1: [True]}}, "ground_truth 1 must have the shape"),
        ({"energy": {"rgb": [1.0]}}, "energy rgb must have the shape"),
    ],
)
def test_what_cannot_be_drawn_is_refused(sample_evidence, changes, message):
    with pytest.raises(DataError, match=message):
        sample_evidence(frames=4, **changes)


def test_masking_is_leaving_out_and_renormalising(sample_evidence):
    evidence = sample_evidence(frames=5)
    np.testing.assert_allclose(reweight(evidence), evidence.weights, atol=1e-6)
    kept = np.array([True, False, True, True, False])
    weights = reweight(evidence, masked=(1, 4))
    expected = np.where(kept, evidence.weights, 0) / evidence.weights[kept].sum()
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    np.testing.assert_array_equal(reweight(evidence, masked=~kept), weights)
    logits = sum(weights[t] * evidence.contributions[t] for t in (0, 2, 3)) + evidence.biases
    np.testing.assert_allclose(class_scores(evidence, weights), 1 / (1 + np.exp(-logits)), atol=1e-6)
    assert class_scores(evidence, None) is None
    assert class_scores(sample_evidence(linear=False), weights) is None


def test_temperature_divides_the_logits(sample_evidence):
    known, unknown = sample_evidence(), sample_evidence(logits=None)
    expected = np.exp(known.logits.astype(float) / 3)
    np.testing.assert_allclose(reweight(known, temperature=3), expected / expected.sum(), atol=1e-6)
    assert reweight(known, temperature=0.01).max() > 0.99
    for settings in ({"temperature": 0.3}, {"top": 4}, {"masked": [0, 3]}):
        np.testing.assert_allclose(reweight(known, **settings), reweight(unknown, **settings), atol=1e-6)


def test_the_highest_frames_that_are_not_masked(sample_evidence):
    evidence = sample_evidence(frames=4, logits=[3, 1, 2, 2], weights=[0.25] * 4)
    assert np.flatnonzero(reweight(evidence, top=2)).tolist() == [0, 2]  # of equal ones the earlier
    assert np.flatnonzero(reweight(evidence, top=2, masked=[0])).tolist() == [2, 3]
    np.testing.assert_allclose(reweight(evidence, masked=[2], uniform=True), [1 / 3, 1 / 3, 0, 1 / 3])


def test_no_frame_left_is_no_weights(sample_evidence):
    assert reweight(sample_evidence(frames=0)) is None
    assert reweight(sample_evidence(frames=3), masked=[0, 1, 2]) is None
    zero = sample_evidence(frames=3, logits=None, weights=[1, 0, 0])
    assert reweight(zero, masked=[0]) is None  # how the others compare is not known
    np.testing.assert_allclose(reweight(zero, masked=[0], uniform=True), [0, 0.5, 0.5])


def test_frames_that_do_not_exist():
    assert frame_mask([0, 2], 3).tolist() == frame_mask(np.array([True, False, True]), 3).tolist()
    for wrong in ([4], [-1], [0.5], np.array([True, False])):
        with pytest.raises(UsageError, match="frames 0 to 3"):
            frame_mask(wrong, 4)


def test_a_scene_holds_runs_side_by_side_and_what_cannot_be_read(sample_evidence):
    videos = {"v": [sample_evidence(), sample_evidence(run="other")], "w": DataError("broken")}
    found = scene(videos, title="t", data="d", generated=True, labels={"v": "a cat"}, runs=["A", "B"])
    assert found["format"] == FORMAT and not found["live"] and found["note"] is None
    assert [each["label"] for each in found["videos"]] == ["a cat", "w"]
    assert [each["run"] for each in found["videos"][0]["runs"]] == ["Attention", "other"]
    assert [each["problem"] for each in found["videos"][1]["runs"]] == ["broken", "broken"]


def test_the_classes_included_are_the_true_and_the_highest():
    scores = np.linspace(0, 1, 50)
    chosen = select_classes(scores, [3, 60])
    assert len(chosen) == 20 and chosen[0] == 49 and chosen[-1] == 3
    assert distinct(["a", "", "a", "a (3)"], what="run") == ["a", "run (2)", "a (3)", "a (3) (4)"]
