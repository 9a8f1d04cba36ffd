"""TFRecord shards, written: one video to bytes, many to a shard.

The same videos always give the same bytes, so that data made from one seed can be compared by checksum.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf


def serialize_video(
    *,
    video_id: str,
    labels: Sequence[int] | None,
    features: Mapping[str, np.ndarray],
    id_key: str = "id",
) -> bytes:
    """One video-level record, a ``tf.train.Example``.

    Args:
        video_id: The video's name.
        labels: Its classes; None leaves the key out, as in test shards.
        features: Key in the record (``mean_rgb``) → values, shape (size,).
        id_key: ``"id"`` or ``"video_id"``, which differs between releases.

    Raises:
        ValueError: A feature is not one row of numbers.
    """
    entries = _context(video_id, labels, id_key)
    for key, values in features.items():
        values = np.asarray(values, dtype=np.float32)
        if values.ndim != 1:
            raise ValueError(f"`features[{key!r}]` must have shape (size,). Received: {values.shape}.")
        entries[key] = _floats(values)
    return tf.train.Example(features=tf.train.Features(feature=entries)).SerializeToString(deterministic=True)


def serialize_frames(
    *,
    video_id: str,
    labels: Sequence[int] | None,
    frames: Mapping[str, np.ndarray],
    id_key: str = "id",
) -> bytes:
    """One frame-level record, a ``tf.train.SequenceExample``.

    Args:
        video_id: The video's name.
        labels: Its classes; None leaves the key out, as in test shards.
        frames: Key in the record (``rgb``) → array (time, size); uint8 is written as one string of bytes
            a frame (YouTube-8M's way), anything else as floats.
        id_key: ``"id"`` or ``"video_id"``, which differs between releases.

    Raises:
        ValueError: A modality is not a matrix.
    """
    lists = {}
    for key, matrix in frames.items():
        matrix = np.asarray(matrix)
        if matrix.ndim != 2:
            raise ValueError(f"`frames[{key!r}]` must have shape (time, size). Received: {matrix.shape}.")
        to_feature = _bytes if matrix.dtype == np.uint8 else _floats
        lists[key] = tf.train.FeatureList(feature=[to_feature(row) for row in matrix])
    record = tf.train.SequenceExample(
        context=tf.train.Features(feature=_context(video_id, labels, id_key)),
        feature_lists=tf.train.FeatureLists(feature_list=lists),
    )
    return record.SerializeToString(deterministic=True)


def write_shard(path: str | os.PathLike, serialized_records: Iterable[bytes]) -> int:
    """Write records as one TFRecord file; the file appears whole or not at all.

    Args:
        path: Where to; local or anything ``tf.io.gfile`` knows.
        serialized_records: The records, in order.

    Returns:
        The number of records written.
    """
    path = os.fspath(path)
    folder, name = posixpath.split(path)
    if folder:
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


def _context(video_id: str, labels: Sequence[int] | None, id_key: str) -> dict[str, tf.train.Feature]:
    entries = {id_key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[video_id.encode()]))}
    if labels is not None:
        values = [int(label) for label in labels]
        entries["labels"] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return entries


def _bytes(row: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[row.tobytes()]))


def _floats(row: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=np.asarray(row, dtype=np.float32)))
