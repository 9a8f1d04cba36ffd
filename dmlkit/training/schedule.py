"""Learning rates: the paper's staircase of two stages, counted in examples; half a cosine, once or again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

from dmlkit.errors import choose
from dmlkit.profiles import Profile


@keras.saving.register_keras_serializable(package="dmlkit")
class TwoStageStaircase(keras.optimizers.schedules.LearningRateSchedule):
    """Multiply the rate by `decay` every `first` examples and, once converged, every `then` examples.

    Args:
        learning_rate: The rate at the start.
        decay: The factor of a step.
        first: Examples between two steps of the first stage.
        then: Examples between two steps of the second stage.
        converged_after: Examples after which the second stage begins.
        batch_size: Examples in a step of the optimiser.

    Paper: §Optimization (95 % after 4,000,000, and after 40,000 once the loss nearly converges; the
    starter code counts examples).
    """

    def __init__(
        self,
        *,
        learning_rate: float,
        decay: float,
        first: float,
        then: float,
        converged_after: float,
        batch_size: int,
    ):
        self.settings = {
            "learning_rate": learning_rate,
            "decay": decay,
            "first": first,
            "then": then,
            "converged_after": converged_after,
            "batch_size": batch_size,
        }

    def __call__(self, step):
        """The rate at a step of the optimiser."""
        settings = self.settings
        examples = ops.cast(step, "float32") * settings["batch_size"]
        before = ops.minimum(examples, settings["converged_after"])
        after = ops.maximum(examples - settings["converged_after"], 0.0)
        steps = ops.floor(before / settings["first"]) + ops.floor(after / settings["then"])
        return settings["learning_rate"] * ops.power(settings["decay"], steps)

    def get_config(self) -> dict:
        """The settings, for saving."""
        return dict(self.settings)


def staircase(profile: Profile, *, videos: int) -> TwoStageStaircase:
    """The schedule of a profile on a number of training videos; shares of the budget become examples."""
    budget = videos * profile.epochs
    first, then = (_examples(count, budget) for count in profile.decay_examples)
    return TwoStageStaircase(
        learning_rate=profile.learning_rate,
        decay=profile.decay,
        first=first,
        then=then,
        converged_after=_examples(profile.converged_after, budget),
        batch_size=profile.batch_size,
    )


def _examples(count: float, budget: int) -> float:
    return max(1.0, count * budget if count <= 1 else count)


def cosine(profile: Profile, *, videos: int) -> keras.optimizers.schedules.CosineDecay:
    """From 0 up to the profile's rate within its warm-up, then down to 0 along half a cosine by the budget's end.

    Differs from the paper: it has the staircase.
    """
    steps = math.ceil(videos / profile.batch_size) * profile.epochs
    warm = max(1, round(profile.warm_up * steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=profile.learning_rate,
        warmup_steps=warm,
        decay_steps=max(1, steps - warm),
    )


@keras.saving.register_keras_serializable(package="dmlkit")
class CosineCycles(keras.optimizers.schedules.LearningRateSchedule):
    """Down from `learning_rate` to 0 along half a cosine, and again from the top in each further cycle.

    Keras's `CosineDecayRestarts` for cycles that need not be equally long, so that each can end with an epoch.

    Args:
        learning_rate: The rate at the start of each cycle.
        ends: The steps of the optimiser at which the cycles end.
        warm_up: Steps of the first cycle in which the rate rises to its cosine.

    Differs from the paper: it has the staircase. These are the warm restarts of Loshchilov and Hutter, SGDR (2017).
    """

    def __init__(self, *, learning_rate: float, ends: Sequence[int], warm_up: int):
        self.settings = {"learning_rate": learning_rate, "ends": list(ends), "warm_up": warm_up}

    def __call__(self, step):
        """The rate at a step of the optimiser."""
        settings = self.settings
        ends = ops.convert_to_tensor(settings["ends"], dtype="float32")
        starts = ops.concatenate([ops.zeros((1,)), ends[:-1]])
        step = ops.cast(step, "float32")
        cycle = ops.sum(ops.cast(step >= ends[:-1], "int32"))
        along = (step - ops.take(starts, cycle)) / (ops.take(ends, cycle) - ops.take(starts, cycle))
        falling = 0.5 * (1.0 + ops.cos(math.pi * ops.minimum(along, 1.0)))
        risen = ops.minimum(step / settings["warm_up"], 1.0) if settings["warm_up"] else 1.0
        return settings["learning_rate"] * falling * risen

    def get_config(self) -> dict:
        """The settings, for saving."""
        return dict(self.settings)


def cyclic(profile: Profile, *, videos: int) -> CosineCycles:
    """`Profile.cycles` cosines one after the other, each of whole epochs (`Profile.cycle_ends`), the first warmed up.

    The warm-up is a share of the whole budget, as a cosine's is.
    """
    steps = math.ceil(videos / profile.batch_size)
    return CosineCycles(
        learning_rate=profile.learning_rate,
        ends=[epoch * steps for epoch in profile.cycle_ends],
        warm_up=round(profile.warm_up * steps * profile.epochs),
    )


SCHEDULES = {"staircase": staircase, "cosine": cosine, "cyclic": cyclic}
"""Name → function of (profile, *, videos) that returns a schedule of Keras."""


def schedule(profile: Profile, *, videos: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The schedule a profile names, on a number of training videos."""
    return choose(SCHEDULES, profile.schedule, what="schedule")(profile, videos=videos)
