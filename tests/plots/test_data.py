import numpy as np
import pytest

from dmlkit import plots
from dmlkit.data import open_dataset
from dmlkit.plots.data import Survey


def test_a_survey_counts_every_label_and_frame(data):
    counted = plots.survey(data, "train")
    assert counted.videos_of_class.tolist() == [8, 0, 0, 8, 0, 0, 0, 0, 0, 0]
    assert counted.labels_of_video.tolist() == [2] * 8
    assert counted.frames_of_video.tolist() == [12] * 8


def test_a_survey_is_drawn_with_and_without_frames(data, make_data, shown):
    plot = shown(plots.data_survey(plots.survey(data), data))
    assert "2.00 labels on average" in plot.alt and "12.0 on average" in plot.alt
    video_level = make_data(level="video")
    assert len(shown(plots.data_survey(plots.survey(video_level), video_level)).figure.axes) == 2


def test_a_survey_of_nothing(data, shown):
    empty = Survey("test", np.zeros(10, int), np.zeros(0, int), np.zeros(0, int))
    assert "no labelled video" in shown(plots.data_survey(empty, data)).alt
    assert len(plots.most_frequent(empty, data, rows=3)) == 3


def test_the_most_frequent_classes_come_first(data):
    frame = plots.most_frequent(plots.survey(data), data, rows=2)
    assert frame["class"].tolist() == ["class 0", "class 3"]
    assert frame["kind"].tolist() == ["steady look", "short event"]
    assert frame["share of all labels"].tolist() == [0.5, 0.5]


def test_one_video_with_what_was_planted(data, batch, shown):
    plot = shown(plots.video(batch, data, kind="short event"))
    assert len(plot.figure.axes) == 3
    assert "class 3 in 2 of 12 seconds" in plot.alt


def test_one_video_of_real_data_of_one_modality_and_of_video_level(make_data, shown):
    for data, panels in (
        (make_data(generated=False, kinds=None), 2),
        (make_data(generated=False, kinds=None, features=("audio",)), 1),
        (make_data(level="video"), 2),
    ):
        batch = next(iter(data.batches("train", batch_size=8)))
        assert len(shown(plots.video(batch, data, kind="order")).figure.axes) == panels


def test_a_video_without_labels(data, batch, shown):
    unlabelled = {name: values for name, values in batch.items() if name != "labels"}
    assert "Labels: none given" in shown(plots.video(unlabelled, data)).alt


def test_the_video_is_of_the_kind_that_is_asked_for(data, batch):
    batch = batch | {"labels": np.eye(8, 10, dtype=np.float32)}
    assert "v4" in plots.video(batch, data, kind="order").alt
    assert "v0" in plots.video(batch, data, kind="of no such kind").alt


@pytest.mark.parametrize("level", ["", "video"])
def test_a_text_is_counted_and_its_hashes_are_no_frames(with_texts, level, shown):
    data = open_dataset(with_texts / level)
    batch = next(iter(data.batches("validate", batch_size=8)))
    plot = shown(plots.video(batch, data, split="validate"))
    words = int((batch["text"][0] > 0).sum())
    assert f"The text holds {words} different words." in plot.alt
    drawn = [ax.get_ylabel().split("\n")[0] for ax in plot.figure.axes]
    assert [name for name in drawn if name != "planted"] == ["rgb", "audio"]
    assert "text (words, hashed to 512 places)" in plots.data_note(data)
