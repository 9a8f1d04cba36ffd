"""The generated data are as documented: the same bytes for a seed, the stated counts, events and cancellations.

And what can be recognized of them, by whom: all of it by the oracle, by a mean only what means keep.
"""

import csv
import hashlib
import json
import re
from collections import Counter

import numpy as np
import pytest
from oracle import Oracle
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from dmlkit.data import SyntheticSettings, open_dataset, read_settings, synthesize, synthetic
from dmlkit.data.synthetic import (
    ORDER,
    SHORT_EVENT,
    STEADY_AUDIO,
    STEADY_VISUAL,
    TOGETHER,
    Stream,
    classes_of,
    make_templates,
    make_texts,
    make_video,
    pairs_of,
)
from dmlkit.errors import UsageError

SMALL = {"train": 40, "validate": 20, "test": 4}
# Of every shard of SMALL with seed 0, and of the texts of 50 videos. Another value means other data: what was measured
# before can no longer be compared.
DIGEST = "fbbeafbf190c73e4e73e5e6829a38545a125fe2f6a125556f531b52d507a04a4"
TEXTS_DIGEST = "6a4e2b4ecc3379ac2c38555350e5eb02e84ffbf541569f3c7758afbe671cd6cc"


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    return synthesize(tmp_path_factory.mktemp("data") / "generated")


@pytest.fixture(scope="module")
def whole(default):
    """Split → all its videos as one batch."""
    dataset = open_dataset(default)
    return {split: next(iter(dataset.batches(split, batch_size=5000))) for split in dataset.splits}


@pytest.fixture(scope="module")
def means_scores(default):
    """Scores of scikit-learn's logistic regression on the video level, for the validation split."""
    video = open_dataset(default / "video")
    train, validation = (next(iter(video.batches(split, batch_size=5000))) for split in ("train", "validate"))
    seen, unseen = (np.concatenate([each["rgb"], each["audio"]], axis=1) for each in (train, validation))
    columns = []
    for labels in train["labels"].T:
        model = LogisticRegression(C=0.1, max_iter=500).fit((seen - seen.mean(0)) / seen.std(0), labels)
        columns.append(model.decision_function((unseen - seen.mean(0)) / seen.std(0)))
    return np.stack(columns, axis=1)


def digest(folder):
    total = hashlib.sha256()
    for file in sorted(folder.rglob("*.tfrecord")):
        total.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return total.hexdigest()


def precisions(batch, scores):
    pairs = zip(batch["labels"].T, scores.T, strict=True)
    return np.array([average_precision_score(labels, each) for labels, each in pairs])


def test_the_bytes_are_a_function_of_the_seed(tmp_path):
    here = synthesize(tmp_path / "a", **SMALL)
    assert digest(here) == DIGEST != digest(synthesize(tmp_path / "b", seed=1, **SMALL))
    assert "text" not in (here / "dataset.toml").read_text() + (here / "generated.json").read_text()
    texts = [make_texts(Stream(0, 1, number, 1), [number % 24]) for number in range(50)]
    assert hashlib.sha256(json.dumps(texts).encode()).hexdigest() == TEXTS_DIGEST
    few, many = SyntheticSettings(train=20), SyntheticSettings(train=2000, validate=7)
    one, same = (make_video(each, make_templates(each), split="train", number=11) for each in (few, many))
    assert one.labels == same.labels and (one.frames["rgb"] == same.frames["rgb"]).all()


def test_the_folder_is_laid_out_as_promised(default, whole):
    for level, keys in (("frame", ["rgb", "audio"]), ("video", ["mean_rgb", "mean_audio"])):
        shards = Counter(re.match("[a-z]+", path.name)[0] for path in (default / level).glob("*.tfrecord"))
        assert shards == {"train": 20, "validate": 10, "test": 2}
        dataset = open_dataset(default if level == "frame" else default / "video")
        assert dataset.level == level and dataset.generated and "generated" in dataset.name
        assert [feature.key for feature in dataset.features.values()] == keys
        counts = {split: dataset.num_videos(split) for split in dataset.splits}
        assert counts == {"train": 1800, "tuning": 200, "validate": 1000, "test": 200}
        assert dataset.labelled == {"train", "tuning", "validate"}
        assert dataset.class_kinds == synthetic.CLASS_KINDS
        kinds = zip(dataset.class_names, dataset.class_kinds, strict=True)
        assert len(set(dataset.class_names)) == 24 and all(name.startswith(kind) for name, kind in kinds)
    assert read_settings(default) == SyntheticSettings()
    assert list(default.parent.iterdir()) == [default], "nothing else is left"
    for split in dataset.splits:
        video = next(iter(dataset.batches(split, batch_size=5000)))
        assert list(video["id"]) == list(whole[split]["id"]) and ("labels" in video) == (split != "test")
        for at, time in enumerate(whole[split]["num_frames"][:200]):
            frames = whole[split]["audio"][at, :time].astype(np.float64) * 4 / 255 + 4 / 512 - 2
            np.testing.assert_allclose(video["audio"][at], frames.mean(axis=0), atol=1e-6)


def test_the_vocabulary_counts_the_training_videos(default, whole):
    counts = sum(whole[split]["labels"].sum(axis=0) for split in ("train", "tuning"))
    with open(default / "vocabulary.csv", newline="") as file:
        np.testing.assert_array_equal([int(row["TrainVideoCount"]) for row in csv.DictReader(file)], counts)


def test_truth_names_the_frames_of_every_label(default, whole):
    truth, batch, starts = open_dataset(default).truth("validate"), whole["validate"], []
    assert len(truth) == 1000
    for at, video_id in enumerate(batch["id"]):
        num_frames = batch["num_frames"][at]
        assert sorted(truth[video_id]) == np.flatnonzero(batch["labels"][at]).tolist()
        for label, frames in truth[video_id].items():
            assert frames[0] >= 0 and frames[-1] < num_frames and (np.diff(frames) == 1).all()
            share, kind = len(frames) / num_frames, synthetic.CLASS_KINDS[label]
            if kind in (STEADY_VISUAL, STEADY_AUDIO):
                assert share == 1
            elif kind == SHORT_EVENT:
                assert len(frames) >= 2 and 0.05 <= share <= 0.10 + 1e-9
                starts.append(frames[0] / num_frames)
            else:
                assert len(frames) % 2 == 0 and 0.4 - 1e-9 <= share <= 0.6 + 1e-9
    assert min(starts) < 0.05 and max(starts) > 0.85, "events are anywhere in a video"


# The folder: whole or not at all, and nothing that is there is lost.


def test_what_is_there_is_left_or_refused(tmp_path):
    path = synthesize(tmp_path / "d", **SMALL)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    assert synthesize(path, **SMALL) == path
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before
    for other in ({"seed": 1}, {"text": True}):
        with pytest.raises(UsageError, match="other settings"):
            synthesize(path, **SMALL, **other)
    record = json.loads((path / "generated.json").read_text())
    (path / "generated.json").write_text(json.dumps(record | {"version": 0}))
    with pytest.raises(UsageError, match="already holds something else"):
        synthesize(path, **SMALL)
    with pytest.raises(UsageError, match="local folder"):
        synthesize("gs://bucket/generated")


def test_an_interrupted_generation_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(synthetic.schema, "write_dataset_toml", interrupted)
        synthesize(tmp_path / "d", **SMALL)
    assert not list(tmp_path.iterdir())
    (tmp_path / "d").mkdir()  # an empty folder is taken
    assert (synthesize(tmp_path / "d", **SMALL) / "dataset.toml").is_file()


def test_invalid_settings(tmp_path):
    invalid = {"rgb and audio": {"sizes": {"rgb": 64}}, "at least 16": {"sizes": {"rgb": 64, "audio": 8}}}
    invalid |= {"at least 20 frames": {"min_frames": 10}, "must not be negative": {"seed": -1}}
    for message, settings in invalid.items():
        with pytest.raises(UsageError, match=message):
            synthesize(tmp_path / "d", **settings)
    assert list(tmp_path.iterdir()) == []


# What can be recognized.


def test_the_oracle_recognizes_every_kind(default, whole):
    batch = whole["validate"]
    scores = Oracle(read_settings(default)).scores(batch)
    found = precisions(batch, scores)
    for kind in synthetic.KINDS:
        # A class has as few as 40 positives, so that single videos show.
        assert found[classes_of(kind)].mean() >= 0.95 and found[classes_of(kind)].min() >= 0.93
    # The scores are nearly probabilities.
    assert scores.min() >= 0 and scores.max() <= 1
    np.testing.assert_allclose(scores.sum(), batch["labels"].sum(), rtol=0.1)
    for first, second in (*pairs_of(TOGETHER), *pairs_of(ORDER)):
        assert (scores[:, first] + scores[:, second]).max() <= 1 + 1e-9


def test_means_keep_what_is_steady_and_are_blind_to_together_and_order(whole, means_scores):
    """Blind: no better than scores dealt out at random, up to three standard deviations (four for each class)."""
    batch, random = whole["validate"], np.random.default_rng(0)
    found, frequency = precisions(batch, means_scores), batch["labels"].mean(axis=0)
    assert min(found[classes_of(kind)].mean() for kind in (STEADY_VISUAL, STEADY_AUDIO)) > 0.9
    events = classes_of(SHORT_EVENT)
    assert frequency[events].mean() + 0.05 < found[events].mean() < 0.5
    shuffled = np.array([precisions(batch, random.permuted(means_scores, axis=0)) for _ in range(60)])
    for kind in (TOGETHER, ORDER):
        classes = classes_of(kind)
        dealt = shuffled[:, classes]
        assert (np.abs(dealt.mean(axis=0) - frequency[classes]) < 0.03).all()
        assert (found[classes] < dealt.mean(axis=0) + 4 * dealt.std(axis=0)).all()
        assert found[classes].mean() < dealt.mean() + 3 * dealt.mean(axis=1).std()


# Texts.


@pytest.mark.parametrize("level", ["", "video"])
def test_frames_and_labels_are_the_same_with_texts_and_without(generated, with_texts, level):
    for split in ("train", "test"):
        plain, texts = (
            next(iter(open_dataset(path / level).batches(split, batch_size=1000)))
            for path in (generated, with_texts)
        )
        assert texts.keys() - plain.keys() == {"text"} and texts["text"].any()
        for name, values in plain.items():
            np.testing.assert_array_equal(texts[name], values)
