"""Runs as a table of a terminal: at most `WIDE` characters a line wherever the folders' names leave room."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from dmlkit.text import shorten

WIDE = 100
GAP = "  "

# Column → how a row of `dmlkit.runs.run_row` is shown in it; numbers stand at the right.
COLUMNS = {
    "name": lambda row: shorten(row["name"], 30),
    "gap": lambda row: f"{row['gap']:.4f}",
    "95 % interval": lambda row: f"{row['gap_low']:.4f} {row['gap_high']:.4f}",
    "map": lambda row: f"{row['map']:.4f}",
    "seconds": lambda row: f"{row['seconds']:,.0f}",
    "profile": lambda row: shorten(row["profile"], 16),
    "seed": lambda row: str(row["seed"]),
    "folder": lambda row: shorten(row["folder"], 4096),
}
LEFT = ("name", "profile", "folder")
# What all rows share is said once, over the table; where a line is still too wide, these go, the first first.
SHARED = ("profile", "seed")
GIVEN_UP = ("map", "seconds", "95 % interval")


def run_tables(rows: Sequence[dict]) -> str:
    """A table for each data set: the GAPs of one say nothing beside those of another.

    Args:
        rows: Of `dmlkit.runs.run_row`, in the order in which they are shown, and the `fingerprint` of their data.
    """
    return "\n\n".join(_table(group) for group in _by_data(rows))


def _by_data(rows: Iterable[dict]) -> list[list[dict]]:
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["fingerprint"], row["videos"]), []).append(row)
    return list(groups.values())


def _table(rows: Sequence[dict]) -> str:
    below = os.path.commonpath([os.path.dirname(row["path"]) for row in rows]) or os.curdir
    rows = [row | {"folder": os.path.relpath(row["path"], below)} for row in rows]
    columns = list(COLUMNS)
    if all(os.path.basename(row["folder"]).startswith(row["name"]) for row in rows):
        columns.remove("name")
        columns = ["folder", *columns[:-1]]
    shared = [column for column in SHARED if len(rows) > 1 and len({row[column] for row in rows}) == 1]
    shown = _fitting(rows, [column for column in columns if column not in shared])
    heading = [shorten(rows[0]["data"], 60), f"{rows[0]['videos']:,} videos"]
    heading += [f"{column} {COLUMNS[column](rows[0])}" for column in shared]
    heading.append(f"below {shorten(below, 4096)}")
    return "\n".join([", ".join(heading), *shown])


def _fitting(rows: Sequence[dict], columns: list[str]) -> list[str]:
    """The lines of the table, without as many of `GIVEN_UP` as it takes to fit."""
    lines = _lines(rows, columns)
    for given_up in GIVEN_UP:
        if max(map(len, lines)) <= WIDE:
            break
        columns = [column for column in columns if column != given_up]
        lines = _lines(rows, columns)
    return lines


def _lines(rows: Sequence[dict], columns: Sequence[str]) -> list[str]:
    cells = [list(columns), *([COLUMNS[column](row) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        GAP.join(
            cell.ljust(width) if column in LEFT else cell.rjust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in cells
    ]
