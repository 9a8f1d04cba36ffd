"""`.npz`: one video, or many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dmlkit.data.importing.arrays import Archive, Stream, opened_archive
from dmlkit.data.importing.imported import (
    COUNT_NAMES,
    ID_NAMES,
    LABELS,
    SPLIT,
    Choice,
    Imported,
    by_modality,
    hot,
    labels_of,
    stem,
    text,
    video_id,
)
from dmlkit.errors import DataError
from dmlkit.text import shorten

IDS, OFFSETS, LABEL_COUNTS = "ids", "offsets", "num_labels"
_SAID = {*ID_NAMES, *COUNT_NAMES, LABELS, SPLIT, IDS, OFFSETS, LABEL_COUNTS}


def read_npz(path: Path, choice: Choice) -> Iterator[Imported]:
    """The videos of one archive.

    Raises:
        DataError: It is damaged, or its arrays do not fit together.
    """
    with opened_archive(path) as archive:
        names = _first(archive, (IDS, *ID_NAMES))
        if names and archive.stream(names).ndim == 1:
            yield from _many(archive, path, choice, archive.stream(names).whole())
        else:
            yield _one(archive, path, choice, names)


def _one(archive: Archive, path: Path, choice: Choice, names: str | None) -> Imported:
    where = str(path)
    streams = _candidates(archive, choice)
    deepest = max((stream.ndim for stream in streams.values()), default=0)
    if deepest not in (1, 2):
        held = ", ".join(f"{shorten(name)} {archive.stream(name).shape}" for name in archive.names)
        raise DataError(
            f"{where} holds no modality: of one video, an array (frames, size) or (size,). To hold many "
            f"videos it needs `ids`. It holds: {held or 'nothing'}."
        )
    # Beside frames, a row of numbers is something else: times, a mean.
    aside = [name for name, stream in streams.items() if stream.ndim != deepest]
    names_of = by_modality((name for name in streams if name not in aside), where)
    features = {modality: streams[name].whole() for modality, name in names_of.items()}
    counts = _first(archive, COUNT_NAMES)
    if counts and deepest == 2:
        _hold_against(archive.stream(counts).whole(), features, where, counts)
    return Imported(
        id=video_id(archive.stream(names).whole(), where) if names else stem(path),
        labels=labels_of(archive.stream(LABELS).whole(), where) if LABELS in archive.names else None,
        features=features,
        part=text(archive.stream(SPLIT).whole(), where, SPLIT) if SPLIT in archive.names else None,
        where=where,
        left_aside=(*aside, *_others(archive, streams)),
    )


def _hold_against(count: np.ndarray, features: dict[str, np.ndarray], where: str, name: str) -> None:
    longest = max(len(matrix) for matrix in features.values())
    if count.size != 1 or int(count.item()) != longest:
        raise DataError(
            f"{where}: {name} is {shorten(count)}, but the frames are {longest}. Correct it, or leave it out."
        )


def _many(archive: Archive, path: Path, choice: Choice, ids: np.ndarray) -> Iterator[Imported]:
    counts = _counts(archive, path, len(ids))
    streams = _candidates(archive, choice)
    names_of = by_modality(streams, str(path))
    if not names_of:
        raise DataError(f"{path} holds ids, but no modality. Its arrays: {', '.join(archive.names)}.")
    how = {
        modality: _cut(streams[name], f"{path}, array {name}", len(ids), counts)
        for modality, name in names_of.items()
    }
    labels = _labels(archive, path, len(ids))
    parts = archive.stream(SPLIT).whole() if SPLIT in archive.names else None
    _as_many(parts, len(ids), f"{path}, array {SPLIT}")
    aside = _others(archive, streams)
    for number, name in enumerate(ids):
        where = f"{path}, video {number} (counted from 0)"
        yield Imported(
            id=video_id(name, where),
            labels=next(labels) if labels else None,
            features={modality: next(videos) for modality, videos in how.items()},
            part=None if parts is None else text(parts[number], where, SPLIT),
            where=where,
            left_aside=aside,
        )


def _counts(archive: Archive, path: Path, videos: int) -> np.ndarray | None:
    """How many frames each video has, where the archive says so."""
    if OFFSETS in archive.names:
        name, counts = OFFSETS, archive.stream(OFFSETS).whole()
        _whole(counts, f"{path}, array {OFFSETS}")
        if counts.shape != (videos + 1,) or counts[0] != 0:
            raise DataError(
                f"{path}, array {OFFSETS} must be where each video begins and where the last one ends, "
                f"({videos + 1},) from 0. Received: {counts.shape}."
            )
        counts = np.diff(counts.astype(np.int64))
    elif name := _first(archive, COUNT_NAMES):
        counts = archive.stream(name).whole()
        _whole(counts, f"{path}, array {name}")
        _as_many(counts, videos, f"{path}, array {name}")
        counts = counts.astype(np.int64)
    else:
        return None
    if (counts < 0).any():
        raise DataError(f"{path}, array {name}: video {int(np.argmax(counts < 0))} has fewer than 0 frames.")
    return counts


def _cut(stream: Stream, where: str, videos: int, counts: np.ndarray | None) -> Iterator[np.ndarray]:
    """Video by video what an array of many holds."""
    if stream.ndim == 3:
        _as_many(stream, videos, where)
        if counts is not None and (counts > stream.shape[1]).any():
            raise DataError(
                f"{where}: video {int(np.argmax(counts > stream.shape[1]))} is said to have more frames "
                f"than the {stream.shape[1]} there are."
            )
        lengths = counts if counts is not None else np.full(videos, stream.shape[1])
        return (stream.take(1)[0, :length] for length in lengths.tolist())
    if stream.ndim == 2 and counts is not None:
        if stream.shape[0] != int(counts.sum()):
            raise DataError(
                f"{where} has {stream.shape[0]:,} frames, but the videos' frames add up to "
                f"{int(counts.sum()):,}. Correct num_frames or offsets, or leave them out at video level."
            )
        return (stream.take(length) for length in counts.tolist())
    if stream.ndim == 2:
        _as_many(stream, videos, where)
        return (stream.take(1)[0] for _ in range(videos))
    raise DataError(
        f"{where} must be (N, frames, size), (frames of all videos, size) with num_frames, or (N, size) at "
        f"video level. Received: {stream.shape}. Say which arrays are modalities (`--modalities`)."
    )


def _labels(archive: Archive, path: Path, videos: int) -> Iterator[list[int] | list[str]] | None:
    if LABELS not in archive.names:
        return None
    stream, where = archive.stream(LABELS), f"{path}, array {LABELS}"
    if stream.ndim == 2:
        _as_many(stream, videos, where)
        return (hot(stream.take(1)[0], f"{where}, video {number}") for number in range(videos))
    values = stream.whole()
    if LABEL_COUNTS not in archive.names:
        _as_many(values, videos, where)
        return (labels_of(value, where) for value in values)
    counts = archive.stream(LABEL_COUNTS).whole()
    _whole(counts, f"{path}, array {LABEL_COUNTS}")
    _as_many(counts, videos, f"{path}, array {LABEL_COUNTS}")
    ends = np.cumsum(counts.astype(np.int64))
    if (counts < 0).any() or values.shape != (int(ends[-1]) if len(ends) else 0,):
        raise DataError(
            f"{where}: {LABEL_COUNTS} adds up to {counts.sum()}, but the labels are {values.shape}."
        )
    return (
        labels_of(values[end - count : end], where)
        for end, count in zip(ends.tolist(), counts.tolist(), strict=True)
    )


def _candidates(archive: Archive, choice: Choice) -> dict[str, Stream]:
    streams = {}
    for name in archive.names:
        if name not in _SAID and choice.takes(name):
            stream = archive.stream(name)
            # A text or a single number is something said of the video; --modalities may insist.
            if choice.names or (stream.ndim and stream.dtype.kind not in "USMm"):
                streams[name] = stream
    return streams


def _others(archive: Archive, streams: dict[str, Stream]) -> tuple[str, ...]:
    return tuple(name for name in archive.names if name not in _SAID and name not in streams)


def _first(archive: Archive, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in archive.names), None)


def _as_many(array: np.ndarray | Stream | None, videos: int, where: str) -> None:
    if array is not None and array.shape[:1] != (videos,):
        raise DataError(
            f"{where} must hold one entry for each of the {videos:,} ids. Received: {array.shape}."
        )


def _whole(array: np.ndarray, where: str) -> None:
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise DataError(f"{where} must be whole numbers, (N,). Received: {array.dtype} {array.shape}.")
