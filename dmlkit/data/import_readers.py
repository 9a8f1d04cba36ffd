"""Features and labels computed elsewhere: a reader a format, the table of labels, the classes.

Each reader yields one `ImportedVideo` after another. Nothing is ever unpickled or evaluated.
"""

from __future__ import annotations

import ast
import csv
import json
import math
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from dmlkit.data.opening import open_dataset, split_of
from dmlkit.data.records import HEADER_BYTES, SequenceExample, is_header, read_records
from dmlkit.data.schema import SPLITS, TEXT, modality_name, read_vocabulary
from dmlkit.data.storage import is_folder, readable_path
from dmlkit.errors import DataError, UsageError, counted, nearest, plain_text, shorten

# Arrays and columns that describe a video and are no modality; and other names of them, in sources and in tables.
DESCRIPTIVE = {"id", "labels", "num_frames", "split"}
ALIASES = {
    **dict.fromkeys(("ids", "video_id", "videoid", "clip_id", "youtube_id"), "id"),
    **dict.fromkeys(("label", "class", "classes", "class_name", "label_name"), "labels"),
    **dict.fromkeys(("subset", "partition"), "split"),
    **dict.fromkeys(("lengths", "n_frames"), "num_frames"),
    TEXT: TEXT,
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
# Raised by numpy for a file that is cut, altered, of another format or larger than memory.
_DAMAGED = (OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, zipfile.BadZipFile, zlib.error)


class ImportedVideo(NamedTuple):
    """One video; `features` maps each modality to (frames, size), or (size,) at video level."""

    id: str
    labels: Sequence[int] | Sequence[str] | None  # None where the source has none
    features: Mapping[str, np.ndarray]
    split: str | None
    where: str  # file and record, for messages
    named: str | None = None  # the split that the names of its file and folders state


Wanted = Sequence[str] | None  # modalities; None for all
Videos = Iterator[ImportedVideo]
Reader = Callable[[Path, Wanted, Counter], Videos]


def canonical(names: Collection[str]) -> dict[str, str]:
    """Standard name → the name here: ``" Video ID"`` is the id."""
    found: dict[str, str] = {}
    for name in names:
        key = re.sub("[ -]", "_", name.strip().lower())
        kind = ALIASES.get(key, key if key in DESCRIPTIVE else name.strip())
        if kind in found:
            raise DataError(f"{found[kind]!r} and {name!r} are both {kind}. Rename or remove one.")
        found[kind] = name
    return found


def read_sources(sources: Sequence[Path], wanted: Wanted, used: Container[str], aside: Counter) -> Videos:
    """The videos of all sources, one after the other, files by name.

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
                named = video.named or split_in(names if many else names[:-1])
                where = [video.where] if path.is_dir() else filter(None, [str(path), video.where])
                yield video._replace(where=", ".join(where), named=named)
    except DataError as error:
        raise DataError(f"{path}: {error}".replace(f"{path}: {path}", str(path))) from error
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from error


def split_in(names: Sequence[str]) -> str | None:
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


def read_npy(path: Path, wanted: Wanted, aside: Counter) -> Videos:
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
            if names[name] in others or split_in(inside[file]) != split_in(inside[other]):
                remedy = "Give each video its own id, and each modality and each split its own folder."
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
        yield ImportedVideo(video, None, features, None, str(first), split_in(inside[first]))


def _layout(inside: Mapping[Path, Sequence[str]], wanted: Wanted) -> dict[Path, tuple[str, str]]:
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
        raise DataError(f"{min(found).name} names a modality, {min(other).name} none. Name one in all.")
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
        what = f"{path.name} is damaged, or holds other than plain arrays ({shorten(error, 120)})"
        advice = "Save plain arrays; of videos of different lengths all frames in one, with num_frames."
        raise DataError(f"{what}. Pickles are not read. {advice}") from error


def read_npz(path: Path, wanted: Wanted, aside: Counter) -> Videos:
    """An archive of one video, or of many."""
    arrays = _load(path)
    if not isinstance(arrays, dict):
        raise DataError("it is not an .npz archive. Save it with np.savez.")
    arrays = {known: arrays[name] for known, name in canonical(arrays).items()}
    ids, others = arrays.get("id", np.array(path.stem)), [name for name in arrays if name not in DESCRIPTIVE]
    # A text or a single number describes a video; --modalities may insist.
    fit = [name for name in others if wanted or (arrays[name].ndim and arrays[name].dtype.kind not in "USMm")]
    names = _by_modality(fit, wanted)
    deepest = max((arrays[name].ndim for name in names.values()), default=0)
    # Among frames, a row of numbers is something else: timestamps, a mean.
    chosen = {each: arrays[name] for each, name in names.items() if ids.ndim or arrays[name].ndim == deepest}
    aside.update(f"array {name}" for each, name in names.items() if each not in chosen)
    aside.update(f"array {name}" for name in others if name not in names.values())
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
            raise DataError(f"array {name} ends in zeros for some videos. Give num_frames (N,).")
        return array
    if lengths is not None and array.ndim == 2 and len(array) == lengths.sum():
        return np.split(array, np.cumsum(lengths)[:-1])
    if array.ndim == 3 and len(array) == videos and max(lengths, default=0) <= array.shape[1]:
        return [each[:end] for each, end in zip(array, lengths, strict=True)]
    raise DataError(
        f"array {name} must be (N, frames, size), (frames of all videos, size) with num_frames, or (N, size) at video "
        f"level, for N = {videos:,}. Received: {array.shape}. Say which arrays are modalities (`--modalities`)."
    )


def read_parquet(path: Path, wanted: Wanted, aside: Counter) -> Videos:
    """A table, a row a video; one row group is in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
            kinds = {field.name: field.type for field in file.schema_arrow}
            columns = canonical(file.schema_arrow.names)
            others = [name for known, name in columns.items() if known not in DESCRIPTIVE]
            lists = [name for name in others if wanted or pa.types.is_nested(kinds[name])]
            modalities = _by_modality((each for each in lists if not pa.types.is_struct(kinds[each])), wanted)
            aside.update(f"column {name}" for name in others if name not in modalities.values())
            if "id" not in columns or not modalities:
                raise DataError(
                    "it needs the column `id`, and for each modality lists of lists of numbers (frames), or lists of "
                    f"numbers (video level). Its columns: {shorten(', '.join(kinds), 200) or 'none'}."
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


def read_mediapipe(path: Path, wanted: Wanted, aside: Counter) -> Videos:
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
        advice = "YouTube-8M's own layout needs no import: give its folder to --data as it is."
        raise DataError(f"{place}it has no features (<MODALITY>{FRAMES}), but {held or 'nothing'}. {advice}")
    features = {}
    keys = {key.partition("/")[0].lower(): key for key in keys}
    for modality, name_ in _by_modality(keys, wanted).items():
        key = keys[name_]
        if frames:
            rows = [np.array(frame.float_list.value, np.float32) for frame in lists[key].feature]
            features[modality] = _frames(rows, f"{place}{key}")
        else:
            features[modality] = np.array(context[key].float_list.value, np.float32)
    # A key that a protobuf map lacks reads as empty.
    key = next((key for key in MEDIAPIPE_IDS if context[key].bytes_list.value), None)
    if key is not None:
        name = context[key].bytes_list.value[0].decode("utf-8", "replace")
    elif name is None:
        raise DataError(f"{place}it names no video: it has none of {', '.join(MEDIAPIPE_IDS)}.")
    if key == "clip/data_path":  # of any system
        name = PurePath(name.replace("\\", "/")).stem
    entries = map(context.__getitem__, MEDIAPIPE_LABELS)
    found = (list(each.int64_list.value or each.bytes_list.value) for each in entries)
    return _video(name, next(filter(None, found), None), features, None, where)


def _by_modality(names: Iterable[str], wanted: Iterable[str] | None) -> dict[str, str]:
    """Modality → name, of those wanted: ``mean_rgb`` and ``rgb_embedding`` are both the modality rgb."""
    found: dict[str, str] = {}
    for name in names:
        modality = modality_name(name)
        if wanted is not None and not {name, modality} & {*wanted}:
            continue
        if (other := found.setdefault(modality, name)) != name:
            raise DataError(f"{other} and {name} are both the modality {modality} (`--modalities`).")
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


# Labels.

COLUMNS = ("id", "labels", "split", TEXT)  # of the table
_HOT = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
_INDEX = re.compile(r"[0-9]{1,9}", re.ASCII)
# Other numbers than indices, also within a text ("Dog 0.9"), and missing values are no names.
_NO_NAME = re.compile(r"[-+.]?\d[\d.e+-]*|nan|null|<na>|#?n/?a|(.*[\s:=])?-?\d*\.\d+([\s:=].*)?", re.I | re.A)
# One entry of a list: a text in quotation marks or a whole number, perhaps of numpy's: `np.int64(3)`.
_ENTRY = re.compile(r"""(?:np\.\w+\()?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+)\)?(?:[\s,]+|$)""")


class Table(NamedTuple):
    """A CSV about videos: those of `COLUMNS` that it has → id → the distinct cells of that video.

    `classes` are the names of its columns of 0 and 1, `aside` those of the columns that are not used.
    """

    cells: Mapping[str, Mapping[str, list[str]]]
    classes: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()


def read_labels(path: Path) -> Table:
    """Read a CSV about videos, separated by commas, semicolons, tabs or bars, as its first line shows."""
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
        options = {"header": None, "dtype": str, "keep_default_na": False, "skipinitialspace": True}
        table = pd.read_csv(path, sep=max(",;\t|", key=first.count), encoding="utf-8-sig", **options)
        table = table.fillna("").map(str.strip)
        return _table(table.loc[:, (table != "").any()])
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (OSError, ValueError, csv.Error) as error:  # pandas' own errors are ValueErrors
        advice = "Save it as UTF-8, with quotes around cells that hold a separator."
        raise DataError(f"{path} cannot be read as a table: {shorten(error, 120)}. {advice}") from error


def _table(table) -> Table:
    """The table in a data frame of texts whose first row is its header."""
    names = canonical([plain_text(name) or "(no name)" for name in table.iloc[0]])
    table = table.iloc[1:].set_axis([*names], axis="columns")
    others = [name for name in table if name not in COLUMNS]
    for name in others if "split" not in names else ():
        cells = {*map(str.lower, table[name])} - {""}
        splits = {split_of(cell, alone=True) for cell in cells}
        if (splits and None not in splits) or (split_of(name) and cells <= {*_HOT}):
            wanted = f"Write one column `split`, of {', '.join(SPLITS)}."
            raise DataError(f"the column {shorten(name)} seems to state splits. {wanted}")
    hot = table[[]] if "labels" in names else _hot_columns(table[others])
    columns = [name for name in COLUMNS if name in table]
    if "id" not in columns or len(columns) + len(hot.columns) < 2:
        wanted = "the column id, and labels, split or text, or two columns or more of 0 and 1"
        raise DataError(f"it needs {wanted}. It has {shorten(', '.join(names), 80)}.")
    videos = table["id"].map(plain_text).to_numpy()
    if (empty := videos == "").any():
        raise DataError(f"row {int(empty.argmax()) + 1} below the first line has no id.")
    cells = {name: table[name].map(plain_text).groupby(videos).unique() for name in columns}
    cells = {name: {video: [*filter(None, each)] for video, each in cells[name].items()} for name in columns}
    if len(hot.columns):
        of_video = hot.groupby(videos).any()
        rows = zip(of_video.index, of_video.to_numpy(), strict=True)
        cells["labels"] = {video: [*compress(hot.columns, row)] for video, row in rows}
    return Table(cells, (*hot,), tuple(name for name in others if name not in hot))


def _hot_columns(table):
    """The columns of 0 and 1, one a class, as booleans, where there are two or more."""
    import pandas as pd

    bits = {name: column.str.lower().map(_HOT) for name, column in table.items()}
    hot = [name for name, column in bits.items() if column.notna().all()]
    for name in table.columns.difference(hot) if len(table.columns) > 1 else ():
        wrong = table[name][bits[name].isna()]
        if (pd.to_numeric(wrong, errors="coerce").between(0, 1) | (wrong == "")).all():
            example = f"{shorten(name)} holds {shorten(wrong.iloc[0])!r}"
            raise DataError(f"{example}, a class's column 0 or 1 in every row. Correct or remove the column.")
    return pd.DataFrame({name: bits[name].astype(bool) for name in hot if len(hot) > 1}, index=table.index)


class Classes:
    """The classes: index → name where there are names, and how many (None: as the labels show); `source` names them."""

    def __init__(self, names: Mapping[int, str], num_classes: int | None, source):
        self.names = {index: plain_text(name) for index, name in names.items()}
        self.num_classes, self.source, self.used = num_classes, source, set()
        self._indices = {name: index for index, name in self.names.items()}
        self._repeated = {name for name, count in Counter(self.names.values()).items() if count > 1}
        self._pairs: set[tuple[int, ...]] = set()  # what two labels the videos have, where they are 0 and 1

    @property
    def count(self) -> int:
        """How many classes there are."""
        return max(self.used, default=-1) + 1 if self.num_classes is None else self.num_classes

    def indices(self, labels: Iterable[int | str]) -> list[int]:
        """A video's classes, each once, of indices, texts (`split`; names or else indices) or booleans, one a class."""
        split = (self.split(plain_text(each)) if isinstance(each, str) else [each] for each in labels)
        pieces = [*chain.from_iterable(split)]
        if pieces and all(isinstance(piece, bool) for piece in pieces):
            self.num_classes = self.num_classes or len(pieces)
            if len(pieces) != self.num_classes:
                raise DataError(f"true and false are of {len(pieces)} classes, not of {self.num_classes}.")
            pieces = [*compress(range(len(pieces)), pieces)]
        classes = [self._index(piece) for piece in pieces]
        if {*map(str, pieces)} <= {"0", "1"}:
            if len({*classes}) < len(classes):
                what = f"labels {shorten(', '.join(map(str, pieces)))} repeat, as a vector of 0 and 1 does"
                advice = "Give the numbers of its ones (`np.flatnonzero`), or booleans (`.astype(bool)`)."
                raise DataError(f"{what}. {advice}")
            self._pairs.add(tuple(classes) if len(classes) == 2 else ())
        self.used.update(classes)
        return list(dict.fromkeys(classes))

    def check(self) -> None:
        """Raise `DataError` where all labels seen were 0 and 1 in either order: vectors over two classes."""
        if self._pairs == {(0, 1), (1, 0)}:
            raise DataError("all labels look like vectors over two classes. Give class numbers.")

    def notes(self) -> Iterator[str]:
        """How many classes there are, and their first names."""
        first = shorten(", ".join([*self.names.values()][:20]), 100)
        listed = f": {first}" if self.names else ", by their numbers"
        highest = ", up to the highest label" if self.num_classes is None else ""
        yield f"{counted(self.count, 'class', 'classes')}{listed}{highest}."
        if self.used and (unseen := self.count - len(self.used)):
            yield f"Of no video here: {counted(unseen, 'class', 'classes')}."

    def split(self, cell: str) -> list[int | str]:
        """The labels in a cell: a name; a list of JSON's, Python's or numpy's; or labels between semicolons or bars.

        Between these, commas and blanks separate numbers, and commas names, but for those within a name.
        """
        if cell in self._indices:
            return [cell]
        if (listed := listed_labels(cell)) is not None:
            return listed
        found: list[str] = []
        for piece in _pieces(cell):
            numbers = None if piece in self._indices else _numbers(piece)
            words = piece.split(",") if numbers is None else []
            while words:  # the longest name first
                texts = [",".join(words[:end]).strip() for end in range(1, len(words) + 1)]
                end = next((end for end in range(len(words), 1, -1) if texts[end - 1] in self._indices), 1)
                found.append(texts[end - 1])
                words = words[end:]
            found += numbers or []
        return [*filter(None, found)]

    def _index(self, label: int | str) -> int:
        if label in self._repeated:
            raise DataError(f"{shorten(label)!r} may be several classes. Write class indices instead.")
        index = self._indices.get(label)
        if index is None and (isinstance(label, int) or _INDEX.fullmatch(label)):
            index = int(label)
        if index is None:
            hint = nearest(label, self._indices) if self.names else " Give the names (`--classes FILE`)."
            raise DataError(f"no class {shorten(label)!r} in {self.source or 'class indices'}.{hint}")
        if index < 0 or index >= (self.num_classes or math.inf):
            valid = "counted from 0" if self.num_classes is None else f"0 to {self.num_classes - 1}"
            raise DataError(f"there is no class {index}, they are {valid}. Correct one of them.")
        return index


def _pieces(cell: str) -> list[str]:
    """What is between the semicolons and bars of a cell."""
    return [*filter(None, (piece.strip(", ") for piece in re.split("[;|]", cell)))]


def _numbers(piece: str) -> list[str] | None:
    """The class numbers between commas and blanks, where all are numbers."""
    numbers = re.split(r"[,\s]+", piece)
    return numbers if all(map(_INDEX.fullmatch, numbers)) else None


def listed_labels(cell: str) -> list[int | str] | None:
    """The whole numbers and quoted texts of a cell that is a list of JSON's, Python's or numpy's; None for another."""
    called = re.fullmatch(r"(?:array|tensor|set|frozenset)\((.*?)(?:, dtype=.*)?\)", cell)
    cell = (called[1].strip() or "[]") if called else cell
    if not re.fullmatch(r"\[.*\]|\{.*\}|\(.*\)", cell):
        return None
    labels, rest = [], cell[1:-1].strip()
    try:
        while rest:
            entry = _ENTRY.match(rest)
            read = json.loads if entry[1][0] == '"' else ast.literal_eval if entry[1][0] == "'" else int
            labels.append(read(entry[1]))
            rest = rest[entry.end() :]
    except (TypeError, ValueError, SyntaxError) as error:
        if cell[0] == "(":
            return None  # a name in brackets
        what = f"{shorten(cell)!r} is no whole list of class numbers or names. Use semicolons."
        raise DataError(what) from error
    return [plain_text(each) if isinstance(each, str) else each for each in labels]


def find_classes(given, num_classes: int | None, table: Table, source) -> Classes:
    """The classes of a vocabulary's table, a file of one name a line, a data set, or names; else those of `table`."""
    path = readable_path(given) if isinstance(given, str | os.PathLike) else None
    if given is not None and path is None:
        names, source = given, "the classes given"
    elif path is not None and is_folder(path):
        dataset = open_dataset(path)
        if num_classes not in (None, dataset.num_classes):
            raise UsageError(f"{path} has {dataset.num_classes} classes, --num-classes is {num_classes}.")
        names, num_classes = dataset.class_names if dataset.named else (), dataset.num_classes
    elif path is not None and path.lower().endswith(".csv"):
        names = read_vocabulary(path).names
    elif path is not None:
        try:
            names = Path(path).read_text(encoding="utf-8-sig").rstrip().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as text ({shorten(error)}).") from error
        if not names:
            raise DataError(f"{path} names no class. Give one name a line, class 0 first.")
    else:
        cells = {cell for cells in table.cells.get("labels", {}).values() for cell in cells}
        try:
            names = table.classes or sorted(_names_in(cells))
        except DataError as error:
            raise DataError(f"{source}: {error}") from None
    names = names if isinstance(names, Mapping) else dict(enumerate(names))
    named, source = max(names, default=-1) + 1, path or source
    if num_classes is not None and num_classes < max(named, 1):
        raise UsageError(f"{source or 'Nothing'} names {named} classes, --num-classes is {num_classes}.")
    return Classes(names, num_classes or named or None, source)


def _names_in(cells: Iterable[str]) -> set[str]:
    """The names in the cells of a table; none where all labels are numbers."""
    listed = {cell: listed_labels(cell) for cell in cells}
    sure = {str(label) for labels in listed.values() for label in labels or ()}
    loose = {piece for cell, labels in listed.items() if labels is None for piece in _pieces(cell)}
    numbers = {number for piece in sure | loose for number in _numbers(piece) or ()}
    several = any(labels is not None or re.search("[;|]", cell) for cell, labels in listed.items())
    names = (sure - numbers) | _divided({piece for piece in loose if not _numbers(piece)}, sure, several)
    if wrong := [piece for piece in sorted(names | numbers) if names and _NO_NAME.fullmatch(piece)]:
        advice = "Write all as one or the other, or give the names (`--classes FILE`)."
        what = f"the label {shorten(wrong[0])!r} is neither a name among names nor a number among numbers"
        raise DataError(f"{what}. {advice}")
    if all(re.fullmatch("[01]{2,}", number) for number in numbers) and min(numbers, default="1")[0] == "0":
        raise DataError(f"{min(numbers)!r} may be a row of 0 and 1. Separate these, or give class numbers.")
    return names


def _divided(names: set[str], sure: set[str], several: bool) -> set[str]:
    """The names in some texts, several of them between commas, where that is clear; `sure` are the names in lists.

    It is clear where no comma is followed by a blank, or each part is also a text of its own or part of another; not
    where parts between other signs, or words, are such. `several` shows that another separator is used.
    """
    for separator in (",", r"[^\w\s]| and ", r"\s"):
        parts = {name: {*map(str.strip, re.split(separator, name))} - {""} for name in names}
        combined = {name: each for name, each in parts.items() if len(each) > 1}
        alone = sure.union(*(each for each in parts.values() if len(each) == 1))
        places = Counter(part for each in combined.values() for part in each)
        clear = all(part in alone or count > 1 for part, count in places.items())
        unclear = clear or any(each <= alone for each in combined.values())
        if separator == "," and not several:
            if clear or ", " not in "".join(combined):
                names = (names - combined.keys()) | places.keys()
                continue
            unclear = True
        if combined and unclear and (separator == "," or not several):
            remedy = "Separate labels by semicolons, or give the names of the classes (`--classes FILE`)."
            raise DataError(f"{shorten(min(combined))!r} may be one class or several. {remedy}")
    return names


def find_split(text: str) -> str:
    """The split that a text names, as ``"Validation"`` or ``"val"``; raises `DataError` where it is none."""
    if split := split_of(text.strip(), alone=True):
        return split
    raise DataError(f"{shorten(text)!r} is no split.{nearest(text, SPLITS)} Known: {', '.join(SPLITS)}.")
