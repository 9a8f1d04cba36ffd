"""Train one experiment and leave a run."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np

from dmlkit.data import open_dataset
from dmlkit.data.determinism import make_deterministic
from dmlkit.errors import DataError
from dmlkit.evaluation import global_average_precision
from dmlkit.experiments import Experiment
from dmlkit.models import cross_entropy
from dmlkit.places import default_runs
from dmlkit.profiles import Profile
from dmlkit.runs import Run
from dmlkit.training import checkpoint
from dmlkit.training.averaging import averaged, moving_average
from dmlkit.training.building import as_experiment, build_model, profile_for
from dmlkit.training.event_log import event_log
from dmlkit.training.folder import existing_run, finish, make_folder, save_model, training_mark, write_history
from dmlkit.training.progress import Lines, reporter
from dmlkit.training.provenance import describe_data
from dmlkit.training.schedule import schedule
from dmlkit.training.scoring import predict
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
        teachers: Runs on the same data, or their folders, whose mean scores this one follows beside the labels
            (distillation; `Profile.teaching` says how closely).

    Returns:
        The finished run.

    Raises:
        UsageError: Unknown names, or a folder that holds another run.
        DataError: Data that are missing or damaged, or scores that are not numbers.

    Paper: §Optimization, Algorithm 1.
    """
    experiment, show = as_experiment(experiment), reporter(progress)
    profile = profile_for(experiment, profile)
    dataset = open_dataset(data) if isinstance(data, str | os.PathLike) else data
    taught_by = teaching_runs(teachers, dataset)
    mark = training_mark(
        experiment,
        dataset,
        profile=profile,
        seed=seed,
        precision=precision,
        deterministic=deterministic,
        teachers=[run.record["fingerprint"] for run in taught_by],
    )
    folder = (
        default_runs(dataset.path, profile.name) / f"{experiment.name}-{mark[:8]}"
        if out is None
        else Path(out)
    )
    if finished := existing_run(folder, mark=mark, what=experiment.name):
        return finished
    for part in PARTS:
        if part not in dataset.labelled:
            raise DataError(
                f"{dataset.name} has no labelled '{part}' part, and training needs one. "
                f"Its labelled parts are: {', '.join(sorted(dataset.labelled)) or 'none'}."
            )
    videos = {part: _videos(dataset, profile, part) for part in PARTS}
    if deterministic:
        make_deterministic()
    keras.utils.set_random_seed(seed)
    started = datetime.now(UTC)
    model = build_model(experiment, dataset, profile=profile, precision=precision)
    learning = learner(model, profile, seed=seed, teachers=[run.model for run in taught_by])
    learning.compile(
        optimizer=keras.optimizers.Adam(
            schedule(profile, videos=videos["train"]),
            clipnorm=profile.clip_norm,
            **moving_average(profile.ema),
        ),
        loss=cross_entropy,
        # XLA would compile every length of a batch anew; where it is wanted, it is asked for.
        jit_compile=xla,
    )
    learning.optimizer.build(learning.trainable_variables)
    make_folder(folder)
    done = checkpoint.restore(folder, learning, fingerprint=mark)
    with event_log(tensorboard and Path(tensorboard) / folder.name, history=done.history) as log:
        _climb(
            model,
            learning,
            dataset,
            done,
            folder=folder,
            profile=profile,
            seed=seed,
            videos=videos["train"],
            title=experiment.name,
            show=show,
            every=checkpoint_seconds,
            told=(log, *([on_epoch] if on_epoch else [])),
        )
    model.set_weights(done.best_weights)
    save_model(model, folder / "model.keras")
    tuning, validation = (predict(model, dataset, part, profile=profile) for part in ("tuning", "validate"))
    record = {
        "kind": "training",
        "fingerprint": mark,
        "experiment": experiment.to_record(),
        "profile": profile.to_record(),
        "seed": seed,
        "precision": precision,
        "deterministic": deterministic,
        "teachers": [{"name": run.name, "fingerprint": run.record["fingerprint"]} for run in taught_by],
        "data": describe_data(dataset, videos=videos),
        "parameters": model.count_params(),
        "epochs": done.epoch,
        "best_epoch": done.best_epoch,
        "seconds": {"training": round(done.seconds, 3)},
        "started": started.isoformat(timespec="seconds"),
    }
    write_history(folder, done.history)
    return finish(folder, record, tuning=tuning, validation=validation)


def _climb(
    model, learning, dataset, done, *, folder, profile, seed, videos, title, show: Lines, every, told
) -> None:
    """Train epoch by epoch until the budget is spent or the tuning part has not gained for long enough."""
    batches = math.ceil(videos / profile.batch_size)
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
        )
        saver = checkpoint.MidEpoch(folder, done, every=every)
        bar = show.callbacks(
            title=title, epoch=done.epoch, epochs=profile.epochs, batches=batches, done=done.batches
        )
        # A training that was killed between the last batch and the tuning part has nothing left to fit.
        if done.batches < batches:
            with examples.faults_named():
                learning.fit(
                    examples.as_tensorflow().skip(done.batches),
                    steps_per_epoch=batches - done.batches,
                    shuffle=False,
                    verbose=0,
                    callbacks=[saver, *bar],
                )
        if not math.isfinite(done.loss):
            raise DataError(
                f"The loss of {title} is not a number after epoch {done.epoch + 1}: training has diverged. "
                f"Choose a lower learning rate than {profile.learning_rate}."
            )
        with averaged(learning):
            tuning = predict(model, dataset, "tuning", profile=profile)
            weights = model.get_weights()
        gap = global_average_precision(tuning.scores.astype(np.float32), tuning.labels)
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
        checkpoint.save(folder, learning, done)
        show.epoch(row, epochs=profile.epochs)
        for tell in told:
            tell(row)


def _videos(dataset, profile: Profile, part: str) -> int:
    found = dataset.num_videos(part)
    if not found:
        raise DataError(f"The '{part}' part of {dataset.name} holds no videos.")
    cap = profile.caps[part]
    return found if cap is None else min(found, cap)
