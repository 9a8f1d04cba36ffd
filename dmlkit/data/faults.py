"""Naming the broken record: a slow scan, run only after something went wrong.

Batches are parsed many records at a time, so that an error there knows neither file nor record. The scan
reads the shards once more, one record at a time, and stops at the first that is not as it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import tensorflow as tf

from dmlkit.errors import DataError

DAMAGED_ADVICE = "Fetch the file again, or move it out of the data set."


class RecordFault(ValueError):
    """One record is not what the data set says. The message says what and what to do, but not where."""


def locate(shards: Iterable[str], check: Callable[[bytes], object]) -> DataError | None:
    """The error of the first faulty record, with file and number; None where every record is good.

    Args:
        shards: The files, in the order to look at them.
        check: Called with every record; raises `RecordFault`.
    """
    for shard in shards:
        number = 0
        try:
            for record in tf.data.TFRecordDataset(shard).as_numpy_iterator():
                check(record)
                number += 1
        except RecordFault as fault:
            return DataError(f"{where(shard, number)}: {fault}")
        except tf.errors.OpError as error:
            return unreadable(shard, number, error)
    return None


def unreadable(shard: str, number: int, error: tf.errors.OpError) -> DataError:
    """What TensorFlow says about a file, as an error for a reader's eyes."""
    if isinstance(error, tf.errors.NotFoundError):
        return DataError(f"{shard} is not there (any more). Put it back, or open the data set anew.")
    if isinstance(error, tf.errors.DataLossError):
        fault = (
            "the file ends within the record"
            if "truncated" in str(error.message)
            else "its checksum is wrong"
        )
        return DataError(f"{where(shard, number)}: the shard is damaged, {fault}. {DAMAGED_ADVICE}")
    return DataError(f"{where(shard, number)}: the shard cannot be read ({error.message}). {DAMAGED_ADVICE}")


def where(shard: str, number: int) -> str:
    """The place of a record, said the same way everywhere."""
    return f"{shard}, record {number} (counted from 0)"
