"""The tricks: each rung changes what its row says and nothing else, is trained so, and is scored as its base is."""

from dataclasses import asdict, replace

import numpy as np
import pytest

import dmlkit
from dmlkit.data import Dataset
from dmlkit.experiments import TRICK_ABLATIONS, TRICKS, find, not_applicable_reason, trick_ablations
from dmlkit.experiments.tricks import BASES
from dmlkit.profiles import PROFILES, SMOKE, Profile
from dmlkit.training import Study
from dmlkit.training.provenance import profile_for

TINY = replace(
    SMOKE, max_train_videos=40, max_tuning_videos=20, max_validate_videos=20, max_frames=6, batch_size=20
)
NAMES = {
    "random-frames",
    "modality-dropout",
    "label-smoothing",
    "mixup",
    "ema",
    "cosine",
    "cyclic",
    "class-balance",
    "distilled",
}


def test_every_trick_that_was_asked_for_is_a_rung_by_name_at_the_levels_that_it_can_serve():
    assert set(TRICKS) == NAMES
    for level, base in {"frame": "attention", "video": "hidden-concat"}.items():
        # Of one vector a video no frames can be drawn.
        served = [name for name in TRICKS if (level, name) != ("video", "random-frames")]
        assert list(trick_ablations(level)) == [f"{base}-{name}" for name in served]
        assert all(find(name) == rung for name, rung in trick_ablations(level).items())


@pytest.mark.parametrize(
    ("level", "name"), [(level, name) for level in BASES for name in trick_ablations(level)]
)
def test_a_rung_differs_from_its_base_by_its_row_alone(level, name):
    base, rung = BASES[level], find(name)
    row = TRICKS[rung.trick]
    others = {name for name, value in asdict(rung).items() if value != asdict(base)[name]}
    named = {"name", "title", "trick"} | ({"paper_gap"} if base.paper_gap else set())
    assert others - {"chapter"} == named | ({"teachers"} if row.teachers else set())
    assert rung.teachers == tuple(row.teachers.get(level, ())) and rung.paper_gap is None
    assert bool(row.teachers) != bool(row.changes), "a rung that changes nothing"
    for profile in PROFILES.values():
        plain, changed = (asdict(profile_for(each, profile)) for each in (base, rung))
        assert {name: value for name, value in changed.items() if value != plain[name]} == dict(row.changes)


def test_under_a_recorded_profile_a_trick_is_what_it_was():
    for rung in TRICK_ABLATIONS.values():
        once = profile_for(rung, "smoke")
        assert profile_for(rung, Profile.from_record(once.to_record())) == once


def test_where_a_trick_cannot_apply():
    two, one = {"modalities": ("audio", "rgb")}, {"modalities": ("audio",)}
    reasons = {
        name: not_applicable_reason(rung, level="video", **two)
        for name, rung in trick_ablations("video").items()
    }
    assert set(reasons.values()) == {None}
    own = replace(find("lr"), trick="random-frames")
    assert (
        not_applicable_reason(own, level="video", **two)
        == "it draws frames, and this data set holds one vector a video"
    )
    reasons = {
        name: not_applicable_reason(rung, level="frame", **one)
        for name, rung in trick_ablations("frame").items()
    }
    assert reasons.pop("attention-modality-dropout") == (
        "it drops modalities, and this data set has one only (audio)"
    )
    assert set(reasons.values()) == {None}


def test_frames_are_drawn_while_it_learns_and_all_are_scored(generated, tmp_path, monkeypatch):
    shares, read = set(), Dataset.batches
    monkeypatch.setattr(
        Dataset,
        "batches",
        lambda self, split, **settings: (
            shares.add((split, settings.get("frame_share", 1.0))) or read(self, split, **settings)
        ),
    )
    study = Study(generated, profile=TINY, runs=tmp_path / "runs", progress="silent")
    run = study.train("attention-random-frames")["attention-random-frames"]
    assert (
        run.record["profile"]["frame_share"] == 0.5 and study.find("attention-random-frames").path == run.path
    )
    assert shares == {("train", 0.5), ("tuning", 1.0), ("validate", 1.0)}
    (batch,) = study.dataset.batches("validate", batch_size=20, max_videos=20, max_frames=6)
    assert set(batch["num_frames"]) == {6}
    inputs = {name: batch[name] for name in ("audio", "num_frames", "rgb")}
    stored = np.concatenate([block.scores for block in run.predictions.blocks()])
    assert list(run.predictions.ids) == list(batch["id"])
    np.testing.assert_allclose(np.asarray(run.model(inputs, training=False)), stored, atol=2e-3)
    assert dmlkit.evaluate(run, data=generated, max_videos=20)["gap"] == pytest.approx(run.gap, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRICK_ABLATIONS)
def test_every_trick_is_trained_by_its_name_alone(name, generated, tmp_path):
    level = "frame" if name in trick_ablations("frame") else "video"
    data = generated if level == "frame" else generated / "video"
    study = Study(data, profile=TINY, runs=tmp_path / "runs", progress="silent")
    rung = find(name)
    run = study.train(rung)[name]
    changed = {key: run.record["profile"][key] for key in TRICKS[rung.trick].changes}
    assert changed == dict(TRICKS[rung.trick].changes)
    assert [each["name"] for each in run.record["teachers"]] == list(rung.teachers)
    assert run.metrics["videos"] == 20 and np.isfinite(run.gap)


def test_a_cyclic_training_goes_on_to_the_end_of_a_cycle(generated, tmp_path):
    # A rate of next to nothing never gains: patience ends with the second epoch, and the cycle with the fourth.
    rates = {"learning_rate": 1e-30, "epochs": 8, "patience": 1, "max_frames": 2}
    plain = replace(TINY, **rates)
    cyclic = replace(plain, schedule="cyclic", cycles=2)
    epochs = [
        dmlkit.train(
            "lr", data=generated, out=tmp_path / str(place), profile=profile, progress="silent"
        ).record
        for place, profile in enumerate((plain, cyclic))
    ]
    assert [each["epochs"] for each in epochs] == [2, 4] and epochs[1]["best_epoch"] == 1
