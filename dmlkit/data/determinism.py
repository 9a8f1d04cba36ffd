"""What decides whether TensorFlow gives the same numbers for the same input: a switch, and the threads."""

from __future__ import annotations

import os


def make_deterministic() -> None:
    """Ask TensorFlow for operations whose result does not depend on scheduling.

    For this process and for good: TensorFlow has no way back. The number of threads must be the same for
    the same result.
    """
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def threads() -> int:
    """How many threads share an operation: as set in TensorFlow or its environment, else the cores of this process."""
    import tensorflow as tf

    asked = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    set_to = tf.config.threading.get_intra_op_parallelism_threads() or (int(asked) if asked.isdigit() else 0)
    return set_to or cores()


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
