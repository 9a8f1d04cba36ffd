"""Analyses of trained runs: fusions and their projections, mappings resampled, the number of frames."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import keras
import numpy as np
import pandas as pd

from dmlkit.data import FRAME_CHOICES
from dmlkit.metrics import gap_interval, global_average_precision
from dmlkit.profiles import Profile
from dmlkit.runs import Run, to_frame
from dmlkit.training.prediction import score_split


def fusion_study(runs: Mapping[str, Run], batch: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The scores of fusions, and how well their projections of the videos of a batch are aligned; a row per run.

    `loss` is that of the last epoch. Of projections alone: `distance` (mean ‖z_1 - z_2‖² over valid frames), `length`
    (mean ‖z_1‖² + ‖z_2‖²) and `relative_distance`: 0 where the projections are equal, 1 where they are orthogonal.
    """
    rows = []
    for run in runs.values():
        experiment = run.experiment
        projects = experiment.fusion == "projection"
        distance, norm = projection_distance(run.model, batch) if projects else (np.nan, np.nan)
        low, high = run.metrics["gap_interval"]
        rows.append(
            {
                "title": run.title,
                "fusion": experiment.fusion,
                "initializer": "none" if experiment.fusion == "concat" else experiment.mapping_initializer,
                "alignment_weight": experiment.alignment_weight if projects else np.nan,
                "gap": run.gap,
                "gap_low": low,
                "gap_high": high,
                "loss": float(run.history["loss"].iloc[-1]),
                "distance": distance,
                "length": norm,
                "relative_distance": distance / norm if norm else np.nan,
            }
        )
    return pd.DataFrame(rows)


def projection_distance(model: keras.Model, batch: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The means over valid frames (videos, at video level) of Σ_{i<j} ‖z_i - z_j‖² and of Σ_{i<j} (‖z_i‖² + ‖z_j‖²).

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
    norm = sum((np.square(a).sum(axis=-1) + np.square(b).sum(axis=-1)).mean() for a, b in pairs)
    return float(distance), float(norm)


def mapping_resampling(runs: Mapping[str, Run], dataset, *, seed: int = 0) -> pd.DataFrame:
    """GAP@20 of mapped fusions `as trained`, with a `resampled mapping`, and with `permuted videos`; a row per run.

    Resampled from N(0, 0.01) is what a mapping is where it is left out of the checkpoint, or sampled at every step
    instead of once; the training loss does not show it. With permuted videos each has the scores of another one.

    Paper: §Experiments (its low results of the mapped fusions, 0.011 and 0.017); §Fusion, the initializer.
    """
    rows = []
    for run in runs.values():
        if run.experiment.fusion == "concat":
            continue
        model = Run(run.path, run.record).model  # a fresh one: the run keeps its own
        rng = np.random.default_rng(seed)
        for layer in model.layers:
            if layer.name.startswith("fusion"):  # matrices map; vectors are biases
                weights = layer.get_weights()
                layer.set_weights([rng.normal(0.0, 0.01, w.shape) if w.ndim == 2 else w for w in weights])
        profile = Profile.from_record(run.record["profile"])
        resampled, stored = score_split(model, dataset, "validate", profile=profile), run.predictions
        order = np.random.default_rng(seed).permutation(len(stored.ids))
        rows.append(
            {
                "title": run.title,
                "as trained": run.gap,
                "resampled mapping": global_average_precision(resampled.scores, resampled.labels),
                "permuted videos": global_average_precision(stored.scores[order], stored.labels),
            }
        )
    columns = ["title", "as trained", "resampled mapping", "permuted videos"]
    return to_frame(rows, columns=columns).set_index("title")


def frame_study(
    run: Run | None, dataset, *, counts: Sequence[int | None] = (10, 20, 40, None), split: str = "tuning"
) -> pd.DataFrame:
    """Score a split with fewer frames, chosen in each way there is; nothing is trained again.

    A row for each choice and count (`frames`; None is "all"); empty without a run on frames. The number of frames is a
    setting, so the tuning split is used. Seconds are of reading and scoring, without what Keras does once for a shape.

    Paper: §Future work (training on randomly sampled frames). Differs from the paper: the frames are sampled when a
    model is used; `Profile.frame_share` samples them in training.
    """
    columns = ["frames", "choice", "gap", "gap_low", "gap_high", "seconds", "videos"]
    if run is None or dataset.level != "frame":
        return pd.DataFrame(columns=columns)
    profile = Profile.from_record(run.record["profile"])

    def measure(count: int | None, choice: str) -> tuple:
        since = time.monotonic()
        settings = replace(profile, max_frames=count, frame_choice=choice)
        predictions = score_split(run.model, dataset, split, profile=settings)
        seconds = round(time.monotonic() - since, 3)
        scores, labels = predictions.scores.astype(np.float32), predictions.labels
        interval = gap_interval(scores, labels, resamples=300)
        return global_average_precision(scores, labels), *interval, seconds, len(scores)

    # Keras stops compiling for new shapes after several sizes and lengths of batches.
    few = max(profile.batch_size, 64) + 1
    for count in counts:
        caps = dict.fromkeys(("max_train_videos", "max_tuning_videos", "max_validate_videos"), few)
        score_split(run.model, dataset, split, profile=replace(profile, max_frames=count, **caps))
    # All frames are the same frames whichever way they are chosen.
    every = measure(None, "first") if None in counts else ()
    rows = [
        (
            "all" if count is None else str(count),
            choice,
            *(every if count is None else measure(count, choice)),
        )
        for choice in FRAME_CHOICES
        for count in counts
    ]
    return pd.DataFrame(rows, columns=columns)
