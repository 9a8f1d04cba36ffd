"""What a model is shown and told while it learns, by hand; and what reaches the loss."""

from dataclasses import replace

import keras
import numpy as np
import pytest

import dmlkit
from dmlkit.errors import UsageError
from dmlkit.models import build
from dmlkit.profiles import RECIPES, SMOKE
from dmlkit.training.averaging import averaged, moving_average
from dmlkit.profiles import profile_for
from dmlkit.training.tricks import Teacher, learner, mixed, smoothed, without_modalities
from dmlkit.training.workers.refusing import OneDeviceError, check_model

LABELS = np.array([[1, 1, 0, 0], [0, 0, 1, 0]], np.float32)


def frames():
    return {
        "rgb": np.array([[[10], [20], [99]], [[40], [77], [77]]], np.uint8),
        "audio": np.array([[[1.0], [2.0], [9.0]], [[3.0], [8.0], [8.0]]], np.float32),
        "num_frames": np.array([2, 1], np.int32),
    }


def test_a_smoothed_label_is_spread_and_not_lost():
    got = np.asarray(smoothed(LABELS, 0.2))
    np.testing.assert_allclose(got, [[0.9, 0.9, 0.1, 0.1], [0.05, 0.05, 0.85, 0.05]], atol=1e-6)
    np.testing.assert_allclose(got.sum(1), LABELS.sum(1), atol=1e-6)


def test_two_videos_are_blended_frame_by_frame_where_both_have_one():
    blend = mixed(frames(), np.array([1, 0]), np.array([0.75, 0.5], np.float32))
    assert list(np.asarray(blend["num_frames"])) == [2, 2]
    # 0.75 of 10 and 0.25 of 40 is 17.5, to the next even byte; the second frame is the first video's alone.
    assert np.asarray(blend["rgb"])[:, :2, 0].tolist() == [[18, 20], [25, 20]]
    np.testing.assert_allclose(np.asarray(blend["audio"])[:, :2, 0], [[1.5, 2.0], [2.0, 2.0]])
    assert np.asarray(blend["rgb"]).dtype == np.uint8


def test_videos_without_frames_are_blended_whole():
    videos = {"rgb": np.array([[1.0, 0.0], [0.0, 4.0]], np.float32)}
    blend = mixed(videos, np.array([1, 1]), np.array([0.75, 0.5], np.float32))
    np.testing.assert_allclose(blend["rgb"], [[0.75, 1.0], [0.0, 4.0]])


def test_what_is_said_once_a_video_is_blended_whole_beside_its_frames():
    words = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], np.float32)
    blend = mixed(frames() | {"text": words}, np.array([1, 1]), np.array([0.75, 0.5], np.float32))
    np.testing.assert_allclose(blend["text"], [[0.75, 0.25, 0.25], [0.0, 1.0, 1.0]])
    without = without_modalities(
        frames() | {"text": words},
        {"rgb": np.array([True, True]), "audio": np.array([True, True]), "text": np.array([False, True])},
    )
    np.testing.assert_array_equal(without["text"], [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


def test_a_dropped_modality_is_the_number_0_and_one_is_always_left():
    kept = {"rgb": np.array([False, False]), "audio": np.array([True, False])}
    left = without_modalities(frames(), kept)
    rgb, audio = np.asarray(left["rgb"]), np.asarray(left["audio"])
    assert (rgb[0] == 127).all() and np.array_equal(rgb[1], frames()["rgb"][1])
    assert np.array_equal(audio, frames()["audio"])
    assert abs(float(dmlkit.data.dequantize(np.uint8(127)))) < 1e-4


def small_model(**parts):
    features = {"rgb": (3, "float"), "audio": (2, "float")}
    keras.utils.set_random_seed(0)
    return build(
        features=features, level="video", num_classes=4, encoder="none", l2=0.0, normalization="none", **parts
    )


def batch(videos=2, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=(videos, size)).astype(np.float32) for name, size in (("rgb", 3), ("audio", 2))
    }


def loss_of(model, profile, inputs, labels, teachers=()):
    learning = learner(model, profile, seed=0, teachers=teachers)
    learning.compile(keras.optimizers.SGD(0.0), loss=dmlkit.models.cross_entropy, jit_compile=False)
    return float(learning.train_on_batch(inputs, labels))


def entropy(labels, scores):
    return -(labels * np.log(scores) + (1 - labels) * np.log(1 - scores)).sum(-1).mean()


def test_a_profile_without_tricks_trains_the_model_itself():
    model = small_model()
    assert learner(model, SMOKE, seed=0) is model


def test_smoothed_labels_reach_the_loss():
    model, inputs = small_model(), batch()
    expected = entropy(np.asarray(smoothed(LABELS, 0.2)), np.asarray(model(inputs)))
    assert loss_of(model, replace(SMOKE, label_smoothing=0.2), inputs, LABELS) == pytest.approx(
        expected, rel=1e-5
    )


def test_each_copy_learns_by_itself():
    model, inputs = small_model(copies=3), batch()
    copies = np.asarray(dmlkit.models.apart(model)(inputs))
    expected = entropy(LABELS[:, None, :], copies)
    assert loss_of(model, SMOKE, inputs, LABELS) == pytest.approx(expected, rel=1e-5)
    assert expected > entropy(LABELS, np.asarray(model(inputs)))


@pytest.mark.parametrize("copies", [1, 2])
def test_each_stage_of_a_chain_follows_the_labels(copies):
    model, inputs = small_model(classifier="chaining", copies=copies), batch()
    stages = np.asarray(dmlkit.models.apart(model)(inputs))
    assert stages.shape == (2, 2 * copies, 4)
    expected = entropy(LABELS[:, None, :], stages)
    assert loss_of(model, SMOKE, inputs, LABELS) == pytest.approx(expected, rel=1e-5)


def test_teachers_are_followed_and_learn_nothing():
    model, inputs = small_model(), batch()
    keras.utils.set_random_seed(1)
    teachers = [small_model(), small_model()]
    for teacher in teachers:
        teacher.set_weights([weight + 0.3 for weight in teacher.get_weights()])
    before = teachers[0].get_weights()
    soft = np.mean([teacher(inputs) for teacher in teachers], axis=0)
    expected = entropy(0.25 * LABELS + 0.75 * soft, np.asarray(model(inputs)))
    follows = [Teacher(teacher, 0.5) for teacher in teachers]
    assert loss_of(model, replace(SMOKE, teaching=0.75), inputs, LABELS, follows) == pytest.approx(
        expected, rel=1e-5
    )
    for one, other in zip(teachers[0].get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_blended_videos_have_blended_labels():
    # One video of class 0 and many copies of another of class 1, on a model whose scores tell the share of each.
    model = small_model()
    kernel = np.zeros((5, 4), np.float32)
    kernel[2, 0] = 20.0  # the modalities lie in the order of their names: audio's two, then rgb's first
    model.set_weights([kernel, np.array([-10.0, 0, 0, 0], np.float32)])
    inputs = {"rgb": np.zeros((64, 3), np.float32), "audio": np.zeros((64, 2), np.float32)}
    inputs["rgb"][::2, 0] = 1.0
    labels = np.zeros((64, 4), np.float32)
    labels[::2, 0], labels[:, 1:] = 1.0, 0.5
    learning = learner(model, replace(SMOKE, mixup=1.0), seed=0)
    learning.compile(keras.optimizers.SGD(0.0), loss=dmlkit.models.cross_entropy, jit_compile=False)
    told = learning(inputs, training=True)
    scores, share, partner = (np.asarray(told[name]) for name in ("scores", "share", "partner"))
    assert sorted(partner) == list(range(64)) and (share >= 0.5).all() and share.std() > 0.05
    blended = share * labels[:, 0] + (1 - share) * labels[partner, 0]
    np.testing.assert_allclose(np.log(scores[:, 0] / (1 - scores[:, 0])), 20 * blended - 10, atol=1e-2)
    y = share[:, None] * labels + (1 - share[:, None]) * labels[partner]
    assert float(learning.compute_loss(inputs, labels, told)) == pytest.approx(entropy(y, scores), rel=1e-4)


def test_modalities_are_dropped_at_their_rate():
    model = small_model()
    seen = {}
    learning = learner(model, replace(SMOKE, modality_dropout=0.3), seed=0)
    learning.learned = lambda inputs, training: seen.update(inputs) or inputs["rgb"]
    learning(
        {name: np.ones((2000, size), np.float32) for name, size in (("rgb", 3), ("audio", 2))}, training=True
    )
    rgb, audio = (np.asarray(seen[name])[:, 0] == 0 for name in ("rgb", "audio"))
    # 0.3 of them, less those that would have lost both.
    assert rgb.mean() == pytest.approx(0.21, abs=0.03) and audio.mean() == pytest.approx(0.21, abs=0.03)
    assert not (rgb & audio).any()


def test_scored_weights_are_averages_and_training_goes_on_with_its_own():
    model, inputs = small_model(), batch()
    model.compile(
        keras.optimizers.SGD(0.5, **moving_average(0.9)), loss=dmlkit.models.cross_entropy, jit_compile=False
    )
    model.optimizer.build(model.trainable_variables)
    average = None
    for _ in range(4):
        model.train_on_batch(inputs, LABELS)
        now = model.get_weights()[0]
        average = now if average is None else 0.9 * average + 0.1 * now
    with averaged(model):
        np.testing.assert_allclose(model.get_weights()[0], average, atol=1e-5)
    np.testing.assert_array_equal(model.get_weights()[0], now)
    assert np.abs(average - now).max() > 1e-3


@pytest.mark.parametrize(
    "setting", [{"mixup": -0.1}, {"ema": 1.0}, {"label_smoothing": -0.5}, {"teaching": 1.5}]
)
def test_settings_out_of_range_are_named(setting):
    (name,) = setting
    with pytest.raises(UsageError, match=f"{name}={setting[name]}"):
        replace(SMOKE, **setting)


def test_an_experiments_recipe_is_its_profile_unless_another_is_asked_for():
    best = dmlkit.experiments.find("yt8m-best")
    assert profile_for(best, None) is RECIPES["yt8m-best"]
    assert profile_for(best, "smoke") is SMOKE
    assert profile_for(dmlkit.experiments.find("lr"), None).name == "demo"


@pytest.mark.parametrize(
    ("profile", "ema", "said"),
    [
        (replace(SMOKE, mixup=0.4), 0.0, "know mixup"),
        (
            replace(SMOKE, label_smoothing=0.1, modality_dropout=0.2),
            0.0,
            "know label_smoothing and modality_dropout",
        ),
        (SMOKE, 0.9, "averaged weights"),
    ],
)
def test_several_devices_refuse_what_only_one_can_teach(profile, ema, said):
    with pytest.raises(OneDeviceError, match=f"for one device alone: .*{said}"):
        check_model(learner(small_model(), profile, seed=0), replicas=2, ema=ema)


def test_several_devices_refuse_copies():
    with pytest.raises(OneDeviceError, match="know copies"):
        check_model(learner(small_model(copies=2), SMOKE, seed=0), replicas=2, ema=0.0)


def test_several_devices_find_the_batch_normalization_within_a_gate():
    with pytest.raises(OneDeviceError, match="each device's own statistics"):
        check_model(small_model(gate_scores="context"), replicas=2, ema=0.0)
