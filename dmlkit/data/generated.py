"""The data set for those who have none yet."""

from __future__ import annotations

import os
from pathlib import Path

from dmlkit.data.opening import open_dataset
from dmlkit.data.schema import Dataset
from dmlkit.data.synthetic import synthesize

NAME = "generated"


def open_or_generate(path: str | os.PathLike) -> Dataset:
    """Open a data set; where the folder is missing and is called `generated`, generate it first.

    Any other folder must be there: a mistyped path is an error, not a reason to write files.

    Args:
        path: The folder.

    Raises:
        DataError: It is no data set.
    """
    folder = Path(path)
    if folder.name == NAME and "://" not in os.fspath(path) and not folder.exists():
        print(f"Generating a data set in {folder} ...")
        synthesize(folder)
    return open_dataset(path)
