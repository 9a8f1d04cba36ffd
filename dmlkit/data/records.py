"""TFRecord shards, written: one video to bytes, many to a shard.

The same videos always give the same bytes, so that data made from one seed can be compared by checksum. TensorFlow
is needed for remote folders only.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path

import numpy as np

from dmlkit.data.files import remote
from dmlkit.data.framing import frame
from dmlkit.data.messages import Example, Feature, SequenceExample
from dmlkit.files import atomic_write


def serialize_video(
    *,
    video_id: str,
    labels: Sequence[int] | None,
    features: Mapping[str, np.ndarray],
    texts: Mapping[str, Sequence[str]] | None = None,
    id_key: str = "id",
) -> bytes:
    """One video-level record, a ``tf.train.Example``.

    Args:
        video_id: The video's name.
        labels: Its classes; None leaves the key out, as in test shards.
        features: Key in the record (``mean_rgb``) → values, shape (size,).
        texts: Key in the record (``text``) → texts: a title, keywords.
        id_key: ``"id"`` or ``"video_id"``, which differs between releases.

    Raises:
        ValueError: A feature is not one row of numbers.
    """
    record = Example()
    _tell(record.features.feature, video_id, labels, id_key, texts)
    for key, values in features.items():
        values = np.asarray(values, dtype=np.float32)
        if values.ndim != 1:
            raise ValueError(f"`features[{key!r}]` must have shape (size,). Received: {values.shape}.")
        _put(record.features.feature[key], values)
    return record.SerializeToString(deterministic=True)


def serialize_frames(
    *,
    video_id: str,
    labels: Sequence[int] | None,
    frames: Mapping[str, np.ndarray],
    texts: Mapping[str, Sequence[str]] | None = None,
    id_key: str = "id",
) -> bytes:
    """One frame-level record, a ``tf.train.SequenceExample``.

    Args:
        video_id: The video's name.
        labels: Its classes; None leaves the key out, as in test shards.
        frames: Key in the record (``rgb``) → array (time, size); uint8 is written as one string of bytes
            a frame (YouTube-8M's way), anything else as floats.
        texts: Key in the record's context (``text``) → texts: a title, keywords.
        id_key: ``"id"`` or ``"video_id"``, which differs between releases.

    Raises:
        ValueError: A modality is not a matrix.
    """
    record = SequenceExample()
    _tell(record.context.feature, video_id, labels, id_key, texts)
    for key, matrix in frames.items():
        matrix = np.asarray(matrix)
        if matrix.ndim != 2:
            raise ValueError(f"`frames[{key!r}]` must have shape (time, size). Received: {matrix.shape}.")
        frames_of = record.feature_lists.feature_list[key].feature
        for row in matrix:
            _put(frames_of.add(), row)
    return record.SerializeToString(deterministic=True)


def write_shard(path: str | os.PathLike, serialized_records: Iterable[bytes]) -> int:
    """Write records as one TFRecord file; the file appears whole or not at all.

    Args:
        path: Where to; local or anything ``tf.io.gfile`` knows.
        serialized_records: The records, in order.

    Returns:
        The number of records written.
    """
    path, count = os.fspath(path), 0
    if remote(path):
        return _write_remote(path, serialized_records)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(Path(path)) as temporary, temporary.open("wb") as file:
        for record in serialized_records:
            file.write(frame(record))
            count += 1
    return count


def _write_remote(path: str, serialized_records: Iterable[bytes]) -> int:
    import tensorflow as tf

    folder, name = posixpath.split(path)
    tf.io.gfile.makedirs(folder)
    # The name does not end in .tfrecord: whoever lists the folder meanwhile does not take it for a shard.
    partial = posixpath.join(folder, f".{name}.{os.getpid()}.partial")
    count = 0
    try:
        with tf.io.TFRecordWriter(partial) as writer:
            for record in serialized_records:
                writer.write(record)
                count += 1
        tf.io.gfile.rename(partial, path, overwrite=True)
    except BaseException:
        if tf.io.gfile.exists(partial):
            tf.io.gfile.remove(partial)
        raise
    return count


def _tell(
    entries: MutableMapping[str, Feature],
    video_id: str,
    labels: Sequence[int] | None,
    id_key: str,
    texts: Mapping[str, Sequence[str]] | None,
) -> None:
    """Say which video it is, and what is in it."""
    entries[id_key].bytes_list.value.append(video_id.encode())
    if labels is not None:
        # Also an empty list is set: the video is of no class, which is not the same as not knowing.
        entries["labels"].int64_list.SetInParent()
        entries["labels"].int64_list.value.extend(int(label) for label in labels)
    for key, said in (texts or {}).items():
        entries[key].bytes_list.value.extend(text.encode("utf-8", "replace") for text in said)


def _put(feature: Feature, row: np.ndarray) -> None:
    """One frame's values, or a video's: bytes as one string, anything else as floats."""
    if row.dtype == np.uint8:
        feature.bytes_list.value.append(row.tobytes())
        return
    feature.float_list.SetInParent()
    if len(row):
        # Packed floats are written as one string of bytes is, so nothing need be turned into numbers of Python's.
        packed = Feature()
        packed.bytes_list.value.append(np.asarray(row, dtype="<f4").tobytes())
        feature.float_list.MergeFromString(packed.bytes_list.SerializeToString())
