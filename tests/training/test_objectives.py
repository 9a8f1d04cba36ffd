"""Learning rates counted by hand, augmentations and losses in plain numpy, kernel ridge regression by scikit-learn."""

import math
from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

import dmlkit
from dmlkit.errors import DataError, UsageError
from dmlkit.models import build, cross_entropy, training_model
from dmlkit.profiles import DEMO, PAPER, SMOKE
from dmlkit.training.objectives import (
    drop_modalities,
    fit_kernel_ridge,
    kernel_layers,
    learner_for,
    learning_rate_schedule,
    mixup,
    smooth_labels,
)

LABELS = np.array([[1, 1, 0, 0], [0, 0, 1, 0]], np.float32)

# Learning rates


def rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_the_papers_staircase_and_shares_of_the_budget_that_keep_its_shape():
    schedule = learning_rate_schedule(replace(PAPER, learning_rate=0.01), videos=10_000_000)
    # 3,907 steps of 1,024 are the first 4 million examples. The budget is 50 million, and the loss counts as nearly
    # converged after 45: by then 11 steps, and 25 more in each further million.
    expected = [0.01, 0.01 * 0.95, 0.01 * 0.95 ** (11 + 25)]
    assert rates(schedule, [3_906, 3_907, 46_000_000 / 1024]) == pytest.approx(expected, rel=1e-4)
    profile = replace(DEMO, epochs=10, batch_size=1, learning_rate=1.0)
    # Half of 1,000 examples at the full rate, then a step every 25.
    schedule = learning_rate_schedule(profile, videos=100)
    assert rates(schedule, [499, 500, 1000]) == pytest.approx([1.0, 0.95, 0.95**21])


def test_the_cosine_warms_up_and_its_cycles_end_with_epochs():
    profile = replace(DEMO, epochs=10, batch_size=10, learning_rate=2.0, warm_up=0.2, schedule="cosine")
    schedule = learning_rate_schedule(profile, videos=95)  # 10 steps an epoch, the last a short one
    falling = [1 + math.cos(math.pi * step / 81) for step in range(82)]  # to 0 after the last step
    expected = [(step + 1) / 20 * 2.0 for step in range(20)] + falling[1:]
    assert rates(schedule, range(101)) == pytest.approx(expected, abs=1e-5)
    for warm_up, first in ((0.0, 2.0), (0.01, 2.0), (0.02, 1.0)):
        assert rates(learning_rate_schedule(replace(profile, warm_up=warm_up), videos=95), [0]) == [first]
    profile = replace(profile, schedule="cyclic", warm_up=0.0)
    unequal = learning_rate_schedule(replace(profile, epochs=5, cycles=2), videos=95)  # 2 epochs, then 3
    expected = [1 + math.cos(math.pi * step / 20) for step in range(20)]
    expected += [1 + math.cos(math.pi * step / 30) for step in range(30)]
    assert rates(unequal, [*range(50), 50, 70]) == pytest.approx([*expected, 0.0, 0.0], abs=1e-5)
    warmed = learning_rate_schedule(replace(profile, epochs=5, cycles=2, warm_up=0.1), videos=95)
    expected[:5] = [(step + 1) / 5 * rate for step, rate in enumerate(expected[:5])]
    assert rates(warmed, range(50)) == pytest.approx(expected, abs=1e-5)


# Augmentations


def frames():
    return {
        "rgb": np.array([[[10], [20], [99]], [[40], [77], [77]]], np.uint8),
        "audio": np.array([[[1.0], [2.0], [9.0]], [[3.0], [8.0], [8.0]]], np.float32),
        "text": np.array([[1.0, 0.0], [0.0, 1.0]], np.float32),
        "num_frames": np.array([2, 1], np.int32),
    }


def test_mixup_blends_frames_that_both_videos_have():
    blend = mixup(frames(), np.array([1, 0]), np.array([0.75, 0.5], np.float32))
    assert np.asarray(blend["num_frames"]).tolist() == [2, 2]
    # 0.75 of 10 and 0.25 of 40 is 17.5, to the next even byte; the second frame is the first video's alone.
    assert np.asarray(blend["rgb"])[:, :2, 0].tolist() == [[18, 20], [25, 20]]
    assert np.asarray(blend["rgb"]).dtype == np.uint8
    np.testing.assert_allclose(np.asarray(blend["audio"])[:, :2, 0], [[1.5, 2.0], [2.0, 2.0]])
    np.testing.assert_allclose(blend["text"], [[0.75, 0.25], [0.5, 0.5]])


def test_a_dropped_modality_is_zero_and_one_is_always_kept():
    kept = {"rgb": np.array([False, False]), "audio": np.array([True, False])}
    dropped = {name: np.asarray(values) for name, values in drop_modalities(frames(), kept).items()}
    assert (dropped["rgb"][0] == 127).all() and abs(dmlkit.data.dequantize(np.uint8(127))) < 1e-4
    assert np.array_equal(dropped["rgb"][1], frames()["rgb"][1])
    assert np.array_equal(dropped["audio"], frames()["audio"])


# What reaches the loss


def small_model(**parts):
    keras.utils.set_random_seed(0)
    features = {"rgb": (3, "float"), "audio": (2, "float")}
    settings = {"encoder": "none", "l2": 0.0, "normalization": "none"} | parts
    return build(features=features, level="video", num_classes=4, **settings)


def batch(videos=2):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(videos, size)).astype("f4") for name, size in (("rgb", 3), ("audio", 2))}


def loss_of(model, profile, inputs, teachers=()):
    learner = learner_for(model, profile, seed=0, teachers=teachers)
    learner.compile(keras.optimizers.SGD(0.0), loss=cross_entropy, jit_compile=False)
    return float(learner.train_on_batch(inputs, LABELS))


def entropy(labels, scores):
    scores = np.asarray(scores, np.float64)
    return -(labels * np.log(scores) + (1 - labels) * np.log(1 - scores)).sum(-1).mean()


def test_smoothed_labels_keep_their_number_and_reach_the_loss():
    smoothed = np.asarray(smooth_labels(LABELS, 0.2))
    np.testing.assert_allclose(smoothed, [[0.9, 0.9, 0.1, 0.1], [0.05, 0.05, 0.85, 0.05]], atol=1e-6)
    model, inputs = small_model(), batch()
    assert learner_for(model, SMOKE, seed=0) is model
    expected = entropy(smoothed, model(inputs))
    assert loss_of(model, replace(SMOKE, label_smoothing=0.2), inputs) == pytest.approx(expected, rel=1e-5)


def test_any_number_of_copies_has_the_loss_of_one_and_stages_have_their_mean():
    parts = {"fusion": "projection", "alignment_weight": 3.0, "mapping_initializer": "glorot", "l2": 0.5}
    one, inputs = small_model(**parts), batch()
    alone = loss_of(one, SMOKE, inputs)
    assert alone > entropy(LABELS, one(inputs)) + 1  # of the projections, and of the weights
    for count in (1, 2, 4):
        model = small_model(**parts, copies=count)
        model.set_weights(one.get_weights() * count)
        for profile in (SMOKE, replace(SMOKE, modality_dropout=1e-9)):
            assert loss_of(model, profile, inputs) == pytest.approx(alone, rel=1e-6)
    # A teacher's projections are no part of the loss.
    teachers = [(small_model(**parts), 1.0)]
    assert loss_of(one, replace(SMOKE, teaching=0.0), inputs, teachers) == pytest.approx(alone, rel=1e-6)
    model = small_model(classifier="chaining", l2=0.5, copies=2)
    kernels = [each for each in model.trainable_weights if each.regularizer]
    assert len(kernels) == 8  # of gates and experts, in two stages of two copies
    penalty = 0.5 * sum(np.square(kernel).sum() for kernel in kernels) / 4
    scores = np.asarray(training_model(model)(inputs))  # of each copy's stages, which have a loss each
    assert scores.shape == (2, 4, 4)
    expected = entropy(LABELS[:, None, :], scores) + penalty
    assert loss_of(model, SMOKE, inputs) == pytest.approx(expected, rel=1e-5)


def test_teachers_are_followed_by_their_shares_and_not_trained():
    model, inputs = small_model(), batch()
    teachers = [small_model(), small_model()]
    for shift, teacher in enumerate(teachers, start=1):
        teacher.set_weights([weight + 0.3 * shift for weight in teacher.get_weights()])
    before = teachers[0].get_weights()
    soft = 0.25 * np.asarray(teachers[0](inputs)) + 0.75 * np.asarray(teachers[1](inputs))
    expected = entropy(0.4 * LABELS + 0.6 * soft, model(inputs))
    shares = [(teachers[0], 0.25), (teachers[1], 0.75)]
    assert loss_of(model, replace(SMOKE, teaching=0.6), inputs, shares) == pytest.approx(expected, rel=1e-5)
    for one, other in zip(teachers[0].get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_mixed_videos_have_mixed_labels():
    # Two kinds of videos, and a model whose first logit shows the share of the first kind in a blend.
    model = small_model()
    kernel = np.zeros((5, 4), np.float32)
    kernel[2, 0] = 20.0  # of rgb's first value, after two of audio, in the order of their names
    model.set_weights([kernel, np.array([-10.0, 0, 0, 0], np.float32)])
    inputs = {"rgb": np.zeros((64, 3), np.float32), "audio": np.zeros((64, 2), np.float32)}
    inputs["rgb"][::2, 0] = 1.0
    labels = np.zeros((64, 4), np.float32)
    labels[::2, 0], labels[:, 1:] = 1.0, 0.5
    learner = learner_for(model, replace(SMOKE, mixup=1.0), seed=0)
    learner.compile(keras.optimizers.SGD(0.0), loss=cross_entropy, jit_compile=False)
    outputs = learner(inputs, training=True)
    scores, share, partner = (np.asarray(outputs[name]) for name in ("scores", "share", "partner"))
    assert sorted(partner) == list(range(64)) and (share >= 0.5).all() and share.std() > 0.05
    mixed = share[:, None] * labels + (1 - share[:, None]) * labels[partner]
    np.testing.assert_allclose(np.log(scores[:, 0] / (1 - scores[:, 0])), 20 * mixed[:, 0] - 10, atol=1e-2)
    loss = float(learner.compute_loss(inputs, labels, outputs))
    assert loss == pytest.approx(entropy(mixed, scores), rel=1e-4)


def test_modalities_are_dropped_at_their_rate():
    seen = {}
    learner = learner_for(small_model(), replace(SMOKE, modality_dropout=0.3), seed=0)
    learner.student = lambda inputs, training: seen.update(inputs) or inputs["rgb"]
    learner({"rgb": np.ones((2000, 3), "f4"), "audio": np.ones((2000, 2), "f4")}, training=True)
    rgb, audio = (np.asarray(seen[name])[:, 0] == 0 for name in ("rgb", "audio"))
    # 0.3 of them, less those that would have lost both.
    assert (rgb.mean(), audio.mean()) == pytest.approx((0.21, 0.21), abs=0.03)
    assert not (rgb & audio).any()


# Kernel ridge regression

SIZE, GAMMA = 6, 0.3


def kernel_machine(**parts):
    settings = {"encoder": "kernel", "layers": 1, "normalization": "none"} | parts
    return build(features={"rgb": (SIZE, "float")}, level="video", num_classes=3, **settings)


def videos(count):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, SIZE)).astype(np.float32)
    return features, (features[:, :3] > 0.5).astype(np.float32)


def batches(features, labels):
    return [{"rgb": features[at : at + 8], "labels": labels[at : at + 8]} for at in range(0, len(labels), 8)]


# Surplus centres, too few, and several blocks of rows.
@pytest.mark.parametrize(("centres", "used"), [(64, 50), (32, 32), (600, 600)])
def test_the_solution_is_scikit_learns(centres, used):
    learnt = max(used, 50)
    features, labels = videos(learnt + 10)
    model = kernel_machine(units=centres)
    error = fit_kernel_ridge(model, batches(features[:learnt], labels[:learnt]), ridge=0.01)
    reference = KernelRidge(alpha=0.01, kernel="rbf", gamma=GAMMA / SIZE).fit(features[:used], labels[:used])
    expected = 1 / (1 + np.exp(5 - 10 * reference.predict(features[learnt:])))
    np.testing.assert_allclose(model({"rgb": features[learnt:]}), expected, atol=2e-3)
    residuals = labels[:used] - reference.predict(features[:used])
    assert error == pytest.approx(np.mean(np.sum(residuals**2, axis=1)), rel=1e-2)


def test_what_has_no_solution_is_named():
    with pytest.raises(DataError, match=r"system of 16 videos .* under ridge=-1\.5"):
        fit_kernel_ridge(kernel_machine(units=16), batches(*videos(16)), ridge=-1.5)
    for parts in ({"encoder": "hidden"}, {"copies": 2}, {"classifier": "mixture_of_experts"}):
        with pytest.raises(UsageError, match="leave it at 0"):
            kernel_layers(kernel_machine(units=4, **parts))
