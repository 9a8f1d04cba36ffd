"""What a chapter trains beside the ladder: little where time is short, all of it under the profile `full`."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import pandas as pd

from dmlkit.experiments import ablations_for, fusion_variants  # noqa: F401
from dmlkit.runs import Run


def fusion_study(runs: Mapping[str, Run], batch: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """How well each fusion did, and where its projections lie.

    Args:
        runs: Name → run of a fusion.
        batch: Videos on which the projections are looked at.

    Returns:
        A row a run: `title`, `fusion`, `start`, `alignment_weight`, `gap`, `gap_low`, `gap_high`, `loss` (of the last
        epoch), `distance` (mean ‖z_1 - z_2‖² over valid frames), `length` (mean ‖z_1‖² + ‖z_2‖²) and `separation`,
        the distance over the length: 0 where the projections are the same, 1 where they have nothing in
        common. The last three are missing where nothing is projected.
    """
    rows = []
    for run in runs.values():
        experiment = run.experiment
        distance, length = (
            projection_distance(run.model, batch) if experiment.fusion == "projection" else (np.nan,) * 2
        )
        rows.append(
            {
                "title": run.title,
                "fusion": experiment.fusion,
                "start": "none" if experiment.fusion == "concat" else experiment.mapping_initializer,
                "alignment_weight": experiment.alignment_weight
                if experiment.fusion == "projection"
                else np.nan,
                "gap": run.gap,
                "gap_low": run.metrics["gap_interval"][0],
                "gap_high": run.metrics["gap_interval"][1],
                "loss": float(run.history["loss"].iloc[-1]),
                "distance": distance,
                "length": length,
                "separation": distance / length if length else np.nan,
            }
        )
    return pd.DataFrame(rows)


def projection_distance(model: keras.Model, batch: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """How far apart the projections of the modalities lie, and how long they are.

    Args:
        model: A model with the fusion `projection`.
        batch: A batch of `dataset.batches(...)`.

    Returns:
        The means over valid frames (videos, at video level) of Σ_{i<j} ‖z_i - z_j‖² and of Σ_{i<j} (‖z_i‖² + ‖z_j‖²).

    Paper: §Fusion, f(x_1) ~ g(x_2).
    """
    layers = [layer for layer in model.layers if layer.name.startswith("fusion_projection_")]
    inputs = {tensor.name: batch[tensor.name] for tensor in model.inputs}
    outputs = keras.Model(model.input, [layer.output for layer in layers])(inputs, training=False)
    projections = [keras.ops.convert_to_numpy(output).astype(np.float64) for output in outputs]
    if "num_frames" in batch:
        valid = np.arange(projections[0].shape[1]) < np.asarray(batch["num_frames"])[:, None]
        projections = [projection[valid] for projection in projections]
    pairs = [(a, b) for place, a in enumerate(projections) for b in projections[place + 1 :]]
    distance = sum(np.square(a - b).sum(axis=-1).mean() for a, b in pairs)
    length = sum((np.square(a).sum(axis=-1) + np.square(b).sum(axis=-1)).mean() for a, b in pairs)
    return float(distance), float(length)
