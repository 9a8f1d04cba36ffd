import numpy as np
import pytest

from dmlkit.errors import UsageError
from dmlkit.models import attention_weights, build, load_model, with_attention

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
