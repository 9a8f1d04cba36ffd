"""Your own features into shards in YouTube-8M's layout; `dmlkit data import --help` shows this text too.

What a source may be (several may be given; of a folder, every such file in it, down to 3 folders deep):

FILE.npz, one video: an array for each modality, (frames, size), or (size,) at video level. With them, where
there are any: `id` (else the file's name), `labels`, `split`.

FILE.npz, many videos: `ids` (N,). Each modality (frames of all videos, size) with `num_frames` (N,); or
(N, frames, size), of which `num_frames` are kept; or (N, size) at video level. Where there are any: `labels` (N,), or
(N, classes) of 0 and 1; `split` (N,).

FOLDER/<modality>/<id>.npy, (frames, size) or (size,); FOLDER/<id>.npy for one modality, called rgb or by
`--modalities`.

FILE.parquet: columns `id`, `labels` (a list, or one), `split`, and one for each modality: a list of lists a video,
or a list at video level. Damage is certain to be found only where the table was written with page checksums.

FILE.tfrecord, FILE.pb: SequenceExamples of MediaPipe's MediaSequence, many to a TFRecord or one to a file, as its
YouTube-8M graph leaves them. `RGB/feature/floats` is the modality rgb, `AUDIO/feature/floats` audio, and so on
(`.../context_feature/floats` at video level); the id is `example/id`, `clip/media_id`, or the name of the video
file in `clip/data_path`; the labels are `clip/label/index`, or `clip/label/string`.

Values: uint8 is taken for YouTube-8M's bytes and kept as it is; floats are coded as such bytes (values outside
[-2, 2] are clipped and counted), or kept with `--coding float`. Labels are class indices, or names with
`--classes`. Pickles are never read.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from tqdm import tqdm

import dmlkit.data.schema as schema
from dmlkit.data.import_readers import ImportedVideo, read_sources
from dmlkit.data.opening import open_dataset
from dmlkit.data.records import frame_record, is_remote, new_folder, serialize_frames, serialize_video
from dmlkit.data.schema import SPLITS, TEXT, TEXT_SIZE, Feature, dequantize, quantize
from dmlkit.errors import DataError, UsageError, choose, counted, nearest, one_line, shorten

SHARES = "train=0.8,tuning=0.1,validate=0.1"
UNLABELLED = "test"  # the split of videos without labels
VOCABULARY = schema.VOCABULARIES[0]
COLUMNS = ("id", "labels", "split", "text")  # of the table of labels
ALIASES = {"video_id": "id", "VideoId": "id", "label": "labels", "class": "labels", "classes": "labels"}
_MODALITY = re.compile(r"(?!(?:id|labels|num_frames)$)[A-Za-z][A-Za-z0-9_]*")
_INDEX, _NUMBER_LIKE = re.compile(r"[0-9]{1,9}", re.ASCII), re.compile(r"[-+.]?[0-9][0-9.eE+-]*", re.ASCII)


@dataclass(frozen=True)
class Import:
    """A finished import: its folder, the videos of each split, and notes on what was done to them."""

    folder: Path
    videos: dict[str, int]
    notes: tuple[str, ...]


def import_features(
    sources: str | os.PathLike | Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    labels: str | os.PathLike | None = None,
    classes: str | os.PathLike | None = None,
    num_classes: int | None = None,
    name: str | None = None,
    split: str = SHARES,
    level: str | None = None,
    coding: str | None = None,
    modalities: Sequence[str] | None = None,
    missing: str = "refuse",
    frames_apart: int = 2,
    records_per_shard: int = 256,
    progress: bool = False,
) -> Import:
    """Make a data set in YouTube-8M's layout of features computed elsewhere; `dmlkit.data.importing` lists formats.

    Videos are read one after another; only the set of their ids grows with their number.

    Args:
        sources: Files and folders of features.
        out: The folder to make; it appears when it is finished.
        labels: A CSV with the columns `id` and any of `labels` (indices, or names separated by semicolons), `split`
            and `text` (a title, keywords), which is a modality. It takes precedence over labels in the sources.
        classes: The class names: a vocabulary's table, or one name a line. None: names in `labels`, alphabetically.
        num_classes: None for those named, or one more than the highest label.
        name: What reports call the data set; None for the folder's name.
        split: Shares of the splits, by a hash of each video's id. A split in the sources or `labels` takes
            precedence; videos without labels are in ``"test"``.
        level: ``"frame"``, or ``"video"`` for the mean of the frames; None for what the first video is.
        coding: ``"byte"`` as YouTube-8M, or ``"float"``; None for bytes at frame level and floats at video level.
        modalities: Those to take; None for all there are.
        missing: ``"refuse"`` a video that lacks a modality, or read it as ``"silence"``.
        frames_apart: How many frames a video's modalities may differ by; they are cut to the shortest.
        records_per_shard: Videos a shard.
        progress: Whether to show a progress bar on a terminal.

    Raises:
        UsageError: An argument that cannot be used, or a folder that is not empty.
        DataError: A source is missing or damaged, or a video is not like the others; names file and record.
    """
    sources = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    if remote := [path for path in map(os.fspath, (*sources, out)) if is_remote(path)]:
        raise UsageError(
            f"Features are imported from local files into a local folder. Received: {remote[0]}."
        )
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty, and nothing is overwritten. Name another folder.")
    choose(dict.fromkeys(("frame", "video")), level or "frame", what="level")
    choose(dict.fromkeys(("byte", "float")), coding or "byte", what="coding")
    choose(dict.fromkeys(("refuse", "silence")), missing, what="rule")
    if level == "video" and coding == "byte":
        raise UsageError("Video-level records hold floats. Leave --coding out, or import at frame level.")
    if records_per_shard < 1 or (modalities is not None and not modalities):
        raise UsageError(f"Out of range: {records_per_shard=} or {modalities=}.")
    table = read_labels(Path(labels)) if labels is not None else {}
    known = find_classes(classes, num_classes, table.get("labels", {}), labels)
    rules = (records_per_shard, level, coding, missing, frames_apart)
    importer = Importer(known, table, labels, parse_shares(split), *rules)
    with new_folder(out) as folder:
        videos = read_sources([Path(source) for source in sources], modalities)
        for video in tqdm(videos, unit=" videos", disable=None if progress else True):
            importer.add(video, folder)
        if not importer.splits:
            raise DataError("The sources hold no videos. Nothing was written.")
        if not known.count:
            raise DataError("No video has a label: give --num-classes or --classes, those of the model.")
        if classes is not None and Path(classes).suffix.lower() == ".csv":
            shutil.copyfile(classes, folder / VOCABULARY)  # it may have further columns
        elif known.names:
            with (folder / VOCABULARY).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([("Index", "Name"), *known.names.items()])
        videos = {split: importer.splits[split] for split in SPLITS if split in importer.splits}
        schema.write_dataset_toml(
            str(folder),
            name=name or one_line(out.absolute().name),
            level=importer.level,
            features=importer.features(),
            num_classes=known.count,
            splits={split: [f"{split}*.tfrecord"] for split in videos},
            vocabulary=VOCABULARY if known.names else None,
            counts=dict(sorted(importer.counts.items())),
        )
        try:
            open_dataset(folder)
        except DataError as error:
            raise DataError(
                f"{str(error).replace(str(folder), str(out))} Fewer videos a shard (`--records-per-shard`, now "
                f"{records_per_shard}) make more shards; to predict only, use `--split test=1`."
            ) from error
    return Import(out, videos, tuple(importer.notes()))


def read_labels(path: Path) -> dict[str, dict[str, list[str]]]:
    """A CSV about videos: those of "id", "labels", "split" and "text" that it has → video → its distinct cells."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path} cannot be read as a table of labels: {shorten(error, 120)}.") from error
    table = table.rename(columns=ALIASES)
    columns = [name for name in COLUMNS if list(table.columns).count(name) == 1]
    if "id" not in columns or len(columns) < 2:
        named = shorten(", ".join(table.columns), 80)
        raise DataError(f"{path} needs the columns id and any of labels, split, text, each once: {named}.")
    videos = table["id"].str.strip()
    if (videos == "").any():
        raise DataError(f"{path}, row {int((videos == '').argmax()) + 1} below the first line has no id.")
    groups = table.groupby(videos.to_numpy())
    return {name: {video: _distinct(cells) for video, cells in groups[name]} for name in columns}


def _distinct(cells: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, map(str.strip, cells))))


class Classes:
    """The classes: index → name where there are names, and how many (None: as the labels show)."""

    def __init__(self, names: Mapping[int, str], num_classes: int | None, source: object):
        self.names, self.num_classes, self.source, self._highest = dict(names), num_classes, source, -1
        self._indices = {name: index for index, name in names.items()}
        self._repeated = {name for name, count in Counter(names.values()).items() if count > 1}

    @property
    def count(self) -> int:
        """How many classes there are."""
        return self._highest + 1 if self.num_classes is None else self.num_classes

    def indices(self, labels: Iterable[int | str]) -> list[int]:
        """A video's classes, in their order and each once; a text is a name first, and an index else."""
        pieces = chain.from_iterable([each] if isinstance(each, int) else self.split(each) for each in labels)
        found = list(dict.fromkeys(map(self._index, pieces)))
        self._highest = max([self._highest, *found])
        return found

    def split(self, cell: str) -> Iterator[str]:
        """The labels in a cell: separated by semicolons; indices, and names without spaces, also by spaces."""
        for piece in _distinct(cell.split(";")):
            words = piece.split()
            known = all(word in self._indices or _INDEX.fullmatch(word) for word in words)
            yield from words if known and piece not in self._indices else [piece]

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


def find_classes(path, num_classes: int | None, labels: Mapping[str, Iterable[str]], source) -> Classes:
    """The class names: from a vocabulary's table, from one name a line, or from the labels, alphabetically."""
    if path is not None and Path(path).suffix.lower() == ".csv":
        names = schema.read_vocabulary(str(path)).names
    elif path is not None:
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").rstrip().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as text ({shorten(error)}).") from error
        names = dict(enumerate(map(one_line, lines)))
    else:
        split = Classes({}, None, source).split
        pieces = {piece for cells in labels.values() for cell in cells for piece in split(cell)}
        names = dict(enumerate(sorted(piece for piece in pieces if not _INDEX.fullmatch(piece))))
        if wrong := [piece for piece in sorted(pieces) if names and _NUMBER_LIKE.fullmatch(piece)]:
            raise DataError(
                f"{source}: the label {shorten(wrong[0])!r} is neither a name among names nor a whole number among "
                "numbers. Write all as one or the other, or give the names (`--classes FILE`)."
            )
    named, source = max(names, default=-1) + 1, path or source
    if path is not None and not names:
        raise DataError(f"{path} names no class. Give one name a line, class 0 first.")
    if num_classes is not None and num_classes < max(named, 1):
        raise UsageError(f"{source or 'Nothing'} names {named} classes, --num-classes is {num_classes}.")
    return Classes(names, num_classes or named or None, source)


def parse_shares(text: str) -> dict[str, float]:
    """``"train=0.8,tuning=0.1,validate=0.1"`` → split → share."""
    shares: dict[str, float] = {}
    for piece in text.split(","):
        name, _, share = (word.strip() for word in piece.partition("="))
        choose(dict.fromkeys(SPLITS), name, what="split")
        shares[name] = float(share) if re.fullmatch(r"[0-9]*\.?[0-9]+", share, re.ASCII) else 0.0
    if min(shares.values()) <= 0 or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise UsageError(f"--split: expected shares above 0 that sum to 1, as {SHARES}: {shorten(text)!r}.")
    return {name: shares[name] for name in SPLITS if name in shares}


@dataclass
class Importer:
    """Makes every video one level, one set of modalities and one coding, and writes it into a shard of its split."""

    classes: Classes
    table: Mapping[str, Mapping[str, list[str]]]
    source: object
    shares: Mapping[str, float]
    records_per_shard: int
    level: str | None
    coding: str | None
    missing: str
    frames_apart: int

    def __post_init__(self) -> None:
        self.ids, self.sizes, self.cut = set(), {}, 0
        self.counts, self.splits = Counter(), Counter()  # records by shard, videos by split
        # By modality: values coded as bytes, those of them that were clipped, videos that have it.
        self.values, self.clipped, self.present = Counter(), Counter(), Counter()

    def add(self, video: ImportedVideo, folder: Path) -> None:
        """Write one video; raises DataError, with file and record, where it cannot be taken."""
        try:
            split, labels, texts = self._describe(video)
            arrays = self._encode(video.features)
        except DataError as problem:
            table = f" ({self.source})" if self.table else ""
            raise DataError(f"{video.where}, {shorten(video.id)}{table}: {problem}") from None
        common = {"video_id": video.id, "labels": labels, "texts": texts}
        frames = self.level == "frame"
        record = (
            serialize_frames(frames=arrays, **common)
            if frames
            else serialize_video(features=arrays, **common)
        )
        shard = f"{split}{self.splits[split] // self.records_per_shard:05d}.tfrecord"
        with (folder / shard).open("ab") as file:
            file.write(frame_record(record))
        self.counts[shard] += 1
        self.splits[split] += 1

    def _describe(self, video: ImportedVideo) -> tuple[str, list[int] | None, dict | None]:
        """Split, classes and texts of a video."""
        if video.id in self.ids:
            raise DataError("a video of this id came before. Give every video an id of its own.")
        self.ids.add(video.id)
        cells = {name: column.get(video.id) for name, column in self.table.items()}
        split, labels = ", ".join(cells.get("split") or []) or video.split, cells.get("labels", video.labels)
        if split not in (None, *SPLITS):
            raise DataError(f"there is no split {shorten(split)!r}.{nearest(split, SPLITS)} Known: {SPLITS}.")
        if labels is None and split != UNLABELLED and (split or "labels" in self.table):
            raise DataError(f"it has no labels. Give some (an empty cell: none), or the split {UNLABELLED}.")
        if "text" in self.table and TEXT in video.features:
            raise DataError("text is a column of the table and a modality of the sources (`--modalities`).")
        texts = {TEXT: cells["text"]} if cells.get("text") else None
        if labels is None:
            return UNLABELLED, None, texts
        if split is None:  # by the id alone, so that it is the same in every import with the same shares
            place = int.from_bytes(hashlib.sha256(video.id.encode()).digest()[:7], "big") / 2**56
            ends = np.cumsum([*self.shares.values()])[:-1]
            split = [*self.shares][int(np.searchsorted(ends, place, side="right"))]
        return split, self.classes.indices(labels), texts

    def _encode(self, features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Key in the record → the array to write, uint8 or float32."""
        for name, array in features.items():
            numbers = array.dtype == np.uint8 or array.dtype.kind == "f"
            if not (numbers and array.ndim in (1, 2) and array.shape[-1] and _MODALITY.fullmatch(name)):
                raise DataError(
                    f"{shorten(name)}, {array.dtype} {array.shape}, cannot be a modality: expected (frames, size) or "
                    "(size,) of uint8 or floats, under a name of letters, digits and _ (`--modalities`)."
                )
        arrays = {name: array for name, array in features.items() if len(array)}
        if not arrays:
            raise DataError("there are no frames in any modality. Leave the video out.")
        self.level = self.level or ("frame" if any(array.ndim == 2 for array in arrays.values()) else "video")
        if self.missing == "refuse" and self.sizes and arrays.keys() != self.sizes.keys():
            raise DataError(
                f"it has {', '.join(arrays)}, but the videos before it {', '.join(self.sizes)}. Import what all have "
                "(`--modalities`), or read what is missing as silence (`--missing silence`)."
            )
        for name, array in arrays.items():
            size = self.sizes.setdefault(name, array.shape[-1])
            if array.shape[-1] != size or (self.level == "frame" and array.ndim == 1):
                expected = f"(frames, {size})" if self.level == "frame" else f"({size},)"
                raise DataError(f"{name} is {array.shape}, in other videos {expected} (`--level`).")
        if self.level == "frame":
            lengths = {name: len(array) for name, array in arrays.items()}
            shortest, longest = min(lengths.values()), max(lengths.values())
            if longest - shortest > self.frames_apart:
                raise DataError(
                    f"the modalities differ in their number of frames ({lengths}), by more than {self.frames_apart}. "
                    "Extract them at one rate, or let them be cut (`--frames-apart`)."
                )
            self.cut += longest > shortest
            arrays = {name: array[:shortest] for name, array in arrays.items()}
        self.present.update(arrays.keys())
        return {self._key(name): self._code(name, array) for name, array in arrays.items()}

    def _code(self, name: str, array: np.ndarray) -> np.ndarray:
        if self.level == "video" and array.ndim == 2:
            array = (dequantize(array) if array.dtype == np.uint8 else array).mean(axis=0, dtype=np.float64)
        in_bytes = self.level == "frame" and self.coding != "float"
        if array.dtype == np.uint8:
            return array if in_bytes else dequantize(array)
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            place = np.argwhere(~np.isfinite(array))[0].tolist()
            raise DataError(f"{name} holds NaN or infinite values, first at {place}. Compute it again.")
        if not in_bytes:
            return array
        self.values[name] += array.size
        self.clipped[name] += int(np.count_nonzero(np.abs(array) > 2))
        return quantize(array)

    def _key(self, name: str) -> str:
        return f"mean_{name}" if self.level == "video" else name

    def features(self) -> dict[str, Feature]:
        """The modalities, largest first, as dataset.toml has them."""
        coding = "float" if self.level == "video" else self.coding or "byte"
        order = sorted(self.sizes.items(), key=lambda each: (-each[1], each[0]))
        features = {name: Feature(name, size, coding, self._key(name)) for name, size in order}
        return features | ({TEXT: Feature(TEXT, TEXT_SIZE, TEXT, TEXT)} if "text" in self.table else {})

    def notes(self) -> Iterator[str]:
        """What was done to the videos, one sentence each."""
        for name, clipped in (+self.clipped).items():
            values, share = self.values[name], clipped / self.values[name]
            advice = " That is much: floats keep them (`--coding float`)." if share > 0.01 else ""
            yield f"{name}: {clipped:,} of {values:,} values ({share:.3%}) were clipped to [-2, 2].{advice}"
        if self.cut:
            yield f"Cut to the shortest of the modalities: {counted(self.cut, 'video')}."
        for name, present in self.present.items():
            if lacking := len(self.ids) - present:
                yield f"{name} is missing in {counted(lacking, 'video')}, where it is read as silence."
        if "text" in self.table:
            yield f"Texts are the modality {TEXT}, hashed to {TEXT_SIZE} places (`size` in dataset.toml)."
        if unused := sorted(self.table.get("id", {}).keys() - self.ids):
            yield f"{self.source} names {counted(len(unused), 'video')} not there: {shorten(', '.join(unused))}."
        if self.classes.num_classes is None:
            yield f"The number of classes ({self.classes.count}) is one more than the highest label."
