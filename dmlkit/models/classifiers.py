"""Classifiers: from one vector a video to its scores.

A classifier is a function of (pooled, *, num_classes, mixtures, l2) that returns (batch, num_classes) float32
probabilities:

    pooled       (batch, size)
    num_classes  how many classes there are
    mixtures     experts a class, for the mixtures
    l2           weight of the squared weights' sum in the loss (the biases are left out)

A frame classifier is a function of (states, num_frames, *, num_classes, mixtures, l2): it judges each frame by
itself, and pools what it says of them.
"""

from __future__ import annotations

import math

import keras
from keras import ops

from dmlkit.models.attention_poolings import ClassAttention
from dmlkit.models.stages import LastStage

CHAINED = 128
"""Size of what a chain's second stage hears of its first."""


def _penalty(l2):
    return keras.regularizers.L2(l2) if l2 else None


def _rare(num_classes):
    """The bias at which a model that knows nothing yet gives a video one label.

    From 0 it would give it half of all classes, and the first steps would teach nothing but that labels are
    rare: thousands of classes push the encoder's states to their ends, where they learn no more.
    """
    return keras.initializers.Constant(-math.log(max(num_classes - 1, 1)))


@keras.saving.register_keras_serializable(package="dmlkit")
class Mixture(keras.layers.Layer):
    """Mixes each class's experts by its gates.

    Args:
        mixtures: Experts a class.

    Call arguments: `gates` (batch, classes * (mixtures + 1)) logits, `experts` (batch, classes * mixtures)
    logits. Returns (batch, classes) probabilities Σ_m softmax(gates)_m σ(experts)_m; the last gate is that of
    a dummy expert that always says no.
    """

    def __init__(self, mixtures, **keras_arguments):
        super().__init__(**keras_arguments)
        self.mixtures = mixtures

    def call(self, gates, experts):
        """See the class."""
        classes = experts.shape[-1] // self.mixtures
        shares = ops.softmax(ops.reshape(gates, (-1, classes, self.mixtures + 1)), axis=-1)
        says = ops.sigmoid(ops.reshape(experts, (-1, classes, self.mixtures)))
        return ops.sum(shares[:, :, : self.mixtures] * says, axis=-1)

    def compute_output_shape(self, gates_shape, experts_shape):
        """See the class."""
        return (experts_shape[0], experts_shape[1] // self.mixtures)

    def get_config(self):
        """See the class."""
        return {**super().get_config(), "mixtures": self.mixtures}


def logistic(pooled, *, num_classes, mixtures, l2):
    """σ(W s + b).

    Paper: §Logistic regression; with y_t = σ(W_o h_t) also the output of §Bi-GRU. Differs from the paper: b starts
    where one label a video is expected.
    """
    return keras.layers.Dense(
        num_classes,
        activation="sigmoid",
        bias_initializer=_rare(num_classes),
        kernel_regularizer=_penalty(l2),
        dtype="float32",
        name="scores",
    )(pooled)


def mixture_of_experts(pooled, *, num_classes, mixtures, l2):
    """For each class `mixtures` logistic experts and a dummy, mixed by a softmax gate of the same input.

    Differs from the paper: it is YouTube-8M's starter code's (`MoeModel`; its gates have no bias).
    """
    return _experts(pooled, num_classes=num_classes, mixtures=mixtures, l2=l2, prefix="")


def _experts(pooled, *, num_classes, mixtures, l2, prefix):
    gates = keras.layers.Dense(
        num_classes * (mixtures + 1),
        use_bias=False,
        kernel_regularizer=_penalty(l2),
        dtype="float32",
        name=f"{prefix}gates",
    )(pooled)
    experts = keras.layers.Dense(
        num_classes * mixtures,
        bias_initializer=_rare(num_classes),
        kernel_regularizer=_penalty(l2),
        dtype="float32",
        name=f"{prefix}experts",
    )(pooled)
    return Mixture(mixtures, dtype="float32", name=f"{prefix}scores")(gates, experts)


def chaining(pooled, *, num_classes, mixtures, l2):
    """Two mixtures of experts, the second of which sees beside the vector what the first has said.

        y1 = experts(s);  z = max(0, W y1 + b), of length 1;  y = experts([s; z])

    The first one's scores are trained to follow the labels too: `dmlkit.models.training_model`.

    Paper: §Related work (Wang, Zhang, Wu 2017, "Chaining", of two stages). Differs from theirs: both stages' losses
    weigh the same, and theirs gives the earlier ones 0.05 to 0.1 of the whole.
    """
    sizes = {"num_classes": num_classes, "mixtures": mixtures, "l2": l2}
    first = _experts(pooled, prefix="first_", **sizes)
    said = keras.layers.Dense(CHAINED, activation="relu", dtype="float32", name="chained_projection")(first)
    said = keras.layers.UnitNormalization(dtype="float32", name="chained_length")(said)
    both = keras.layers.Concatenate(dtype="float32", name="chained")([pooled, said])
    second = _experts(both, prefix="second_", **sizes)
    return LastStage(dtype="float32", name="scores")(first, second)


def class_attention(states, num_frames, *, num_classes, mixtures, l2):
    """Each frame judged by a logistic classifier, and each class's judgements weighed by attention of its own.

    Differs from the paper: its attention weighs states, for all classes alike; this is the decision-level attention
    of Kong et al. (2018, arXiv 1711.00927) with a softmax.
    """
    judged = keras.layers.Dense(
        num_classes,
        bias_initializer=_rare(num_classes),
        kernel_regularizer=_penalty(l2),
        dtype="float32",
        name="judged",
    )(states)
    says = keras.layers.Dense(num_classes, kernel_regularizer=_penalty(l2), dtype="float32", name="says")(
        states
    )
    return ClassAttention(dtype="float32", name="scores")(judged, says, num_frames)


CLASSIFIERS = {"logistic": logistic, "mixture_of_experts": mixture_of_experts, "chaining": chaining}
"""Name → function as the head of this file describes it."""

FRAME_CLASSIFIERS = {"class_attention": class_attention}
"""Name → function: the classifiers that need the frames' states, and no pooling."""
