"""Train one experiment and leave a run: settings → data → model → fit → score → save."""

from __future__ import annotations

import copy
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dmlkit.data import RAISE, Skipped, as_dataset, with_tuning
from dmlkit.errors import DataError, UsageError, choose
from dmlkit.experiments import Experiment, not_applicable_reason
from dmlkit.metrics import TopPairs, gap_of_pairs, global_average_precision, top_pairs
from dmlkit.models import build
from dmlkit.predictions import Predictions, concatenate
from dmlkit.profiles import REFIT, Profile, profile_for
from dmlkit.runs import CHECKPOINTS, Run, load_run
from dmlkit.runtime import make_deterministic
from dmlkit.training.distributed import ONE_DEVICE, SPLITS, STRATEGIES, Distribution, OneDeviceError
from dmlkit.training.objectives import (
    Teacher,
    fit_kernel_ridge,
    kernel_layers,
    learner_for,
    learning_rate_schedule,
)
from dmlkit.training.prediction import members_of, score_split
from dmlkit.training.provenance import (
    as_experiment,
    default_run,
    describe_data,
    training_fingerprint,
    version_of,
)
from dmlkit.training.state import (
    REFITTING,
    Checkpoint,
    TrainingState,
    existing_run,
    finish_run,
    make_folder,
    missing_snapshots,
    read_snapshot,
    save_model,
    save_snapshot,
    snapshot_record,
    tidy_snapshots,
    write_history,
)

PAIRS = ("scores", "correct", "true_labels")


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

    The training split is fitted, the tuning split decides when to stop and which epoch's weights are kept (a profile
    may then refit on it too, `Profile.after_tuning`), the validation split is scored once, at the end. A killed
    training resumes where it stopped.

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
        xla: Compile the step with XLA; every new length of a batch is compiled anew. On a GPU, XLA and cuDNN
            exclude each other.
        progress: `auto`, `bars`, `lines` or `silent`.
        checkpoint_seconds: Longest time between two checkpoints; one is written after each epoch anyway.
        on_epoch: Called after each epoch with its row of the history: `epoch`, `loss`, `tuning_gap`,
            `learning_rate`, `seconds`, `examples`.
        tensorboard: Folder below which the run gets one of its own name with TensorBoard's logs: loss, GAP on the
            tuning split and learning rate by epoch; None for none. They change nothing about the run.
        strategy: `auto`: one device, or all GPUs of this machine where there are several and the training can use
            them. `mirrored`: all GPUs of this machine. `multi-worker`: all machines that the environment
            variable TF_CONFIG names, each of which runs the same call; the profile's batch is that of all of them
            together, the folder is shared, and the first, the chief, writes the run and shows progress.
        on_fault: `raise` at the first corrupt record, or `skip N`: skip at most N different ones over the whole
            training; the run's record names them. It can be changed when a training is resumed.
        teachers: Runs on the same data, or their folders, whose mean scores are followed beside the labels
            (distillation; `Profile.teaching` says how closely). An ensemble teaches as it scores.

    Returns:
        The finished run.

    Raises:
        UsageError: Unknown names, or a folder that holds another run.
        DataError: Data that are missing or damaged, or scores that are not numbers.
        WorkerGoneError: Another worker has ended.

    Paper: §Optimization, Algorithm 1.
    """
    # Settings. Several workers must find each other before TensorFlow is used for anything else.
    experiment = as_experiment(experiment)
    profile, skipped = profile_for(experiment, profile), Skipped.of(on_fault)
    reporter = Reporter(progress)
    distribution = choose(STRATEGIES, strategy, what="strategy")()
    settings = {"seed": seed, "precision": precision, "deterministic": deterministic}

    # Data.
    dataset = distribution.each(lambda: as_dataset(data))
    teacher_runs = distribution.each(lambda: open_teachers(teachers, dataset, experiment=experiment))
    distribution.agree(
        {"version of dmlkit": version_of("dmlkit"), "experiment": experiment.to_record()}
        | {"profile": profile.to_record(), "data set": dataset.fingerprint, **settings}
        | {"on_fault": skipped.policy}
    )
    fingerprint = training_fingerprint(
        experiment,
        dataset,
        profile=profile,
        teachers=[run.record["fingerprint"] for run in teacher_runs],
        **settings,
    )
    folder = default_run(dataset, experiment, profile, fingerprint) if out is None else Path(out)
    if distribution.each(lambda: existing_run(folder, fingerprint=fingerprint, name=experiment.name)):
        return load_run(folder)

    # Model.
    if deterministic:
        make_deterministic()
    started = datetime.now(UTC)
    trainer = Trainer(
        experiment, dataset, profile, distribution=distribution, folder=folder, fingerprint=fingerprint, seed=seed,
        precision=precision, xla=xla, teachers=teacher_runs, skipped=skipped, reporter=reporter,
        checkpoint_seconds=checkpoint_seconds,
    )  # fmt: skip
    trainer.build(fall_back=strategy == "auto")

    # Fit and score.
    state = trainer.restore()
    with ExitStack() as stack:
        callbacks = [on_epoch] if on_epoch else []
        if tensorboard and distribution.chief:
            callbacks.append(stack.enter_context(event_log(Path(tensorboard) / folder.name, state.history)))
        trainer.fit(state, on_epoch=callbacks)
    trainer.model.set_weights(state.best_weights)
    tuning = trainer.scores("tuning")
    seconds, refitted = state.seconds, {}
    if profile.after_tuning == REFIT:
        refit = trainer.refit(state)
        trainer.model.set_weights(refit.best_weights)
        seconds += refit.seconds
        refitted = {
            "refit": {"epochs": refit.epoch, "videos": trainer.videos["train"] + trainer.videos["tuning"]}
        }
    since = time.monotonic()  # the graph is traced by now: validation videos take what any videos take
    validation = trainer.scores("validate")
    scoring = time.monotonic() - since

    # Save.
    record = {
        "kind": "training",
        "fingerprint": fingerprint,
        "experiment": experiment.to_record(),
        "profile": profile.to_record(),
        **settings,
        "strategy": trainer.distribution.to_record(),
        "teachers": [{"name": run.name, "fingerprint": run.record["fingerprint"]} for run in teacher_runs],
        "data": describe_data(dataset, videos=trainer.videos) | {"skipped": skipped.to_record()},
        "parameters": trainer.model.count_params(),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "seconds": {"training": round(seconds, 3), "scoring": round(scoring, 3)},
        "started": started.isoformat(timespec="seconds"),
        **refitted,
    }
    trainer.save(record, state.history, tuning=tuning, validation=validation)
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
    return build(
        features={name: (feature.size, feature.coding) for name, feature in dataset.features.items()},
        level=dataset.level,
        num_classes=dataset.num_classes,
        normalization=experiment.normalization or profile.normalization,
        fusion=experiment.fusion,
        fusion_stage=experiment.fusion_stage,
        alignment_weight=experiment.alignment_weight,
        mapping_initializer=experiment.mapping_initializer,
        encoder=experiment.encoder,
        units=experiment.units or profile.units,
        layers=experiment.layers or profile.layers,
        dropout=profile.dropout,
        input_dropout=profile.input_dropout,
        # One vector a video leaves nothing to pool.
        pooling=experiment.pooling if dataset.level == "frame" else "last",
        classifier=experiment.classifier,
        gate_pooled=experiment.gate_pooled,
        gate_scores=experiment.gate_scores,
        heads=experiment.heads,
        clusters=experiment.clusters,
        pooled_units=experiment.pooled_units,
        copies=experiment.copies,
        precision=precision,
    )


def open_teachers(
    teachers: Sequence[Run | str | os.PathLike], dataset, *, experiment: Experiment
) -> list[Run]:
    """The runs that a training is distilled from.

    Args:
        teachers: Runs, or their folders.
        dataset: What is trained on.
        experiment: What is trained.

    Raises:
        UsageError: The experiment has teachers and none are given, a teacher was trained on other data, or it is an
            ensemble that is no weighted mean.
    """
    if experiment.teachers and not teachers:
        raise UsageError(
            f"{experiment.name} follows {', '.join(experiment.teachers)}, and no runs of them are given as teachers. "
            f"`Study.train` and `dmlkit train {experiment.name}` train them first."
        )
    runs = [teacher if isinstance(teacher, Run) else load_run(teacher) for teacher in teachers]
    for run in runs:
        if run.record["data"]["fingerprint"] != dataset.fingerprint:
            raise UsageError(
                f"{run.path} cannot teach on {dataset.name}: it was trained on other data "
                f"({run.record['data']['name']}), perhaps on the very videos that are to be scored."
            )
        for member in members_of(run):
            if member.below:
                raise UsageError(
                    f"{run.path} cannot teach: it combines its members by '{member.by}', which is no weighted mean of "
                    "their scores. Name its members, or an ensemble by 'algorithm_2', 'uniform' or 'optimized'."
                )
    return runs


class Trainer:
    """One training, from its first epoch or its checkpoint to its last, wherever `distribution` says that it runs.

    Args:
        experiment, dataset, profile: What is trained, on which videos and how; of all workers together.
        distribution: Where it runs.
        folder: The run's.
        fingerprint: The training's.
        seed, precision, xla, checkpoint_seconds: As for `train`.
        teachers: From `open_teachers`.
        skipped: What happens at a corrupt record, and which were met.
        reporter: Shows the chief's progress.

    Attributes:
        epochs, select: How many epochs at most, and whether the tuning split selects one of them; in a refit the last
            one's weights are kept.
        model, learner: The model that is scored and kept, and what is fitted: a `Learner` of the same weights, or
            the model itself. From `build`.
        videos: Split → number of videos of all workers.

    Raises:
        DataError: A split is missing, unlabelled or empty.

    Paper: §Optimization.
    """

    def __init__(
        self,
        experiment: Experiment,
        dataset,
        profile: Profile,
        *,
        distribution: Distribution,
        folder: Path,
        fingerprint: str,
        seed: int,
        precision: str,
        xla: bool,
        teachers: Sequence[Run],
        skipped: Skipped,
        reporter: Reporter,
        checkpoint_seconds: float,
    ):
        self.experiment, self.profile, self.distribution = experiment, profile, distribution
        self.folder, self.fingerprint, self.seed = folder, fingerprint, seed
        self.precision, self.xla, self.teachers, self.skipped = precision, xla, teachers, skipped
        self.reporter = reporter if distribution.chief else Reporter("silent")
        self.checkpoint_seconds = checkpoint_seconds if distribution.chief else math.inf
        self.epochs, self.select = profile.epochs, True
        for split in SPLITS:
            if split not in dataset.labelled:
                raise DataError(
                    f"{dataset.name} has no labelled '{split}' split, and training needs one. "
                    f"Its labelled splits are: {', '.join(sorted(dataset.labelled)) or 'none'}."
                )
        # What this worker reads, and how.
        self.dataset, self.own_profile = distribution.each(
            lambda: distribution.share(dataset, profile, skipped=skipped)
        )
        self.own_videos = distribution.each(self._count_videos)
        self.videos = dict(zip(SPLITS, distribution.sum(*self.own_videos.values()), strict=True))
        for split, count in self.videos.items():
            if not count:
                raise DataError(f"The '{split}' split of {dataset.name} holds no videos.")

    def _count_videos(self) -> dict[str, int]:
        counts = {split: self.dataset.num_videos(split, on_fault=self.skipped) for split in SPLITS}
        caps = self.own_profile.caps
        return {
            split: count if caps[split] is None else min(count, caps[split])
            for split, count in counts.items()
        }

    def build(self, *, fall_back: bool = False) -> None:
        """Make the model, its learner and its optimizer, from the seed.

        Args:
            fall_back: Use one device, with a message, where several would not do this training as it is meant.

        Raises:
            OneDeviceError: They would not, and nobody asked to fall back.
        """
        try:
            self._build()
        except OneDeviceError as error:
            if not fall_back:
                raise
            reason = error.reason
        else:
            return
        # Not within `except`, whose traceback would hold the model on all devices.
        self.reporter.line(f"Trained on one of {self.distribution.replicas} devices: {reason}.")
        self.distribution = ONE_DEVICE
        self._build()

    def _build(self) -> None:
        keras.utils.set_random_seed(self.seed)
        with self.distribution.scope():
            # Of the whole data set's level and features, which a worker's part shares.
            self.model = build_model(
                self.experiment, self.dataset, profile=self.profile, precision=self.precision
            )
            if self.profile.ridge:
                if self.teachers:
                    raise UsageError(
                        "Kernel ridge regression (ridge) follows the labels alone. Leave the teachers out."
                    )
                kernel_layers(self.model)[1].trainable = False
            teachers = [
                Teacher(member.run.model, member.weight / len(self.teachers))
                for run in self.teachers
                for member in members_of(run)
            ]
            self.learner = learner_for(self.model, self.profile, seed=self.seed, teachers=teachers)
            self.replicated = self.distribution.compile(
                self.learner,
                self.profile,
                learning_rate=learning_rate_schedule(self.profile, videos=self.videos["train"]),
                xla=self.xla,
            )

    def restore(self) -> TrainingState:
        """Continue from the checkpoint in the run's folder, or start."""
        self.distribution.by_chief(lambda: make_folder(self.folder))
        self.distribution.check_shared(self.folder)
        state = self.distribution.each(
            lambda: TrainingState.restore(
                self.folder,
                self.learner,
                fingerprint=self.fingerprint,
                workers=self.distribution.workers,
                skipped=self.skipped,
            )
        )
        if self.replicated:
            self.replicated.spread_seeds(first=self.distribution.index * self.replicated.devices)
        return state

    def fit(self, state: TrainingState, *, on_epoch: Sequence[Callable[[dict], None]] = ()) -> None:
        """Train epoch by epoch, until the budget is spent or the tuning split has not improved for long enough.

        Args:
            state: From `restore`; brought up to date.
            on_epoch: Called by the chief after each epoch with its row of the history.

        Raises:
            DataError: The loss is not a number any more, or a record cannot be read.
        """
        while not self._ended(state):
            since = time.monotonic()
            checkpoint = Checkpoint(self.folder, state, every=self.checkpoint_seconds)
            self._fit_epoch(state, checkpoint)
            state.epoch += 1
            tuning = self._evaluate(state)
            self.distribution.share_skipped(self.skipped)
            checkpoint.count_seconds()
            row = {
                "epoch": state.epoch,
                "examples": state.epoch * self.videos["train"],
                "loss": state.loss,
                **tuning,
                # A closed form has none.
                "learning_rate": 0.0 if self.profile.ridge else float(self.learner.optimizer.learning_rate),
                "seconds": round(time.monotonic() - since, 3),
            }
            state.history.append(row)
            state.batches, state.loss, state.metrics = 0, 0.0, []
            if self.distribution.chief:
                state.save(self.folder, self.learner)
                self.reporter.epoch(row, epochs=self.epochs)
                for callback in on_epoch:
                    callback(row)

    def _ended(self, state: TrainingState) -> bool:
        # Within a cycle of the learning rate nobody knows yet what it comes to.
        waited = state.epoch - state.best_epoch >= self.profile.patience
        stop_early = self.select and waited and state.epoch in self.profile.moments
        return state.epoch >= self.epochs or stop_early

    def _fit_epoch(self, state: TrainingState, checkpoint: Checkpoint) -> None:
        """Train on what is left of the epoch under way."""
        profile = self.own_profile
        examples = self.dataset.batches(
            "train",
            batch_size=profile.batch_size,
            shuffle=True,
            seed=self.seed,
            epoch=state.epoch,
            frame_choice=profile.frame_choice,
            max_frames=profile.max_frames,
            frame_share=profile.frame_share,
            max_videos=profile.max_train_videos,
            on_fault=self.skipped,
            balance=profile.class_balance,
        )
        if profile.ridge:
            state.loss = fit_kernel_ridge(self.model, examples, ridge=profile.ridge)
            return
        batches = self.distribution.batches(self.own_videos["train"], profile.batch_size)
        # A training that was killed between the last batch and the tuning split has nothing left to fit.
        if state.batches < batches:
            bar = self.reporter.bar(
                f"{self.experiment.name} {state.epoch + 1}/{self.epochs}", batches, state.batches
            )
            callbacks = [checkpoint, *bar, KeepWeights()]
            self.distribution.fit_epoch(
                self.learner, self.replicated, examples, state, batches=batches, callbacks=callbacks
            )
        if not math.isfinite(state.loss):
            raise DataError(
                f"The loss of {self.experiment.name} is not a number after epoch {state.epoch + 1}: training has "
                f"diverged. Choose a lower learning rate than {profile.learning_rate}."
            )

    def _evaluate(self, state: TrainingState) -> dict[str, float]:
        """GAP on the tuning split, for the history; the best weights are remembered. Nothing is measured in a refit."""
        with averaged_weights(self.learner):
            weights = self.model.get_weights()
            if not self.select:
                state.best_epoch, state.best_weights = state.epoch, weights
                return {}
            gap = self._gap(self.distribution.each(lambda: self._own_scores("tuning")))
        if gap > state.best_gap:
            state.best_gap, state.best_epoch, state.best_weights = gap, state.epoch, weights
        if self.distribution.chief:
            save_snapshot(self.folder, weights, self.profile, epoch=state.epoch)
        return {"tuning_gap": gap}

    def _own_scores(self, split: str) -> Predictions:
        if self.dataset.splits[split]:
            scorer = self.replicated or self.model
            return score_split(scorer, self.dataset, split, profile=self.own_profile, on_fault=self.skipped)
        shape = (0, self.dataset.num_classes)
        return Predictions(
            ids=np.zeros(0, np.str_), labels=np.zeros(shape, bool), scores=np.zeros(shape, np.float16)
        )

    def _gap(self, own: Predictions) -> float:
        """GAP over all workers' videos, the same number for each: their highest pairs as one ranking."""
        if self.distribution.workers == 1:
            return global_average_precision(own.scores.astype(np.float32), own.labels)
        nothing = np.zeros((0, own.num_classes), np.float32)
        blocks = [(block.scores.astype(np.float32), block.labels) for block in own.blocks()]
        pairs = [vars(top_pairs(*block)) for block in [(nothing, nothing), *blocks]]
        everyone = self.distribution.gather(_concatenated(pairs))
        return gap_of_pairs(TopPairs(**_concatenated(everyone)))

    def scores(self, split: str) -> Predictions:
        """The model's scores of a whole split, for the chief; the other workers keep their own.

        They go through the run's folder, which all workers share: they are too many to send.
        """
        distribution = self.distribution
        own = distribution.each(lambda: self._own_scores(split))
        if distribution.workers > 1:
            files = [self.folder / f".{split}-{index}.npz" for index in range(distribution.workers)]
            distribution.each(lambda: own.save(files[distribution.index]))
            # One after another, which is the order of the split's shards.
            joined = distribution.by_chief(
                lambda: concatenate(block for part in map(Predictions.load, files) for block in part.blocks())
            )
            if distribution.chief:
                own = joined
                for file in files:
                    file.unlink(missing_ok=True)
        distribution.share_skipped(self.skipped)
        return own

    def refit(self, state: TrainingState) -> TrainingState:
        """Train anew on the training and tuning splits together, for as many epochs as the best one took.

        The tuning split decides as it does everywhere, before a model has seen it, and nothing is chosen afterwards.

        Args:
            state: Of this training, which has ended.

        Returns:
            The refit's state, with the weights to keep.
        """
        videos, epochs = self.videos["train"] + self.videos["tuning"], state.best_epoch
        self.reporter.line(
            f"refitting on the training and tuning splits: {videos:,} videos, {epochs} "
            f"{'epoch' if epochs == 1 else 'epochs'}"
        )
        again = copy.copy(self)
        again.select, again.epochs, again.folder = False, epochs, self.folder / REFITTING
        again.dataset = with_tuning(self.dataset)
        cap = None if self.profile.max_train_videos is None else videos
        again.own_profile = replace(self.own_profile, max_train_videos=cap)
        again.videos = again.own_videos = self.videos | {"train": videos}
        again.build()
        refit_state = again.restore()
        again.fit(refit_state)
        return refit_state

    def save(
        self, record: dict, history: Sequence[dict], *, tuning: Predictions, validation: Predictions
    ) -> None:
        """Leave the snapshots as runs of their own, then the run of the model's present weights."""
        weights, distribution = self.model.get_weights(), self.distribution

        def leave(folder: Path, record: dict, tuning: Predictions, validation: Predictions) -> None:
            save_model(self.model, folder / "model.keras")
            finish_run(folder, record, tuning=tuning, validation=validation)

        # Looked up before any is written, so that all workers agree.
        for epoch, fingerprint in distribution.each(lambda: missing_snapshots(self.folder, record)):
            self.model.set_weights(distribution.each(partial(read_snapshot, self.folder, epoch)))
            own = snapshot_record(record, epoch, fingerprint=fingerprint, history=history)
            scores = [self.scores(split) for split in ("tuning", "validate")]
            distribution.by_chief(partial(leave, self.folder / CHECKPOINTS / str(epoch), own, *scores))
        self.model.set_weights(weights)
        distribution.by_chief(lambda: tidy_snapshots(self.folder, self.profile, epochs=record["epochs"]))
        distribution.by_chief(lambda: write_history(self.folder, history))
        distribution.by_chief(lambda: leave(self.folder, record, tuning, validation))


def _concatenated(pairs: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([each[name] for each in pairs]) for name in PAIRS}


# --- Exponential moving average of the weights: Keras's, kept by the optimizer and so by the checkpoint ---


@contextmanager
def averaged_weights(learner: keras.Model) -> Iterator[None]:
    """Within, the weights are their moving averages, where the optimizer keeps any.

    The statistics of a batch normalization are averages by themselves, and stay what they are.
    """
    if not learner.optimizer.use_ema:
        yield
        return
    variables = learner.trainable_variables
    current = [np.array(variable) for variable in variables]
    learner.optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, current, strict=True):
            variable.assign(value)


class KeepWeights(keras.callbacks.Callback):
    """Undo that Keras's `fit` ends by replacing the weights by their averages: the next epoch starts from the weights.

    Otherwise a training that was stopped after an epoch's last batch would resume from others than one that was not.
    """

    def on_epoch_end(self, epoch, logs=None):
        """Keep the weights, before Keras replaces them."""
        if self.model.optimizer.use_ema:
            self.kept = [np.array(variable) for variable in self.model.trainable_variables]

    def on_train_end(self, logs=None):
        """Put them back."""
        if self.model.optimizer.use_ema:
            for variable, value in zip(self.model.trainable_variables, self.kept, strict=True):
                variable.assign(value)


# --- Progress ---

PROGRESS = ("auto", "bars", "lines", "silent")


class Reporter:
    """Shows progress: `bars` over the batches of each epoch, `lines`, one an epoch, or nothing (`silent`).

    Args:
        progress: One of these, or `auto`: bars in a terminal, lines elsewhere.
    """

    def __init__(self, progress: str):
        choose(dict.fromkeys(PROGRESS), progress, what="progress")
        self.kind = ("bars" if sys.stderr.isatty() else "lines") if progress == "auto" else progress

    def line(self, text: str) -> None:
        """Show a line, above the next bar."""
        if self.kind == "bars":
            tqdm.write(text)
        elif self.kind == "lines":
            print(text, flush=True)

    def epoch(self, row: dict, *, epochs: int) -> None:
        """Show `epoch  3/12  loss 5.123  tuning GAP 0.6120  rate 0.0030  4.2 s`; no GAP in a refit."""
        gap = f"tuning GAP {row['tuning_gap']:.4f}  " if "tuning_gap" in row else ""
        self.line(
            f"epoch {row['epoch']:>2}/{epochs}  loss {row['loss']:.3f}  {gap}"
            f"rate {row['learning_rate']:.4f}  {row['seconds']:.1f} s"
        )

    def bar(self, title: str, batches: int, done: int) -> list[keras.callbacks.Callback]:
        """The callbacks that show a bar over an epoch's batches, of which some are done."""
        if self.kind != "bars":
            return []
        bar = tqdm(total=batches, initial=done, desc=title, unit="batch", leave=False)

        def update(batch, logs) -> None:
            bar.update()
            bar.set_postfix(loss=f"{float(logs['loss']):.3f}", refresh=False)

        return [
            keras.callbacks.LambdaCallback(on_train_batch_end=update, on_train_end=lambda logs: bar.close())
        ]


@contextmanager
def event_log(folder: Path, history: Sequence[dict]) -> Iterator[Callable[[dict], None]]:
    """A function that writes an epoch's row for TensorBoard; the package tensorboard is not needed for it.

    Event files that lie in the folder are replaced, and a resumed training writes its earlier epochs again: two files
    would be drawn as one curve that runs back and forth.

    Args:
        folder: Of this run alone; TensorBoard names the curves by it.
        history: The rows of the epochs that are done.

    Raises:
        UsageError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
    except OSError as error:
        raise UsageError(
            f"TensorBoard's logs cannot be written to {folder}: {error.strerror or error}. Name another folder."
        ) from error
    writer = tf.summary.create_file_writer(str(folder))
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"

    def write(row: dict) -> None:
        with writer.as_default():
            for name in ("loss", "tuning_gap", "learning_rate"):
                tf.summary.write(
                    name, tf.constant(row[name], "float32"), step=row["epoch"], metadata=metadata
                )
        writer.flush()

    try:
        for row in history:
            write(row)
        yield write
    finally:
        writer.close()
