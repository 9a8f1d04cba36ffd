import keras
import numpy as np
import pytest

from dmlkit.errors import UsageError
from dmlkit.models import ENCODERS, AttentionProbe, attention_weights, build, load_model, with_attention

FEATURES = {"rgb": (4, "byte"), "audio": (3, "float")}


def _model(pooling="attention", **parts):
    return build(features=FEATURES, level="frame", num_classes=3, units=3, layers=1, pooling=pooling, **parts)


def test_weights_sum_to_one_and_are_zero_on_padding(batch_of, randomize):
    weights = attention_weights(randomize(_model(), scale=1.0), batch_of(num_frames=(5, 2, 1, 4)))
    assert isinstance(weights, np.ndarray)
    assert weights.shape == (4, 5)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-6)
    assert (weights[1, 2:] == 0).all()
    assert (weights[2, 1:] == 0).all()
    assert np.ptp(weights[0]) > 1e-4


def test_other_entries_of_a_batch_are_left_aside(batch_of):
    model, batch = _model(), batch_of()
    expected = attention_weights(model, batch)
    more = {**batch, "id": np.array(["a", "b", "c"]), "labels": np.zeros((3, 3))}
    np.testing.assert_array_equal(attention_weights(model, more), expected)


def test_weights_are_the_same_after_loading(batch_of, randomize, tmp_path):
    model, batch = randomize(_model(classifier="mixture_of_experts")), batch_of()
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(attention_weights(loaded, batch), attention_weights(model, batch))


def test_scores_come_with_the_weights(batch_of, randomize):
    model, batch = randomize(_model()), batch_of()
    both = with_attention(model)(batch)
    np.testing.assert_array_equal(both["scores"], model(batch))
    np.testing.assert_allclose(both["attention_weights"], attention_weights(model, batch), atol=1e-6)


@pytest.mark.parametrize("fusion_stage", ["early", "late"])
def test_weights_come_out_wherever_the_modalities_meet(fusion_stage, batch_of):
    weights = attention_weights(_model(fusion_stage=fusion_stage), batch_of())
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-6)


def test_a_model_without_attention_says_so(batch_of):
    with pytest.raises(UsageError, match="need a model with pooling 'attention'"):
        attention_weights(_model("mean"), batch_of())


def test_a_batch_that_lacks_an_input_says_which(batch_of):
    batch = batch_of()
    del batch["audio"]
    with pytest.raises(UsageError, match="The batch lacks audio"):
        attention_weights(_model(), batch)


def _logits(model, batch):
    """The model's own logits: it without its last sigmoid."""
    bare = keras.models.clone_model(
        model, call_function=lambda layer, *args, **kwargs: _without_sigmoid(layer)(*args, **kwargs)
    )
    bare.set_weights(model.get_weights())
    return np.asarray(bare({name: batch[name] for name in model.input}, training=False))


def _without_sigmoid(layer):
    if layer.name == "scores":
        layer.activation = keras.activations.linear
    return layer


@pytest.mark.parametrize("loaded", [False, True], ids=["built", "loaded"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_weighted_contributions_sum_to_the_models_logits(encoder, loaded, batch_of, randomize, tmp_path):
    model, batch = randomize(_model(encoder=encoder, dropout=0.2)), batch_of(num_frames=(5, 2, 1))
    if loaded:
        model.save(tmp_path / "model.keras")
        model = load_model(tmp_path / "model.keras")
    opened = AttentionProbe(model)
    parts = opened.parts(batch)
    contributions, biases = opened.contributions(parts.states, [2, 0]), opened.biases([2, 0])
    assert opened.linear
    sums = np.einsum("bt,btc->bc", parts.weights, contributions) + biases
    np.testing.assert_allclose(sums, _logits(model, batch)[:, [2, 0]], rtol=0, atol=1e-5)
    np.testing.assert_allclose(parts.scores, model(batch), atol=1e-6)


def test_weights_are_the_softmax_of_the_attention_logits(batch_of, randomize):
    parts = AttentionProbe(randomize(_model(), scale=1.0)).parts(batch_of(num_frames=(5, 2, 1)))
    for frames, weights, logits in zip((5, 2, 1), parts.weights, parts.logits, strict=True):
        shares = np.exp(logits[:frames] - logits[:frames].max())
        np.testing.assert_allclose(weights[:frames], shares / shares.sum(), atol=1e-6)


@pytest.mark.parametrize("fusion_stage", ["early", "late"])
@pytest.mark.parametrize("classifier", ["logistic", "mixture_of_experts"])
def test_the_classifier_alone_scores_the_weighed_states(classifier, fusion_stage, batch_of, randomize):
    model, batch = randomize(_model(classifier=classifier, fusion_stage=fusion_stage)), batch_of()
    opened = AttentionProbe(model)
    parts = opened.parts(batch)
    scores = opened.classify(np.einsum("bt,bts->bs", parts.weights, parts.states))
    np.testing.assert_allclose(scores, parts.scores, atol=1e-6)


def test_a_mixture_of_experts_has_no_contributions(batch_of):
    opened = AttentionProbe(_model(classifier="mixture_of_experts"))
    assert not opened.linear
    assert opened.contributions(opened.parts(batch_of()).states, [0]) is None
    assert opened.biases([0]) is None


def test_a_model_without_attention_cannot_be_opened():
    with pytest.raises(UsageError, match="need a model with pooling 'attention'"):
        AttentionProbe(_model("last"))
