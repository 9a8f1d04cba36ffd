"""Experiments: the paper's rows, groups and baselines beyond them, tricks, and which data can serve which."""

from dataclasses import asdict, replace

import pytest

from dmlkit.errors import UsageError
from dmlkit.experiments import (
    ABLATIONS,
    BEYOND,
    EXPERIMENTS,
    GROUPS,
    LADDER,
    TRICKS,
    VIDEO_LADDER,
    Experiment,
    baseline_of,
    baselines_for,
    beyond_for,
    find,
    fusion_variants,
    not_applicable_reason,
    trick_ablations,
)
from dmlkit.profiles import PROFILES

BOTH = ("rgb", "audio")
LEVELS = ("frame", "video")


def changed(experiment, base):
    """The fields that differ, other than descriptions."""
    one, other = asdict(experiment), asdict(base)
    return {key for key in one if one[key] != other[key]} - {"name", "title", "chapter", "paper_gap"}


def test_the_papers_nine_rows_in_its_order():
    assert list(LADDER) == [
        "lr", "lstm", "bi-lstm", "bi-gru-concat", "bi-gru-shared-space", "bi-gru-projection", "attention",
        "ensemble-lr-lstm", "netvlad-gated",
    ]  # fmt: skip
    paper = [0.70727, 0.79903, 0.80597, 0.84022, 0.01106, 0.01684, 0.81415, 0.81891, 0.84967]
    assert [each.paper_gap for each in LADDER.values()] == paper
    assert all(name == each.name == find(name).name for name, each in EXPERIMENTS.items())
    with pytest.raises(UsageError, match=r"Did you mean 'attention' or .* lists all 71") as error:
        find("atention")
    assert "netvlad" not in str(error.value)
    assert repr(Experiment("a", "A", "b", heads=2)) == "Experiment(name='a', title='A', chapter='b', heads=2)"


def test_each_experiment_beyond_is_in_one_group():
    by_group = {group: {**beyond_for("frame", group), **beyond_for("video", group)} for group in GROUPS}
    names = [name for table in by_group.values() for name in table]
    assert len(names) == len(set(names)) and set(BEYOND) <= set(names)
    assert set(names) == {name for name, each in EXPERIMENTS.items() if each.chapter == "beyond"}
    assert "yt8m-best" not in beyond_for("frame") and "audioset-kernel" not in beyond_for("video")


def test_every_experiment_has_a_baseline_down_to_logistic_regression():
    tables = (LADDER, VIDEO_LADDER, ABLATIONS, beyond_for("frame"), beyond_for("video"))
    names = {name for table in tables for name, each in table.items() if isinstance(each, Experiment)}
    for name in names - {"lr"}:
        seen = [name]
        while below := baseline_of(seen[-1]):
            assert below not in seen and below in EXPERIMENTS
            seen.append(below)
        assert len(seen) > 1 and seen[-1] == "lr", name
    assert baseline_of("attention-checkpoints") == "attention-cyclic" and baseline_of("lr") is None
    for name, fields in {
        "netrvlad-gated": {"pooling"},
        "netvlad": {"pooling", "pooled_units"},
        "attention-mixup": {"trick"},
        "lr-no-norm": {"normalization"},
    }.items():
        assert changed(find(name), find(baseline_of(name))) == fields, name


@pytest.mark.parametrize("level", LEVELS)
def test_a_trick_changes_nothing_else_of_a_baseline(level):
    baselines = baselines_for(level, modalities=BOTH)
    tricks = trick_ablations(level)
    assert {baseline_of(name) for name in tricks} <= set(baselines)
    assert len(tricks) == len(TRICKS) - (level == "video")  # which has no frames to sample
    for each in tricks.values():
        teachers = {"teachers"} if TRICKS[each.trick].teachers else set()
        assert changed(each, find(baseline_of(each.name))) == {"trick"} | teachers


def test_what_data_cannot_serve_and_why():
    vector = "frames, and this data set holds one vector a video"
    one = "modalities, and this data set has one only (audio)"
    lr = find("lr")
    for experiment, level, modalities, reason in (
        (find("lstm"), "video", BOTH, f"it reads {vector}"),
        (find("netvlad"), "video", BOTH, f"it weighs {vector}"),
        (replace(lr, trick="random-frames"), "video", BOTH, f"it samples {vector}"),
        (replace(lr, teachers=("lstm",)), "video", BOTH, f"its teacher lstm cannot be trained: it reads {vector}"),
        (find("bi-gru-projection"), "frame", ("audio",), f"it fuses {one}"),
        (find("attention-modality-dropout"), "frame", ("audio",), f"it drops {one}"),
        (find("attention"), "frame", ("audio",), None),
        (find("yt8m-ensemble"), "video", BOTH, None),
    ):  # fmt: skip
        assert not_applicable_reason(experiment, level=level, modalities=modalities) == reason


@pytest.mark.parametrize("ladder", [LADDER, VIDEO_LADDER], ids=LEVELS)
def test_a_variant_of_a_fusion_changes_one_thing(ladder):
    few, every = (fusion_variants(ladder, PROFILES[profile]) for profile in ("demo", "paper"))
    assert len(few) == 3 and len(every) == 7 and not set(every) & set(EXPERIMENTS)
    for name, variant in every.items():
        base = find(baseline_of(name))
        assert base.name in ladder and base.fusion == variant.fusion != "concat"
        assert len(changed(variant, base)) == 1 and variant.paper_gap is None
