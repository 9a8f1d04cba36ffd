"""The faster layers against Keras's own of the same weights: numbers, gradients, settings, files."""

import keras
import numpy as np
import pytest

from dmlkit.models import load_model
from dmlkit.models.recurrent import GRU, LSTM

PAIRS = {"lstm": (LSTM, keras.layers.LSTM), "gru": (GRU, keras.layers.GRU)}
FRAMES = np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32)
LABELS = np.array([[1, 0], [0, 1], [1, 1]], np.float32)


def _model(layer, **settings):
    inputs = keras.Input((None, 5))
    settings = {"return_sequences": True, **settings}
    outputs = layer(4, name="recurrent", **settings)(inputs)
    if settings["return_sequences"]:
        outputs = keras.layers.GlobalAveragePooling1D()(outputs)
    return keras.Model(inputs, keras.layers.Dense(2, activation="sigmoid")(outputs))


def _pair(kind, randomize, **settings):
    ours, stock = (_model(layer, **settings) for layer in PAIRS[kind])
    randomize(ours, scale=0.7)
    stock.set_weights(ours.get_weights())
    return ours, stock


def _one_step(model, *, eagerly, jit=False):
    """The loss of a step, and how it moved the weights."""
    before = model.get_weights()
    optimizer = keras.optimizers.SGD(1.0)
    model.compile(optimizer, "binary_crossentropy", run_eagerly=eagerly, jit_compile=jit)
    loss = model.train_on_batch(FRAMES, LABELS)
    moved = [new - old for old, new in zip(before, model.get_weights(), strict=True)]
    model.set_weights(before)
    return loss, moved


def _assert_equal_steps(first, second, *, atol=1e-6):
    np.testing.assert_allclose(first[0], second[0], atol=atol)
    for ours, stock in zip(first[1], second[1], strict=True):
        assert np.abs(stock).max() > 1e-4
        np.testing.assert_allclose(ours, stock, atol=atol)


def _goes_the_short_way(model, monkeypatch):
    """Whether the layer's own loop, and not Keras's, works out the states."""
    layer = model.get_layer("recurrent")
    taken, states = [], type(layer)._states
    noting = lambda self, *arguments: taken.append(True) or states(self, *arguments)  # noqa: E731
    monkeypatch.setattr(type(layer), "_states", noting)
    model(FRAMES)
    monkeypatch.undo()
    return bool(taken)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("sequences", [True, False])
def test_states_are_those_of_keras(kind, sequences, randomize):
    ours, stock = _pair(kind, randomize, return_sequences=sequences)
    np.testing.assert_allclose(ours(FRAMES), stock(FRAMES), atol=1e-6)
    np.testing.assert_allclose(ours(FRAMES[:, :1]), stock(FRAMES[:, :1]), atol=1e-6)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("eagerly", [True, False], ids=["eagerly", "graph"])
def test_gradients_are_those_of_keras(kind, eagerly, randomize):
    ours, stock = _pair(kind, randomize)
    _assert_equal_steps(_one_step(ours, eagerly=eagerly), _one_step(stock, eagerly=eagerly))


@pytest.mark.parametrize("kind", PAIRS)
def test_a_gradient_reaches_the_first_state_and_the_inputs(kind, randomize):
    """Both are weights of another layer here, so that a step shows their gradients."""

    def with_start(layer):
        inputs = keras.Input((None, 5))
        projected = keras.layers.Dense(5, name="baseline_of")(inputs)
        start = keras.layers.Dense(4, name="start")(projected[:, 0])
        starts = [start] if layer in PAIRS["gru"] else [start, keras.layers.Dense(4)(projected[:, 1])]
        states = layer(4, return_sequences=True)(projected, initial_state=starts)
        return keras.Model(
            inputs, keras.layers.Dense(2, "sigmoid")(keras.layers.GlobalAveragePooling1D()(states))
        )

    ours, stock = map(with_start, PAIRS[kind])
    randomize(ours, scale=0.7)
    stock.set_weights(ours.get_weights())
    _assert_equal_steps(_one_step(ours, eagerly=True), _one_step(stock, eagerly=True))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras's torch backend has a loop of its own")
@pytest.mark.parametrize(
    "settings",
    [
        {"return_state": True},
        {"go_backwards": True},
        {"recurrent_dropout": 0.3},
        {"dropout": 0.3},
        {"use_bias": False},
        {"activation": "relu"},
    ],
    ids=str,
)
def test_other_settings_go_kerass_way(settings, monkeypatch, randomize):
    frames = keras.Input((None, 5))
    states = []
    for layer in PAIRS["lstm"]:
        outputs = layer(4, return_sequences=True, name="recurrent", **settings)(frames)
        states.append(keras.Model(frames, outputs))
    ours, stock = states
    assert not _goes_the_short_way(ours, monkeypatch)
    stock.set_weights(randomize(ours).get_weights())
    first, second = ours(FRAMES), stock(FRAMES)
    np.testing.assert_array_equal(
        *(each[0] if isinstance(each, list | tuple) else each for each in (first, second))
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends have loops of their own")
@pytest.mark.parametrize("kind", PAIRS)
def test_the_short_way_is_taken_without_mask_only(kind, monkeypatch):
    model = _model(PAIRS[kind][0])
    assert _goes_the_short_way(model, monkeypatch)
    masked = keras.Sequential(
        [keras.Input((None, 5)), keras.layers.Masking(), PAIRS[kind][0](4, name="recurrent")]
    )
    assert not _goes_the_short_way(masked, monkeypatch)


@pytest.mark.parametrize("kind", PAIRS)
def test_a_run_before_and_after_has_the_same_weights_by_the_same_names(kind):
    ours, stock = (_model(layer) for layer in PAIRS[kind])
    names = [
        [weight.path.split("/", 1)[1] for weight in model.get_layer("recurrent").weights]
        for model in (ours, stock)
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize("kind", PAIRS)
def test_a_saved_model_loads_as_what_it_was(kind, randomize, tmp_path):
    for place, model in enumerate(_pair(kind, randomize)):
        model.save(tmp_path / f"{place}.keras")
        loaded = load_model(tmp_path / f"{place}.keras")
        assert type(loaded.get_layer("recurrent")) is PAIRS[kind][place]
        np.testing.assert_array_equal(loaded(FRAMES), model(FRAMES))


@pytest.mark.parametrize("kind", PAIRS)
def test_two_steps_from_the_same_weights_are_the_same(kind, randomize):
    ours, _ = _pair(kind, randomize)
    first, second = (_one_step(ours, eagerly=False) for _ in range(2))
    assert first[0] == second[0]
    for one, other in zip(first[1], second[1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="JAX always compiles, torch does it another way"
)
@pytest.mark.parametrize("kind", PAIRS)
def test_xla_gives_the_same_step(kind, randomize):
    ours, _ = _pair(kind, randomize)
    _assert_equal_steps(_one_step(ours, eagerly=False, jit=True), _one_step(ours, eagerly=False), atol=1e-5)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("kind", PAIRS)
def test_sixteen_bits_are_near(kind, precision, randomize):
    ours, _ = _pair(kind, randomize)
    mixed = _model(PAIRS[kind][0], dtype=precision)
    mixed.set_weights(ours.get_weights())
    full, short = _one_step(ours, eagerly=False), _one_step(mixed, eagerly=False)
    assert short[0] == pytest.approx(full[0], rel=0.02)
    for one, other in zip(short[1], full[1], strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, atol=0.02)
