"""What each step of the ladder buys: every rung against the one of which it changes one thing."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from dmlkit.experiments import baseline_of
from dmlkit.metrics import Interval, TopPairs, gap_of_pairs, percentiles, resampled_gaps, top_pairs
from dmlkit.plots.given import as_runs, headed
from dmlkit.plots.plot import Plot, canvas, nothing, shorten, styled
from dmlkit.plots.words import RESAMPLES

COLOR = "#0072B2"
UNTRAINED = (
    "none of these rungs is trained here, or none applies to these data. The report's command with --beyond trains "
    "those that do (recipes: with -p recipes true)."
)
ALONE = "what these rungs stand against is not trained here, or was scored on other videos."


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

    @property
    def name(self) -> str:
        """What is called: the run, or the trick alone where the rest of the title is what it stands against."""
        tricked = self.run.record["experiment"].get("trick")
        return self.run.title.removeprefix(f"{self.before.title}, ") if tricked else self.run.title


@styled
def steps(runs, dataset=None, *, against=None, title: str = "What each step buys") -> Plot:
    """The difference in GAP@20 between each rung and the one it builds on, with its paired 95 % interval.

    A rung builds on the one of which it changes one thing (`experiments.BASELINES`), on the nearest below that where that
    was not trained, an ensemble on the best of its members, and any other on the run before it.

    Args:
        runs: Name → run, or runs, in the ladder's order.
        dataset: The data set, to say what data it was.
        against: Runs that these may build on, and that have no line of their own; the first of `runs` where None.
        title: Over the figure.
    """
    bases, runs = parted(runs, against)
    if not runs:
        few = "a step needs two rungs, and fewer have been trained."
        return nothing(few if against is None else UNTRAINED, title=title)
    taken, left_out = steps_of(runs, bases, fixed=against is not None)
    if not taken:
        return nothing(ALONE, title=title)
    source = dataset or runs[0]
    figure, (axes,) = canvas(height=1.35 + 0.52 * len(taken), title=headed(title, source))
    _draw(axes, taken)
    return Plot(figure, _in_words(headed(title, source), taken, left_out))


def parted(runs, against=None) -> tuple[list, list]:
    """The runs that are ground only, and those that have a step each.

    Args:
        runs, against: As for `steps`.
    """
    runs = as_runs(runs)
    if against is None:
        return runs[:1], runs[1:]
    names = {run.name for run in runs}
    return [run for run in as_runs(against) if run.name not in names], runs


def steps_of(runs: list, bases: list, *, fixed: bool) -> tuple[list[Step], list]:
    """The steps of runs, and those of the runs that have none: what they stand against is not there.

    Args:
        runs: At least one; each is held against one of `bases`, or one of the runs before it.
        bases: The first one's videos, or the first run's, are those that count.
        fixed: Whether a known rung stands against those below it only, and never against the run before it.
    """
    first = [*bases, *runs][0].predictions
    top = {id(run): _top(run, first) for run in (*bases, *runs)}
    scored = [run for run in (*bases, *runs) if top[id(run)] is not None]
    own = {id(run) for run in runs}
    pairs = [
        (run, before)
        for place, run in enumerate(scored)
        if id(run) in own and (before := _before(run, scored[:place], fixed=fixed))
    ]
    used = {id(run): top[id(run)] for pair in pairs for run in pair}
    if not used:
        return [], runs
    # The same draws for all, so that every step is paired.
    drawn = dict(zip(used, resampled_gaps(list(used.values()), resamples=RESAMPLES, seed=0), strict=True))
    gaps = {key: gap_of_pairs(pairs) for key, pairs in used.items()}
    taken = [
        Step(
            run,
            before,
            gaps[id(run)] - gaps[id(before)],
            percentiles(drawn[id(run)] - drawn[id(before)], 0.95),
        )
        for run, before in pairs
    ]
    stepped = {id(step.run) for step in taken}
    return taken, [run for run in runs if id(run) not in stepped]


def _top(run, first) -> TopPairs | None:
    """The run's best pairs in the order of the first one's videos; None where it scored others."""
    turned = run.predictions.in_order_of(first.ids)
    if turned is None or turned.labels is None or not np.array_equal(turned.labels, first.labels):
        return None
    return top_pairs(turned.scores, turned.labels)


def _before(run, earlier: list, *, fixed: bool):
    """The run among the earlier ones that this one builds on; None where there is none."""
    by_name = {each.name: each for each in earlier}
    members = [by_name[each["name"]] for each in run.record.get("members", ()) if each["name"] in by_name]
    if members:
        return max(members, key=lambda each: each.gap)
    name = first = baseline_of(run.name)
    while name and name not in by_name:
        name = baseline_of(name)
    if name:
        return by_name[name]
    return earlier[-1] if earlier and not (fixed and first) else None


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
        # In numbers too: beside a wide step a narrow interval hides behind its mark.
        low, high = (f"{end:+.4f}" for end in step.interval)
        for text, up, look in (
            (f"{step.difference:+.4f}", 0.16, {"weight": "bold" if step.told else "normal"}),
            (f"{low} to {high}", -0.22, {"size": 8}),
        ):
            axes.text(max(ends) + 0.06 * span, place - up, text.replace("-", "−"), va="center", **look)
    for here, there in pairwise(places):
        axes.axhline((here + there) / 2, color="#EEEEEE", linewidth=0.7)
    axes.set_yticks(places, [_label(step) for step in taken])
    axes.set_xlim(min(ends) - 0.05 * span, max(ends) + 0.4 * span)
    axes.set_ylim(len(taken) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(
        "difference in GAP@20; line: paired 95 % interval over videos\n"
        "on the validation part; filled and bold: the interval excludes 0"
    )


def _label(step: Step) -> str:
    """Both names in full, the rung above the one it stands against."""
    return "\n".join(
        textwrap.fill(shorten(text, 120), 41) for text in (step.name, f"against {step.before.title}")
    )


def say_left_out(runs: list) -> str:
    """Which rungs have no step, and why."""
    return (
        "Left out, for what they stand against is not here, or was scored on other videos: "
        f"{', '.join(run.title for run in runs)}."
    )


def _in_words(title: str, taken: list[Step], left_out: list) -> str:
    said = "; ".join(
        f"{step.run.title} against {step.before.title} {step.difference:+.4f} ({step.interval.low:+.4f} to "
        f"{step.interval.high:+.4f}, {'0 excluded' if step.told else '0 within'})"
        for step in taken
    )
    missing = f" {say_left_out(left_out)}" if left_out else ""
    return f"{title}. Differences in GAP@20 with paired 95 % intervals: {said}.{missing}"
