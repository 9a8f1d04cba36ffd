"""Rows of a ladder as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dmlkit.runs import ROW_COLUMNS as COLUMNS
from dmlkit.runs import experiment_row as row  # noqa: F401
from dmlkit.runs import to_frame


def as_table(rows: Sequence[dict]) -> pd.DataFrame:
    """The rows under their titles; the columns are there without a row too."""
    return to_frame(rows, columns=list(COLUMNS)).set_index("title")
