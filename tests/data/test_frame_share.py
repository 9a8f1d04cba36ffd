"""A share of a video's frames, drawn anew each epoch, as a training shows them."""

import numpy as np
import pytest
from dmlkit.data.frame_choice import shown

from dmlkit.data import open_dataset, serialize_frames, write_shard
from dmlkit.errors import UsageError

LENGTHS = {"one": 1, "five": 5, "eight": 8}


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """Videos of one, five and eight frames, each of which holds its own number."""
    folder = tmp_path_factory.mktemp("numbered")
    records = [
        serialize_frames(
            video_id=name,
            labels=[0],
            frames={"audio_embedding": np.arange(length)[:, None].repeat(128, 1).astype(np.uint8)},
            id_key="video_id",
        )
        for name, length in LENGTHS.items()
    ]
    for shard in range(6):
        write_shard(folder / f"train{shard}.tfrecord", records)
    return open_dataset(folder)


def places(dataset, **settings):
    """Video → the numbers of the frames shown."""
    batches = dataset.batches("train", batch_size=2, max_videos=3, **settings)
    return {
        name: batch["audio"][row, : batch["num_frames"][row], 0].tolist()
        for batch in batches
        for row, name in enumerate(batch["id"].tolist())
    }


def test_half_of_the_frames_rounded_up_in_their_order(numbered):
    for epoch in range(5):
        seen = places(numbered, frame_share=0.5, epoch=epoch)
        assert {name: len(frames) for name, frames in seen.items()} == {"one": 1, "five": 3, "eight": 4}
        assert all(frames == sorted(set(frames)) for frames in seen.values())
        assert all(frames[-1] < LENGTHS[name] for name, frames in seen.items())


def test_other_frames_each_epoch_and_each_equally_often(numbered):
    seen = [tuple(places(numbered, frame_share=0.5, epoch=epoch)["eight"]) for epoch in range(400)]
    assert len(set(seen)) > 50  # of 70
    # 200 expected each, deviation 10.
    assert abs(np.bincount(np.concatenate(seen)) - 200).max() < 50
    assert seen[7] == tuple(places(numbered, frame_share=0.5, epoch=7, shuffle=True)["eight"])


def test_a_share_is_of_the_frames_that_are_read(numbered):
    first = places(numbered, frame_share=0.5, max_frames=4)
    assert len(first["eight"]) == 2 and max(first["eight"]) < 4
    evenly = places(numbered, frame_share=0.75, max_frames=4, frame_choice="uniform")["eight"]
    assert len(evenly) == 3 and set(evenly) < {1, 3, 5, 7}
    assert places(numbered, frame_share=1.0) == places(numbered)


def test_a_share_of_frames_that_are_drawn_takes_each_equally_often():
    drawn = [
        shown(12, choice="random", max_frames=6, share=0.5, seed=(0, epoch, 77)).tolist()
        for epoch in range(2000)
    ]
    assert {len(set(frames)) for frames in drawn} == {3}
    # 500 expected each, deviation 19.
    assert abs(np.bincount(np.concatenate(drawn), minlength=12) - 500).max() < 100


def test_any_share_of_any_length_leaves_a_frame():
    for length in range(1, 12):
        for share in (0.01, 0.5, 0.99):
            frames = shown(length, choice="first", max_frames=None, share=share, seed=(0, 0, 0))
            assert len(frames) == int(np.ceil(share * length)) >= 1


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(numbered, share):
    with pytest.raises(UsageError, match="frame_share"):
        numbered.batches("train", batch_size=2, frame_share=share)
