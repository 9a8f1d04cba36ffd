"""The names of the classes, from the vocabularies the data sets come with."""

from __future__ import annotations

import csv
import io
import posixpath
from dataclasses import dataclass

from dmlkit.data.files import exists, read_whole
from dmlkit.errors import DataError
from dmlkit.text import one_line, shorten

FILES = ("vocabulary.csv", "label_names.csv", "class_labels_indices.csv")
INDEX_COLUMNS = ("Index", "index", "label_id")
NAME_COLUMNS = ("Name", "name", "display_name", "label_name")
KIND_COLUMN = "Kind"


@dataclass(frozen=True)
class Vocabulary:
    """What a vocabulary file says: class → name, and class → kind where there is such a column."""

    names: dict[int, str]
    kinds: dict[int, str]

    @property
    def num_classes(self) -> int:
        """One more than the highest class named."""
        return max(self.names) + 1

    def class_names(self, num_classes: int) -> tuple[str, ...]:
        """A name for each class; ``"class 17"`` where the file has none."""
        return tuple(self.names.get(index) or f"class {index}" for index in range(num_classes))

    def class_kinds(self, num_classes: int) -> tuple[str, ...] | None:
        """A kind for each class; None where the file has no such column."""
        if not self.kinds:
            return None
        return tuple(self.kinds.get(index, "") for index in range(num_classes))


def find_vocabulary(root: str) -> str | None:
    """The path of the first known vocabulary file in a folder."""
    paths = [posixpath.join(root, name) for name in FILES]
    return next((path for path in paths if exists(path)), None)


def vocabulary_of(root: str, named: str | None) -> Vocabulary | None:
    """The vocabulary of a data set: the file that its dataset.toml names, else a known one in its folder, else None.

    Raises:
        DataError: The file is missing, or not such a table.
    """
    path = posixpath.join(root, named) if named else find_vocabulary(root)
    return read_vocabulary(path) if path else None


def read_vocabulary(path: str) -> Vocabulary:
    """Read YouTube-8M's vocabulary (2018), its label names (2017), AudioSet's class labels, or our own.

    Raises:
        DataError: The file is missing, or not such a table.
    """
    if not exists(path):
        raise DataError(
            f"There is no vocabulary {path}. Put it there, or correct `vocabulary` in dataset.toml."
        )
    return parse_vocabulary(read_whole(path), path)


def parse_vocabulary(table: bytes, source: str) -> Vocabulary:
    """The same of a file's bytes.

    Args:
        table: The bytes.
        source: Where they are from, for messages.

    Raises:
        DataError: They are not such a table.
    """
    try:
        return _parsed(csv.DictReader(io.StringIO(table.decode("utf-8-sig", "replace"), newline="")), source)
    except csv.Error as error:
        raise DataError(f"{source} is not a vocabulary: it is no CSV ({error}).") from error


def _parsed(rows: csv.DictReader, source: str) -> Vocabulary:
    columns = rows.fieldnames or []
    index = next((name for name in INDEX_COLUMNS if name in columns), None)
    label = next((name for name in NAME_COLUMNS if name in columns), None)
    if index is None or label is None:
        raise DataError(
            f"{source} is not a vocabulary: it needs a column of class numbers ({', '.join(INDEX_COLUMNS)}) and one of "
            f"names ({', '.join(NAME_COLUMNS)}). Its columns are: {shorten(', '.join(columns), 200) or 'none'}."
        )
    names: dict[int, str] = {}
    kinds: dict[int, str] = {}
    for row in rows:
        try:
            number = int(row[index])
        except (TypeError, ValueError):
            number = -1
        if number < 0:
            raise DataError(
                f"{source}, line {rows.line_num}: {shorten(row[index])!r} is not the number of a class. Correct it."
            )
        names[number] = one_line(row[label] or "")
        if KIND_COLUMN in columns:
            kinds[number] = one_line(row[KIND_COLUMN] or "")
    if not names:
        raise DataError(f"The vocabulary {source} names no class. Take it out, or put the full file there.")
    return Vocabulary(names, kinds)
