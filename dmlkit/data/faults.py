"""What can be wrong with a record or its file, and how that is said.

No TensorFlow here: whoever looks at many shards in several processes starts quickly.
"""

from __future__ import annotations

from dmlkit.errors import DataError

DAMAGED_ADVICE = "Fetch the file again, or move it out of the data set."

# Of the framing: what TFRecord puts around a record, or the file itself, is broken.
FRAMING = {
    "length checksum": "the shard is damaged, the checksum of the record's length is wrong",
    "record checksum": "the shard is damaged, its checksum is wrong",
    "cut off": "the shard is damaged, the file ends within the record",
    "changed": "the file grew or shrank while it was read",
    "count": "the shard ends here, but dataset.toml counts another number of records in it",
}
ADVICE = dict.fromkeys(FRAMING, DAMAGED_ADVICE) | {
    "changed": "Read it when nothing writes it any more, or fetch the file again.",
    "count": "Fetch the file again, or correct dataset.toml.",
}
# Of the content: the record is as it was written, but not what the data set says.
CONTENT = {
    "not a record": "cannot be parsed as the protobuf message it should be",
    "label": "a label outside the data set's classes",
    "not finite": "NaN or infinite values",
    "size": "a feature of another size",
    "coding": "bytes where floats should be, or the reverse",
    "frames": "no frames, or modalities of different lengths",
}


class RecordFault(ValueError):
    """One record is not what the data set says. The message says what and what to do, but not where.

    Args:
        message: For a reader's eyes.
        kind: A key of `CONTENT`.
    """

    def __init__(self, message: str, *, kind: str):
        super().__init__(message)
        self.kind = kind


def where(shard: str, number: int, offset: int | None = None) -> str:
    """The place of a record, said the same way everywhere."""
    return f"{shard}, record {number} (counted from 0)" + ("" if offset is None else f", byte {offset}")


def broken(shard: str, number: int, offset: int, fault: str) -> DataError:
    """A fault of the framing as an error for a reader's eyes.

    Args:
        shard: The file.
        number: Of the record in it.
        offset: Byte at which the record's header begins.
        fault: A key of `FRAMING`.
    """
    return DataError(f"{where(shard, number, offset)}: {FRAMING[fault]}. {ADVICE[fault]}")


def gone(shard: str) -> DataError:
    """The error of a file that is not where it was."""
    return DataError(f"{shard} is not there (any more). Put it back, or open the data set anew.")


def unreadable(shard: str, why: object) -> DataError:
    """The error of a file that the system does not let one read."""
    return DataError(f"{shard} cannot be read ({why}). {DAMAGED_ADVICE}")
