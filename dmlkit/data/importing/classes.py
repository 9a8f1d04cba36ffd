"""Labels as they come, numbers or names, into numbers of classes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dmlkit.data.schema import read_vocabulary
from dmlkit.errors import DataError, nearest
from dmlkit.text import one_line, shorten

FILE = "vocabulary.csv"


@dataclass
class Classes:
    """The classes there are.

    Attributes:
        names: Class → name; empty where only numbers are known.
        num_classes: How many; None where the highest label tells.
        source: What names came from, for messages.
    """

    names: dict[int, str] = field(default_factory=dict)
    num_classes: int | None = None
    source: str = "--classes"
    highest: int = -1

    def __post_init__(self) -> None:
        self._numbers: dict[str, list[int]] = {}
        for number, name in self.names.items():
            self._numbers.setdefault(name, []).append(number)

    def numbers(self, labels: Sequence[int] | Sequence[str], where: str) -> list[int]:
        """A video's classes, as they come and each once.

        Raises:
            DataError: A class there is not.
        """
        found = []
        for label in labels:
            found += [label] if isinstance(label, int) else self._said(label, where)
        for number in found:
            if number < 0 or (self.num_classes is not None and number >= self.num_classes):
                there = "counted from 0" if self.num_classes is None else f"0 to {self.num_classes - 1}"
                raise DataError(
                    f"{where}: there is no class {number}, they are {there}. Correct the label, or the "
                    "number of classes."
                )
        self.highest = max([self.highest, *found])
        return list(dict.fromkeys(found))

    @property
    def count(self) -> int:
        """How many classes: as told, or one more than the highest label met."""
        return self.num_classes if self.num_classes is not None else self.highest + 1

    def _said(self, label: str, where: str) -> list[int]:
        found = []
        for piece in pieces(label):
            if piece in self._numbers:
                found.append(self._named(piece, where))
            elif is_number(piece):
                found.append(int(piece))
            elif all(word in self._numbers or is_number(word) for word in piece.split()):
                found += [
                    int(word) if is_number(word) else self._named(word, where) for word in piece.split()
                ]
            else:
                raise DataError(self._unknown(piece, where))
        return found

    def _named(self, name: str, where: str) -> int:
        numbers = self._numbers[name]
        if len(numbers) > 1 or (is_number(name) and int(name) != numbers[0]):
            also = (
                f"classes {numbers[0]} and {numbers[1]}"
                if len(numbers) > 1
                else f"class {numbers[0]}, and a number"
            )
            raise DataError(
                f"{where}: {shorten(name)!r} is the name of {also}. Write the numbers of classes instead."
            )
        return numbers[0]

    def _unknown(self, piece: str, where: str) -> str:
        if not self.names:
            return (
                f"{where}: the label {shorten(piece)!r} is no number, and there are no names of classes. "
                "Say which number each name has (`--classes FILE`)."
            )
        hint = nearest(piece, self._numbers)
        return f"{where}: there is no class {shorten(piece)!r} in {self.source}.{hint} Names are parted by semicolons."


def pieces(cell: str) -> list[str]:
    """The labels in a cell, which semicolons part; numbers may be parted by spaces too."""
    parted = [piece.strip() for piece in cell.split(";")]
    found = []
    for piece in filter(None, parted):
        words = piece.split()
        found += words if all(map(is_number, words)) else [piece]
    return found


def is_number(word: str) -> bool:
    """Whether a label is the number of a class."""
    return word.isascii() and word.isdigit() and len(word) < 10


def read_classes(path: Path) -> Classes:
    """The names of the classes: a vocabulary's table (`.csv`), or one name a line.

    Raises:
        DataError: The file is missing, or neither.
    """
    if path.suffix.lower() == ".csv":
        names = read_vocabulary(str(path)).names
        return Classes(names, max(names) + 1, str(path))
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as text ({shorten(error)}). Give one name of a class a line."
        ) from error
    if not lines:
        raise DataError(f"{path} names no class. Give one name a line, class 0 first.")
    return Classes({number: one_line(line) for number, line in enumerate(lines)}, len(lines), str(path))


def gathered(cells: Iterable[str], source: Path) -> Classes:
    """The classes of labels that nothing else names: numbers as they are, or names numbered by the alphabet.

    Raises:
        DataError: Numbers and names are mixed.
    """
    said = {piece for cell in cells for piece in pieces(cell)}
    names = sorted(piece for piece in said if not is_number(piece))
    if not names:
        return Classes(source=str(source))
    strange = next((piece for piece in names if _half_a_number(piece)), None)
    if strange is not None or len(names) < len(said):
        example = strange or next(piece for piece in sorted(said) if is_number(piece))
        raise DataError(
            f"{source}: the label {shorten(example)!r} is neither a name among names nor a whole number "
            "from 0 among numbers. Write all as the one or the other, or say which number each name has "
            "(`--classes FILE`)."
        )
    return Classes(dict(enumerate(names)), len(names), str(source))


def vocabulary(names: dict[int, str], videos: dict[int, int]) -> bytes:
    """A vocabulary.csv: class, how many training videos have it, name."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("Index", "TrainVideoCount", "Name"))
    writer.writerows((number, videos.get(number, 0), name) for number, name in sorted(names.items()))
    return table.getvalue().encode()


def _half_a_number(piece: str) -> bool:
    try:
        float(piece)
    except ValueError:
        return False
    return True
