"""The names of the classes. No plan lists their file, so its hash is unknown: it is taken only if it names them all."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import requests

from dmlkit.data.downloading.asking import Failed, Patience, read_small
from dmlkit.data.downloading.partitions import Partition
from dmlkit.writing import put_in_place

LARGEST = 8 * 2**20
NUMBERS = ("Index", "label_id")  # the releases' columns of class numbers


def fetch_names(
    url: str, *, about: Partition, folder: Path, session: requests.Session, patience: Patience
) -> str | None:
    """Put the vocabulary into the folder, where there is none; the shards can be read without it.

    Returns:
        None, or why it is not there.
    """
    path = folder / about.vocabulary
    if path.is_file():
        return None
    try:
        text = read_small(
            session, url, most=LARGEST, patience=replace(patience, attempts=min(2, patience.attempts))
        )
        if (classes := _classes(text)) != about.classes:
            raise Failed(f"it names {classes:,} classes of {about.classes:,}", passing=False)
        with put_in_place(path) as temporary:
            temporary.write_bytes(text)
    except (Failed, OSError) as error:
        return f"The names of the classes, {url}, could not be had: {error}. Classes will be called by their numbers."
    return None


def _classes(text: bytes) -> int:
    """One more than the highest class in it; 0 where it is no vocabulary."""
    try:
        rows = csv.DictReader(io.StringIO(text.decode("utf-8-sig"), newline=""))
        column = next((name for name in NUMBERS if name in (rows.fieldnames or ())), None)
        return 1 + max((int(row[column]) for row in rows), default=-1) if column else 0
    except (ValueError, TypeError, csv.Error):
        return 0
