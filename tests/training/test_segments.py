"""Segments: the loss and metrics of rated pairs alone, weights to start from, scores from contributions."""

from dataclasses import replace

import keras
import numpy as np
import pytest

import dmlkit
from dmlkit.data import Skipped, match, open_dataset
from dmlkit.errors import UsageError
from dmlkit.profiles import PROFILES
from dmlkit.training import evaluate, localization_study, score_segments, train
from dmlkit.training.distributed import Distribution
from dmlkit.training.objectives import Learner, RatedCrossEntropy
from dmlkit.training.segments import by_video, only_rated, whole_video_scorer

SMOKE = PROFILES["smoke"]
RATED = np.array([[1, 0, 1], [0, 1, 0]], np.float32)
LABELS = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
SCORES = np.array([[0.9, 0.5, 0.2], [0.3, 0.6, 0.7]], np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segments") / "data"
    dmlkit.synthesize(folder, train=300, validate=60, test=20, segments=True)
    return folder


@pytest.fixture(scope="module")
def segments(data):
    return open_dataset(data / "segments", unit="segment")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return train("attention", data=data, profile=SMOKE, out=tmp_path_factory.mktemp("run") / "run")


def test_the_loss_is_the_mean_over_rated_pairs_also_of_copies_and_soft_labels():
    right = -np.mean(np.log([0.9, 1 - 0.2, 0.6]))
    others = LABELS + (1 - RATED)  # of pairs that are not rated
    for labels in (LABELS, others):
        assert float(RatedCrossEntropy()(labels, SCORES, RATED)) == pytest.approx(right, rel=1e-5)
    inputs = keras.Input((3,), name="x")
    model = keras.Model({"x": inputs}, keras.layers.Dense(3)(inputs))
    learner = Learner(model, replace(SMOKE, teaching=0.5), teachers=(), seed=0)
    Distribution("one device").compile(learner, SMOKE, learning_rate=0.1, xla=False, loss=RatedCrossEntropy())
    copies = {"scores": np.stack([SCORES, SCORES], axis=1)}  # two that agree
    for labels in (LABELS, others):
        loss = learner.compute_loss(y=labels, y_pred=copies, sample_weight=keras.ops.convert_to_tensor(RATED))
        assert float(loss) == pytest.approx(right, rel=1e-5)
    soft = learner.compute_loss(y=LABELS, y_pred={"scores": SCORES, "soft": 1 - LABELS}, sample_weight=RATED)
    half = -np.mean([np.log(p) / 2 + np.log(1 - p) / 2 for p in (0.9, 0.2, 0.6)])
    assert float(soft) == pytest.approx(half, rel=1e-5)


def test_gap_of_rated_pairs_has_an_interval_over_whole_videos():
    scores = only_rated(SCORES.astype(np.float16), RATED)
    assert scores.tolist() == [[np.float16(0.9), 0, np.float16(0.2)], [0, np.float16(0.6), 0]]
    assert only_rated(np.zeros((1, 3), np.float16), RATED[:1]).astype(bool).tolist() == [[True, False, True]]
    metric = dmlkit.metrics.RankingMetrics(3)
    metric.update(scores, LABELS)
    assert metric.result()["gap"] == 1 and metric.result()["map"] == 1
    pairs = metric.pairs()
    one, two = by_video(pairs, np.array(["a:b:0", "a:b:5"])), by_video(pairs, np.array(["a:0", "b:0"]))
    assert one.true_labels.tolist() == [2] and two.true_labels.tolist() == [1, 1]
    assert (
        sorted(one.scores[0]) == sorted(pairs.scores.ravel()) and two.scores.tolist() == pairs.scores.tolist()
    )


def test_a_run_on_segments_is_measured_by_its_rated_pairs(segments, run, tmp_path):
    mine = train("attention", data=segments, profile=SMOKE, out=tmp_path / "mine")
    batch = next(iter(segments.batches("validate", batch_size=10_000)))
    ids, scores = map(np.concatenate, zip(*score_segments(mine, data=segments), strict=True))
    assert ids.tolist() == batch["id"].tolist() == mine.predictions.ids.tolist()
    right = dmlkit.metrics.mean_average_precision_at_k(scores, batch["labels"], batch["rated"])
    assert mine.metrics["map_at_k"] == pytest.approx(right, abs=1e-9)
    assert mine.metrics["rated"] == batch["rated"].sum() and mine.metrics["videos"] == 60
    assert evaluate(mine, data=segments) == mine.metrics
    assert ((mine.predictions.scores > 0) == (batch["rated"] > 0)).all()
    assert "mAP@K" in str(mine) and mine.record["data"]["unit"] == "segment"
    best = mine.history["tuning_map_at_k"].idxmax() + 1
    assert mine.record["best_epoch"] == best and mine.record["tuning"]["map_at_k"] == pytest.approx(
        mine.history["tuning_map_at_k"].max()
    )


def test_fine_tuning_starts_from_the_weights_of_the_run_and_other_models_are_refused(segments, run, tmp_path):
    still = replace(SMOKE, epochs=1, learning_rate=1e-30)
    tuned = train("attention", data=segments, profile=still, out=tmp_path / "tuned", start_from=run)
    for mine, theirs in zip(tuned.model.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-20)
    fresh = train("attention", data=segments, profile=still, out=tmp_path / "fresh")
    assert fresh.record["fingerprint"] != tuned.record["fingerprint"]
    assert tuned.record["start_from"] == {"name": "attention", "fingerprint": run.record["fingerprint"]}
    refused = {
        "encoder": {"experiment": "attention-bi-lstm"},
        "sizes": {"profile": replace(SMOKE, units=9)},
        "mixup": {"profile": replace(SMOKE, mixup=0.4)},
    }
    for reason, changes in refused.items():
        settings = {"experiment": "attention", "profile": SMOKE} | changes
        with pytest.raises(UsageError, match=reason):
            train(**settings, data=segments, out=tmp_path / reason, start_from=run)


@pytest.mark.parametrize("name", ["attention", "class-attention"])
def test_contributions_are_those_of_the_equations(name, data, segments, run, tmp_path):
    if name != "attention":
        run = train(name, data=data, profile=SMOKE, out=tmp_path / name)
    probe = dmlkit.models.attention.FrameProbe(run.model)
    found = {method: _scores(run, segments, method) for method in ("contribution", "video")}
    for batch in open_dataset(data / "segments").batches("validate", batch_size=10):
        parts = probe.parts(batch)
        for row, video in enumerate(batch["id"]):
            own = replace(parts, **{k: v[row] for k, v in vars(parts).items() if v is not None})
            exact = probe.contributions(own, range(24))
            values, weights = exact.values.sum(axis=1).astype(float), own.weights[:, 0].astype(float)
            for segment in (each for each in found["video"] if each.rpartition(":")[0] == video):
                here = slice(
                    start := int(segment.rpartition(":")[2]), min(start + 5, batch["num_frames"][row])
                )
                share = weights[here] / weights[here].sum(axis=0)
                right = exact.biases + (share * values[here]).sum(axis=0)
                right = 1 / (1 + np.exp(-right)) if exact.link == "sigmoid" else right
                np.testing.assert_allclose(found["contribution"][segment], right, atol=2e-6)
                np.testing.assert_allclose(found["video"][segment], own.scores, atol=2e-6)
    assert len(found["video"]) > 200


def _scores(run, segments, method) -> dict[str, np.ndarray]:
    matched = match(segments, run.record["data"], model="m")
    scorer = whole_video_scorer(run, segments, "validate", method=method, matched=matched, skipped=Skipped())
    batches = segments.batches("validate", batch_size=7)
    return {
        name: each
        for batch in batches
        for name, each in zip(batch["id"].tolist(), scorer(batch), strict=True)
    }


def test_the_study_pairs_each_way_with_its_reference(segments, run):
    study = localization_study({"A": run}, segments, max_videos=40)
    assert study.index.tolist() == [("A", "clip"), ("A", "contribution"), ("A", "video")]
    right = {each: evaluate(run, data=segments, max_videos=40, method=each) for each in ("clip", "video")}
    row = study.loc["A", "clip"]
    assert row["map_at_k"] == right["clip"]["map_at_k"] and row["against"] == ("A", "video")
    assert row["difference"] == pytest.approx(right["clip"]["map_at_k"] - right["video"]["map_at_k"])
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    with pytest.raises(UsageError, match="unit"):
        evaluate(run, data=run.record["data"] and segments.path, method="contribution")
