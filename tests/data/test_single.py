"""Videos by their place: the same as in order, and what is said of those that are not there."""

import shutil

import numpy as np
import pytest
from dmlkit.data.framing import HEADER, frame, hop
from dmlkit.data.single import Places

from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError


def test_places_are_those_of_the_batches(generated):
    dataset = open_dataset(generated)
    places, place = Places(dataset, "validate"), 0
    for batch in dataset.batches("validate", batch_size=16):
        for row, frames in enumerate(batch["num_frames"]):
            if place % 7 == 0 or place > 95:
                one = places.read(place)
                assert one["id"][0] == batch["id"][row]
                np.testing.assert_array_equal(one["labels"][0], batch["labels"][row])
                for name in dataset.features:
                    np.testing.assert_array_equal(one[name][0], batch[name][row, :frames])
            place += 1
    assert place == 100


def test_real_clips_are_read_by_place(real_data):
    dataset = open_dataset(real_data / "audioset-frame")
    places = Places(dataset, "validate")
    (batch,) = list(dataset.batches("validate", batch_size=64, max_videos=64))
    assert [places.read(place)["id"][0] for place in range(64)] == batch["id"].tolist()


@pytest.mark.parametrize("place", [-1, 100])
def test_places_that_are_not_there(generated, place):
    with pytest.raises(UsageError, match=f"Received: place={place}"):
        Places(open_dataset(generated), "validate").read(place)


def test_an_unknown_part(generated):
    with pytest.raises(UsageError, match="no split 'x'"):
        Places(open_dataset(generated), "x")


def test_a_shard_that_went_away(generated, tmp_path):
    folder = shutil.copytree(generated, tmp_path / "copy")
    dataset = open_dataset(folder)
    places = Places(dataset, "validate")
    places.read(0)
    for shard in dataset.splits["validate"]:
        shutil.os.remove(shard)
    with pytest.raises(DataError, match=r"validate.*\.tfrecord is not there \(any more\)"):
        places.read(0)
    with pytest.raises(DataError, match="is not there"):
        places.read(99)  # of a shard not yet walked


def test_a_record_of_another_kind(generated, tmp_path):
    folder = shutil.copytree(generated, tmp_path / "copy")
    dataset = open_dataset(folder)
    shard = dataset.splits["validate"][0]
    places = Places(dataset, "validate")
    places.read(0)
    begin, length = list(hop(shard))[1][:2]
    with open(shard, "r+b") as file:
        file.seek(begin + HEADER)
        file.write(b"\xff" * length)
    places.read(0)
    place = rf"record 1 \(counted from 0\), byte {begin}: "
    with pytest.raises(DataError, match=place + "the shard is damaged, its checksum is wrong"):
        places.read(1)
    with open(shard, "r+b") as file:
        file.seek(begin)
        file.write(frame(b"\xff" * length))
    with pytest.raises(DataError, match=place + "not a tf.train.SequenceExample"):
        places.read(1)
