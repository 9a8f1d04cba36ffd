"""A comparison in words, for a terminal and for a notebook. Nothing of the data's text can break either."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING

from dmlkit.text import shorten

if TYPE_CHECKING:
    from dmlkit.comparison.result import ClassChange, Comparison, Side

_WIDE = 46


def text(comparison: Comparison, *, classes: int) -> str:
    """The comparison as lines of at most about 100 characters.

    Args:
        comparison: What to tell.
        classes: How many classes are shown on either side.
    """
    lines = []
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        lines += [f"{letter}  {headed(side)}", f"   {gaps(side)}"]
        if len(side.seeds) > 1:
            lines.append(f"   {by_seed(side)}")
    lines += [f"on {data(comparison)}", "", f"A − B  {difference(comparison)}", *meaning(comparison)]
    if classes > 0:
        lines += ["", *textwrap.wrap(classes_said(comparison), 100)]
        for heading, changes in _tables(comparison, classes):
            lines += ["", f"{heading:<{_WIDE}} {'A':>7} {'B':>7} {'A − B':>8} {'videos':>8}"]
            lines += [
                f"  {shorten(change.name, _WIDE - 2):<{_WIDE - 2}} {change.a:7.4f} {change.b:7.4f} "
                f"{change.difference:+8.4f} {change.videos:8,}"
                for change in changes
            ]
    if comparison.notes:
        lines += ["", *(f"Note: {note}" for note in comparison.notes)]
    return "\n".join(lines)


def page(comparison: Comparison, *, classes: int) -> str:
    """The comparison as HTML, in the look of the notebooks' sentences and tables.

    Args:
        comparison: What to tell.
        classes: How many classes are shown on either side.
    """
    lines = []
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        seeds = f" ({by_seed(side)})" if len(side.seeds) > 1 else ""
        lines.append(f"{letter}: {headed(side)}. {gaps(side)}{seeds}.")
    lines += [
        f"On {data(comparison)}.",
        f"A − B: {difference(comparison)}. {' '.join(meaning(comparison))}",
        classes_said(comparison),
        *(f"Note: {note}" for note in comparison.notes),
    ]
    said = "".join(f'<p class="dmlkit-sentence">{escape(line)}</p>' for line in lines)
    return said + "".join(_as_html(*table) for table in _tables(comparison, classes))


def headed(side: Side) -> str:
    """Which experiment it is, under which profile."""
    return f"{shorten(side.title, 60)} ({shorten(side.name)}), profile {shorten(side.profile)}"


def gaps(side: Side) -> str:
    """GAP@20, with its spread where there are several seeds."""
    if len(side.seeds) == 1:
        return f"GAP@20 {side.gaps.mean:.4f}, seed {side.seeds[0]}"
    return (
        f"GAP@20 {side.gaps.mean:.4f}, the mean of {len(side.seeds)} seeds: standard deviation "
        f"{side.gaps.deviation:.4f}, from {side.gaps.low:.4f} to {side.gaps.high:.4f}"
    )


def by_seed(side: Side) -> str:
    """GAP@20 under each seed."""
    return ", ".join(f"seed {seed} {gap:.4f}" for seed, gap in zip(side.seeds, side.gaps.values, strict=True))


def data(comparison: Comparison) -> str:
    """What data it was, and how much of them."""
    generated = comparison.generated and "generated" not in comparison.data
    return (
        f"{'generated data, ' if generated else ''}{shorten(comparison.data, 60)} "
        f"(fingerprint {shorten(comparison.fingerprint[:16])}): {comparison.videos:,} videos validate"
    )


def difference(comparison: Comparison) -> str:
    """The difference with its interval."""
    low, high = comparison.interval
    return (
        f"{comparison.difference:+.4f} (paired {100 * comparison.level:g} % interval over videos "
        f"{low:+.4f} to {high:+.4f}, {comparison.resamples:,} draws)"
    )


def meaning(comparison: Comparison) -> list[str]:
    """What the numbers mean: of other videos, and of other seeds."""
    ahead = f"A is ahead in {100 * comparison.a_ahead:.1f} % of the draws."
    if comparison.excludes_zero:
        videos = "The interval excludes 0: the difference is more than another draw of these videos explains."
    else:
        videos = "The interval holds 0: another draw of these videos could have turned the difference round."
    return [ahead, videos, _of_seeds(comparison)]


def _of_seeds(comparison: Comparison) -> str:
    once = [
        letter for letter, side in (("A", comparison.a), ("B", comparison.b)) if side.gaps.deviation is None
    ]
    if once:
        who = "Each side was" if len(once) == 2 else f"{once[0]} was"
        return f"{who} trained under one seed: what another would do is in none of these numbers."
    widest = max(comparison.a.gaps.deviation, comparison.b.gaps.deviation)
    size = "less" if abs(comparison.difference) < widest else "not less"
    return (
        f"The sides differ by {size} than the seeds of one side do "
        f"(standard deviations {comparison.a.gaps.deviation:.4f} and {comparison.b.gaps.deviation:.4f})."
    )


def classes_said(comparison: Comparison) -> str:
    """Over which classes, and in how many of them either side is ahead."""
    if not comparison.classes:
        return f"No class has {comparison.least} videos or more: none is compared."
    ahead = sum(change.difference > 0 for change in comparison.classes)
    behind = sum(change.difference < 0 for change in comparison.classes)
    return (
        f"Average precision over the {len(comparison.classes):,} classes of at least {comparison.least} videos: "
        f"A is ahead in {ahead:,}, behind in {behind:,}. At the ends some stand by chance, those of few videos first."
    )


def _tables(comparison: Comparison, classes: int) -> list[tuple[str, list[ClassChange]]]:
    tables = [
        ("A gains most", comparison.gained(classes)),
        ("A loses most", comparison.lost(classes)),
    ]
    return [(heading, changes) for heading, changes in tables if changes]


def _as_html(heading: str, changes: list[ClassChange]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in ("class", "A", "B", "A − B", "videos"))
    rows = "".join(
        f'<tr><th scope="row">{escape(shorten(change.name, 60))}</th><td>{change.a:.4f}</td>'
        f"<td>{change.b:.4f}</td><td>{change.difference:+.4f}</td><td>{change.videos:,}</td></tr>"
        for change in changes
    )
    return (
        f'<table class="dmlkit-table"><caption>{heading}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
