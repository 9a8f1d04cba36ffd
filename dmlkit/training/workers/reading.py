"""The batches of one worker, cut for its devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import tensorflow as tf

from dmlkit.errors import DataError
from dmlkit.training.workers.division import cut


class Reading:
    """A worker's batches of one epoch; empty ones once it has no more, as others may have.

    Args:
        examples: `dataset.batches(...)` of the worker's part.
        skip: Batches that were trained on before.
    """

    def __init__(self, examples, *, skip: int):
        batches = examples.as_tensorflow()
        self._batches = _read(examples, batches.skip(skip))
        self._spec = batches.element_spec

    def next(self, pieces: int) -> tuple[list, DataError | None]:
        """The next batch in so many pieces, each with its inputs, labels and how many videos and frames they are.

        Returns:
            The pieces, and the error where the next batch cannot be read; the pieces are then empty.
        """
        batch, problem = None, None
        try:
            batch = next(self._batches, None)
        except DataError as error:
            problem = error
        inputs, labels = batch or tf.nest.map_structure(_nothing, self._spec)
        pieces = [
            (part, _rows(labels, count, place), (count, _frames(part, count)))
            for place, (part, count) in _cut(inputs, pieces)
        ]
        return pieces, problem


def _read(examples, batches: tf.data.Dataset) -> Iterator[tuple]:
    with examples.reraise_data_errors():
        yield from batches


def pieces_of(inputs: Mapping[str, object], pieces: int) -> Iterator[tuple[dict, int]]:
    """A batch's inputs in so many pieces, each with the number of its videos."""
    for _, piece in _cut({name: tf.convert_to_tensor(value) for name, value in inputs.items()}, pieces):
        yield piece


def _cut(inputs, pieces: int) -> Iterator[tuple[slice, tuple[dict, int]]]:
    rows = next(iter(inputs.values())).shape[0]
    for place in cut(rows, pieces):
        count = place.stop - place.start
        yield place, ({name: _rows(value, count, place) for name, value in inputs.items()}, count)


def _rows(values: tf.Tensor, count: int, place: slice) -> tf.Tensor:
    """Some rows; where there are none, one that stands for none, as not every layer takes an empty batch."""
    if count:
        return values[place]
    empty = tf.zeros((1, *(max(size, 1) for size in values.shape[1:])), values.dtype)
    return empty + 1 if values.shape.rank == 1 else empty


def _frames(inputs: Mapping[str, tf.Tensor], count: int) -> int:
    if not count:
        return 0
    return int(tf.reduce_sum(inputs["num_frames"])) if "num_frames" in inputs else count


def _nothing(spec: tf.TensorSpec) -> tf.Tensor:
    return tf.zeros([0 if size is None else size for size in spec.shape], spec.dtype)
