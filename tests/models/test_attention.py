"""Attention read out of a model: weights, the sum that makes a logit, the classifier alone."""

import numpy as np
import pytest
from scipy.special import logit

from dmlkit.errors import UsageError
from dmlkit.models import FrameParts, FrameProbe, attention_weights, build

FEATURES = {"rgb": (4, "byte"), "audio": (3, "float")}


def make(pooling="attention", encoder="bi_gru", **parts):
    parts = {"units": 3, "layers": 1, "dropout": 0.2, "encoder": encoder, "pooling": pooling, **parts}
    return build(features=FEATURES, level="frame", num_classes=3, **parts)


@pytest.mark.parametrize(("fusion_stage", "encoder"), [("early", "bi_gru"), ("late", "transformer")])
def test_states_weights_and_kernel_sum_to_the_logits(fusion_stage, encoder, batch, randomize):
    model = randomize(make(encoder=encoder, fusion_stage=fusion_stage))
    probe = FrameProbe(model)
    parts = probe.parts({**batch, "id": np.array(["a", "b", "c"]), "labels": np.zeros((3, 3))})
    assert probe.linear
    one = FrameParts(**{name: None if each is None else each[0] for name, each in vars(parts).items()})
    found = probe.contributions(one, [2, 0])
    sums = np.einsum("tgk,tpk->k", one.weights, found.values) + found.biases
    np.testing.assert_allclose(sums, logit(parts.scores)[0, [2, 0]], rtol=0, atol=1e-5)
    np.testing.assert_allclose(parts.scores, model(batch), atol=1e-6)
    np.testing.assert_array_equal(attention_weights(model, batch), parts.weights[:, :, 0, 0])
    assert np.ptp(parts.weights[0]) > 1e-4


@pytest.mark.parametrize("parts", [{}, {"classifier": "mixture_of_experts"}, {"gate_pooled": "context"}])
def test_the_classifier_alone_scores_the_pooled_states(parts, batch, randomize):
    model = randomize(make(**parts))
    probe = FrameProbe(model)
    read = probe.parts(batch)
    scores = probe.pooled_scores(read.states, batch["num_frames"])
    np.testing.assert_allclose(scores, read.scores, atol=1e-6)
    assert probe.linear == (not parts)


def test_wrong_models_and_batches_are_refused(batch):
    with pytest.raises(UsageError, match="need a model with pooling 'attention'"):
        attention_weights(make("last"), batch)
    with pytest.raises(UsageError, match=r"lacks audio, num_frames.*Received: rgb"):
        attention_weights(make(), {"rgb": batch["rgb"]})
