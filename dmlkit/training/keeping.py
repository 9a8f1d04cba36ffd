"""The models at some moments of one training, kept as runs of their own: an ensemble at the price of one training.

RUN/checkpoints/EPOCH/
  weights.npz   the model after that epoch; only while training
  run.json, model.keras, tuning.npz, predictions.npz   as in every run, once the training has ended

Differs from the paper: it has one model of each training. These are the snapshots of Huang et al., Snapshot Ensembles
(2017), where the rate is cyclic, and plain last epochs elsewhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from dmlkit.errors import DataError
from dmlkit.experiments import Experiment
from dmlkit.files import UnreadableError, read_arrays, write_arrays
from dmlkit.profiles import Profile
from dmlkit.runs import CHECKPOINTS, RECORD, Run, find_runs, read_record
from dmlkit.training.folder import finish, make_folder, save_model
from dmlkit.training.provenance import fingerprint

if TYPE_CHECKING:
    from dmlkit.training.climbing import Climb

WEIGHTS = "weights.npz"


def kept_epochs(profile: Profile, *, epochs: int) -> tuple[int, ...]:
    """The epochs whose models are kept, of a training that has come so far.

    Args:
        profile: Its `checkpoints` says how many, its schedule between which epochs to choose.
        epochs: Epochs done.
    """
    there = [epoch for epoch in profile.moments if epoch <= epochs]
    return tuple(there[-profile.checkpoints :]) if profile.checkpoints else ()


def keep(folder: Path, weights: Sequence[np.ndarray], profile: Profile, *, epoch: int) -> None:
    """Keep the weights after an epoch, where it is one to keep, and let go of those that are not the last any more.

    A training that is killed between this and its next checkpoint comes by here again, and keeps the same.

    Args:
        folder: The run's.
        weights: The model's.
        profile: The run's.
        epoch: Counted from 1.
    """
    kept = kept_epochs(profile, epochs=epoch)
    if epoch in kept:
        here = folder / CHECKPOINTS / str(epoch)
        make_folder(here)
        # What an earlier attempt at this training left is of other weights.
        (here / RECORD).unlink(missing_ok=True)
        write_arrays(here / WEIGHTS, {f"weight_{place}": value for place, value in enumerate(weights)})
    if profile.checkpoints:
        _let_go(folder, but={str(epoch) for epoch in kept})


def leave_checkpoints(
    folder: Path, climb: Climb, model: keras.Model, *, record: dict, history: Sequence[Mapping]
) -> None:
    """Score the models that were kept, each as the run itself is scored, and leave a run of each.

    Args:
        folder: The run's.
        climb: The training, which has ended.
        model: Its model; its weights are others afterwards.
        record: The run's, without what `finish` adds.
        history: A dict an epoch.
    """
    mark = record["fingerprint"]
    kept = kept_epochs(climb.profile, epochs=record["epochs"])
    marks = checkpoint_marks(mark, len(kept))
    # Asked before any is written, so that several workers are of one mind.
    left = climb.team.each(
        lambda: [pair for pair in zip(kept, marks, strict=True) if not _is_left(folder, *pair)]
    )
    for epoch, own_mark in left:
        here = folder / CHECKPOINTS / str(epoch)
        model.set_weights(climb.team.each(lambda here=here: _weights(here)))
        tuning, validation = (climb.scores(part) for part in ("tuning", "validate"))
        experiment = Experiment.from_record(record["experiment"])
        own = record | {
            "fingerprint": own_mark,
            "experiment": named(experiment, epoch).to_record(),
            "epochs": epoch,
            "best_epoch": epoch,
            "checkpoint_of": mark,
            # Till then: its moments share one training.
            "seconds": record["seconds"]
            | {"training": round(sum(row["seconds"] for row in history[:epoch]), 3)},
        }

        def leave(here=here, own=own, tuning=tuning, validation=validation) -> None:
            save_model(model, here / "model.keras")
            finish(here, own, tuning=tuning, validation=validation)

        climb.team.by_chief(leave)
    climb.team.by_chief(lambda: _tidy(folder, {str(epoch) for epoch in kept}))


def checkpoints_of(run: Run) -> list[Run]:
    """The runs that one training left of its moments, the earliest first; none where its profile asks for none.

    Raises:
        DataError: One of them is missing or damaged.
    """
    if not (asked := run.record["profile"].get("checkpoints", 0)):
        return []
    folder, mark = run.path / CHECKPOINTS, run.record["fingerprint"]
    found = find_runs(folder).runs if folder.is_dir() else []
    kept = [each for each in found if each.record.get("checkpoint_of") == mark]
    if len(kept) != asked:
        raise DataError(
            f"{run.path} was to leave {asked} checkpoints, and {len(kept)} can be read in {folder}. Delete the run "
            "and train it again."
        )
    return sorted(kept, key=lambda each: each.record["epochs"])


def taken(run: Run, member_runs: str) -> list[Run]:
    """What an ensemble has of a member's training, by a name of `experiments.MEMBER_RUNS`."""
    return [run] if member_runs == "best" else checkpoints_of(run)


def checkpoint_marks(mark: str, count: int) -> list[str]:
    """The fingerprints of a training's checkpoints, from its own; known before it is trained.

    Args:
        mark: The training's.
        count: How many it leaves.
    """
    return [fingerprint(checkpoint_of=mark, place=place) for place in range(count)]


def named(experiment: Experiment, epoch: int) -> Experiment:
    """What a checkpoint is called."""
    return replace(
        experiment,
        name=f"{experiment.name}-epoch-{epoch}",
        title=f"{experiment.title}, epoch {epoch}",
        paper_gap=None,
    )


def _is_left(folder: Path, epoch: int, mark: str) -> bool:
    record = read_record(folder / CHECKPOINTS / str(epoch))
    return record is not None and record["fingerprint"] == mark


def _weights(folder: Path) -> list[np.ndarray]:
    try:
        arrays = read_arrays(folder / WEIGHTS)
        return [arrays[f"weight_{place}"] for place in range(len(arrays))]
    except (UnreadableError, KeyError) as error:
        raise DataError(
            f"The checkpoint of this training cannot be read ({error}). Delete {folder.parent.parent} and train again."
        ) from error


def _tidy(folder: Path, kept: set[str]) -> None:
    _let_go(folder, but=kept)
    for epoch in kept:
        (folder / CHECKPOINTS / epoch / WEIGHTS).unlink(missing_ok=True)


def _let_go(folder: Path, *, but: set[str]) -> None:
    there = folder / CHECKPOINTS
    for each in there.iterdir() if there.is_dir() else ():
        if each.name.isdecimal() and each.name not in but:
            shutil.rmtree(each)
