"""The attention's weights, out of a model that has it."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from dmlkit.errors import UsageError


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
    if "attention" not in {layer.name for layer in model.layers}:
        raise UsageError(
            f"Attention weights need a model with pooling 'attention'. Received: model '{model.name}', which "
            f"has no layer of that name. Build or load one with pooling 'attention'."
        )
    _, weights = model.get_layer("attention").output
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
    extended = with_attention(model)
    wanted = list(model.input)
    missing = [name for name in wanted if name not in inputs]
    if missing:
        raise UsageError(
            f"The batch lacks {', '.join(missing)}. The model's inputs are: {', '.join(wanted)}. "
            f"Received: {', '.join(inputs)}."
        )
    # As one graph: eagerly, a recurrent layer would walk its frames one by one in Python.
    extended.compile(jit_compile=False)
    return extended.predict_on_batch({name: inputs[name] for name in wanted})["attention_weights"]
