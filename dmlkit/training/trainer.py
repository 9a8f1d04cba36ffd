"""Train one experiment and leave a run: settings → data → model → fit → score → save."""

from __future__ import annotations

import copy
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from dmlkit.data import RAISE, Skipped, as_dataset, match, with_tuning
from dmlkit.errors import DataError, UsageError, choose, shorten
from dmlkit.experiments import Ensemble, Experiment, find, not_applicable_reason
from dmlkit.metrics import global_average_precision
from dmlkit.models import build, cross_entropy
from dmlkit.plugins import added_parts, loaded_plugins
from dmlkit.predictions import Predictions, concatenate
from dmlkit.profiles import REFIT, Profile, profile_for
from dmlkit.runs import CHECKPOINTS, Run, as_run, load_run, shared_class_names
from dmlkit.runtime import check_keras, version_of
from dmlkit.training.distributed import ONE_DEVICE, SPLITS, STRATEGIES, Distribution, OneDeviceError, divide
from dmlkit.training.objectives import (
    RatedCrossEntropy,
    averaged_weights,
    fit_kernel_ridge,
    kernel_layers,
    learner_for,
    learning_rate_schedule,
)
from dmlkit.training.prediction import RunOrPath, members_of, score_split
from dmlkit.training.segments import check_conditions, precision_of
from dmlkit.training.state import (
    REFITTING,
    TrainingState,
    default_run,
    describe_data,
    existing_run,
    finish_run,
    make_folder,
    read_projection,
    read_snapshot,
    save_snapshot,
    snapshot_records,
    training_fingerprint,
)

MODEL_FIELDS = (
    "fusion", "fusion_stage", "alignment_weight", "mapping_initializer", "encoder", "classifier", "gate_pooled",
    "gate_scores", "heads", "clusters", "pooled_units", "copies",
)  # fmt: skip
"""Fields of an experiment that are arguments of `dmlkit.models.build`."""


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
    teachers: Sequence[RunOrPath] = (),
    start_from: RunOrPath | None = None,
) -> Run:
    """Train one experiment and leave a run; a run that is already there is not trained again.

    The training split is fitted, the tuning split decides when to stop and which epoch's weights are kept (a profile
    may then refit on it too, `Profile.after_tuning`), the validation split is scored once, at the end. A killed
    training resumes where it stopped.

    Of rated segments (`open_dataset(path, unit="segment")`) only the rated pairs of segment and class count, in the
    loss and in the metrics, and the tuning split is judged by mAP@K instead of GAP.

    Args:
        experiment: An `Experiment`, or the name of one.
        data: A data set, or the path of one.
        out: The run's folder; where None, one below the runs of these data's report (`dmlkit.paths`).
        profile: A `Profile`, or the name of one: sizes, optimizer, budget, caps; where None, the experiment's own
            recipe, or `demo`. An experiment's trick changes it.
        seed: Of weights, order and dropout.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        deterministic: Same numbers for the same seed and number of threads, a little slower. It holds for
            the rest of the process.
        xla: Compile the step with XLA; every new length of a batch is compiled again. On a GPU, XLA and cuDNN
            exclude each other.
        progress: `auto`, `bars`, `lines` or `silent`.
        checkpoint_seconds: Longest time between two checkpoints; one is written after each epoch anyway.
        on_epoch: Called after each epoch with its row of the history: `epoch`, `loss`, `tuning_loss`, `tuning_gap`,
            `learning_rate`, `seconds`, `examples`.
        tensorboard: Folder below which the run gets one of its own name with TensorBoard's logs: loss, loss and GAP
            on the tuning split and learning rate by epoch; None for none. They change nothing about the run.
        strategy: `auto`: one device, or all GPUs of this machine where there are several and the training can use
            them. `mirrored`: all GPUs of this machine. `multi-worker`: all machines that the environment
            variable TF_CONFIG names, each of which runs the same call; the profile's batch is that of all of them
            together, the folder is shared, and the first, the chief, writes the run and shows progress.
        on_fault: `raise` at the first corrupt record, or `skip N`: skip at most N different ones over the whole
            training; the run's record names them. It can be changed when a training is resumed.
        teachers: Runs on the same data, or their folders, whose mean scores are learned in addition to the labels
            (distillation; `Profile.teaching` sets their share). An ensemble teaches as it scores.
        start_from: A run of the same model, or its folder, whose weights are the initial ones (fine-tuning); the
            state of its optimizer is not taken.

    Returns:
        The finished run.

    Raises:
        UsageError: Unknown names, or a folder that holds another run.
        DataError: Data that are missing or damaged, or scores that are not numbers.
        WorkerGoneError: Another worker has ended.

    Paper: §Optimization, Algorithm 1.
    """
    check_keras(training=True)
    # Settings. Several workers must find each other before TensorFlow is used for anything else.
    experiment = as_experiment(experiment)
    profile, skipped, reporter = profile_for(experiment, profile), Skipped.of(on_fault), Reporter(progress)
    settings = {"seed": seed, "precision": precision, "deterministic": deterministic}
    distribution = choose(STRATEGIES, strategy, what="strategy")()

    # Data.
    dataset = distribution.each(lambda: as_dataset(data))
    runs = distribution.each(lambda: open_teachers(teachers, dataset, experiment=experiment))
    sources = [run.record["fingerprint"] for run in runs]
    start = None if start_from is None else distribution.each(lambda: as_run(start_from))
    names = {"teachers": sources, "start_from": start and start.record["fingerprint"]}
    fingerprint = training_fingerprint(experiment, dataset, profile=profile, **names, **settings)
    distribution.agree(
        {"version of dmlkit": version_of("dmlkit"), "experiment": experiment.to_record()}
        | {"plugins": loaded_plugins()}
        | {"profile": profile.to_record(), "data set": dataset.fingerprint, **names}
        | {**settings, "on_fault": skipped.policy}
    )
    folder = default_run(dataset, experiment, profile, fingerprint) if out is None else Path(out)
    if run := distribution.each(lambda: existing_run(folder, fingerprint=fingerprint, name=experiment.name)):
        return run

    # Model.
    trainer = Trainer(
        experiment=experiment, dataset=dataset, profile=profile, distribution=distribution, folder=folder,
        fingerprint=fingerprint, **settings, xla=xla, teachers=runs, start=start, skipped=skipped, reporter=reporter,
        checkpoint_seconds=checkpoint_seconds,
    )  # fmt: skip
    trainer.build(fall_back=strategy == "auto")

    # Fit.
    logs = Path(tensorboard) / folder.name if tensorboard and distribution.chief else None
    state = trainer.fit(on_epoch=on_epoch, tensorboard=logs)

    # Score: the tuning split before a refit on it.
    tuning = trainer.scores("tuning")
    refit = trainer.refit(state) if profile.after_tuning == REFIT else None
    validation = trainer.scores("validate")

    # Save.
    trainer.save(state, refit, tuning=tuning, validation=validation)
    return load_run(folder)


def build_model(
    experiment: str | Experiment,
    dataset,
    *,
    profile: str | Profile | None = None,
    precision: str | None = None,
) -> keras.Model:
    """The experiment's model for a data set, untrained.

    Args:
        experiment: An `Experiment`, or the name of one.
        dataset: What `open_dataset` gives.
        profile: Sizes and input normalization where the experiment names none of its own; None takes the
            experiment's recipe, or `demo`.
        precision: A name in `dmlkit.models.PRECISIONS`; None takes the policy set in Keras.

    Raises:
        UsageError: The experiment is not applicable to the data set.
    """
    experiment = as_experiment(experiment)
    profile = profile_for(experiment, profile)
    if reason := not_applicable_reason(experiment, level=dataset.level, modalities=tuple(dataset.features)):
        raise UsageError(f"{experiment.name} cannot be trained on {dataset.name}: {reason}.")
    try:
        return build(
            features={name: (feature.size, feature.coding) for name, feature in dataset.features.items()},
            level=dataset.level,
            num_classes=dataset.num_classes,
            # Video level: there are no frames to pool.
            pooling=experiment.pooling if dataset.level == "frame" else "last",
            precision=precision,
            normalization=experiment.normalization or profile.normalization,
            units=experiment.units or profile.units,
            layers=experiment.layers or profile.layers,
            dropout=profile.dropout,
            input_dropout=profile.input_dropout,
            **{name: getattr(experiment, name) for name in MODEL_FIELDS},
        )
    except Exception as error:
        if isinstance(error, UsageError) or not added_parts(experiment):
            raise
        reason = f"{type(error).__name__}: {shorten(error, 500)}"
        raise UsageError(f"The model of {experiment.name}, with parts of yours, fails: {reason}") from error


def as_experiment(experiment: str | Experiment) -> Experiment:
    """The experiment of this name, or the experiment itself."""
    experiment = find(experiment)
    if isinstance(experiment, Ensemble):
        raise UsageError(
            f"{experiment.name} is an ensemble of {', '.join(experiment.members)}: train those, then use "
            "`dmlkit ensemble`."
        )
    return experiment


def open_teachers(teachers: Sequence[RunOrPath], dataset, *, experiment: Experiment) -> list[Run]:
    """The runs that a training on a data set is distilled from."""
    if experiment.teachers and not teachers:
        raise UsageError(
            f"{experiment.name} follows {', '.join(experiment.teachers)}, and no runs of them are given as teachers. "
            f"`Study.train` and `dmlkit train {experiment.name}` train them first."
        )
    runs = [as_run(teacher) for teacher in teachers]
    for run in runs:
        if run.record["data"]["fingerprint"] != dataset.fingerprint:
            raise UsageError(
                f"{run.path} cannot teach on {dataset.name}: it was trained on other data "
                f"({run.record['data']['name']}), perhaps on the very videos that are to be scored."
            )
        shared_class_names(
            [(run.path, run.class_names), (dataset.path, dataset.class_names if dataset.named else None)]
        )
        if bys := [member.by for member in members_of(run) if member.below]:
            raise UsageError(
                f"{run.path} cannot teach: it combines its members by {bys[0]!r}, which is no weighted mean of their "
                "scores. Name its members, or an ensemble by 'algorithm_2', 'uniform' or 'optimized'."
            )
    return runs


def own_names(run: Run) -> dict:
    """What a record keeps of another run."""
    return {"name": run.name, "fingerprint": run.record["fingerprint"]}


@dataclass(kw_only=True, eq=False)
class Trainer:
    """One training, from its first epoch or its checkpoint to its last, on one device or on all of its `distribution`.

    `build` makes `model`, which is scored and kept, and `learner`, which is fitted: a `Learner` of the same weights, or
    the model itself. `videos` counts the videos (or segments) of each split on all workers, `own_videos` on this one.
    In a refit no epoch is selected: the last one's weights are kept.

    Paper: §Optimization.
    """

    experiment: Experiment
    dataset: object
    profile: Profile
    distribution: Distribution
    folder: Path
    fingerprint: str
    teachers: Sequence[Run]
    start: Run | None
    skipped: Skipped
    reporter: Reporter
    seed: int
    precision: str
    deterministic: bool
    xla: bool
    checkpoint_seconds: float

    def __post_init__(self):
        dataset, distribution = self.dataset, self.distribution
        self.epochs, self.select = self.profile.epochs, True
        self.started = datetime.now(UTC)
        if self.profile.ridge and self.teachers:
            raise UsageError("Kernel ridge regression (ridge) follows labels alone. Leave the teachers out.")
        if dataset.unit == "segment":
            check_conditions(self.profile)
        if not distribution.chief:
            self.reporter, self.checkpoint_seconds = Reporter("silent"), math.inf
        for split in SPLITS:
            if split not in dataset.labelled:
                labelled = ", ".join(sorted(dataset.labelled)) or "none"
                raise DataError(
                    f"{dataset.name} has no labelled {split!r} split, and training needs one. "
                    f"Its labelled splits are: {labelled}."
                )
        self.files = distribution.each(lambda: read_projection(dataset))
        # This worker's share of the batch and of the shards, of which no more than the caps are read.
        place = {"index": distribution.index, "workers": distribution.workers}
        self.own_dataset, self.own_profile = distribution.each(
            lambda: divide(dataset, self.profile, **place, skipped=self.skipped)
        )
        self.own_videos = distribution.each(
            lambda: {split: self.own_dataset.num_examples(split, on_fault=self.skipped) for split in SPLITS}
        )
        self.videos = dict(zip(SPLITS, distribution.sum(*self.own_videos.values()), strict=True))
        for split, count in self.videos.items():
            if not count:
                raise DataError(f"The '{split}' split of {dataset.name} holds no videos.")

    def build(self, *, fall_back: bool = False) -> None:
        """Make model, learner and optimizer, from the seed; on one device if several cannot (`fall_back`)."""
        try:
            return self._build()
        except OneDeviceError as error:
            if not fall_back:
                raise
            reason = error.reason
        # Not within `except`, whose traceback would hold the model on all devices.
        self.reporter.line(f"Trained on one of {self.distribution.replicas} devices: {reason}.")
        self.distribution = ONE_DEVICE
        return self._build()

    def _build(self) -> None:
        profile = self.profile
        if self.deterministic:
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(self.seed)
        with self.distribution.scope():
            self.model = build_model(self.experiment, self.dataset, profile=profile, precision=self.precision)
            if self.start:
                self.model.set_weights(self._initial_weights(self.start))
            if profile.ridge:
                kernel_layers(self.model)[1].trainable = False
            members = [member for run in self.teachers for member in members_of(run)]
            teachers = [(member.run.model, member.weight / len(self.teachers)) for member in members]
            self.learner = learner_for(self.model, profile, seed=self.seed, teachers=teachers)
            rate = learning_rate_schedule(profile, videos=self.videos["train"])
            self.loss = RatedCrossEntropy() if self.dataset.unit == "segment" else cross_entropy
            self.replicated = self.distribution.compile(
                self.learner, profile, learning_rate=rate, xla=self.xla, loss=self.loss
            )

    def _initial_weights(self, start: Run) -> list[np.ndarray]:
        """The weights of the run to start from, which must be of the same model and classes."""
        data, weights = match(self.dataset, start.record["data"], model=start.path), start.model.get_weights()
        sides = (self.experiment, self.profile), (start.experiment, Profile(**start.record["profile"]))
        parts = ("pooling", *MODEL_FIELDS)
        described = [
            [getattr(each, part) for part in parts] + [each.normalization or profile.normalization]
            for each, profile in sides
        ]
        differing = [part for part, a, b in zip((*parts, "normalization"), *described, strict=True) if a != b]
        own = [tuple(each.shape) for each in self.model.weights]
        differing += ["sizes"] * ([each.shape for each in weights] != own)
        differing += ["coding of the features"] * bool(data.codings) + ["classes"] * (
            data.columns is not None
        )
        if differing:
            raise UsageError(
                f"{self.experiment.name} cannot start from {start.path} ({start.name}), whose model differs in "
                f"{', '.join(differing)}. Train the experiment of that run, under its profile, on its features and "
                "classes."
            )
        return weights

    def fit(
        self, *, on_epoch: Callable[[dict], None] | None = None, tensorboard: Path | None = None
    ) -> TrainingState:
        """Train from the checkpoint in the run's folder, or from the start; the model then has the selected weights.

        `on_epoch` is called by the chief with each row of the history; `tensorboard` is the folder of the event files.
        """
        distribution = self.distribution
        distribution.make_shared(self.folder)
        own = {"fingerprint": self.fingerprint, "workers": distribution.workers, "skipped": self.skipped}
        state = distribution.each(lambda: TrainingState.restore(self.folder, self.learner, **own))
        if self.replicated:
            self.replicated.spread_seeds(first=distribution.index * self.replicated.devices)
        with event_log(tensorboard, state.history) if tensorboard else nullcontext() as log:
            while not self._ended(state):
                row = self._epoch(state)
                if distribution.chief:
                    state.save(self.folder, self.learner)
                    self.reporter.epoch(row, epochs=self.epochs)
                    for callback in filter(None, (log, on_epoch)):
                        callback(row)
        self.model.set_weights(state.best_weights)
        return state

    def _ended(self, state: TrainingState) -> bool:
        """Whether the budget is spent, or the tuning split has not improved for long enough."""
        waited = state.epoch - state.best_epoch >= self.profile.patience
        # Only the end of a cycle of the learning rate can be judged.
        return state.epoch >= self.epochs or (self.select and waited and state.epoch in self.profile.moments)

    def _epoch(self, state: TrainingState) -> dict:
        """Train one epoch, or what is left of it, and score the tuning split: the row of the history."""
        since = time.monotonic()
        checkpoint = Checkpoint(self.folder, state, every=self.checkpoint_seconds)
        self._fit_epoch(state, checkpoint)
        state.epoch += 1
        row = {
            "epoch": state.epoch,
            "examples": state.epoch * self.videos["train"],
            "loss": state.loss,
            **self._evaluate(state),
            # A closed form has none.
            "learning_rate": 0.0 if self.profile.ridge else float(self.learner.optimizer.learning_rate),
            "seconds": round(time.monotonic() - since, 3),
        }
        state.seconds = time.monotonic() - checkpoint.since
        state.history.append(row)
        state.batches, state.loss, state.metrics = 0, 0.0, []
        return row

    def _fit_epoch(self, state: TrainingState, checkpoint: Checkpoint) -> None:
        profile, name = self.own_profile, self.experiment.name
        reading = ("batch_size", "frame_choice", "max_frames", "frame_share")
        examples = self.own_dataset.batches(
            "train",
            shuffle=True,
            seed=self.seed,
            epoch=state.epoch,
            on_fault=self.skipped,
            balance=profile.class_balance,
            **{field: getattr(profile, field) for field in reading},
        )
        if profile.ridge:
            state.loss = fit_kernel_ridge(self.model, examples, ridge=profile.ridge)
            return
        # As many as the worker with the most videos needs; the others run empty batches.
        batches = max(self.distribution.gather(math.ceil(self.own_videos["train"] / profile.batch_size)))
        # Killed between the last batch and the tuning split: nothing is left to fit.
        if state.batches < batches:
            bar = self.reporter.bar(f"{name} {state.epoch + 1}/{self.epochs}", batches, done=state.batches)
            self.distribution.fit_epoch(
                self.learner, self.replicated, examples, state, batches=batches, callbacks=[checkpoint, *bar]
            )
        if not math.isfinite(state.loss):
            raise DataError(
                f"The loss of {name} is not a number after epoch {state.epoch + 1}: training has diverged. "
                f"Choose a lower learning rate than {profile.learning_rate}."
            )

    def _evaluate(self, state: TrainingState) -> dict[str, float]:
        """Loss and GAP on the tuning split, for the history; keeps the best weights. A refit measures nothing.

        Of segments mAP@K, too, by which the weights are the best.
        """
        sums = np.zeros(2)  # cross-entropy and number of this worker's videos, or rated pairs
        on_segments, judged = self.dataset.unit == "segment", {}

        def add(batch: dict, scores: np.ndarray) -> None:
            count, of_rated = len(scores), {}
            if on_segments:
                count, of_rated = batch["rated"].sum(), {"sample_weight": batch["rated"]}
            sums[:] += count * float(self.loss(batch["labels"], scores, **of_rated)), count

        with averaged_weights(self.learner):
            weights = self.model.get_weights()
            if not self.select:
                state.best_epoch, state.best_weights = state.epoch, weights
                return {}
            scores = self.scores("tuning", observe=add)

        def measure() -> float:  # of the whole split, which the chief alone holds
            return global_average_precision(scores.scores.astype(np.float32), scores.labels)

        gathered = self.distribution.gather([self.distribution.by_chief(measure), *sums.tolist()])
        gap, (loss, videos) = gathered[0][0], np.sum([own for _, *own in gathered], axis=0)
        if on_segments:  # on one device alone
            judged = {"tuning_map_at_k": precision_of(scores.blocks()).result()["map_at_k"]}
        if (score := judged.get("tuning_map_at_k", gap)) > state.best_score:
            state.best_score, state.best_epoch, state.best_weights = score, state.epoch, weights
        if self.distribution.chief:
            save_snapshot(self.folder, weights, self.profile, epoch=state.epoch)
        return {"tuning_loss": float(loss / videos), "tuning_gap": gap, **judged}

    def scores(self, split: str, *, observe: Callable | None = None) -> Predictions:
        """The model's scores of a whole split, for the chief; the other workers keep their own.

        They are too many to send and go through the run's folder, which all workers share.
        """
        distribution = self.distribution

        def score() -> Predictions:
            if self.own_dataset.splits[split]:
                settings = {"profile": self.own_profile, "on_fault": self.skipped, "observe": observe}
                return score_split(self.replicated or self.model, self.own_dataset, split, **settings)
            none = np.zeros((0, self.dataset.num_classes))
            return Predictions(np.zeros(0, np.str_), none.astype(bool), none.astype(np.float16))

        def join() -> Predictions:  # one after another, which is the order of the split's shards
            return concatenate(block for file in files for block in Predictions.load(file).blocks())

        scores = distribution.each(score)
        if distribution.workers > 1:
            files = [self.folder / f".{index}.{split}.npz" for index in range(distribution.workers)]
            distribution.each(lambda: scores.save(files[distribution.index]))
            scores = distribution.by_chief(join) or scores
        distribution.share_skipped(self.skipped)
        return scores

    def refit(self, state: TrainingState) -> TrainingState:
        """Train again on the training and tuning videos together, for as many epochs as the best one of `state` took.

        The number of epochs is chosen on the tuning split before a model is fitted to it; nothing is chosen afterwards.
        The model then has the weights of the last epoch.
        """
        videos, epochs = self.videos["train"] + self.videos["tuning"], state.best_epoch
        self.reporter.line(
            f"refitting on the training and tuning splits: {videos:,} videos, epochs: {epochs}"
        )
        again = copy.copy(self)
        again.select, again.epochs, again.folder = False, epochs, self.folder / REFITTING
        again.own_dataset = with_tuning(self.own_dataset)
        again.videos = again.own_videos = self.videos | {"train": videos}
        again.build()
        refit_state = again.fit()
        self.model.set_weights(refit_state.best_weights)
        return refit_state

    def save(
        self,
        state: TrainingState,
        refit: TrainingState | None,
        *,
        tuning: Predictions,
        validation: Predictions,
    ) -> None:
        """Write each snapshot as a run, then that of the present weights, which these scores of two splits are of."""
        weights, distribution = self.model.get_weights(), self.distribution
        videos = self.videos["train"] + self.videos["tuning"]
        settings = {"batch_size": 64, "max_frames": self.profile.max_frames, "on_fault": self.skipped}
        batch = next(iter(self.own_dataset.batches("train", **settings)), None)
        record = {
            "kind": "training",
            "fingerprint": self.fingerprint,
            "experiment": self.experiment.to_record(),
            "added": added_parts(self.experiment),
            "profile": self.profile.to_record(),
            "seed": self.seed,
            "precision": self.precision,
            "deterministic": self.deterministic,
            "strategy": {key: getattr(distribution, key) for key in ("name", "workers", "replicas")},
            "teachers": [own_names(run) for run in self.teachers],
            **({"start_from": own_names(self.start)} if self.start else {}),
            "data": describe_data(self.dataset, videos=self.videos, sample=batch)
            | {"skipped": self.skipped.to_record()},
            "parameters": self.model.count_params(),
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            "seconds": {"training": round(state.seconds + (refit.seconds if refit else 0.0), 3)},
            "started": self.started.isoformat(timespec="seconds"),
            **({"refit": {"epochs": refit.epoch, "videos": videos}} if refit else {}),
        }

        def finish(folder: Path, record: dict, tuning: Predictions, validation: Predictions) -> None:
            parts = {"model": self.model, "files": self.files}
            distribution.by_chief(lambda: finish_run(folder, record, tuning, validation, **parts))

        for own in snapshot_records(record, self.profile, history=state.history):
            epoch = own["epochs"]
            self.model.set_weights(distribution.each(partial(read_snapshot, self.folder, epoch)))
            folder = self.folder / CHECKPOINTS / str(epoch)
            finish(folder, own, self.scores("tuning"), self.scores("validate"))
        self.model.set_weights(weights)
        if distribution.chief:
            pd.DataFrame(state.history).to_csv(self.folder / "history.csv", index=False)
        finish(self.folder, record, tuning, validation)


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state up to date batch by batch, and saves it within an epoch, `every` so many seconds."""

    def __init__(self, folder: Path, state: TrainingState, *, every: float):
        super().__init__()
        self.folder, self.state, self.every = folder, state, every
        self.before = state.batches
        self.saved = time.monotonic()
        self.since = self.saved - state.seconds

    def on_epoch_begin(self, epoch, logs=None):
        """Restore the running mean of the loss, which Keras resets with each `fit`."""
        for variable, value in zip(self.model.metrics_variables, self.state.metrics, strict=False):
            variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        """Count the batch, and save when it is time."""
        self.state.batches = self.before + batch + 1
        self.state.loss = float(logs["loss"])
        if time.monotonic() - self.saved >= self.every:
            self.state.seconds = time.monotonic() - self.since
            self.state.save(self.folder, self.model)
            self.saved = time.monotonic()


class Reporter:
    """Shows progress: `bars` over the batches of each epoch, `lines`, one an epoch, or nothing (`silent`).

    `auto` is bars in a terminal, lines elsewhere.
    """

    def __init__(self, progress: str):
        choose(dict.fromkeys(("auto", "bars", "lines", "silent")), progress, what="progress")
        self.kind = ("bars" if sys.stderr.isatty() else "lines") if progress == "auto" else progress

    def line(self, text: str) -> None:
        """Show a line, above the next bar."""
        if self.kind == "bars":
            tqdm.write(text)
        elif self.kind == "lines":
            print(text, flush=True)

    def epoch(self, row: dict, *, epochs: int) -> None:
        """Show `epoch  3/12  loss 5.123  tuning GAP 0.6120  rate 0.0030  4.2 s`; no GAP in a refit.

        Nor the seconds of the first epoch, which compiles.
        """
        gap = f"tuning GAP {row['tuning_gap']:.4f}  " if "tuning_gap" in row else ""
        gap = f"tuning mAP@K {row['tuning_map_at_k']:.4f}  " if "tuning_map_at_k" in row else gap
        seconds = f"  {row['seconds']:.1f} s" if row["epoch"] > 1 else ""
        start = f"epoch {row['epoch']:>2}/{epochs}  loss {row['loss']:.3f}  {gap}"
        self.line(f"{start}learning rate {row['learning_rate']:.4f}{seconds}")

    def bar(self, title: str, batches: int, *, done: int) -> list[keras.callbacks.Callback]:
        """The callbacks that show a bar over an epoch's batches, of which some are done."""
        if self.kind != "bars":
            return []
        bar = tqdm(total=batches, initial=done, desc=title, unit="batch", leave=False)

        def update(batch, logs) -> None:
            bar.update()
            bar.set_postfix(loss=f"{float(logs['loss']):.3f}", refresh=False)

        return [keras.callbacks.LambdaCallback(on_train_batch_end=update, on_train_end=lambda _: bar.close())]


@contextmanager
def event_log(folder: Path, history: Sequence[dict]) -> Iterator[Callable[[dict], None]]:
    """A function that writes an epoch's row for TensorBoard (`tf.summary.scalar` would need the package tensorboard).

    Event files in the folder, which is this run's own, are replaced, and a resumed training writes its earlier epochs
    again: TensorBoard would join two files into one curve.
    """
    make_folder(folder)
    for earlier in folder.glob("events.out.tfevents.*"):
        earlier.unlink()
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"
    with tf.summary.create_file_writer(os.fsencode(folder)).as_default() as writer:

        def write(row: dict) -> None:
            for name in ("loss", "tuning_loss", "tuning_gap", "learning_rate"):
                value = tf.constant(row[name], "float32")
                tf.summary.write(name, value, step=row["epoch"], metadata=metadata)
            writer.flush()

        for row in history:
            write(row)
        yield write
