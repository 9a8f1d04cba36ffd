"""What a CSV says of videos: their labels, the part of the data set they belong to, their texts."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from dmlkit.errors import DataError
from dmlkit.text import shorten

ID_COLUMNS = ("id", "video_id", "VideoId")
LABEL_COLUMNS = ("labels", "label", "classes", "class")
SPLIT_COLUMN = "split"
TEXT_COLUMN = "text"


@dataclass
class LabelTable:
    """One CSV, read.

    Attributes:
        path: The file.
        labels: Video → the cells of its rows; None where the table has no such column.
        texts: Video → the cells of its texts, none empty or twice; None where the table has no such column.
        parts: Video → its part, where it says so.
        ids: The videos it knows.
    """

    path: Path
    labels: dict[str, list[str]] | None
    texts: dict[str, list[str]] | None = None
    parts: dict[str, str] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)


def read_labels(path: Path) -> LabelTable:
    """A CSV with the columns `id` and any of `labels`, `split`, `text`; a video may have a row for each of its labels.

    Raises:
        DataError: The file is missing or no such table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(path, csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read as a table of labels ({shorten(error, 120)}). Save it as CSV in UTF-8."
        ) from error


def _read(path: Path, rows: csv.DictReader) -> LabelTable:
    columns = rows.fieldnames or []
    key = next((name for name in ID_COLUMNS if name in columns), None)
    label = next((name for name in LABEL_COLUMNS if name in columns), None)
    split = SPLIT_COLUMN if SPLIT_COLUMN in columns else None
    text = TEXT_COLUMN if TEXT_COLUMN in columns else None
    if key is None or not (label or split or text):
        raise DataError(
            f"{path} needs a first line that names its columns: id, and labels, split, text or several of them. It "
            f"begins with: {shorten(','.join(columns), 80) or 'nothing'}."
        )
    table = LabelTable(path, labels={} if label else None, texts={} if text else None)
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        name = (row[key] or "").strip()
        if not name:
            raise DataError(f"{where}: there is no id. Give the video's, or take the line out.")
        if row.get(None) or None in row.values():
            raise DataError(
                f"{where} has not as many cells as the first line ({len(columns)}). Part labels by spaces "
                "or semicolons, or put them in quotes."
            )
        table.ids.add(name)
        if label:
            table.labels.setdefault(name, []).append(row[label])
        said = row[text].strip() if text else ""
        if said and said not in table.texts.setdefault(name, []):
            table.texts[name].append(said)
        part = (row[split] or "").strip() if split else ""
        if part and table.parts.setdefault(name, part) != part:
            raise DataError(
                f"{where}: {shorten(name)} is in two parts, {shorten(table.parts[name])} and "
                f"{shorten(part)}. Leave it in one."
            )
    return table
