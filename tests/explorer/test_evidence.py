"""Evidence: what it refuses, its way through JSON, and the arithmetic of masking against plain equations."""

import base64
import json
from types import SimpleNamespace

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
    for frames, kind in ((0, "attention"), (0, "none"), (1, "clusters"), (12, "heads"), (12, "by_class")):
        evidence = sample_evidence(frames=frames, kind=kind)
        record = json.loads(json.dumps(evidence.to_json(), allow_nan=False))
        for name, value in vars(evidence).items():
            packed = record[name]
            if isinstance(value, np.ndarray):
                found = np.frombuffer(base64.b64decode(packed["f32"]), "<f4").reshape(packed["shape"])
                np.testing.assert_array_equal(found, value)
            elif not isinstance(value, dict):
                assert packed == json.loads(json.dumps(value))
    assert record["parts"] == [[0, None]] and record["kind"] == "by_class"
    record = sample_evidence(frames=4, classes=1, ground_truth={7: [False, True, True, False]}).to_json()
    assert record["ground_truth"] == {"7": [1, 2]} and record["classes"] == record["true"] == [0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": [0.5, np.nan, 0.5, 0]}, r"'video0000', Attention: weights holds nan at 1"),
        ({"weights": [0.5, 0.5, -0.1, 0.1]}, "cannot be negative. Received: -0.1 at frame 2"),
        ({"times": [0, 1]}, r"times must have the shape \(4,\), as there are 4 frames.*Received: \(2,\)"),
        ({"weights": np.full((4, 2, 1), 0.25)}, r"shape \(4, 1, 1\) or \(4, 1, 3\), .*Received: \(4, 2, 1\)"),
        (
            {"kind": "heads", "weights": np.ones((4, 3, 1)) * [[0.25], [0.5], [0.25]]},
            "weights of head 2 must sum",
        ),
        ({"terms": np.zeros((4, 1, 0))}, "take the place of terms"),
        ({"parts": [(1, None)]}, r"parts \(\(1, None\),\) of what is not included"),
        ({"times": [0, 2, 1, 3]}, "ascending seconds"),
        ({"scores": [0.5, 3, 0]}, "between 0 and 1"),
        ({"contributions": np.full((4, 1, 3), np.inf)}, r"contributions holds inf at \(0, 0, 0\)"),
        ({"names": ("one",)}, "one name for each of 3 classes"),
        ({"energy": {"rgb": [1.0]}}, "energy rgb must have the shape"),
    ],
)
def test_what_cannot_be_drawn_is_refused(sample_evidence, changes, message):
    with pytest.raises(DataError, match=message):
        sample_evidence(frames=4, **changes)


def test_weights_alone_serve_as_logits_do(sample_evidence):
    known, unknown = sample_evidence(), sample_evidence(logits=None)
    expected = np.exp(known.logits.astype(float) / 3)
    np.testing.assert_allclose(reweight(known, temperature=3), expected / expected.sum(axis=0), atol=1e-6)
    mask = np.arange(12) % 3 == 0
    for settings in ({}, {"temperature": 0.3}, {"top": 4}, {"masked": [0, 3]}, {"masked": mask}):
        np.testing.assert_allclose(reweight(known, **settings), reweight(unknown, **settings), atol=1e-6)
    nonlinear, by_feature = sample_evidence(linear=False), sample_evidence(kind="by_feature")
    assert class_scores(known, None) is class_scores(nonlinear, reweight(nonlinear)) is None
    assert reweight(by_feature, masked=[1]) is reweight(sample_evidence(kind="none")) is None
    np.testing.assert_array_equal(reweight(by_feature, masked=[]), by_feature.weights)


def test_heads_and_classes_have_weights_of_their_own(sample_evidence):
    """Against loops over the equations: each group's and class's softmax over the highest of the kept frames."""
    kept = [t for t in range(12) if t not in (2, 7)]
    for kind in ("heads", "by_class"):
        evidence = sample_evidence(kind=kind)
        weights = reweight(evidence, masked=[2, 7], top=4, temperature=2)
        outputs, (_, groups, columns) = evidence.biases.astype(float), weights.shape
        for group, column in np.ndindex(groups, columns):
            logits = evidence.logits[:, group, column].astype(float)
            highest = sorted(kept, key=lambda t, logits=logits: -logits[t])[:4]
            shares = {t: np.exp(logits[t] / 2) for t in highest}
            for t in range(12):
                share = shares.get(t, 0) / sum(shares.values())
                assert weights[t, group, column] == pytest.approx(share, abs=1e-6)
                chosen = [column] if columns > 1 else range(3)
                outputs[chosen] += share * evidence.contributions[t, group, chosen]
        expected = outputs if kind == "by_class" else 1 / (1 + np.exp(-outputs))
        np.testing.assert_allclose(class_scores(evidence, weights), expected, atol=1e-6)
        np.testing.assert_allclose(class_scores(evidence, reweight(evidence)), evidence.scores, atol=1e-6)


def test_the_highest_frames_and_no_frame_at_all(sample_evidence):
    evidence = sample_evidence(frames=4, logits=[3, 1, 2, 2], weights=[0.25] * 4)
    assert np.flatnonzero(reweight(evidence, top=2)[:, 0]).tolist() == [0, 2]  # of equal ones the earlier
    assert np.flatnonzero(reweight(evidence, top=2, masked=[0])).tolist() == [2, 3]
    uniform = reweight(evidence, masked=[2], uniform=True)[:, 0, 0]
    np.testing.assert_allclose(uniform, [1 / 3, 1 / 3, 0, 1 / 3])
    assert reweight(evidence, masked=range(4)) is reweight(sample_evidence(frames=0)) is None
    zero = sample_evidence(frames=3, logits=None, weights=[1, 0, 0])
    assert reweight(zero, masked=[0]) is None  # how the others compare is not known
    np.testing.assert_allclose(reweight(zero, masked=[0], uniform=True)[:, 0, 0], [0, 0.5, 0.5])
    for wrong in ([4], [-1], [0.5], np.array([True, False])):
        with pytest.raises(UsageError, match="frames 0 to 3"):
            frame_mask(wrong, 4)


def test_a_scene_holds_runs_side_by_side_and_what_cannot_be_read(sample_evidence):
    source = SimpleNamespace(
        title="t", data="d", generated=True, runs=["A", "B"], videos={"v": "a cat"}, note=None,
        class_names=["x", "y"], class_groups={"letters": [0, 1]},
    )  # fmt: skip
    videos = {"v": [sample_evidence(), sample_evidence(run="other")], "w": DataError("broken")}
    found = scene(videos, source, media={"v": {"link": "https://x"}})
    assert found["format"] == FORMAT and not found["live"] and found["note"] is None
    assert found["vocabulary"] == {"total": 2, "groups": {"letters": [0, 1]}}
    assert scene(videos, source, live=True, code="f(")["vocabulary"]["names"] == {0: "x", 1: "y"}
    assert [each.get("media") for each in found["videos"]] == [{"link": "https://x"}, None]
    assert [each["label"] for each in found["videos"]] == ["a cat", "w"]
    assert [each["run"] for each in found["videos"][0]["runs"]] == ["Attention", "other"]
    assert [each["problem"] for each in found["videos"][1]["runs"]] == ["broken", "broken"]
    chosen = select_classes(np.linspace(0, 1, 50), [3, 60])
    assert len(chosen) == 20 and chosen[0] == 49 and chosen[-1] == 3
    assert distinct(["a", "", "a", "a (3)"], what="run") == ["a", "run (2)", "a (3)", "a (3) (4)"]
