"""Video-level records (``tf.train.Example``), a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmlkit.data import messages
from dmlkit.data.faults import RecordFault
from dmlkit.data.labels import Seen, check_classes, multi_hot, read_context
from dmlkit.data.schema import Feature

NOT_AN_EXAMPLE = "not a tf.train.Example. The file is of another kind or damaged."


@dataclass(frozen=True)
class VideoParser:
    """Serialized examples to arrays.

    A modality that a record lacks is zeros, as early files lack ``mean_audio``.

    Paper: §Task and data, video level.
    """

    features: tuple[Feature, ...]
    num_classes: int
    labelled: bool

    def parse(self, records: Sequence[bytes]) -> dict[str, np.ndarray]:
        """One batch: ``id`` (B,), each modality (B, D) float32, ``labels`` (B, C) where labelled.

        Args:
            records: Serialized examples, B of them.

        Raises:
            RecordFault: A record is not what the data set says.
            tf.errors.OpError: TensorFlow could not parse one.
        """
        import tensorflow as tf

        try:
            with tf.device("CPU:0"):
                parsed = tf.io.parse_example(list(records), self._specification())
        except UnicodeDecodeError as error:
            # TensorFlow's own message quotes the record it could not read, and Python then cannot read the message.
            raise RecordFault("not a tf.train.Example.", kind="not a record") from error
        ids = parsed["id"].numpy()
        ids = np.where(ids == b"", parsed["video_id"].numpy(), ids)
        batch: dict[str, np.ndarray] = {"id": np.array([name.decode("utf-8", "replace") for name in ids])}
        for feature in self.features:
            values = parsed[feature.key].numpy()
            if not np.isfinite(values).all():
                raise RecordFault(f"{feature.key} holds NaN or infinite values.", kind="not finite")
            batch[feature.name] = values
        if self.labelled:
            labels = parsed["labels"]
            batch["labels"] = multi_hot(labels.values.numpy(), labels.row_lengths().numpy(), self.num_classes)
        return batch

    def check(self, record: bytes) -> Seen:
        """Look at one record with the protobuf library, and say what it holds.

        Raises:
            RecordFault: What is wrong with it.
        """
        try:
            example = messages.Example.FromString(record)
        except Exception as error:
            raise RecordFault(NOT_AN_EXAMPLE, kind="not a record") from error
        entries = example.features.feature
        video_id, classes = read_context(example.features)
        if self.labelled:
            check_classes(classes, self.num_classes)
        modalities = []
        for feature in self.features:
            if feature.key not in entries:
                continue
            modalities.append(feature.name)
            values = np.array(entries[feature.key].float_list.value, dtype=np.float32)
            if len(values) != feature.size:
                raise RecordFault(wrong_size(feature, len(values)), kind="size")
            if not np.isfinite(values).all():
                raise RecordFault(
                    f"{feature.key} holds NaN or infinite values. Compute the features anew, or leave it out.",
                    kind="not finite",
                )
        return Seen(video_id, classes, 0, tuple(modalities))

    def _specification(self) -> dict[str, object]:
        import tensorflow as tf

        specification: dict[str, object] = {
            "id": tf.io.FixedLenFeature([], tf.string, default_value=b""),
            "video_id": tf.io.FixedLenFeature([], tf.string, default_value=b""),
        }
        if self.labelled:
            specification["labels"] = tf.io.RaggedFeature(tf.int64)
        for feature in self.features:
            zeros = np.zeros(feature.size, dtype=np.float32)
            specification[feature.key] = tf.io.FixedLenFeature(
                [feature.size], tf.float32, default_value=zeros
            )
        return specification


def wrong_size(feature: Feature, received: int) -> str:
    """The message for a feature of another dimension than the data set's."""
    return (
        f"{feature.key} has {received} values, but the data set's {feature.name} has {feature.size}. "
        "Correct the size in dataset.toml, or keep shards of other dimensions in a folder of their own."
    )
