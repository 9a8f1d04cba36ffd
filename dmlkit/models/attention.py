"""Attention of a trained model: its weights, and the contribution of each frame's state to the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from dmlkit.errors import UsageError
from dmlkit.models.inputs import check_codings


def attention_weights(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The attention weight of each frame of each video.

    Args:
        model: A model with pooling "attention".
        inputs: A batch: the modalities by name, (batch, time, size), and `num_frames` (batch,). Other
            entries (ids, labels) are ignored.

    Returns:
        (batch, time) float32: exactly 0 on padding, a sum of 1 over each video's frames.

    Raises:
        UsageError: The model has no attention, or the batch lacks one of its inputs or has it in another coding.

    Paper: §Attention, α_t.
    """
    return AttentionProbe(model).parts(inputs).weights


@dataclass(frozen=True)
class AttentionParts:
    """What attention computes for one batch."""

    scores: np.ndarray  # (batch, classes) the model's
    weights: np.ndarray  # (batch, time) α_t
    logits: np.ndarray  # (batch, time) u_tᵀ u_w, of which α_t is the softmax over a video's frames
    states: np.ndarray  # (batch, time, size) h_t


class AttentionProbe:
    """A model with attention pooling whose parts can be read for any batch; its graphs are built once and kept.

    `linear` is True where the classifier is logistic on the pooled states: a class's logit is then exactly
    Σ_t α_t (w·h_t) + b. `columns` are the model's classes that are read, in the order by which they are numbered here;
    None for all.

    Paper: §Attention.
    """

    def __init__(self, model: keras.Model, *, columns: Sequence[int] | None = None):
        if "attention" not in {layer.name for layer in model.layers}:
            raise UsageError(
                f"Attention weights need a model with pooling 'attention'. Received: model '{model.name}', which "
                f"has no layer of that name. Build or load one with pooling 'attention'."
            )
        attention, self._classifier = model.get_layer("attention"), model.get_layer("scores")
        self.model, self._columns = model, slice(None) if columns is None else columns
        pooled, weights, logits = attention.output
        outputs = {"scores": model.output, "weights": weights, "logits": logits, "states": attention.input[0]}
        self._parts, self._head = keras.Model(model.input, outputs), keras.Model(pooled, model.output)
        for each in (self._parts, self._head):
            # Eagerly, a recurrent layer would walk its frames one by one in Python.
            each.compile(jit_compile=False)
        self.linear = _is_linear(self._classifier)

    def parts(self, inputs: Mapping[str, np.ndarray]) -> AttentionParts:
        """Scores, weights, logits and states of one batch; `inputs` as for `attention_weights`."""
        names = list(self.model.input)
        if missing := [name for name in names if name not in inputs]:
            raise UsageError(
                f"The batch lacks {', '.join(missing)}. The model's inputs are: {', '.join(names)}. "
                f"Received: {', '.join(inputs)}."
            )
        check_codings(self.model, inputs)
        outputs = self._parts.predict_on_batch({name: inputs[name] for name in names})
        outputs["scores"] = outputs["scores"][:, self._columns]
        return AttentionParts(**{name: np.asarray(each, np.float32) for name, each in outputs.items()})

    def contributions(self, states: np.ndarray, classes: Sequence[int]) -> np.ndarray | None:
        """w·h_t, what each frame adds to each logit before it is weighted: (..., classes); None if not linear."""
        return states @ self._kernel[:, list(classes)] if self.linear else None

    def biases(self, classes: Sequence[int]) -> np.ndarray | None:
        """(classes,) b; None if not linear."""
        if not self.linear:
            return None
        return keras.ops.convert_to_numpy(self._classifier.bias)[self._columns][list(classes)]

    def classify(self, pooled: np.ndarray) -> np.ndarray:
        """The classifier alone: (batch, size) pooled states → (batch, classes) scores."""
        return np.asarray(self._head.predict_on_batch(pooled))[:, self._columns]

    @cached_property
    def _kernel(self) -> np.ndarray:
        return keras.ops.convert_to_numpy(self._classifier.kernel)[:, self._columns]


def _is_linear(classifier: keras.layers.Layer) -> bool:
    is_dense = isinstance(classifier, keras.layers.Dense)
    if not is_dense or classifier.activation is not keras.activations.sigmoid:
        return False
    below = classifier.input._keras_history.operation
    while isinstance(below, keras.layers.Dropout):  # it does nothing when a model scores
        below = below.input._keras_history.operation
    return below.name == "attention"
