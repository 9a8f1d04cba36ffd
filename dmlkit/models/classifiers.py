"""Classifiers: from one vector a video to its scores; the gates around them, and the loss.

A classifier is a function of (pooled, *, num_classes, mixtures, l2) that returns (batch, num_classes) float32
probabilities:

    pooled       (batch, size)
    num_classes  how many classes there are
    mixtures     experts a class, for the mixtures
    l2           weight of the kernels' squared weights in the loss (the biases are left out)

A frame classifier takes (states, num_frames, *, ...) instead: it scores each frame by itself, and pools the scores.
A gate is a function of (vector (batch, size), *, name) that returns a vector of the same size.
"""

import math

import keras
from keras import ops

from dmlkit.models.inputs import MOMENTUM, SameShape
from dmlkit.models.poolings import FeatureAttention

CHAIN_UNITS = 128  # of the projected first-stage scores that the second stage of a chain reads
EPSILON = 1e-7  # the loss keeps scores this far from 0 and 1, so that no logarithm is infinite


@keras.saving.register_keras_serializable(package="dmlkit")
def cross_entropy(labels, scores):
    """Binary cross-entropy of (batch, classes), summed over the classes and averaged over the videos, in nats.

    Paper: §Training; the sum over classes is the starter code's.
    """
    labels = ops.cast(labels, "float32")
    scores = ops.clip(ops.cast(scores, "float32"), EPSILON, 1.0 - EPSILON)
    log_likelihood = labels * ops.log(scores) + (1.0 - labels) * ops.log1p(-scores)
    return ops.mean(-ops.sum(log_likelihood, axis=-1))


def _dense(units, l2, *, name, bias=None, **settings):
    """A dense layer in float32 with an L2 penalty on its kernel; `bias` is the bias's initial value."""
    if bias is not None:
        settings["bias_initializer"] = keras.initializers.Constant(bias)
    penalty = keras.regularizers.L2(l2) if l2 else None
    return keras.layers.Dense(units, kernel_regularizer=penalty, dtype="float32", name=name, **settings)


def _prior(num_classes):
    """The bias at which an untrained model expects one label a video.

    From 0 it would expect half of all classes: thousands of them drive the encoder's states into saturation.
    """
    return -math.log(max(num_classes - 1, 1))


def logistic(pooled, *, num_classes, mixtures, l2):
    """σ(W s + b).

    Paper: §Logistic regression; with y_t = σ(W_o h_t) also the output of §Bi-GRU. Differs from the paper: b starts
    where one label a video is expected.
    """
    return _dense(num_classes, l2, name="scores", bias=_prior(num_classes), activation="sigmoid")(pooled)


@keras.saving.register_keras_serializable(package="dmlkit")
class Mixture(keras.layers.Layer):
    """Mixes each class's experts by its gates: Σ_m softmax(gates)_m σ(experts)_m, (batch, classes).

    Call arguments: `gates` (batch, classes * (mixtures + 1)) and `experts` (batch, classes * mixtures), logits; the
    last gate of a class is that of a dummy expert whose score is always 0.
    """

    def __init__(self, mixtures, **kwargs):
        super().__init__(**kwargs)
        self.mixtures = mixtures

    def call(self, gates, experts):
        classes = experts.shape[-1] // self.mixtures
        shares = ops.softmax(ops.reshape(gates, (-1, classes, self.mixtures + 1)), axis=-1)
        scores = ops.sigmoid(ops.reshape(experts, (-1, classes, self.mixtures)))
        return ops.sum(shares[:, :, : self.mixtures] * scores, axis=-1)


def mixture_of_experts(pooled, *, num_classes, mixtures, l2, prefix=""):
    """For each class `mixtures` logistic experts and a dummy, mixed by a softmax gate of the same input.

    Differs from the paper: it is YouTube-8M's starter code's (`MoeModel`; its gates have no bias).
    """
    gates = _dense(num_classes * (mixtures + 1), l2, name=f"{prefix}gates", use_bias=False)(pooled)
    experts = _dense(num_classes * mixtures, l2, name=f"{prefix}experts", bias=_prior(num_classes))(pooled)
    return Mixture(mixtures, dtype="float32", name=f"{prefix}scores")(gates, experts)


@keras.saving.register_keras_serializable(package="dmlkit")
class LastStage(keras.layers.Layer):
    """The second of two stages' scores; the first stay reachable as this layer's input (`training_model`)."""

    def call(self, first, second):
        return second


def chaining(pooled, *, num_classes, mixtures, l2):
    """Two mixtures of experts, the second of which reads the vector and the first one's scores.

        y1 = experts(s);  z = max(0, W y1 + b), of length 1;  y = experts([s; z])

    The first one's scores are trained to follow the labels too: `dmlkit.models.training_model`. The loss is the mean of
    both stages' losses, each of a cross-entropy and the penalty of its weights.

    Paper: §Related work (Wang, Zhang, Wu 2017, "Chaining", of two stages). Differs from theirs: both stages' losses
    weigh the same, and theirs gives the earlier ones 0.05 to 0.1 of the whole.
    """
    sizes = {"num_classes": num_classes, "mixtures": mixtures, "l2": l2 / 2}
    first = mixture_of_experts(pooled, prefix="first_", **sizes)
    hidden = _dense(CHAIN_UNITS, 0, name="chained_projection", activation="relu")(first)
    hidden = keras.layers.UnitNormalization(dtype="float32", name="chained_length")(hidden)
    both = keras.layers.Concatenate(dtype="float32", name="chained")([pooled, hidden])
    second = mixture_of_experts(both, prefix="second_", **sizes)
    return LastStage(dtype="float32", name="scores")(first, second)


CLASSIFIERS = {"logistic": logistic, "mixture_of_experts": mixture_of_experts, "chaining": chaining}
"""Name → function as described at the head of this file."""


def class_attention(states, num_frames, *, num_classes, mixtures, l2):
    """Each frame scored by a logistic classifier, and each class's scores weighted by attention of its own.

        p_c = Σ_t softmax_t(V h_t + c)_c σ(W h_t + b)_c;  0 for a video without frames

    Differs from the paper: its attention weighs states, for all classes alike; this is the decision-level attention
    of Kong et al. (2018, arXiv 1711.00927) with a softmax.
    """
    bias = _prior(num_classes)
    scores = _dense(num_classes, l2, name="frame_logits", bias=bias, activation="sigmoid")(states)
    attention = _dense(num_classes, l2, name="frame_attention")(states)
    return FeatureAttention(dtype="float32", name="scores")(scores, attention, num_frames)


FRAME_CLASSIFIERS = {"class_attention": class_attention}
"""Name → function: the classifiers that read the frames' states, without a pooling before them."""


@keras.saving.register_keras_serializable(package="dmlkit")
class ContextGate(SameShape):
    """Each entry of (batch, size) weighted by a function of all of them: y = x ∘ σ(norm(W x)).

    Paper: §Related work (Miech, Laptev, Sivic 2017, §3.2; `norm` is their code's batch normalization, in b's place).
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # In this layer's precision, independent of Keras's policy when it is loaded.
        self.normalization = keras.layers.BatchNormalization(
            momentum=MOMENTUM, dtype=self.dtype_policy, name="normalization"
        )

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")
        self.normalization.build(shape)

    def call(self, vector, training=None):
        logits = self.normalization(ops.matmul(vector, self.kernel), training=training)
        return vector * ops.cast(ops.sigmoid(logits), vector.dtype)


def context(vector, *, name):
    """Context gating; see `ContextGate`. Scores stay scores: a gate lies between 0 and 1."""
    return ContextGate(dtype="float32" if vector.dtype == "float32" else None, name=name)(vector)


GATES = {"none": lambda vector, *, name: vector, "context": context}
"""Name → function as described at the head of this file."""
