"""What a model is shown and told while it learns: blended videos, dropped modalities, soft labels, teachers' scores.

All of it happens within the step, drawn by a generator whose state is a variable: a checkpoint holds it, and a
training that goes on draws what an undisturbed one would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras
from keras import ops

from dmlkit.models import frame_mask, training_model
from dmlkit.profiles import Profile

NOTHING = {"uint8": 127, "float32": 0}
"""What stands for a modality that is dropped: the number 0, as a byte and as itself."""


def smoothed(labels, share):
    """Labels with a share of each video's spread evenly over all classes.

    Args:
        labels: (batch, classes).
        share: ε: y becomes (1 - ε) y + ε mean(y), so that a video keeps as many labels as it had.
    """
    return labels * (1.0 - share) + share * ops.mean(labels, axis=-1, keepdims=True)


def mixed(inputs, partner, share):
    """Each video blended with another: λ of itself, 1 - λ of its partner.

    Args:
        inputs: The modalities by name, and `num_frames` at frame level.
        partner: (batch,) whole numbers: with which video of the batch.
        share: (batch,) λ.

    Returns:
        The same entries. A frame that only one of the two has stays as it is; the blend has the longer one's frames.
    """
    others = {name: ops.take(values, partner, axis=0) for name, values in inputs.items()}
    blend = {}
    for name, values in inputs.items():
        if name == "num_frames":
            blend[name] = ops.maximum(values, others[name])
            continue
        one, other = ops.cast(values, "float32"), ops.cast(others[name], "float32")
        weight = ops.reshape(share, (-1,) + (1,) * (len(values.shape) - 1))
        both = weight * one + (1.0 - weight) * other
        if len(values.shape) == 3:  # what is said once a video has no frames to lack
            mine, theirs = (frame_mask(values, each["num_frames"])[:, :, None] for each in (inputs, others))
            both = ops.where(ops.logical_and(mine, theirs), both, ops.where(mine, one, other))
        blend[name] = ops.cast(ops.round(both) if _is_bytes(values) else both, values.dtype)
    return blend


def without_modalities(inputs, kept):
    """Each video without the modalities that are dropped from it.

    Args:
        inputs: As for `mixed`.
        kept: Modality → (batch,) bool. Where a video would keep none, it keeps all.
    """
    none = ops.logical_not(ops.any(ops.stack(list(kept.values())), axis=0))
    left = dict(inputs)
    for name, keep in kept.items():
        values = inputs[name]
        keep = ops.reshape(ops.logical_or(keep, none), (-1,) + (1,) * (len(values.shape) - 1))
        nothing = NOTHING["uint8" if _is_bytes(values) else "float32"]
        left[name] = ops.where(keep, values, ops.cast(nothing, values.dtype))
    return left


def _is_bytes(values):
    return keras.backend.standardize_dtype(values.dtype) == "uint8"


class Teacher(NamedTuple):
    """A model of the learner's inputs and classes, and its share of the soft labels."""

    model: keras.Model
    share: float


class Learner(keras.Model):
    """A model as it is trained under a profile's tricks; the weights are the model's own.

    Args:
        model: A model of `build`.
        label_smoothing, mixup, modality_dropout, teaching: As in `Profile`.
        teachers: Whose scores, together, are the soft labels.
        seed: Of what is drawn.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        label_smoothing: float,
        mixup: float,
        modality_dropout: float,
        teachers: Sequence[Teacher],
        teaching: float,
        seed: int,
    ):
        super().__init__(name=f"{model.name}_learner")
        self.learned = training_model(model)
        self.label_smoothing, self.mixup, self.modality_dropout = label_smoothing, mixup, modality_dropout
        self.teachers, self.teaching = list(teachers), teaching
        for teacher in self.teachers:
            teacher.model.trainable = False
        self.draws = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs, training=False):
        """The scores; in training a dict of them and of what the labels must follow."""
        if not training:
            return self.learned(inputs, training=False)
        told = {}
        videos = ops.shape(next(iter(inputs.values())))[0]
        if self.mixup:
            share = keras.random.beta((videos,), self.mixup, self.mixup, seed=self.draws)
            share = ops.maximum(share, 1.0 - share)
            partner = keras.random.shuffle(ops.arange(videos), seed=self.draws)
            inputs, told = mixed(inputs, partner, share), {"share": share, "partner": partner}
        if self.teachers:
            told["soft"] = sum(
                teacher.share * ops.cast(teacher.model(inputs, training=False), "float32")
                for teacher in self.teachers
            )
        modalities = [name for name in inputs if name != "num_frames"]
        if self.modality_dropout and len(modalities) > 1:
            kept = {
                name: keras.random.uniform((videos,), seed=self.draws) >= self.modality_dropout
                for name in sorted(modalities)
            }
            inputs = without_modalities(inputs, kept)
        return {"scores": self.learned(inputs, training=True), **told}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The compiled loss against the labels as they are told."""
        if not isinstance(y_pred, dict):
            y_pred = {"scores": y_pred}
        scores, labels = y_pred["scores"], ops.cast(y, "float32")
        if "share" in y_pred:
            share = y_pred["share"][:, None]
            labels = share * labels + (1.0 - share) * ops.take(labels, y_pred["partner"], axis=0)
        if "soft" in y_pred:
            labels = (1.0 - self.teaching) * labels + self.teaching * y_pred["soft"]
        if self.label_smoothing:
            labels = smoothed(labels, self.label_smoothing)
        if len(scores.shape) == 3:  # copies or stages, each of which learns by itself
            labels = labels[:, None, :]
        return super().compute_loss(x=x, y=labels, y_pred=scores, sample_weight=sample_weight)


def learner(
    model: keras.Model, profile: Profile, *, seed: int, teachers: Sequence[Teacher] = ()
) -> keras.Model:
    """The model as a profile trains it: itself, where the profile and the model ask for nothing more.

    Args:
        model: A model of `build`.
        profile: Its tricks.
        seed: Of what is drawn.
        teachers: See `Learner`.
    """
    tricks = {
        "label_smoothing": profile.label_smoothing,
        "mixup": profile.mixup,
        "modality_dropout": profile.modality_dropout,
    }
    if not any(tricks.values()) and not teachers and training_model(model) is model:
        return model
    return Learner(model, **tricks, teachers=teachers, teaching=profile.teaching, seed=seed)
