"""Text from data and records on one line of a terminal or a page: no control character gets through."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


def one_line(text: object) -> str:
    """The text on one line, without what steers a terminal, turns the direction of writing or cannot be seen."""
    return " ".join(without_controls(text).split())


def shorten(text: object, longest: int = 40) -> str:
    """One printable line of at most `longest` characters, whatever came in."""
    line = one_line(text)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def without_controls(text: object) -> str:
    """The text with every other character as it is, blanks too: paths keep theirs."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def counted(count: int, what: str, several: str | None = None) -> str:
    """`1 video`, `2,000 videos`; `several` where that is not the word with an s."""
    return f"{count:,} {what if count == 1 else several or what + 's'}"


def readable_size(size: float) -> str:
    """`7.8 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.2f} TB"


def readable(names: Sequence[str]) -> tuple[str, ...]:
    """Class names on one line each, and a number for those that say nothing."""
    return tuple(one_line(name) or f"class {number}" for number, name in enumerate(names))


def duration(seconds: float | None) -> str:
    """`0.4 s`, `48 s`, `4 min 12 s`, `2 h 05 min`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def date(iso: str) -> str:
    """A moment in ISO 8601 as `18 March 2026, 14:05 UTC`."""
    when = datetime.fromisoformat(iso)
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname() or ''}".strip()
