"""A kernel machine against the formula of kernel ridge regression, and what it refuses."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import dmlkit
from dmlkit.errors import DataError, UsageError
from dmlkit.experiments import find
from dmlkit.models import KernelFeatures, build
from dmlkit.profiles import SMOKE
from dmlkit.training.solving import leave_to_solving, solve, solve_in_place
from dmlkit.training.workers.refusing import OneDeviceError

SIZE, RIDGE = 6, 0.01
KERNEL = {"encoder": "kernel", "layers": 1, "normalization": "none"}


def _examples(videos):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(videos, SIZE)).astype(np.float32)
    labels = (features[:, :3] > 0.5).astype(np.float32)
    return features, labels


def _batches(features, labels):
    parts = [slice(start, start + 8) for start in range(0, len(features), 8)]
    return [{"ids": ["a"] * 8, "rgb": features[part], "labels": labels[part]} for part in parts]


def _machine(**parts):
    return build(features={"rgb": (SIZE, "float")}, level="video", num_classes=3, **(KERNEL | parts))


def _kernel(a, b):
    """exp(-0.3 * mean squared difference), pair by pair."""
    return np.array([[np.exp(-0.3 * np.mean((x - y) ** 2)) for y in b] for x in a])


@pytest.mark.parametrize(("centres", "learnt"), [(64, 50), (32, 32)], ids=["centres to spare", "too few"])
def test_scores_are_those_of_kernel_ridge_regression(centres, learnt):
    features, labels = _examples(60)
    model = _machine(units=centres)
    error = solve(model, _batches(features[:50], labels[:50]), ridge=RIDGE)
    own, wanted = features[:learnt], labels[:learnt]
    weights = np.linalg.solve(_kernel(own, own) + RIDGE * np.eye(learnt), wanted)
    answers = _kernel(features[50:], own) @ weights
    scores = np.asarray(model({"rgb": features[50:]}))
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(5 - 10 * answers)), atol=1e-3)
    left = wanted - _kernel(own, own) @ weights
    assert error == pytest.approx(np.mean(np.sum(left**2, axis=1)), rel=1e-2)


def test_centres_are_the_videos_as_they_are_normalized():
    features, labels = _examples(40)
    features *= np.array([1, 1, 1, 1, 1, 5], np.float32)
    model = _machine(units=40, normalization="variance")
    solve(model, _batches(features, labels), ridge=RIDGE)
    (kernel,) = (layer for layer in model.layers if isinstance(layer, KernelFeatures))
    # The wide feature leads, and whoever is far from the others there has it far from them.
    centres = np.asarray(kernel.centres)
    assert (np.abs(centres).argmax(axis=1) == SIZE - 1).mean() > 0.9
    np.testing.assert_allclose(np.asarray(kernel(centres)).diagonal(), 1.0, atol=1e-4)


@pytest.mark.parametrize(
    "parts", [{"encoder": "hidden"}, {"copies": 2}, {"classifier": "mixture_of_experts"}]
)
def test_what_cannot_be_solved_for_is_refused(parts):
    model = build(
        features={"rgb": (SIZE, "float")}, num_classes=3, units=4, **({"level": "video"} | KERNEL | parts)
    )
    with pytest.raises(UsageError, match="leave it at 0"):
        leave_to_solving(model, SimpleNamespace(workers=1, replicas=1))


def test_teachers_are_refused():
    with pytest.raises(UsageError, match="labels alone"):
        leave_to_solving(_machine(units=4), SimpleNamespace(workers=1, replicas=1), taught=True)


def test_several_devices_are_refused():
    with pytest.raises(OneDeviceError, match="do not solve"):
        leave_to_solving(_machine(units=4), SimpleNamespace(workers=1, replicas=2))


def test_a_kernel_machine_is_trained_as_any_rung_is(generated, tmp_path):
    profile = replace(SMOKE, units=64, epochs=1, patience=1, ridge=0.005, normalization="variance")
    rung = replace(find("yt8m-kernel"), recipe=None)
    run = dmlkit.train(
        rung, data=generated / "video", out=tmp_path / "run", profile=profile, progress="silent"
    )
    assert run.record["epochs"] == 1 and run.record["profile"]["ridge"] == 0.005
    assert dmlkit.evaluate(run, data=generated / "video")["gap"] == pytest.approx(run.gap, abs=1e-3)
    plain = replace(profile, ridge=0.0)
    other = dmlkit.train(
        rung, data=generated / "video", out=tmp_path / "other", profile=plain, progress="silent"
    )
    assert run.gap > other.gap + 0.05, "one epoch of descent on random centres is no match for the solution"


def test_of_frames_it_is_their_mean_that_is_compared():
    rng = np.random.default_rng(0)
    frames, num_frames = (
        rng.normal(size=(30, 4, SIZE)).astype(np.float32),
        rng.integers(1, 5, 30).astype(np.int32),
    )
    labels = rng.integers(0, 2, (30, 3)).astype(np.float32)
    means = np.stack([video[:length].mean(0) for video, length in zip(frames, num_frames, strict=True)])
    of_frames = build(features={"rgb": (SIZE, "float")}, level="frame", num_classes=3, units=30, **KERNEL)
    means = (means - means.mean(-1, keepdims=True)) / np.sqrt(means.var(-1, keepdims=True) + 1e-3)
    of_means = _machine(units=30)
    solve(of_frames, [{"rgb": frames, "num_frames": num_frames, "labels": labels}], ridge=RIDGE)
    solve(of_means, [{"rgb": means, "labels": labels}], ridge=RIDGE)
    scores = np.asarray(of_frames({"rgb": frames, "num_frames": num_frames}))
    np.testing.assert_allclose(scores, np.asarray(of_means({"rgb": means})), atol=1e-3)


@pytest.mark.parametrize("size", [1, 512, 1100], ids=["one", "a whole block", "blocks and a rest"])
def test_a_system_is_solved_in_place(size):
    rng = np.random.default_rng(0)
    half = rng.normal(size=(size, size))
    matrix, right = half @ half.T / size + 0.1 * np.eye(size), rng.normal(size=(size, 3))
    expected = np.linalg.solve(matrix, right)
    solve_in_place(matrix, right)
    np.testing.assert_allclose(right, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("ridge", [-1.5, np.nan], ids=["not positive definite", "no number"])
def test_a_system_without_a_solution_is_told_with_its_ridge(ridge):
    features, labels = _examples(16)
    with pytest.raises(DataError, match=f"system of 16 videos .* under ridge={ridge}"):
        solve(_machine(units=16), _batches(features, labels), ridge=ridge)


def test_a_kernel_machine_knows_no_rate_and_opens_no_bar(generated, tmp_path, capsys):
    profile = replace(SMOKE, units=16, epochs=1, patience=1, ridge=0.005)
    run = dmlkit.train(
        replace(find("yt8m-kernel"), recipe=None),
        data=generated / "video",
        out=tmp_path / "run",
        profile=profile,
        progress="bars",
    )
    assert list(run.history["learning_rate"]) == [0.0]
    said = capsys.readouterr()
    assert "batch/s" not in said.err and "epoch  1/1" in said.out + said.err
