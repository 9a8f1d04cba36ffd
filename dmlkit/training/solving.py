"""The last layer of a kernel machine in closed form: regularised least squares, exact, with no rate and no epochs.

    score(x) = σ(b + Σ_i w_i exp(-γ |x - x_i|²)),   (K + λ I) w = s y,   b = -s / 2

The centres x_i are training videos themselves. It is kernel ridge regression on the labels 0 and 1, whose answers the
σ only brings between 0 and 1: s is how steeply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import numpy as np

from dmlkit.errors import DataError, UsageError
from dmlkit.models import KernelFeatures
from dmlkit.training.workers.refusing import OneDeviceError

STEEPNESS = 10.0
"""s. Any keeps the order of the scores; this one makes them about as sure as a trained layer's, for ensembles."""

AT_ONCE = 512
"""Videos whose nearness is computed, and rows of the system that are solved, at once."""


def leave_to_solving(model: keras.Model, team, *, taught: bool = False) -> None:
    """See that a model can be solved for, and keep the optimiser, and what it remembers, from its last layer.

    Args:
        model: See `solve`.
        team: Where it is (`dmlkit.training.strategies`).
        taught: Whether it is to follow teachers.

    Raises:
        UsageError: It cannot be solved for, or not with teachers.
        OneDeviceError: There are several devices.
    """
    _, last = _layers(model)
    if team.workers * team.replicas > 1:
        raise OneDeviceError("several devices do not solve (ridge)", instead="Use a profile without")
    if taught:
        raise UsageError(
            "A model that is solved for (ridge) follows the labels alone. Leave the teachers out."
        )
    last.trainable = False


def solve(model: keras.Model, examples: Iterable[Mapping], *, ridge: float) -> float:
    """Set a kernel machine's centres and last layer by training videos.

    Args:
        model: A model of `build` with encoder `kernel` and classifier `logistic`.
        examples: Batches of the training part, which are gone through twice; as many videos are read as there are
            centres. Where there are more centres, the others count for nothing.
        ridge: λ.

    Returns:
        The mean squared error on these videos, the sum over the classes.

    Raises:
        UsageError: The model is none of these.
        DataError: The system cannot be solved: the ridge is too small, or a number among the features too large.
    """
    kernel, last = _layers(model)
    before = keras.Model(model.input, kernel.input)
    for _ in _read(examples, before, training=True, videos=kernel.num_centres):
        pass  # for the running statistics of what normalizes
    read = _read(examples, before, training=False, videos=kernel.num_centres)
    videos, labels = (np.concatenate(arrays)[: kernel.num_centres] for arrays in zip(*read, strict=True))
    centres = np.zeros(kernel.centres.shape, np.float32)
    centres[: len(videos)] = videos
    kernel.centres.assign(centres)

    found = _solution(kernel, labels, ridge=ridge)
    weights = np.zeros(last.kernel.shape, np.float32)
    weights[: len(videos)] = STEEPNESS * found
    last.kernel.assign(weights)
    last.bias.assign(np.full(last.bias.shape, -STEEPNESS / 2, np.float32))
    # What is left of a label is λ times its video's weight.
    return ridge**2 * float(np.vdot(found, found)) / len(videos)


def _solution(kernel: KernelFeatures, labels: np.ndarray, *, ridge: float) -> np.ndarray:
    """(K + λ I)⁻¹ y of the first centres, as many as there are labels: (videos, classes) bool → float32."""
    count = len(labels)
    centres = np.asarray(kernel.centres)[:count]
    # Both in double precision: in single, a small ridge would drown in the rounding of so many additions.
    system, found = np.empty((count, count), np.float64), labels.astype(np.float64)
    for start in range(0, count, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        system[part] = np.asarray(kernel(centres[part]))[:, :count]
    system.flat[:: count + 1] += ridge
    try:
        solve_in_place(system, found)
        solved = bool(np.isfinite(found).all())
    except np.linalg.LinAlgError:
        solved = False
    if not solved:
        raise DataError(
            f"The kernel's system of {count:,} videos has no solution in finite numbers under ridge={ridge}. "
            "Choose a larger one."
        )
    return found.astype(np.float32)


def solve_in_place(matrix: np.ndarray, right: np.ndarray) -> None:
    """Solve a symmetric positive definite system by Cholesky's factors, block by block.

    `np.linalg.solve` would hold the matrix three times over, which is gigabytes for ten thousand videos.

    Args:
        matrix: (n, n) float64, of which nothing is left.
        right: (n, classes) float64, the right-hand sides; afterwards the solutions.

    Raises:
        LinAlgError: The matrix is not positive definite.
    """
    blocks = [slice(start, start + AT_ONCE) for start in range(0, len(matrix), AT_ONCE)]
    for here in blocks:
        before, rest, after = slice(here.start), slice(here.start, None), slice(here.stop, None)
        matrix[rest, here] -= matrix[rest, before] @ matrix[here, before].T
        # Of the factor's blocks on the diagonal only the inverse is asked for.
        matrix[here, here] = inverse = np.linalg.inv(np.linalg.cholesky(matrix[here, here]))
        matrix[after, here] = matrix[after, here] @ inverse.T
        right[here] = inverse @ (right[here] - matrix[here, before] @ right[before])
    for here in reversed(blocks):
        after = slice(here.stop, None)
        right[here] = matrix[here, here].T @ (right[here] - matrix[after, here].T @ right[after])


def _layers(model):
    kernels = [layer for layer in model.layers if isinstance(layer, KernelFeatures)]
    last = model.layers[-1]
    fits = len(kernels) == 1 and isinstance(last, keras.layers.Dense) and len(model.output.shape) == 2
    if not fits or last.kernel.shape[0] != kernels[0].num_centres:
        raise UsageError(
            "A ridge solves the last layer of a model of the encoder 'kernel' and the classifier 'logistic', of one "
            "copy. For other models leave it at 0."
        )
    return kernels[0], last


def _read(examples, before, *, training, videos):
    """What the kernel is given of the first so many videos, and their labels, batch by batch."""
    read = 0
    for batch in examples:
        given = before({name: batch[name] for name in before.input}, training=training)
        yield np.asarray(given, np.float32), np.asarray(batch["labels"], bool)
        read += len(batch["labels"])
        if read >= videos:
            return
