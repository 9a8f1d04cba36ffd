import numpy as np

from dmlkit.models.frames import LastFrame, ReverseFrames, frame_mask

FRAMES = np.array([[[1.0], [2.0], [3.0], [0.0]], [[5.0], [0.0], [0.0], [0.0]]], np.float32)
NUM_FRAMES = np.array([3, 1], np.int32)


def test_mask_is_true_on_valid_frames():
    assert np.asarray(frame_mask(FRAMES, NUM_FRAMES)).tolist() == [
        [True, True, True, False],
        [True, *[False] * 3],
    ]


def test_each_video_is_reversed_by_its_own_length():
    got = np.asarray(ReverseFrames()(FRAMES, NUM_FRAMES))[:, :, 0]
    assert got.tolist() == [[3.0, 2.0, 1.0, 0.0], [5.0, 0.0, 0.0, 0.0]]


def test_reversing_twice_gives_back_the_frames():
    frames = np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)
    num_frames = np.array([7, 4, 1, 0], np.int32)
    reverse = ReverseFrames()
    np.testing.assert_array_equal(reverse(reverse(frames, num_frames), num_frames), frames)


def test_last_is_the_last_valid_frame():
    assert np.asarray(LastFrame()(FRAMES, NUM_FRAMES))[:, 0].tolist() == [3.0, 5.0]


def test_lengths_outside_the_batch_stay_inside_their_video():
    lengths = np.array([9, 0], np.int32)
    assert np.asarray(LastFrame()(FRAMES, lengths))[:, 0].tolist() == [0.0, 5.0]
    assert np.asarray(ReverseFrames()(FRAMES, lengths))[:, :, 0].tolist() == [
        [0.0, 3.0, 2.0, 1.0],
        [5.0, 0, 0, 0],
    ]
