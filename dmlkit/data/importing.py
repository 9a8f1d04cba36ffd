"""Your own features into shards in YouTube-8M's layout; `dmlkit data import --help` shows this text too.

What a source may be (several may be given; of a folder, every such file in it, down to 3 folders deep):

FILE.npz, one video: an array for each modality, (frames, size), or (size,) at video level. Beside them, where
there are any: `id` (else the file's name), `labels`, `split`.

FILE.npz, many videos: `ids` (N,). Each modality (frames of all videos, size) with `num_frames` (N,) or `offsets`
(N + 1,); or (N, frames, size), of which `num_frames` are kept; or (N, size) at video level. Where there are any:
`labels` (N,), or (N, classes) of 0 and 1, or all videos' one after another with `num_labels` (N,); `split` (N,).

FOLDER/<modality>/<id>.npy, (frames, size) or (size,); FOLDER/<id>.npy for one modality, called rgb or as
`--modalities` says.

FILE.parquet: columns `id`, `labels` (a list, or one), `split`, and one for each modality: a list of lists a video,
or a list at video level. One row group is in memory at a time. Damage is certain to be found only where the table
was written with page checksums.

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
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dmlkit.data.import_readers import ImportedVideo, read_sources
from dmlkit.data.opening import divide_splits
from dmlkit.data.protos import serialize_frames, serialize_video
from dmlkit.data.records import frame_record, is_remote
from dmlkit.data.schema import (
    LEVELS,
    NUMERIC_CODINGS,
    SPLITS,
    TEXT,
    TEXT_SIZE,
    Feature,
    dequantize,
    quantize,
    read_vocabulary,
    write_dataset_toml,
)
from dmlkit.errors import DataError, UsageError, choose, nearest
from dmlkit.text import counted, one_line, shorten

SHARES = "train=0.8,tuning=0.1,validate=0.1"
UNLABELLED = "test"  # the split of videos without labels
MISSING = ("refuse", "silence")
RECORDS_PER_SHARD = 256
VOCABULARY = "vocabulary.csv"
LIMIT = 2.0  # what lies outside is clipped when it is coded as bytes
MUCH = 0.01  # a share of clipped values from which bytes are the wrong coding
TABLE_COLUMNS = {
    "id": ("id", "video_id", "VideoId"),
    "labels": ("labels", "label", "classes", "class"),
    "split": ("split",),
    "text": ("text",),
}
_MODALITY = re.compile(r"(?!(?:id|labels|num_frames)$)[A-Za-z][A-Za-z0-9_]*")
_INDEX, _INDICES = re.compile(r"[0-9]{1,9}", re.ASCII), re.compile(r"[0-9]{1,9}(\s+[0-9]{1,9})*", re.ASCII)
_NUMBER_LIKE = re.compile(r"[-+.]?[0-9][0-9.eE+-]*", re.ASCII)


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
    records_per_shard: int = RECORDS_PER_SHARD,
    progress: bool = False,
) -> Import:
    """Make a data set in YouTube-8M's layout of features computed elsewhere; `dmlkit.data.importing` lists formats.

    Videos are read one after another; only the set of their ids grows with their number.

    Args:
        sources: Files and folders of features.
        out: The folder to make; it appears when it is finished.
        labels: A CSV with the columns `id` and any of `labels` (indices, or names separated by semicolons), `split`
            and `text` (a title, keywords), which is a modality. It takes precedence over labels in the sources.
        classes: The class names: a vocabulary's table, or one name a line. None: names in `labels` are numbered
            alphabetically.
        num_classes: None for those named, or one more than the highest label.
        name: What reports call the data set; None for the folder's name.
        split: Shares of the splits, by a hash of each video's id, so that a video is in the same split next time. What
            the sources or `labels` say of a video takes precedence; videos without labels are in ``"test"``.
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
    if remote := next((path for path in map(os.fspath, (*sources, out)) if is_remote(path)), None):
        raise UsageError(f"Features are imported from local files into a local folder. Received: {remote}.")
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"{out} is not empty, and nothing is overwritten. Name another folder, or remove it."
        )
    options = ((level, LEVELS, "level"), (coding, NUMERIC_CODINGS, "coding"), (missing, MISSING, "rule"))
    for value, valid, what in options:
        if value is not None:
            choose(dict.fromkeys(valid), value, what=what)
    if level == "video" and coding == "byte":
        raise UsageError("Video-level records hold floats. Leave --coding out, or import at frame level.")
    if modalities is not None and not (modalities and all(modalities)):
        raise UsageError(f"modalities must be names. Received: {modalities!r}.")
    if (num_classes or 1) < 1 or frames_apart < 0 or records_per_shard < 1:
        raise UsageError(f"Out of range: {num_classes=}, {frames_apart=} or {records_per_shard=}.")
    table = read_labels(Path(labels)) if labels is not None else {}
    known = _find_classes(classes, num_classes, table.get("labels", {}), labels)
    encoder = Encoder(level, coding, missing == "refuse", frames_apart)
    importer = Importer(encoder, known, table, labels, _parse_shares(split), records_per_shard)
    videos = read_sources([Path(source) for source in sources], modalities)
    with _new_folder(out) as folder, closing(importer):
        for video in tqdm(videos, unit=" videos", disable=None if progress else True):
            importer.add(video, folder)
        importer.check_splits(out)
        importer.close()
        if classes is not None and Path(classes).suffix.lower() == ".csv":
            shutil.copyfile(classes, folder / VOCABULARY)  # it may have further columns
        elif known.names:
            rows = [(index, importer.trained[index], name) for index, name in sorted(known.names.items())]
            with (folder / VOCABULARY).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([("Index", "TrainVideoCount", "Name"), *rows])
        write_dataset_toml(
            str(folder),
            name=name or one_line(out.absolute().name),
            level=encoder.level,
            features=importer.features(),
            num_classes=known.count,
            splits={split: [f"{split}*.tfrecord"] for split in importer.videos},
            vocabulary=VOCABULARY if known.names else None,
            counts=dict(sorted(importer.counts.items())),
        )
    return Import(out, importer.videos, tuple(importer.notes()))


def read_labels(path: Path) -> dict[str, dict[str, list[str]]]:
    """A CSV about videos: those of "labels", "split" and "text" that it has → video → its distinct cells.

    A video may have a row for each of its labels; "id" has every video.

    Raises:
        DataError: The file is missing or no such table.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path} cannot be read as a table of labels: {shorten(error, 120)}.") from error
    columns = {
        name: next(column for column in candidates if column in table)
        for name, candidates in TABLE_COLUMNS.items()
        if {*candidates} & {*table.columns}
    }
    if "id" not in columns or len(columns) < 2:
        raise DataError(
            f"{path} needs a first line that names its columns: id, and labels, split, text or several of them. It "
            f"names: {shorten(', '.join(table.columns), 80)}."
        )
    videos = table[columns["id"]].str.strip()
    cells = {
        name: {video: _distinct(each) for video, each in table[column].groupby(videos, sort=False)}
        for name, column in columns.items()
    }
    for video, splits in cells.get("split", {}).items():
        if len(splits) > 1:
            raise DataError(f"{path}: {shorten(video)} is in several splits, {splits}. Leave it in one.")
    if "" in cells["id"]:
        raise DataError(f"{path}, row {int((videos == '').argmax()) + 1} below the first line has no id.")
    return cells


def _distinct(cells: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, map(str.strip, cells))))


@dataclass
class Classes:
    """The classes: index → name (empty where only indices are known), how many (None: as the labels show)."""

    names: dict[int, str] = field(default_factory=dict)
    num_classes: int | None = None
    source: str = "--classes"
    highest: int = -1

    def __post_init__(self) -> None:
        self._indices: dict[str, set[int]] = {}
        for index, name in self.names.items():
            self._indices.setdefault(name, set()).add(index)

    @property
    def count(self) -> int:
        """How many classes there are."""
        return self.num_classes if self.num_classes is not None else self.highest + 1

    def indices(self, labels: Iterable[int | str]) -> list[int]:
        """A video's classes, in their order and each once; raises DataError where there is no such class."""
        found = []
        for label in labels:
            for piece in [label] if isinstance(label, int) else _pieces(label):
                # Names may be separated by spaces too, where no name has any.
                words = piece.split() if isinstance(piece, str) else []
                apart = piece not in self._indices and words and all(word in self._indices for word in words)
                found += map(self._index, words if apart else [piece])
        self.highest = max([self.highest, *found])
        return list(dict.fromkeys(found))

    def _index(self, label: int | str) -> int:
        indices = set(self._indices.get(label, ()))
        if isinstance(label, int) or _INDEX.fullmatch(label):
            indices.add(int(label))
        if len(indices) > 1:
            raise DataError(f"{shorten(label)!r} may be several classes. Write class indices instead.")
        if not indices and not self.names:
            raise DataError(
                f"the label {shorten(label)!r} is no number, and no names are given (`--classes FILE`)."
            )
        if not indices:
            hint = nearest(label, self._indices)
            raise DataError(
                f"no class {shorten(label)!r} in {self.source}.{hint} Separate names by semicolons."
            )
        (index,) = indices
        if index < 0 or index >= (math.inf if self.num_classes is None else self.num_classes):
            valid = "counted from 0" if self.num_classes is None else f"0 to {self.num_classes - 1}"
            raise DataError(f"there is no class {index}, they are {valid}. Correct one of them.")
        return index


def _pieces(cell: str) -> list[str]:
    """The labels in a cell: separated by semicolons, indices also by spaces."""
    pieces = _distinct(cell.split(";"))
    return [word for piece in pieces for word in (piece.split() if _INDICES.fullmatch(piece) else [piece])]


def _find_classes(
    path: str | os.PathLike | None,
    num_classes: int | None,
    labels: Mapping[str, Iterable[str]],
    source: str | os.PathLike | None,
) -> Classes:
    """The class names: from a vocabulary's table, from one name a line, or from the labels, alphabetically."""
    if path is not None and Path(path).suffix.lower() == ".csv":
        names = read_vocabulary(str(path)).names
        known = Classes(names, max(names) + 1, str(path))
    elif path is not None:
        try:
            names = Path(path).read_text(encoding="utf-8-sig").rstrip().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as text ({shorten(error)}).") from error
        if not names:
            raise DataError(f"{path} names no class. Give one name a line, class 0 first.")
        known = Classes(dict(enumerate(map(one_line, names))), len(names), str(path))
    else:
        pieces = {piece for cells in labels.values() for cell in cells for piece in _pieces(cell)}
        names = sorted(piece for piece in pieces if not _INDEX.fullmatch(piece))
        if wrong := [piece for piece in sorted(pieces) if names and _NUMBER_LIKE.fullmatch(piece)]:
            raise DataError(
                f"{source}: the label {shorten(wrong[0])!r} is neither a name among names nor a whole number "
                "from 0 among numbers. Write all as one or the other, or give the names (`--classes FILE`)."
            )
        known = Classes(dict(enumerate(names)), len(names) or None, str(source))
    if num_classes is not None:
        if num_classes < (known.num_classes or 0):
            raise UsageError(
                f"{known.source} names {known.num_classes} classes, not {num_classes} (num_classes)."
            )
        known.num_classes = num_classes
    return known


def _parse_shares(text: str) -> dict[str, float]:
    """``"train=0.8,tuning=0.1,validate=0.1"`` → split → share."""
    shares: dict[str, float] = {}
    for piece in text.split(","):
        name, _, share = (word.strip() for word in piece.partition("="))
        choose(dict.fromkeys(SPLITS), name, what="split")
        if name in shares or not re.fullmatch(r"[0-9]*\.?[0-9]+", share, re.ASCII):
            raise UsageError(
                f"--split: expected one share of {name}, as in {SHARES}. Received: {shorten(text)!r}."
            )
        shares[name] = float(share)
    if min(shares.values()) <= 0 or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise UsageError(f"--split: the shares must be above 0 and add up to 1. Received: {shorten(text)!r}.")
    return {name: shares[name] for name in SPLITS if name in shares}


def split_by_id(video_id: str, shares: Mapping[str, float]) -> str:
    """The split of a video by its id alone: the same in every import with the same shares."""
    place, end = int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:7], "big") / 2**56, 0.0
    for split, share in shares.items():
        end += share
        if place < end:
            return split
    return split


class Encoder:
    """Makes every video one level, one set of modalities and sizes, one coding.

    Attributes:
        level: ``"frame"`` or ``"video"``; None until the first video shows it.
        sizes: Modality → values a frame, as met so far.
        values, clipped: Modality → how many values were coded as bytes, and how many of them were clipped.
        cut: How many videos were cut to their shortest modality.
        silent: Modality → how many videos lack it.
    """

    def __init__(self, level: str | None, coding: str | None, refuse_missing: bool, frames_apart: int):
        self.level, self._coding, self._refuse, self._apart = level, coding, refuse_missing, frames_apart
        self.sizes: dict[str, int] = {}
        self.values, self.clipped, self.silent = Counter(), Counter(), Counter()
        self.cut = self._videos = 0

    @property
    def coding(self) -> str:
        """``"byte"`` or ``"float"``; the video level holds floats."""
        return "float" if self.level == "video" else self._coding or "byte"

    def key(self, name: str) -> str:
        """The key of a modality in the records."""
        return f"mean_{name}" if self.level == "video" else name

    def encode(self, video: ImportedVideo) -> dict[str, np.ndarray]:
        """Key in the record → the array to write, uint8 or float32.

        Raises:
            DataError: The video does not fit those before it, or its values are no features.
        """
        for name, array in video.features.items():
            if (array.dtype != np.uint8 and array.dtype.kind != "f") or array.ndim not in (1, 2):
                raise DataError(
                    f"{name} is {array.dtype} {array.shape}; expected (frames, size) or (size,) of uint8 (YouTube-8M's "
                    "bytes) or floats. Save it so, or name the modalities (`--modalities`)."
                )
        arrays = {name: array for name, array in video.features.items() if array.ndim == 1 or len(array)}
        if not arrays:
            raise DataError("there are no frames in any modality. Leave the video out.")
        self.level = self.level or ("frame" if any(array.ndim == 2 for array in arrays.values()) else "video")
        self._check(arrays)
        if self.level == "frame":
            lengths = {name: len(array) for name, array in arrays.items()}
            shortest, longest = min(lengths.values()), max(lengths.values())
            if longest - shortest > self._apart:
                raise DataError(
                    f"the modalities differ in their number of frames ({lengths}), by more than {self._apart}. Extract "
                    "them at one rate, or let them be cut (`--frames-apart`)."
                )
            self.cut += longest > shortest
            arrays = {name: array[:shortest] for name, array in arrays.items()}
        self._videos += 1
        return {self.key(name): self._code(name, array) for name, array in arrays.items()}

    def _check(self, arrays: Mapping[str, np.ndarray]) -> None:
        advice = "Import those that all have (`--modalities`), or read it as silence (`--missing silence`)."
        for name, array in arrays.items():
            size = array.shape[-1]
            if self.level == "frame" and array.ndim == 1:
                raise DataError(
                    f"{name} is one row, but other videos have frames. Separate them (`--level`)."
                )
            if name not in self.sizes:
                if not _MODALITY.fullmatch(name) or not size:
                    raise DataError(
                        f"{shorten(name)!r} of {array.shape} cannot be a modality. Its name needs letters, digits and "
                        "_, none of id, labels, num_frames; its frames at least one value."
                    )
                if self._videos and self._refuse:
                    raise DataError(f"it has the modality {name}, which the videos before it lack. {advice}")
                self.silent[name] += self._videos
                self.sizes[name] = size
            if size != self.sizes[name]:
                raise DataError(
                    f"{name} has {size} values a frame, but {self.sizes[name]} in the videos before it."
                )
        for name in self.sizes.keys() - arrays.keys():
            if self._refuse:
                raise DataError(f"it lacks the modality {name}, which the videos before it have. {advice}")
            self.silent[name] += 1

    def _code(self, name: str, array: np.ndarray) -> np.ndarray:
        if self.level == "video" and array.ndim == 2:
            array = (dequantize(array) if array.dtype == np.uint8 else array).mean(axis=0, dtype=np.float64)
        if array.dtype == np.uint8:
            return array if self.coding == "byte" else dequantize(array)
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            array = array.astype(np.float32)
        finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if not finite.all():
            place = f"{'frame' if array.ndim == 2 else 'value'} {int(np.argmin(finite))} (counted from 0)"
            raise DataError(f"{name} holds NaN or infinite values, {place} first. Compute the features anew.")
        if self.coding == "float":
            return array
        self.values[name] += array.size
        self.clipped[name] += int(np.count_nonzero(np.abs(array) > LIMIT))
        return quantize(array)


class Importer:
    """Writes videos into the shards of their splits, and counts what happened to them."""

    def __init__(
        self,
        encoder: Encoder,
        classes: Classes,
        table: Mapping[str, Mapping[str, list[str]]],
        source: str | os.PathLike | None,
        shares: Mapping[str, float],
        records_per_shard: int,
    ):
        self.encoder, self.classes, self.table, self.source, self.shares = (
            encoder,
            classes,
            table,
            source,
            shares,
        )
        self.trained: Counter[int] = Counter()  # class → training videos
        self.counts: Counter[str] = Counter()  # shard → records
        self._records_per_shard, self._files, self._videos = records_per_shard, {}, Counter()
        self._ids, self._labelled, self._ignored, self._unlabelled, self._with_text = set(), set(), {}, 0, 0

    @property
    def videos(self) -> dict[str, int]:
        """Split → how many videos, in the order of training."""
        return {split: self._videos[split] for split in SPLITS if split in self._videos}

    def add(self, video: ImportedVideo, folder: Path) -> None:
        """Write one video; raises DataError, with file and record, where it cannot be taken."""
        try:
            split, record = self._make_record(video)
        except DataError as problem:
            table = f" ({self.source})" if self.table else ""
            raise DataError(f"{video.where}, {shorten(video.id)}{table}: {problem}") from None
        shard = f"{split}{self._videos[split] // self._records_per_shard:05d}.tfrecord"
        if shard not in self.counts:
            if split in self._files:
                self._files[split].close()
            self._files[split] = (folder / shard).open("wb")
        self._files[split].write(frame_record(record))
        self.counts[shard] += 1
        self._videos[split] += 1

    def _make_record(self, video: ImportedVideo) -> tuple[str, bytes]:
        """Its split, and its record."""
        if video.id in self._ids:
            raise DataError("a video of this id came before. Give every video an id of its own.")
        self._ids.add(video.id)
        self._ignored |= dict.fromkeys(video.ignored)
        split = next(iter(self.table.get("split", {}).get(video.id, ())), video.split)
        if split not in (None, *SPLITS):
            raise DataError(
                f"there is no split {shorten(split)!r}.{nearest(split, SPLITS)} There are: {SPLITS}."
            )
        labels = self._labels(video, split)
        if labels is None and split not in (None, UNLABELLED):
            raise DataError(f"it has no labels, but is in the split {split}. Put it into {UNLABELLED}.")
        self._unlabelled += labels is None
        split = UNLABELLED if labels is None else split or split_by_id(video.id, self.shares)
        arrays, texts = self.encoder.encode(video), None
        if "text" in self.table:
            if TEXT in self.encoder.sizes:
                raise DataError(
                    f"the table has a column {TEXT}, and the sources such a modality (`--modalities`)."
                )
            found = self.table["text"].get(video.id)
            texts = {TEXT: found} if found else None
            self._with_text += texts is not None
        if labels:
            self._labelled.add(split)
        if split == "train":
            self.trained.update(labels)
        if self.encoder.level == "frame":
            return split, serialize_frames(video_id=video.id, labels=labels, texts=texts, frames=arrays)
        return split, serialize_video(video_id=video.id, labels=labels, texts=texts, features=arrays)

    def _labels(self, video: ImportedVideo, split: str | None) -> list[int] | None:
        if "labels" not in self.table:
            return None if video.labels is None else self.classes.indices(video.labels)
        if video.id in self.table["labels"]:
            return self.classes.indices(self.table["labels"][video.id])
        if split != UNLABELLED:
            raise DataError("it is not in the table. Add it (an empty cell: no class), or leave it out.")
        return None

    def close(self) -> None:
        """Bring everything to its file."""
        for file in self._files.values():
            file.close()

    def features(self) -> dict[str, Feature]:
        """The modalities, largest first, as dataset.toml has them."""
        order, coding = (
            sorted(self.encoder.sizes.items(), key=lambda each: (-each[1], each[0])),
            self.encoder.coding,
        )
        features = {name: Feature(name, size, coding, self.encoder.key(name)) for name, size in order}
        return features | ({TEXT: Feature(TEXT, TEXT_SIZE, TEXT, TEXT)} if "text" in self.table else {})

    def check_splits(self, out: Path) -> None:
        """Refuse what could not be opened: no videos, no classes, too few shards to divide."""
        if not self.videos:
            raise DataError("The sources hold no videos. Nothing was written.")
        if not self.classes.count:
            raise DataError(
                "No video has a label: give --num-classes or --classes, those of the model to predict with."
            )
        shards = {split: [name for name in self.counts if name.startswith(split)] for split in self.videos}
        try:
            divide_splits(shards, frozenset(self._labelled), str(out))
        except DataError as error:
            found = ", ".join(f"{split} {videos:,}" for split, videos in self.videos.items())
            raise DataError(
                f"No data set to train on can be made of these videos ({found}): {error} Fewer records a shard give "
                f"more shards (`--records-per-shard`, now {self._records_per_shard}); to predict only, use "
                "`--split test=1`."
            ) from error

    def notes(self) -> Iterator[str]:
        """What was done to the videos, one sentence each."""
        encoder = self.encoder
        for name, clipped in encoder.clipped.items():
            if clipped:
                values, share = encoder.values[name], clipped / encoder.values[name]
                percent = f"{100 * share:.3g} %" if share >= 1e-5 else "less than 0.001 %"
                advice = " That is much: floats keep them (`--coding float`)." if share > MUCH else ""
                yield f"{name}: {clipped:,} of {values:,} values ({percent}) were clipped to [-2, 2].{advice}"
        if encoder.cut:
            yield f"Cut to the shortest of the modalities: {counted(encoder.cut, 'video')}."
        for name, count in (+encoder.silent).items():
            yield f"{name} is missing in {counted(count, 'video')}, where it is read as silence."
        if self._unlabelled:
            yield f"Without labels, and so in the split {UNLABELLED}: {counted(self._unlabelled, 'video')}."
        if self._ignored:
            yield f"Ignored, as no modality or none asked for: {shorten(', '.join(self._ignored), 200)}."
        if "text" in self.table:
            size = f"hashed to {TEXT_SIZE} places: its `size` in dataset.toml can be changed at any time"
            yield f"Texts of {counted(self._with_text, 'video')} are the modality {TEXT}, {size}."
        if unused := sorted(self.table.get("id", {}).keys() - self._ids):
            yield f"{self.source} names {counted(len(unused), 'video')} not there: {shorten(', '.join(unused))}."
        if self.classes.num_classes is None:
            yield f"The number of classes ({self.classes.count}) is one more than the highest label."


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out`, which takes its place once it is finished; a full disk and the like are UsageErrors."""
    partial = out.absolute().parent / f".{out.absolute().name}.{os.getpid()}.partial"
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(out)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{out} cannot be written: {reason}. Nothing is left of it.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
