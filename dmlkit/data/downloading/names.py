"""The names of the classes. No plan lists their file, so its hash is unknown: it is taken only if it names them all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import requests

from dmlkit.data.downloading.asking import Failed, Patience, read_small
from dmlkit.data.downloading.partitions import Partition
from dmlkit.data.schema import parse_vocabulary
from dmlkit.errors import DataError
from dmlkit.files import atomic_write

LARGEST = 8 * 2**20


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
        if (classes := parse_vocabulary(text, "what came").num_classes) != about.classes:
            raise Failed(f"it names {classes:,} classes of {about.classes:,}", passing=False)
        with atomic_write(path) as temporary:
            temporary.write_bytes(text)
    except (Failed, DataError, OSError) as error:
        why = str(error).rstrip(".")
        return f"The names of the classes, {url}, could not be had: {why}. Classes will be called by their numbers."
    return None
