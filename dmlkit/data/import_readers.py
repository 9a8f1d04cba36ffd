"""Readers of features computed elsewhere: `.npz`, folders of `.npy`, parquet, MediaPipe's sequence examples.

Each yields one `ImportedVideo` after another. Nothing is ever unpickled.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from dmlkit.data.records import HEADER_BYTES, SequenceExample, is_header, read_records
from dmlkit.data.schema import modality_name
from dmlkit.errors import DataError, UsageError, shorten

ID_NAMES = ("id", "video_id")
# Arrays and columns that describe a video and are no modality.
DESCRIPTIVE = {*ID_NAMES, "ids", "labels", "num_frames", "split"}
MAX_DEPTH = 3
PARQUET_ROWS = 64
FRAMES, MEANS = "/feature/floats", "/context_feature/floats"
MEDIAPIPE_IDS = ("example/id", "clip/media_id", *ID_NAMES, "clip/data_path")
MEDIAPIPE_LABELS = ("clip/label/index", "labels", "clip/label/string")
# What numpy raises for a file that is cut, altered, of another format or larger than memory.
_DAMAGED = (OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, zipfile.BadZipFile, zlib.error)


class ImportedVideo(NamedTuple):
    """One video; `features` maps each modality to (frames, size), or (size,) at video level."""

    id: str
    labels: Sequence[int] | Sequence[str] | None  # None where the source has none
    features: Mapping[str, np.ndarray]
    split: str | None
    where: str  # file and record, for messages


Reader = Callable[[Path, Sequence[str] | None], Iterator[ImportedVideo]]


def read_sources(sources: Sequence[Path], wanted: Sequence[str] | None) -> Iterator[ImportedVideo]:
    """The videos of all sources, one after the other, files by name; `wanted` are modalities, None for all."""
    path = sources[0] if sources else Path()
    try:
        # All are listed before the first is read, so that a mistyped name is reported at once.
        for read, path in [pair for source in sources for pair in _expand(source)]:
            for video in read(path, wanted):
                yield video._replace(where=f"{path}, {video.where}" if video.where else str(path))
    except DataError as error:
        raise DataError(f"{path}: {error}".replace(f"{path}: {path}", str(path))) from error
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from error


def _expand(source: Path) -> list[tuple[Reader, Path]]:
    """The files (or folders read as a whole) of one source, each with its reader."""
    files = [source] if source.is_file() and source.suffix != ".npy" else _files(source, MAX_DEPTH + 1)
    found = [(READERS[path.suffix.lower()], path) for path in files if path.suffix.lower() in READERS]
    arrays = any(path.suffix == ".npy" for path in _files(source, 2))
    if bool(found) == arrays:
        held = "both .npy files and others" if found else "nothing that can be imported"
        known = ", ".join(READERS)
        raise DataError(f"{source} is or holds {held}. Give {known}, a folder of them, or one of .npy files.")
    return found or [(read_npy, source)]


def _files(folder: Path, depth: int) -> list[Path]:
    """The files of a folder, down to a depth, hidden ones aside, by name."""
    inside = {path: path.relative_to(folder).parts for path in sorted(folder.rglob("*")) if path.is_file()}
    return [p for p, parts in inside.items() if len(parts) <= depth and not any(x[0] == "." for x in parts)]


def read_npy(path: Path, wanted: Sequence[str] | None) -> Iterator[ImportedVideo]:
    """A folder of `.npy` files, one a video and modality."""
    files = [file for file in _files(path, 2) if file.suffix == ".npy"]
    folders = sorted({file.parent for file in files})
    if folders == [path]:
        if wanted is not None and len(wanted) != 1:
            raise UsageError(f"{path} is of one modality, but --modalities names {len(wanted)}.")
        modalities = {path: wanted[0] if wanted else "rgb"}
    elif path in folders:
        raise DataError(f"it holds both .npy files and folders of them ({folders[1].name}). Give one kind.")
    else:
        chosen = _by_modality({folder.name: folder for folder in folders}, wanted)
        modalities = {folder: name for name, folder in chosen.items()}
    videos: dict[str, dict[str, Path]] = {}
    for file in files:
        if file.parent in modalities:
            videos.setdefault(file.stem, {})[modalities[file.parent]] = file
    for video in sorted(videos):
        features = {name: _load(file) for name, file in videos[video].items()}
        yield ImportedVideo(video, None, features, None, f"{video}.npy")


def _load(path: Path):
    """The array of a `.npy`, mapped into memory, or the arrays of a `.npz` by name."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except _DAMAGED as error:
        raise DataError(
            f"{path.name} is damaged, or holds other than plain arrays ({shorten(error, 120)}). Pickles are not read. "
            "Save plain arrays; of videos of different lengths all frames in one, with num_frames."
        ) from error


def read_npz(path: Path, wanted: Sequence[str] | None) -> Iterator[ImportedVideo]:
    """An archive of one video, or of many."""
    arrays = _load(path)
    if not isinstance(arrays, dict):
        raise DataError("it is not an .npz archive. Save it with np.savez.")
    ids = next((arrays[name] for name in ("ids", *ID_NAMES) if name in arrays), np.array(path.stem))
    # A text or a single number describes a video; --modalities may insist.
    others = {name: array for name, array in arrays.items() if name not in DESCRIPTIVE}
    if not wanted:
        others = {name: each for name, each in others.items() if each.ndim and each.dtype.kind not in "USMm"}
    chosen = _by_modality(others, wanted)
    deepest = max((array.ndim for array in chosen.values()), default=0)
    if not chosen or (deepest > 2 and ids.ndim == 0):
        held = shorten(", ".join(f"{name} {array.shape}" for name, array in arrays.items()), 200) or "nothing"
        raise DataError(f"it holds no modality (frames, size) or (size,), or no ids of many videos: {held}.")
    labels, split = arrays.get("labels"), arrays.get("split")
    if ids.ndim == 0:
        # Among frames, a row of numbers is something else: timestamps, a mean.
        features = {name: array for name, array in chosen.items() if array.ndim == deepest}
        yield _video(ids, labels, features, split, "")
        return
    lengths = arrays.get("num_frames")
    if any(values is not None and len(values) != len(ids) for values in (labels, split, lengths)):
        raise DataError(f"labels, split and num_frames must hold one entry for each of the {len(ids):,} ids.")
    if lengths is not None and (lengths.dtype.kind not in "iu" or lengths.min(initial=0) < 0):
        raise DataError("array num_frames must hold whole numbers from 0.")
    features = {name: _divide(array, lengths, len(ids), name) for name, array in chosen.items()}
    if labels is not None and labels.ndim == 2:
        if not np.isin(labels, (0, 1)).all():
            raise DataError("array labels (N, classes) must hold 0 and 1 only.")
        labels = labels.astype(bool)
    for number, name in enumerate(ids):
        each = {modality: videos[number] for modality, videos in features.items()}
        of_video = [None if values is None else values[number] for values in (labels, split)]
        yield _video(name, of_video[0], each, of_video[1], f"video {number} (counted from 0)")


def _divide(array: np.ndarray, lengths: np.ndarray | None, videos: int, name: str) -> Sequence[np.ndarray]:
    """An array of many videos, video by video."""
    if lengths is None and array.ndim in (2, 3) and len(array) == videos:
        return array
    if lengths is not None and array.ndim == 2 and len(array) == lengths.sum():
        return np.split(array, np.cumsum(lengths)[:-1])
    if array.ndim == 3 and len(array) == videos and max(lengths, default=0) <= array.shape[1]:
        return [each[:end] for each, end in zip(array, lengths, strict=True)]
    raise DataError(
        f"array {name} must be (N, frames, size), (frames of all videos, size) with num_frames, or (N, size) at video "
        f"level, for N = {videos:,}. Received: {array.shape}. Say which arrays are modalities (`--modalities`)."
    )


def read_parquet(path: Path, wanted: Sequence[str] | None) -> Iterator[ImportedVideo]:
    """A table, a row a video; one row group is in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            key = next((name for name in ID_NAMES if name in schema.names), None)
            others = [name for name in schema.names if name not in DESCRIPTIVE]
            nested = {name: name for name in others if wanted or pa.types.is_nested(schema.field(name).type)}
            modalities = _by_modality(nested, wanted)
            if key is None or not modalities:
                raise DataError(
                    "it needs the column `id`, and for each modality lists of lists of numbers (frames), or lists of "
                    f"numbers (video level). Its columns: {shorten(', '.join(schema.names), 200) or 'none'}."
                )
            described = [name for name in (key, "labels", "split") if name in schema.names]
            for rows in file.iter_batches(PARQUET_ROWS, columns=[*described, *modalities.values()]):
                known = {name: rows.column(name).to_pylist() for name in described}
                arrays = {name: rows.column(each) for name, each in modalities.items()}
                cells = {name: array.to_numpy(zero_copy_only=False) for name, array in arrays.items()}
                for row in range(rows.num_rows):
                    where = f"row {number} (counted from 0)"
                    present = {name: column[row] for name, column in cells.items() if column[row] is not None}
                    features = {name: _frames(cell, f"{where}, {name}") for name, cell in present.items()}
                    labels, split = (
                        known[each][row] if each in known else None for each in ("labels", "split")
                    )
                    yield _video(known[key][row], labels, features, split, where)
                    number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"it cannot be read as parquet ({shorten(error, 200)}). Write it again.") from error


def _frames(rows, where: str) -> np.ndarray:
    """(frames, size) of a list of frames, (size,) of numbers."""
    array = np.asarray(rows)
    if array.dtype != object:
        return array
    try:
        return np.stack(array) if len(array) else np.empty((0, 1), np.float32)
    except ValueError as error:
        raise DataError(f"{where}: frames are missing or differ in their size ({error}).") from error


def read_mediapipe(path: Path, wanted: Sequence[str] | None) -> Iterator[ImportedVideo]:
    """SequenceExamples of MediaPipe's MediaSequence: a TFRecord, or one bare message whatever the file is called."""
    with path.open("rb") as file:
        framed = is_header(file.read(HEADER_BYTES))
    if framed:
        for number, record in enumerate(read_records(path)):
            yield _mediapipe_video(record, f"record {number} (counted from 0)", None, wanted)
    else:
        yield _mediapipe_video(path.read_bytes(), "", path.stem, wanted)


def _mediapipe_video(record: bytes, where: str, name: str | None, wanted) -> ImportedVideo:
    place = f"{where}: " if where else ""
    try:
        example = SequenceExample.FromString(record)
    except Exception as error:
        raise DataError(f"{place}it is no SequenceExample, or damaged ({shorten(error, 80)}).") from error
    lists, context = example.feature_lists.feature_list, example.context.feature
    # Sorted: a message's keys have no order.
    frames = [key for key in sorted(lists) if key.endswith(FRAMES) and lists[key].feature]
    keys = frames or [key for key in sorted(context) if key.endswith(MEANS)]
    if not keys:
        held = shorten(", ".join(sorted((*lists, *context))), 200)
        raise DataError(
            f"{place}it has no features of MediaPipe's (<MODALITY>{FRAMES}), but {held or 'nothing'}. YouTube-8M's own "
            "layout needs no import: give its folder to --data as it is."
        )
    features = {}
    for modality, key in _by_modality({key.partition("/")[0].lower(): key for key in keys}, wanted).items():
        if frames:
            rows = np.empty(len(lists[key].feature), object)
            rows[:] = [np.array(frame.float_list.value, np.float32) for frame in lists[key].feature]
            features[modality] = _frames(rows, f"{place}{key}")
        else:
            features[modality] = np.array(context[key].float_list.value, np.float32)
    described = [key for key in (*MEDIAPIPE_IDS, *MEDIAPIPE_LABELS) if key in context]
    texts = {key: context[key].bytes_list.value for key in described}
    key = next((key for key in MEDIAPIPE_IDS if texts.get(key)), None)
    if key is not None:
        name = texts[key][0].decode("utf-8", "replace")
    elif name is None:
        raise DataError(f"{place}it names no video: it has none of {', '.join(MEDIAPIPE_IDS)}.")
    if key == "clip/data_path":  # of any system
        name = PurePath(name.replace("\\", "/")).stem
    found = (context[key].int64_list.value or texts[key] for key in MEDIAPIPE_LABELS if key in context)
    return _video(name, next((list(values) for values in found if values), None), features, None, where)


def _by_modality(found: Mapping[str, object], wanted: Iterable[str] | None) -> dict[str, object]:
    """Those wanted under the modality's name: ``mean_rgb`` and ``rgb_embedding`` are both the modality rgb."""
    pairs = ((name, modality_name(name)) for name in found)
    names = {name: modality for name, modality in pairs if wanted is None or {name, modality} & {*wanted}}
    modality, count = Counter(names.values()).most_common(1)[0] if names else ("", 0)
    if count > 1:
        listed = shorten(", ".join(names))
        raise DataError(f"several of {listed} are the modality {modality} (`--modalities`).")
    return {modality: found[name] for name, modality in names.items()}


def _video(name, labels, features: dict, split, where: str) -> ImportedVideo:
    """A video out of what a source holds: numpy's, arrow's and protobuf's values."""
    name, split = (_plain(np.asarray(value)) if value is not None else None for value in (name, split))
    place = f"{where}: " if where else ""
    if isinstance(name, bool) or not isinstance(name, str | int) or not isinstance(split, str | None):
        raise DataError(f"{place}the id must be a text or a whole number, split a text: {name!r}, {split!r}.")
    if labels is not None:
        values = np.atleast_1d(labels)
        hot = values.ndim == 1 and values.dtype.kind == "b"
        labels = np.flatnonzero(values).tolist() if hot else [_plain(value) for value in values]
        if not all(isinstance(value, str | int) for value in labels):
            raise DataError(f"{place}labels must be whole numbers, names, or true and false: {values.dtype}.")
    return ImportedVideo(str(name), labels, features, split or None, where)


def _plain(value) -> object:
    """A Python value out of an array or a record."""
    value = value.item() if getattr(value, "size", 0) == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


# Ending of the file → reader; folders of `.npy` are recognised by what they hold.
READERS: dict[str, Reader] = {
    ".npz": read_npz,
    **dict.fromkeys((".parquet", ".pq"), read_parquet),
    **dict.fromkeys((".tfrecord", ".tfrecords", ".pb"), read_mediapipe),
}
