"""An ensemble of finished runs, from their stored scores: no model is needed.

Paper: §Ensemble, Algorithm 2, and other ways to combine beside it (`evaluation.COMBINERS`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dmlkit.errors import DataError, UsageError, choose
from dmlkit.experiments import Ensemble
from dmlkit.metrics import COMBINERS, Weights, combine, optimize_weights
from dmlkit.predictions import Block, Predictions, put_together
from dmlkit.runs import Run, load_run
from dmlkit.training.provenance import fingerprint, version_of
from dmlkit.training.state import existing_run, finish_run, make_folder

ALGORITHM_2 = "algorithm_2"


def ensemble(
    runs: Sequence[Run | str | os.PathLike],
    *,
    out: str | os.PathLike,
    name: str = "ensemble",
    title: str | None = None,
    by: str = ALGORITHM_2,
) -> Run:
    """Combine the scores of runs; what weights there are come from the tuning part, never from what is reported.

    Args:
        runs: At least two runs, or their folders, on the same data.
        out: The folder of the ensemble, which is a run too.
        name, title: What it is called.
        by: The way, a name of `evaluation.COMBINERS`.

    Returns:
        The ensemble's run: its record names the way, the members and their weights.

    Raises:
        UsageError: An unknown way, fewer than two runs, runs on different data, or a folder that holds another run.

    Paper: §Ensemble, Algorithm 2 (α_i = GAP_i / Σ GAP; the score of a class is Σ α_i S_i).
    """
    since = time.monotonic()
    choose(COMBINERS, by, what="way to combine")
    members = combinable(runs)
    rung = Ensemble(name=name, title=title or name, members=tuple(run.name for run in members), by=by)
    mark = ensemble_fingerprint(name, [run.record["fingerprint"] for run in members], by=by)
    folder = Path(out)
    if finished := existing_run(folder, fingerprint=mark, name=name):
        return finished
    held_out = tuning_of(members)
    weights = optimize_weights(parts_of(held_out), by=by)
    tuning = combined(held_out, weights, by=by)
    validation = combined([run.predictions for run in members], weights, by=by)
    first = members[0].record
    record = {
        "kind": "ensemble",
        "fingerprint": mark,
        "experiment": rung.to_record(),
        "by": by,
        "bias": weights.bias,
        "members": [
            {"name": run.name, "path": os.path.relpath(run.path, folder), "weight": float(weight)}
            for run, weight in zip(members, weights.members, strict=True)
        ],
        "profile": first["profile"],
        "seed": first["seed"],
        "precision": first["precision"],
        "deterministic": first["deterministic"],
        "data": first["data"],
        "parameters": sum(run.record["parameters"] for run in members),
        "epochs": None,
        "seconds": _seconds(members, combining=time.monotonic() - since),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    make_folder(folder)
    return finish_run(folder, record, tuning=tuning, validation=validation)


def _seconds(members: Sequence[Run], *, combining: float) -> dict[str, float]:
    """What it took to have an ensemble, and what it takes to score with it: what all its members do."""
    told = [run.record["seconds"] for run in members]
    trained: dict[str, float] = {}
    for run, each in zip(members, told, strict=True):
        # Moments of one training, which the last of them has whole.
        one = run.record.get("checkpoint_of", run.record["fingerprint"])
        trained[one] = max(each["training"], trained.get(one, 0.0))
    training = {"training": round(sum(trained.values()) + combining, 3)}
    if not all("scoring" in each for each in told):  # a run of before it was measured
        return training
    return training | {"scoring": round(sum(each["scoring"] for each in told), 3)}


def ensemble_fingerprint(name: str, members: Sequence[str], *, by: str = ALGORITHM_2) -> str:
    """The fingerprint of an ensemble: its name, the fingerprints of its members and the way they are combined."""
    way = {} if by == ALGORITHM_2 else {"by": by}
    return fingerprint(ensemble=name, members=list(members), version=version_of("dmlkit"), **way)


def combinable(runs: Sequence[Run | str | os.PathLike]) -> list[Run]:
    """The runs, opened.

    Raises:
        UsageError: Fewer than two, or runs on different data.
    """
    members = [run if isinstance(run, Run) else load_run(run) for run in runs]
    if len(members) < 2:
        raise UsageError(f"An ensemble needs at least two runs. Received: {len(members)}.")
    _same_data(members)
    return members


def made_of(run: Run | str | os.PathLike | None) -> list[Run]:
    """The runs that an ensemble's record names, opened; none where there is no ensemble.

    Args:
        run: The ensemble's run, or its folder.

    Raises:
        DataError: A member is not there any more.
    """
    if run is None:
        return []
    run = run if isinstance(run, Run) else load_run(run)
    return [load_run(run.path / member["path"]) for member in run.record.get("members", ())]


def tuning_of(members: Sequence[Run]) -> list[Predictions]:
    """What each run said of the tuning part.

    Raises:
        DataError: A run does not hold it.
    """
    for run in members:
        if not (run.path / "tuning.npz").exists():
            raise DataError(
                f"{run.path} lacks tuning.npz, its scores of the tuning part, from which members are weighed: it was "
                "trained before they were kept, or the file was deleted. Train it again, or score with it alone."
            )
    return [Predictions.load(run.path / "tuning.npz") for run in members]


def _same_data(members: Sequence[Run]) -> None:
    first = members[0]
    for run in members[1:]:
        for what in ("fingerprint", "videos"):
            if run.record["data"][what] != first.record["data"][what]:
                raise UsageError(
                    f"Runs on different data cannot be combined: {first.path} was scored on "
                    f"{first.record['data']['name']} ({first.metrics['videos']:,} videos), {run.path} on "
                    f"{run.record['data']['name']} ({run.metrics['videos']:,} videos)."
                )


def combined(parts: Sequence[Predictions], weights: Weights, *, by: str) -> Predictions:
    """The ensemble's predictions, from those of its members on one part, some videos at a time.

    Args:
        parts: Each member's.
        weights, by: As for `evaluation.combine`.

    Raises:
        UsageError: The members scored different videos.
    """
    # Where members kept their highest scores only, those of all of them together are what is left.
    kept = sum(part.kept or 0 for part in parts)
    blocks = (
        blocks[0]._replace(
            scores=combine((block.scores for block in blocks), weights, by=by).astype(np.float16)
        )
        for blocks in side_by_side(parts)
    )
    return put_together(blocks, kept=min(kept, parts[0].num_classes) if kept else None)


def parts_of(parts: Sequence[Predictions]) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """The members' scores and the labels, some videos at a time, as `evaluation.weigh` takes them."""
    for blocks in side_by_side(parts):
        yield [block.scores for block in blocks], blocks[0].labels


def side_by_side(parts: Sequence[Predictions]) -> Iterator[tuple[Block, ...]]:
    """Each member's blocks of the same videos, in the order of the first.

    Raises:
        UsageError: The members scored different videos.
    """
    aligned = [_in_order_of(parts[0].ids, part) for part in parts]
    return zip(*(part.blocks() for part in aligned), strict=True)


def _in_order_of(ids: np.ndarray, part: Predictions) -> Predictions:
    turned = part.in_order_of(ids)
    if turned is None:
        raise UsageError("The runs scored different videos, so their scores cannot be combined.")
    return turned
