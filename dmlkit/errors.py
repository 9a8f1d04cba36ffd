"""Errors a user can cause, and the text of messages and of objects: names from data and records, numbers, times.

An error is one paragraph: what, where, what to do. `UsageError` ends a command with exit code 2, `DataError` with 3;
both are shown without a traceback unless `--debug` is given.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import partial
from html import escape
from itertools import chain, zip_longest
from typing import TypeVar

T = TypeVar("T")


class DmlkitError(Exception):
    """Base of the errors whose message is written for users."""

    exit_code = 1


class UsageError(DmlkitError):
    """A name, parameter or combination that cannot be used."""

    exit_code = 2


class DataError(DmlkitError):
    """Data that are missing, damaged or not as the data set describes them."""

    exit_code = 3


def nearest(name: object, choices: Iterable[str], most: int = 1) -> str:
    """The hint `" Did you mean 'x'?"`, of at most so many names; an empty string where nothing is near.

    First those with the same words, these initials (`lr`: `learning_rate`), these first words, or words that begin so
    in any place; then those spelled alike.
    """
    choices, asked = list(choices), _words(name)
    by_meaning: list[list[str]] = [[], [], [], []]
    for choice in choices if len("".join(asked)) > 1 else ():
        words = _words(choice)
        rules = (
            "".join(words) == "".join(asked),
            "".join(word[0] for word in words) == "".join(asked),
            words[: len(asked)] == asked,
            all(any(word.startswith(each) for word in words) for each in asked),
        )
        if True in rules:
            by_meaning[rules.index(True)].append(choice)
    spelled = difflib.get_close_matches(str(name), choices, n=most, cutoff=0.5)
    by_meaning[3].sort(key=len)
    quoted = [f"'{each}'" for each in dict.fromkeys(chain(*by_meaning, spelled))][:most]
    return f" Did you mean {' or '.join(quoted)}?" if quoted else ""


def _words(name: object) -> list[str]:
    return re.findall(r"[^\W_]+", str(name).casefold())


def choose(table: Mapping[str, T], name: str, *, what: str) -> T:
    """The entry of this name; a `UsageError` that lists the choices where there is none."""
    if name in table:
        return table[name]
    raise UsageError(f"Unknown {what} {name!r}.{nearest(name, table)} Choices of {what}: {', '.join(table)}.")


def without_controls(text: object) -> str:
    """The text with a blank for every control or invisible character; blanks stay as they are, as in paths."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def one_line(text: object) -> str:
    """The text on one line, without control or invisible characters."""
    return " ".join(without_controls(text).split())


def plain_text(text: object) -> str:
    """A text as it is compared: on one line and in NFC (macOS has the names of files in NFD)."""
    return unicodedata.normalize("NFC", one_line(text))


def shorten(text: object, longest: int = 40) -> str:
    """One printable line of at most `longest` characters."""
    line = one_line(text)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def brief(instance) -> str:
    """The `repr` of a dataclass, on one line, with the fields that are shown and do not have their default."""
    shown = [(each, getattr(instance, each.name)) for each in fields(instance) if each.repr]
    changed = (f"{each.name}={value!r}" for each, value in shown if value != each.default)
    return f"{type(instance).__name__}({', '.join(changed)})"


def html_card(title: object, rows: Mapping[str, object], notes: Sequence[str] = ()) -> str:
    """A small table for Jupyter, a row an entry that is not empty, over folded notes; all texts are escaped."""
    style = ' style="text-align: left; padding: 0.25em 0.5em; font-weight: 400; white-space: normal;"'
    texts = {name: escape(shorten(value, 500)) for name, value in rows.items() if value not in (None, "")}
    body = "".join(f"<tr><th{style}>{name}</th><td{style}>{text}</td></tr>" for name, text in texts.items())
    caption = '<caption style="caption-side: top; text-align: left; font-weight: 600;">'
    table = f"<table>{caption}{escape(shorten(title, 200))}</caption>{body}</table>"
    listed = "".join(f"<li>{escape(shorten(note, 500))}</li>" for note in notes)
    summary = f"<summary>{counted(len(notes), 'note')} on the data</summary>"
    return f"{table}<details>{summary}<ul>{listed}</ul></details>" if notes else table


def readable(names: Sequence[str]) -> tuple[str, ...]:
    """Class names on one line each, and a number for those that are empty."""
    return tuple(one_line(name) or f"class {number}" for number, name in enumerate(names))


def renamed(names: Sequence[str] | None, others: Sequence[str] | None) -> str | None:
    """The first class that has another name in a second list; None where they agree (in NFC), or one is not known."""
    if names is None or others is None:
        return None
    lists = (map(partial(unicodedata.normalize, "NFC"), each) for each in (names, others))
    pairs = enumerate(zip_longest(*lists, fillvalue="no class"))
    differing = [(number, *pair) for number, pair in pairs if pair[0] != pair[1]]
    if not differing:
        return None
    number, name, other = differing[0]
    more = f" (and {len(differing) - 1:,} more)" if len(differing) > 1 else ""
    return f"class {number} was {shorten(repr(name))} and is {shorten(repr(other))}{more}"


def counted(count: int, what: str, several: str | None = None) -> str:
    """`1 video`, `2,000 videos`; `several` where the plural is not the word with an s."""
    return f"{count:,} {what if count == 1 else several or what + 's'}"


def readable_size(size: float) -> str:
    """`7.8 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.2f} TB"


def duration(seconds: float | None) -> str:
    """`0.4 s`, `48 s`, `4 min 12 s`, `2 h 05 min`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def date(iso: str) -> str:
    """A moment in ISO 8601 as `18 March 2026, 14:05 UTC`."""
    when = datetime.fromisoformat(iso)
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname() or ''}".strip()
