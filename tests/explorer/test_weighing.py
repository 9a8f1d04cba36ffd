"""Masking by arithmetic: exact where it can be, and said where it cannot."""

import numpy as np
import pytest

from dmlkit.errors import UsageError
from dmlkit.explorer.weighing import class_logits, entropy, kept_frames, optimize_weights, scores_of, sigmoid


def test_untouched_it_gives_the_models_own(sample_evidence):
    evidence = sample_evidence()
    weights = optimize_weights(evidence)
    np.testing.assert_allclose(weights, evidence.weights, atol=1e-6)
    np.testing.assert_allclose(scores_of(evidence, weights), evidence.scores, atol=1e-6)


def test_masking_is_leaving_out_and_renormalising(sample_evidence):
    evidence = sample_evidence(frames=5)
    kept = np.array([True, False, True, True, False])
    weights = optimize_weights(evidence, masked=(1, 4))
    np.testing.assert_allclose(
        weights, np.where(kept, evidence.weights, 0) / evidence.weights[kept].sum(), atol=1e-6
    )
    expected = sum(weights[t] * evidence.contributions[t] for t in (0, 2, 3)) + evidence.biases
    np.testing.assert_allclose(class_logits(evidence, weights), expected, atol=1e-6)
    np.testing.assert_array_equal(optimize_weights(evidence, masked=~kept), weights)


def test_without_logits_the_weights_serve(sample_evidence):
    known, unknown = sample_evidence(), sample_evidence(logits=None)
    for setting in ({"temperature": 0.3}, {"temperature": 5}, {"top": 4}, {"masked": [0, 3]}):
        np.testing.assert_allclose(
            optimize_weights(known, **setting), optimize_weights(unknown, **setting), atol=1e-6
        )


def test_temperature_evens_out_or_gathers(sample_evidence):
    evidence = sample_evidence()
    assert optimize_weights(evidence, temperature=0.01).max() > 0.99
    np.testing.assert_allclose(optimize_weights(evidence, temperature=1e6), 1 / 12, atol=1e-6)
    for wrong in (0, -1, np.nan, np.inf):
        with pytest.raises(UsageError, match="temperature must be above 0"):
            optimize_weights(evidence, temperature=wrong)


def test_the_highest_frames_that_are_not_masked(sample_evidence):
    evidence = sample_evidence(frames=4, logits=[3, 1, 2, 2], weights=[0.25] * 4)
    assert kept_frames(evidence, top=2).tolist() == [True, False, True, False]
    assert kept_frames(evidence, top=2, masked=[0]).tolist() == [False, False, True, True]
    assert kept_frames(evidence, top=9).all()
    with pytest.raises(UsageError, match="top=0"):
        kept_frames(evidence, top=0)


def test_uniform_over_what_is_kept(sample_evidence):
    weights = optimize_weights(sample_evidence(frames=4), masked=[2], uniform=True)
    np.testing.assert_allclose(weights, [1 / 3, 1 / 3, 0, 1 / 3])


@pytest.mark.parametrize("settings", [{"frames": 0}, {"frames": 3, "mask": [0, 1, 2]}])
def test_nothing_left_is_no_weights_and_no_scores(sample_evidence, settings):
    masked = settings.pop("mask", ())
    evidence = sample_evidence(**settings)
    assert optimize_weights(evidence, masked=masked) is None
    assert scores_of(evidence, None) is None
    assert entropy(None) is None


def test_frames_left_that_never_weighed_anything(sample_evidence):
    evidence = sample_evidence(frames=3, logits=None, weights=[1, 0, 0])
    assert optimize_weights(evidence, masked=[0]) is None
    np.testing.assert_allclose(optimize_weights(evidence, masked=[0], uniform=True), [0, 0.5, 0.5])


def test_frames_that_are_not_there(sample_evidence):
    for wrong in ([4], [-1], [0.5], np.array([True, False])):
        with pytest.raises(UsageError, match="frames 0 to 3"):
            optimize_weights(sample_evidence(frames=4), masked=wrong)


def test_a_classifier_that_is_not_linear_has_no_sum(sample_evidence):
    evidence = sample_evidence(linear=False)
    assert class_logits(evidence, optimize_weights(evidence)) is None


def test_entropy_by_hand():
    assert entropy(np.array([0.5, 0.5])) == pytest.approx((np.log(2), 1))
    assert entropy(np.array([1.0, 0.0])) == (0, 0)
    assert entropy(np.array([1.0])) == (0, 0)
    assert entropy(np.array([0.5, 0.5, 0, 0])) == pytest.approx((np.log(2), 0.5))


def test_sigmoid_of_any_size():
    np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])
