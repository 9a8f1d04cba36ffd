"""One step of all replicas together: that of one device with the whole batch.

A replica is one device of one worker. Each sees its share of the batch; what one device would compute from the whole
batch is put together from the shares:

    loss            each replica's sum over its videos, divided by the number of all replicas' videos
    added losses    means over frames (`models.fusions.Alignment`), weighted by the replica's share of all frames
    penalties       of the weights: the same everywhere, so each replica adds its part
    gradients       summed over the replicas, and *then* clipped
    dropout         each replica draws by its own seed
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from dmlkit.models import cross_entropy

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


class Step:
    """A step of the optimiser.

    Args:
        model: Built within the strategy's scope, with its optimiser.
        strategy: TensorFlow's.
        xla: Compile each replica's part with XLA, as far as the gradients.
    """

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy, *, xla: bool):
        self.model, self.strategy = model, strategy
        self.pieces = len(strategy.extended.worker_devices)
        self._gradients = (
            tf.function(self._differentiate, jit_compile=True, autograph=False)
            if xla
            else self._differentiate
        )
        inputs = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs}
        labels = tf.TensorSpec(model.outputs[0].shape, tf.float32)
        piece = (inputs, labels, tf.TensorSpec((2,), tf.float32))
        self._together = tf.function(self._run, input_signature=[[piece] * self.pieces], autograph=False)

    def __call__(self, pieces: Sequence[tuple], *, videos: int, frames: int) -> float:
        """Take a step.

        Args:
            pieces: For each device of this worker its inputs, its labels and how many videos and frames they are.
            videos, frames: How many there are of all workers.

        Returns:
            The mean loss over all workers' videos.
        """
        shares = [
            (inputs, labels, tf.constant([counts[0] / videos, counts[1] / max(frames, 1)], tf.float32))
            for inputs, labels, counts in pieces
        ]
        return float(self._together(shares))

    def _run(self, pieces):
        mine = self.strategy.experimental_distribute_values_from_function(
            lambda context: pieces[context.replica_id_in_sync_group % self.pieces]
        )
        losses = self.strategy.run(self._on_replica, args=mine)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _on_replica(self, inputs, labels, shares):
        loss, gradients = self._gradients(inputs, labels, shares)
        self.model.optimizer.apply(gradients, self.model.trainable_variables)
        return loss

    def _differentiate(self, inputs, labels, shares):
        with tf.GradientTape() as tape:
            scores = self.model(inputs, training=True)
            penalties = [
                each.regularizer(each)
                for each in self.model.trainable_variables
                if each.regularizer is not None
            ]
            # Keras lists what layers added before the penalties of the weights.
            added = self.model.losses[: len(self.model.losses) - len(penalties)]
            loss = cross_entropy(labels, scores) * shares[0]
            loss += tf.add_n([tf.zeros(())] + [tf.cast(each, tf.float32) for each in added]) * shares[1]
            loss += tf.add_n([tf.zeros(())] + [tf.cast(each, tf.float32) for each in penalties]) / float(
                self.strategy.num_replicas_in_sync
            )
        return loss, tape.gradient(loss, self.model.trainable_variables)


class Scorer:
    """A model's scores of one worker's batches, each computed by all its devices; what `predict` asks of a model.

    Nothing here waits for another worker: each has as many batches as it has.
    """

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy, pieces):
        self.inputs = model.inputs
        self._pieces = pieces
        self._strategy = strategy
        self._devices = len(strategy.extended.worker_devices)
        specs = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs}

        def run(parts):
            mine = strategy.experimental_distribute_values_from_function(
                lambda context: parts[context.replica_id_in_sync_group % self._devices]
            )
            scores = strategy.run(lambda inputs: model(inputs, training=False), args=(mine,))
            return strategy.experimental_local_results(scores)

        self._run = tf.function(run, input_signature=[[specs] * self._devices], autograph=False)

    def predict_on_batch(self, inputs) -> np.ndarray:
        """Scores (videos, classes)."""
        parts = list(self._pieces(inputs, self._devices))
        scores = self._run([inputs for inputs, _ in parts])
        return np.concatenate(
            [each.numpy()[:count] for each, (_, count) in zip(scores, parts, strict=True)], axis=0
        )


@contextmanager
def variables_of(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Around the building of a model and its optimiser: variables on all devices, seeds each device's own."""

    def own_seeds(create, **settings):
        if SEED in (settings.get("name") or ""):
            # Each device counts on by itself; read outside of a step, it is the first device's.
            settings["synchronization"] = tf.VariableSynchronization.ON_READ
            settings["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
        return create(**settings)

    with strategy.scope(), tf.variable_creator_scope(own_seeds):
        yield


def spread_seeds(model: keras.Model, strategy: tf.distribute.Strategy, *, first: int) -> None:
    """From one seed for all to one for each device, replica by replica; replica 0 keeps it."""
    for variable in model.variables:
        if variable.name != SEED:
            continue
        for place, own in enumerate(strategy.experimental_local_results(variable.value)):
            seed = own.numpy()
            own.assign(seed + np.array([first + place, 0], dtype=seed.dtype))
