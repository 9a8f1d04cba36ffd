"""Where a training runs: one device, all GPUs of a machine, or several machines.

A replica is one device of one worker. Each sees its share of the batch, and what one device would compute from the
whole batch is put together from the shares:

    loss            each replica's sum over its videos, divided by the number of all replicas' videos
    added losses    means (the L2 alignment loss) over frames or videos, weighted by the replica's share of all of them
    penalties       of the weights: the same everywhere, so each replica adds its part
    gradients       summed over the replicas, and *then* clipped
    dropout         each replica draws by its own seed

Keras 3's own `fit` does not train over several workers (keras #20585); the loop is in `Distribution.fit_epoch`.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import keras
import numpy as np
import tensorflow as tf
from pydantic import BaseModel, Field, StrictInt, ValidationError, model_validator

from dmlkit.data import Skipped, capped
from dmlkit.errors import DataError, DmlkitError, UsageError
from dmlkit.models import cross_entropy
from dmlkit.profiles import REFIT, Profile
from dmlkit.runtime import signals_handled
from dmlkit.training.objectives import AveragingAdam, Learner
from dmlkit.training.state import make_folder

T = TypeVar("T")
SPLITS = ("train", "tuning", "validate")

# --- TF_CONFIG: the workers of a training ---

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'


_Address = Annotated[str, Field(pattern=r"^.+:\d{1,5}$")]  # host:port


class _Task(BaseModel):
    type: Literal["chief", "worker"]
    index: StrictInt = Field(ge=0)


class Cluster(BaseModel):
    """The workers of a training, as the environment variable TF_CONFIG names them, and which one this process is."""

    cluster: dict[Literal["chief", "worker"], list[_Address]]
    task: _Task

    @property
    def addresses(self) -> list[str]:
        """`host:port` of each worker; the first is the chief, as for TensorFlow."""
        return self.cluster.get("chief", []) + self.cluster.get("worker", [])

    @property
    def index(self) -> int:
        """This process's place among the addresses."""
        return self.task.index + (len(self.cluster.get("chief", [])) if self.task.type == "worker" else 0)

    @model_validator(mode="after")
    def _check(self):
        count = len(self.cluster.get(self.task.type, []))
        if self.task.index >= count:
            raise ValueError(f"task.index is {self.task.index}, and cluster.{self.task.type} has {count}")
        if len(set(self.addresses)) < len(self.addresses):
            raise ValueError("two workers have the same address")
        return self


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """The cluster that TF_CONFIG names."""
    text = environment.get(VARIABLE, "").strip()
    if not text:
        raise UsageError(
            f"Training over several workers needs the environment variable {VARIABLE} on each of them, and it is not "
            f"set here. For the first of two: {VARIABLE}='{EXAMPLE}'"
        )
    try:
        return Cluster.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))} {each['msg']}" for each in error.errors())
        raise UsageError(
            f"The environment variable {VARIABLE} cannot be used: {problems.strip()}. An example: {EXAMPLE}"
        ) from None


# --- Trainings that need one device ---


class WorkerGoneError(DmlkitError):
    """Another worker ended, so that no sum over workers is possible. Its exit code, 75, means: start again."""

    exit_code = 75


class OneDeviceError(UsageError):
    """A training that is right on one device only; the message is the reason, as a clause."""

    def __init__(self, reason: str):
        super().__init__(
            f"This training is for one device alone: {reason}. Use other settings, or --strategy auto in an "
            "environment without TF_CONFIG, which takes one device."
        )
        self.reason = reason


def check_distributable(learner: keras.Model, profile: Profile, *, replicas: int) -> None:
    """Raise an `OneDeviceError` for what several devices would compute differently from one."""
    several = replicas > 1
    layers = list(learner._flatten_layers())  # nested ones too: a gate normalizes
    techniques = learner.techniques if isinstance(learner, Learner) else []
    reasons = {
        "several devices do not refit (after_tuning)": several and profile.after_tuning == REFIT,
        "several devices do not solve kernel ridge regression (ridge)": several and profile.ridge,
        f"several devices do not support {' and '.join(techniques)}": techniques,
        "several devices keep no averaged weights (ema)": profile.ema,
        "batch normalization, of gates and clusters too, takes each device's own statistics": several
        and any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers),
        "mixed_float16, unlike mixed_bfloat16, scales the loss by what one device sees": any(
            layer.compute_dtype == "float16" for layer in layers
        ),
    }
    for reason, applies in reasons.items():
        if applies:
            raise OneDeviceError(reason)


# --- Dividing shards and batches ---


def divide(dataset, profile: Profile, *, index: int, workers: int, skipped: Skipped) -> tuple:
    """One worker's shards of a data set under the caps of the profile, in order, and its share of the batch.

    The workers' videos one after the other are those of the whole capped split. A split of which a worker has no shard
    is empty for it.
    """
    caps = profile.caps
    dataset = capped(dataset, caps, on_fault=skipped)
    profile = replace(profile, **{f"max_{split}_videos": None for split in SPLITS})
    if workers == 1:
        return dataset, profile
    if profile.batch_size < workers:
        raise UsageError(
            f"A batch of {profile.batch_size} videos cannot be divided among {workers} workers. "
            "Choose a larger batch or fewer workers."
        )
    splits = dict(dataset.splits)
    for split in SPLITS:
        shards = splits[split]
        if split == "train" and len(shards) < workers:
            raise UsageError(
                f"The training split of {dataset.name} is read from {len(shards)} shards (max_train_videos="
                f"{caps[split]}), which cannot be divided among {workers} workers. Use at most as many workers as "
                "there are shards, or write smaller shards."
            )
        splits[split] = shards[len(shards) * index // workers : len(shards) * (index + 1) // workers]
    batch_size = share_of(profile.batch_size, index, workers)
    return replace(dataset, splits=splits), replace(profile, batch_size=batch_size)


def share_of(total: int, index: int, parts: int) -> int:
    """One of so many parts of a number, as equal as can be."""
    return total // parts + (index < total % parts)


def split_inputs(inputs: Mapping, pieces: int) -> Iterator[tuple[slice, dict]]:
    """A batch's inputs in pieces as equal as can be, each with its place in the batch; pieces may be empty."""
    rows, start = next(iter(inputs.values())).shape[0], 0
    for index in range(pieces):
        place = slice(start, start + share_of(rows, index, pieces))
        yield place, {name: _rows(values, place) for name, values in inputs.items()}
        start = place.stop


def _rows(values: tf.Tensor, place: slice) -> tf.Tensor:
    """Some rows; where there are none, a dummy row, as not every layer takes an empty batch."""
    if place.stop > place.start:
        return values[place]
    dummy = tf.zeros((1, *(max(size, 1) for size in values.shape[1:])), values.dtype)
    return dummy + 1 if values.shape.rank == 1 else dummy  # a number of frames is at least 1


def read_pieces(examples, *, skip: int, pieces: int) -> Iterator[tuple[list[tuple], DataError | None]]:
    """A worker's batches after the first `skip`: (inputs, labels, (videos, frames)) for each of its devices, and the
    error where the batch cannot be read; then empty ones, as others may have more.
    """
    dataset = examples.as_tensorflow()
    nothing = tf.nest.map_structure(
        lambda spec: tf.zeros([0 if size is None else size for size in spec.shape], spec.dtype),
        dataset.element_spec,
    )

    def read() -> Iterator[tuple]:
        with examples.reraise_data_errors():
            yield from dataset.skip(skip)

    batches = read()
    while True:
        try:
            batch, problem = next(batches, nothing), None
        except DataError as error:
            batch, problem = nothing, error
        found = []
        for place, inputs in split_inputs(batch[0], pieces):
            videos = place.stop - place.start
            frames = int(tf.reduce_sum(inputs["num_frames"])) if videos and "num_frames" in inputs else videos
            found.append((inputs, _rows(batch[1], place), (videos, frames)))
        yield found, problem


# --- One step, and one batch of scores, on all replicas ---

SEED = "seed_generator_state"


class SummedAdam(keras.optimizers.Adam):
    """Adam that clips the sum of the replicas' gradients, as one device clips the gradient of the whole batch.

    Keras's own clips each replica's gradient and then sums: for the same batch another step than one device takes.
    """

    def _clip_gradients(self, grads):
        summed = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.SUM, [tf.identity(gradient) for gradient in grads]
        )
        return super()._clip_gradients(list(summed))

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return list(grads_and_vars)


class ReplicatedModel:
    """The training step and the scores of a model, built with its optimizer in a strategy's scope, on all replicas."""

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy, *, xla: bool):
        self.model, self.strategy, self.inputs = model, strategy, model.inputs
        self.devices = len(strategy.extended.worker_devices)
        compiled = tf.function(self._loss_and_gradients, jit_compile=True, autograph=False)
        self._gradients = compiled if xla else self._loss_and_gradients
        inputs = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs}
        labels = tf.TensorSpec(model.outputs[0].shape, tf.float32)
        piece = (inputs, labels, tf.TensorSpec((2,), tf.float32))
        self._step = tf.function(self._run, input_signature=[[piece] * self.devices], autograph=False)
        self._scores = tf.function(self._score, input_signature=[[inputs] * self.devices], autograph=False)

    def train_step(self, pieces: Sequence[tuple], *, videos: int, frames: int) -> float:
        """Take a step on a piece of `read_pieces` for each device; the mean loss over all workers' so many videos."""
        shares = [
            (inputs, labels, tf.constant([own[0] / videos, own[1] / max(frames, 1)], tf.float32))
            for inputs, labels, own in pieces
        ]
        return float(self._step(shares))

    def predict_on_batch(self, inputs) -> np.ndarray:
        """Scores (videos, classes) of one worker's batch, computed by all its devices; waits for no other worker."""
        tensors = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
        places, parts = zip(*split_inputs(tensors, self.devices), strict=True)
        scores = zip(self._scores(list(parts)), places, strict=True)
        return np.concatenate([each.numpy()[: place.stop - place.start] for each, place in scores])

    def spread_seeds(self, *, first: int) -> None:
        """From one dropout seed for all to one for each replica; replica 0 keeps it."""
        for variable in (each for each in self.model.variables if each.name == SEED):
            for place, own in enumerate(self.strategy.experimental_local_results(variable.value)):
                seed = own.numpy()
                own.assign(seed + np.array([first + place, 0], dtype=seed.dtype))

    def _distributed(self, pieces):
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: pieces[context.replica_id_in_sync_group % self.devices]
        )

    def _run(self, pieces):
        def on_replica(inputs, labels, shares):
            loss, gradients = self._gradients(inputs, labels, shares)
            self.model.optimizer.apply(gradients, self.model.trainable_variables)
            return loss

        losses = self.strategy.run(on_replica, args=self._distributed(pieces))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _loss_and_gradients(self, inputs, labels, shares):
        def total(losses):
            return tf.add_n([tf.zeros(())] + [tf.cast(each, tf.float32) for each in losses])

        with tf.GradientTape() as tape:
            scores = self.model(inputs, training=True)
            variables = self.model.trainable_variables
            penalties = [each.regularizer(each) for each in variables if each.regularizer]
            loss = cross_entropy(labels, scores) * shares[0]
            for layer in self.model._flatten_layers():
                if added := layer._get_own_losses():  # means over frames, or videos if pooled by then
                    loss += total(added) * shares[0 if len(layer.output.shape) == 2 else 1]
            loss += total(penalties) / float(self.strategy.num_replicas_in_sync)
        return loss, tape.gradient(loss, variables)

    def _score(self, parts):
        score = functools.partial(self.model, training=False)
        scores = self.strategy.run(score, args=(self._distributed(parts),))
        return self.strategy.experimental_local_results(scores)


# --- The distribution of a training ---

# Any number that TensorFlow's strategies do not use: they count from 1.
GROUP = 7_700_001
ERRORS = {kind.exit_code: kind for kind in (UsageError, DataError)}
# Raised by TensorFlow where a peer is gone; errors of the step itself are of other types.
GONE = (
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError, tf.errors.InternalError,
)  # fmt: skip
# How long a shared file system may take until one machine sees another's files.
SHARED_SECONDS = 60


class Distribution:
    """Where a training runs. One device is a worker with one replica; every method below is then trivial.

    All workers call the same methods in the same order: a worker waits for others only in one of these methods or in a
    step, and a worker that fails reports it to the others first.
    """

    def __init__(
        self, name: str, strategy: tf.distribute.Strategy | None = None, cluster: Cluster | None = None
    ):
        self.name, self.strategy, self.cluster = name, strategy, cluster
        self.workers = 1 if cluster is None else len(cluster.addresses)
        self.index = 0 if cluster is None else cluster.index
        self.chief = self.index == 0
        self.replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        self._exchanges = 0

    # Model and training loop

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Around the building of the model and its optimizer."""
        if self.strategy is None:
            yield
            return

        def own_seeds(create, **settings):
            if SEED in (settings.get("name") or ""):
                # Each device has its own counter; outside a step, the first device's is read.
                settings |= {"synchronization": tf.VariableSynchronization.ON_READ}
                settings |= {"aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
            return create(**settings)

        with self.strategy.scope(), tf.variable_creator_scope(own_seeds):
            yield

    def compile(
        self, learner: keras.Model, profile: Profile, *, learning_rate, xla: bool, loss=cross_entropy
    ):
        """Compile the learner; returns the `ReplicatedModel` of several devices, None for one."""
        settings = {"learning_rate": learning_rate, "clipnorm": profile.clip_norm}
        if self.strategy is None:
            average = {"use_ema": True, "ema_momentum": profile.ema} if profile.ema else {}
            # XLA compiles again for every length of a batch: off by default.
            learner.compile(AveragingAdam(**settings, **average), loss=loss, jit_compile=xla)
            replicated = None
        else:
            if loss is not cross_entropy:
                raise OneDeviceError("several devices do not train on segments")
            check_distributable(learner, profile, replicas=self.replicas)
            learner.optimizer = SummedAdam(**settings)
            replicated = ReplicatedModel(learner, self.strategy, xla=xla)
        learner.optimizer.build(learner.trainable_variables)
        return replicated

    def fit_epoch(
        self, learner: keras.Model, replicated, examples, state, *, batches: int, callbacks
    ) -> None:
        """Train on what is left of an epoch of so many batches; the callbacks keep `state` up to date."""
        if replicated is None:
            with examples.reraise_data_errors(), warnings.catch_warnings():
                if examples.skipped.most:  # all records of a batch may be skipped, so that an epoch has fewer
                    warnings.filterwarnings("ignore", message=".*ran out of data")
                settings = {"steps_per_epoch": batches - state.batches, "callbacks": callbacks}
                learner.fit(
                    examples.as_tensorflow().skip(state.batches), shuffle=False, verbose=0, **settings
                )
            return
        callbacks = keras.callbacks.CallbackList(callbacks, model=learner)
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        reader = read_pieces(examples, skip=state.batches, pieces=replicated.devices)
        total, seen = (float(value) for value in state.metrics) if state.metrics else (0.0, 0.0)
        try:
            for batch in range(batches - state.batches):
                pieces, problem = next(reader)
                counts = map(sum, zip(*(own for _, _, own in pieces), strict=True))
                videos, frames, problems = self.sum(*counts, problem is not None)
                if problems:
                    self.fail_together(problem)
                if videos:  # where records are skipped, a batch may be empty on all workers
                    with self.peers():
                        total += videos * replicated.train_step(pieces, videos=videos, frames=frames)
                    seen += videos
                state.metrics = [np.array(total), np.array(seen)]
                callbacks.on_train_batch_end(batch, {"loss": total / max(seen, 1.0)})
        finally:
            callbacks.on_train_end()

    # Communication

    def gather(self, value) -> list:
        """Every worker's plain value, in the workers' order; the same list on each."""
        text = json.dumps(value).encode()
        longest = int(self._exchange(np.array([len(text)])).max())
        padded = text.ljust(-(-longest // 8) * 8)  # JSON may end in spaces
        return [json.loads(words.tobytes()) for words in self._exchange(np.frombuffer(padded, np.int64))]

    def sum(self, *numbers: int) -> list[int]:
        """Each of some whole numbers, added up over the workers."""
        return self._exchange(np.array(numbers, dtype=np.int64)).sum(axis=0).tolist()

    def each(self, function: Callable[[], T]) -> T:
        """Call a function on every worker; where it fails on one, all raise its error, with its name before it."""
        try:
            value, problem = function(), None
        except DmlkitError as error:
            value, problem = None, error
        self.fail_together(problem)
        return value

    def by_chief(self, function: Callable[[], T]) -> T | None:
        """Call a function on the chief alone, as `each` does; None on the others."""
        return self.each(lambda: function() if self.chief else None)

    def fail_together(self, problem: DmlkitError | None) -> None:
        """Continue where no worker has a problem; else raise it on all of them."""
        if self.workers > 1 and self.sum(problem is not None) != [0]:
            code = None if problem is None else problem.exit_code
            for index, (others, message) in enumerate(self.gather((code, str(problem)))):
                if others and problem is None:
                    raise ERRORS.get(others, DmlkitError)(f"{self.label(index)} ended: {message}")
        if problem is not None:
            raise problem

    def agree(self, facts: Mapping[str, object]) -> None:
        """Raise a `UsageError` where a worker's facts (name for users → plain value) are not the chief's."""
        chiefs, *others = self.gather(dict(facts))
        for index, theirs in enumerate(others, start=1):
            for name, value in chiefs.items():
                if theirs[name] != value:
                    raise UsageError(
                        f"The workers were not started by the same command: {self.label(index)} has another {name} "
                        f"than {self.label(0)}. Expected: {value}. Received: {theirs[name]}."
                    )

    def make_shared(self, folder: Path) -> None:
        """Make the shared folder of checkpoints; a `UsageError` where a worker does not see the chief's files."""

        def wait_for_it() -> None:
            deadline = time.monotonic() + SHARED_SECONDS
            while not folder.is_dir() and time.monotonic() < deadline:
                time.sleep(0.2)
            if not folder.is_dir():
                raise UsageError(
                    f"The folder of the run, {folder}, is not shared with the chief. Give all workers one folder on a "
                    "shared file system; checkpoints are in it."
                )

        self.by_chief(lambda: make_folder(folder))
        self.each(wait_for_it)

    def share_skipped(self, skipped: Skipped) -> None:
        """Share the records that any worker skipped; a `DataError` where they are too many together."""
        if self.workers == 1:
            return
        for rows in self.gather(skipped.to_rows()):
            skipped.add_rows(rows)
        if len(skipped.records) > skipped.most:
            raise DataError(
                f"The workers have skipped {len(skipped.records)} corrupt records together, more than `on_fault` "
                f"({skipped.policy}) allows. `dmlkit data check` names them all."
            )

    def label(self, index: int) -> str:
        """A worker's name in messages: `worker 1 (host1:12345)`."""
        return f"worker {index} ({self.cluster.addresses[index]})" + (", the chief" if index == 0 else "")

    @contextmanager
    def peers(self):
        """Around whatever waits for the others: a `WorkerGoneError` where one of them has ended."""
        try:
            yield
        except GONE as error:
            if self.workers == 1:
                raise
            raise WorkerGoneError(
                f"{self.label(self.index)} ends: another worker has ended or cannot be reached any more; see its own "
                "output. Start all workers again by the same commands, and the training resumes from its last "
                f"checkpoint. (TensorFlow: {' '.join(error.message.split())[:200]})"
            ) from error

    def _exchange(self, own: np.ndarray) -> np.ndarray:
        """(workers, n) of every worker's (n,) int64; n is the same for all."""
        if self.workers == 1:
            return own[None]
        self._exchanges += 1
        with self.peers(), tf.device("CPU:0"):
            # Always on the CPU: these are few bytes, and no step waits for them.
            keys = {"group_size": self.workers, "group_key": GROUP, "instance_key": self._exchanges}
            settings = {"ordering_token": [], "communication_hint": "ring"}
            gathered = tf.raw_ops.CollectiveGatherV2(input=tf.constant(own, tf.int64), **keys, **settings)
        return gathered.numpy().reshape(self.workers, -1)


ONE_DEVICE = Distribution("one device")


def auto() -> Distribution:
    """One device; all GPUs of this machine where there are several (where they cannot be used: see `train`)."""
    workers = 1
    with suppress(UsageError):
        workers = len(read_cluster().addresses)
    if workers > 1:
        raise UsageError(
            f"The environment variable {VARIABLE} names {workers} workers. Use strategy 'multi-worker' to train on all "
            f"of them together, or unset {VARIABLE} to train on this machine alone."
        )
    return mirrored() if len(tf.config.list_physical_devices("GPU")) > 1 else ONE_DEVICE


# One for all trainings of a process: a second one's collectives would clash with the first one's.
@functools.cache
def mirrored() -> Distribution:
    """All GPUs of this machine; where there is none, TensorFlow's logical processors."""
    return Distribution("mirrored", tf.distribute.MirroredStrategy())


@functools.cache
def multi_worker() -> Distribution:
    """All workers of the cluster; waits until each is there."""
    cluster = read_cluster()
    name = f"worker {cluster.index} of {len(cluster.addresses)} ({cluster.addresses[cluster.index]})"
    try:
        # While TensorFlow waits, Python does not receive Ctrl-C: let it end the process at once.
        with signals_handled(signal.SIG_DFL, signal.SIGINT):
            print(f"{name} waits for the others", flush=True)
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, tf.errors.OpError) as error:
        raise UsageError(
            f"{name} did not connect to the others: {str(error).splitlines()[0]}. Start all workers within the same "
            "hour, with the same cluster in TF_CONFIG, on free ports, and as the first thing that the process does "
            "with TensorFlow: by `dmlkit train ... --strategy multi-worker`, or in a fresh Python."
        ) from error
    return Distribution("multi-worker", strategy, cluster)


STRATEGIES = {"auto": auto, "mirrored": mirrored, "multi-worker": multi_worker}
"""Name → function that gives a `Distribution`."""
