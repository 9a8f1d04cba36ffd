"""What a GPU asks of the models, told where none is: cuDNN's conditions on every rung, no mask, 16 bits, XLA."""

import importlib

import keras
import numpy as np
import pytest

from dmlkit.experiments import EXPERIMENTS, Experiment
from dmlkit.models import ENCODERS, build, cross_entropy

FEATURES = {"rgb": (4, "byte"), "audio": (3, "float")}
LABELS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1]], np.float32)
BY_THE_LETTER = {"peephole_lstm", "paper_gru"}
"""The paper's own equations, which cuDNN does not know."""
WITHOUT_CUDNN = {"rnn"}
"""Keras has no cuDNN road for its plain recurrent layer."""
RECURRENT = [
    name
    for name in ENCODERS
    if name not in BY_THE_LETTER | WITHOUT_CUDNN and ("lstm" in name or "gru" in name)
]


def _rung(experiment, **more):
    return build(
        features=FEATURES,
        level="frame",
        num_classes=3,
        units=3,
        encoder=experiment.encoder,
        pooling=experiment.pooling,
        classifier=experiment.classifier,
        fusion=experiment.fusion,
        fusion_stage=experiment.fusion_stage,
        normalization=experiment.normalization or "layer",
        **more,
    )


def _recurrent_layers(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.RNN)]


def _assert_cudnn_takes(layer):
    """The conditions of Keras's documentation of `LSTM` and `GRU`, and those its JAX and torch backends add."""
    assert isinstance(layer, keras.layers.LSTM | keras.layers.GRU), layer.name
    assert layer.activation is keras.activations.tanh
    assert layer.recurrent_activation is keras.activations.sigmoid
    assert layer.recurrent_dropout == 0
    assert layer.dropout == 0
    assert layer.unroll is False
    assert layer.use_bias is True
    assert layer.go_backwards is False
    assert layer.stateful is False
    assert layer.use_cudnn == "auto"
    if isinstance(layer, keras.layers.GRU):
        assert layer.reset_after is True


FRAME_RUNGS = [
    rung for rung in EXPERIMENTS.values() if isinstance(rung, Experiment) and rung.encoder in RECURRENT
]


@pytest.mark.parametrize("rung", FRAME_RUNGS, ids=lambda rung: rung.name)
def test_every_rungs_recurrent_layers_meet_cudnns_conditions(rung):
    layers = _recurrent_layers(_rung(rung, dropout=0.3))
    assert layers
    for layer in layers:
        _assert_cudnn_takes(layer)


@pytest.mark.parametrize("encoder", sorted(BY_THE_LETTER | WITHOUT_CUDNN))
def test_the_conditions_tell_apart(encoder):
    """The check above fails on the layers that cuDNN does not know."""
    model = build(features=FEATURES, level="frame", num_classes=3, units=3, encoder=encoder)
    with pytest.raises(AssertionError):
        for layer in _recurrent_layers(model):
            _assert_cudnn_takes(layer)


@pytest.mark.parametrize("encoder", RECURRENT)
def test_no_tensor_on_the_way_carries_a_mask(encoder):
    model = build(features=FEATURES, level="frame", num_classes=3, units=3, encoder=encoder)
    for layer in _recurrent_layers(model):
        assert getattr(layer.input, "_keras_mask", None) is None
        assert layer.compute_mask(layer.input, None) is None


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own choice of road")
@pytest.mark.parametrize("encoder", RECURRENT)
def test_tensorflow_would_lay_each_layer_on_cudnn(encoder, batch_of, monkeypatch):
    """Told that there is a GPU, Keras puts cuDNN's operation into the graph; only to run it would need one."""
    import tensorflow as tf

    roads = importlib.import_module("keras.src.backend.tensorflow.rnn")
    monkeypatch.setattr(roads, "_is_gpu_available", lambda: True)
    model = build(features=FEATURES, level="frame", num_classes=3, units=3, encoder=encoder)
    graph = tf.function(model).get_concrete_function(
        {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in model.input.items()}
    )
    kinds = [operation.type for operation in graph.graph.get_operations()]
    layers = _recurrent_layers(model)
    assert kinds.count("CudnnRNNV3") == len(layers)
    assert not {"While", "StatelessWhile"} & set(kinds)
    # cuDNN and XLA exclude each other: Keras's "auto" leaves XLA aside where cuDNN is.
    assert not any(layer.supports_jit for layer in layers)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX's own choice of road")
@pytest.mark.parametrize("encoder", RECURRENT)
def test_jax_takes_no_road_to_cudnn_that_ends(encoder, batch_of, monkeypatch):
    """Told that there is a GPU, Keras asks JAX for cuDNN's LSTM, which is refused in 16 bits: seen on one."""
    roads = importlib.import_module("keras.src.backend.jax.rnn")
    asked = []
    monkeypatch.setattr(roads, "cudnn_ok", lambda *conditions, **more: asked.append(1) or False)
    build(features=FEATURES, level="frame", num_classes=3, units=3, encoder=encoder)(batch_of())
    assert bool(asked) == ("lstm" in encoder)
    asked.clear()
    parts = {"features": FEATURES, "level": "frame", "num_classes": 3, "units": 3, "encoder": encoder}
    build(**parts, precision="mixed_bfloat16")(batch_of())
    assert not asked


@pytest.mark.parametrize("encoder", RECURRENT)
def test_a_step_in_bfloat16_is_near_that_in_float32(encoder, batch_of, randomize):
    parts = {"features": FEATURES, "level": "frame", "num_classes": 3, "units": 3, "layers": 1}
    parts |= {
        "encoder": encoder,
        "pooling": "attention",
        "fusion": "projection",
        "mapping_initializer": "glorot",
    }
    full = randomize(build(**parts))
    mixed = build(**parts, precision="mixed_bfloat16")
    mixed.set_weights(full.get_weights())
    losses = {}
    for model in (full, mixed):
        model.compile(keras.optimizers.SGD(0.05), cross_entropy, run_eagerly=True, jit_compile=False)
        losses[model] = [float(model.train_on_batch(batch_of(), LABELS)) for _ in range(2)]
        assert losses[model][1] < losses[model][0]
    np.testing.assert_allclose(losses[mixed], losses[full], rtol=0.03)
    assert {weight.dtype for weight in mixed.trainable_weights} == {"float32"}
    assert _recurrent_layers(mixed)[0].compute_dtype == "bfloat16"
    assert mixed.get_layer("scores").compute_dtype == "float32"
    _, weights, logits = mixed.get_layer("attention").output
    assert {weights.dtype, logits.dtype} == {"float32"}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX always compiles; torch has no XLA")
@pytest.mark.parametrize("encoder", ["bi_lstm", "bi_gru"])
def test_xla_gives_the_same_weights_after_a_step(encoder, batch_of, randomize):
    parts = {"features": FEATURES, "level": "frame", "num_classes": 3, "units": 3, "layers": 1}
    stepped = []
    for xla in (False, True):
        model = randomize(build(**parts, encoder=encoder, pooling="attention"))
        model.compile(keras.optimizers.SGD(0.1), cross_entropy, jit_compile=xla)
        before = model.get_weights()
        model.train_on_batch(batch_of(), LABELS)
        stepped.append(model.get_weights())
    assert max(np.abs(new - old).max() for new, old in zip(stepped[0], before, strict=True)) > 1e-3
    for plain, compiled in zip(*stepped, strict=True):
        np.testing.assert_allclose(compiled, plain, atol=1e-4)
