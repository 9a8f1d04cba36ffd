"""`.parquet`: a row a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dmlkit.data.importing.imported import (
    ID_NAMES,
    LABELS,
    SPLIT,
    Choice,
    Imported,
    by_modality,
    labels_of,
    text,
    video_id,
)
from dmlkit.errors import DataError
from dmlkit.text import shorten

# Rows made into arrays at a time, within a row group.
ROWS = 64


def read_parquet(path: Path, choice: Choice) -> Iterator[Imported]:
    """The videos of one table, row group by row group.

    Raises:
        DataError: It is damaged, or a column is not what it should be.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
            schema, number = file.schema_arrow, 0
            names, aside = _columns(path, schema, choice)
            said = [name for name in (*ID_NAMES, LABELS, SPLIT) if name in schema.names]
            for rows in file.iter_batches(ROWS, columns=[*said, *names.values()]):
                for row in range(rows.num_rows):
                    yield _video(rows, row, f"{path}, row {number} (counted from 0)", names, aside)
                    number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as parquet ({shorten(error, 200)}). Write it again."
        ) from error


def _columns(path: Path, schema, choice: Choice) -> tuple[dict[str, str], tuple[str, ...]]:
    """Modality → column, and the columns that are none."""
    if not set(ID_NAMES) & set(schema.names):
        raise DataError(
            f"{path} has no column `id`. Its columns: {shorten(', '.join(schema.names), 200) or 'none'}."
        )
    others = [name for name in schema.names if name not in (*ID_NAMES, LABELS, SPLIT)]
    wanted = [
        name
        for name in others
        if choice.takes(name) and (choice.names or _lists(schema.field(name).type))
    ]
    for name in wanted:
        if not _numbers(schema.field(name).type):
            raise DataError(
                f"{path}: the column {shorten(name)} is {shorten(schema.field(name).type)}; a modality is a "
                "list of lists of numbers (frames), or a list of numbers (video level). Say which columns "
                "are modalities (`--modalities`)."
            )
    if not wanted:
        raise DataError(
            f"{path} has no column that is a modality: a list of lists of numbers, or a list of numbers."
        )
    return by_modality(wanted, str(path)), tuple(name for name in others if name not in wanted)


def _video(rows, row: int, where: str, names: dict[str, str], aside: tuple[str, ...]) -> Imported:
    def cell(name: str):
        return rows.column(name)[row] if name in rows.schema.names else None

    key = next(name for name in ID_NAMES if name in rows.schema.names)
    features = {}
    for modality, name in names.items():
        value = cell(name)
        if value.is_valid:
            features[modality] = _matrix(value, f"{where}, column {shorten(name)}")
    labels, part = cell(LABELS), cell(SPLIT)
    return Imported(
        id=video_id(cell(key).as_py(), where),
        labels=None if labels is None or not labels.is_valid else _labels(labels.as_py(), where),
        features=features,
        part=None if part is None else text(part.as_py(), where, SPLIT),
        where=where,
        left_aside=aside,
    )


def _matrix(value, where: str) -> np.ndarray:
    """A cell as an array: (frames, size) of a list of lists, (size,) of a list."""
    inner = value.values
    if not _lists(inner.type):
        return _plain(inner, where)
    if inner.null_count:
        raise DataError(f"{where}: a frame is null. Leave the frame out, or the video.")
    lengths = (
        set(inner.value_lengths().to_pylist()) if hasattr(inner, "value_lengths") else {inner.type.list_size}
    )
    if len(lengths) > 1:
        raise DataError(f"{where}: the frames differ in their number of values ({shorten(sorted(lengths))}).")
    return _plain(inner.flatten(), where).reshape(len(inner), lengths.pop() if lengths else 0)


def _plain(values, where: str) -> np.ndarray:
    if values.null_count:
        raise DataError(f"{where}: a value is null. Compute the features anew, or leave the video out.")
    return values.to_numpy(zero_copy_only=False)


def _labels(value: object, where: str) -> list[int] | list[str]:
    if isinstance(value, list) and not value:
        return []
    return labels_of(np.array(value), where)


def _lists(kind) -> bool:
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _numbers(kind) -> bool:
    import pyarrow as pa

    for _ in range(2):
        if _lists(kind):
            kind = kind.value_type
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)
