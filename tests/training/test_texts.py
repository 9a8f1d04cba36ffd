"""A data set with texts: trained on with every trick that touches inputs, evaluated, handed in."""

from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.data import open_dataset
from dmlkit.predictions import gather
from dmlkit.profiles import SMOKE
from dmlkit.training.prediction import batch_size, score_split as predict, scorer


@pytest.fixture(scope="module")
def run(with_texts, tmp_path_factory):
    profile = replace(SMOKE, epochs=1, mixup=0.4, modality_dropout=0.3, input_dropout=0.1)
    out = tmp_path_factory.mktemp("texts") / "run"
    return dmlkit.train("bi-gru-projection", data=with_texts, profile=profile, out=out, progress="silent")


def test_a_run_says_its_three_modalities_and_scores_from_disk(run, with_texts):
    assert run.record["data"]["features"] == {"rgb": 64, "audio": 16, "text": 512}
    loaded = dmlkit.load_run(run.path)
    profile = replace(SMOKE, max_validate_videos=20)
    found = predict(loaded.model, open_dataset(with_texts), "validate", profile=profile)
    np.testing.assert_allclose(found.scores, run.predictions.scores[:20], atol=1e-3)


def test_a_run_is_evaluated_and_handed_in(run, with_texts, tmp_path):
    assert dmlkit.evaluate(run, data=with_texts)["gap"] == pytest.approx(run.gap, abs=1e-3)
    dmlkit.training.submit(run, data=with_texts, split="test", out=tmp_path / "test.csv")
    assert len((tmp_path / "test.csv").read_text().splitlines()) == 21


def test_the_text_reaches_the_scores(run, with_texts):
    batches = open_dataset(with_texts).batches("validate", batch_size=30, max_videos=30, max_frames=10)
    score = scorer(run.model)
    silent = [{**batch, "text": np.zeros_like(batch["text"])} for batch in batches]
    differences = np.abs(gather(silent, score).scores - gather(batches, score).scores).max(axis=1)
    said = np.concatenate([batch["text"].any(axis=1) for batch in batches])
    np.testing.assert_array_equal(differences > 0, said)


def test_a_text_takes_its_room_once_a_video(generated, with_texts):
    plain, said = open_dataset(generated), open_dataset(with_texts)
    # 16 MiB of float32: 80 numbers a frame, 300 frames; and 512 beside.
    assert batch_size(plain, None) == (16 << 20) // (4 * 80 * 300)
    assert batch_size(said, None) == (16 << 20) // (4 * (80 * 300 + 512))
    assert batch_size(open_dataset(with_texts / "video"), None) == 1024


def test_data_without_the_texts_are_refused(run, generated):
    with pytest.raises(dmlkit.UsageError, match="trained on other features"):
        dmlkit.evaluate(run, data=generated)
