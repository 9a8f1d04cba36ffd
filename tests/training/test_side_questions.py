from dataclasses import replace

import numpy as np
import pytest

from dmlkit.data import open_dataset
from dmlkit.experiments import ABLATIONS, EXPERIMENTS, LADDER, VIDEO_LADDER, Experiment
from dmlkit.experiments.beside import ALWAYS
from dmlkit.models import build
from dmlkit.profiles import PROFILES
from dmlkit.training import Study, ablations_for, fusion_study, fusion_variants
from dmlkit.training.side_questions import projection_distance


def test_the_demo_asks_few_side_questions_and_the_study_all():
    few = [rung.name for chapter in ALWAYS for rung in ablations_for(chapter, PROFILES["demo"])]
    chapters = {rung.chapter for rung in ABLATIONS.values()}
    every = [rung.name for chapter in chapters for rung in ablations_for(chapter, PROFILES["full"])]
    assert set(few) < set(every)
    assert sorted(every) == sorted(ABLATIONS)


def test_a_chapter_asks_its_own_questions():
    for chapter in ALWAYS:
        assert {rung.chapter for rung in ablations_for(chapter, PROFILES["demo"])} == {chapter}


@pytest.mark.parametrize("ladder", [LADDER, VIDEO_LADDER], ids=["frame", "video"])
def test_the_demo_trains_three_variants_at_most(ladder):
    variants = fusion_variants(ladder, PROFILES["demo"])
    assert len(variants) == 3
    assert not set(variants) & set(EXPERIMENTS)
    assert all(variant.paper_gap is None for variant in variants.values())
    assert sorted((v.fusion, v.mapping_initializer, v.alignment_weight) for v in variants.values()) == [
        ("projection", "glorot", 1.0),
        ("projection", "normal", 0.0),
        ("shared_space", "glorot", 1.0),
    ]


def test_a_variant_changes_one_thing():
    for variant in fusion_variants(LADDER, PROFILES["full"]).values():
        rung = LADDER["bi-gru-projection" if variant.fusion == "projection" else "bi-gru-shared-space"]
        same = replace(variant, name=rung.name, title=rung.title, paper_gap=rung.paper_gap)
        changed = [
            name
            for name in ("mapping_initializer", "alignment_weight")
            if getattr(same, name) != getattr(rung, name)
        ]
        assert len(changed) == 1
        assert replace(same, **{changed[0]: getattr(rung, changed[0])}) == rung


@pytest.mark.parametrize("level", ["frame", "video"])
def test_distances_are_those_of_the_equations(level):
    model = build(
        features={"rgb": (4, "float"), "audio": (3, "float")}, level=level, num_classes=2, units=5, layers=1,
        fusion="projection", encoder="bi_gru" if level == "frame" else "none", normalization="none",
    )  # fmt: skip
    rng = np.random.default_rng(0)
    shape = (2, 6) if level == "frame" else (2,)
    batch = {
        name: rng.normal(size=(*shape, size)).astype(np.float32) for name, size in (("rgb", 4), ("audio", 3))
    }
    valid = [batch["rgb"], batch["audio"]]
    if level == "frame":
        batch["num_frames"] = np.array([6, 2], np.int32)
        valid = [np.concatenate([each[0], each[1, :2]]) for each in valid]
    for layer in ("rgb", "audio"):
        model.get_layer(f"fusion_projection_{layer}").set_weights(
            [rng.normal(size=(4 if layer == "rgb" else 3, 5)), rng.normal(size=5)]
        )
    z = [
        values @ kernel + bias
        for values, (kernel, bias) in zip(
            valid,
            (model.get_layer(f"fusion_projection_{name}").get_weights() for name in ("rgb", "audio")),
            strict=True,
        )
    ]
    distance, length = projection_distance(model, batch)
    assert distance == pytest.approx(((z[0] - z[1]) ** 2).sum(axis=1).mean(), rel=1e-5)
    assert length == pytest.approx((z[0] ** 2).sum(axis=1).mean() + (z[1] ** 2).sum(axis=1).mean(), rel=1e-5)


def test_a_study_of_trained_fusions(generated, tmp_path):
    dataset = open_dataset(generated / "video")
    study = Study(dataset, profile="smoke", runs=tmp_path, progress="silent")
    own = Experiment(name="own", title="Own", chapter="fusion", fusion="projection", alignment_weight=0.0)
    runs = study.train("lr", own)
    frame = fusion_study(runs, next(iter(dataset.batches("train", batch_size=32)))).set_index("title")
    assert frame.loc["Logistic regression", "start"] == "none"
    assert np.isnan(
        frame.loc["Logistic regression", ["alignment_weight", "distance", "length", "apart"]].astype(float)
    ).all()
    assert frame.loc["Own", "alignment_weight"] == 0.0
    assert frame.loc["Own", "apart"] == pytest.approx(
        frame.loc["Own", "distance"] / frame.loc["Own", "length"]
    )
    assert frame.loc["Own", "gap"] == runs["own"].gap
