"""What each step of the ladder buys: every rung against the one of which it changes one thing."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from dmlkit.evaluation import Interval, gap_of_pairs, percentiles, resampled_gaps, top_pairs
from dmlkit.plots.given import as_runs, headed
from dmlkit.plots.plot import Plot, canvas, nothing, shorten, styled
from dmlkit.plots.words import RESAMPLES

COLOR = "#0072B2"

# Rung → the rung of which it changes one thing. A fusion stands against the concatenation and not against the
# fusion told before it; an ensemble, which is not here, against the best of its members.
BEFORE = {
    "lstm": "lr",
    "bi-lstm": "lstm",
    "bi-gru-concat": "bi-lstm",
    "bi-gru-shared-space": "bi-gru-concat",
    "bi-gru-projection": "bi-gru-concat",
    "attention": "bi-gru-concat",
    # Of the ladder's rungs the only other one that does not read in time; more than one thing changes.
    "netvlad-gated": "lr",
    "mixture-of-experts": "lr",
    "hidden-concat": "lr",
    "hidden-shared-space": "hidden-concat",
    "hidden-projection": "hidden-concat",
}


class Step(NamedTuple):
    """GAP of `run` minus GAP of `before` on the same videos, and where it lies over draws of them."""

    run: object
    before: object
    difference: float
    interval: Interval

    @property
    def told(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval.low > 0 or self.interval.high < 0


@styled
def steps(runs, dataset=None, *, title: str = "What each step buys") -> Plot:
    """The difference in GAP@20 between each rung and the one it builds on, with its paired 95 % interval.

    A rung builds on the one of which it changes one thing (`BEFORE`), on the nearest below that where that was not
    trained, an ensemble on the best of its members, and any other on the run before it.

    Args:
        runs: Name → run, or runs, in the ladder's order.
        dataset: The data set, to say what data it was.
        title: Over the figure.
    """
    runs = as_runs(runs)
    if len(runs) < 2:
        return nothing("a step needs two rungs, and fewer have been trained.", title=title)
    taken, left_out = _steps(runs)
    if not taken:
        return nothing("the rungs were scored on different videos.", title=title)
    source = dataset or runs[0]
    figure, (axes,) = canvas(height=1.35 + 0.52 * len(taken), title=headed(title, source))
    _draw(axes, taken)
    return Plot(figure, _in_words(headed(title, source), taken, left_out))


def _steps(runs: list) -> tuple[list[Step], list]:
    """The steps between the runs that scored the first one's videos, and the runs that scored others."""
    first = runs[0].predictions
    pairs, left_out = {}, []
    for place, run in enumerate(runs):
        turned = run.predictions.in_order_of(first.ids)
        if turned is None or turned.labels is None or not np.array_equal(turned.labels, first.labels):
            left_out.append(run)
        else:
            pairs[place] = top_pairs(turned.scores, turned.labels)
    same = [runs[place] for place in pairs]
    if len(same) < 2:
        return [], left_out
    # The same draws for all, so that every step is paired.
    gaps = [gap_of_pairs(each) for each in pairs.values()]
    drawn = resampled_gaps(list(pairs.values()), resamples=RESAMPLES, seed=0)
    taken = []
    for place, run in enumerate(same[1:], start=1):
        before = _before(run, same[:place])
        below = same.index(before)
        interval = percentiles(drawn[place] - drawn[below], 0.95)
        taken.append(Step(run, before, gaps[place] - gaps[below], interval))
    return taken, left_out


def _before(run, earlier: list):
    """The run among the earlier ones that this one builds on."""
    by_name = {each.name: each for each in earlier}
    members = [by_name[each["name"]] for each in run.record.get("members", ()) if each["name"] in by_name]
    if members:
        return max(members, key=lambda each: each.gap)
    name = BEFORE.get(run.name)
    while name and name not in by_name:
        name = BEFORE.get(name)
    return by_name[name] if name else earlier[-1]


def _draw(axes: Axes, taken: list[Step]) -> None:
    places = np.arange(len(taken))
    ends = [value for step in taken for value in (*step.interval, step.difference, 0.0)]
    span = max(max(ends) - min(ends), 1e-4)
    axes.axvline(0, color="#333333", linewidth=1.2)
    for place, step in zip(places, taken, strict=True):
        axes.plot(step.interval, [place, place], color="black", linewidth=1.6)
        axes.plot(step.interval, [place, place], "|", color="black", markersize=10)
        axes.plot(
            step.difference, place, "o", markersize=8, color=COLOR if step.told else "white",
            markeredgecolor=COLOR, markeredgewidth=1.6,
        )  # fmt: skip
        axes.text(
            max(ends) + 0.06 * span, place, f"{step.difference:+.4f}".replace("-", "−"), va="center",
            weight="bold" if step.told else "normal",
        )  # fmt: skip
    for above, below in pairwise(places):
        axes.axhline((above + below) / 2, color="#EEEEEE", linewidth=0.7)
    axes.set_yticks(places, [_label(step) for step in taken])
    axes.set_xlim(min(ends) - 0.05 * span, max(ends) + 0.22 * span)
    axes.set_ylim(len(taken) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(
        "difference in GAP@20 on the validation part; line: paired 95 % interval over videos\n"
        "filled and bold: the interval excludes 0"
    )


def _label(step: Step) -> str:
    """Both names in full, the rung above the one it stands against."""
    return "\n".join(
        textwrap.fill(shorten(text, 120), 40) for text in (step.run.title, f"against {step.before.title}")
    )


def _in_words(title: str, taken: list[Step], left_out: list) -> str:
    said = "; ".join(
        f"{step.run.title} against {step.before.title} {step.difference:+.4f} ({step.interval.low:+.4f} to "
        f"{step.interval.high:+.4f}, {'0 excluded' if step.told else '0 within'})"
        for step in taken
    )
    missing = (
        f" Scored on other videos, and so left out: {', '.join(run.title for run in left_out)}."
        if left_out
        else ""
    )
    return f"{title}. Differences in GAP@20 with paired 95 % intervals: {said}.{missing}"
