"""What stands after a video's last frame, and how much of it, changes nothing."""

import keras
import numpy as np
import pytest

from dmlkit.models import (
    CLASSIFIERS,
    ENCODERS,
    FRAME_CLASSIFIERS,
    FUSIONS,
    GATES,
    NORMALIZATIONS,
    POOLINGS,
    VIDEO_ENCODERS,
    build,
    cross_entropy,
)

FEATURES = {"rgb": (4, "byte"), "audio": (3, "float")}
# The paper's poolings meet every encoder and fusion, the others a frame-wise and a recurrent encoder.
PLAIN = ("last", "mean", "attention")
LABELS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1]], np.float32)


def _model(**parts):
    defaults = {"mapping_initializer": "glorot", "alignment_weight": 0.7, "units": 3}
    return build(features=FEATURES, level="frame", num_classes=3, **{**defaults, **parts})


def _step(model, batch):
    """Scores, loss and gradients as a training sees them, by a step that any backend can do; then all is put back."""
    before = model.get_weights()
    scores = np.asarray(model(batch, training=True))
    model.set_weights(before)
    # A step of this size down the gradient: the weights before it less those after it are the gradient.
    model.compile(keras.optimizers.SGD(1.0), cross_entropy, run_eagerly=True, jit_compile=False)
    loss = model.train_on_batch(batch, LABELS)
    gradients = [
        old - new
        for old, new, weight in zip(before, model.get_weights(), model.weights, strict=True)
        if weight.trainable
    ]
    moving = [np.asarray(weight) for weight in model.non_trainable_weights]
    model.set_weights(before)
    return scores, loss, gradients, moving


def _assert_equal_under_any_padding(model, batch, padded):
    scores, loss, gradients, moving = _step(model, batch)
    other_scores, other_loss, other_gradients, other_moving = _step(model, padded)
    np.testing.assert_allclose(other_scores, scores, atol=1e-5)
    np.testing.assert_allclose(other_loss, loss, rtol=1e-5)
    assert any(np.abs(gradient).max() > 1e-3 for gradient in gradients)
    for weight, gradient, other in zip(model.trainable_variables, gradients, other_gradients, strict=True):
        np.testing.assert_allclose(other, gradient, atol=1e-5, err_msg=weight.path)
    for weight, value, other in zip(model.non_trainable_weights, moving, other_moving, strict=True):
        np.testing.assert_allclose(other, value, atol=1e-5, err_msg=weight.path)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("pooling", PLAIN)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_padding_changes_nothing(encoder, pooling, fusion, batch_of, repad, randomize):
    model = randomize(_model(encoder=encoder, pooling=pooling, fusion=fusion))
    batch = batch_of()
    _assert_equal_under_any_padding(model, batch, repad(batch, time=8))


@pytest.mark.parametrize("encoder", ["none", "bi_gru"])
@pytest.mark.parametrize("pooling", [name for name in POOLINGS if name not in PLAIN])
def test_padding_changes_nothing_in_other_poolings(pooling, encoder, batch_of, repad, randomize):
    parts = {"pooling": pooling, "pooled_units": 4, "gate_pooled": "context", "layers": 1}
    model = randomize(_model(encoder=encoder, **parts))
    batch = batch_of()
    _assert_equal_under_any_padding(model, batch, repad(batch, time=8))


@pytest.mark.parametrize("fusion_stage", ["early", "late"])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("classifier", FRAME_CLASSIFIERS)
def test_padding_changes_nothing_in_what_frames_say(
    classifier, gate, fusion_stage, batch_of, repad, randomize
):
    parts = {"gate_scores": gate, "fusion_stage": fusion_stage, "layers": 1}
    model = randomize(_model(encoder="bi_gru", classifier=classifier, **parts))
    batch = batch_of()
    _assert_equal_under_any_padding(model, batch, repad(batch, time=8))


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("pooling", PLAIN)
def test_padding_changes_nothing_where_fusion_is_late(pooling, fusion, batch_of, repad, randomize):
    model = randomize(_model(encoder="bi_gru", pooling=pooling, fusion=fusion, fusion_stage="late", layers=1))
    batch = batch_of()
    _assert_equal_under_any_padding(model, batch, repad(batch, time=8))


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_padding_changes_nothing_in_statistics(normalization, classifier, batch_of, repad, randomize):
    parts = {"normalization": normalization, "classifier": classifier, "pooling": "attention"}
    model = randomize(_model(**parts, layers=1))
    batch = batch_of()
    _assert_equal_under_any_padding(model, batch, repad(batch, time=8))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_video_scores_the_same_alone_as_in_a_batch(encoder, batch_of, randomize):
    model = randomize(_model(encoder=encoder, pooling="mean"))
    batch = batch_of()
    together = model(batch)
    for video, length in enumerate(batch["num_frames"]):
        alone = {name: batch[name][video : video + 1, :length] for name in FEATURES}
        alone["num_frames"] = batch["num_frames"][video : video + 1]
        np.testing.assert_allclose(model(alone)[0], together[video], atol=1e-5)


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name not in VIDEO_ENCODERS])
def test_every_valid_frame_counts(encoder, batch_of, randomize):
    """The tests above would also pass on a model that looks at nothing."""
    model = randomize(_model(encoder=encoder, pooling="last"))
    batch = batch_of()
    scores = np.asarray(model(batch))
    for frame in range(5):
        changed = {**batch, "audio": batch["audio"].copy()}
        changed["audio"][0, frame] = [3.0, -3.0, 1.0]
        assert np.abs(np.asarray(model(changed))[0] - scores[0]).max() > 1e-6
