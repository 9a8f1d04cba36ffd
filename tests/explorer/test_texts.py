"""Frames come and go; what is said once of a video stays."""

import numpy as np
import pytest

from dmlkit.data import open_dataset
from dmlkit.explorer.faithfulness import faithfulness_study
from dmlkit.explorer.sources import ModelSource
from dmlkit.models import attention_weights, build


@pytest.fixture(scope="module")
def dataset(with_texts):
    return open_dataset(with_texts)


@pytest.fixture(scope="module")
def model(dataset):
    features = {each.name: (each.size, each.coding) for each in dataset.features.values()}
    parts = {"encoder": "bi_gru", "units": 4, "layers": 1, "pooling": "attention", "text_units": 4}
    model = build(features=features, level="frame", num_classes=dataset.num_classes, **parts)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return model


@pytest.fixture(scope="module")
def source(model, dataset):
    return ModelSource(model, dataset)


@pytest.fixture(scope="module")
def whole(dataset):
    """The first videos that have a text."""
    batch = next(iter(dataset.batches("validate", batch_size=20)))
    said = np.flatnonzero(batch["text"].any(axis=1))[:3]
    return {name: values[said] for name, values in batch.items()}


def test_weights_and_scores_are_the_models(source, model, whole):
    weights = attention_weights(model, whole)
    scores = model.predict_on_batch({name: whole[name] for name in model.input})
    for row, (name, frames) in enumerate(zip(whole["id"].tolist(), whole["num_frames"], strict=True)):
        (found,) = source.evidence(name)
        np.testing.assert_allclose(found.weights, weights[row, :frames], atol=1e-6)
        np.testing.assert_allclose(found.scores, scores[row, list(found.classes)], atol=1e-6)


def test_energy_is_of_what_has_frames(source, whole):
    (found,) = source.evidence(whole["id"][0])
    assert list(found.energy) == list(found.change) == ["rgb", "audio"]


def test_a_video_without_some_frames_keeps_its_text(source, model, whole):
    (found,) = source.evidence(whole["id"][0], removed=[0, 2])
    kept = np.setdiff1d(np.arange(whole["num_frames"][0]), [0, 2])
    cut = {name: whole[name][:1, kept] for name in ("rgb", "audio")}
    cut |= {"text": whole["text"][:1], "num_frames": np.array([len(kept)], np.int32)}
    scores = model.predict_on_batch({name: cut[name] for name in model.input})
    np.testing.assert_allclose(found.scores, scores[0, list(found.classes)], atol=1e-6)
    cut["text"] = np.zeros_like(cut["text"])
    without = model.predict_on_batch({name: cut[name] for name in model.input})
    assert np.abs(without - scores).max() > 1e-3


def test_frames_are_deleted_one_after_another(source):
    study = faithfulness_study(source, videos=2)
    assert study.videos == 2
    assert np.isfinite(study.areas[["deletion", "insertion"]].to_numpy()).all()
