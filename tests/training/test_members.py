"""Runs that score together: which, with what weights, on which data."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.training import scoring
from dmlkit.training.members import Member, check_fit, members_of, score_blocks


@pytest.fixture(scope="module")
def both(smoke_runs, tmp_path_factory):
    """An ensemble of the two runs, beside copies of them."""
    folder = tmp_path_factory.mktemp("both")
    for name, run in smoke_runs.items():
        shutil.copytree(run.path, folder / name)
    return dmlkit.ensemble([folder / "lr", folder / "attention"], out=folder / "both")


def scores_of(members, data, **settings):
    blocks = list(score_blocks(members, open_dataset(data), "validate", **settings))
    return np.concatenate([block.scores for block in blocks])


def test_one_run_scores_as_it_did_when_it_was_trained(smoke_runs, generated):
    for run in smoke_runs.values():
        found = scores_of(members_of(run.path), generated)
        np.testing.assert_allclose(found, run.predictions.scores, atol=1e-3)
        assert found.dtype == np.float16


def test_an_ensemble_scores_with_its_members(both, smoke_runs, generated):
    members = members_of(both.path)
    assert [member.run.name for member in members] == ["lr", "attention"]
    assert [member.weight for member in members] == [each["weight"] for each in both.record["members"]]
    np.testing.assert_allclose(scores_of(members, generated), both.predictions.scores, atol=1e-3)
    several = members_of([smoke_runs["lr"].path, smoke_runs["attention"].path])
    assert [member.weight for member in several] == pytest.approx([member.weight for member in members])
    np.testing.assert_array_equal(scores_of(several, generated), scores_of(members, generated))


def test_an_ensemble_of_ensembles_has_the_weights_of_both(both, tmp_path):
    shutil.copytree(both.path.parent, tmp_path / "runs")
    outer = dmlkit.ensemble([tmp_path / "runs" / "both", tmp_path / "runs" / "lr"], out=tmp_path / "outer")
    inner, lr = (member["weight"] for member in outer.record["members"])
    weights = [member["weight"] * inner for member in both.record["members"]] + [lr]
    assert [member.weight for member in members_of(outer)] == pytest.approx(weights)


@pytest.mark.parametrize("by", ["majority", "rank_mean", "optimized", "stacking"])
def test_an_ensemble_scores_in_the_way_it_was_combined(both, generated, tmp_path, by):
    """And as a member of another: here Algorithm 2 over it and one of its own members."""
    shutil.copytree(both.path.parent, tmp_path / "runs")
    runs = [tmp_path / "runs" / name for name in ("lr", "attention")]
    inner = dmlkit.ensemble(runs, out=tmp_path / "runs" / by, by=by)
    np.testing.assert_allclose(
        scores_of(members_of(inner.path), generated), inner.predictions.scores, atol=2e-3
    )
    outer = dmlkit.ensemble([inner, runs[0]], out=tmp_path / "outer")
    np.testing.assert_allclose(
        scores_of(members_of(outer.path), generated), outer.predictions.scores, atol=2e-3
    )


@pytest.mark.parametrize("by", ["majority", "optimized", "stacking"])
def test_several_runs_score_as_the_ensemble_of_them_would(both, generated, tmp_path, by):
    """One of them an ensemble itself, of which votes, ranks and logits are of its own scores, not of its members'."""
    shutil.copytree(both.path.parent, tmp_path / "runs")
    runs = [tmp_path / "runs" / name for name in ("attention", "both")]
    left = dmlkit.ensemble(runs, out=tmp_path / "left", by=by)
    np.testing.assert_allclose(scores_of(members_of(left), generated), left.predictions.scores, atol=2e-3)
    several = members_of(runs, by=by)
    np.testing.assert_array_equal(scores_of(several, generated), scores_of(members_of(left), generated))


def test_a_way_for_runs_that_cannot_be_weighed(both, smoke_runs, tmp_path):
    runs = [smoke_runs["lr"].path, smoke_runs["attention"].path]
    with pytest.raises(UsageError, match="'stacking' out"):
        members_of(runs[0], by="stacking")
    with pytest.raises(UsageError, match="Did you mean 'stacking'"):
        members_of(runs, by="staking")
    shutil.copytree(both.path.parent, tmp_path / "runs")
    (tmp_path / "runs" / "lr" / "tuning.npz").unlink()
    with pytest.raises(DataError, match=r"lr lacks tuning\.npz"):
        members_of([tmp_path / "runs" / "lr", runs[1]], by="optimized")
    assert len(members_of([tmp_path / "runs" / "lr", runs[1]])) == 2


def test_a_record_from_before_there_were_ways(both, tmp_path):
    shutil.copytree(both.path.parent, tmp_path / "runs")
    file = tmp_path / "runs" / "both" / "run.json"
    record = json.loads(file.read_text())
    del record["by"], record["bias"]
    file.write_text(json.dumps(record))
    weights = [member.weight for member in members_of(file.parent)]
    assert weights == [member.weight for member in members_of(both)]


def test_weights_of_stacking_need_be_no_shares(both, tmp_path):
    shutil.copytree(both.path.parent, tmp_path / "runs")
    file = tmp_path / "runs" / "both" / "run.json"
    record = json.loads(file.read_text()) | {"by": "stacking", "bias": -1.5}
    record["members"][0]["weight"], record["members"][1]["weight"] = -0.5, 1.75
    file.write_text(json.dumps(record))
    (member,) = members_of(file.parent)
    assert (member.weight, member.by, member.bias) == (1.0, "stacking", -1.5)
    assert [each.weight for each in member.below] == [-0.5, 1.75]
    record["bias"] = float("inf")
    file.write_text(json.dumps(record))
    with pytest.raises(DataError):
        members_of(file.parent)


def test_a_way_that_is_not_known(both, tmp_path):
    shutil.copytree(both.path.parent, tmp_path / "runs")
    file = tmp_path / "runs" / "both" / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"by": "dice"}))
    with pytest.raises(DataError, match=r"a way that is known .*'dice'"):
        members_of(file.parent)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda members: members[0].update(path="../nowhere"), "no finished run at"),
        (lambda members: members[0].update(path="../attention"), "another run is there now"),
        (lambda members: members[0].update(path=".", name="ensemble"), "another run is there now"),
        (lambda members: members[0].update(weight=float("nan")), "another run is there now"),
        (lambda members: members[0].pop("weight"), "does not name its members"),
        (lambda members: members[0].update(weight=None), "does not name its members"),
    ],
)
def test_an_ensemble_whose_members_are_not_there(both, tmp_path, change, error):
    shutil.copytree(both.path.parent, tmp_path / "runs")
    record = json.loads((both.path / "run.json").read_text())
    change(record["members"])
    (tmp_path / "runs" / "both" / "run.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=error):
        members_of(tmp_path / "runs" / "both")


def test_no_run():
    with pytest.raises(UsageError, match="at least one run"):
        members_of([])


def test_data_of_another_kind_are_refused(smoke_runs, generated, both):
    frames = open_dataset(generated)
    for what, other in (
        ("level", open_dataset(generated / "video")),
        ("classes", replace(frames, num_classes=25)),
        ("features", replace(frames, features={"rgb": frames.features["rgb"]})),
    ):
        for run in (smoke_runs["lr"], both):
            with pytest.raises(UsageError, match=f"other {what} than"):
                check_fit(members_of(run), other)


def test_members_that_read_other_frames_read_for_themselves(smoke_runs, generated, tmp_path):
    shutil.copytree(smoke_runs["attention"].path, tmp_path / "attention")
    record = json.loads((tmp_path / "attention" / "run.json").read_text())
    record["profile"] |= {"max_frames": 3, "frame_choice": "uniform"}
    (tmp_path / "attention" / "run.json").write_text(json.dumps(record))
    lr, few = members_of(smoke_runs["lr"])[0], members_of(tmp_path / "attention")[0]
    alone = [scores_of([member], generated).astype(np.float32) for member in (lr, few)]
    together = scores_of([lr._replace(weight=0.25), few._replace(weight=0.75)], generated)
    np.testing.assert_array_equal(
        together, (alone[0] * np.float32(0.25) + alone[1] * np.float32(0.75)).astype(np.float16)
    )
    assert not np.array_equal(alone[1], scores_of([Member(smoke_runs["attention"], 1.0)], generated))


def test_scores_that_are_not_numbers_are_refused(smoke_runs, generated, tmp_path):
    """Of any member, alone or with others."""
    shutil.copytree(smoke_runs["lr"].path, tmp_path / "lr")
    broken = dmlkit.load_run(tmp_path / "lr")
    broken.model.set_weights([np.full_like(weights, np.nan) for weights in broken.model.get_weights()])
    for members in ([Member(broken, 1.0)], [Member(smoke_runs["attention"], 0.5), Member(broken, 0.5)]):
        with pytest.raises(DataError, match="not numbers"):
            scores_of(members, generated)


def test_the_first_videos_only(smoke_runs, generated):
    members = members_of(smoke_runs["lr"])
    np.testing.assert_allclose(
        scores_of(members, generated, max_videos=7), scores_of(members, generated)[:7], atol=1e-3
    )


def test_small_videos_are_scored_many_at_once(generated):
    frames, videos = open_dataset(generated), open_dataset(generated / "video")
    assert scoring.batch_size(videos, None) == scoring.MOST
    assert scoring.FEWEST < scoring.batch_size(frames, 300) < scoring.batch_size(frames, 30) <= scoring.MOST
    assert scoring.batch_size(frames, 10**6) == scoring.FEWEST
    assert scoring.batch_size(frames, 300, least=4096) == 4096
