"""Class-balanced sampling: how often, by hand; and what batches hold."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from dmlkit.data.balance import expected_copies, times_shown

import dmlkit
from dmlkit.data import Feature, open_dataset, serialize_video, write_dataset_toml, write_shard
from dmlkit.errors import DataError, UsageError
from dmlkit.profiles import SMOKE

RARE, VIDEOS, SHARDS = 5, 40, 4


def write_folder(folder, *, level="video"):
    """Video i of class 1 and 0 if i < 5, of class 0 alone if not; class 2 has none, and video 39 no class."""
    for shard in range(SHARDS):
        records = []
        for number in range(shard, VIDEOS, SHARDS):
            labels = [0, 1] if number < RARE else [0] if number < VIDEOS - 1 else []
            features = {"mean_rgb": np.full(3, number, np.float32)}
            records.append(serialize_video(video_id=f"v{number}", labels=labels, features=features))
        write_shard(f"{folder}/train{shard}.tfrecord", records)
    for split in ("tuning", "validate"):
        write_shard(f"{folder}/{split}.tfrecord", records)
    write_dataset_toml(
        folder,
        name="unequal",
        level="video",
        features={"rgb": Feature("rgb", 3, "float", "mean_rgb")},
        num_classes=3,
        splits={split: [f"{split}*.tfrecord"] for split in ("train", "tuning", "validate")},
    )
    return open_dataset(folder)


def epoch_of(dataset, *, epoch=0, balance=1.0, **settings):
    settings = {"batch_size": 7, "shuffle": True, "seed": 3, "epoch": epoch, "balance": balance, **settings}
    return [video for batch in dataset.batches("train", **settings) for video in batch["id"].tolist()]


def test_copies_by_hand():
    classes = [[0], [0], [0, 1], [], [0]]
    # n = 4 and 1: 1/4, 1/4, (1/4 + 1)/2, 1/4, whose mean is 11/32; the one without classes comes once.
    shares = np.array([1 / 4, 1 / 4, 5 / 8, 1 / 4]) / (11 / 32)
    got = expected_copies(classes, num_classes=3, balance=1.0)
    np.testing.assert_allclose(got, [*shares[:3], 1.0, shares[3]])
    np.testing.assert_allclose(got.sum(), 5)
    np.testing.assert_allclose(expected_copies(classes, num_classes=3, balance=0.0), 1.0)
    roots = np.array([1 / 2, 1 / 2, 3 / 4, 1 / 2]) / (9 / 16)
    np.testing.assert_allclose(
        expected_copies(classes, num_classes=3, balance=0.5), [*roots[:3], 1, roots[3]]
    )
    np.testing.assert_array_equal(expected_copies([[], []], num_classes=3, balance=1.0), 1.0)
    assert expected_copies([], num_classes=3, balance=1.0).shape == (0,)


def test_each_is_shown_its_whole_times_or_once_more_and_all_as_often_as_there_are():
    rng = np.random.default_rng(0)
    expected = rng.gamma(0.5, size=300)
    expected *= 300 / expected.sum()
    times = np.array([times_shown(expected, rng) for _ in range(2000)])
    assert (times.sum(1) == 300).all()
    assert (times >= np.floor(expected)).all() and (times <= np.floor(expected) + 1).all()
    np.testing.assert_allclose(times.mean(0), expected, atol=0.06)
    assert times_shown(np.ones(4), rng).tolist() == [1, 1, 1, 1]
    assert times_shown(np.empty(0), rng).tolist() == []


def test_rare_classes_come_as_often_as_expected_and_an_epoch_stays_as_long(tmp_path):
    dataset = write_folder(str(tmp_path))
    epochs = 200
    seen = Counter()
    for epoch in range(epochs):
        ids = epoch_of(dataset, epoch=epoch)
        assert len(ids) == VIDEOS
        seen.update(ids)
    rare, common = (1 / RARE + 1 / 39) / 2, 1 / 39
    mean = (RARE * rare + 34 * common) / 39
    for number in range(VIDEOS - 1):
        expected = (rare if number < RARE else common) / mean
        assert seen[f"v{number}"] / epochs == pytest.approx(expected, rel=0.25)
    assert seen["v39"] / epochs == pytest.approx(1.0, rel=0.1)


def test_an_order_is_a_function_of_seed_and_epoch(tmp_path):
    dataset = write_folder(str(tmp_path))
    assert epoch_of(dataset) == epoch_of(open_dataset(tmp_path))
    assert epoch_of(dataset) != epoch_of(dataset, epoch=1)
    assert epoch_of(dataset) != epoch_of(dataset, seed=4)
    assert sorted(epoch_of(dataset, balance=0.0)) == sorted(f"v{number}" for number in range(VIDEOS))


def test_a_cap_holds_and_the_first_videos_alone_are_counted(tmp_path):
    dataset = write_folder(str(tmp_path))
    ids = epoch_of(dataset, max_videos=12)
    first = {f"v{number}" for number in (*range(0, VIDEOS, SHARDS), 1, 5)}
    assert len(ids) == 12 and set(ids) <= first


def test_labels_follow_their_videos(tmp_path):
    dataset = write_folder(str(tmp_path))
    for batch in dataset.batches("train", batch_size=9, shuffle=True, balance=0.5):
        for video, rgb, labels in zip(batch["id"], batch["rgb"], batch["labels"], strict=True):
            assert rgb[0] == int(video[1:])
            assert labels[1] == (int(video[1:]) < RARE)


def test_a_faulty_record_is_met_when_its_turn_comes(tmp_path):
    write_folder(str(tmp_path))
    path = tmp_path / "train1.tfrecord"
    shard = bytearray(path.read_bytes())
    shard[-6] ^= 1  # of the last record
    path.write_bytes(shard)
    dataset = open_dataset(tmp_path)
    with pytest.raises(DataError, match=r"train1\.tfrecord.*record 9"):
        for epoch in range(5):
            epoch_of(dataset, epoch=epoch)
    ids = epoch_of(dataset, on_fault="skip 1")
    assert VIDEOS - 2 <= len(ids) <= VIDEOS and "v37" not in ids


@pytest.mark.parametrize("settings", [{"balance": 1.5}, {"balance": -0.1}, {"shuffle": False}])
def test_what_cannot_be_balanced_is_refused(settings, tmp_path):
    with pytest.raises(UsageError, match="`balance` must lie between 0 and 1, and only a shuffled"):
        epoch_of(write_folder(str(tmp_path)), **settings)


def test_a_training_is_shown_a_balanced_order(tmp_path):
    dataset = write_folder(str(tmp_path / "data"))
    shown = []
    inner = type(dataset).batches

    class Noting(type(dataset)):
        def batches(self, split, **settings):
            shown.append((split, settings.get("balance", 0.0)))
            return inner(self, split, **settings)

    noting = Noting(**{name: getattr(dataset, name) for name in dataset.__dataclass_fields__})
    profile = replace(SMOKE, class_balance=0.5, epochs=1)
    run = dmlkit.train("lr", data=noting, out=tmp_path / "run", profile=profile, progress="silent")
    assert ("train", 0.5) in shown and ("tuning", 0.0) in shown and ("validate", 0.0) in shown
    assert run.record["profile"]["class_balance"] == 0.5
    with pytest.raises(UsageError, match=r"class_balance=1\.5"):
        replace(SMOKE, class_balance=1.5)
