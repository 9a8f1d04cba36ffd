"""Profiles: which values are refused and how the error names them; tables that must agree with other tables."""

from dataclasses import fields, replace

import pytest

from dmlkit.data import FRAME_CHOICES
from dmlkit.errors import UsageError
from dmlkit.experiments import EXPERIMENTS, TRICKS, find, trick_ablations
from dmlkit.models import NORMALIZATIONS
from dmlkit.profiles import (
    PROFILES,
    RECIPES,
    SETTABLE,
    SMOKE,
    Profile,
    as_profile,
    describe_settings,
    profile_for,
)


def test_the_names_a_field_takes_are_those_of_the_tables():
    for field, table in (("normalization", NORMALIZATIONS), ("frame_choice", FRAME_CHOICES)):
        for name in table:
            assert getattr(replace(SMOKE, **{field: name}), field) == name


def test_settings_are_described_by_what_a_profile_refuses():
    described = describe_settings(SMOKE)
    assert list(described) == list(SETTABLE) and described["ema"] == ("number, >= 0, < 1", "0.0")
    assert described["max_tuning_videos"] == ("integer, >= 1, or none", "100")
    assert described["decay_examples"] == ("2 × number, > 0", "0.5,0.025")
    assert described["schedule"] == ("staircase, cosine, cyclic", "staircase")
    smoke = replace(SMOKE, max_train_videos=None, epochs=8)
    assert repr(smoke).startswith("Profile(name='smoke', purpose='seconds") and "epochs=8" in repr(smoke)
    assert repr(smoke).endswith("max_frames=10, max_tuning_videos=100, max_validate_videos=200)")


def test_a_value_that_makes_no_sense_is_named():
    for settings, message in (
        ({"units": 0}, r"units must be greater than or equal to 1\. Received: units=0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number"),
        ({"schedule": "cosin"}, "must be 'staircase', 'cosine' or 'cyclic'.*Did you mean 'cosine'"),
        ({"decay_examples": (0.5, float("nan"))}, "decay_examples must be two numbers"),
        ({"ridge": 0.1, "ema": 0.9}, r"steps that ema could change.*Received: ridge=0\.1, ema=0\.9"),
        ({"checkpoints": 1, "after_tuning": "refit"}, "Choose one"),
        # Patience of 2 may end a training after 3 epochs, and its cycle then ends after 4.
        ({"epochs": 8, "schedule": "cyclic", "cycles": 4, "checkpoints": 3}, "may end after 4 epochs, by when only 2"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message) as error:
            replace(SMOKE, **settings)
        assert "\n" not in str(error.value)
    assert replace(SMOKE, epochs=8, schedule="cyclic", cycles=4, checkpoints=2).checkpoints == 2


def test_unknown_and_missing_fields_and_names():
    with pytest.raises(UsageError, match=r"no field 'mixpu'\. Did you mean 'mixup'"):
        Profile(**SMOKE.to_record(), mixpu=0.4)
    with pytest.raises(UsageError, match="needs a value for 'epochs'"):
        Profile(name="x", purpose="y", units=8)
    with pytest.raises(UsageError, match=r"Unknown profile 'dmo'\. Did you mean 'demo'"):
        as_profile("dmo")


def test_texts_of_numbers_are_numbers():
    given = {"epochs": "3", "learning_rate": "1e-2", "decay_examples": ("0.5", "40000"), "max_frames": None}
    read = replace(SMOKE, **given)
    assert (read.epochs, read.learning_rate, read.decay_examples) == (3, 0.01, (0.5, 40000.0))
    for profile in (PROFILES | RECIPES).values():
        assert Profile(**profile.to_record()) == profile
    assert set(SETTABLE) == {field.name for field in fields(Profile)} - {"name", "purpose"}


def test_a_trick_changes_its_fields_of_any_profile_and_a_recipe_is_the_default():
    for experiment in (trick_ablations("frame") | trick_ablations("video")).values():
        for profile in PROFILES.values():
            plain, changed = profile.to_record(), profile_for(experiment, profile).to_record()
            differing = {name: value for name, value in changed.items() if value != plain[name]}
            assert differing == dict(TRICKS[experiment.trick].changes)
            assert profile_for(experiment, profile_for(experiment, profile)).to_record() == changed
    recipes = {name: each.recipe for name, each in EXPERIMENTS.items() if getattr(each, "recipe", None)}
    assert sorted(recipes.values()) == sorted(RECIPES) and not set(RECIPES) & set(PROFILES)
    for name, recipe in recipes.items():
        assert profile_for(find(name), None) == RECIPES[recipe]
    assert profile_for(find("yt8m-best"), "smoke") == SMOKE and profile_for(find("lr"), None).name == "demo"
