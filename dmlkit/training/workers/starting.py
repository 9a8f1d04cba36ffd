"""TensorFlow's strategies, started."""

from __future__ import annotations

import functools
import signal

import tensorflow as tf

from dmlkit.errors import UsageError
from dmlkit.runtime import interrupts
from dmlkit.training.workers.replicas import Replicas
from dmlkit.training.workers.tf_config import check_port, read_cluster


def gpus() -> int:
    """How many GPUs TensorFlow sees."""
    return len(tf.config.list_physical_devices("GPU"))


# One for all trainings of a process: the second one's sums would meet under the numbers of the first one's.
@functools.cache
def mirrored_devices() -> Replicas:
    """All devices of this process."""
    return Replicas("mirrored", tf.distribute.MirroredStrategy())


@functools.cache
def all_workers() -> Replicas:
    """All workers of the cluster; waits until each is there.

    Raises:
        UsageError: TF_CONFIG is missing or wrong, the port is taken, or TensorFlow was used before.
    """
    cluster = read_cluster()
    check_port(cluster.address)
    team = f"worker {cluster.index} of {len(cluster.addresses)} ({cluster.address})"
    others = ", ".join(address for address in cluster.addresses if address != cluster.address)
    who = f"{team}{', the chief' if cluster.index == 0 else ''}"
    try:
        # Said where a Ctrl-C already ends the process: who reads it may press one.
        # TensorFlow's waiting does not let Python see a Ctrl-C: there it ends the process at once, which is the exit
        # code 130 to a shell, as ever.
        with interrupts(signal.SIG_DFL):
            print(f"{who}: waiting for {others}" if others else who, flush=True)
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise UsageError(
            "Training over several workers must be the first thing that a process does with TensorFlow. Start it by "
            f"`dmlkit train ... --strategy multi-worker`, or in a fresh Python. (TensorFlow: {error})"
        ) from error
    except tf.errors.OpError as error:
        raise UsageError(
            f"{team} did not come together with the others: {error.message.splitlines()[0]}. Start all workers "
            "within the same hour, with the same cluster in TF_CONFIG."
        ) from error
    return Replicas("multi-worker", strategy, cluster)
