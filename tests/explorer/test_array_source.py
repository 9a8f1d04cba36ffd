"""Views of plain arrays: what is computed, what is refused, and that TensorFlow is not needed."""

import subprocess
import sys

import numpy as np
import pytest

from dmlkit.errors import DataError, UsageError
from dmlkit.explorer.array_source import ArraySource

WEIGHTS = np.array([0.1, 0.2, 0.7])
CONTRIBUTIONS = np.array([[1.0, -1.0], [0.0, 2.0], [3.0, 0.0]])


def only(*args, **settings):
    source = ArraySource(*args, **settings)
    return source.evidence(next(iter(source.videos)))[0]


def test_weights_are_enough():
    found = only(WEIGHTS)
    np.testing.assert_allclose(found.weights, WEIGHTS, atol=1e-7)
    assert found.classes == () and found.times.tolist() == [0, 1, 2] and found.true is None


def test_scores_are_the_weighted_sum():
    found = only(WEIGHTS, contributions=CONTRIBUTIONS, biases=[0.5, -0.5], class_names=["a", "b"], true=["b"])
    logits = WEIGHTS @ CONTRIBUTIONS + [0.5, -0.5]
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-logits)), atol=1e-6)
    assert found.names == ("a", "b") and found.true == (1,)
    np.testing.assert_array_equal(only(WEIGHTS, contributions=CONTRIBUTIONS).biases, [0, 0])


def test_the_highest_and_the_true_of_many_classes():
    many = np.random.default_rng(0).normal(size=(3, 500))
    found = only(WEIGHTS, contributions=many, true=[int((WEIGHTS @ many).argmin())])
    assert len(found.classes) == 20 and found.true[0] == found.classes[-1]
    np.testing.assert_allclose(found.contributions, many[:, list(found.classes)].astype(np.float32))


def test_several_videos_of_any_length():
    by_list = ArraySource(
        [WEIGHTS, [1.0]], contributions=[CONTRIBUTIONS, [[4.0, 5.0]]], times=[[3, 4, 5], None]
    )
    assert list(by_list.videos) == ["video 0", "video 1"]
    assert by_list.evidence("video 0")[0].times.tolist() == [3, 4, 5]
    assert by_list.evidence("video 1")[0].contributions.tolist() == [[5.0, 4.0]]  # the higher score first
    by_id = ArraySource({"x": WEIGHTS, "y": [1.0]}, energy={"x": [1, 2, 3]})
    assert (
        by_id.evidence("x")[0].energy["energy"].tolist() == [1, 2, 3] and by_id.evidence("y")[0].energy == {}
    )
    assert len(ArraySource(np.full((4, 2), 0.5)).videos) == 4


def test_what_is_not_linear_brings_its_scores():
    found = only(WEIGHTS, scores=[0.9, 0.2], occlusion=CONTRIBUTIONS / 10, planted={0: [0, 0, 1]})
    assert found.contributions is None and found.planted[0].tolist() == [False, False, True]
    np.testing.assert_allclose(found.occlusion[2], [0.3, 0], atol=1e-6)


def test_no_frame_and_one_frame():
    assert only([]).frames == 0
    assert only([1.0], contributions=[[2.0]]).scores[0] == pytest.approx(1 / (1 + np.exp(-2)))


@pytest.mark.parametrize(
    ("error", "message", "weights", "settings"),
    [
        (DataError, "sum to 1. Received: a sum of 2.*normalize=True", [1, 1], {}),
        (DataError, "weights holds nan at 1", [1, np.nan], {}),
        (DataError, "cannot be negative", [1.5, -0.5], {}),
        (UsageError, r"shape \(frames,\)", [np.full((2, 2), 0.5)], {}),
        (UsageError, "a row a frame. Received: 3 rows, 2 weights", [0.5, 0.5], {"contributions": CONTRIBUTIONS}),
        (UsageError, r"contributions has the shape \(frames, classes\)", [0.5, 0.5], {"contributions": [1, 2]}),
        (UsageError, "3 names, 2 classes", WEIGHTS, {"contributions": CONTRIBUTIONS, "class_names": "abc"}),
        (UsageError, "Biases belong to contributions", WEIGHTS, {"biases": [1]}),
        (UsageError, "give them, or scores and occlusion", WEIGHTS, {"contributions": CONTRIBUTIONS, "scores": [1, 1]}),
        (UsageError, "softmax of the logits is not the weights", WEIGHTS, {"logits": [0, 0, 0]}),
        (UsageError, "no class 'z'", WEIGHTS, {"true": ["z"]}),
        (UsageError, "times is given 2 times. Received: 3", [[1.0], [1.0]], {"times": [1, 2, 3]}),
        (UsageError, "dict by id too", {"a": [1.0]}, {"times": [[0]]}),
        (UsageError, "Occlusion is told of scores", WEIGHTS, {"occlusion": CONTRIBUTIONS}),
        (DataError, "times must have the shape", WEIGHTS, {"times": [1]}),
        (UsageError, "Received: 'abc'", "abc", {}),
        (UsageError, "Received: None", None, {}),
        (UsageError, r"Received: 0\.5", 0.5, {}),
        (UsageError, "expected an array of numbers", [0.5, "x"], {}),
        (UsageError, "expected ids that differ as text", {1: [1.0], "1": [1.0]}, {}),
        (DataError, "later than the one before. Received: 3, then 1", [0.5, 0.5], {"times": [3, 1]}),
        (DataError, "between 0 and 1. Received: 3", [0.5, 0.5], {"scores": [3.0]}),
        (UsageError, "true: expected classes 0 to 1.*Received: 7", WEIGHTS,
         {"contributions": CONTRIBUTIONS, "true": [7]}),
        (UsageError, "Received: -1", WEIGHTS, {"contributions": CONTRIBUTIONS, "true": [-1]}),
        (UsageError, "true: expected a list. Received: 'a'", WEIGHTS, {"true": "a"}),
        (UsageError, "planted: expected a dict", WEIGHTS, {"planted": [True, False, True]}),
        (UsageError, "planted 0: expected 3 truth values", WEIGHTS, {"planted": {0: [True]}}),
        (UsageError, "planted 0: expected 3 truth values", WEIGHTS, {"planted": {0: [0, 2, 1]}}),
        (DataError, "energy holds nan at 1, which is no number, so there is nothing to draw.$", WEIGHTS,
         {"energy": [1, np.nan, 1]}),
        (DataError, "-inf only where the weight is 0", WEIGHTS, {"logits": [0, -np.inf, 0]}),
    ],
)  # fmt: skip
def test_what_does_not_go_together(error, message, weights, settings):
    with pytest.raises(error, match=message):
        ArraySource(weights, **settings)


def test_padding_has_logits_of_minus_infinity():
    found = only([0.5, 0.5, 0], logits=[1, 1, -np.inf], contributions=CONTRIBUTIONS)
    assert found.logits is None and found.weights[2] == 0  # log of the weights says the same


def test_names_that_come_again_are_told_apart():
    found = only(WEIGHTS, contributions=CONTRIBUTIONS, class_names=["a", "a"])
    assert set(found.names) == {"a", "a (2)"}


def test_shares_are_made_of_weights_when_asked_for():
    np.testing.assert_allclose(only([1, 3], normalize=True).weights, [0.25, 0.75])


def test_what_cannot_be_had():
    source = ArraySource(WEIGHTS, contributions=CONTRIBUTIONS)
    with pytest.raises(UsageError, match=r"no video 'vid'.*Did you mean 'video'"):
        source.evidence("vid")
    with pytest.raises(UsageError, match=r"there is no model here. Mask them"):
        source.evidence("video", removed=[0])
    with pytest.raises(UsageError, match="no class 7"):
        source.evidence("video", classes=[7])
    assert source.evidence("video", classes=["class 1"])[0].classes == (1,)


def test_neither_tensorflow_nor_keras_is_needed():
    program = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # an import of either fails
import numpy as np
from dmlkit.explorer.sources import ArraySource
found, = ArraySource(np.full(4, 0.25), contributions=np.eye(4)).evidence("video")
found.to_json()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
