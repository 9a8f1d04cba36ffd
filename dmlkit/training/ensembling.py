"""An ensemble of finished runs, from their stored scores: no model is needed.

Paper: §Ensemble, Algorithm 2.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dmlkit.errors import UsageError
from dmlkit.evaluation import gap_weights, weighted_average
from dmlkit.experiments import Ensemble
from dmlkit.predictions import Predictions, put_together
from dmlkit.runs import Run, load_run
from dmlkit.training.folder import existing_run, finish, make_folder
from dmlkit.training.provenance import fingerprint, version_of


def ensemble(
    runs: Sequence[Run | str | os.PathLike],
    *,
    out: str | os.PathLike,
    name: str = "ensemble",
    title: str | None = None,
) -> Run:
    """Average the scores of runs, each weighted by its GAP on the tuning part.

    Args:
        runs: At least two runs, or their folders, on the same data.
        out: The folder of the ensemble, which is a run too.
        name, title: What it is called.

    Returns:
        The ensemble's run: its record names the members and their weights.

    Raises:
        UsageError: Fewer than two runs, runs on different data, or a folder that holds another run.

    Paper: §Ensemble, Algorithm 2 (α_i = GAP_i / Σ GAP; the score of a class is Σ α_i S_i).
    """
    since = time.monotonic()
    members = [run if isinstance(run, Run) else load_run(run) for run in runs]
    if len(members) < 2:
        raise UsageError(f"An ensemble needs at least two runs. Received: {len(members)}.")
    _same_data(members)
    rung = Ensemble(name=name, title=title or name, members=tuple(run.name for run in members))
    mark = ensemble_mark(name, [run.record["fingerprint"] for run in members])
    folder = Path(out)
    if finished := existing_run(folder, mark=mark, what=name):
        return finished
    weights = gap_weights([run.tuning_gap for run in members])
    tuning = _combine([Predictions.load(run.path / "tuning.npz") for run in members], weights)
    validation = _combine([run.predictions for run in members], weights)
    first = members[0].record
    record = {
        "kind": "ensemble",
        "fingerprint": mark,
        "experiment": rung.to_record(),
        "members": [
            {"name": run.name, "path": os.path.relpath(run.path, folder), "weight": float(weight)}
            for run, weight in zip(members, weights, strict=True)
        ],
        "profile": first["profile"],
        "seed": first["seed"],
        "precision": first["precision"],
        "deterministic": first["deterministic"],
        "data": first["data"],
        "parameters": sum(run.record["parameters"] for run in members),
        "epochs": None,
        # What it took to have it: its members' training, and the moment of combining.
        "seconds": {
            "training": round(
                sum(run.record["seconds"]["training"] for run in members) + time.monotonic() - since, 3
            )
        },
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    make_folder(folder)
    return finish(folder, record, tuning=tuning, validation=validation)


def ensemble_mark(name: str, members: Sequence[str]) -> str:
    """The fingerprint of an ensemble: its name and the fingerprints of its members."""
    return fingerprint(ensemble=name, members=list(members), version=version_of("dmlkit"))


def _same_data(members: Sequence[Run]) -> None:
    first = members[0]
    for run in members[1:]:
        for what in ("fingerprint", "videos"):
            if run.record["data"][what] != first.record["data"][what]:
                raise UsageError(
                    f"Runs on different data cannot be combined: {first.path} was scored on "
                    f"{first.record['data']['name']} ({first.measures['videos']:,} videos), {run.path} on "
                    f"{run.record['data']['name']} ({run.measures['videos']:,} videos)."
                )


def _combine(parts: Sequence[Predictions], weights: np.ndarray) -> Predictions:
    first = parts[0]
    aligned = [_in_order_of(first.ids, part) for part in parts]
    # Where members kept their highest scores only, those of all of them together are what is left.
    kept = sum(part.kept or 0 for part in parts)
    blocks = (
        blocks[0]._replace(
            scores=weighted_average((block.scores for block in blocks), weights).astype(np.float16)
        )
        for blocks in zip(*(part.blocks() for part in aligned), strict=True)
    )
    return put_together(blocks, kept=min(kept, first.num_classes) if kept else None)


def _in_order_of(ids: np.ndarray, part: Predictions) -> Predictions:
    turned = part.in_order_of(ids)
    if turned is None:
        raise UsageError("The runs scored different videos, so their scores cannot be averaged.")
    return turned
