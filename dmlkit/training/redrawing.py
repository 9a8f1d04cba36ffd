"""A suspect of the paper's riddle: mappings that are not those that were trained when the videos are scored."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import pandas as pd

from dmlkit.metrics import global_average_precision
from dmlkit.profiles import Profile
from dmlkit.runs import Run, to_frame
from dmlkit.training.scoring import predict

# Of the paper's start.
DEVIATION = 0.01

COLUMNS = ("title", "as trained", "mapping drawn anew", "scores of other videos")


def mapping_redrawn(runs: Mapping[str, Run], dataset, *, seed: int = 0) -> pd.DataFrame:
    """What is left of mapped fusions whose mappings W are drawn anew before scoring, all else as it was trained.

    It is what happens where a mapping is kept out of the checkpoint, or drawn at every step instead of once: the
    training loss tells nothing of it. Beside it, what is left where the scores are those of other videos.

    Args:
        runs: Name → run; those whose fusion maps are looked at.
        dataset: What they were trained on; its validation part is scored, under each run's own conditions.
        seed: Of what is drawn, from N(0, 0.01) as the paper's start, and of the order of the other videos.

    Returns:
        A row a run: `title`, and GAP@20 `as trained`, with the `mapping drawn anew`, and with `scores of other videos`.

    Paper: §Experiments (0.011 and 0.017 for the mapped fusions); §Fusion, the start of the mappings.
    """
    rows = []
    for run in runs.values():
        if run.experiment.fusion == "concat":
            continue
        model = Run(run.path, run.record).model  # a fresh one: the run keeps its own as it is
        _redraw(model, seed=seed)
        redrawn = predict(model, dataset, "validate", profile=Profile.from_record(run.record["profile"]))
        said = run.predictions
        others = np.random.default_rng(seed).permutation(len(said.ids))
        gaps = (
            run.gap,
            global_average_precision(redrawn.scores, redrawn.labels),
            global_average_precision(said.scores[others], said.labels),
        )
        rows.append(dict(zip(COLUMNS, (run.title, *gaps), strict=True)))
    return to_frame(rows, columns=list(COLUMNS)).set_index("title")


def _redraw(model: keras.Model, *, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.name.startswith("fusion"):
            # Matrices map; vectors are biases, which no start draws.
            layer.set_weights(
                [
                    rng.normal(0.0, DEVIATION, old.shape) if old.ndim == 2 else old
                    for old in layer.get_weights()
                ]
            )
