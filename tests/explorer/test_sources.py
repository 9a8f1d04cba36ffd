"""Evidence out of models: it is the models' own, frames are really removed, and what cannot be said is said."""

import json
import shutil

import numpy as np
import pytest

from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.explorer.evidence import CARRIED
from dmlkit.explorer.sources import ModelSource
from dmlkit.explorer.weighing import optimize_weights, scores_of
from dmlkit.models import attention_weights, build


def model_for(dataset, *, name="model", **parts):
    features = {each.name: (each.size, each.coding) for each in dataset.features.values()}
    settings = {"encoder": "bi_gru", "units": 4, "layers": 1, "pooling": "attention"} | parts
    model = build(features=features, level="frame", num_classes=dataset.num_classes, **settings)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return model


@pytest.fixture(scope="module")
def dataset(generated):
    return open_dataset(generated)


@pytest.fixture(scope="module")
def model(dataset):
    return model_for(dataset)


@pytest.fixture(scope="module")
def source(model, dataset):
    return ModelSource(model, dataset)


@pytest.fixture(scope="module")
def of_run(smoke_runs, dataset):
    return ModelSource(smoke_runs["attention"], dataset)


@pytest.fixture(scope="module")
def whole(dataset):
    return next(iter(dataset.batches("validate", batch_size=6)))


def test_weights_and_scores_are_the_models(source, model, whole, dataset):
    weights = attention_weights(model, whole)
    scores = model.predict_on_batch({name: whole[name] for name in model.input})
    truth = dataset.truth("validate")
    for row, (name, frames) in enumerate(zip(whole["id"].tolist(), whole["num_frames"], strict=True)):
        (found,) = source.evidence(name)
        np.testing.assert_allclose(found.weights, weights[row, :frames], atol=1e-6)
        np.testing.assert_allclose(found.scores, scores[row, list(found.classes)], atol=1e-6)
        np.testing.assert_allclose(scores_of(found, optimize_weights(found)), found.scores, atol=1e-6)
        np.testing.assert_allclose(
            found.logits - found.logits.max(), np.log(weights[row, :frames] / weights[row].max()), atol=1e-4
        )
        assert found.times.tolist() == list(range(frames))
        assert found.true == tuple(np.flatnonzero(whole["labels"][row]))
        assert {label: np.flatnonzero(made).tolist() for label, made in found.planted.items()} == {
            label: made.tolist() for label, made in truth[name].items()
        }


def test_energy_and_change_are_of_the_features(source, whole):
    from dmlkit.data import dequantize

    (found,) = source.evidence(whole["id"][2])
    frames = whole["num_frames"][2]
    for name in ("rgb", "audio"):
        values = whole[name][2, :frames]
        values = dequantize(values) if values.dtype == np.uint8 else values
        assert found.energy[name][3] == pytest.approx(np.sqrt((values[3] ** 2).sum()), rel=1e-5)
        assert found.change[name][0] == 0
        assert found.change[name][3] == pytest.approx(np.linalg.norm(values[3] - values[2]), rel=1e-5)


def test_removing_encodes_the_video_again(source, model, whole):
    name, frames = whole["id"][1], int(whole["num_frames"][1])
    removed = [0, 4, frames - 1]
    (before,), (after,) = source.evidence(name), source.evidence(name, removed=removed)
    left = np.delete(np.arange(frames), removed)
    batch = {key: whole[key][1:2, left] for key in ("rgb", "audio")} | {
        "num_frames": np.array([len(left)], np.int32)
    }
    np.testing.assert_allclose(after.weights, attention_weights(model, batch)[0], atol=1e-6)
    np.testing.assert_allclose(
        after.scores, model.predict_on_batch(batch)[0, list(before.classes)], atol=1e-6
    )
    assert after.classes == before.classes and after.times.tolist() == left.tolist()
    # Masking answers another question: the neighbours' states had seen the frames.
    assert np.abs(scores_of(before, optimize_weights(before, masked=removed)) - after.scores).max() > 1e-4


def test_what_cannot_be_removed(source, whole):
    name, frames = whole["id"][1], int(whole["num_frames"][1])
    with pytest.raises(UsageError, match=r"No frame of .* is left"):
        source.evidence(name, removed=range(frames))
    with pytest.raises(UsageError, match=f"frames 0 to {frames - 1}. Received: {frames}"):
        source.evidence(name, removed=[frames])


def test_a_mixture_of_experts_is_told_by_occlusion(dataset, whole):
    model = model_for(dataset, classifier="mixture_of_experts", encoder="none")
    source = ModelSource(model, dataset)
    (found,) = source.evidence(whole["id"][0])
    assert found.contributions is None and found.biases is None
    # Frames encoded one by one know nothing of each other: there, masking one is removing it.
    (after,) = source.evidence(whole["id"][0], removed=[5])
    np.testing.assert_allclose(found.occlusion[5], found.scores - after.scores, atol=1e-5)


def test_true_classes_are_always_carried(source, whole):
    (found,) = source.evidence(whole["id"][0])
    assert set(found.true) <= set(found.classes)
    assert len(found.classes) == CARRIED
    assert (np.diff(found.scores) <= 0).all()
    assert found.names[0] == source.dataset.class_names[found.classes[0]]


def test_classes_can_be_chosen_by_name_or_number(source, whole):
    names = source.dataset.class_names
    (found,) = source.evidence(whole["id"][0], classes=[3, names[1], 3])
    assert found.classes == (3, 1)
    with pytest.raises(UsageError, match=f"no class '{names[1]}x'.*Did you mean"):
        source.evidence(whole["id"][0], classes=[names[1] + "x"])
    with pytest.raises(UsageError, match="no class 99"):
        source.evidence(whole["id"][0], classes=[99])


def test_videos_by_id_and_by_class(source, dataset, whole):
    assert list(source.videos)[:6] == whole["id"].tolist() and len(source.videos) == 100
    first = whole["id"][0]
    label = int(np.flatnonzero(whole["labels"][0])[0])
    assert (
        source.videos[first].startswith(f"{first} · ") and dataset.class_names[label] in source.videos[first]
    )
    assert first in source.videos_of(label) and source.videos_of(label) == source.videos_of(
        dataset.class_names[label]
    )
    assert source.classes[label] == len(source.videos_of(label))
    with pytest.raises(UsageError, match=f"no video '{first}0'.*Did you mean '{first}'"):
        source.evidence(f"{first}0")


def test_the_worst_mistakes_of_a_run_need_no_pass_of_its_model(of_run, monkeypatch):
    monkeypatch.setattr(type(of_run.opened[0]), "predict", lambda *_: pytest.fail("the model was asked"))
    worst = of_run.worst(limit=5)
    told = of_run.opened[0].run.predictions
    scores, labels = told.scores.astype(float).clip(1e-4, 1 - 1e-4), told.labels
    loss = -np.where(labels, np.log(scores), np.log(1 - scores)).sum(axis=1)
    assert list(worst) == told.ids[np.argsort(-loss)[:5]].tolist()
    assert "is true and scored 0." in next(iter(worst.values()))


def test_a_models_own_mistakes_are_looked_for(source, model):
    worst = source.worst(limit=3)
    assert len(worst) == 3 and set(worst) <= set(source.videos)


def test_runs_side_by_side_carry_the_same_classes(model, dataset, smoke_runs):
    source = ModelSource([smoke_runs["attention"], model, model], dataset)
    found = source.evidence(next(iter(source.videos)))
    assert [each.run for each in found] == source.runs == ["Bi-GRU, attention", "dmlkit", "dmlkit (3)"]
    assert len({each.classes for each in found}) == 1
    assert found[0].frames == 10 < found[1].frames  # the smoke profile reads ten frames
    (first, second, _) = source.evidence(next(iter(source.videos)), removed=[9])
    assert 9 not in first.times and 9 not in second.times
    with pytest.raises(UsageError, match="Between 1 and 3 runs"):
        ModelSource([model] * 4, dataset)


def test_no_graph_is_made_for_another_video(source):
    for name in list(source.videos)[:12]:
        source.evidence(name)
    traced = source.opened[0]._opened._parts.predict_function
    before = (
        traced.experimental_get_tracing_count() if hasattr(traced, "experimental_get_tracing_count") else None
    )
    if before is None:
        pytest.skip("this Keras does not tell how often it traced")
    for name in list(source.videos)[12:30]:
        source.evidence(name)
        source.evidence(name, removed=[0])
    assert traced.experimental_get_tracing_count() == before


def test_a_run_without_attention_says_who_has_it(smoke_runs, dataset):
    with pytest.raises(
        UsageError, match=r"lr has no attention.*pooling 'attention'.*bi_gru.*attention-bi-lstm"
    ):
        ModelSource(smoke_runs["lr"], dataset)


def test_a_model_without_attention_says_who_has_it(dataset):
    with pytest.raises(UsageError, match=r"has no attention. Only the pooling 'attention'"):
        ModelSource(model_for(dataset, pooling="mean"), dataset)


def test_runs_and_data_that_are_gone(smoke_runs, generated, tmp_path):
    run = smoke_runs["attention"]
    with pytest.raises(DataError, match=f"no folder {tmp_path / 'gone'}"):
        ModelSource(run, tmp_path / "gone")
    with pytest.raises(DataError, match="no finished run"):
        ModelSource(str(tmp_path / "run"), generated)
    folder = shutil.copytree(generated, tmp_path / "copy")
    source = ModelSource(run, folder)
    source.evidence(next(iter(source.videos)))
    for shard in source.dataset.splits["validate"]:
        shutil.os.remove(shard)
    with pytest.raises(DataError, match="is not there"):
        source.evidence(list(source.videos)[60])


def test_a_run_without_its_model(smoke_runs, generated, tmp_path):
    folder = shutil.copytree(smoke_runs["attention"].path, tmp_path / "run")
    (folder / "model.keras").unlink()
    with pytest.raises(DataError, match=r"holds no model\.keras"):
        ModelSource(folder, generated)


def test_other_data_are_refused_or_named(smoke_runs, model, generated, tmp_path):
    from dmlkit.data import synthesize

    other = synthesize(tmp_path / "other", train=20, validate=10, test=0, seed=5)
    assert (
        "Trained on other data than these: Bi-GRU, attention"
        in ModelSource(smoke_runs["attention"], other).note
    )
    wide = build(features={"rgb": (7, "byte")}, level="frame", num_classes=3, pooling="attention", units=2)
    with pytest.raises(UsageError, match=r"other data: it reads rgb \(7\) and scores 3.*audio"):
        ModelSource(wide, generated)


def test_a_part_without_labels(model, dataset):
    source = ModelSource(model, dataset, split="test")
    (found,) = source.evidence(next(iter(source.videos)))
    assert found.true is None and source.classes == {}
    with pytest.raises(UsageError, match=r"'test' part .* carries no labels"):
        source.worst()


def test_a_model_that_diverged_is_refused(dataset):
    model = model_for(dataset)
    weight = model.get_layer("attention").context
    weight.assign(np.full(weight.shape, np.nan))
    source = ModelSource(model, dataset)
    with pytest.raises(DataError, match=r"weights holds nan.*diverged"):
        source.evidence(next(iter(source.videos)))


def test_markup_in_names_passes_through_as_it_is(model, dataset):
    from dataclasses import replace

    evil = ("<script>alert('x')</script>", *dataset.class_names[1:])
    source = ModelSource(model, replace(dataset, class_names=evil))
    (found,) = source.evidence(next(iter(source.videos)), classes=[0])
    assert json.loads(json.dumps(found.to_json()))["names"] == [evil[0]]


def test_real_clips(real_data):
    dataset = open_dataset(real_data / "audioset-frame")
    source = ModelSource(model_for(dataset), dataset, max_videos=50)
    for name in list(source.videos)[:5]:
        (found,) = source.evidence(name)
        assert found.frames <= 10 and list(found.energy) == ["audio"] and not found.planted
        np.testing.assert_allclose(scores_of(found, optimize_weights(found)), found.scores, atol=1e-5)
