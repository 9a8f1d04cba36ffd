"""What is beyond the ladder: each rung in one group, and each with a rung below it."""

import pytest

from dmlkit.errors import UsageError
from dmlkit.experiments import (
    BEYOND,
    EXPERIMENTS,
    GROUPS,
    LADDER,
    VIDEO_LADDER,
    Experiment,
    baseline_of,
    baselines_for,
    beyond_for,
    ladder_for,
    not_applicable_reason,
)
from dmlkit.experiments.groups import BASELINES
from dmlkit.experiments.tricks import trick_ablations

BOTH = ("rgb", "audio")


def test_each_rung_is_in_one_group_of_one_level_at_least():
    by_group = {group: {**beyond_for("frame", group), **beyond_for("video", group)} for group in GROUPS}
    names = [name for rungs in by_group.values() for name in rungs]
    assert len(names) == len(set(names))
    assert set(names) == {name for name, rung in EXPERIMENTS.items() if rung.chapter == "beyond"}
    assert set(BEYOND) <= set(names) and "netvlad-gated" in by_group["poolings"]


def test_recipes_are_those_made_for_the_level():
    assert "yt8m-best" in beyond_for("video", "recipes") and "yt8m-best" not in beyond_for("frame")
    for name in ("audioset-best", "audioset-kernel", "audioset-ensemble"):
        assert name in beyond_for("frame", "recipes") and name not in beyond_for("video")


def test_groups_are_named_in_any_number_and_a_miss_is_told():
    both = beyond_for("frame", "encoders", "poolings")
    assert list(both) == [*beyond_for("frame", "encoders"), *beyond_for("frame", "poolings")]
    with pytest.raises(UsageError, match="Did you mean 'poolings'"):
        beyond_for("frame", "pooling")


def test_every_rung_that_is_trained_and_reads_something_has_one_below_it():
    trained = {name for name, rung in {**LADDER, **VIDEO_LADDER}.items() if isinstance(rung, Experiment)}
    beyond = {**beyond_for("frame"), **beyond_for("video")}
    for name in {*trained, *(name for name, rung in beyond.items() if isinstance(rung, Experiment))} - {"lr"}:
        assert baseline_of(name) in EXPERIMENTS, name
        seen = [name]
        while baseline_of(seen[-1]):  # down to the first rung, and round in no circle
            assert baseline_of(seen[-1]) not in seen
            seen.append(baseline_of(seen[-1]))
        assert seen[-1] == "lr"
    assert baseline_of("attention-checkpoints") == "attention-cyclic"
    assert baseline_of("lr") is None and baseline_of("a rung of my own") is None


def test_a_step_changes_one_thing():
    told = {
        "netrvlad-gated": {"pooling"},
        "soft-bag-gated": {"pooling"},
        "netvlad": {"pooling", "pooled_units"},
        "transformer": {"encoder"},
        "sru": {"encoder"},
        "multi-head-attention": {"pooling"},
        "attention-mixup": {"trick"},
    }
    for name, changed in told.items():
        one, other = EXPERIMENTS[name].to_record(), EXPERIMENTS[baseline_of(name)].to_record()
        differ = {key for key in one if one[key] != other[key]}
        assert differ - {"name", "title", "chapter", "paper_gap"} == changed, name


@pytest.mark.parametrize("level", ["frame", "video"])
def test_what_they_stand_against_is_the_ladder_of_the_level(level):
    bases = baselines_for(level, modalities=BOTH)
    assert set(bases) <= set(ladder_for(level))
    assert all(not_applicable_reason(rung, level=level, modalities=BOTH) is None for rung in bases.values())
    assert {baseline_of(name) for name in trick_ablations(level)} <= set(bases)
    assert not set(bases) & set(beyond_for(level))
    assert set(BASELINES.values()) <= set(EXPERIMENTS)
