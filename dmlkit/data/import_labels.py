"""Labels of features computed elsewhere: the table of labels, the classes, and several labels in a cell."""

from __future__ import annotations

import ast
import csv
import json
import math
import os
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import dmlkit.data.schema as schema
from dmlkit.data.import_readers import canonical
from dmlkit.data.opening import open_dataset, split_of
from dmlkit.data.schema import SPLITS, TEXT
from dmlkit.data.storage import is_folder, readable_path
from dmlkit.errors import DataError, UsageError, counted, nearest, plain_text, shorten

COLUMNS = ("id", "labels", "split", TEXT)  # of the table
# Names of columns that are the id, the labels or the text where no column is called so.
OTHER_NAMES = {
    **dict.fromkeys(("name", "filename", "file_name", "file", "path", "video", "clip", "key"), "id"),
    **dict.fromkeys(("tag", "tags", "category", "categories", "target", "targets"), "labels"),
    TEXT: TEXT,
}
_HOT = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
_INDEX = re.compile(r"[0-9]{1,9}", re.ASCII)
# Other numbers than indices, also within a text ("Dog 0.9"), and missing values are no names.
_NO_NAME = re.compile(r"[-+.]?\d[\d.e+-]*|nan|null|<na>|#?n/?a|(.*[\s:=])?-?\d*\.\d+([\s:=].*)?", re.I | re.A)
_FILE = re.compile(r".*[/\\]|\.(mp4|m4v|avi|mkv|mov|webm|wmv|flv|mpe?g|wav|npy|npz)$", re.IGNORECASE)


class Table(NamedTuple):
    """A CSV about videos: those of `COLUMNS` that it has → id → the distinct cells of that video.

    `classes` are the names of its columns of 0 and 1, `aside` those of the columns that are not used, `called` those
    that are `COLUMNS` under other names. `stems` are the ids without folders and endings of files
    (``"clips/v1.mp4"``: v1) → the ids, where one alone has each.
    """

    cells: Mapping[str, Mapping[str, list[str]]]
    classes: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    stems: Mapping[str, str] = {}

    def find(self, video: str, modalities: Iterable[str]) -> str:
        """The id in the table of a video: the same, or without folders, ending or modality of a file."""
        if video in self.cells.get("id", ()):
            return video
        stem = _FILE.sub("", video)
        stems = (stem, *(re.sub(f"[_.-]{name}$", "", stem) for name in modalities))
        return next((self.stems[each] for each in stems if each in self.stems), video)

    def notes(self, found: Collection[str], ids: Collection[str]) -> Iterator[str]:
        """What the table has otherwise than the videos, of which it has `found` and which have `ids`."""
        known = {*self.cells.get("id", ())}
        if self.called:
            yield f"has {shorten(', '.join(self.called), 80)}."
        if other := known.intersection(found).difference(ids):
            yield f"has {counted(len(other), 'id')} with other folders or endings of files, as {shorten(min(other))}."
        if unused := sorted(known.difference(found)):
            yield f"names {counted(len(unused), 'video')} not there: {shorten(', '.join(unused))}."


def read_labels(path: Path) -> Table:
    """Read a CSV about videos, separated by commas, semicolons, tabs or bars, as its first line shows."""
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
        options = {"header": None, "dtype": str, "keep_default_na": False, "skipinitialspace": True}
        table = pd.read_csv(path, sep=max(",;\t|", key=first.count), encoding="utf-8-sig", **options)
    except (OSError, ValueError, csv.Error) as error:  # pandas' own errors are ValueErrors
        advice = "Save it as UTF-8, with quotes around cells that hold a separator."
        raise DataError(f"{path} cannot be read as a table: {shorten(error, 120)}. {advice}") from error
    table = table.fillna("").map(str.strip)
    try:
        return _table(table.loc[:, (table != "").any()])
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _table(table) -> Table:
    """The table in a data frame of texts whose first row is its header."""
    names = canonical([plain_text(name) or "(no name)" for name in table.iloc[0]], OTHER_NAMES)
    table = table.iloc[1:].set_axis([*names], axis="columns")
    if "split" not in names:
        stating = _stating_splits(table)
        table = table.rename(columns=stating)
        names |= {known: name for name, known in stating.items()}
    others = [name for name in table if name not in COLUMNS]
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
    count = Counter(stems := [_FILE.sub("", video) for video in cells["id"]])
    stems = {stem: video for stem, video in zip(stems, cells["id"], strict=True) if count[stem] == 1}
    called = [f"{names[each]} as {each}" for each in columns if names.get(each, each).lower() != each]
    return Table(cells, (*hot,), tuple(name for name in others if name not in hot), (*called,), stems)


def _stating_splits(table) -> dict[str, str]:
    """The one column of a table, if any, whose cells are all splits, whatever it is called → split."""
    others = [name for name in table if name not in COLUMNS]
    cells = {name: {*map(str.lower, table[name].unique())} - {""} for name in others}
    splits = {name: {split_of(cell, alone=True) for cell in each} for name, each in cells.items()}
    found = [name for name, each in splits.items() if each and None not in each]
    if flags := [name for name, each in cells.items() if split_of(name) and each <= {*_HOT}] or found[1:]:
        wanted = f"Write one column `split`, of {', '.join(SPLITS)}."
        raise DataError(f"the column {flags[0]} seems to state splits. {wanted}")
    return dict.fromkeys(found, "split")


def _hot_columns(table):
    """The columns of 0 and 1, one a class, as booleans, where there are two or more."""
    import pandas as pd

    known = {
        name: {each: _HOT.get(each.lower()) for each in column.unique()} for name, column in table.items()
    }
    bits = {name: table[name].map(known[name]) for name in table}
    hot = [name for name, column in bits.items() if column.notna().all()]
    for name in table.columns.difference(hot) if len(table.columns) > 1 else ():
        wrong = table[name][bits[name].isna()]
        if (pd.to_numeric(wrong, errors="coerce").between(0, 1) | (wrong == "")).all():
            example = f"{shorten(name)} holds {shorten(wrong.iloc[0])!r}"
            raise DataError(f"{example}, a class's column 0 or 1 in every row. Correct or remove the column.")
    return pd.DataFrame({name: bits[name].astype(bool) for name in hot if len(hot) > 1}, index=table.index)


class Classes:
    """The classes: index → name where there are names, and how many (None: as the labels show).

    `source` is what names them, `file` the vocabulary's table, where there is one; `used` are those of the videos.
    """

    def __init__(self, names: Mapping[int, str], num_classes: int | None, source, file: str | None = None):
        self.names = {index: plain_text(name) for index, name in names.items()}
        self.num_classes, self.source, self.file = num_classes, source, file
        self.used: set[int] = set()
        self.example: tuple[str, list] | None = None  # a cell of several labels, and these
        self._indices = {name: index for index, name in self.names.items()}
        self._repeated = {name for name, count in Counter(self.names.values()).items() if count > 1}
        self._pairs: set[tuple[int, ...]] = set()  # what two labels the videos have, where they are 0 and 1

    @property
    def count(self) -> int:
        """How many classes there are."""
        return max(self.used, default=-1) + 1 if self.num_classes is None else self.num_classes

    def indices(self, labels: Iterable[int | str]) -> list[int]:
        """A video's classes, each once, of indices, texts (`split`), or true and false for each class.

        A text is a name where there is such a class, else an index. Raises `DataError` for what is neither, and for
        vectors of 0 and 1.
        """
        pieces = []
        for each in labels:
            found = self.split(plain_text(each)) if isinstance(each, str) else [each]
            pieces += found
            if len(found) > 1 and self.example is None:
                self.example = each, found
        if pieces and all(isinstance(piece, bool) for piece in pieces):
            self.num_classes = self.num_classes or len(pieces)
            if len(pieces) != self.num_classes:
                raise DataError(f"true and false are of {len(pieces)} classes, not of {self.num_classes}.")
            pieces = [*compress(range(len(pieces)), pieces)]
        classes = [self._index(piece) for piece in pieces]
        if {*map(str, pieces)} <= {"0", "1"}:
            if len({*classes}) < len(classes):
                raise DataError(
                    f"labels {shorten(', '.join(map(str, pieces)))} repeat, as a vector of 0 and 1 does. Give the "
                    "numbers of its ones (`np.flatnonzero`), or true and false (`.astype(bool)`)."
                )
            self._pairs.add(tuple(classes) if len(classes) == 2 else ())
        self.used.update(classes)
        return list(dict.fromkeys(classes))

    def check(self) -> None:
        """Raise `DataError` where all labels seen were 0 and 1 in either order: vectors over two classes."""
        if self._pairs == {(0, 1), (1, 0)}:
            raise DataError(
                "the labels of all videos look like vectors over two classes. Give class numbers."
            )

    def notes(self) -> Iterator[str]:
        """How many classes there are, their first names, and what is unusual about them."""
        names = [*self.names.values()]
        listed = f": {shorten(', '.join(names[:20]), 100)}" if names else ", by their numbers"
        highest = ", up to the highest label" if self.num_classes is None else ""
        yield f"{counted(self.count, 'class', 'classes')}{listed}{highest}."
        if self.used and (unseen := self.count - len(self.used)):
            yield f"Of no video here: {counted(unseen, 'class', 'classes')}."
        alike = Counter(map(str.casefold, names))
        if same := [name for name in names if name and alike[name.casefold()] > 1]:
            yield f"Names of classes that differ in capitals alone: {shorten(', '.join(same), 80)}."
        if self.example:
            cell, pieces = self.example
            yield f"Several labels in a cell: {shorten(cell)!r} is {shorten(' and '.join(map(repr, pieces)), 80)}."

    def split(self, cell: str) -> list[int | str | bool]:
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


def listed_labels(cell: str) -> list[int | str | bool] | None:
    """The labels of a cell written as a list of JSON's, Python's or numpy's; None where it is none.

    True and false are whether the video is of each class. Nothing is evaluated. Raises `DataError` for other lists.
    """
    called = re.fullmatch(r"(?:array|tensor|set|frozenset)\((.*?)(?:, dtype=.*)?\)", cell)
    cell = (called[1].strip() or "[]") if called else cell
    if not re.fullmatch(r"\[.*\]|\{.*\}|\(.*\)", cell):
        return None
    cell = re.sub(r"np\.\w+\((.*?)\)", r"\1", cell)  # [np.int64(0), np.int64(1)]
    quoted, values = re.search("['\"]", cell), None
    commas = re.sub(
        r"""(?<=['"])\s+(?=['"])""" if quoted else r"(?<=\w)\s+(?=\w)", ", ", cell
    )  # numpy has none
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            values = read(commas)
            break
    if values is None and cell[0] == "(":
        return None  # a name in brackets
    values = (
        [values] if isinstance(values, str | int | None) or (isinstance(values, dict) and values) else values
    )
    if not all(isinstance(each, str | int) and each != "..." for each in values):
        raise DataError(f"{shorten(cell)!r} is no whole list of class numbers or names. Use semicolons.")
    return [plain_text(each) if isinstance(each, str) else each for each in values]


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
            names = dict(enumerate(Path(path).read_text(encoding="utf-8-sig").rstrip().splitlines()))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as text ({shorten(error)}).") from error
        if not names:
            raise DataError(f"{path} names no class. Give one name a line, class 0 first.")
    elif table.classes and all(map(_INDEX.fullmatch, table.classes)):
        names, num_classes = {}, num_classes or max(map(int, table.classes)) + 1
    else:
        cells = {cell for cells in table.cells.get("labels", {}).values() for cell in cells}
        try:
            names = dict(enumerate(table.classes or sorted(_names_in(cells))))
        except DataError as error:
            raise DataError(f"{source}: {error}") from None
    named, source = max(names, default=-1) + 1, path or source
    if num_classes is not None and num_classes < max(named, 1):
        raise UsageError(f"{source or 'Nothing'} names {named} classes, --num-classes is {num_classes}.")
    if listed and not (named or num_classes):
        raise UsageError("No class is given. Give their names, or how many they are (`num_classes`).")
    return Classes(names, num_classes or named or None, source, file)


def _names_in(cells: Iterable[str]) -> set[str]:
    """The names in the cells of a table; none where all labels are numbers."""
    listed = {cell: listed_labels(cell) for cell in cells}
    sure = {str(label) for labels in listed.values() for label in labels or () if not isinstance(label, bool)}
    loose = {piece for cell, labels in listed.items() if labels is None for piece in _pieces(cell)}
    numbers = {number for piece in sure | loose for number in _numbers(piece) or ()}
    several = any(labels is not None or re.search("[;|]", cell) for cell, labels in listed.items())
    names = (sure - numbers) | _divided({piece for piece in loose if not _numbers(piece)}, sure, several)
    if wrong := [piece for piece in sorted(names | numbers) if names and _NO_NAME.fullmatch(piece)]:
        raise DataError(
            f"the label {shorten(wrong[0])!r} is neither a name among names nor a whole number among numbers. Write "
            "all as one or the other, or give the names (`--classes FILE`)."
        )
    if all(re.fullmatch("[01]{2,}", number) for number in numbers) and min(numbers, default="1")[0] == "0":
        raise DataError(
            f"{min(numbers)!r} looks like a row of 0 and 1. Separate these, or give class numbers."
        )
    return names


def _divided(names: set[str], sure: set[str], several: bool) -> set[str]:
    """The names in some texts, several of them between commas, where that is clear; `sure` are the names in lists.

    It is clear where no comma is followed by a blank, or each part is also a text of its own or part of another.
    Raises `DataError` where it is not, and where parts between other signs, or words, are such; `several` shows that
    another separator is used.
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
    raise DataError(
        f"there is no split {shorten(text)!r}.{nearest(text, SPLITS)} Known: {', '.join(SPLITS)}."
    )
