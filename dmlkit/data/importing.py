"""Your own features into shards in YouTube-8M's layout; `dmlkit data import --help` shows this text too.

What a source may be (several may be given; of a folder, every such file in it, down to 3 folders deep):

FILE.npz, one video: an array for each modality, (frames, size), or (size,) at video level. With them, where
there are any: `id` (else the file's name), `labels`, `split`.

FILE.npz, many videos: `ids` (N,). Each modality (frames of all videos, size) with `num_frames` (N,); or
(N, frames, size), of which `num_frames` are kept; or (N, size) at video level. Where there are any: `labels` (N,), or
(N, classes) of 0 and 1; `split` (N,).

FOLDER/<modality>/<id>.npy, (frames, size) or (size,); FOLDER/<id>_rgb.npy and <id>_flow.npy, for modalities of
usual names or of `--modalities`; FOLDER/<id>.npy for one modality, called rgb or by `--modalities`.

FILE.parquet: columns `id`, `labels` (a list, or one), `split`, and one for each modality: a list of lists a video,
or a list at video level. Damage is certain to be found only where the table was written with page checksums.

FILE.tfrecord, FILE.pb: SequenceExamples of MediaPipe's MediaSequence, many to a TFRecord or one to a file, as its
YouTube-8M graph leaves them. `RGB/feature/floats` is the modality rgb, `AUDIO/feature/floats` audio, and so on
(`.../context_feature/floats` at video level); the id is `example/id`, `clip/media_id`, or the name of the video
file in `clip/data_path`; the labels are `clip/label/index`, or `clip/label/string`.

Splits: of the table of labels; else of the source; else of the words train, tuning, val, dev, eval or test in the
names of folders in the source (also of sources, where there are several) and of files of many videos; else by
`--split`.

Labels: class indices, or names, which the table of labels or `--classes` gives. Several in a cell are separated by
semicolons or bars, or are a list (`["Dog", "Cat"]`, `[0 1]`); by commas where these are not in the names. Or the
table has a column of 0 and 1 for each class.

Values: uint8 is taken for YouTube-8M's bytes and kept as it is; floats are coded as such bytes, or kept with
`--coding float`. Values outside [-2, 2] are clipped and counted; where they are more than 1 % they are refused, but
for `--allow-clipping`. Pickles are never read.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import math
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import compress, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import dmlkit.data.schema as schema
from dmlkit.data.import_readers import ImportedVideo, canonical, meaning, plain_text, read_sources
from dmlkit.data.opening import open_dataset, split_of
from dmlkit.data.records import (
    frame_record,
    is_folder,
    is_remote,
    new_folder,
    read_bytes,
    read_records,
    readable_path,
    serialize_frames,
    serialize_video,
)
from dmlkit.data.schema import SPLITS, TEXT, TEXT_SIZE, Feature, count_clipped, dequantize, quantize
from dmlkit.errors import DataError, UsageError, choose, counted, nearest, one_line, shorten
from dmlkit.metrics import FEWEST_FOR_A_TEST

SHARES = "train=0.8,tuning=0.1,validate=0.1"
UNLABELLED = "test"  # the split of videos without labels
VOCABULARY = schema.VOCABULARIES[0]
COLUMNS = ("id", "labels", "split", "text")  # of the table of labels
MOST_CLIPPED = 0.01  # of a modality's values
EARLY = 16  # videos after which a modality that is mostly out of range is refused
FEW_SHARDS = 10  # of a split that opening has to divide
# Of names in a cell, where the names show it; semicolons and bars always separate.
_SEPARATORS = (",", "/", "+", "&", " ")
_HOT = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
_MODALITY = re.compile(r"(?!(?:id|labels|num_frames)$)[A-Za-z][A-Za-z0-9_]*")
_INDEX = re.compile(r"[0-9]{1,9}", re.ASCII)
_NUMBER_LIKE = re.compile(r"[-+.]?[0-9][0-9.eE+-]*|(?i:nan|null|<na>)", re.ASCII)


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
    classes: str | os.PathLike | Sequence[str] | None = None,
    num_classes: int | None = None,
    name: str | None = None,
    split: str = SHARES,
    level: str | None = None,
    coding: str | None = None,
    modalities: Sequence[str] | None = None,
    missing: str = "refuse",
    frames_apart: int = schema.FRAMES_APART,
    allow_clipping: bool = False,
    records_per_shard: int = 256,
    progress: bool = False,
) -> Import:
    """Make a data set in YouTube-8M's layout of features computed elsewhere; `dmlkit.data.importing` lists formats.

    Videos are read one after another; only the set of their ids grows with their number.

    Args:
        sources: Files and folders of features.
        out: The folder to make; it appears when it is finished.
        labels: A CSV with the columns `id` and any of `labels` (`Classes.split` describes its cells; or a column of
            0 and 1 for each class), `split` and `text` (a title, keywords), which is a modality. It takes precedence
            over labels in the sources.
        classes: The class names: a vocabulary's table, a file of one name a line, a data set, whose classes are
            taken with its numbers, or the names themselves. None: names in `labels`, alphabetically.
        num_classes: None for those named, or one more than the highest label.
        name: What reports call the data set; None for the folder's name.
        split: Shares of the splits, by a hash of each video's id. A split in `labels`, in the sources, or in the
            names of their folders and files takes precedence, in this order; videos without labels are in ``"test"``.
        level: ``"frame"``, or ``"video"`` for the mean of the frames; None for what the first video is.
        coding: ``"byte"`` as YouTube-8M, or ``"float"``; None for bytes at frame level and floats at video level.
        modalities: Those to take; None for all there are.
        missing: ``"refuse"`` a video that lacks a modality, or read it as ``"silence"``.
        frames_apart: How many frames a video's modalities may differ by; they are cut to the shortest.
        allow_clipping: Whether more than 1 % of a modality's values may be clipped to bytes.
        records_per_shard: Videos a shard, at most.
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
    sources, out = [Path(readable_path(source)) for source in sources], Path(readable_path(out))
    labels = None if labels is None else Path(readable_path(labels))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty, and nothing is overwritten. Name another folder.")
    choose(dict.fromkeys(("frame", "video")), level or "frame", what="level")
    choose(dict.fromkeys(("byte", "float")), coding or "byte", what="coding")
    choose(dict.fromkeys(("refuse", "silence")), missing, what="rule")
    if level == "video" and coding == "byte":
        raise UsageError("Video-level records hold floats. Leave --coding out, or import at frame level.")
    if records_per_shard < 1 or (modalities is not None and not modalities):
        raise UsageError(f"Out of range: {records_per_shard=} or {modalities=}.")
    table = read_labels(labels) if labels is not None else Table({})
    known = find_classes(classes, num_classes, table, labels)
    rules = (records_per_shard, level, coding, missing, frames_apart, allow_clipping)
    importer = Importer(known, table.cells, labels, parse_shares(split), *rules)
    used, aside = {os.path.abspath(file) for file in (labels, known.file) if file}, Counter()
    with new_folder(out) as folder:
        videos = read_sources(sources, modalities, used, aside)
        for video in tqdm(videos, unit=" videos", disable=None if progress else True):
            importer.add(video, folder)
        importer.finish(folder)
        if known.file is not None:
            (folder / VOCABULARY).write_bytes(read_bytes(known.file))  # it may have further columns
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
            dataset = open_dataset(folder)
        except DataError as error:
            raise DataError(
                f"{str(error).replace(str(folder), str(out))} Import more videos, or to predict only use "
                "`--split test=1`."
            ) from error
        sizes = {each: dataset.num_videos(each) for each in ("tuning", "validate") if each in dataset.splits}
    notes = [*importer.notes(), *dataset.notes]
    if aside:
        kinds = ", ".join(f"{counted(count, 'file')} ({kind})" for kind, count in sorted(aside.items()))
        notes.append(f"Left aside: {shorten(kinds, 120)}.")
    if table.aside:
        notes.append(f"Left aside: the columns {shorten(', '.join(table.aside), 80)} of {labels}.")
    if few := [f"{split} ({count})" for split, count in sizes.items() if count < FEWEST_FOR_A_TEST]:
        notes.append(f"Of fewer than {FEWEST_FOR_A_TEST} videos no test is claimed: {', '.join(few)}.")
    return Import(out, videos, tuple(notes))


class Table(NamedTuple):
    """A CSV about videos: those of "id", "labels", "split", "text" that it has → video → its distinct cells.

    `classes` are the names of its columns of 0 and 1, `aside` those of the columns that are not used.
    """

    cells: dict[str, dict[str, list[str]]]
    classes: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()


def read_labels(path: Path) -> Table:
    """Read a CSV about videos, separated by commas, semicolons, tabs or bars, as its first line shows."""
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
        lines = {each: next(csv.reader([first], delimiter=each), []) for each in ",;\t|"}
        delimiter = next((each for each, names in lines.items() if "id" in map(meaning, names)), ",")
        options = {"header": None, "dtype": str, "keep_default_na": False, "skipinitialspace": True}
        table = pd.read_csv(path, sep=delimiter, encoding="utf-8-sig", **options).fillna("")
    except (OSError, ValueError, csv.Error) as error:  # pandas' own errors are ValueErrors
        advice = "Save it as UTF-8, with quotes around cells that hold a separator."
        raise DataError(f"{path} cannot be read as a table: {shorten(error, 120)}. {advice}") from error
    table = table.loc[:, (table != "").any()]
    try:
        names = [TEXT if name.lower() == TEXT else plain_text(name) for name in canonical(table.iloc[0])]
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    table = table.iloc[1:].set_axis(names, axis="columns")
    others = [name for name in names if name not in COLUMNS]
    bits = {name: table[name].str.strip().str.lower().map(_HOT) for name in others if "labels" not in names}
    hot = [name for name, column in bits.items() if column.notna().all()]
    hot = hot if len(hot) > 1 else []
    if hot:
        numbers = [int(name) if all(map(_INDEX.fullmatch, hot)) else name for name in hot]
        rows = zip(*(bits[name] for name in hot), strict=True)
        table["labels"] = [json.dumps([*compress(numbers, row)]) for row in rows]
    columns = [name for name in COLUMNS if name in table.columns]
    if "id" not in columns or len(columns) < 2:
        wanted = "the column id, and labels, split or text, or two columns or more of 0 and 1"
        raise DataError(f"{path} needs {wanted}. It has {shorten(', '.join(names), 80)}.")
    videos = table["id"].map(plain_text)
    if (videos == "").any():
        number = int((videos == "").to_numpy().argmax()) + 1
        raise DataError(f"{path}, row {number} below the first line has no id.")
    first = videos[table["id"].str.strip().drop_duplicates().index]
    if (twice := first[first.duplicated()]).any():
        raise DataError(
            f"{path}: {shorten(twice.iloc[0])!r} is written in two ways (Unicode, blanks). Use one."
        )
    groups = table.groupby(videos.to_numpy())
    cells = {name: {video: _distinct(cells) for video, cells in groups[name]} for name in columns}
    return Table(cells, tuple(hot), tuple(name for name in others if name not in hot))


def _distinct(cells: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, map(plain_text, cells))))


class Classes:
    """The classes: index → name where there are names, and how many (None: as the labels show).

    `source` is what names them, `file` the vocabulary's table, where there is one.
    """

    def __init__(self, names: Mapping[int, str], num_classes: int | None, source, file: str | None = None):
        self.names = {index: plain_text(name) for index, name in names.items()}
        self.num_classes, self.source, self.file, self._highest = num_classes, source, file, -1
        self._indices = {name: index for index, name in self.names.items()}
        self._repeated = {name for name, count in Counter(self.names.values()).items() if count > 1}
        self._pairs: set[tuple[int, ...]] = set()  # what two labels the videos have, where they are 0 and 1
        self.example: tuple[str, list] | None = None  # a cell of several labels, and these

    @property
    def count(self) -> int:
        """How many classes there are."""
        return self._highest + 1 if self.num_classes is None else self.num_classes

    def indices(self, labels: Iterable[int | str]) -> list[int]:
        """A video's classes, in their order and each once; a text is a name first, and an index else."""
        pieces = []
        for each in labels:
            found = [each] if isinstance(each, int) else self.split(plain_text(each))
            pieces += found
            if len(found) > 1 and self.example is None:
                self.example = each, found
        classes = [self._index(piece) for piece in pieces]
        bits = {*map(str, pieces)} <= {"0", "1"}
        if bits and len({*classes}) < len(classes):
            raise DataError(
                f"labels {shorten(', '.join(map(str, pieces)))} repeat, as a vector of 0 and 1 does. Give the numbers "
                "of its ones (`np.flatnonzero`), or true and false (`.astype(bool)`)."
            )
        self._pairs.add(tuple(classes) if bits and len(classes) == 2 else ())
        self._highest = max([self._highest, *classes])
        return list(dict.fromkeys(classes))

    def check(self) -> None:
        """Raise `DataError` where all labels seen were 0 and 1 in either order: vectors over two classes."""
        if self._pairs == {(0, 1), (1, 0)}:
            raise DataError(
                "The labels of all videos look like vectors over two classes. Give class numbers."
            )

    def split(self, cell: str) -> list[int | str]:
        """The labels in a cell: a name, a list of JSON's, Python's or numpy's, or labels between semicolons or bars.

        Between these, numbers are also separated by commas and blanks; and names by commas, slashes, plus signs,
        ampersands or blanks, where all that is between them are names.
        """
        if cell in self._indices:
            return [cell]
        if (listed := listed_labels(cell)) is not None:
            return listed
        pieces = filter(None, map(str.strip, re.split(r"[;|]", cell)))
        return [label for piece in pieces for label in self._divide(piece)]

    def _divide(self, piece: str) -> list[str]:
        numbers = re.split(r"[,\s]+", piece.strip(", "))
        if piece in self._indices or all(map(_INDEX.fullmatch, numbers)):
            return [piece] if piece in self._indices else numbers
        for separator in _SEPARATORS:
            words, found = [word for word in piece.split(separator) if word.strip()], []
            while words:  # the longest name first: it may hold the separator
                names = [separator.join(words[:end]).strip() for end in range(len(words), 0, -1)]
                name = next((each for each in names if each in self._indices or _INDEX.fullmatch(each)), None)
                if name is None:
                    break
                found.append(name)
                words = words[len(names) - names.index(name) :]
            if found and not words:
                return found
        words = [word.strip() for word in piece.split(",")]
        return words if any(word in self._indices for word in words) else [piece]

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


def listed_labels(cell: str) -> list[int | str] | None:
    """The labels of a cell written as a list: JSON's, Python's, numpy's, or without quotes; None where it is none.

    True and false are whether the video is of each class. Nothing is evaluated.
    """
    called = re.fullmatch(r"(?:array|set|frozenset)\((.*?)(?:, dtype=.*)?\)", cell)
    cell = (called[1].strip() or "[]") if called else cell
    if not re.fullmatch(r"\[.*\]|\{.*\}|\(.*\)", cell):
        return None
    texts = re.sub(r"""(?<=['"])\s+(?=['"])""", ", ", cell)  # numpy's; Python joins texts side by side
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            values = read(texts)
            break
    else:
        if cell[0] == "(":
            return None  # a name in brackets
        inside = cell[1:-1].strip()
        values = [
            each.strip(" '\"") for each in inside.split("," if re.search(r"[^\d\s.]", inside) else None)
        ]
    values = [values] if isinstance(values, str | int) else values
    if (isinstance(values, dict) and values) or not all(isinstance(each, str | int) for each in values):
        raise DataError(f"{shorten(cell)!r} is no list of class numbers or names. Use semicolons.")
    if "..." in values:
        raise DataError(f"{shorten(cell)!r} was shortened when it was printed. Write all of it.")
    if values and all(isinstance(each, bool) for each in values):
        return [number for number, each in enumerate(values) if each]
    return [plain_text(each) if isinstance(each, str) else int(each) for each in values]


def find_classes(given, num_classes: int | None, table: Table, source) -> Classes:
    """The classes of a vocabulary's table, a file of one name a line, a data set, or names; else those of `table`."""
    file, listed = None, given is not None and not isinstance(given, str | os.PathLike)
    path = None if given is None or listed else readable_path(given)
    if listed:
        names, source = dict(enumerate(given)), "the classes given"
    elif path is not None and is_folder(path):
        dataset = open_dataset(path)
        if num_classes not in (None, dataset.num_classes):
            raise UsageError(f"{path} has {dataset.num_classes} classes, --num-classes is {num_classes}.")
        num_classes, file = dataset.num_classes, schema.read_dataset_toml(path).vocabulary
        file = posixpath.join(path, file) if file else schema.find_vocabulary(path)
        names = schema.read_vocabulary(file).names if file else {}
    elif path is not None and path.lower().endswith(".csv"):
        names, file = schema.read_vocabulary(path).names, path
    elif path is not None:
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").rstrip().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as text ({shorten(error)}).") from error
        names = dict(enumerate(lines))
        if not names:
            raise DataError(f"{path} names no class. Give one name a line, class 0 first.")
    else:
        names = dict(enumerate(table.classes or _names_in(table.cells.get("labels", {}), source)))
        if table.classes and all(map(_INDEX.fullmatch, table.classes)):
            names, num_classes = {}, num_classes or max(map(int, table.classes)) + 1
    named, source = max(names, default=-1) + 1, path or source
    if num_classes is not None and num_classes < max(named, 1):
        raise UsageError(f"{source or 'Nothing'} names {named} classes, --num-classes is {num_classes}.")
    if listed and not (named or num_classes):
        raise UsageError("No class is given. Give their names, or how many they are (`num_classes`).")
    return Classes(names, num_classes or named or None, source, file)


def _names_in(labels: Mapping[str, Iterable[str]], source) -> list[str]:
    """The names in the cells of a table, sorted."""
    nameless, sure, loose, several = Classes({}, None, source), set(), set(), False
    for cell in {cell for cells in labels.values() for cell in cells}:
        listed = listed_labels(cell)
        pieces = nameless.split(cell) if listed is None else listed
        (loose if listed is None else sure).update(map(str, pieces))
        several = several or listed is not None or bool(re.search("[;|]", cell))
    numbers = {piece for piece in sure | loose if _INDEX.fullmatch(piece)}
    names = (sure | _divided(loose - sure - numbers, sure, several, source)) - numbers
    if wrong := [piece for piece in sorted(names | numbers) if names and _NUMBER_LIKE.fullmatch(piece)]:
        raise DataError(
            f"{source}: the label {shorten(wrong[0])!r} is neither a name among names nor a whole number among "
            "numbers. Write all as one or the other, or give the names (`--classes FILE`)."
        )
    return sorted(names)


def _divided(names: set[str], sure: set[str], several: bool, source) -> set[str]:
    """The names that some texts hold: several between separators, where each of these is elsewhere a name of its own.

    A comma without a blank is always a separator; one with a blank is where what it separates is also otherwise
    combined. Raises `DataError` where this stays open, unless `several` shows that other separators are used.
    """
    for separator in _SEPARATORS:
        lists = {name: [*map(str.strip, name.split(separator))] for name in names if separator in name}
        alone, places = (
            names - lists.keys(),
            Counter(word for each in lists.values() for word in {*each} if word),
        )
        known = places.keys() <= alone | sure
        if separator == "," and lists and not (known or several):
            elsewhere = alone | sure | {word for word, count in places.items() if count > 1}
            known = ", " not in "\n".join(lists) or places.keys() <= elsewhere
            if not known:
                raise DataError(
                    f"{source}: {shorten(min(lists))!r} may be one class or several. Separate labels by semicolons, or "
                    "give the names of the classes (`--classes FILE`)."
                )
        names = alone | places.keys() if known else names
    return names


def find_split(text: str) -> str:
    """The split that a text names, as ``"Validation"`` or ``"val"``; raises `DataError` where it is none."""
    if split := split_of(text.strip(), alone=True):
        return split
    raise DataError(f"there is no split {shorten(text)!r}.{nearest(text, SPLITS)} Known: {SPLITS}.")


def parse_shares(text: str) -> dict[str, float]:
    """``"train=0.8,tuning=0.1,val=0.1"`` → split → share."""
    shares: dict[str, float] = {}
    for piece in text.split(","):
        name, _, share = (word.strip() for word in piece.partition("="))
        split = split_of(name, alone=True) or choose({each: each for each in SPLITS}, name, what="split")
        if split in shares:
            raise UsageError(f"--split: {shorten(text)!r} has two shares of {split}. Give one.")
        shares[split] = float(share) if re.fullmatch(r"[0-9]*\.?[0-9]+", share, re.ASCII) else 0.0
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
    allow_clipping: bool

    def __post_init__(self) -> None:
        self.ids, self.sizes, self.cut = set(), {}, 0
        # Videos whose split names of folders state, and those for which another source states another; unlabelled.
        self.named, self.overruled, self.unlabelled = 0, 0, 0
        # Modalities that hold other numbers than bytes do; of each its lowest and highest value.
        self.fractions, self.ranges = set(), {}
        self.counts, self.splits = Counter(), Counter()  # records by shard, videos by split
        # By modality: values coded as bytes, those of them that were clipped, videos that have it.
        self.values, self.clipped, self.present = Counter(), Counter(), Counter()

    def add(self, video: ImportedVideo, folder: Path) -> None:
        """Write one video; raises DataError, with file and record, where it cannot be taken."""
        video = video._replace(id=plain_text(video.id))
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
        self._append(folder, shard, record)
        self.splits[split] += 1

    def _append(self, folder: Path, shard: str, record: bytes) -> None:
        with (folder / shard).open("ab") as file:
            file.write(frame_record(record))
        self.counts[shard] += 1

    def finish(self, folder: Path) -> None:
        """Refuse what only all videos together show, and write a split that has to be divided in enough shards."""
        if not self.splits:
            raise DataError("The sources hold no videos. Nothing was written.")
        if not self.classes.count:
            raise DataError("No video has a label: give --num-classes or --classes, those of the model.")
        if 0 < self.unlabelled < self.splits[UNLABELLED]:
            raise DataError(
                f"Of the {self.splits[UNLABELLED]:,} videos in the split {UNLABELLED}, {self.unlabelled:,} have no "
                "labels, and would count as of no class. Label all, or import them apart."
            )
        self.classes.check()
        for name in self.ranges:
            self._check_range(name, MOST_CLIPPED)
        split = "train" if "train" in self.splits else "validate"
        shards = sorted(shard for shard in self.counts if shard.startswith(split))
        if 0 < len(shards) < FEW_SHARDS and not {"train", "tuning", "validate"} <= self.splits.keys():
            turns = iter(np.random.default_rng(0).permutation(self.splits[split]) % FEW_SHARDS)
            for shard in shards:
                del self.counts[shard]
                (folder / shard).rename(folder / f".{shard}")
            for shard in shards:
                for record in read_records(folder / f".{shard}"):
                    self._append(folder, f"{split}{next(turns):05d}.tfrecord", record)
                (folder / f".{shard}").unlink()

    def _describe(self, video: ImportedVideo) -> tuple[str, list[int] | None, dict | None]:
        """Split, classes and texts of a video."""
        if video.id in self.ids:
            raise DataError("a video of this id came before. Give every video an id of its own.")
        self.ids.add(video.id)
        cells = {name: column.get(video.id) for name, column in self.table.items()}
        labels, known = cells.get("labels", video.labels), {*map(find_split, cells.get("split") or [])}
        if len(known) > 1:
            raise DataError(f"it is in several splits: {', '.join(sorted(known))}. Give it one.")
        stated = [*known, *([find_split(video.split)] if video.split else []), *filter(None, [video.named])]
        split = stated[0] if stated else None
        self.named += stated == [video.named]
        self.overruled += len({*stated}) > 1
        if labels is None and split != UNLABELLED and (split or "labels" in self.table):
            hint = nearest(video.id, islice(self.table.get("labels", {}), 10_000))
            raise DataError(
                f"it has no labels. Give some (an empty cell: none), or the split {UNLABELLED}.{hint}"
            )
        if "text" in self.table and TEXT in video.features:
            raise DataError("text is a column of the table and a modality of the sources (`--modalities`).")
        texts = {TEXT: cells["text"]} if cells.get("text") else None
        if labels is None:
            self.unlabelled += 1
            return UNLABELLED, None, texts
        if split is None:  # by the id alone, so that it is the same in every import with the same shares
            place = int.from_bytes(hashlib.sha256(video.id.encode()).digest()[:7], "big") / 2**56
            ends = np.cumsum([*self.shares.values()])[:-1]
            split = [*self.shares][int(np.searchsorted(ends, place, side="right"))]
        return split, sorted(self.classes.indices(labels)), texts

    def _encode(self, features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Key in the record → the array to write, uint8 or float32."""
        for name, array in features.items():
            if array.dtype.kind in "iu" and array.dtype != np.uint8 and array.size:
                low, high = int(array.min()), int(array.max())
                fits = "YouTube-8M's bytes as `array.astype(np.uint8)`, others as " * (
                    low >= 0 and high <= 255
                )
                raise DataError(
                    f"{shorten(name)} holds {array.dtype}, from {low} to {high}. Save {fits}"
                    "`array.astype(np.float32)`, for `--coding float` where they are beyond [-2, 2]."
                )
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
        if name not in self.fractions:  # the first values of another kind settle it
            whole = ((array >= 0) & (array <= 255) & (np.rint(array) == array)).all()
            self.fractions |= set() if whole else {name}
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
        ends = [*self.ranges.get(name, ()), float(array.min()), float(array.max())]
        self.ranges[name] = min(ends), max(ends)
        if in_bytes:
            self.values[name] += array.size
            self.clipped[name] += count_clipped(array)
        if self.present[name] == EARLY:  # not all of them, where most are wrong
            self._check_range(name, 0.5)
        return quantize(array) if in_bytes else array

    def _check_range(self, name: str, most: float) -> None:
        """Raise `DataError` where more than a share of a modality's values is clipped, or all look like bytes."""
        (low, high), share = self.ranges[name], self.clipped[name] / max(1, self.values[name])
        whole = name not in self.fractions and self.coding != "float" and high > 2
        if not self.allow_clipping and (share > most or whole):
            clipped = (
                f": {self.clipped[name]:,} of {self.values[name]:,} values ({share:.1%}) would be clipped"
            )
            cause = "They may be activations that were not whitened as YouTube-8M's: scale them"
            if whole:
                cause = "All are whole: save bytes as YouTube-8M's as such (`array.astype(np.uint8)`), scale others"
            raise DataError(
                f"{name} is from {low:g} to {high:g}, beyond the [-2, 2] of YouTube-8M's coding"
                f"{clipped * bool(share)}. {cause}, keep them (`--coding float`), or accept it (`--allow-clipping`)."
            )

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
        names = list(self.classes.names.values())
        listed = f": {shorten(', '.join(names[:20]), 100)}" if names else ", by their numbers"
        yield f"{counted(self.classes.count, 'class', 'classes')}{listed}."
        if self.classes.example:
            cell, pieces = self.classes.example
            yield f"Several labels in a cell: {shorten(cell)!r} is {shorten(' and '.join(map(repr, pieces)), 80)}."
        yield f"The modalities: {', '.join(f'{name} ({size:,})' for name, size in self.sizes.items())}."
        if self.named:
            yield f"The names of folders or files state the split of {counted(self.named, 'video')}."
        if self.overruled:
            winner = self.source if "split" in self.table else "what is inside the files"
            yield f"Of {counted(self.overruled, 'video')} several splits are stated; that of {winner} is taken."
        if self.unlabelled:
            yield f"Without labels: {counted(self.unlabelled, 'video')}, in the split {UNLABELLED}."
        for name, clipped in (+self.clipped).items():
            values, share = self.values[name], clipped / self.values[name]
            yield f"{name}: {clipped:,} of {values:,} values ({share:.3%}) were clipped to [-2, 2]."
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
