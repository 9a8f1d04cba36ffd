"""Numbers by step, in the files that TensorBoard shows; writing them does not take TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dmlkit.errors import UsageError

PATTERN = "events.out.tfevents.*"


class EventFile:
    """The event file of one folder; those that lie there already give way to it.

    Two of them in one folder would be drawn as one curve that runs back and forth, so whoever goes on with something
    writes its past anew.

    Args:
        folder: The folder; TensorBoard names the curves by it.

    Raises:
        UsageError: It cannot be written.
    """

    def __init__(self, folder: Path):
        import tensorflow as tf

        try:
            folder.mkdir(parents=True, exist_ok=True)
            for earlier in folder.glob(PATTERN):
                earlier.unlink()
        except OSError as error:
            raise UsageError(
                f"TensorBoard's logs cannot be written to {folder}: {error.strerror or error}. Name another folder."
            ) from error
        self._tf = tf
        self._writer = tf.summary.create_file_writer(str(folder))
        # What `tf.summary.scalar` would say of a number, which takes the package tensorboard.
        self._kind = tf.compat.v1.SummaryMetadata()
        self._kind.plugin_data.plugin_name = "scalars"

    def write(self, values: Mapping[str, float], *, step: int) -> None:
        """Write numbers by name, at once and for good."""
        with self._writer.as_default():
            for name, value in values.items():
                self._tf.summary.write(
                    name, self._tf.constant(value, "float32"), step=step, metadata=self._kind
                )
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
