"""Readers of features computed elsewhere: `.npz`, folders of `.npy`, parquet, MediaPipe's sequence examples.

Each yields one `ImportedVideo` after another. Nothing is ever unpickled.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from dmlkit.data.opening import modality_name
from dmlkit.data.protos import SequenceExample
from dmlkit.data.records import HEADER_BYTES, is_header, read_records
from dmlkit.errors import DataError, UsageError
from dmlkit.text import shorten

ID_NAMES, COUNT_NAMES = ("id", "video_id"), ("num_frames", "nframes")
# Arrays and columns that describe a video and are no modality.
DESCRIPTIVE = {*ID_NAMES, *COUNT_NAMES, "ids", "labels", "num_labels", "offsets", "split"}
MAX_DEPTH = 3
MAX_MODALITIES = 32  # with more folders than that, somebody has a folder for each video
LARGEST_MESSAGE = 1 << 29
PARQUET_ROWS = 64
FRAMES, MEANS = "/feature/floats", "/context_feature/floats"
MEDIAPIPE_IDS = ("example/id", "clip/media_id", *ID_NAMES, "clip/data_path")
MEDIAPIPE_LABELS = ("clip/label/index", "labels", "clip/label/string")
# What numpy raises for a file that is cut, altered, of another format or larger than memory.
_DAMAGED = (OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, zipfile.BadZipFile, zlib.error)


class ImportedVideo(NamedTuple):
    """One video.

    Attributes:
        id: Its name.
        labels: Its classes, numbers or names; None where the source has none.
        features: Modality → (frames, size), or (size,) at video level.
        split: The split that the source puts it in; None where it does not.
        where: File and record, for messages.
        ignored: What else the source holds.
    """

    id: str
    labels: Sequence[int] | Sequence[str] | None
    features: Mapping[str, np.ndarray]
    split: str | None
    where: str
    ignored: tuple[str, ...] = ()


def read_sources(sources: Sequence[Path], wanted: Sequence[str] | None) -> Iterator[ImportedVideo]:
    """The videos of all sources, one source after the other, files by name.

    Args:
        sources: Files and folders.
        wanted: Modalities; None for all.

    Raises:
        DataError: A source is missing, of no known kind, or damaged.
        UsageError: Several modalities are asked of a folder that holds one.
    """
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


Reader = Callable[[Path, Sequence[str] | None], Iterator[ImportedVideo]]


def _expand(source: Path) -> list[tuple[Reader, Path]]:
    """The files (or folders read as a whole) of one source, each with its reader."""
    kinds = f"{', '.join(READERS)}, <modality>/<id>.npy"
    if not source.exists():
        raise DataError(f"There is no {source}. Give files or folders of features.")
    if source.suffix == ".npy" and source.is_file():
        raise DataError(f"{source} is one array; give the folder that holds the .npy files, one a video.")
    if source.is_file():
        if source.suffix.lower() not in READERS:
            raise DataError(f"{source} is of no kind that can be imported. There are: {kinds}.")
        return [(READERS[source.suffix.lower()], source)]
    found = [
        (READERS[path.suffix.lower()], path)
        for path in sorted(source.rglob("*"))
        if path.suffix.lower() in READERS
        and path.is_file()
        and len(inside := path.relative_to(source).parts) <= MAX_DEPTH + 1
        and not any(part.startswith(".") for part in inside)
    ]
    if not _arrays(source) and not _array_folders(source):
        if not found:
            raise DataError(f"{source} holds nothing that can be imported. Files that can: {kinds}.")
        return found
    if found:
        raise DataError(f"{source} holds .npy files and others ({found[0][1].name}). Give one kind.")
    return [(read_npy, source)]


def read_npy(path: Path, wanted: Sequence[str] | None) -> Iterator[ImportedVideo]:
    """A folder of `.npy` files, one a video and modality."""
    inner = _array_folders(path)
    if _arrays(path):
        if inner:
            raise DataError(f"it holds both .npy files and folders of them ({inner[0]}). Give one kind.")
        if wanted is not None and len(wanted) != 1:
            raise UsageError(
                f"{path} holds the .npy files of one modality, but --modalities names {len(wanted)}."
            )
        folders = {wanted[0] if wanted else "rgb": path}
    else:
        if len(inner) > MAX_MODALITIES and wanted is None:
            raise DataError(
                f"it holds {len(inner):,} folders of .npy files. Name the modalities (`--modalities`)."
            )
        chosen = _by_modality(name for name in inner if _is_wanted(name, wanted))
        folders = {name: path / folder for name, folder in chosen.items()}
        inner = [name for name in inner if name not in chosen.values()]
    videos: dict[str, dict[str, Path]] = {}
    for name, folder in folders.items():
        for file in _arrays(folder):
            videos.setdefault(file.stem, {})[name] = file
    for video in sorted(videos):
        features = {name: _load(file) for name, file in videos[video].items()}
        file = next(iter(videos[video].values()))
        yield ImportedVideo(video, None, features, None, str(file.relative_to(path)), tuple(inner))


def _arrays(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.npy") if not path.name.startswith(".") and path.is_file()]


def _array_folders(folder: Path) -> list[str]:
    entries = (entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_dir())
    return sorted(entry.name for entry in entries if _arrays(entry))


def _load(path: Path):
    """The array of a `.npy`, mapped into memory, or the arrays of a `.npz` by name."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except _DAMAGED as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path.name} holds Python objects, which only a pickle could restore, and pickles are not read: they "
                "can run code. Save plain arrays, e.g. np.savez(path, rgb=np.asarray(rgb, np.float32)); for videos of "
                "different lengths one file a video, or all frames in one array with num_frames."
            ) from error
        raise DataError(
            f"{path.name} is damaged, or no array in numpy's format ({shorten(error, 120)}). Save it again."
        ) from error


def read_npz(path: Path, wanted: Sequence[str] | None) -> Iterator[ImportedVideo]:
    """An archive of one video, or of many."""
    arrays = _load(path)
    if not isinstance(arrays, dict):
        raise DataError("it is not an .npz archive. Save it with np.savez.")
    ids = _first(arrays, ("ids", *ID_NAMES))
    many = ids is not None and arrays[ids].ndim == 1
    # A text or a single number describes a video; --modalities may insist.
    chosen = {
        name: array
        for name, array in arrays.items()
        if name not in DESCRIPTIVE
        and _is_wanted(name, wanted)
        and (wanted or (array.ndim and array.dtype.kind not in "USMm"))
    }
    deepest = max((array.ndim for array in chosen.values()), default=0)
    if not chosen or (deepest > 2 and not many):
        held = ", ".join(f"{shorten(name)} {array.shape}" for name, array in arrays.items())
        raise DataError(
            "it holds no modality: of one video, an array (frames, size) or (size,). To hold many videos it needs "
            f"`ids`. It holds: {held or 'nothing'}."
        )
    if many:
        yield from _many_videos(arrays, chosen, arrays[ids])
        return
    # Beside frames, a row of numbers is something else: timestamps, a mean.
    chosen = {name: array for name, array in chosen.items() if array.ndim == deepest}
    features = {name: chosen[key] for name, key in _by_modality(chosen).items()}
    count, longest = _first(arrays, COUNT_NAMES), max(map(len, features.values()))
    if count and deepest == 2 and arrays[count].tolist() not in (longest, [longest]):
        raise DataError(f"{count} is {shorten(arrays[count])}, but there are {longest} frames. Correct it.")
    name, ignored = (
        arrays[ids] if ids else path.stem,
        tuple(sorted(arrays.keys() - chosen.keys() - DESCRIPTIVE)),
    )
    yield _video(name, arrays.get("labels"), features, arrays.get("split"), "", ignored)


def _many_videos(arrays: dict, chosen: dict, ids: np.ndarray) -> Iterator[ImportedVideo]:
    def whole_numbers(name: str, size: int = len(ids)) -> np.ndarray:
        array = arrays[name]
        if array.dtype.kind not in "iu" or array.shape != (size,) or (array < 0).any():
            received = f"{array.dtype} {array.shape}, the lowest {array.min(initial=0)}"
            raise DataError(f"array {name} must be {size:,} whole numbers from 0. Received: {received}.")
        return array.astype(np.int64)

    count = _first(arrays, COUNT_NAMES)
    lengths = whole_numbers(count) if count else None
    if "offsets" in arrays:
        offsets = whole_numbers("offsets", len(ids) + 1)
        lengths = np.diff(offsets)
        if offsets[0] or (lengths < 0).any():
            raise DataError("array offsets must begin with 0 and never fall.")
    features = {
        name: _divide(chosen[key], lengths, len(ids), key) for name, key in _by_modality(chosen).items()
    }
    labels, splits = arrays.get("labels"), arrays.get("split")
    if labels is not None and "num_labels" in arrays:
        labels = _divide(labels, whole_numbers("num_labels"), len(ids), "labels")
    elif labels is not None and labels.ndim == 2:
        if labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all():
            raise DataError(f"array labels (N, classes) must hold 0 and 1 only. Received: {labels.dtype}.")
        labels = labels.astype(bool)
    for values, name in ((labels, "labels"), (splits, "split")):
        if values is not None and len(values) != len(ids):
            raise DataError(f"array {name} must hold one entry for each of the {len(ids):,} ids.")
    ignored = tuple(sorted(arrays.keys() - chosen.keys() - DESCRIPTIVE))
    for number, name in enumerate(ids):
        each = {modality: videos[number] for modality, videos in features.items()}
        label, split = (None if values is None else values[number] for values in (labels, splits))
        yield _video(name, label, each, split, f"video {number} (counted from 0)", ignored)


def _divide(array: np.ndarray, lengths: np.ndarray | None, videos: int, name: str) -> Sequence[np.ndarray]:
    """An array of many videos, video by video."""
    if (
        array.ndim == 3
        and len(array) == videos
        and (lengths is None or lengths.max(initial=0) <= array.shape[1])
    ):
        return array if lengths is None else [each[:end] for each, end in zip(array, lengths, strict=True)]
    if array.ndim in (1, 2) and lengths is not None and len(array) == lengths.sum():
        return np.split(array, np.cumsum(lengths)[:-1])
    if array.ndim == 2 and lengths is None and len(array) == videos:
        return array
    raise DataError(
        f"array {name} must be (N, frames, size), (frames of all videos, size) with num_frames, or (N, size) at video "
        f"level, for N = {videos:,}{'' if lengths is None else f' with {lengths.sum():,} in all'}. Received: "
        f"{array.shape}. Say which arrays are modalities (`--modalities`)."
    )


def read_parquet(path: Path, wanted: Sequence[str] | None) -> Iterator[ImportedVideo]:
    """A table, a row a video; one row group is in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            key = _first(schema.names, ID_NAMES)
            others = [name for name in schema.names if name not in (*ID_NAMES, "labels", "split")]
            nested = [name for name in others if pa.types.is_nested(schema.field(name).type)]
            chosen = [name for name in (others if wanted else nested) if _is_wanted(name, wanted)]
            if key is None or not chosen:
                columns = shorten(", ".join(f"{field.name} ({field.type})" for field in schema), 200)
                raise DataError(
                    "it needs the column `id`, and for each modality lists of lists of numbers (frames), or lists of "
                    f"numbers (video level). Its columns: {columns or 'none'}."
                )
            modalities, ignored = _by_modality(chosen), tuple(name for name in others if name not in chosen)
            described = [name for name in (key, "labels", "split") if name in schema.names]
            for rows in file.iter_batches(PARQUET_ROWS, columns=[*described, *chosen]):
                known = {name: rows.column(name).to_pylist() for name in described}
                cells = {
                    name: rows.column(key).to_numpy(zero_copy_only=False) for name, key in modalities.items()
                }
                for row in range(rows.num_rows):
                    where = f"row {number} (counted from 0)"
                    present = {name: column[row] for name, column in cells.items() if column[row] is not None}
                    features = {name: _frames(cell, f"{where}, {name}") for name, cell in present.items()}
                    labels, split = (
                        known[name][row] if name in known else None for name in ("labels", "split")
                    )
                    labels = None if labels is None else np.array(labels)
                    yield _video(known[key][row], labels, features, split, where, ignored)
                    number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"it cannot be read as parquet ({shorten(error, 200)}). Write it again.") from error


def _frames(rows, where: str) -> np.ndarray:
    """(frames, size) of a list of frames, (size,) of numbers."""
    array = np.asarray(rows)
    if array.dtype != object:
        return array
    try:
        return np.stack(array) if len(array) else np.empty((0, 0), np.float32)
    except ValueError as error:
        raise DataError(
            f"{where}: frames are missing or differ in their number of values ({error})."
        ) from error


def read_mediapipe(path: Path, wanted: Sequence[str] | None) -> Iterator[ImportedVideo]:
    """SequenceExamples of MediaPipe's MediaSequence.

    MediaPipe's YouTube-8M graph leaves one serialized message in a file, not a TFRecord, whatever the file is called.
    """
    with path.open("rb") as file:
        framed = is_header(file.read(HEADER_BYTES))
    if framed:
        for number, record in enumerate(read_records(path)):
            yield _mediapipe_video(record, f"record {number} (counted from 0)", None, wanted)
    elif path.stat().st_size > LARGEST_MESSAGE:
        raise DataError("it is neither a TFRecord nor small enough to be one SequenceExample.")
    else:
        yield _mediapipe_video(path.read_bytes(), "", path.stem, wanted)


def _mediapipe_video(
    record: bytes, where: str, name: str | bytes | None, wanted: Sequence[str] | None
) -> ImportedVideo:
    place = f"{where}: " if where else ""
    try:
        example = SequenceExample.FromString(record)
    except Exception as error:
        raise DataError(
            f"{place}it is no SequenceExample, or it is damaged ({shorten(error, 80)})."
        ) from error
    lists, context = example.feature_lists.feature_list, example.context.feature
    # Sorted: a message's keys have no order.
    frames = [key for key in sorted(lists) if key.endswith(FRAMES) and lists[key].feature]
    keys = frames or [key for key in sorted(context) if key.endswith(MEANS)]
    names = {key.removesuffix(FRAMES).removesuffix(MEANS).lower(): key for key in keys}
    if not names:
        advice = f"It has: {shorten(', '.join(sorted((*lists, *context))), 200) or 'nothing'}."
        if {"rgb", "audio", "audio_embedding", "mean_rgb", "mean_audio"} & {*lists, *context}:
            advice = (
                "This is YouTube-8M's own layout, which needs no import: give its folder to --data as it is."
            )
        raise DataError(f"{place}it has no features of MediaPipe's (<MODALITY>{FRAMES}). {advice}")
    features = {}
    for modality, key in names.items():
        if _is_wanted(modality, wanted) and frames:
            rows = np.empty(len(lists[key].feature), object)
            rows[:] = [np.array(frame.float_list.value, np.float32) for frame in lists[key].feature]
            features[modality] = _frames(rows, f"{place}{key}")
        elif _is_wanted(modality, wanted):
            features[modality] = np.array(context[key].float_list.value, np.float32)
    texts = {
        key: context[key].bytes_list.value for key in (*MEDIAPIPE_IDS, *MEDIAPIPE_LABELS) if key in context
    }
    key = next((key for key in MEDIAPIPE_IDS if texts.get(key)), None)
    if key is None and name is None:
        raise DataError(f"{place}it names no video: it has none of {', '.join(MEDIAPIPE_IDS)}.")
    if key is not None:
        name = texts[key][0].decode("utf-8", "replace")
        name = (
            PurePath(name.replace("\\", "/")).stem if key == "clip/data_path" else name
        )  # a path of any system
    found = (context[key].int64_list.value or texts[key] for key in MEDIAPIPE_LABELS if key in context)
    labels = next((np.array(values) for values in found if values), None)
    ignored = tuple(name for name in names if name not in features)
    return _video(name, labels, features, None, where, ignored)


def _is_wanted(name: str, wanted: Sequence[str] | None) -> bool:
    return wanted is None or name in wanted or modality_name(name) in wanted


def _by_modality(names: Iterable[str]) -> dict[str, str]:
    """Modality → the array's name: ``mean_rgb`` and ``rgb_embedding`` are both the modality rgb."""
    found: dict[str, str] = {}
    for name in names:
        if (other := found.setdefault(modality := modality_name(name), name)) != name:
            raise DataError(
                f"{other} and {shorten(name)} are both the modality {modality}. Name one (`--modalities`)."
            )
    return found


def _first(names: Iterable[str], candidates: Sequence[str]) -> str | None:
    return next((name for name in candidates if name in names), None)


def _video(name, labels, features: dict, split, where: str, ignored: tuple[str, ...]) -> ImportedVideo:
    """A video out of what a source holds: numpy's, arrow's and protobuf's values."""
    name, split, place = _plain(name), _plain(split), f"{where}: " if where else ""
    if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
        raise DataError(f"{place}the id must be a text or a whole number. Received: {shorten(repr(name))}.")
    if split is not None and not isinstance(split, str):
        raise DataError(f"{place}split must be a text. Received: {shorten(repr(split))}.")
    if labels is not None:
        values = np.atleast_1d(labels)
        hot = values.ndim == 1 and values.dtype.kind == "b"
        labels = np.flatnonzero(values).tolist() if hot else [_plain(value) for value in values]
        if values.ndim > 1 or not all(isinstance(value, str | int) for value in labels):
            received = f"{values.dtype} {values.shape}"
            raise DataError(
                f"{place}labels must be whole numbers, names, or true and false. Received: {received}."
            )
    return ImportedVideo(str(name), labels, features, split or None, where, ignored)


def _plain(value: object) -> object:
    """A Python value out of an array or a record."""
    if isinstance(value, np.generic | np.ndarray) and value.size == 1:
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


# Ending of the file → reader; folders of `.npy` are recognised by what they hold.
READERS: dict[str, Reader] = {
    ".npz": read_npz,
    **dict.fromkeys((".parquet", ".pq"), read_parquet),
    **dict.fromkeys((".tfrecord", ".tfrecords", ".pb"), read_mediapipe),
}
