"""Experiments: the paper's rows, groups and baselines beyond them, tricks, and which data can serve which."""

from dataclasses import asdict, replace

import pytest

from dmlkit.errors import UsageError
from dmlkit.experiments import (
    ABLATIONS,
    BASELINES,
    BASES,
    BEYOND,
    EXPERIMENTS,
    GROUPS,
    LADDER,
    TRICK_ABLATIONS,
    TRICKS,
    VIDEO_LADDER,
    Experiment,
    ablations_for,
    baseline_of,
    baselines_for,
    beyond_for,
    find,
    fusion_variants,
    ladder_for,
    not_applicable_reason,
    trick_ablations,
)
from dmlkit.profiles import PROFILES, RECIPES

BOTH = ("rgb", "audio")


def test_the_papers_nine_rows_in_its_order():
    assert list(LADDER) == [
        "lr", "lstm", "bi-lstm", "bi-gru-concat", "bi-gru-shared-space", "bi-gru-projection", "attention",
        "ensemble-lr-lstm", "netvlad-gated",
    ]  # fmt: skip
    paper = [0.70727, 0.79903, 0.80597, 0.84022, 0.01106, 0.01684, 0.81415, 0.81891, 0.84967]
    assert [each.paper_gap for each in LADDER.values()] == paper
    assert all(name == each.name for name, each in EXPERIMENTS.items())


def test_a_record_is_read_again_and_an_unknown_field_is_an_error():
    own = replace(LADDER["lr"], trick="distilled", teachers=("lstm", "bi-lstm"))
    assert Experiment.from_record(own.to_record()) == own
    with pytest.raises(TypeError, match="colour"):
        Experiment.from_record(own.to_record() | {"colour": "red"})
    with pytest.raises(UsageError, match="Did you mean 'attention'"):
        find("atention")


def test_each_experiment_beyond_is_in_one_group():
    by_group = {group: {**beyond_for("frame", group), **beyond_for("video", group)} for group in GROUPS}
    names = [name for table in by_group.values() for name in table]
    assert len(names) == len(set(names)) and set(BEYOND) <= set(names)
    assert set(names) == {name for name, each in EXPERIMENTS.items() if each.chapter == "beyond"}
    assert {name for level in ("frame", "video") for name in beyond_for(level, "recipes")} == {
        name for name in BEYOND if name.startswith(("yt8m", "audioset"))
    }
    assert "yt8m-best" not in beyond_for("frame") and "audioset-kernel" not in beyond_for("video")
    both = beyond_for("frame", "encoders", "poolings")
    assert list(both) == [*beyond_for("frame", "encoders"), *beyond_for("frame", "poolings")]
    with pytest.raises(UsageError, match="Did you mean 'poolings'"):
        beyond_for("frame", "pooling")


def test_every_experiment_has_a_baseline_down_to_logistic_regression():
    tables = (LADDER, VIDEO_LADDER, ABLATIONS, beyond_for("frame"), beyond_for("video"))
    names = {name for table in tables for name, each in table.items() if isinstance(each, Experiment)}
    for name in names - {"lr"}:
        seen = [name]
        while below := baseline_of(seen[-1]):
            assert below not in seen and below in EXPERIMENTS
            seen.append(below)
        assert len(seen) > 1 and seen[-1] == "lr", name
    assert baseline_of("attention-checkpoints") == "attention-cyclic"
    assert baseline_of("lr") is None and baseline_of("unknown") is None
    assert set(BASELINES.values()) <= set(EXPERIMENTS)


def test_a_step_changes_one_thing():
    for name, changed in {
        "netrvlad-gated": {"pooling"},
        "netvlad": {"pooling", "pooled_units"},
        "transformer": {"encoder"},
        "multi-head-attention": {"pooling"},
        "attention-mixup": {"trick"},
        "lr-no-norm": {"normalization"},
    }.items():
        one, other = find(name).to_record(), find(baseline_of(name)).to_record()
        differing = {key for key in one if one[key] != other[key]}
        assert differing - {"name", "title", "chapter", "paper_gap"} == changed, name


@pytest.mark.parametrize("level", ["frame", "video"])
def test_baselines_are_applicable_rows_of_the_ladder(level):
    baselines = baselines_for(level, modalities=BOTH)
    assert set(baselines) <= set(ladder_for(level)) - set(beyond_for(level))
    for each in baselines.values():
        assert not_applicable_reason(each, level=level, modalities=BOTH) is None
    assert {baseline_of(name) for name in trick_ablations(level)} <= set(baselines)


def test_a_trick_changes_its_base_by_its_row_alone():
    for level, base in BASES.items():
        served = [name for name in TRICKS if (level, name) != ("video", "random-frames")]
        assert list(trick_ablations(level)) == [f"{base.name}-{name}" for name in served]
        for each in trick_ablations(level).values():
            row = TRICKS[each.trick]
            differing = {name for name, value in asdict(each).items() if value != asdict(base)[name]}
            expected = {"name", "title", "trick", *(["teachers"] if row.teachers else [])}
            assert differing - {"chapter", "paper_gap"} == expected
            assert bool(row.teachers) != bool(row.changes) and EXPERIMENTS[each.name] == each
    assert len(TRICK_ABLATIONS) == 2 * len(TRICKS) - 1


def test_what_data_cannot_serve_and_why():
    vector = "frames, and this data set holds one vector a video"
    one = "modalities, and this data set has one only (audio)"
    for experiment, level, modalities, reason in (
        (find("lstm"), "video", BOTH, f"it reads {vector}"),
        (find("netvlad"), "video", BOTH, f"it weighs {vector}"),
        (find("class-attention"), "video", BOTH, f"it weighs {vector}"),
        (replace(find("lr"), trick="random-frames"), "video", BOTH, f"it samples {vector}"),
        (find("ensemble-lr-lstm"), "video", BOTH, f"it reads {vector}"),
        (find("bi-gru-projection"), "frame", ("audio",), f"it fuses {one}"),
        (find("bi-gru-late"), "frame", ("audio",), f"it fuses {one}"),
        (find("attention-modality-dropout"), "frame", ("audio",), f"it drops {one}"),
        (
            replace(find("lr"), teachers=("lstm",)),
            "video",
            BOTH,
            f"its teacher lstm cannot be trained: it reads {vector}",
        ),
        (find("attention"), "frame", ("audio",), None),
        (find("hidden-concat-distilled"), "video", BOTH, None),
        (find("yt8m-ensemble"), "video", BOTH, None),
    ):
        assert not_applicable_reason(experiment, level=level, modalities=modalities) == reason


def test_small_profiles_train_few_ablations_and_the_full_ones_all():
    chapters = {each.chapter for each in ABLATIONS.values()}
    few, every = (
        [each.name for chapter in chapters for each in ablations_for(chapter, PROFILES[profile])]
        for profile in ("demo", "full")
    )
    assert set(few) < set(every) and sorted(every) == sorted(ABLATIONS)


@pytest.mark.parametrize("ladder", [LADDER, VIDEO_LADDER], ids=["frame", "video"])
def test_a_variant_of_a_fusion_changes_one_thing(ladder):
    few, every = (fusion_variants(ladder, PROFILES[profile]) for profile in ("demo", "paper"))
    assert len(few) == 3 and len(every) == 7 and not set(every) & set(EXPERIMENTS)
    mapped = {each.fusion: each for each in ladder.values() if getattr(each, "fusion", "concat") != "concat"}
    for variant in every.values():
        base = mapped[variant.fusion]
        differing = {name for name, value in asdict(variant).items() if value != asdict(base)[name]}
        assert len(differing - {"name", "title", "paper_gap"}) == 1 and variant.paper_gap is None
        assert baseline_of(variant.name) == base.name


def test_a_recipe_is_the_profile_of_one_experiment():
    recipes = [each.recipe for each in EXPERIMENTS.values() if getattr(each, "recipe", None)]
    assert sorted(recipes) == sorted(RECIPES) and not set(RECIPES) & set(PROFILES)
    for name, recipe in RECIPES.items():
        assert find(name).recipe == recipe.name == name
