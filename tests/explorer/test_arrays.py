"""Views of plain arrays: what is computed, and what is refused."""

import numpy as np
import pytest

from dmlkit.errors import DataError, UsageError
from dmlkit.explorer import explore_arrays

WEIGHTS = np.array([0.1, 0.2, 0.7])
CONTRIBUTIONS = np.array([[1.0, -1.0], [0.0, 2.0], [3.0, 0.0]])


def only(*args, **settings):
    return explore_arrays(*args, **settings).evidence[0]


def test_weights_are_enough():
    found = only(WEIGHTS)
    np.testing.assert_allclose(found.weights, WEIGHTS, atol=1e-7)
    assert found.classes == () and found.times.tolist() == [0, 1, 2] and found.true is None
    assert only([]).frames == 0
    np.testing.assert_allclose(only([1, 3], normalize=True).weights, [0.25, 0.75])


def test_scores_are_the_weighted_sum():
    found = only(WEIGHTS, contributions=CONTRIBUTIONS, biases=[0.5, -0.5], class_names=["a", "b"], true=["b"])
    expected = 1 / (1 + np.exp(-(WEIGHTS @ CONTRIBUTIONS + [0.5, -0.5])))
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)
    assert found.names == ("a", "b") and found.true == (1,)
    assert set(only(WEIGHTS, contributions=CONTRIBUTIONS, class_names=["a", "a"]).names) == {"a", "a (2)"}


def test_several_videos_of_any_length():
    lists = {"contributions": [CONTRIBUTIONS, [[4.0, 5.0]]], "times": [[3, 4, 5], None]}
    view = explore_arrays([WEIGHTS, [1.0]], **lists)
    assert list(view.source.videos) == ["video 0", "video 1"] and view.evidence[0].times.tolist() == [3, 4, 5]
    view.video = "video 1"
    assert view.evidence[0].contributions.tolist() == [[5.0, 4.0]]  # the higher score first
    view = explore_arrays({"x": WEIGHTS, "y": [1.0]}, energy={"x": [1, 2, 3]}, video="y")
    assert view.evidence[0].energy == {}
    view.video = "x"
    assert view.evidence[0].energy["features"].tolist() == [1, 2, 3]
    assert len(explore_arrays(np.full((4, 2), 0.5), scores=np.full((4, 3), 0.5)).source.videos) == 4


def test_a_classifier_that_is_not_linear_has_scores_and_occlusion():
    view = explore_arrays(
        WEIGHTS, scores=[0.9, 0.2], occlusion=CONTRIBUTIONS / 10, ground_truth={0: [0, 0, 1]}
    )
    found = view.evidence[0]
    assert found.contributions is None and found.ground_truth[0].tolist() == [False, False, True]
    np.testing.assert_allclose(found.occlusion[2], [0.3, 0], atol=1e-6)
    view.masked = [0]
    assert view.scores is None and view.weights[0] == 0


def test_padding_has_logits_of_minus_infinity():
    found = only([0.5, 0.5, 0], logits=[1, 1, -np.inf], contributions=CONTRIBUTIONS)
    assert found.logits is None and found.weights[2] == 0  # log α_t says the same


@pytest.mark.parametrize(
    ("error", "message", "weights", "settings"),
    [
        (DataError, "sum to 1. Received: a sum of 2.*normalize=True", [1, 1], {}),
        (DataError, "weights holds nan at 1", [1, np.nan], {}),
        (DataError, "as there are 2 weights", [0.5, 0.5], {"contributions": CONTRIBUTIONS}),
        (DataError, "contributions must have the shape", [0.5, 0.5], {"contributions": [1, 2]}),
        (DataError, "one name for each", WEIGHTS, {"contributions": CONTRIBUTIONS, "class_names": "abc"}),
        (UsageError, "biases need contributions", WEIGHTS, {"biases": [1]}),
        (UsageError, "or scores and occlusion", WEIGHTS, {"contributions": CONTRIBUTIONS, "scores": [1, 1]}),
        (UsageError, "softmax of the logits differ", WEIGHTS, {"logits": [0, 0, 0]}),
        (UsageError, "true: .* class 'z'", WEIGHTS, {"true": ["z"], "scores": [1]}),
        (UsageError, "times: expected one for each of 2", [[1.0], [1.0]], {"times": [1, 2, 3]}),
        (UsageError, "times: expected a dict by id", {"a": [1.0]}, {"times": [[0]]}),
        (UsageError, "occlusion needs scores", WEIGHTS, {"occlusion": CONTRIBUTIONS}),
        (UsageError, r"Received: 0\.5", 0.5, {}),
        (UsageError, "expected an array of numbers", [0.5, "x"], {}),
        (UsageError, "differ as text", {1: [1.0], "1": [1.0]}, {}),
        (DataError, "ascending seconds. Received: .3. 1", [0.5, 0.5], {"times": [3, 1]}),
        (DataError, "between 0 and 1", [0.5, 0.5], {"scores": [3.0]}),
        (UsageError, "true: expected a list. Received: 'a'", WEIGHTS, {"true": "a"}),
        (UsageError, "expected a dict by class", WEIGHTS, {"ground_truth": [True, False, True]}),
        (DataError, "expected booleans", WEIGHTS, {"ground_truth": {0: [0, 2, 1]}}),
        (DataError, "energy features holds nan at 1", WEIGHTS, {"energy": [1, np.nan, 1]}),
        (DataError, "logits holds -inf at 0", WEIGHTS, {"logits": [-np.inf, -np.inf, -np.inf]}),
    ],
)
def test_what_does_not_fit_together(error, message, weights, settings):
    with pytest.raises(error, match=message):
        explore_arrays(weights, **settings)
