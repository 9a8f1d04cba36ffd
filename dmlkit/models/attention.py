"""What attention says, out of a model that has it: the weights, and how each frame's state makes the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from dmlkit.errors import UsageError

LAYER, CLASSIFIER = "attention", "scores"


def with_attention(model: keras.Model) -> keras.Model:
    """The same model, giving its attention's weights beside the scores.

    Args:
        model: A model of `build` (or `load_model`) with pooling "attention".

    Returns:
        A model of the same inputs and weights with the outputs {"scores": (batch, classes),
        "attention_weights": (batch, time)}.

    Raises:
        UsageError: The model has no attention.

    Paper: §Attention, α_t.
    """
    _, weights, _ = _attention_of(model).output
    return keras.Model(model.input, {"scores": model.output, "attention_weights": weights})


def attention_weights(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """How much each frame weighs in each video's vector.

    Args:
        model: A model with pooling "attention".
        inputs: A batch: the modalities by name, (batch, time, size), and `num_frames` (batch,). Other
            entries (ids, labels) are left aside.

    Returns:
        (batch, time) float32: exactly 0 on padding, a sum of 1 over each video's frames.

    Raises:
        UsageError: The model has no attention, or the batch lacks one of its inputs.

    Paper: §Attention, α_t.
    """
    return _run(_one_graph(with_attention(model)), inputs)["attention_weights"]


@dataclass(frozen=True)
class AttentionParts:
    """One batch, taken apart.

    Args:
        scores: (batch, classes) the model's.
        weights: (batch, time) α_t.
        logits: (batch, time) u_tᵀ u_w, whose softmax over a video's frames is α_t; on padding anything.
        states: (batch, time, size) h_t.
    """

    scores: np.ndarray
    weights: np.ndarray
    logits: np.ndarray
    states: np.ndarray


class AttentionProbe:
    """A model with attention pooling, opened: its parts for any batch, each graph made once and kept.

    Args:
        model: A model of `build` (or `load_model`) with pooling "attention".

    Attributes:
        linear: Whether the classifier is logistic on the pooled states. Then a class's logit is exactly
            Σ_t α_t (w·h_t) + b.

    Raises:
        UsageError: The model has no attention.

    Paper: §Attention.
    """

    def __init__(self, model: keras.Model):
        attention = _attention_of(model)
        self.model = model
        pooled, weights, logits = attention.output
        states = attention.input[0]
        told = {"scores": model.output, "weights": weights, "logits": logits, "states": states}
        self._parts = _one_graph(keras.Model(model.input, told))
        self._pooled = pooled
        self._classifier = model.get_layer(CLASSIFIER)
        self.linear = _is_linear(self._classifier)

    def parts(self, inputs: Mapping[str, np.ndarray]) -> AttentionParts:
        """One batch, taken apart.

        Args:
            inputs: As for `attention_weights`.

        Raises:
            UsageError: The batch lacks one of the model's inputs.
        """
        found = _run(self._parts, inputs)
        return AttentionParts(**{name: np.asarray(each, np.float32) for name, each in found.items()})

    def contributions(self, states: np.ndarray, classes: Sequence[int]) -> np.ndarray | None:
        """w·h_t: what each frame says of each class, before attention weighs it.

        Args:
            states: (..., size) h_t.
            classes: Which classes.

        Returns:
            (..., classes); None where the classifier is not linear.
        """
        return states @ self._kernel[:, list(classes)] if self.linear else None

    def biases(self, classes: Sequence[int]) -> np.ndarray | None:
        """(classes,) b; None where the classifier is not linear."""
        return keras.ops.convert_to_numpy(self._classifier.bias)[list(classes)] if self.linear else None

    def classify(self, pooled: np.ndarray) -> np.ndarray:
        """The classifier alone: (batch, size) states, weighed and summed → (batch, classes) scores."""
        return np.asarray(self._head.predict_on_batch(pooled))

    @cached_property
    def _kernel(self) -> np.ndarray:
        return keras.ops.convert_to_numpy(self._classifier.kernel)

    @cached_property
    def _head(self) -> keras.Model:
        return _one_graph(keras.Model(self._pooled, self.model.output))


def _attention_of(model: keras.Model) -> keras.layers.Layer:
    if LAYER not in {layer.name for layer in model.layers}:
        raise UsageError(
            f"Attention weights need a model with pooling 'attention'. Received: model '{model.name}', which "
            f"has no layer of that name. Build or load one with pooling 'attention'."
        )
    return model.get_layer(LAYER)


def _is_linear(classifier: keras.layers.Layer) -> bool:
    if (
        not isinstance(classifier, keras.layers.Dense)
        or classifier.activation is not keras.activations.sigmoid
    ):
        return False
    below = classifier.input._keras_history.operation
    while isinstance(below, keras.layers.Dropout):  # it does nothing when a model scores
        below = below.input._keras_history.operation
    return below.name == LAYER


def _one_graph(model: keras.Model) -> keras.Model:
    # Eagerly, a recurrent layer would walk its frames one by one in Python.
    model.compile(jit_compile=False)
    return model


def _run(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    wanted = list(model.input)
    missing = [name for name in wanted if name not in inputs]
    if missing:
        raise UsageError(
            f"The batch lacks {', '.join(missing)}. The model's inputs are: {', '.join(wanted)}. "
            f"Received: {', '.join(inputs)}."
        )
    return model.predict_on_batch({name: inputs[name] for name in wanted})
