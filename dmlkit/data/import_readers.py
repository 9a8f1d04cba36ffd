"""Readers of features computed elsewhere: `.npz`, folders of `.npy`, parquet, MediaPipe's sequence examples.

Each yields one `ImportedVideo` after another. Nothing is ever unpickled.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from dmlkit.data.opening import split_of
from dmlkit.data.records import HEADER_BYTES, SequenceExample, is_header, read_records
from dmlkit.data.schema import modality_name
from dmlkit.errors import DataError, UsageError, counted, plain_text, shorten

# Arrays and columns that describe a video and are no modality; and other names of them, in sources and in tables.
DESCRIPTIVE = {"id", "labels", "num_frames", "split"}
ALIASES = {
    **dict.fromkeys(("ids", "video_id", "videoid", "clip_id", "youtube_id"), "id"),
    **dict.fromkeys(("label", "class", "classes", "class_name", "label_name"), "labels"),
    **dict.fromkeys(("subset", "partition"), "split"),
    **dict.fromkeys(("lengths", "n_frames"), "num_frames"),
}
# Words in names of files that are modalities: clip0_rgb.npy and clip0_flow.npy are of one video.
COMMON = {
    "rgb", "flow", "optflow", "opticalflow", "audio", "video", "visual", "image", "depth", "pose", "skeleton", "mel",
    "mfcc", "spectrogram", "vggish", "i3d", "c3d", "s3d", "r21d", "resnet", "inception", "slowfast",
}  # fmt: skip
MAX_DEPTH = 3
PARQUET_ROWS = 64
FRAMES, MEANS = "/feature/floats", "/context_feature/floats"
MEDIAPIPE_IDS = ("example/id", "clip/media_id", "id", "video_id", "clip/data_path")
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
    named: str | None = None  # the split that the names of its file and folders state


Reader = Callable[[Path, Sequence[str] | None, Counter], Iterator[ImportedVideo]]


def canonical(names: Collection[str], others: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """What arrays or columns are → their names: ``" Video ID"`` is the id; of `others` where nothing else is it."""
    keys = {name: re.sub("[ -]", "_", name.strip().lower()) for name in names}
    sure = {name: ALIASES.get(key, key if key in DESCRIPTIVE else name.strip()) for name, key in keys.items()}
    found: dict[str, str] = {}
    for name in names:
        kind = others.get(keys[name], sure[name])
        kind = sure[name] if kind in sure.values() else kind
        if kind in found:
            raise DataError(f"{found[kind]!r} and {name!r} are both {kind}. Rename or remove one.")
        found[kind] = name
    return found


def read_sources(
    sources: Sequence[Path], wanted: Sequence[str] | None, used: Container[str], aside: Counter
) -> Iterator[ImportedVideo]:
    """The videos of all sources, one after the other, files by name; `wanted` are modalities, None for all.

    Splits are read off the names of folders, and of files of many videos, below where the paths of the sources part.
    What is left aside is counted by kind in `aside`, but for files `used` otherwise.
    """
    path = sources[0] if sources else Path()
    try:
        # All are listed before the first is read, so that a mistyped name is reported at once.
        found = [pair for source in sources for pair in _expand(source, used, aside)]
        if _modalities_of({path: path.stem for read, path in found if read is not read_npy}, ()):
            raise DataError("there is a file a modality. Save those of a video in one, or .npy in folders.")
        root = os.path.commonpath(map(os.path.abspath, sources)) if sources else ""
        for read, path in found:
            inside = PurePath(os.path.relpath(path, root))
            names = inside.parts if path.is_dir() else (*inside.parts[:-1], inside.stem)
            for video in read(path, wanted, aside):
                many = path.is_dir() or video.where  # else the file's name is the video's
                named = video.named or _split_in(names if many else names[:-1])
                where = [video.where] if path.is_dir() else filter(None, [str(path), video.where])
                yield video._replace(where=", ".join(where), named=named)
    except DataError as error:
        raise DataError(f"{path}: {error}".replace(f"{path}: {path}", str(path))) from error
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from error


def _split_in(names: Sequence[str]) -> str | None:
    """The split that the innermost of some folders states."""
    return next(filter(None, map(split_of, reversed(names))), None)


def _files(source: Path) -> dict[Path, str]:
    """The files of a source that can be read, by name → their ending."""
    found = {}
    for path in [source] if source.is_file() else sorted(filter(Path.is_file, source.rglob("*"))):
        # Shards may be numbered after the ending: x.tfrecord-00000-of-00003.
        ending = re.sub(r"-\d+-of-\d+$", "", path.suffix.lower())
        inside = path.relative_to(source).parts
        shown = len(inside) <= MAX_DEPTH + 1 and not any(name[0] == "." for name in inside)
        if shown and (ending in READERS or (ending == ".npy" and path != source)):
            found[path] = ending
    return found


def _expand(source: Path, used: Container[str], aside: Counter) -> list[tuple[Reader, Path]]:
    """The files (or folders read as a whole) of one source, each with its reader."""
    files = _files(source)
    found = [(READERS[ending], path) for path, ending in files.items() if ending in READERS]
    if bool(found) == (".npy" in files.values()):
        held = "both .npy files and others" if found else "nothing that can be imported"
        known = ", ".join(READERS)
        raise DataError(f"{source} is or holds {held}. Give {known}, a folder of them, or one of .npy files.")
    for path in {*source.rglob("*")} - files.keys():
        if path.is_file() and os.path.abspath(path) not in used:
            hidden = any(name[0] == "." for name in path.relative_to(source).parts)
            aside["hidden files" if hidden else f"files {path.suffix or 'without ending'}"] += 1
    return found or [(read_npy, source)]


def read_npy(path: Path, wanted: Sequence[str] | None, aside: Counter) -> Iterator[ImportedVideo]:
    """A folder of `.npy` files, one a video and modality; folders may be splits, too."""
    inside = {file: file.relative_to(path).parts[:-1] for file in _files(path)}
    found = _layout(inside, wanted)
    chosen = _by_modality(dict.fromkeys(name for _, name in found.values()), wanted)
    names = {name: modality for modality, name in chosen.items()}
    videos: dict[str, dict[str, Path]] = {}
    for file, (video, name) in found.items():
        if name in names:
            others = videos.setdefault(video, {})
            other = others.get(names[name]) or next(iter(others.values()), file)
            if names[name] in others or _split_in(inside[file]) != _split_in(inside[other]):
                remedy = (
                    "Give each video an id of its own, and each modality and each split a folder of its own."
                )
                raise DataError(f"{file} and {other} are of one video, {video}. {remedy}")
            others[names[name]] = file
    fullest = max(videos.values(), key=len, default={})
    alike = len({_load(file).shape[-1:] for file in fullest.values()}) == 1
    if len(names) > 1 and alike and (len(fullest) == 1 or not (wanted or COMMON & chosen.keys())):
        raise DataError(
            f"are the folders {shorten(', '.join(names))} modalities? If so, give a video's files one name, and name "
            f"them (`--modalities {shorten(','.join(names))}`). Of classes, put the files into one folder, and the "
            "classes into a table (`--labels`)."
        )
    for video, of_video in sorted(videos.items()):
        features = {modality: _load(file) for modality, file in of_video.items()}
        first = next(iter(of_video.values()))
        yield ImportedVideo(video, None, features, None, str(first), _split_in(inside[first]))


def _layout(
    inside: Mapping[Path, Sequence[str]], wanted: Sequence[str] | None
) -> dict[Path, tuple[str, str]]:
    """File → id and modality, which a folder or the file's name is; `inside` are a file's folders in the source."""
    stems = {file: plain_text(file.stem) for file in inside}
    folders = {file: [name for name in names if not split_of(name)] for file, names in inside.items()}
    if all(len(names) == 1 for names in folders.values()):
        parts = {file: _part(stem, folders[file]) for file, stem in stems.items()}
        both = all(parts.values()) and len({*map(str, folders.values())}) > 1  # rgb/clip0_rgb.npy
        return {file: (parts[file][0] if both else stem, *folders[file]) for file, stem in stems.items()}
    if any(folders.values()):
        other = next(file for file, names in folders.items() if len(names) != 1)
        raise DataError(f"{other} is not in one folder of a modality, as others are. Give each modality one.")
    if found := _modalities_of(stems, wanted or ()):
        return found
    if wanted is None:
        _refuse_unclear(stems.values())
    elif len(wanted) != 1:
        raise UsageError(f"The files are of one modality, but --modalities names {len(wanted)}.")
    return {file: (stem, wanted[0] if wanted else "rgb") for file, stem in stems.items()}


def _modalities_of(stems: Mapping[Path, str], wanted: Sequence[str]) -> dict[Path, tuple[str, str]]:
    """File → id and modality, where names have words for modalities (clip0_rgb, clip0_flow); else empty."""
    found = {file: part for file, stem in stems.items() if (part := _part(stem, {*COMMON, *wanted}))}
    if max(Counter(video for video, _ in found.values()).values(), default=0) < 2:
        return {}
    if len(wanted) < 2 and (other := stems.keys() - found.keys()):
        raise DataError(
            f"{min(found).name} names a modality, {min(other).name} none. Give a folder a modality."
        )
    return found


def _refuse_unclear(stems: Collection[str]) -> None:
    """Refuse names as clip0_left, clip0_right, clip1_left, clip1_right: two videos, or four?"""
    parts = [match.groups() for stem in stems if (match := re.fullmatch(r"(.+)[\W_]([^\W_]+)\W?", stem))]
    videos, words = Counter(video for video, _ in parts), sorted({word for _, word in parts})
    whole = [video for video, count in videos.items() if count == len(words)]
    numbered = all(word[-1].isdigit() for word in words)
    if len(words) > 1 and not numbered and len(whole) > max(1, len(videos) / 2) and len(parts) == len(stems):
        raise DataError(
            f"its names are {counted(len(videos), 'video')} × {shorten(', '.join(words))}. Where these are modalities, "
            f"name them (`--modalities {','.join(words)}`); where each file is a video, name the one modality "
            "(`--modalities rgb`)."
        )


def _part(stem: str, words: Iterable[str]) -> tuple[str, str] | None:
    """The id and the modality in the name of a file, of some words: the one that ends it, else the first."""
    stem = re.sub(r"[\W_]+(feat|feature|embedding)s?$|^features?[\W_]+", "", stem, flags=re.IGNORECASE)
    known = "|".join(map(re.escape, words))
    found = [*re.finditer(rf"(?<![a-z])({known})(?![a-z0-9])", stem, re.IGNORECASE)]
    if not found:
        return None
    word = found[0] if stem[found[-1].end() :].strip(")]") else found[-1]
    before, after = stem[: word.start()], stem[word.end() :].lstrip(")]")
    # One separator: an id may end with another.
    video = re.sub(r"[\W_]$", "", before) + after if before else re.sub(r"^[\W_]", "", after)
    return (video, word[0].lower()) if video else None


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


def read_npz(path: Path, wanted: Sequence[str] | None, aside: Counter) -> Iterator[ImportedVideo]:
    """An archive of one video, or of many."""
    arrays = _load(path)
    if not isinstance(arrays, dict):
        raise DataError("it is not an .npz archive. Save it with np.savez.")
    arrays = {known: arrays[name] for known, name in canonical(arrays).items()}
    ids, others = arrays.get("id", np.array(path.stem)), [name for name in arrays if name not in DESCRIPTIVE]
    # A text or a single number describes a video; --modalities may insist.
    fit = [name for name in others if wanted or (arrays[name].ndim and arrays[name].dtype.kind not in "USMm")]
    chosen = {modality: arrays[name] for modality, name in _by_modality(fit, wanted).items()}
    deepest = max((array.ndim for array in chosen.values()), default=0)
    if ids.ndim == 0:  # among frames, a row of numbers is something else: timestamps, a mean
        chosen = {modality: array for modality, array in chosen.items() if array.ndim == deepest}
    aside.update(
        f"array {name}" for name in others if not any(arrays[name] is each for each in chosen.values())
    )
    if not chosen or (deepest > 2 and ids.ndim == 0):
        held = shorten(", ".join(f"{name} {array.shape}" for name, array in arrays.items()), 200) or "nothing"
        raise DataError(f"it holds no modality (frames, size) or (size,), or no ids of many videos: {held}.")
    labels, split = arrays.get("labels"), arrays.get("split")
    if ids.ndim == 0:
        yield _video(ids, labels, chosen, split, "")
        return
    lengths = arrays.get("num_frames")
    if any(values is not None and len(values) != len(ids) for values in (labels, split, lengths)):
        raise DataError(f"labels, split and num_frames must hold one entry for each of the {len(ids):,} ids.")
    if lengths is not None and (lengths.dtype.kind not in "iu" or lengths.min(initial=0) < 0):
        raise DataError("array num_frames must hold whole numbers from 0.")
    features = {name: _divide(array, lengths, len(ids), name) for name, array in chosen.items()}
    if labels is not None and labels.ndim == 2:
        if labels.shape[1] < 2 or labels.dtype.kind not in "buif" or not np.isin(labels, (0, 1)).all():
            raise DataError("array labels must be (N,), or (N, classes) of 0 and 1 for two classes or more.")
        labels = labels.astype(bool)
    for number, name in enumerate(ids):
        each = {modality: videos[number] for modality, videos in features.items()}
        of_video = [None if values is None else values[number] for values in (labels, split)]
        yield _video(name, of_video[0], each, of_video[1], f"video {number} (counted from 0)")


def _divide(array: np.ndarray, lengths: np.ndarray | None, videos: int, name: str) -> Sequence[np.ndarray]:
    """An array of many videos, video by video."""
    if lengths is None and array.ndim in (2, 3) and len(array) == videos:
        if array.ndim == 3 and array.shape[1] > 1 and not array[:, -1].any(axis=1).all():
            raise DataError(
                f"array {name} ends in zeros for some videos. Give num_frames (N,), how many are frames."
            )
        return array
    if lengths is not None and array.ndim == 2 and len(array) == lengths.sum():
        return np.split(array, np.cumsum(lengths)[:-1])
    if array.ndim == 3 and len(array) == videos and max(lengths, default=0) <= array.shape[1]:
        return [each[:end] for each, end in zip(array, lengths, strict=True)]
    raise DataError(
        f"array {name} must be (N, frames, size), (frames of all videos, size) with num_frames, or (N, size) at video "
        f"level, for N = {videos:,}. Received: {array.shape}. Say which arrays are modalities (`--modalities`)."
    )


def read_parquet(path: Path, wanted: Sequence[str] | None, aside: Counter) -> Iterator[ImportedVideo]:
    """A table, a row a video; one row group is in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            columns = canonical(schema.names)
            others = {
                name: schema.field(name).type for known, name in columns.items() if known not in DESCRIPTIVE
            }
            structs = {name for name, kind in others.items() if pa.types.is_struct(kind)}
            fit = [name for name, kind in others.items() if wanted or pa.types.is_nested(kind)]
            modalities = _by_modality([name for name in fit if name not in structs], wanted)
            aside.update(f"column {name}" for name in others if name not in modalities.values())
            if "id" not in columns or not modalities:
                raise DataError(
                    "it needs the column `id`, and for each modality lists of lists of numbers (frames), or lists of "
                    f"numbers (video level). Its columns: {shorten(', '.join(schema.names), 200) or 'none'}."
                )
            described = {each: columns[each] for each in ("id", "labels", "split") if each in columns}
            for rows in file.iter_batches(PARQUET_ROWS, columns=[*described.values(), *modalities.values()]):
                known = {each: rows.column(name).to_pylist() for each, name in described.items()}
                arrays = [rows.column(name).to_numpy(zero_copy_only=False) for name in modalities.values()]
                for row in range(rows.num_rows):
                    where = f"row {number} (counted from 0)"
                    cells = zip(modalities, (array[row] for array in arrays), strict=True)
                    features = {
                        name: _frames(cell, f"{where}, {name}") for name, cell in cells if cell is not None
                    }
                    about = {each: cells[row] for each, cells in known.items()}
                    yield _video(about["id"], about.get("labels"), features, about.get("split"), where)
                    number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"it cannot be read as parquet ({shorten(error, 200)}). Write it again.") from error


def _frames(rows, where: str) -> np.ndarray:
    """(frames, size) of a list of frames, (size,) of numbers."""
    try:
        array = np.asarray(rows)
        if array.dtype == object:
            array = np.stack(array) if len(array) else np.empty((0, 1), np.float32)
        return array
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: frames are missing or differ in their size ({error}).") from error


def read_mediapipe(path: Path, wanted: Sequence[str] | None, aside: Counter) -> Iterator[ImportedVideo]:
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
    keys = {key.partition("/")[0].lower(): key for key in keys}
    for modality, name_ in _by_modality(keys, wanted).items():
        key = keys[name_]
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


def _by_modality(names: Iterable[str], wanted: Iterable[str] | None) -> dict[str, str]:
    """Modality → name, of those wanted: ``mean_rgb`` and ``rgb_embedding`` are both the modality rgb."""
    found: dict[str, str] = {}
    for name in names:
        modality = modality_name(name)
        if wanted is None or {name, modality} & {*wanted}:
            if modality in found:
                raise DataError(
                    f"{found[modality]} and {name} are both the modality {modality} (`--modalities`)."
                )
            found[modality] = name
    return found


def _video(name, labels, features: dict, split, where: str) -> ImportedVideo:
    """A video out of what a source holds: numpy's, arrow's and protobuf's values."""
    name, split = (_plain(np.asarray(value)) if value is not None else None for value in (name, split))
    place = f"{where}: " if where else ""
    if isinstance(name, bool) or not isinstance(name, str | int) or not isinstance(split, str | None):
        raise DataError(f"{place}the id must be a text or a whole number, split a text: {name!r}, {split!r}.")
    if labels is not None:
        values = np.atleast_1d(labels)
        labels = [_plain(value) for value in values.tolist()]
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
