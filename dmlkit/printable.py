"""Text from data and records on one line of a terminal or a page: no control character gets through."""

from __future__ import annotations


def shorten(text: object, longest: int = 40) -> str:
    """One printable line of at most `longest` characters, whatever came in."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
