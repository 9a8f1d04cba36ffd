"""How a rung is drawn: the same colour, marker and line in every figure of the study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dmlkit.experiments import LADDER, VIDEO_LADDER

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#8C510A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
LINES = ("-", "--", "-.", (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5)))
HATCHES = ("///", "...", "xx", "\\\\\\", "ooo")

# No two of the first 72 share both colour and marker; without colour, no two of the first 45 look alike.
_PLACES = {name: place for place, name in enumerate({**LADDER, **VIDEO_LADDER})}


class Mark(NamedTuple):
    """Colour, marker and line style of one rung."""

    color: str
    marker: str
    line: str | tuple


def mark(place: int) -> Mark:
    """The mark at a place of the cycle."""
    return Mark(COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)], LINES[place % len(LINES)])


def marks(names: Sequence[str]) -> list[Mark]:
    """A mark for each name; a rung of a ladder has its own, and the others take what is free.

    Args:
        names: Experiments' names; one that comes twice is given two marks.
    """
    places: list[int | None] = []
    for name in names:
        place = _PLACES.get(name)
        places.append(None if place in places else place)
    for position, place in enumerate(places):
        if place is None:
            places[position] = _free(places)
    return [mark(place) for place in places]


def _free(taken: Sequence[int | None]) -> int:
    """A place no one has, in a colour no one has as long as there is one."""
    last = len(_PLACES) + len(taken) + len(COLORS)
    free = [place for place in range(len(_PLACES), last) if place not in taken]
    colors = {place % len(COLORS) for place in taken if place is not None}
    return next((place for place in free if place % len(COLORS) not in colors), free[-1])
