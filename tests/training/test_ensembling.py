"""Algorithm 2 over runs, from their stored scores."""

import json
import shutil

import numpy as np
import pytest

import dmlkit
from dmlkit.errors import UsageError
from dmlkit.evaluation import global_average_precision
from dmlkit.predictions import Predictions


def test_scores_are_the_members_weighted_by_their_gap_on_the_tuning_part(smoke_runs, tmp_path):
    lr, attention = smoke_runs["lr"], smoke_runs["attention"]
    run = dmlkit.ensemble([lr, attention.path], out=tmp_path / "both", name="both")
    total = lr.tuning_gap + attention.tuning_gap
    expected = lr.tuning_gap / total * lr.predictions.scores.astype(
        np.float64
    ) + attention.tuning_gap / total * attention.predictions.scores.astype(np.float64)
    assert [member["weight"] for member in run.record["members"]] == pytest.approx(
        [lr.tuning_gap / total, attention.tuning_gap / total]
    )
    np.testing.assert_allclose(run.predictions.scores.astype(np.float64), expected, atol=1e-3)
    assert run.gap == global_average_precision(
        run.predictions.scores.astype(np.float32), run.predictions.labels
    )
    trained = sum(member.record["seconds"]["training"] for member in (lr, attention))
    assert trained <= run.record["seconds"]["training"] < trained + 60
    assert run.record["parameters"] == lr.record["parameters"] + attention.record["parameters"]


def test_members_are_matched_by_video_not_by_place(smoke_runs, tmp_path):
    lr, attention = smoke_runs["lr"], smoke_runs["attention"]
    shuffled = tmp_path / "shuffled"
    shutil.copytree(attention.path, shuffled)
    for name in ("predictions.npz", "tuning.npz"):
        stored = Predictions.load(attention.path / name)
        order = np.random.default_rng(0).permutation(len(stored.ids))
        Predictions(ids=stored.ids[order], labels=stored.labels[order], scores=stored.scores[order]).save(
            shuffled / name
        )
    one = dmlkit.ensemble([lr, attention], out=tmp_path / "one")
    other = dmlkit.ensemble([lr, shuffled], out=tmp_path / "other")
    np.testing.assert_array_equal(one.predictions.scores, other.predictions.scores)


def test_an_ensemble_has_no_model_and_no_experiment(smoke_runs, tmp_path):
    run = dmlkit.ensemble(list(smoke_runs.values()), out=tmp_path / "both")
    with pytest.raises(dmlkit.DataError, match="is an ensemble"):
        _ = run.model
    with pytest.raises(UsageError, match="has members"):
        _ = run.experiment


def test_one_run_is_no_ensemble(smoke_runs, tmp_path):
    with pytest.raises(UsageError, match=r"at least two runs\. Received: 1"):
        dmlkit.ensemble([smoke_runs["lr"]], out=tmp_path / "one")


def test_runs_on_other_data_are_refused(smoke_runs, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(smoke_runs["lr"].path, other)
    record = json.loads((other / "run.json").read_text())
    record["data"]["fingerprint"] = "0" * 16
    (other / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="different data"):
        dmlkit.ensemble([smoke_runs["lr"], other], out=tmp_path / "both")
