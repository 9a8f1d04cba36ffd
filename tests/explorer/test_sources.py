"""Evidence of models: it is the models' own, frames are really removed, and what cannot be shown is explained."""

import shutil

import numpy as np
import pytest

import dmlkit
from dmlkit.data import dequantize, open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.explorer.evidence import MAX_CLASSES, class_scores, reweight
from dmlkit.explorer.sources import ModelSource
from dmlkit.models import attention_weights, build


def model_for(dataset, **parts):
    features = {each.name: (each.size, each.coding) for each in dataset.features.values()}
    settings = {"encoder": "bi_gru", "units": 4, "layers": 1, "pooling": "attention"} | parts
    model = build(features=features, level="frame", num_classes=dataset.num_classes, **settings)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return model


def scores_of(model, batch):
    return model.predict_on_batch({name: batch[name] for name in model.input})


@pytest.fixture(scope="module")
def model(dataset):
    return model_for(dataset)


@pytest.fixture(scope="module")
def source(model, dataset):
    return ModelSource(model, dataset)


@pytest.fixture(scope="module")
def batch(dataset):
    return next(iter(dataset.batches("validate", batch_size=6)))


def test_weights_and_scores_are_the_models(source, model, batch, dataset):
    weights, scores, truth = (
        attention_weights(model, batch),
        scores_of(model, batch),
        dataset.truth("validate"),
    )
    for row, (name, frames) in enumerate(zip(batch["id"].tolist(), batch["num_frames"], strict=True)):
        (found,) = source.evidence(name)
        np.testing.assert_allclose(found.weights, weights[row, :frames], atol=1e-6)
        np.testing.assert_allclose(found.scores, scores[row, list(found.classes)], atol=1e-6)
        np.testing.assert_allclose(class_scores(found, reweight(found)), found.scores, atol=1e-6)
        shares = np.exp(found.logits - found.logits.max())
        np.testing.assert_allclose(shares / shares.sum(), found.weights, atol=1e-5)
        assert found.times.tolist() == list(range(frames)) and len(found.classes) == MAX_CLASSES
        assert set(found.true) == set(np.flatnonzero(batch["labels"][row])) <= set(found.classes)
        made = {label: np.flatnonzero(row).tolist() for label, row in found.ground_truth.items()}
        assert made == {label: frames.tolist() for label, frames in truth[name].items()}
        assert found.names[0] == dataset.class_names[found.classes[0]]
    values = dequantize(batch["rgb"][row, :frames]) if batch["rgb"].dtype == np.uint8 else batch["rgb"][row]
    np.testing.assert_allclose(found.energy["rgb"][3], np.linalg.norm(values[3]), rtol=1e-5)
    np.testing.assert_allclose(found.change["rgb"][3], np.linalg.norm(values[3] - values[2]), rtol=1e-5)
    assert found.change["rgb"][0] == 0


def test_removing_encodes_the_video_again(source, model, batch):
    name, frames = batch["id"][1], int(batch["num_frames"][1])
    removed = [0, 4, frames - 1]
    (before,), (after,) = source.evidence(name), source.evidence(name, removed=removed)
    left = np.delete(np.arange(frames), removed)
    shorter = {key: batch[key][1:2, left] for key in ("rgb", "audio")}
    shorter["num_frames"] = np.array([len(left)], np.int32)
    np.testing.assert_allclose(after.weights, attention_weights(model, shorter)[0], atol=1e-6)
    np.testing.assert_allclose(after.scores, scores_of(model, shorter)[0, list(before.classes)], atol=1e-6)
    assert after.classes == before.classes and after.times.tolist() == left.tolist()
    # Masking is another operation: the other frames' states were computed with the masked ones.
    assert np.abs(class_scores(before, reweight(before, masked=removed)) - after.scores).max() > 1e-4
    with pytest.raises(UsageError, match=r"No frame of .* is left"):
        source.evidence(name, removed=range(frames))
    with pytest.raises(UsageError, match=f"frames 0 to {frames - 1}"):
        source.evidence(name, removed=[frames])


def test_a_mixture_of_experts_has_occlusion(dataset, batch):
    source = ModelSource(model_for(dataset, classifier="mixture_of_experts", encoder="none"), dataset)
    (found,), (after,) = source.evidence(batch["id"][0]), source.evidence(batch["id"][0], removed=[5])
    assert found.contributions is None and found.biases is None
    # Without an encoder frames do not depend on each other, and masking one is removing it.
    np.testing.assert_allclose(found.occlusion[5], found.scores - after.scores, atol=1e-5)


def test_videos_and_classes_by_name_and_number(source, dataset, batch):
    first, label = batch["id"][0], int(np.flatnonzero(batch["labels"][0])[0])
    assert list(source.videos)[:6] == batch["id"].tolist() and len(source.videos) == 100
    assert dataset.class_names[label] in source.videos[first]
    assert first in source.videos_of(label) == source.videos_of(dataset.class_names[label])
    assert source.class_counts[label] == len(source.videos_of(label))
    assert source.evidence(first, classes=[3, dataset.class_names[1], 3])[0].classes == (3, 1)
    for wrong, message in (([f"{dataset.class_names[1]}x"], "Did you mean"), ([99], "no class 99")):
        with pytest.raises(UsageError, match=message):
            source.evidence(first, classes=wrong)
    with pytest.raises(UsageError, match=f"no video '{first}0'.*Did you mean '{first}'"):
        source.evidence(f"{first}0")


def test_the_worst_mistakes_come_from_stored_or_new_scores(smoke_runs, source, dataset, monkeypatch):
    of_run = ModelSource(smoke_runs["attention"], dataset)
    with monkeypatch.context() as patch:
        patch.setattr(type(of_run.models[0]), "predict", lambda *_: pytest.fail("the model was asked"))
        worst = of_run.worst(limit=5)
    stored = smoke_runs["attention"].predictions
    scores = stored.scores.astype(float).clip(1e-4, 1 - 1e-4)
    losses = -np.where(stored.labels, np.log(scores), np.log(1 - scores)).sum(axis=1)
    assert list(worst) == stored.ids[np.argsort(-losses)[:5]].tolist()
    assert "(true) 0." in next(iter(worst.values())) and len(source.worst(limit=3)) == 3


def test_runs_side_by_side_include_the_same_classes(model, dataset, smoke_runs):
    source = ModelSource([smoke_runs["attention"], model, model], dataset)
    found = source.evidence(next(iter(source.videos)))
    assert [each.run for each in found] == source.runs == ["Bi-GRU, attention", "dmlkit", "dmlkit (3)"]
    assert len({each.classes for each in found}) == 1
    assert found[0].frames == 10 < found[1].frames  # the smoke profile reads ten frames
    first, second, _ = source.evidence(next(iter(source.videos)), removed=[9])
    assert 9 not in first.times and 9 not in second.times


def test_a_text_stays_whatever_frames_are_removed(with_texts):
    dataset = open_dataset(with_texts)
    model = model_for(dataset, text_units=4)
    source = ModelSource(model, dataset)
    batch = next(iter(dataset.batches("validate", batch_size=20)))
    row = int(np.flatnonzero(batch["text"].any(axis=1))[0])
    kept = np.setdiff1d(np.arange(batch["num_frames"][row]), [0, 2])
    shorter = {name: batch[name][row : row + 1, kept] for name in ("rgb", "audio")}
    shorter |= {"text": batch["text"][row : row + 1], "num_frames": np.array([len(kept)], np.int32)}
    (found,) = source.evidence(batch["id"][row], removed=[0, 2])
    np.testing.assert_allclose(found.scores, scores_of(model, shorter)[0, list(found.classes)], atol=1e-6)
    assert list(found.energy) == ["rgb", "audio"]


def test_runs_and_data_that_are_missing(smoke_runs, generated, tmp_path):
    run = smoke_runs["attention"]
    with pytest.raises(DataError, match="gone"):
        ModelSource(run, tmp_path / "gone")
    with pytest.raises(DataError, match="no finished run"):
        ModelSource(str(tmp_path / "run"), generated)
    source = ModelSource(run, shutil.copytree(generated, tmp_path / "copy"))
    source.evidence(next(iter(source.videos)))
    for shard in source.dataset.splits["validate"]:
        shutil.os.remove(shard)
    with pytest.raises(DataError, match=r"tfrecord"):
        source.evidence(list(source.videos)[60])
    folder = shutil.copytree(run.path, tmp_path / "run")
    (folder / "model.keras").unlink()
    with pytest.raises(DataError, match=r"model\.keras"):
        ModelSource(folder, generated)


def test_other_models_and_data_are_refused_or_named(smoke_runs, model, dataset, tmp_path):
    with pytest.raises(UsageError, match=r"lr has no attention.*'attention'.*bi_gru.*attention-bi-lstm"):
        ModelSource(smoke_runs["lr"], dataset)
    with pytest.raises(UsageError, match=r"has no attention. Only the pooling 'attention'"):
        ModelSource(model_for(dataset, pooling="mean"), dataset)
    with pytest.raises(UsageError, match="Between 1 and 3 runs"):
        ModelSource([model] * 4, dataset)
    other = dmlkit.synthesize(tmp_path / "other", train=20, validate=10, test=0, seed=5)
    assert "other data than these: Bi-GRU, attention" in ModelSource(smoke_runs["attention"], other).note
    wide = build(features={"rgb": (7, "byte")}, level="frame", num_classes=3, pooling="attention", units=2)
    with pytest.raises(UsageError, match=r"other data: it reads rgb \(7\) and scores 3.*audio"):
        ModelSource(wide, dataset)
    for run, data in ((None, dataset), (3, dataset), ({"a": 1}, dataset), (model, None)):
        with pytest.raises(UsageError, match=r"expected a (run|data set).*Received"):
            ModelSource(run, data)
    assert "the first 7 of 100 videos" in ModelSource(model, dataset, max_videos=7).note


def test_a_model_that_diverged_and_a_split_without_labels(dataset):
    model = model_for(dataset)
    weight = model.get_layer("attention").context
    weight.assign(np.full(weight.shape, np.nan))
    source = ModelSource(model, dataset, split="test")
    with pytest.raises(DataError, match=r"not finite.*diverged"):
        source.evidence(next(iter(source.videos)))
    with pytest.raises(UsageError, match=r"'test' split .* no labels"):
        source.worst()
