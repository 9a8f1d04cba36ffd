"""The ids and classes of a part's videos, without their features and without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator

from dmlkit.data import messages
from dmlkit.data.faults import RecordFault, broken, where
from dmlkit.data.framing import walk_records
from dmlkit.data.labels import check_classes, read_context
from dmlkit.data.schema import Dataset
from dmlkit.errors import DataError


def read_contexts(dataset: Dataset, split: str, *, labelled: bool = False) -> Iterator[tuple[str, list[int]]]:
    """Each video's id and classes, in the order of unshuffled `batches`.

    Args:
        dataset: What `open_dataset` gives.
        split: The part. One without labels has no classes.
        labelled: Whether it must have labels.

    Raises:
        UsageError: An unknown split.
        DataError: A record is damaged or not what the data set says, or there are no labels where there must be.
    """
    dataset.num_videos(split)  # says which splits there are, and finds a shard that ends too early
    if labelled:
        dataset.require_labels(split)
    holds = dataset.counted(split)
    for shard in dataset.splits[split]:
        for number, offset, record, fault in walk_records(shard, holds=holds.get(shard)):
            if fault:
                raise broken(shard, number, offset, fault)
            try:
                yield context_of(dataset, record)
            except RecordFault as problem:
                raise DataError(f"{where(shard, number, offset)}: {problem}") from problem


def context_of(dataset: Dataset, record: bytes) -> tuple[str, list[int]]:
    """One record's id and classes.

    Raises:
        RecordFault: It is not what the data set says.
    """
    try:
        if dataset.level == "video":
            context = messages.Example.FromString(record).features
        else:
            context = messages.SequenceExample.FromString(record).context
    except Exception as error:  # protobuf's own, of another class in each of its implementations
        raise RecordFault(
            "not the message that the data set's level calls for. The file is of another kind or damaged.",
            kind="not a record",
        ) from error
    video, classes = read_context(context)
    check_classes(classes, dataset.num_classes)
    return video, classes
