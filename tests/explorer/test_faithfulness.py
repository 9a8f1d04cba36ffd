"""Is attention right? On models made so that the answer is known, and in words whose numbers are the data's."""

import numpy as np
import pytest

from dmlkit.data import open_dataset
from dmlkit.errors import UsageError
from dmlkit.explorer.faithfulness import faithfulness_study
from dmlkit.explorer.sources import ModelSource
from dmlkit.metrics import average_precision_by_class
from dmlkit.models import attention_weights, build
from dmlkit.plots import faithfulness, faithfulness_numbers, say_faithfulness


def model_for(dataset, **parts):
    features = {each.name: (each.size, each.coding) for each in dataset.features.values()}
    settings = {"encoder": "none", "pooling": "attention", "normalization": "none"} | parts
    return build(features=features, level="frame", num_classes=dataset.num_classes, **settings)


@pytest.fixture(scope="module")
def dataset(generated):
    return open_dataset(generated)


@pytest.fixture(scope="module")
def telling(dataset):
    """A model whose highest class is what its attention looks at: both read the same number of each frame."""
    model = model_for(dataset, attention_units=1)
    size = model.get_layer("scores").kernel.shape[0]
    reads = np.zeros((size, 1))
    reads[3] = 1
    model.get_layer("attention").set_weights([reads, np.zeros(1), np.full((1, 1), 3.0)])
    kernel = np.zeros((size, dataset.num_classes))
    kernel[3, 0] = 2
    model.get_layer("scores").set_weights([kernel, np.zeros(dataset.num_classes)])
    return model


@pytest.fixture(scope="module")
def study(telling, dataset):
    return faithfulness_study(telling, dataset, videos=12)


def test_attention_that_is_right_beats_random_orders(study):
    areas = study.areas
    assert list(areas.index) == ["attention", "contribution", "occlusion", "random"]
    assert areas.loc["attention", "deletion_against_random_high"] < 0
    assert areas.loc["attention", "insertion_against_random_low"] > 0
    assert (areas["deletion_low"] <= areas["deletion"]).all() and (
        areas["deletion"] <= areas["deletion_high"]
    ).all()
    assert study.videos == 12 and study.question == "remove" and study.generated


def test_curves_go_from_all_frames_to_none(study):
    curves = study.curves.set_index(["curve", "order", "share"])["score"]
    assert len(study.curves) == 2 * 4 * 11
    for order in study.areas.index:
        assert curves["deletion", order, 0.0] == pytest.approx(curves["insertion", order, 1.0], abs=1e-6)
        assert curves["deletion", order, 1.0] == pytest.approx(0.5, abs=1e-6)  # its bias is 0


def test_planted_frames_are_ranked_by_weight(dataset):
    """Against scikit-learn's sum in another function of ours, label by label."""
    # It reads every number of a frame. One byte alone has few values: frames that tie in one computation would be told
    # apart in the other, on some processors, by the last digit of an exponential.
    model = model_for(dataset, attention_units=1)
    reads = np.random.default_rng(0).normal(0, 0.05, model.get_layer("attention").get_weights()[0].shape)
    model.get_layer("attention").set_weights([reads, np.zeros(1), np.full((1, 1), 3.0)])
    study = faithfulness_study(model, dataset, videos=12, seeds=2)
    batch = next(iter(dataset.batches("validate", batch_size=12)))
    weights, truth, found, shares = attention_weights(model, batch), dataset.truth("validate"), [], []
    for row, name in enumerate(batch["id"]):
        frames = batch["num_frames"][row]
        for made in truth[name].values():
            right = np.isin(np.arange(frames), made)
            if not right.all():
                found.append(average_precision_by_class(weights[row, :frames, None], right[:, None])[0])
                shares.append(right.mean())
    everything = study.planted.loc["all"]
    assert everything["attention"] == pytest.approx(np.mean(found), abs=1e-6)
    assert everything["uniform"] == pytest.approx(np.mean(shares))
    assert everything["labels"] == len(found) == study.planted["labels"][:-1].sum()


def test_masking_and_removing_agree_where_frames_know_nothing_of_each_other(study, telling, dataset):
    masked = faithfulness_study(ModelSource(telling, dataset), videos=12, question="mask")
    np.testing.assert_allclose(masked.areas["deletion"], study.areas["deletion"], atol=1e-4)
    assert masked.question == "mask"


def test_a_classifier_that_is_not_linear_has_no_contributions(dataset):
    study = faithfulness_study(
        model_for(dataset, classifier="mixture_of_experts"), dataset, videos=3, seeds=2
    )
    assert list(study.areas.index) == ["attention", "occlusion", "random"]
    assert "contribution" not in study.planted.columns
    assert faithfulness(study).png().startswith(b"\x89PNG") and say_faithfulness(study)


def test_a_run(smoke_runs, generated):
    study = faithfulness_study(smoke_runs["attention"], generated, videos=4, seeds=2)
    assert study.run == "Bi-GRU, attention" and study.videos == 4


def test_what_cannot_be_asked(telling, dataset, smoke_runs):
    with pytest.raises(UsageError, match=r"Unknown question 'delete'.*remove, mask"):
        faithfulness_study(telling, dataset, question="delete")
    with pytest.raises(UsageError, match="lr has no attention"):
        faithfulness_study(smoke_runs["lr"], dataset)


def test_the_words_are_the_studys_numbers(study):
    said = say_faithfulness(study)
    at = study.areas.loc["attention"]
    assert "Attention is not by itself an explanation" in said
    assert (
        f"an area of {at['deletion']:.3f} [{at['deletion_low']:.3f}, {at['deletion_high']:.3f}] under the score"
        in said
    )
    assert (
        "attention is better than random orders of the same videos (paired difference -" in said
        and "generated data" in said
    )
    assert f"({study.planted.loc['all', 'uniform']:.3f} by uniform weights" in said
    table = faithfulness_numbers(study)
    assert table.loc["attention", "deletion area"] == at["deletion"]
    assert table.loc["uniform weights", "planted frames found"] == study.planted.loc["all", "uniform"]


def test_the_figure_says_what_data_it_is(study):
    plot = faithfulness(study)
    assert "generated data" in plot.figure.get_suptitle() and plot.png().startswith(b"\x89PNG")
    assert say_faithfulness(study) in plot.alt
    assert len(plot.figure.axes) == 3


def test_no_run_with_attention_is_said():
    assert faithfulness_study(None) is None
    assert "no model with attention" in faithfulness(None).alt
    assert "nothing to ask" in say_faithfulness(None)


def test_real_clips_have_no_planted_frames(real_data):
    dataset = open_dataset(real_data / "audioset-frame")
    study = faithfulness_study(model_for(dataset), dataset, videos=5, seeds=2)
    assert study.planted.empty and not study.generated
    assert "Nobody knows which frames made these labels" in say_faithfulness(study)
    assert len(faithfulness(study).figure.axes) == 2


def test_occlusion_is_named_by_what_was_done(telling, dataset):
    from dmlkit.plots.faithfulness import faithfulness_numbers, say_faithfulness

    for question, done in (("remove", "removed"), ("mask", "masked")):
        study = faithfulness_study(telling, dataset, videos=3, question=question, seeds=1)
        assert f"occlusion (each frame {done} alone)" in faithfulness_numbers(study).index
        assert f"occlusion is each frame {done} alone" in say_faithfulness(study)
