"""Ensembles of finished runs from their stored scores, without models: as runs, by combiner, member by member.

Paper: §Ensemble, Algorithm 2, and the other combiners of `metrics.COMBINERS`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from dmlkit.errors import UsageError, choose
from dmlkit.experiments import ALGORITHM_2, Ensemble
from dmlkit.metrics import (
    COMBINERS,
    GlobalAveragePrecision,
    TopPairs,
    Weights,
    combine,
    gap_interval_of_pairs,
    gap_of_pairs,
    optimize_weights,
    overlap,
    percentiles,
    resampled_gaps,
    shortlist,
)
from dmlkit.predictions import Predictions, concatenate
from dmlkit.runs import Run, as_run, shared_class_names
from dmlkit.training.state import ensemble_fingerprint, existing_run, finish_run, make_folder

RunOrPath = Run | str | os.PathLike


def ensemble(
    runs: Sequence[RunOrPath],
    *,
    out: str | os.PathLike,
    name: str = "ensemble",
    title: str | None = None,
    by: str = ALGORITHM_2,
) -> Run:
    """Combine the scores of runs. Weights come from the tuning split, never from the split that is reported.

    Args:
        runs: At least two runs, or their folders, on the same data.
        out: The folder of the ensemble, which is a run too.
        name, title: Its name and its title in tables and figures.
        by: The combiner, a name of `metrics.COMBINERS`.

    Returns:
        The ensemble's run: its record names the combiner, the members and their weights.

    Raises:
        UsageError: An unknown combiner, fewer than two runs, runs on different data, or a folder that holds another
            run.

    Paper: §Ensemble, Algorithm 2 (α_i = GAP_i / Σ GAP; the score of a class is Σ α_i S_i).
    """
    since = time.monotonic()
    choose(COMBINERS, by, what="combiner")
    if not name.strip() or not name.isprintable():
        raise UsageError(f"The name of an ensemble is printable and not empty. Received: {name!r}.")
    members = combinable(runs, by=by)
    experiment = Ensemble(name=name, title=title or name, members=tuple(run.name for run in members), by=by)
    own_fingerprint = ensemble_fingerprint(name, [run.record["fingerprint"] for run in members], by=by)
    folder = Path(out)
    if finished := existing_run(folder, fingerprint=own_fingerprint, name=name):
        return finished
    stored = tuning_predictions(members)
    weights = weights_of(stored, by=by)
    tuning = combined_predictions(stored, weights, by=by)
    validation = combined_predictions([run.predictions for run in members], weights, by=by)
    training: dict[str, float] = {}
    for record in (run.record for run in members):
        # Checkpoints share one training, whose cost the last of them has.
        one = record.get("checkpoint_of", record["fingerprint"])
        training[one] = max(record["seconds"]["training"], training.get(one, 0.0))
    record = {
        "kind": "ensemble",
        "fingerprint": own_fingerprint,
        "experiment": experiment.to_record(),
        "by": by,
        "bias": weights.bias,
        "members": [
            {"name": run.name, "path": os.path.relpath(run.path, folder)}
            | {"fingerprint": run.record["fingerprint"], "weight": float(weight)}
            for run, weight in zip(members, weights.members, strict=True)
        ],
        **{key: members[0].record[key] for key in ("profile", "seed", "precision", "deterministic", "data")},
        "parameters": sum(run.record["parameters"] for run in members),
        "epochs": None,
        "seconds": {"training": round(sum(training.values()) + time.monotonic() - since, 3)},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    make_folder(folder)
    return finish_run(folder, record, tuning, validation)


def combinable(runs: Sequence[RunOrPath], *, by: str = ALGORITHM_2) -> list[Run]:
    """The runs, opened; a `UsageError` where there are fewer than two, or they are on different data or classes.

    Runs on segments hold scores of rated pairs alone, which only a mean (`by`) leaves as they are: others are refused.
    """
    members = [as_run(run) for run in runs]
    if len(members) < 2:
        raise UsageError(f"An ensemble needs at least two runs. Received: {len(members)}.")
    first, *others = members
    for run in others:
        if any(run.record["data"][key] != first.record["data"][key] for key in ("fingerprint", "videos")):
            described = (
                f"{each.path} was scored on {each.record['data']['name']} ({each.metrics['videos']:,} videos)"
                for each in (first, run)
            )
            raise UsageError(f"Runs on different data cannot be combined: {', '.join(described)}.")
    if (
        first.record["data"].get("unit") == "segment"
        and COMBINERS[by].combine is not COMBINERS[ALGORITHM_2].combine
    ):
        raise UsageError(
            f"Runs on segments are combined by a weighted mean, such as {ALGORITHM_2}, not by {by!r}."
        )
    shared_class_names((run.path, run.class_names) for run in members)
    return members


def ensemble_members(run: RunOrPath | None) -> list[Run]:
    """The runs that an ensemble's record names, opened; none where there is no ensemble."""
    run = run and as_run(run)
    return [as_run(run.path / member["path"]) for member in run.record.get("members", ())] if run else []


def tuning_predictions(members: Sequence[Run]) -> list[Predictions]:
    """Each run's scores of the tuning split; a `DataError` where a run does not hold them."""
    return [Predictions.load(run.path / "tuning.npz") for run in members]


def weights_of(tuning: Sequence[Predictions], *, by: str) -> Weights:
    """The members' weights under a combiner, from their scores of the tuning split."""
    return optimize_weights(_scores_and_labels(tuning), by=by)


def combined_predictions(members: Sequence[Predictions], weights: Weights, *, by: str) -> Predictions:
    """The ensemble's predictions of one split from its members', some videos at a time."""
    # Members may have kept only their highest scores; their union is what the ensemble has.
    fewest, classes = _fewest_kept(members), members[0].num_classes
    kept = min(fewest * len(members), classes) if fewest < classes else None
    blocks = (
        Predictions(blocks[0].ids, blocks[0].labels, _combined(blocks, weights, by=by))
        for blocks in _aligned_blocks(members)
    )
    return concatenate(blocks, kept=kept)


def _combined(blocks: Sequence[Predictions], weights: Weights, *, by: str) -> np.ndarray:
    """The members' scores of the same videos combined, as they are stored: (videos, classes) float16.

    A class that no member kept ranks below all that any member kept.
    """
    scores = combine((block.scores for block in blocks), weights, by=by).astype(np.float16)
    known = np.logical_or.reduce([block.is_kept for block in blocks])
    lowest = scores.min(axis=1, initial=np.inf, where=known, keepdims=True)
    return np.where(known, scores, np.minimum(scores, lowest))


def _aligned_blocks(members: Sequence[Predictions]) -> Iterator[tuple[Predictions, ...]]:
    """Each member's blocks of the same videos, in the order of the first member.

    All are cut to as many scores as the member with the fewest has, so that each counts for the same classes.
    """
    aligned = [each.in_order_of(members[0].ids) for each in members]
    if any(each is None for each in aligned):
        raise UsageError("The runs scored different videos, so their scores cannot be combined.")
    fewest = _fewest_kept(aligned)
    for blocks in zip(*(each.blocks() for each in aligned), strict=True):
        yield tuple(
            block if (block.kept or block.num_classes) == fewest else concatenate([block], kept=fewest)
            for block in blocks
        )


def _fewest_kept(members: Sequence[Predictions]) -> int:
    return min(each.kept or each.num_classes for each in members)


def _scores_and_labels(members: Sequence[Predictions]) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    for blocks in _aligned_blocks(members):
        yield [block.scores for block in blocks], blocks[0].labels


def _top_pairs(members: Sequence[Predictions], weights: Weights, *, by: str) -> TopPairs:
    """The top pairs of an ensemble, of scores as they would be stored."""
    gap = GlobalAveragePrecision()
    for blocks in _aligned_blocks(members):
        gap.update(_combined(blocks, weights, by=by), blocks[0].labels)
    return gap.pairs()


def compare_combiners(runs: Sequence[RunOrPath]) -> pd.DataFrame:
    """The best of some runs alone, then every combiner of them in the order of `metrics.COMBINERS`.

    Columns: tuning GAP (by which a combiner is to be chosen), validation GAP, its interval, the weights in the order of
    the runs. No row for fewer than two runs.

    Paper: §Ensemble, Algorithm 2, which is the first combiner.
    """
    columns = ["tuning GAP@20", "validation GAP@20", "from", "to", "weights"]
    if len(runs) < 2:
        return pd.DataFrame(columns=columns)
    members = combinable(runs)
    tuning, validation = tuning_predictions(members), [run.predictions for run in members]
    best = max(members, key=lambda run: run.tuning_gap)
    rows = {f"best member: {best.title}": (best.tuning_gap, best.gap, *best.metrics["gap_interval"], "–")}
    candidates = shortlist(_scores_and_labels(tuning))
    for by, combiner in COMBINERS.items():
        weights = combiner.weigh(candidates)
        tuned, scored = (_top_pairs(each, weights, by=by) for each in (tuning, validation))
        texts = ", ".join(f"{weight:.2f}" for weight in weights.members)
        rows[by] = (gap_of_pairs(tuned), gap_of_pairs(scored), *gap_interval_of_pairs(scored), texts)
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def leave_one_out(runs: Sequence[RunOrPath], *, by: str = ALGORITHM_2) -> pd.DataFrame:
    """The contribution of each run to an ensemble of them: its GAP minus that of the others combined.

    A row per run, under its title: its GAP alone on the tuning split, its contribution there (by which members are to
    be chosen), its contribution on the validation split, and the 95 % interval of that, paired over videos. No row for
    fewer than three runs.

    Paper: §Ensemble, which adds models without measuring the contribution of each.
    """
    choose(COMBINERS, by, what="combiner")
    columns = ["alone", "adds, tuning", "adds, validation", "from", "to"]
    if len(runs) < 3:
        return pd.DataFrame(columns=columns)
    members = combinable(runs)
    splits = tuning_predictions(members), [run.predictions for run in members]
    gaps, scored = [], []
    for left_out in (None, *range(len(members))):
        tuning, validation = (
            [each for place, each in enumerate(split) if place != left_out] for split in splits
        )
        weights = weights_of(tuning, by=by)
        scored.append(_top_pairs(validation, weights, by=by))
        gaps.append((gap_of_pairs(_top_pairs(tuning, weights, by=by)), gap_of_pairs(scored[-1])))
    resampled = resampled_gaps(scored, resamples=500, seed=0)
    rows = [
        (run.tuning_gap, *np.subtract(gaps[0], gap), *percentiles(resampled[0] - own, 0.95))
        for run, gap, own in zip(members, gaps[1:], resampled[1:], strict=True)
    ]
    return pd.DataFrame(rows, index=_titles(members), columns=columns)


def compare_members(runs: Sequence[RunOrPath]) -> pd.DataFrame:
    """Overlap of runs: the share of a video's highest classes that two have in common, on the tuning split.

    A row and a column per run, under their titles; 1 on the diagonal; empty for fewer than two runs. `attrs["top_k"]`
    is the number of highest classes: 20, or a fifth of fewer than 100 classes, of which any two models share most.
    """
    members = combinable(runs) if len(runs) > 1 else []
    shared = np.eye(len(members))
    top_k = max(1, min(20, members[0].predictions.num_classes // 5)) if members else 20
    for first in range(len(members)):
        for other in range(first):
            tuning = tuning_predictions([members[first], members[other]])
            shared[first, other] = shared[other, first] = np.average(
                [overlap(a.scores, b.scores, top_k=top_k) for a, b in _aligned_blocks(tuning)],
                weights=[len(block.ids) for block in tuning[0].blocks()],
            )
    names = _titles(members)
    table = pd.DataFrame(shared, index=names, columns=names)
    table.attrs["top_k"] = top_k
    return table


def _titles(runs: Sequence[Run]) -> list[str]:
    """The runs' titles made unique, by seeds and then by numbers."""
    titles = pd.Series([run.title for run in runs], dtype=object)
    seeds = pd.Series([f", seed {run.record['seed']}" for run in runs], dtype=object)
    titles = titles.where(~titles.duplicated(keep=False), titles + seeds)
    numbers = " (" + (titles.groupby(titles).cumcount() + 1).astype(str) + ")"
    return titles.where(~titles.duplicated(keep=False), titles + numbers).tolist()
