"""Finished runs that score together, each ensemble in its own way, over one reading of the data.

Paper: §Ensemble, Algorithm 2.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np

from dmlkit.data import RAISE, Skipped
from dmlkit.errors import DataError, UsageError, choose
from dmlkit.metrics import COMBINERS, Weights, combine, gap_weights, optimize_weights, weighted_average
from dmlkit.predictions import Block, score_batches
from dmlkit.profiles import Profile
from dmlkit.runs import Run, load_run
from dmlkit.training.ensembling import ALGORITHM_2, combinable, parts_of, tuning_of
from dmlkit.training.scoring import batch_size, scorer

# Weighted means of weighted means are one.
MEAN = COMBINERS[ALGORITHM_2].combine


class Member(NamedTuple):
    """A training, and its share of the scores.

    Where it is an ensemble whose way is no weighted mean, or a member of such a one, `below` are its members, `by` and
    `bias` how they are combined; elsewhere one whose way is a weighted mean is its members, with the product of both
    weights. Of several runs that are no ensemble on disk `run` is the first.
    """

    run: Run
    weight: float
    below: tuple[Member, ...] = ()
    by: str = ALGORITHM_2
    bias: float = 0.0


def members_of(
    runs: Run | str | os.PathLike | Sequence[Run | str | os.PathLike], *, by: str | None = None
) -> list[Member]:
    """The trainings behind one run or several, with their weights.

    Args:
        runs: A run or its folder, or several. An ensemble's members are those its record names, with the way and the
            weights it names.
        by: How several are combined, a name of `evaluation.COMBINERS`, with the weights that `ensemble` would find in what
            they said of the tuning part. Where None, they are weighted by their GAP there, which their records tell.

    Raises:
        UsageError: No run, an unknown way, one for a single run, or one for runs on different data.
        DataError: A run is missing or damaged, or an ensemble's record does not name the runs it was made of.
    """
    if isinstance(runs, Run | str | os.PathLike):
        runs = [runs]
    opened = [run if isinstance(run, Run) else load_run(run) for run in runs]
    if not opened:
        raise UsageError("Name at least one run to score with.")
    if by is not None:
        return _combined(opened, by)
    weights = gap_weights([run.tuning_gap for run in opened]) if len(opened) > 1 else [1.0]
    return [member for run, weight in zip(opened, weights, strict=True) for member in _below(run, weight, ())]


def _combined(runs: Sequence[Run], by: str) -> list[Member]:
    is_mean = choose(COMBINERS, by, what="way to combine").combine is MEAN
    if len(runs) < 2:
        raise UsageError(
            f"A way to combine is for several runs, and there is one: {runs[0].path}. Leave {by!r} out; an ensemble "
            "scores in the way it was combined."
        )
    weights = optimize_weights(parts_of(tuning_of(combinable(runs))), by=by)
    pairs = zip(runs, (float(weight) for weight in weights.members), strict=True)
    if is_mean:
        return [member for run, weight in pairs for member in _below(run, weight, ())]
    return [Member(runs[0], 1.0, tuple(_whole(*pair, ()) for pair in pairs), by, weights.bias)]


def _whole(run: Run, weight: float, above: tuple) -> Member:
    """A run as one member, also where it is a mean of others: votes, ranks and logits are of its scores, not theirs."""
    found = _below(run, 1.0, above)
    return found[0]._replace(weight=weight) if len(found) == 1 else Member(run, weight, tuple(found))


def _below(run: Run, weight: float, above: tuple) -> list[Member]:
    if run.record["kind"] == "training":
        return [Member(run, float(weight))]
    here = run.path.resolve()
    found = []
    try:
        # What was written before there was another way names none.
        by, bias = run.record.get("by", ALGORITHM_2), float(run.record.get("bias", 0.0))
        named = [
            (each["name"], run.path / each["path"], float(each["weight"])) for each in run.record["members"]
        ]
        is_mean = COMBINERS[by].combine is MEAN
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{run.path} is an ensemble whose record does not name its members or a way that is known ({error!r})."
        ) from error
    for name, path, share in named:
        member = load_run(path)
        # Only a mean has shares: those of `stacking` may be negative.
        fits = 0 <= share <= 1 if is_mean else isfinite(share) and isfinite(bias)
        if member.name != name or path.resolve() in (here, *above) or not fits:
            raise DataError(
                f"{run.path} is an ensemble of {name!r} at {path}, but another run is there now. Combine its runs "
                "anew with `dmlkit ensemble`."
            )
        seen = (*above, here)
        found += _below(member, weight * share, seen) if is_mean else [_whole(member, share, seen)]
    return found if is_mean else [Member(run, float(weight), tuple(found), by, bias)]


def trainings(members: Sequence[Member]) -> list[Run]:
    """Those that score, in the order in which `score_blocks` asks them."""
    return [run for member in members for run in (trainings(member.below) if member.below else [member.run])]


def check_fit(members: Sequence[Member], dataset) -> None:
    """Refuse data that are not of the kind the runs were trained on.

    Raises:
        UsageError: Other features, classes or level.
    """
    features = {name: feature.size for name, feature in dataset.features.items()}
    for run in trainings(members):
        for what, trained, given in (
            ("features", run.record["data"]["features"], features),
            ("classes", run.record["data"]["num_classes"], dataset.num_classes),
            ("level", run.record["data"]["level"], dataset.level),
        ):
            if trained != given:
                raise UsageError(
                    f"{run.path} was trained on other {what} than {dataset.name} has. "
                    f"Expected {trained}. Received: {given}."
                )


def score_blocks(
    members: Sequence[Member],
    dataset,
    split: str,
    *,
    max_videos: int | None = None,
    on_fault: str | Skipped = RAISE,
) -> Iterator[Block]:
    """The scores of a part, some videos at a time; memory does not grow with their number.

    Those of several members are combined from their scores at half precision, which is what is stored of them: an
    ensemble scores as it was measured. Members that read the same frames share one reading.

    Args:
        members: From `members_of`, which fit the data (`check_fit`).
        dataset: What `open_dataset` gives.
        split: The part.
        max_videos: Only the first videos of it.
        on_fault: As for `Dataset.batches`.

    Raises:
        UsageError: An unknown part.
        DataError: The data are damaged, or a score is not a number.

    Paper: §Ensemble, Algorithm 2.
    """
    runs = trainings(members)
    profiles = [Profile.from_record(run.record["profile"]) for run in runs]
    settings = [(profile.frame_choice, profile.max_frames) for profile in profiles]
    size = min(batch_size(dataset, frames) for _, frames in settings)
    skipped = Skipped.of(on_fault)
    readings = {
        (choice, frames): dataset.batches(
            split,
            batch_size=size,
            frame_choice=choice,
            max_frames=frames,
            max_videos=max_videos,
            on_fault=skipped,
        )
        for choice, frames in settings
    }
    scorers = [scorer(run.model) for run in runs]

    def score(batch: dict) -> np.ndarray:
        found = [each(batch[own]) for each, own in zip(scorers, settings, strict=True)]
        if len(found) == 1 or not all(np.isfinite(scores).all() for scores in found):
            return found[0] if len(found) == 1 else np.full_like(found[0], np.nan)
        return _together(members, iter(found))

    return score_batches(_side_by_side(readings), score)


def _together(members: Sequence[Member], found: Iterator[np.ndarray]) -> np.ndarray:
    """Σ α_i S_i, where each training's scores are the next of those found."""
    return weighted_average((_one(member, found) for member in members), [each.weight for each in members])


def _one(member: Member, found: Iterator[np.ndarray]) -> np.ndarray:
    if not member.below:
        return next(found).astype(np.float16)
    weights = Weights(np.array([each.weight for each in member.below]), member.bias)
    return combine((_one(each, found) for each in member.below), weights, by=member.by).astype(np.float16)


def _side_by_side(readings: dict[tuple, Iterable[dict]]) -> Iterator[dict]:
    """The same videos as each reading has them: setting → batch, with the ids and labels that all share."""
    for batches in zip(*readings.values(), strict=True):
        shared = {name: batches[0][name] for name in ("id", "labels") if name in batches[0]}
        yield shared | dict(zip(readings, batches, strict=True))
