"""Train one experiment and leave a run."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import keras

from dmlkit.data import open_dataset
from dmlkit.data.determinism import make_deterministic
from dmlkit.data.skipping import RAISE, Skipped
from dmlkit.errors import DataError, choose
from dmlkit.experiments import Experiment
from dmlkit.profiles import Profile
from dmlkit.runs import Run, load_run
from dmlkit.training import checkpoint
from dmlkit.training.averaging import averaged
from dmlkit.training.building import as_experiment, build_model, profile_for
from dmlkit.training.event_log import event_log
from dmlkit.training.folder import (
    default_run,
    existing_run,
    finish,
    make_folder,
    save_model,
    training_mark,
    write_history,
)
from dmlkit.training.progress import Lines, reporter
from dmlkit.training.provenance import describe_data, version_of
from dmlkit.training.schedule import schedule
from dmlkit.training.strategies import STRATEGIES
from dmlkit.training.teaching import teaching_runs
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

    The training part teaches, the tuning part decides when to stop and which epoch's weights are kept, the
    validation part is scored once, at the end. A training that was killed goes on where it stopped.

    Args:
        experiment: An `Experiment`, or the name of one.
        data: A data set, or the path of one.
        out: The run's folder; where None, one below the runs of these data's report (`dmlkit.places`).
        profile: A `Profile`, or the name of one: sizes, optimiser, budget, caps; where None, the experiment's own
            recipe, or `demo`.
        seed: Of weights, order and dropout.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        deterministic: Same numbers for the same seed and number of threads, a little slower. It holds for
            the rest of the process.
        xla: Compile the step with XLA; every new length of a batch is compiled anew.
        progress: `auto`, `bars`, `lines` or `silent`.
        checkpoint_seconds: Longest time between two checkpoints; one is written after each epoch anyway.
        on_epoch: Called after each epoch with its row of the history: `epoch`, `loss`, `tuning_gap`,
            `learning_rate`, `seconds`, `examples`.
        tensorboard: Folder below which the run has one of its own name with TensorBoard's logs: loss, GAP on the
            tuning part and learning rate by epoch; None for none. They change nothing about the run.
        strategy: `auto`: one device, or all GPUs of this machine where there are several. `mirrored`: all GPUs of
            this machine. `multi-worker`: all machines that the environment variable TF_CONFIG names, each of which
            runs the same call; the profile's batch is that of all of them together, the folder is shared, and the
            first, the chief, writes, shows and tells.
        on_fault: `raise` at the first faulty record, or `skip N`: leave out at most N different ones over the whole
            training; the run's record tells which. It can be changed when a training goes on.
        teachers: Runs on the same data, or their folders, whose mean scores this one follows beside the labels
            (distillation; `Profile.teaching` says how closely).

    Returns:
        The finished run.

    Raises:
        UsageError: Unknown names, or a folder that holds another run.
        DataError: Data that are missing or damaged, or scores that are not numbers.
        WorkerGoneError: Another worker has ended (`dmlkit.training.workers.team`).

    Paper: §Optimization, Algorithm 1.
    """
    experiment, show = as_experiment(experiment), reporter(progress)
    profile = profile_for(experiment, profile)
    # First of all: several workers must find each other before TensorFlow is used.
    team = choose(STRATEGIES, strategy, what="strategy")()
    skipped = Skipped.of(on_fault)
    dataset = team.each(lambda: open_dataset(data) if isinstance(data, str | os.PathLike) else data)
    team.agree(
        {
            "version of dmlkit": version_of("dmlkit"),
            "experiment": experiment.to_record(),
            "profile": profile.to_record(),
            "data set": dataset.fingerprint,
            "seed": seed,
            "precision": precision,
            "deterministic": deterministic,
            "on_fault": skipped.policy,
        }
    )
    taught_by = team.each(lambda: teaching_runs(teachers, dataset))
    mark = training_mark(
        experiment,
        dataset,
        profile=profile,
        seed=seed,
        precision=precision,
        deterministic=deterministic,
        teachers=[run.record["fingerprint"] for run in taught_by],
    )
    folder = default_run(dataset, experiment, profile, mark) if out is None else Path(out)
    if team.each(lambda: existing_run(folder, mark=mark, what=experiment.name)):
        return load_run(folder)
    for part in PARTS:
        if part not in dataset.labelled:
            raise DataError(
                f"{dataset.name} has no labelled '{part}' part, and training needs one. "
                f"Its labelled parts are: {', '.join(sorted(dataset.labelled)) or 'none'}."
            )
    # What this worker reads, and how; with one worker, all.
    own_data, own_profile = team.each(lambda: team.share(dataset, profile, skipped=skipped))
    own_videos = team.each(lambda: {part: _videos(own_data, own_profile, part, skipped) for part in PARTS})
    videos = team.videos(own_videos)
    for part in PARTS:
        if not videos[part]:
            raise DataError(f"The '{part}' part of {dataset.name} holds no videos.")
    if deterministic:
        make_deterministic()
    keras.utils.set_random_seed(seed)
    started = datetime.now(UTC)
    with team.scope():
        model = build_model(experiment, dataset, profile=profile, precision=precision)
        learning = learner(model, profile, seed=seed, teachers=[run.model for run in taught_by])
        team.compile(
            learning,
            learning_rate=schedule(profile, videos=videos["train"]),
            clip_norm=profile.clip_norm,
            ema=profile.ema,
            xla=xla,
        )
        learning.optimizer.build(learning.trainable_variables)
    team.by_chief(lambda: make_folder(folder))
    team.check_shared(folder)
    done = team.each(
        lambda: checkpoint.resume(folder, learning, mark=mark, workers=team.workers, skipped=skipped)
    )
    team.start(learning)
    logs = Path(tensorboard) / folder.name if tensorboard and team.chief else None
    with event_log(logs, history=done.history) as log:
        _climb(
            model,
            learning,
            own_data,
            done,
            team=team,
            skipped=skipped,
            folder=folder,
            profile=own_profile,
            seed=seed,
            videos=videos["train"],
            batches=team.batches(own_videos["train"], own_profile.batch_size),
            title=experiment.name,
            show=show if team.chief else reporter("silent"),
            every=checkpoint_seconds,
            told=(log, *([on_epoch] if on_epoch else [])),
        )
    model.set_weights(done.best_weights)
    settings = {"profile": own_profile, "on_fault": skipped}
    tuning, validation = (
        team.join(team.each(lambda: team.predict(model, own_data, part, **settings)), folder, part)  # noqa: B023
        for part in ("tuning", "validate")
    )
    team.count(skipped)
    record = {
        "kind": "training",
        "fingerprint": mark,
        "experiment": experiment.to_record(),
        "profile": profile.to_record(),
        "seed": seed,
        "precision": precision,
        "deterministic": deterministic,
        "strategy": team.to_record(),
        "teachers": [{"name": run.name, "fingerprint": run.record["fingerprint"]} for run in taught_by],
        "data": describe_data(dataset, videos=videos) | {"skipped": skipped.to_record()},
        "parameters": model.count_params(),
        "epochs": done.epoch,
        "best_epoch": done.best_epoch,
        "seconds": {"training": round(done.seconds, 3)},
        "started": started.isoformat(timespec="seconds"),
    }

    def leave() -> None:
        save_model(model, folder / "model.keras")
        write_history(folder, done.history)
        finish(folder, record, tuning=tuning, validation=validation)

    team.by_chief(leave)
    return load_run(folder)


def _climb(
    model,
    learning,
    dataset,
    done,
    *,
    team,
    skipped,
    folder,
    profile,
    seed,
    videos,
    batches,
    title,
    show: Lines,
    every,
    told,
) -> None:
    """Train epoch by epoch until the budget is spent or the tuning part has not gained for long enough."""
    while done.epoch < profile.epochs and done.epoch - done.best_epoch < profile.patience:
        since = time.monotonic()
        examples = dataset.batches(
            "train",
            batch_size=profile.batch_size,
            shuffle=True,
            seed=seed,
            epoch=done.epoch,
            frame_choice=profile.frame_choice,
            max_frames=profile.max_frames,
            max_videos=profile.max_train_videos,
            on_fault=skipped,
            balance=profile.class_balance,
        )
        saver = checkpoint.MidEpoch(folder, done, every=every if team.chief else math.inf)
        bar = show.callbacks(
            title=title, epoch=done.epoch, epochs=profile.epochs, batches=batches, done=done.batches
        )
        # A training that was killed between the last batch and the tuning part has nothing left to fit.
        if done.batches < batches:
            team.fit(learning, examples, done, batches=batches, callbacks=[saver, *bar])
        if not math.isfinite(done.loss):
            raise DataError(
                f"The loss of {title} is not a number after epoch {done.epoch + 1}: training has diverged. "
                f"Choose a lower learning rate than {profile.learning_rate}."
            )
        with averaged(learning):
            gap = team.gap(
                team.each(lambda: team.predict(model, dataset, "tuning", profile=profile, on_fault=skipped))
            )
            weights = model.get_weights()
        team.count(skipped)
        done.seconds += time.monotonic() - saver.started
        done.epoch += 1
        if gap > done.best_gap:
            done.best_gap, done.best_epoch, done.best_weights = gap, done.epoch, weights
        row = {
            "epoch": done.epoch,
            "examples": done.epoch * videos,
            "loss": done.loss,
            "tuning_gap": gap,
            "learning_rate": float(learning.optimizer.learning_rate),
            "seconds": round(time.monotonic() - since, 3),
        }
        done.history.append(row)
        done.batches, done.loss, done.metrics = 0, 0.0, []
        if team.chief:
            checkpoint.save(folder, learning, done)
            show.epoch(row, epochs=profile.epochs)
            for tell in told:
                tell(row)


def _videos(dataset, profile: Profile, part: str, skipped: Skipped) -> int:
    found = dataset.num_videos(part, on_fault=skipped)
    cap = profile.caps[part]
    return found if cap is None else min(found, cap)
