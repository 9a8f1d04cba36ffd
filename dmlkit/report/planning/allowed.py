"""Which values a parameter may have: the bracket at the end of its comment, read and held against values.

    videos: int = 3  # videos whose weights are drawn [1 to 20]

A number takes `[1 to 20]`, `[at least 0]`, `[at most 1]`, `[above 0]`, `[below 1]`, or a lower and an upper bound
parted by a comma, `[above 0, at most 1]`; text takes its choices, `[smoke, demo, full, paper]`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from dmlkit.errors import nearest

# A bracket stands on its own; one right after a word (`list[int]`) is part of the word.
_BRACKET = re.compile(r"(?:^|\s)\[([^\[\]]*)\]$")
_OPENED = re.compile(r"(?:^|\s)\[|\]$")


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers between bounds; a bound that is None is none.

    Args:
        least, most: The bounds, themselves allowed.
        above, below: The bounds, themselves not allowed.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{_plain(self.least)} to {_plain(self.most)}"
        bounds = ((words, getattr(self, name)) for words, name in BOUNDS.items())
        return ", ".join(f"{words} {_plain(bound)}" for words, bound in bounds if bound is not None)

    def hint(self, value: object) -> str:
        """Nothing: which number was meant is not to be guessed."""
        return ""


# What a bracket says of a bound → the field of `Range`; lower bounds first.
BOUNDS = {"at least": "least", "above": "above", "at most": "most", "below": "below"}


@dataclass(frozen=True)
class Choice:
    """A few words.

    Args:
        words: All of them, in the bracket's order.
    """

    words: tuple[str, ...]

    def __contains__(self, value: str) -> bool:
        return value in self.words

    def __str__(self) -> str:
        return "one of " + ", ".join(self.words)

    def hint(self, value: object) -> str:
        """Which of the words was meant."""
        return nearest(str(value), self.words)


Allowed = Range | Choice


def split_comment(comment: str) -> tuple[str, str | None]:
    """A comment without the bracket at its end, and what the bracket holds (None where there is none).

    Raises:
        ValueError: A bracket is not closed, or stands elsewhere than at the end.
    """
    found = _BRACKET.search(comment)
    help = comment[: found.start()].rstrip() if found else comment
    if _OPENED.search(help):
        raise ValueError("a bracket stands elsewhere than at the end, or is not closed")
    return help, found[1].strip() if found else None


def read_allowed(text: str, kind: str) -> Allowed:
    """What a bracket allows.

    Args:
        text: What the bracket holds.
        kind: The type of a single value: `str`, `int`, `float` or `bool`.

    Raises:
        ValueError: The text is of no such form; says why.
    """
    parts = [part.strip() for part in text.split(",")]
    return READERS[kind](parts)


def _choice(parts: list[str]) -> Choice:
    if len(parts) < 2 or not all(parts) or len(set(parts)) < len(parts):
        raise ValueError("choices are two or more different words parted by commas")
    return Choice(tuple(parts))


def _range(parts: list[str], number: Callable[[str], float]) -> Range:
    bounds: dict[str, float] = {}
    for part in parts:
        for name, text in _bounds(part):
            if name in bounds:
                raise ValueError("a bound is given twice")
            bounds[name] = _bound(text, number)
    lower = [bounds[name] for name in ("least", "above") if name in bounds]
    upper = [bounds[name] for name in ("most", "below") if name in bounds]
    if len(lower) > 1 or len(upper) > 1:
        raise ValueError("a bound is given twice")
    if lower and upper and not lower[0] < upper[0]:
        raise ValueError("the lower bound is not below the upper one")
    return Range(**bounds)


def _bounds(part: str) -> list[tuple[str, str]]:
    if found := re.fullmatch(r"(\S+) to (\S+)", part):
        return [("least", found[1]), ("most", found[2])]
    for words, name in BOUNDS.items():
        if part.startswith(f"{words} "):
            return [(name, part.removeprefix(words).strip())]
    raise ValueError("a range is of the form `1 to 20`, `at least 0`, `at most 1`, `above 0` or `below 1`")


def _bound(text: str, number: Callable[[str], float]) -> float:
    try:
        bound = number(text)
    except ValueError:
        raise ValueError(f"{text!r} is no {number.__name__}") from None
    if not math.isfinite(bound):
        raise ValueError(f"{text!r} bounds nothing")
    return bound


def _none(parts: list[str]) -> Allowed:
    raise ValueError("true and false are all there is")


# The type of a single value → how its bracket is read.
READERS: dict[str, Callable[[list[str]], Allowed]] = {
    "str": _choice,
    "int": lambda parts: _range(parts, int),
    "float": lambda parts: _range(parts, float),
    "bool": _none,
}


def _plain(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
