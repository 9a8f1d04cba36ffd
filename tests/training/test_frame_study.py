import numpy as np
import pytest

from dmlkit.data import open_dataset
from dmlkit.metrics import global_average_precision
from dmlkit.training import frame_study, predict
from dmlkit.training.frame_study import COLUMNS


@pytest.fixture(scope="module")
def dataset(generated):
    return open_dataset(generated)


def test_every_choice_and_count_is_scored(smoke_runs, dataset):
    study = frame_study(smoke_runs["attention"], dataset, counts=(5, None))
    assert list(study.columns) == list(COLUMNS)
    assert study["frames"].tolist() == ["5", "all"] * 3
    assert study["choice"].tolist() == ["first", "first", "uniform", "uniform", "random", "random"]
    assert ((study["gap_low"] <= study["gap"]) & (study["gap"] <= study["gap_high"])).all()
    assert (study["videos"] == 20).all()
    assert (study["seconds"] > 0).all()
    # All frames are the same frames, however they were chosen.
    assert study.loc[study["frames"] == "all", "gap"].nunique() == 1


def test_a_count_is_what_the_model_is_given(smoke_runs, dataset):
    run = smoke_runs["attention"]
    study = frame_study(run, dataset, counts=(5,))
    by_hand = predict(run.model, dataset, "tuning", profile="smoke", frame_choice="uniform", max_frames=5)
    expected = global_average_precision(by_hand.scores.astype(np.float32), by_hand.labels)
    assert study.set_index("choice").loc["uniform", "gap"] == pytest.approx(expected, abs=1e-4)


def test_without_frames_there_is_nothing_to_study(smoke_runs, generated):
    videos = open_dataset(generated / "video")
    assert frame_study(smoke_runs["lr"], videos).empty
    assert frame_study(None, videos).empty
