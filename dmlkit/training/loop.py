"""Train one experiment and leave a run."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np

from dmlkit.data import open_dataset
from dmlkit.data.determinism import make_deterministic
from dmlkit.errors import DataError, UsageError, choose
from dmlkit.evaluation import gap_interval, global_average_precision, measure
from dmlkit.experiments import Ensemble, Experiment, Missing, find, why_not
from dmlkit.models import build, cross_entropy
from dmlkit.predictions import Predictions, gather
from dmlkit.profiles import PROFILES, Profile, positive
from dmlkit.runs import Run, load_run, read_record, write_record
from dmlkit.training import checkpoint
from dmlkit.training.progress import Lines, reporter
from dmlkit.training.provenance import describe_data, fingerprint, git_commit, hardware, versions
from dmlkit.training.schedule import staircase

PARTS = ("train", "tuning", "validate")


def as_profile(profile: str | Profile) -> Profile:
    """The profile of this name, or the profile itself, checked."""
    return positive(choose(PROFILES, profile, what="profile") if isinstance(profile, str) else profile)


def as_experiment(experiment: str | Experiment) -> Experiment:
    """The experiment of this name, or the experiment itself.

    Raises:
        UsageError: It is no experiment: an ensemble, or a row that is missing.
    """
    rung = find(experiment) if isinstance(experiment, str) else experiment
    if isinstance(rung, Ensemble):
        raise UsageError(
            f"{rung.name} is an ensemble of {', '.join(rung.members)}: train those, then use `dmlkit ensemble`."
        )
    if isinstance(rung, Missing):
        raise UsageError(f"{rung.name} cannot be trained: {rung.reason}.")
    return rung


def build_model(
    experiment: str | Experiment, dataset, *, profile: str | Profile = "demo", precision: str | None = None
) -> keras.Model:
    """The experiment's model for a data set, untrained.

    Args:
        experiment: An `Experiment`, or the name of one.
        dataset: What `open_dataset` gives.
        profile: Sizes and input normalisation where the experiment names none of its own.
        precision: A name in `dmlkit.models.PRECISIONS`; None takes the policy set in Keras.

    Raises:
        UsageError: The data set cannot serve the experiment.
    """
    experiment, profile = as_experiment(experiment), as_profile(profile)
    if reason := why_not(experiment, level=dataset.level, modalities=tuple(dataset.features)):
        raise UsageError(f"{experiment.name} cannot be trained on {dataset.name}: {reason}.")
    return build(
        features={name: (feature.size, feature.coding) for name, feature in dataset.features.items()},
        level=dataset.level,
        num_classes=dataset.num_classes,
        normalization=experiment.normalization or profile.normalization,
        fusion=experiment.fusion,
        fusion_stage=experiment.fusion_stage,
        closeness=experiment.closeness,
        mapping_start=experiment.mapping_start,
        encoder=experiment.encoder,
        units=experiment.units or profile.units,
        layers=experiment.layers or profile.layers,
        dropout=profile.dropout,
        # One vector a video leaves nothing to pool.
        pooling=experiment.pooling if dataset.level == "frame" else "last",
        classifier=experiment.classifier,
        precision=precision,
    )


def train(
    experiment: str | Experiment,
    *,
    data,
    out: str | os.PathLike,
    profile: str | Profile = "demo",
    seed: int = 0,
    precision: str = "float32",
    deterministic: bool = False,
    xla: bool = False,
    progress: str = "auto",
    checkpoint_seconds: float = 600,
    on_epoch: Callable[[dict], None] | None = None,
) -> Run:
    """Train one experiment and leave a run; a run that is already there is not trained again.

    The training part teaches, the tuning part decides when to stop and which epoch's weights are kept, the
    validation part is scored once, at the end. A training that was killed goes on where it stopped.

    Args:
        experiment: An `Experiment`, or the name of one.
        data: A data set, or the path of one.
        out: The run's folder.
        profile: A `Profile`, or the name of one: sizes, optimiser, budget, caps.
        seed: Of weights, order and dropout.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        deterministic: Same numbers for the same seed and number of threads, a little slower. It holds for
            the rest of the process.
        xla: Compile the step with XLA; every new length of a batch is compiled anew.
        progress: `auto`, `bars`, `lines` or `silent`.
        checkpoint_seconds: Longest time between two checkpoints; one is written after each epoch anyway.
        on_epoch: Called after each epoch with its row of the history: `epoch`, `loss`, `tuning_gap`,
            `learning_rate`, `seconds`, `examples`.

    Returns:
        The finished run.

    Raises:
        UsageError: Unknown names, or a folder that holds another run.
        DataError: Data that are missing or damaged, or scores that are not numbers.

    Paper: §Optimization, Algorithm 1.
    """
    experiment, profile, show = as_experiment(experiment), as_profile(profile), reporter(progress)
    dataset = open_dataset(data) if isinstance(data, str | os.PathLike) else data
    folder = Path(out)
    mark = training_mark(
        experiment, dataset, profile=profile, seed=seed, precision=precision, deterministic=deterministic
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
    model.compile(
        optimizer=keras.optimizers.Adam(staircase(profile, videos=videos["train"]), clipnorm=profile.clip_norm),
        loss=cross_entropy,
        # XLA would compile every length of a batch anew; where it is wanted, it is asked for.
        jit_compile=xla,
    )
    model.optimizer.build(model.trainable_variables)
    make_folder(folder)
    done = checkpoint.restore(folder, model, fingerprint=mark)
    _climb(
        model, dataset, done, folder=folder, profile=profile, seed=seed, videos=videos["train"], title=experiment.name,
        show=show, every=checkpoint_seconds, on_epoch=on_epoch,
    )
    model.set_weights(done.best_weights)
    _save_model(model, folder / "model.keras")
    tuning, validation = (predict(model, dataset, part, profile=profile) for part in ("tuning", "validate"))
    record = {
        "kind": "training",
        "fingerprint": mark,
        "experiment": experiment.to_record(),
        "profile": profile.to_record(),
        "seed": seed,
        "precision": precision,
        "deterministic": deterministic,
        "data": describe_data(dataset, videos=videos),
        "parameters": model.count_params(),
        "epochs": done.epoch,
        "best_epoch": done.best_epoch,
        "seconds": {"training": round(done.seconds, 3)},
        "started": started.isoformat(timespec="seconds"),
    }
    _write_history(folder, done.history)
    return finish(folder, record, tuning=tuning, validation=validation)


def training_mark(
    experiment: Experiment, dataset, *, profile: Profile, seed: int, precision: str, deterministic: bool
) -> str:
    """The fingerprint of a training: all that decides its result."""
    return fingerprint(
        experiment=experiment.to_record(),
        profile=profile.to_record(),
        data=dataset.fingerprint,
        seed=seed,
        precision=precision,
        deterministic=deterministic,
        version=versions()["dmlkit"],
    )


def existing_run(folder: Path, *, mark: str, what: str) -> Run | None:
    """The finished run in a folder if it is the one that is asked for, None where there is none.

    Raises:
        UsageError: The folder holds another run, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"The run cannot be written to {folder}: a file stands there. Choose another folder.")
    record = read_record(folder)
    if record is None:
        return None
    if record["fingerprint"] != mark:
        raise UsageError(
            f"{folder} already holds another run ({record['experiment']['name']}, profile "
            f"{record['profile']['name']}, seed {record['seed']}, data {record['data']['name']}) than {what} as "
            "asked for now: another experiment, profile, seed, version or other data. Choose another folder, or "
            "delete this one."
        )
    return load_run(folder)


def make_folder(folder: Path) -> None:
    """Make the folder of a run, with an error a reader understands where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The run's folder cannot be made: {folder} ({error.strerror}).") from error


def finish(folder: Path, record: dict, *, tuning: Predictions, validation: Predictions) -> Run:
    """Measure, write the scores, and the record last: from then on the run is finished."""
    tuning.save(folder / "tuning.npz")
    validation.save(folder / "predictions.npz")
    scores, labels = validation.scores.astype(np.float32), validation.labels
    interval = gap_interval(scores, labels)
    record = record | {
        "tuning": {"gap": global_average_precision(tuning.scores.astype(np.float32), tuning.labels)},
        "measures": measure(scores, labels) | {"gap_interval": [interval.low, interval.high]},
        "scores_kept": "all" if validation.kept is None else f"the highest {validation.kept} of each video",
        "versions": versions(),
        "git_commit": git_commit(),
        "hardware": hardware(),
    }
    write_record(folder, record)
    (folder / checkpoint.FILE).unlink(missing_ok=True)
    return load_run(folder)


def predict(
    model: keras.Model, dataset, split: str, *, profile: str | Profile = "demo", frame_choice=None, max_frames=None
) -> Predictions:
    """The scores of one part of a data set.

    Args:
        model: A model of `build_model`.
        dataset: What `open_dataset` gives.
        split: The part.
        profile: Batch size, frames read and cap on the videos.
        frame_choice, max_frames: Instead of the profile's.
    """
    profile = as_profile(profile)
    batches = dataset.batches(
        split,
        batch_size=max(profile.batch_size, 64),
        frame_choice=frame_choice or profile.frame_choice,
        max_frames=max_frames or profile.max_frames,
        max_videos=profile.caps.get(split),
    )
    names = [tensor.name for tensor in model.inputs]
    return gather(batches, lambda batch: model.predict_on_batch({name: batch[name] for name in names}))


def _climb(model, dataset, done, *, folder, profile, seed, videos, title, show: Lines, every, on_epoch) -> None:
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
        with examples.faults_named():
            model.fit(
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
        tuning = predict(model, dataset, "tuning", profile=profile)
        gap = global_average_precision(tuning.scores.astype(np.float32), tuning.labels)
        done.seconds += time.monotonic() - saver.started
        done.epoch += 1
        if gap > done.best_gap:
            done.best_gap, done.best_epoch, done.best_weights = gap, done.epoch, model.get_weights()
        row = {
            "epoch": done.epoch,
            "examples": done.epoch * videos,
            "loss": done.loss,
            "tuning_gap": gap,
            "learning_rate": float(model.optimizer.learning_rate),
            "seconds": round(time.monotonic() - since, 3),
        }
        done.history.append(row)
        done.batches, done.loss = 0, 0.0
        checkpoint.save(folder, model, done)
        show.epoch(row, epochs=profile.epochs)
        if on_epoch:
            on_epoch(row)


def _videos(dataset, profile: Profile, part: str) -> int:
    found = dataset.num_videos(part)
    if not found:
        raise DataError(f"The '{part}' part of {dataset.name} holds no videos.")
    cap = profile.caps[part]
    return found if cap is None else min(found, cap)


def _save_model(model: keras.Model, path: Path) -> None:
    """Write the model without its optimiser, whole or not at all."""
    bare = keras.Model.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    bare.save(temporary)
    os.replace(temporary, path)


def _write_history(folder: Path, history: list[dict]) -> None:
    lines = [",".join(history[0])] + [",".join(str(value) for value in row.values()) for row in history]
    (folder / "history.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
