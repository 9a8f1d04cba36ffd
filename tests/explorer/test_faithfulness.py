"""Do weights and explanations find what the scores depend on? On models made so that the answer is known."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dmlkit.errors import UsageError
from dmlkit.explorer.faithfulness import faithfulness_study, ground_truth_study
from dmlkit.explorer.sources import ModelSource
from dmlkit.metrics import average_precision_by_class, mean_interval
from dmlkit.models import attention_weights, build


def model_for(dataset, **parts):
    features = {each.name: (each.size, each.coding) for each in dataset.features.values()}
    settings = {"encoder": "none", "pooling": "attention", "normalization": "none"} | parts
    return build(features=features, level="frame", num_classes=dataset.num_classes, **settings)


@pytest.fixture(scope="module")
def faithful(dataset):
    """A model whose attention and whose highest class read the same number of each frame."""
    model = model_for(dataset, attention_units=1)
    size = model.get_layer("scores").kernel.shape[0]
    reads, kernel = np.zeros((size, 1)), np.zeros((size, dataset.num_classes))
    reads[3], kernel[3, 0] = 1, 2
    model.get_layer("attention").set_weights([reads, np.zeros(1), np.full((1, 1), 3.0)])
    model.get_layer("scores").set_weights([kernel, np.zeros(dataset.num_classes)])
    return model


@pytest.fixture(scope="module")
def study(faithful, dataset):
    return faithfulness_study(faithful, dataset, videos=12)


def test_faithful_attention_beats_random_orders(study, faithful, dataset):
    areas = study.areas
    gradients = ["gradient_input", "integrated_gradients"]
    assert list(areas.index) == ["attention", "contribution", *gradients, "occlusion", "random"]
    assert areas.loc["attention", "deletion_against_random_high"] < 0
    assert areas.loc["attention", "insertion_against_random_low"] > 0
    assert (areas["deletion_low"] <= areas["deletion"]).all()
    assert (areas["deletion"] <= areas["deletion_high"]).all()
    assert study.videos == 12 and study.question == "remove" and study.generated
    curves = study.curves.set_index(["curve", "order", "share"])["score"]
    for order in areas.index:
        assert curves["deletion", order, 0.0] == pytest.approx(curves["insertion", order, 1.0], abs=1e-6)
        assert curves["deletion", order, 1.0] == pytest.approx(0.5, abs=1e-6)  # its bias is 0
    # Its frames do not depend on each other, so that masking is removing.
    masked = faithfulness_study(ModelSource(faithful, dataset, max_videos=12), question="mask")
    np.testing.assert_allclose(masked.areas["deletion"], areas["deletion"], atol=1e-4)


def test_frames_that_made_a_label_are_ranked_by_weight(dataset):
    # It reads every number of a frame: one byte alone has few values, and ties would depend on the processor.
    model = model_for(dataset, attention_units=1)
    reads = np.random.default_rng(0).normal(0, 0.05, model.get_layer("attention").get_weights()[0].shape)
    model.get_layer("attention").set_weights([reads, np.zeros(1), np.full((1, 1), 3.0)])
    study = faithfulness_study(model, dataset, videos=12, seeds=2)
    batch = next(iter(dataset.batches("validate", batch_size=12, max_videos=12)))
    weights, truth, found, shares = attention_weights(model, batch), dataset.truth("validate"), [], []
    videos = []
    for row, name in enumerate(batch["id"]):
        frames = batch["num_frames"][row]
        for made in truth[name].values():
            right = np.isin(np.arange(frames), made)
            if not right.all():
                found.append(average_precision_by_class(weights[row, :frames, None], right[:, None])[0])
                shares.append(right.mean())
                videos.append(name)
    everything = study.ground_truth.loc["all"]
    assert everything["attention"] == pytest.approx(np.mean(found), abs=1e-6)
    assert everything["uniform"] == pytest.approx(np.mean(shares))
    assert len(set(videos)) < len(videos)  # several labels share a video, which is resampled
    ends = everything[["attention_low", "attention_high"]].tolist()
    assert ends == pytest.approx(list(mean_interval(found, videos=videos)), abs=1e-6)
    assert everything["labels"] == len(found) == study.ground_truth["labels"][:-1].sum()
    table = ground_truth_study(model, dataset, videos=12).loc[model.name]
    assert table.loc["attention", "precision"] == everything["attention"]
    difference = table.loc["attention", ["difference", "difference_low", "difference_high"]].tolist()
    paired = mean_interval(np.subtract(found, shares), videos=videos)
    assert difference == pytest.approx([np.subtract(found, shares).mean(), *paired], abs=1e-6)


def test_every_explanation_of_a_linear_model_ranks_frames_by_their_signed_contribution(dataset):
    # Its score is σ of the mean of x·w, so that gradients and occlusion rank frames as x·w does, not as its magnitude.
    model, found = model_for(dataset, pooling="mean"), []
    kernel = model.get_layer("scores").get_weights()[0]
    batch = next(iter(dataset.batches("validate", batch_size=12, max_videos=12)))
    names = [name for name in model.input if name != "num_frames"]
    features = np.concatenate([batch[name] for name in names], axis=-1).astype(np.float64)
    for row, name in enumerate(batch["id"]):
        for label, made in dataset.truth("validate")[name].items():
            right = np.isin(np.arange(batch["num_frames"][row]), made)
            if not right.all():
                values = features[row, : len(right)] @ kernel[:, label]
                found.append(average_precision_score(right, values))
    table = ground_truth_study([model], dataset, videos=12).loc[model.name]
    explanations = ["gradient_input", "integrated_gradients", "occlusion", "masking"]
    assert list(table.index) == ["contribution", *explanations, "uniform"]
    np.testing.assert_allclose(table["precision"].iloc[:-1], np.mean(found), atol=2e-3)
    assert (table["labels"] == len(found)).all() and (table.loc["uniform", "difference":] == 0).all()


@pytest.mark.parametrize(
    "parts, criteria",
    [
        ({"encoder": "lstm", "pooling": "last"}, []),
        (
            {"encoder": "hidden", "pooling": "last", "classifier": "class_attention"},
            ["attention", "own", "contribution", "masking"],
        ),
        (
            {"encoder": "transformer", "pooling": "feature_attention"},
            ["attention", "own", "rollout", "contribution", "masking"],
        ),
    ],
)
def test_a_model_has_the_criteria_that_its_parts_give(parts, criteria, dataset):
    model = model_for(dataset, units=8, layers=1, **parts)
    table = ground_truth_study(model, dataset, videos=2).loc[model.name]
    criteria = {"gradient_input", "integrated_gradients", "occlusion", *criteria}
    assert set(table.index) == criteria | {"uniform"}
    study = faithfulness_study(model, dataset, videos=2, seeds=1)
    assert set(study.areas.index) == criteria - {"masking"} | {"random"}


def test_no_run_and_an_unknown_question(dataset, faithful):
    assert faithfulness_study(None) is None
    with pytest.raises(UsageError, match=r"Unknown question 'delete'.*remove, mask"):
        faithfulness_study(faithful, dataset, question="delete")
