"""TensorFlow's strategies, started."""

from __future__ import annotations

import functools
import os
import socket
import threading
import time

import tensorflow as tf

from dmlkit.errors import UsageError
from dmlkit.training.workers.replicas import Replicas
from dmlkit.training.workers.tf_config import Cluster, check_port, read_cluster

# How often those that have not come yet are named.
SAID_EVERY = 30.0


def gpus() -> int:
    """How many GPUs TensorFlow sees."""
    return len(tf.config.list_physical_devices("GPU"))


def mirrored_devices() -> Replicas:
    """All devices of this process."""
    return Replicas("mirrored", tf.distribute.MirroredStrategy())


@functools.cache  # TensorFlow starts one server a process.
def all_workers() -> Replicas:
    """All workers of the cluster; waits until each is there.

    Raises:
        UsageError: TF_CONFIG is missing or wrong, the port is taken, or TensorFlow was used before.
    """
    cluster = read_cluster()
    check_port(cluster.address)
    team = f"worker {cluster.index} of {len(cluster.addresses)} ({cluster.address})"
    print(f"{team}{', the chief' if cluster.index == 0 else ''}: waiting for the others", flush=True)
    try:
        strategy = _wait_for(cluster)
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


def _wait_for(cluster: Cluster) -> tf.distribute.Strategy:
    """Start TensorFlow's server beside this thread, which Ctrl-C can still end meanwhile."""
    outcome = []

    def start():
        try:
            outcome.append(tf.distribute.MultiWorkerMirroredStrategy())
        except Exception as error:
            outcome.append(error)

    started = threading.Thread(target=start, daemon=True)
    started.start()
    try:
        said = time.monotonic()
        while started.is_alive():
            started.join(0.2)
            if time.monotonic() - said > SAID_EVERY:
                said = time.monotonic()
                missing = [address for address in cluster.addresses if not _answers(address)]
                print(f"not there yet: {', '.join(missing) or 'nobody, all answer'}", flush=True)
    except KeyboardInterrupt:
        # TensorFlow cannot be asked to stop waiting, and would not let the process end.
        print("dmlkit: interrupted.", flush=True)
        os._exit(130)
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return True
    except OSError:
        return False
