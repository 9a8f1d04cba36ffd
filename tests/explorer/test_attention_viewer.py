"""The viewer without a browser: what it knows, what can be set, what a saved page keeps."""

from dataclasses import replace

import numpy as np
import pytest

from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.explorer import AttentionViewer
from dmlkit.models import attention_weights, build

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def dataset(generated):
    return open_dataset(generated)


def model_for(dataset, *, pooling: str = "attention"):
    features = {name: (feature.size, feature.coding) for name, feature in dataset.features.items()}
    return build(
        features=features,
        level="frame",
        num_classes=dataset.num_classes,
        encoder="bi_gru",
        units=4,
        layers=1,
        pooling=pooling,
    )


@pytest.fixture(scope="module")
def model(dataset):
    return model_for(dataset)


@pytest.fixture
def viewer(model, dataset):
    return AttentionViewer(model, dataset, videos=5)


@pytest.fixture(scope="module")
def whole(dataset):
    """The first five videos of the validation part, all their frames."""
    return next(iter(dataset.batches("validate", batch_size=5)))


def test_weights_and_scores_are_the_models(viewer, model, whole):
    weights, scores = (
        attention_weights(model, whole),
        model.predict_on_batch({n: whole[n] for n in model.input}),
    )
    assert list(viewer.videos) == whole["id"].tolist()
    for row, name in enumerate(whole["id"]):
        viewer.video = name
        frames = whole["num_frames"][row]
        np.testing.assert_allclose(viewer.weights, weights[row, :frames], atol=1e-6)
        np.testing.assert_allclose(viewer.scores, scores[row], atol=1e-6)
        assert viewer.weights.sum() == pytest.approx(1, abs=1e-5)
        assert viewer.videos[name].true == tuple(np.flatnonzero(whole["labels"][row]))


def test_it_begins_at_the_frame_that_weighs_most(viewer, whole):
    assert viewer.video == whole["id"][0]
    assert viewer.frame == viewer.weights.argmax()


def test_a_frame_that_is_set_is_marked_and_told(viewer):
    viewer.frame = 3
    still = viewer._repr_mimebundle_()
    assert "Frame 4 of" in still["text/html"] and "at 3 s" in still["text/html"]
    assert f"{viewer.weights[3]:.4f}" in still["text/html"]
    assert f"frame 4 of {len(viewer.weights)}" in still["text/plain"]


def test_moving_the_slider_leaves_the_bars_as_they_are(viewer):
    parts = ("_bars", "_classes", "_mark", "_sentence")
    viewer.frame = 0
    before = {part: getattr(viewer, part).value for part in parts}
    viewer._slider.value = 5  # what the browser does
    changed = {part for part in parts if getattr(viewer, part).value != before[part]}
    assert viewer.frame == 5
    assert changed == {"_mark", "_sentence"}


def test_every_frame_can_be_reached_in_videos_of_any_length(viewer):
    for name, video in viewer.videos.items():
        viewer.video = name
        viewer.frame = len(video.weights) - 1
        assert f"Frame {len(video.weights)} of {len(video.weights)}" in viewer._sentence.value
        assert viewer._bars.value.count('<rect class="bar"') == len(video.weights)
        viewer.frame = 0


def test_what_cannot_be_chosen_is_said(viewer):
    with pytest.raises(UsageError, match=r"no video 'validate00000'.*Did you mean 'validate00000"):
        viewer.video = "validate00000"
    with pytest.raises(UsageError, match=f"frames 0 to {len(viewer.weights) - 1}"):
        viewer.frame = len(viewer.weights)
    with pytest.raises(UsageError, match="frame=-1"):
        viewer.frame = -1


def test_planted_frames_are_those_of_the_truth(viewer, dataset):
    truth = dataset.truth("validate")
    for name, video in viewer.videos.items():
        assert set(video.planted) == set(truth[name])
        for label, frames in video.planted.items():
            np.testing.assert_array_equal(np.flatnonzero(frames), truth[name][label])
    label, frames = next(iter(viewer.videos[viewer.video].planted.items()))
    viewer.frame = int(np.flatnonzero(frames)[0])
    assert dataset.class_names[label] in viewer._sentence.value


@pytest.mark.parametrize("choice", ["first", "uniform", "random"])
def test_chosen_frames_keep_their_second_and_their_truth(model, dataset, whole, choice):
    viewer = AttentionViewer(model, dataset, videos=5, frame_choice=choice, max_frames=6)
    chosen = next(iter(dataset.batches("validate", batch_size=5, frame_choice=choice, max_frames=6)))
    truth = dataset.truth("validate")
    for row, (name, video) in enumerate(viewer.videos.items()):
        seconds = video.times.astype(int)
        np.testing.assert_array_equal(whole["rgb"][row][seconds], chosen["rgb"][row][: len(seconds)])
        for label, frames in video.planted.items():
            np.testing.assert_array_equal(frames, np.isin(seconds, truth[name][label]))


def test_class_names_with_markup_stay_text(model, dataset):
    evil = replace(dataset, name=EVIL, class_names=tuple(f"{EVIL}{n}" for n in range(dataset.num_classes)))
    viewer = AttentionViewer(model, evil, videos=1)
    shown = [viewer._repr_mimebundle_()["text/html"]]
    shown += [part.value for part in (viewer._bars, viewer._mark, viewer._sentence, viewer._classes)]
    assert not any("<script" in part for part in shown)
    assert "&lt;script&gt;" in shown[0]


def test_a_saved_page_keeps_a_still_picture(viewer):
    bundle = viewer._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == viewer.widget.model_id
    assert bundle["text/html"].count('<rect class="bar"') >= len(viewer.weights)
    assert "in JupyterLab" in bundle["text/html"]
    assert "http" not in bundle["text/html"]
    assert viewer.video in bundle["text/plain"]


def test_a_part_without_labels_is_shown_without_them(model, dataset):
    viewer = AttentionViewer(model, dataset, split="test", videos=2)
    assert viewer.videos[viewer.video].true is None
    assert viewer.videos[viewer.video].planted == {}
    assert "planted" not in viewer._sentence.value


def test_a_run_is_read_as_it_was_trained(smoke_runs, dataset):
    run = smoke_runs["attention"]
    by_path = AttentionViewer(run.path, dataset, videos=3)
    by_run = AttentionViewer(run, dataset, videos=3)
    assert all(len(video.weights) <= 10 for video in by_run.videos.values())  # the smoke profile reads ten
    np.testing.assert_array_equal(by_path.weights, by_run.weights)
    np.testing.assert_allclose(by_run.scores, run.predictions.scores[0], atol=2e-3)


def test_a_run_without_attention_says_which_have_it(smoke_runs, dataset):
    with pytest.raises(
        UsageError, match=r"lr has no attention: its pooling is 'mean'.*'attention'.*attention-bi-lstm"
    ):
        AttentionViewer(smoke_runs["lr"], dataset)
    with pytest.raises(UsageError, match="has no attention"):
        AttentionViewer(model_for(dataset, pooling="mean"), dataset)


def test_data_that_do_not_fit_the_model_are_named(model, dataset, generated):
    with pytest.raises(UsageError, match="one vector a video"):
        AttentionViewer(model, open_dataset(generated / "video"))
    with pytest.raises(UsageError, match=r"made for other data.*24 classes.*23 classes"):
        AttentionViewer(model, replace(dataset, num_classes=23))
    with pytest.raises(UsageError, match="no split 'validat'"):
        AttentionViewer(model, dataset, split="validat")
    with pytest.raises(UsageError, match="videos=0"):
        AttentionViewer(model, dataset, videos=0)
    with pytest.raises(DataError, match="no finished run"):
        AttentionViewer(generated / "nothing", dataset)
