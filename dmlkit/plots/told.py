"""What many steps came to, in a few sentences."""

from __future__ import annotations

from collections.abc import Sequence

from dmlkit.plots.steps import ALONE, Step, parted, say_left_out, steps_of
from dmlkit.plots.words import Sentence
from dmlkit.text import shorten

MOST = 8


def say_steps(runs, *, against=None) -> Sentence:
    """How many rungs gained over what they build on, how many lost, and of how many one cannot tell.

    Args:
        runs, against: As for `steps`.
    """
    ground, runs = parted(runs, against)
    if not runs:
        return Sentence("None of these rungs is here, so there is no step to tell of.")
    taken, left_out = steps_of(runs, ground, fixed=against is not None)
    if not taken:
        return Sentence(f"There is no step to tell of: {ALONE}")
    gained = sorted((step for step in taken if step.interval.low > 0), key=lambda step: -step.difference)
    lost = sorted((step for step in taken if step.interval.high < 0), key=lambda step: step.difference)
    either = [step for step in taken if not step.told]
    parts = [
        f"{_count(gained)} gained more than another draw of these videos would explain{_listed(gained)}",
        f"{_count(lost)} lost more than that{_listed(lost)}",
        f"{_count(either)} could have come out either way{_listed(either)}",
    ]
    steps = "1 step" if len(taken) == 1 else f"{len(taken)} steps"
    said = f"Of {steps}, {parts[0]}, {parts[1]} and {parts[2]}."
    if len(taken) >= 20:
        said += f" Of {len(taken)} steps that change nothing, one in twenty would look told by chance."
    if left_out:
        said += f" {say_left_out(left_out)}"
    return Sentence(said)


def _count(steps: Sequence[Step]) -> str:
    return str(len(steps)) if steps else "none"


def _listed(steps: Sequence[Step]) -> str:
    if not steps:
        return ""
    named = [f"{shorten(step.name, 60)} {step.difference:+.4f}" for step in steps[:MOST]]
    more = [f"{len(steps) - MOST} more"] if len(steps) > MOST else []
    return f" ({'; '.join(named + more)})"
