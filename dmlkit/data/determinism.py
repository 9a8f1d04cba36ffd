"""The switch that makes TensorFlow give the same numbers for the same input."""

from __future__ import annotations


def make_deterministic() -> None:
    """Ask TensorFlow for operations whose result does not depend on scheduling.

    For this process and for good: TensorFlow has no way back. The number of threads must be the same for
    the same result.
    """
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
