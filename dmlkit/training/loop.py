"""Train one experiment and leave a run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import keras

from dmlkit.data import RAISE, Skipped, as_dataset
from dmlkit.errors import DataError, choose
from dmlkit.experiments import Experiment
from dmlkit.profiles import REFIT, Profile
from dmlkit.runs import Run, load_run
from dmlkit.runtime import make_deterministic
from dmlkit.training import checkpoint
from dmlkit.training.building import as_experiment, build_model, profile_for
from dmlkit.training.climbing import Climb
from dmlkit.training.event_log import event_log
from dmlkit.training.folder import (
    default_run,
    existing_run,
    finish,
    make_folder,
    save_model,
    training_fingerprint,
    write_history,
)
from dmlkit.training.keeping import leave_checkpoints
from dmlkit.training.progress import reporter
from dmlkit.training.provenance import describe_data, version_of
from dmlkit.training.refitting import leave_to_refitting, refit
from dmlkit.training.schedule import schedule
from dmlkit.training.solving import leave_to_solving
from dmlkit.training.strategies import STRATEGIES, placed
from dmlkit.training.teaching import teachers_of, teaching_runs
from dmlkit.training.tricks import learner

PARTS = ("train", "tuning", "validate")


def train(
    experiment: str | Experiment,
    *,
    data,
    out: str | os.PathLike | None = None,
    profile: str | Profile | None = None,
    seed: int = 0,
    precision: str = "float32",
    deterministic: bool = False,
    xla: bool = False,
    progress: str = "auto",
    checkpoint_seconds: float = 600,
    on_epoch: Callable[[dict], None] | None = None,
    tensorboard: str | os.PathLike | None = None,
    strategy: str = "auto",
    on_fault: str = RAISE,
    teachers: Sequence[Run | str | os.PathLike] = (),
) -> Run:
    """Train one experiment and leave a run; a run that is already there is not trained again.

    The training part teaches, the tuning part decides when to stop and which epoch's weights are kept (a profile may
    then have it teach too, `Profile.after_tuning`), the validation part is scored once, at the end. A training that
    was killed goes on where it stopped.

    Args:
        experiment: An `Experiment`, or the name of one.
        data: A data set, or the path of one.
        out: The run's folder; where None, one below the runs of these data's report (`dmlkit.paths`).
        profile: A `Profile`, or the name of one: sizes, optimiser, budget, caps; where None, the experiment's own
            recipe, or `demo`. An experiment's trick changes it.
        seed: Of weights, order and dropout.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        deterministic: Same numbers for the same seed and number of threads, a little slower. It holds for
            the rest of the process.
        xla: Compile the step with XLA; every new length of a batch is compiled anew. On a GPU, XLA and cuDNN
            exclude each other.
        progress: `auto`, `bars`, `lines` or `silent`.
        checkpoint_seconds: Longest time between two checkpoints; one is written after each epoch anyway.
        on_epoch: Called after each epoch with its row of the history: `epoch`, `loss`, `tuning_gap`,
            `learning_rate`, `seconds`, `examples`.
        tensorboard: Folder below which the run has one of its own name with TensorBoard's logs: loss, GAP on the
            tuning part and learning rate by epoch; None for none. They change nothing about the run.
        strategy: `auto`: one device, or all GPUs of this machine where there are several and the training knows
            how to use them. `mirrored`: all GPUs of this machine. `multi-worker`: all machines that the environment
            variable TF_CONFIG names, each of which runs the same call; the profile's batch is that of all of them
            together, the folder is shared, and the first, the chief, writes, shows and tells.
        on_fault: `raise` at the first faulty record, or `skip N`: leave out at most N different ones over the whole
            training; the run's record tells which. It can be changed when a training goes on.
        teachers: Runs on the same data, or their folders, whose mean scores this one follows beside the labels
            (distillation; `Profile.teaching` says how closely). An ensemble teaches as it scores.

    Returns:
        The finished run.

    Raises:
        UsageError: Unknown names, or a folder that holds another run.
        DataError: Data that are missing or damaged, or scores that are not numbers.
        WorkerGoneError: Another worker has ended (`dmlkit.training.workers.team`).

    Paper: §Optimization, Algorithm 1.
    """
    experiment = as_experiment(experiment)
    profile = profile_for(experiment, profile)
    show, skipped = reporter(progress), Skipped.of(on_fault)
    # First of all: several workers must find each other before TensorFlow is used.
    team = choose(STRATEGIES, strategy, what="strategy")()
    dataset = team.each(lambda: as_dataset(data))
    decides = {"seed": seed, "precision": precision, "deterministic": deterministic}
    team.agree(
        {
            "version of dmlkit": version_of("dmlkit"),
            "experiment": experiment.to_record(),
            "profile": profile.to_record(),
            "data set": dataset.fingerprint,
            **decides,
            "on_fault": skipped.policy,
        }
    )
    taught_by = team.each(lambda: teaching_runs(teachers, dataset, experiment=experiment))
    mark = training_fingerprint(
        experiment,
        dataset,
        profile=profile,
        teachers=[run.record["fingerprint"] for run in taught_by],
        **decides,
    )
    folder = default_run(dataset, experiment, profile, mark) if out is None else Path(out)
    if team.each(lambda: existing_run(folder, mark=mark, what=experiment.name)):
        return load_run(folder)

    reading = _divided(team, dataset, profile, skipped)
    if deterministic:
        make_deterministic()
    started = datetime.now(UTC)

    def prepare(team, videos: int) -> tuple[keras.Model, keras.Model]:
        """The model to keep, and what is trained: the same weights, under the profile's tricks."""
        leave_to_refitting(profile, team)
        keras.utils.set_random_seed(seed)
        with team.scope():
            model = build_model(experiment, dataset, profile=profile, precision=precision)
            if profile.ridge:
                leave_to_solving(model, team, taught=bool(taught_by))
            learning = learner(model, profile, seed=seed, teachers=teachers_of(taught_by))
            team.compile(
                learning,
                learning_rate=schedule(profile, videos=videos),
                clip_norm=profile.clip_norm,
                ema=profile.ema,
                xla=xla,
            )
            learning.optimizer.build(learning.trainable_variables)
        return model, learning

    team, (model, learning) = placed(
        partial(prepare, videos=reading.videos["train"]), team, strategy=strategy, tell=show.say
    )

    team.by_chief(lambda: make_folder(folder))
    team.check_shared(folder)
    done = team.each(
        lambda: checkpoint.resume(folder, learning, mark=mark, workers=team.workers, skipped=skipped)
    )
    team.start(learning)
    climb = Climb(
        model=model,
        learning=learning,
        dataset=reading.dataset,
        profile=reading.profile,
        team=team,
        skipped=skipped,
        seed=seed,
        videos=reading.videos["train"],
        batches=team.batches(reading.own_videos["train"], reading.profile.batch_size),
        epochs=profile.epochs,
        title=experiment.name,
        show=show if team.chief else reporter("silent"),
        folder=folder,
        every=checkpoint_seconds,
    )
    logs = Path(tensorboard) / folder.name if tensorboard and team.chief else None
    with event_log(logs, history=done.history) as log:
        climb.go_on(done, tell=[log, *([on_epoch] if on_epoch else [])])
    model.set_weights(done.best_weights)

    tuning = climb.scores("tuning")
    weights, seconds, refitted = done.best_weights, done.seconds, {}
    if profile.after_tuning == REFIT:
        both = reading.videos["train"] + reading.videos["tuning"]
        again = refit(climb, done, prepare=partial(prepare, team), videos=both)
        weights, seconds = again.best_weights, seconds + again.seconds
        refitted = {"refit": {"epochs": again.epoch, "videos": both}}
        model.set_weights(weights)
    # By now the graph is traced: what the validation part takes is what any videos take.
    since = time.monotonic()
    validation = climb.scores("validate")
    scoring = time.monotonic() - since
    record = {
        "kind": "training",
        "fingerprint": mark,
        "experiment": experiment.to_record(),
        "profile": profile.to_record(),
        **decides,
        "strategy": team.to_record(),
        "teachers": [{"name": run.name, "fingerprint": run.record["fingerprint"]} for run in taught_by],
        "data": describe_data(dataset, videos=reading.videos) | {"skipped": skipped.to_record()},
        "parameters": model.count_params(),
        "epochs": done.epoch,
        "best_epoch": done.best_epoch,
        "seconds": {"training": round(seconds, 3), "scoring": round(scoring, 3)},
        "started": started.isoformat(timespec="seconds"),
        **refitted,
    }

    # Before the run's own record, which says that all is there.
    leave_checkpoints(folder, climb, model, record=record, history=done.history)
    model.set_weights(weights)

    def leave() -> None:
        save_model(model, folder / "model.keras")
        write_history(folder, done.history)
        finish(folder, record, tuning=tuning, validation=validation)

    team.by_chief(leave)
    return load_run(folder)


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What this worker reads, and how; with one worker, all.

    Args:
        dataset: The shards that are this worker's.
        profile: Its share of the batch and of the caps.
        own_videos, videos: How many it reads of each part, and how many all workers do.
    """

    dataset: object
    profile: Profile
    own_videos: dict[str, int]
    videos: dict[str, int]


def _divided(team, dataset, profile: Profile, skipped: Skipped) -> _Reading:
    """The worker's part of the data.

    Raises:
        DataError: There is nothing to teach, to stop by or to measure on.
    """
    for part in PARTS:
        if part not in dataset.labelled:
            raise DataError(
                f"{dataset.name} has no labelled '{part}' part, and training needs one. "
                f"Its labelled parts are: {', '.join(sorted(dataset.labelled)) or 'none'}."
            )
    own, mine = team.each(lambda: team.share(dataset, profile, skipped=skipped))
    own_videos = team.each(lambda: {part: _videos(own, mine, part, skipped) for part in PARTS})
    videos = team.videos(own_videos)
    for part in PARTS:
        if not videos[part]:
            raise DataError(f"The '{part}' part of {dataset.name} holds no videos.")
    return _Reading(dataset=own, profile=mine, own_videos=own_videos, videos=videos)


def _videos(dataset, profile: Profile, part: str, skipped: Skipped) -> int:
    found = dataset.num_videos(part, on_fault=skipped)
    cap = profile.caps[part]
    return found if cap is None else min(found, cap)
