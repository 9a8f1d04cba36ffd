"""Text from data and records on one line of a terminal or a page: no control character gets through."""

from __future__ import annotations

from collections.abc import Sequence


def one_line(text: object) -> str:
    """The text on one line, without what steers a terminal, turns the direction of writing or cannot be seen."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def shorten(text: object, longest: int = 40) -> str:
    """One printable line of at most `longest` characters, whatever came in."""
    line = one_line(text)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def readable(names: Sequence[str]) -> tuple[str, ...]:
    """Class names on one line each, and a number for those that say nothing."""
    return tuple(one_line(name) or f"class {number}" for number, name in enumerate(names))
