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
    """The scores of fusions, and how well their projections of the videos of a batch are aligned.

    Returns:
        A row per run: `title`, `fusion`, `initializer`, `alignment_weight`, `gap`, `gap_low`, `gap_high`, `loss` (of
        the last epoch), `distance` (mean ‖z_1 - z_2‖² over valid frames), `length` (mean ‖z_1‖² + ‖z_2‖²) and
        `relative_distance`, the first over the second: 0 where the projections are equal, 1 where they are orthogonal.
        The last three are missing where nothing is projected.
    """
    rows = []
    for run in runs.values():
        experiment = run.experiment
        projects = experiment.fusion == "projection"
        distance, norm = projection_distance(run.model, batch) if projects else (np.nan, np.nan)
        rows.append(
            {
                "title": run.title,
                "fusion": experiment.fusion,
                "initializer": "none" if experiment.fusion == "concat" else experiment.mapping_initializer,
                "alignment_weight": experiment.alignment_weight if projects else np.nan,
                "gap": run.gap,
                "gap_low": run.metrics["gap_interval"][0],
                "gap_high": run.metrics["gap_interval"][1],
                "loss": float(run.history["loss"].iloc[-1]),
                "distance": distance,
                "length": norm,
                "relative_distance": distance / norm if norm else np.nan,
            }
        )
    return pd.DataFrame(rows)


def projection_distance(model: keras.Model, batch: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The distance of the modalities' projections under a model with the fusion `projection`, and their norms.

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
    norm = sum((np.square(a).sum(axis=-1) + np.square(b).sum(axis=-1)).mean() for a, b in pairs)
    return float(distance), float(norm)


def mapping_resampling(runs: Mapping[str, Run], dataset, *, seed: int = 0) -> pd.DataFrame:
    """The scores of mapped fusions whose mappings are resampled before scoring, all else as it was trained.

    This is what happens where a mapping is left out of the checkpoint, or sampled at every step instead of once; the
    training loss does not show it. For comparison, the scores where each video is given those of another one.

    Args:
        runs: Name → run; those with a mapped fusion are looked at.
        dataset: What they were trained on; its validation split is scored, under each run's own conditions.
        seed: Of the mappings, sampled from N(0, 0.01) as the paper initializes them, and of the order of the videos.

    Returns:
        A row per run: `title`, and GAP@20 `as trained`, with `resampled mapping`, and with `permuted videos`.

    Paper: §Experiments (its low results of the mapped fusions, 0.011 and 0.017); §Fusion, the initializer.
    """
    columns = ["title", "as trained", "resampled mapping", "permuted videos"]
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
        resampled = score_split(model, dataset, "validate", profile=profile)
        stored = run.predictions
        order = np.random.default_rng(seed).permutation(len(stored.ids))
        gaps = (
            run.gap,
            global_average_precision(resampled.scores, resampled.labels),
            global_average_precision(stored.scores[order], stored.labels),
        )
        rows.append(dict(zip(columns, (run.title, *gaps), strict=True)))
    return to_frame(rows, columns=columns).set_index("title")


def frame_study(
    run: Run | None, dataset, *, counts: Sequence[int | None] = (10, 20, 40, None), split: str = "tuning"
) -> pd.DataFrame:
    """Score a split with fewer frames, chosen in each way there is; nothing is trained again.

    The seconds are those of reading and scoring, without what Keras does once for each new shape.

    Args:
        run: A trained run on frames; None where the data set has none.
        dataset: The data set the run was trained on.
        counts: Most frames of a video; None for all of them.
        split: The split. The number of frames is a setting, so the tuning split is used unless another is named.

    Returns:
        A row for each choice and count: `frames` (text, "all" for None), `choice`, `gap`, `gap_low`, `gap_high`,
        `seconds`, `videos`. Empty without a run, or where there are no frames.

    Paper: §Future work (training on randomly sampled frames). Differs from the paper: the frames are sampled when a
    model is used; `Profile.frame_share` samples them in training.
    """
    columns = ["frames", "choice", "gap", "gap_low", "gap_high", "seconds", "videos"]
    if run is None or dataset.level != "frame":
        return pd.DataFrame(columns=columns)
    profile = Profile.from_record(run.record["profile"])

    def measure(count: int | None, choice: str) -> dict:
        settings = replace(profile, max_frames=count, frame_choice=choice)
        since = time.monotonic()
        predictions = score_split(run.model, dataset, split, profile=settings)
        seconds = time.monotonic() - since
        scores = predictions.scores.astype(np.float32)
        low, high = gap_interval(scores, predictions.labels, resamples=300)
        gap = global_average_precision(scores, predictions.labels)
        return {
            "gap": gap,
            "gap_low": low,
            "gap_high": high,
            "seconds": round(seconds, 3),
            "videos": len(scores),
        }

    # Keras stops compiling for new shapes after several sizes and lengths of batches.
    few = max(profile.batch_size, 64) + 1
    for count in counts:
        caps = dict.fromkeys(("max_train_videos", "max_tuning_videos", "max_validate_videos"), few)
        score_split(run.model, dataset, split, profile=replace(profile, max_frames=count, **caps))
    # All frames are the same frames whichever way they are chosen.
    every = measure(None, "first") if None in counts else {}
    rows = [
        {"frames": "all" if count is None else str(count), "choice": choice}
        | (every if count is None else measure(count, choice))
        for choice in FRAME_CHOICES
        for count in counts
    ]
    return pd.DataFrame(rows, columns=columns)
