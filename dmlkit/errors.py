"""The errors a user can cause, each one paragraph: what, where, what to do.

`UsageError` ends a command with exit code 2, `DataError` with 3. Both are shown without a traceback
unless `--debug` is given.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class DmlkitError(Exception):
    """What every error made for a reader's eyes derives from."""

    exit_code = 1


class UsageError(DmlkitError):
    """A name, parameter or combination that cannot be used."""

    exit_code = 2


class DataError(DmlkitError):
    """Data that are missing, damaged or not what the data set says."""

    exit_code = 3


def nearest(name: str, choices: Iterable[str]) -> str:
    """The hint `" Did you mean 'x'?"`, or an empty string where nothing is near."""
    matches = difflib.get_close_matches(str(name), list(choices), n=1, cutoff=0.5)
    return f" Did you mean '{matches[0]}'?" if matches else ""


def choose(table: Mapping[str, T], name: str, *, what: str) -> T:
    """Look a name up in a table one can see."""
    if name in table:
        return table[name]
    raise UsageError(
        f"Unknown {what} {name!r}.{nearest(name, table)} There are these choices of {what}: {', '.join(table)}."
    )
