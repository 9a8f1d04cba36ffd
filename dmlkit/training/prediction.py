"""Scores of a split of a data set: by a model, by a run, or by several runs together in one reading of the data.

Paper: §Ensemble, Algorithm 2.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import keras
import numpy as np

from dmlkit import segment_submission
from dmlkit.data import RAISE, Match, OneBatch, Skipped, match, open_for
from dmlkit.errors import DataError, UsageError, choose, readable
from dmlkit.experiments import ALGORITHM_2
from dmlkit.extraction.clips import CLIP, clip_dataset, is_clip
from dmlkit.metrics import (
    COMBINERS,
    RankingMetrics,
    SegmentPrecision,
    Weights,
    combine,
    gap_interval_of_pairs,
    gap_weights,
    top_k_pairs,
    weighted_average,
)
from dmlkit.models import check_codings
from dmlkit.predictions import Predictions, concatenate
from dmlkit.profiles import Profile, as_profile
from dmlkit.runs import Run, as_run, class_table
from dmlkit.submission import HEADER, file_for, lines_for_people, submission_lines
from dmlkit.training.ensembles import RunOrPath, combinable, tuning_predictions, weights_of
from dmlkit.training.segments import METHODS, by_video, only_rated, whole_video_scorer, with_interval

# A batch's inputs take about this much memory, so that the overhead of each call is small.
BATCH_BYTES = 16 << 20
FEWEST, MOST = 64, 1024
MEAN = COMBINERS[ALGORITHM_2].combine


def score_batches(
    batches: Iterable[dict], score: Callable[[dict], np.ndarray], *, rated: bool = True
) -> Iterator[Predictions]:
    """Score every batch of `dataset.batches(...)` by a function from a batch to scores (videos, classes).

    Of segments, `rated`: only the pairs that people have rated; the others have the score 0 (`only_rated`).
    """
    empty = True
    for batch in batches:
        scores = np.asarray(score(batch))
        if not np.isfinite(scores).all():
            raise DataError(
                f"The model's scores are not numbers from video {batch['id'][0]!r} on: training has diverged. "
                "Train with a lower learning rate."
            )
        labels = np.asarray(batch["labels"]) > 0 if "labels" in batch else None
        scores = scores.astype(np.float16)
        scores = only_rated(scores, batch["rated"]) if rated and "rated" in batch else scores
        yield Predictions(np.asarray(batch["id"], np.str_), labels, scores)
        empty = False
    if empty:
        raise DataError("There are no videos to score. `dmlkit data show DIR` shows the data set's splits.")


def score_split(
    model: keras.Model,
    dataset,
    split: str,
    *,
    profile: str | Profile = "demo",
    on_fault: str | Skipped = RAISE,
    matched: Match | None = None,
    observe: Callable[[dict, np.ndarray], None] | None = None,
) -> Predictions:
    """A model's scores of one split, with the frames read and the cap on the videos of a profile.

    `matched` is how the data set is read for the model; None where the model was built for it. `observe` is called with
    each batch and the model's scores of it, before these are rounded to half precision.
    """
    profile = as_profile(profile)
    size = batch_size(dataset, profile.max_frames, least=profile.batch_size)
    frames = {"frame_choice": profile.frame_choice, "max_frames": profile.max_frames}
    settings = frames | {"max_videos": profile.caps.get(split), "on_fault": on_fault}
    batches = dataset.batches(split, batch_size=size, **settings)
    model_scores = scorer(model, matched)

    def score(batch: dict) -> np.ndarray:
        scores = model_scores(batch)
        if observe:
            observe(batch, scores)
        return matched.scores(scores) if matched else scores

    predictions = concatenate(score_batches(batches, score))
    _warn(matched.check_values() if matched else ())
    return predictions


def scorer(model: keras.Model, matched: Match | None = None) -> Callable[[dict], np.ndarray]:
    """A function from a batch, of a data set that is matched to the model, to the scores of the model's classes."""
    if isinstance(model, keras.Model) and not model.compiled:
        # Keras would have XLA compile a loaded model again for every length of a batch.
        model.jit_compile = False
    names = [tensor.name for tensor in model.inputs]

    def score(batch: dict) -> np.ndarray:
        inputs = batch if matched is None else matched.inputs(batch)
        check_codings(model, inputs)
        return model.predict_on_batch({name: inputs[name] for name in names})

    return score


def batch_size(dataset, max_frames: int | None, *, least: int = FEWEST) -> int:
    """Number of videos to score at once, more for smaller videos, at least `least`."""
    frames = (max_frames or 300) if dataset.level == "frame" else 1
    values = sum(each.size * (frames if each.in_frames else 1) for each in dataset.features.values())
    return max(least, FEWEST, min(MOST, BATCH_BYTES // (4 * values)))


class Member(NamedTuple):
    """A training, and its share of the scores.

    An ensemble by weighted mean is expanded into its members, with the product of both weights. Another ensemble, or a
    mean that is a member of one, is one `Member`: `below` are its members, combined by `by` with `bias`. Where several
    runs are no ensemble on disk, `run` is the first of them.
    """

    run: Run
    weight: float
    below: tuple[Member, ...] = ()
    by: str = ALGORITHM_2
    bias: float = 0.0


def members_of(runs: RunOrPath | Sequence[RunOrPath], *, by: str | None = None) -> list[Member]:
    """The trainings behind one run or several, with their weights.

    An ensemble's members, combiner and weights are those of its record. Several runs are combined by `by` with the
    weights that `ensemble` would compute; where None, they are weighted by their GAP on the tuning split.
    """
    opened = [as_run(run) for run in ([runs] if isinstance(runs, RunOrPath) else runs)]
    if not opened:
        raise UsageError("Name at least one run to score with.")
    if by is None:
        weights = Weights(gap_weights([run.tuning_gap for run in opened]) if len(opened) > 1 else np.ones(1))
        by = ALGORITHM_2
    else:
        choose(COMBINERS, by, what="combiner")
        if len(opened) < 2:
            raise UsageError(f"A combiner is for several runs, not {opened[0].path} alone. Leave {by!r} out.")
        weights = weights_of(tuning_predictions(combinable(opened, by=by)), by=by)
    members = [_member(run, float(weight)) for run, weight in zip(opened, weights.members, strict=True)]
    if COMBINERS[by].combine is MEAN:
        return _flat(members)
    return [Member(opened[0], 1.0, tuple(members), by, weights.bias)]


def _member(run: Run, weight: float) -> Member:
    """A run, with its members where it is an ensemble."""
    if run.record["kind"] == "training":
        return Member(run, weight)
    by, members = run.record["by"], []
    for each in run.record["members"]:
        member = as_run(run.path / each["path"])
        if member.record["fingerprint"] != each["fingerprint"]:
            raise DataError(
                f"{run.path} is an ensemble of {each['name']!r} at {member.path}, but another run is there now. "
                "Combine its runs again with `dmlkit ensemble`."
            )
        members.append(_member(member, each["weight"]))
    is_mean = choose(COMBINERS, by, what="combiner").combine is MEAN
    return Member(run, weight, tuple(_flat(members) if is_mean else members), by, run.record["bias"])


def _flat(members: Sequence[Member]) -> list[Member]:
    """The members of a mean, those that are means themselves replaced by theirs: a mean of means is one mean."""
    found = []
    for member in members:
        if member.below and COMBINERS[member.by].combine is MEAN:
            found += [each._replace(weight=member.weight * each.weight) for each in member.below]
        else:
            found.append(member)
    return found


def trainings(members: Sequence[Member]) -> list[Run]:
    """Those whose models score, depth first."""
    return [run for member in members for run in (trainings(member.below) if member.below else [member.run])]


def score_blocks(
    members: Sequence[Member],
    dataset,
    split: str,
    *,
    max_videos: int | None = None,
    on_fault: str | Skipped = RAISE,
    matches: Sequence[Match] | None = None,
    method: str = "clip",
    rated: bool = True,
) -> Iterator[Predictions]:
    """The scores of a split, some videos at a time; memory does not grow with their number.

    Members are combined from their scores at half precision, as those are stored:
    an ensemble scores as it was measured. Members that read the same frames share one reading. `matches` are how the
    data set is read for each of the `trainings`; `method` is how segments are scored, `rated` as for `score_batches`.
    """
    choose(METHODS, method, what="way to score segments")
    on_segments = getattr(dataset, "unit", "video") == "segment"  # a single batch has none
    if method != "clip" and not on_segments:
        raise UsageError(
            f"The method {method!r} scores segments. Read the data so: unit='segment', or --unit segment."
        )
    runs = trainings(members)
    matches = matches or [match(dataset, run.record["data"], model=run.path) for run in runs]
    profiles = [Profile(**run.record["profile"]) for run in runs]
    settings = [(profile.frame_choice, profile.max_frames) for profile in profiles]
    size = min(batch_size(dataset, frames) for _, frames in settings)
    skipped = Skipped.of(on_fault)
    common = {"batch_size": size, "max_videos": max_videos, "on_fault": skipped}
    readings = {
        (choice, frames): dataset.batches(split, frame_choice=choice, max_frames=frames, **common)
        for choice, frames in settings
    }
    scorers = [
        scorer(run.model, each)
        if method == "clip"
        else whole_video_scorer(run, dataset, split, method=method, matched=each, skipped=skipped)
        for run, each in zip(runs, matches, strict=True)
    ]

    def score(batches: dict) -> np.ndarray:
        scores = [each(batches[own]) for each, own in zip(scorers, settings, strict=True)]
        if len(scores) == 1:
            return matches[0].scores(scores[0])
        if not all(np.isfinite(each).all() for each in scores):
            return np.full_like(scores[0], np.nan)
        following = zip(scores, matches, strict=True)
        own = (_score(each, following) for each in members)
        return weighted_average(
            (matched.scores(each) for each, matched in own), [each.weight for each in members]
        )

    # The same videos by each reading: its settings → its batch, with the ids and labels that all share.
    batches = zip(*readings.values(), strict=True)

    def blocks() -> Iterator[Predictions]:
        yield from score_batches(
            (each[0] | dict(zip(readings, each, strict=True)) for each in batches), score, rated=rated
        )
        _warn(note for each in matches for note in each.check_values())

    return blocks()


def _score(member: Member, found: Iterator[tuple[np.ndarray, Match]]) -> tuple[np.ndarray, Match]:
    """A member's scores of the classes it was trained on, before they are matched, and the match."""
    if not member.below:
        scores, matched = next(found)
        return scores.astype(np.float16), matched
    below = [_score(each, found) for each in member.below]
    weights = Weights(np.array([each.weight for each in member.below]), member.bias)
    return combine((each for each, _ in below), weights, by=member.by).astype(np.float16), below[0][1]


def evaluate(
    run: RunOrPath | Sequence[RunOrPath],
    *,
    data,
    split: str = "validate",
    max_videos: int | None = None,
    by: str | None = None,
    on_fault: str | Skipped = RAISE,
    per_class: str | os.PathLike | None = None,
    unit: str = "video",
    method: str = "clip",
) -> dict:
    """Score a split of a data set with a run's model, and measure. Memory does not grow with the number of videos.

    Args:
        run: A run, or its folder; an ensemble scores with its members, several runs as an ensemble of them.
        data: A data set, or the path of one, with the features the run was trained on. Another coding is converted
            and classes are matched by name, with a warning.
        split: The split; it must be labelled.
        max_videos: At most so many videos of the split, of the sample of its shards that a profile's cap takes; all of
            them where None, also where the run's profile caps the split while training.
        by: How several runs are combined, as for `ensemble`; where None, by Algorithm 2.
        on_fault: As for `Dataset.batches`.
        per_class: A file for `dmlkit.runs.class_table` as CSV; as for the `out` of `submit`.
        unit: How a path is opened: `video`, or `segment` for rated segments, each of them a video of five seconds.
        method: How segments are scored, a name in `dmlkit.training.segments.METHODS`.

    Returns:
        GAP@20 with its interval, Hit@1, PERR, mAP, and the numbers of classes and videos they were measured on. Of
        segments, these over the rated pairs, and mAP@K with its interval; all intervals are over whole videos.

    Raises:
        UsageError: The data set's features are not the run's, or it has classes that the run was not trained on.
        DataError: The split has no labels, the data are damaged, or more than 1 % of values do not fit the run's bytes.
    """
    with nullcontext() if per_class is None else file_for(per_class) as file:
        members, dataset, matches = members_and_data(run, data, by, unit)
        dataset.require_labels(split)
        metrics, precision, ids = RankingMetrics(dataset.num_classes), SegmentPrecision(), []
        settings = {"max_videos": max_videos, "on_fault": on_fault, "matches": matches, "method": method}
        for block in score_blocks(members, dataset, split, **settings):
            metrics.update(block.scores, block.labels)
            if dataset.unit == "segment":
                precision.update(block.scores, block.labels, block.scores > 0, ids=block.ids)
                ids.append(block.ids)
        if file:
            file.write(class_table(metrics, dataset.class_names).to_csv(index=False).encode())
    pairs, of_segments = metrics.pairs(), {}
    if ids:
        pairs, of_segments = by_video(pairs, np.concatenate(ids)), with_interval(precision)
    return metrics.result() | {"gap_interval": list(gap_interval_of_pairs(pairs))} | of_segments


def predict(
    run: RunOrPath | Sequence[RunOrPath],
    batch: Mapping[str, np.ndarray] | str | os.PathLike | None = None,
    *,
    data=None,
    split: str = "validate",
    max_videos: int | None = None,
    by: str | None = None,
    on_fault: str | Skipped = RAISE,
) -> Predictions | np.ndarray:
    """A run's scores of a split of a data set, of a large one each video's 100 highest; or those of one batch or file.

    A batch is a dict of arrays, as `Dataset.batches` gives it; its ids and labels need not be there. Its scores are
    (videos, classes) float16, in the order of the run's classes, and those that `data` would have: of videos longer
    than the run reads, the frames are chosen as in training.

    Args:
        batch: Instead of `data`; the other arguments but `by` do not apply. Also a video or audio file, a batch of one
            video, whose features are extracted as those of the (first) run's training.
        run, data, max_videos, by, on_fault: As for `evaluate`.
        split: The split; it needs no labels.

    Raises:
        UsageError: The features or classes are not the run's, or there are both batch and data, or neither.
        DataError: The data, or the file, are damaged.
    """
    if (batch is None) == (data is None):
        raise UsageError("`predict` takes a run and a batch, or a run and `data=`: one of the two.")
    if batch is not None:
        first = trainings(members_of(run, by=by))[0]
        clip = is_clip(batch)
        data = clip_dataset(first, batch) if clip else OneBatch(batch, first.record["data"])
        split = CLIP if clip else split
    members, dataset, matches = members_and_data(run, data, by)
    settings = {"max_videos": max_videos, "on_fault": on_fault, "matches": matches}
    scores = score_blocks(members, dataset, split, **settings)
    return concatenate(scores) if batch is None else concatenate(scores).scores


def submit(
    run: RunOrPath | Sequence[RunOrPath],
    *,
    data,
    out: str | os.PathLike,
    split: str = "test",
    top_k: int = 20,
    names: bool = False,
    by: str | None = None,
    on_fault: str | Skipped = RAISE,
    unit: str = "video",
    method: str = "clip",
) -> int:
    """Write each video's best classes as YouTube-8M's CSV, which has the GAP@20 of `evaluate`, in flat memory.

    Of segments, each class's best 100,000 as the CSV of 2019 (`dmlkit.segment_submission`), with the mAP@K of
    `evaluate`. Of a rated split these are the rated segments, of another one all that its videos are divided into.

    Args:
        run, data, by, on_fault, unit, method: As for `evaluate`; the split needs no labels.
        out: The file, which appears once it is complete; compressed where it ends in `.gz`; `-` for standard output.
        top_k: Classes a video; YouTube-8M takes at most 20.
        names: Write class names, a line each, for reading; that is no submission.

    Returns:
        How many videos, or segments, were written.

    Paper: §Measure (of every video the 20 highest-scoring labels).
    """
    if "segment" in (unit, getattr(data, "unit", unit)):
        scores = score_segments(run, data=data, split=split, by=by, on_fault=on_fault, method=method)
        return segment_submission.write(scores, out)
    with file_for(out) as file:
        members, dataset, matches = members_and_data(run, data, by)
        class_names, videos = readable(dataset.class_names), 0
        if not names:
            file.write(f"{HEADER}\n".encode())
        for block in score_blocks(members, dataset, split, on_fault=on_fault, matches=matches, method=method):
            top, ids = top_k_pairs(block.scores.astype(np.float32), top_k), block.ids.tolist()
            file.write(lines_for_people(ids, top, class_names) if names else submission_lines(ids, top))
            videos += len(ids)
    return videos


def score_segments(
    run: RunOrPath | Sequence[RunOrPath],
    *,
    data,
    split: str = "validate",
    method: str = "clip",
    by: str | None = None,
    on_fault: str | Skipped = RAISE,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids "VIDEO:START" and scores (segments, classes) of the segments of a split, some at a time.

    Of a rated split these are the rated segments, with the scores of all classes; of another one all that its videos
    are divided into. The arguments are those of `evaluate`.
    """
    members, dataset, matches = members_and_data(run, data, by, "segment")
    settings = {"on_fault": on_fault, "matches": matches, "method": method, "rated": False}
    return ((block.ids, block.scores) for block in score_blocks(members, dataset, split, **settings))


def members_and_data(
    run, data, by: str | None, unit: str = "video"
) -> tuple[list[Member], object, list[Match]]:
    """The members of runs, the data, and how these are read for each of the trainings; a warning for each note."""
    members = members_of(run, by=by)
    models = [(each.path, each.record["data"]) for each in trainings(members)]
    dataset, matches = open_for(data, models, unit=unit)
    _warn(note for each in matches for note in each.notes)
    return members, dataset, matches


def _warn(notes: Iterable[str]) -> None:
    for note in dict.fromkeys(notes):
        warnings.warn(note, stacklevel=4)
