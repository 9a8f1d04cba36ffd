"""From an experiment, a profile and a data set to a model."""

from __future__ import annotations

from dataclasses import replace

import keras

from dmlkit.errors import UsageError, choose
from dmlkit.experiments import TRICKS, Ensemble, Experiment, Missing, find, not_applicable_reason
from dmlkit.models import build
from dmlkit.profiles import PROFILES, RECIPES, Profile, positive


def as_profile(profile: str | Profile) -> Profile:
    """The profile of this name, or the profile itself, checked."""
    return positive(
        choose(PROFILES | RECIPES, profile, what="profile") if isinstance(profile, str) else profile
    )


def profile_for(experiment: Experiment, profile: str | Profile | None) -> Profile:
    """The conditions an experiment is trained under.

    Args:
        experiment: Its trick changes the profile, whichever it is.
        profile: The one that is asked for; where None, the experiment's own recipe; where it has none, `demo`.
    """
    given = as_profile(profile or experiment.recipe or "demo")
    if experiment.trick is None:
        return given
    return positive(replace(given, **choose(TRICKS, experiment.trick, what="trick").changes))


def as_experiment(experiment: str | Experiment) -> Experiment:
    """The experiment of this name, or the experiment itself.

    Raises:
        UsageError: It is no experiment: an ensemble, or a row that is missing.
    """
    rung = find(experiment) if isinstance(experiment, str) else experiment
    if isinstance(rung, Ensemble):
        raise UsageError(
            f"{rung.name} is an ensemble of {', '.join(rung.members)}: train those, then use `dmlkit ensemble`."
        )
    if isinstance(rung, Missing):
        raise UsageError(f"{rung.name} cannot be trained: {rung.reason}.")
    return rung


def build_model(
    experiment: str | Experiment,
    dataset,
    *,
    profile: str | Profile | None = None,
    precision: str | None = None,
) -> keras.Model:
    """The experiment's model for a data set, untrained.

    Args:
        experiment: An `Experiment`, or the name of one.
        dataset: What `open_dataset` gives.
        profile: Sizes and input normalisation where the experiment names none of its own; None takes the
            experiment's recipe, or `demo`.
        precision: A name in `dmlkit.models.PRECISIONS`; None takes the policy set in Keras.

    Raises:
        UsageError: The data set cannot serve the experiment.
    """
    experiment = as_experiment(experiment)
    profile = profile_for(experiment, profile)
    if reason := not_applicable_reason(experiment, level=dataset.level, modalities=tuple(dataset.features)):
        raise UsageError(f"{experiment.name} cannot be trained on {dataset.name}: {reason}.")
    return build(
        features={name: (feature.size, feature.coding) for name, feature in dataset.features.items()},
        level=dataset.level,
        num_classes=dataset.num_classes,
        normalization=experiment.normalization or profile.normalization,
        fusion=experiment.fusion,
        fusion_stage=experiment.fusion_stage,
        alignment_weight=experiment.alignment_weight,
        mapping_initializer=experiment.mapping_initializer,
        encoder=experiment.encoder,
        units=experiment.units or profile.units,
        layers=experiment.layers or profile.layers,
        dropout=profile.dropout,
        input_dropout=profile.input_dropout,
        # One vector a video leaves nothing to pool.
        pooling=experiment.pooling if dataset.level == "frame" else "last",
        classifier=experiment.classifier,
        gate_pooled=experiment.gate_pooled,
        gate_scores=experiment.gate_scores,
        heads=experiment.heads,
        clusters=experiment.clusters,
        pooled_units=experiment.pooled_units,
        copies=experiment.copies,
        precision=precision,
    )
