"""What a profile's fields may be, and what of them a run's fingerprint and its record know."""

from dataclasses import fields, replace
from types import SimpleNamespace

import pytest

from dmlkit.data import FRAME_CHOICES
from dmlkit.errors import UsageError
from dmlkit.experiments import LR, Experiment
from dmlkit.models import NORMALIZATIONS
from dmlkit.profiles import CHOICES, PROFILES, RANGES, RECIPES, SMOKE, Profile, positive
from dmlkit.training.provenance import training_fingerprint
from dmlkit.training.objectives import SCHEDULES


def test_the_names_are_those_of_the_tables():
    assert set(CHOICES["normalization"]) == set(NORMALIZATIONS)
    assert set(CHOICES["schedule"]) == set(SCHEDULES)
    assert set(CHOICES["frame_choice"]) == set(FRAME_CHOICES)


def test_every_field_is_checked():
    checked = [*CHOICES, *(name for _, _, names in RANGES for name in names)]
    assert len(checked) == len(set(checked))
    # Words for people.
    assert {field.name for field in fields(Profile)} - set(checked) == {"name", "purpose"}
    for profile in (PROFILES | RECIPES).values():
        assert positive(profile) is profile


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"units": 0}, "units must be at least 1. Received: units=0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"learning_rate": float("inf")}, "learning_rate must be above 0"),
        ({"frame_share": 0.0}, "frame_share must be above 0 and at most 1"),
        ({"max_frames": 0}, "max_frames must be at least 1, or None"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"frame_choice": "randon"}, "Unknown frame choice 'randon'. Did you mean 'random'"),
        ({"cycles": 2}, "belong to the schedule 'cyclic'"),
        ({"schedule": "cyclic", "cycles": 3}, "takes an epoch or more. Received: cycles=3"),
        ({"checkpoints": 3}, "only 2 models could be kept"),
        ({"epochs": 9, "checkpoints": 4}, "may end after 3 epochs"),
        ({"decay_examples": (0.5, float("nan"))}, "decay_examples must be two numbers above 0"),
        ({"ridge": 0.1, "ema": 0.9}, "no steps that ema could change.*Received: ridge=0.1, ema=0.9"),
        ({"ridge": 0.1, "mixup": 0.4, "ema": 0.9}, "no steps that mixup could change"),
    ],
)
def test_what_makes_no_sense_is_named(settings, says):
    with pytest.raises(UsageError, match=says):
        positive(replace(SMOKE, **settings))


def test_a_cyclic_training_ends_with_a_cycle():
    # Patience of 2 is at an end after 3 epochs at the soonest, and the cycle then after 4.
    profile = replace(SMOKE, epochs=8, schedule="cyclic", cycles=4)
    assert profile.moments == profile.cycle_ends == (2, 4, 6, 8)
    assert positive(replace(profile, checkpoints=2))
    with pytest.raises(UsageError, match="may end after 4 epochs, by when only 2"):
        positive(replace(profile, checkpoints=3))


def mark(experiment=LR, profile=SMOKE):
    data = SimpleNamespace(fingerprint="0" * 16)
    return training_fingerprint(
        experiment, data, profile=profile, seed=0, precision="float32", deterministic=False
    )


def test_fields_that_came_later_tell_runs_apart_only_where_they_are_used(monkeypatch):
    used = [
        mark(replace(LR, trick="mixup")),
        mark(replace(LR, teachers=("lstm",))),
        mark(profile=replace(SMOKE, cycles=2)),
        mark(profile=replace(SMOKE, checkpoints=1)),
        mark(profile=replace(SMOKE, frame_share=0.5)),
    ]
    assert len({mark(), *used}) == 6
    # As it was taken before there were these fields.
    old = Experiment.to_record(LR)
    for later in ("trick", "teachers"):
        del old[later]
    monkeypatch.setattr(Experiment, "to_record", lambda self: old)
    settings = SMOKE.to_record()
    for later in ("cycles", "checkpoints", "frame_share"):
        del settings[later]
    monkeypatch.setattr(Profile, "to_record", lambda self: settings)
    before = mark()
    monkeypatch.undo()
    assert mark() == before


def test_a_record_of_before_is_read():
    record, settings = LR.to_record(), SMOKE.to_record()
    del (
        record["trick"],
        record["teachers"],
        settings["cycles"],
        settings["checkpoints"],
        settings["frame_share"],
    )
    assert Experiment.from_record(record) == LR and Profile.from_record(settings) == SMOKE
    taught = replace(LR, trick="distilled", teachers=("lstm", "bi-lstm"))
    assert Experiment.from_record(taught.to_record()) == taught
