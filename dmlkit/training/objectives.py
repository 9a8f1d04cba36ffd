"""Loss, optimizer, learning rates, augmentations, soft labels; kernel ridge regression.

Everything random happens within the training step, by a seed generator whose state is a Keras variable: a checkpoint
holds it, and a resumed training samples as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import scipy.linalg
from keras import ops

from dmlkit.data.schema import ZERO_BYTE
from dmlkit.errors import DataError, UsageError
from dmlkit.models import KernelFeatures, copies_of, frame_mask, training_model
from dmlkit.profiles import Profile

Teachers = Sequence[tuple[keras.Model, float]]

# --- Learning rate schedules ---


@dataclass(eq=False)
class TwoStageStaircase(keras.optimizers.schedules.LearningRateSchedule):
    """Multiply the learning rate by `decay` every `first` examples and, once converged, every `then` examples.

    Paper: §Optimization (95 % after 4,000,000, and after 40,000 once the loss nearly converges; the
    starter code counts examples).
    """

    learning_rate: float  # the initial one
    decay: float
    first: float
    then: float
    converged_after: float  # examples
    batch_size: int  # examples in a step of the optimizer

    def __call__(self, step):
        """The learning rate at a step of the optimizer."""
        examples = ops.cast(step, "float32") * self.batch_size
        before = ops.minimum(examples, self.converged_after)
        after = ops.maximum(examples - self.converged_after, 0.0)
        steps = ops.floor(before / self.first) + ops.floor(after / self.then)
        return self.learning_rate * ops.power(self.decay, steps)


@dataclass(eq=False)
class CosineCycles(keras.optimizers.schedules.LearningRateSchedule):
    """From `learning_rate` to 0 along half a cosine, restarted in each further cycle.

    Keras's `CosineDecayRestarts` for cycles that need not be equally long, so that each can end with an epoch.

    Differs from the paper, which has the staircase: Loshchilov and Hutter, SGDR (2017).
    """

    learning_rate: float  # at the start of each cycle
    ends: Sequence[int]  # the steps of the optimizer at which the cycles end
    warm_up: int  # steps of linear warm-up in the first cycle, the first of them at 1 / `warm_up` of the rate

    def __call__(self, step):
        """The learning rate at a step of the optimizer."""
        ends = ops.convert_to_tensor(self.ends, dtype="float32")
        starts = ops.concatenate([ops.zeros((1,)), ends[:-1]])
        step = ops.cast(step, "float32")
        cycle = ops.sum(ops.cast(step >= ends[:-1], "int32"))
        progress = (step - ops.take(starts, cycle)) / (ops.take(ends, cycle) - ops.take(starts, cycle))
        cosine = 0.5 * (1.0 + ops.cos(math.pi * ops.minimum(progress, 1.0)))
        warm_up = ops.minimum((step + 1.0) / self.warm_up, 1.0) if self.warm_up else 1.0
        return self.learning_rate * cosine * warm_up


def learning_rate_schedule(profile: Profile, *, videos: int):
    """The schedule a profile names, for a number of training videos.

    `staircase` is the paper's; its shares of the budget (numbers up to 1) become examples. `cosine` rises linearly
    from the first step on, then falls to 0 along half a cosine; `cyclic` are `Profile.cycles` cosines of whole epochs.
    """
    rate, epochs = profile.learning_rate, profile.epochs
    steps = math.ceil(videos / profile.batch_size)  # of an epoch
    if profile.schedule == "cosine":
        # The rise starts above 0, so that the first step changes the weights.
        warm_up = max(1, round(profile.warm_up * (steps * epochs)))
        rise = {"warmup_target": rate, "warmup_steps": warm_up - 1}
        return keras.optimizers.schedules.CosineDecay(rate / warm_up, steps * epochs - warm_up + 1, **rise)
    if profile.schedule == "cyclic":
        ends, warm_up = [epoch * steps for epoch in profile.cycle_ends], profile.warm_up * steps * epochs
        return CosineCycles(rate, ends, warm_up=round(warm_up))
    first, then, converged_after = (
        max(1.0, count * (videos * epochs) if count <= 1 else count)
        for count in (*profile.decay_examples, profile.converged_after)
    )
    return TwoStageStaircase(rate, profile.decay, first, then, converged_after, profile.batch_size)


# --- Averaged weights ---


class AveragingAdam(keras.optimizers.Adam):
    """Adam whose moving averages do not replace the weights when `fit` ends: the next epoch starts from the weights."""

    def finalize_variable_values(self, var_list):
        """Leave the weights as they are, whether or not the training was stopped in between."""


@contextmanager
def averaged_weights(learner: keras.Model) -> Iterator[None]:
    """Within, the weights are their exponential moving averages, where the optimizer keeps any.

    The statistics of a batch normalization are averages by themselves, and stay what they are.
    """
    # Under mixed_float16 Keras wraps the optimizer, to scale the loss.
    optimizer = getattr(learner.optimizer, "inner_optimizer", learner.optimizer)
    if not optimizer.use_ema:
        yield
        return
    variables = learner.trainable_variables
    weights = [np.array(variable) for variable in variables]
    keras.optimizers.Adam.finalize_variable_values(optimizer, variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)


# --- Segments ---


class RatedCrossEntropy(keras.losses.Loss):
    """Binary cross-entropy of (segments, classes), the mean over the pairs of weight 1, in nats.

    The weights are the batch's `rated`: what nobody has rated is neither present nor absent, and has no gradient. Of
    models with copies or stages, (segments, copies, classes).
    """

    def __init__(self):
        super().__init__(name="rated_cross_entropy", reduction="mean_with_sample_weight")

    def call(self, y_true, y_pred):
        """The cross-entropy of each pair."""
        labels = ops.broadcast_to(ops.cast(y_true, "float32"), ops.shape(y_pred))
        return keras.losses.binary_crossentropy(labels[..., None], y_pred[..., None])


# --- Augmentations and soft labels ---


def smooth_labels(labels, share):
    """ε = `share`: y (batch, classes) becomes (1 - ε) y + ε mean(y), so that a video keeps as many labels as it had."""
    return labels * (1.0 - share) + share * ops.mean(labels, axis=-1, keepdims=True)


def mixup(inputs, partner, share):
    """Blend each video with its partner (batch,) of the batch, keeping its share λ (batch,) of itself.

    A frame that only one of the two has stays as it is; the blend has the longer one's frames.
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
        if len(values.shape) == 3:  # (batch, frames, size)
            mine, theirs = (frame_mask(values, each["num_frames"])[:, :, None] for each in (inputs, others))
            both = ops.where(ops.logical_and(mine, theirs), both, ops.where(mine, one, other))
        blend[name] = ops.cast(ops.round(both) if _is_quantized(values) else both, values.dtype)
    return blend


def drop_modalities(inputs, kept):
    """Set each modality to zero where it is not kept (batch,) bool; a video that would keep none keeps all."""
    none = ops.logical_not(ops.any(ops.stack(list(kept.values())), axis=0))
    result = dict(inputs)
    for name, keep in kept.items():
        values = inputs[name]
        keep = ops.reshape(ops.logical_or(keep, none), (-1,) + (1,) * (len(values.shape) - 1))
        zero = ops.cast(ZERO_BYTE if _is_quantized(values) else 0, values.dtype)
        result[name] = ops.where(keep, values, zero)
    return result


def _is_quantized(values):
    return keras.backend.standardize_dtype(values.dtype) == "uint8"


class Learner(keras.Model):
    """A model under training with augmentations and the teachers' soft labels; the weights are the model's own.

    A teacher is a model of the same inputs and classes, and its share of the soft labels.
    """

    def __init__(self, model: keras.Model, profile: Profile, *, teachers: Teachers, seed: int):
        super().__init__(name=f"{model.name}_learner")
        self.student, self.copies = training_model(model), len(copies_of(model))
        self.profile, self.teachers = profile, list(teachers)
        for teacher, _ in self.teachers:
            teacher.trainable = False
        self.seeds = keras.random.SeedGenerator(seed)
        self.built = True

    @property
    def losses(self) -> list:
        """The losses that the student's layers add and its weight penalties, as means over the copies.

        The cross-entropy is such a mean, too: n equal copies have the loss of one.
        """
        return [loss / self.copies for loss in self.student.losses]

    @property
    def techniques(self) -> list[str]:
        """The techniques beyond a plain training step, by their names in experiments and profiles."""
        used = {"copies": len(self.student.output.shape) == 3, "teachers": self.teachers}  # copies or stages
        fields = ("mixup", "label_smoothing", "modality_dropout")
        used |= {name: getattr(self.profile, name) for name in fields}
        return [name for name, value in used.items() if value]

    def call(self, inputs, training=False):
        """The scores; in training a dict of the scores and of what changes the labels."""
        if not training:
            return self.student(inputs, training=False)
        targets = {}
        videos = ops.shape(next(iter(inputs.values())))[0]
        if alpha := self.profile.mixup:
            share = keras.random.beta((videos,), alpha, alpha, seed=self.seeds)
            share = ops.maximum(share, 1.0 - share)
            partner = keras.random.shuffle(ops.arange(videos), seed=self.seeds)
            inputs, targets = mixup(inputs, partner, share), {"share": share, "partner": partner}
        if self.teachers:
            targets["soft"] = sum(
                share * ops.cast(teacher(inputs, training=False), "float32")
                for teacher, share in self.teachers
            )
        modalities = [name for name in inputs if name != "num_frames"]
        if self.profile.modality_dropout and len(modalities) > 1:
            kept = {
                name: keras.random.uniform((videos,), seed=self.seeds) >= self.profile.modality_dropout
                for name in sorted(modalities)
            }
            inputs = drop_modalities(inputs, kept)
        return {"scores": self.student(inputs, training=True), **targets}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The compiled loss against the mixed, soft and smoothed labels."""
        if not isinstance(y_pred, dict):
            y_pred = {"scores": y_pred}
        scores, labels = y_pred["scores"], ops.cast(y, "float32")
        if "share" in y_pred:
            share = y_pred["share"][:, None]
            labels = share * labels + (1.0 - share) * ops.take(labels, y_pred["partner"], axis=0)
        if "soft" in y_pred:
            labels = (1.0 - self.profile.teaching) * labels + self.profile.teaching * y_pred["soft"]
        if self.profile.label_smoothing:
            labels = smooth_labels(labels, self.profile.label_smoothing)
        if len(scores.shape) == 3:  # (batch, copies or stages, classes), each with a loss of its own
            labels = labels[:, None, :]
            if sample_weight is not None:  # rated pairs, which each of them follows
                sample_weight = ops.broadcast_to(sample_weight[:, None, :], ops.shape(scores))
        return super().compute_loss(x=x, y=labels, y_pred=scores, sample_weight=sample_weight)


def learner_for(model: keras.Model, profile: Profile, *, seed: int, teachers: Teachers = ()) -> keras.Model:
    """The model to fit under this profile: a `Learner` where it needs one, else the model itself."""
    learner = Learner(model, profile, teachers=teachers, seed=seed)
    return learner if learner.techniques else model


# --- Kernel ridge regression ---

# s below. It does not change the ranking; this value gives scores about as confident as a trained layer's.
STEEPNESS = 10.0
BLOCK = 512  # rows of the kernel matrix that are computed at once


def kernel_layers(model: keras.Model) -> tuple[KernelFeatures, keras.layers.Dense]:
    """The kernel and the last layer of a kernel machine."""
    kernels, last = [each for each in model.layers if isinstance(each, KernelFeatures)], model.layers[-1]
    fits = len(kernels) == 1 and isinstance(last, keras.layers.Dense) and len(model.output.shape) == 2
    if not fits or last.kernel.shape[0] != kernels[0].num_centres:
        raise UsageError(
            "A ridge solves the last layer of a model with encoder 'kernel', classifier 'logistic' and one copy. "
            "For other models leave it at 0."
        )
    return kernels[0], last


def fit_kernel_ridge(model: keras.Model, examples: Iterable[Mapping], *, ridge: float) -> float:
    """Set centres and last layer of a kernel machine in closed form; the mean squared error, summed over the classes.

        score(x) = σ(b + Σ_i w_i exp(-γ |x - x_i|²)),   (K + λ I) w = s y,   b = -s / 2

    The x_i are the first training videos; surplus centres get weight 0. λ is `ridge`. `examples` are read twice.
    """
    kernel, last = kernel_layers(model)
    features = keras.Model(model.input, kernel.input)
    most = kernel.num_centres
    _kernel_inputs(examples, features, most, training=True)  # for the running statistics of the normalization
    videos, labels = _kernel_inputs(examples, features, most, training=False)
    count = len(videos)
    surplus = ((0, most - count), (0, 0))  # of the centres
    kernel.centres.assign(np.pad(videos, surplus))

    # In float64: a small ridge is lost in float32's rounding. In place: the matrix may be gigabytes.
    matrix = np.empty((count, count), np.float64)
    for start in range(0, count, BLOCK):
        rows = slice(start, start + BLOCK)
        matrix[rows] = np.asarray(kernel(videos[rows]))[:, :count]
    matrix.flat[:: count + 1] += ridge
    try:
        factor = scipy.linalg.cho_factor(matrix.T, lower=True, overwrite_a=True)
        solution = scipy.linalg.cho_solve(factor, labels.astype(np.float64), overwrite_b=True)
    except (np.linalg.LinAlgError, ValueError) as error:
        raise DataError(
            f"The kernel's system of {count:,} videos has no finite solution under ridge={ridge} ({error}). "
            "Choose a larger one."
        ) from error
    solution = solution.astype(np.float32)
    last.kernel.assign(np.pad(STEEPNESS * solution, surplus))
    last.bias.assign(np.full(last.bias.shape, -STEEPNESS / 2, np.float32))
    # The residual of a label is λ times its video's weight.
    return ridge**2 * float(np.vdot(solution, solution)) / count


def _kernel_inputs(examples, features: keras.Model, most: int, *, training: bool) -> tuple:
    """The kernel's inputs and the labels of the first `most` videos."""
    videos, labels, read = [], [], 0
    for batch in examples:
        inputs = {name: batch[name] for name in features.input}
        videos.append(np.asarray(features(inputs, training=training), np.float32))
        labels.append(np.asarray(batch["labels"], bool))
        read += len(labels[-1])
        if read >= most:
            break
    return np.concatenate(videos)[:most], np.concatenate(labels)[:most]
