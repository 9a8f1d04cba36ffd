"""Small drawings as HTML with SVG inside: crisp at any width, readable without colour, in light and dark.

Across, positions are percentages, so that a drawing follows the width of its cell while its text keeps its
size; down, they are pixels. Everything that is shown goes through `escape`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dmlkit.text import one_line, shorten

ROOM_ABOVE = 8
ROOM_BELOW = 36

# (colour, dashes, marker): no two alike in any of the three, and each at least 3:1 on white and on black.
LINES = (
    ("#2a7fcb", "none", "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
    ("#d55e00", "7 4", "M-4-4h8v8h-8z"),
    ("#00966d", "2 3", "M0-5 5 4-5 4z"),
    ("#b5559c", "9 3 2 3", "M0-5 5 0 0 5-5 0z"),
    ("#7a7a7a", "12 4", "M0 5 5-4-5-4z"),
    ("#a6761d", "4 2 1 2", "M-5-1h4v-4h2v4h4v2h-4v4h-2v-4h-4z"),
)

STYLE = """<style>
.dmlkit { color: var(--jp-ui-font-color1, #222); font: 13px/1.45 var(--jp-ui-font-family, system-ui, sans-serif); }
.dmlkit p, .dmlkit figure { margin: 0 0 8px; padding: 0; }
.dmlkit .caption { font-weight: 600; margin: 0; padding: 0; font-style: normal; text-align: left; }
.dmlkit figcaption.caption { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.dmlkit .plot { display: grid; grid-template-columns: 52px minmax(0, 1fr); }
.dmlkit svg { display: block; overflow: visible; max-width: none; }
.dmlkit text { fill: var(--jp-ui-font-color1, #222); font-size: 12px; }
.dmlkit text.halo { paint-order: stroke; stroke: var(--jp-layout-color0, #fff); stroke-width: 4px; }
.dmlkit .rule { stroke: var(--jp-border-color1, #bdbdbd); stroke-width: 1; }
.dmlkit .legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin-left: 52px; }
.dmlkit .legend svg { display: inline-block; vertical-align: middle; margin-right: 6px; }
.dmlkit .beside { display: flex; flex-wrap: wrap; gap: 8px 32px; align-items: flex-start; }
.dmlkit .beside > * { flex: 1 1 min(260px, 100%); min-width: 0; }
.dmlkit .scroll { overflow-x: auto; contain: inline-size; }
.dmlkit table { border-collapse: collapse; width: 100%; max-width: 64em; font-size: 13px; margin: 0 0 8px; }
.dmlkit th, .dmlkit td { padding: 2px 8px 2px 0; text-align: left; vertical-align: baseline; background: none;
  white-space: normal; max-width: none; overflow-wrap: break-word; }
.dmlkit th { font-weight: 600; border-bottom: 1px solid var(--jp-border-color1, #bdbdbd); }
.dmlkit .name { min-width: 8em; overflow-wrap: anywhere; }
.dmlkit .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.dmlkit tr.true td { font-weight: 600; }
.dmlkit .stack { display: grid; grid-template-columns: minmax(0, 1fr); }
.dmlkit .stack > * { grid-area: 1 / 1; }
.dmlkit .stack > :last-child { pointer-events: none; }
.dmlkit .bar { fill: var(--jp-brand-color1, #1976d2); }
</style>"""


def escape(value: object) -> str:
    """A value as text that no browser takes for markup, without characters that cannot be seen."""
    text = str(value)
    return html.escape(text if text.isprintable() else one_line(text), quote=True)


def cut(text: object, longest: int = 60) -> str:
    """A name as markup; one that is too long is cut, and shown in full when pointed at."""
    whole = one_line(text)
    short = escape(shorten(whole, longest))
    return short if len(whole) <= longest else element("span", {"title": whole}, short)


def element(tag: str, attributes: Mapping[str, object], content: str = "") -> str:
    """One element.

    Args:
        tag: Its name.
        attributes: Escaped here.
        content: Markup: escape what is text before.
    """
    written = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
    return f"<{tag}{written}>{content}</{tag}>"


def page(*parts: str) -> str:
    """Parts with the style they need, as one piece of HTML."""
    return STYLE + element("div", {"class": "dmlkit"}, "".join(parts))


def sentence(text: str) -> str:
    """A paragraph of plain text."""
    return element("p", {}, escape(text))


@dataclass(frozen=True)
class Scale:
    """Values to their place between 0 and 1; a scale of one value puts it in the middle."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5

    def ticks(self, most: int = 5) -> list[float]:
        """Round values within the scale, at most so many."""
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        step = 10.0 ** math.floor(math.log10(span / most))
        step = next(
            step * factor for factor in (1, 2, 5, 10, 20) if span / (step * factor) <= most - 1 + 1e-9
        )
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def plot(
    marks: str,
    *,
    label: str,
    caption: str,
    height: int,
    across: Iterable[tuple[float, str]],
    down: Iterable[tuple[float, str]],
    unit: str,
) -> str:
    """Marks with axes around them.

    Args:
        marks: SVG; across in percent, down in pixels from 0 to `height`.
        label: What the picture shows, for those who do not see it.
        caption: What stands above it.
        height: Of the marks, in pixels.
        across: (percent, text) of the ticks below.
        down: (pixels, text) of the ticks at the left.
        unit: What runs across.
    """
    axis = element("line", {"class": "rule", "x1": "0%", "x2": "100%", "y1": height, "y2": height})
    below = "".join(
        element("text", {"x": f"{at:.3f}%", "y": height + 15, "text-anchor": _anchor(at)}, escape(text))
        for at, text in across
    )
    below += element("text", {"x": "50%", "y": height + 31, "text-anchor": "middle"}, escape(unit))
    beside = "".join(
        element("text", {"x": 46, "y": f"{at + 4:.1f}", "text-anchor": "end"}, escape(text))
        for at, text in down
    )
    box = {"height": height + ROOM_BELOW, "style": f"margin-top: {ROOM_ABOVE}px", "focusable": "false"}
    picture = element("svg", {"width": 52, "aria-hidden": "true", **box}, beside)
    picture += element(
        "svg", {"width": "100%", "role": "img", "aria-label": label, **box}, axis + marks + below
    )
    return element(
        "figure",
        {},
        element("figcaption", {"class": "caption"}, cut(caption, 120))
        + element("div", {"class": "plot"}, picture),
    )


def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    caption: str,
    unit: str,
    height: int = 160,
    legend: bool = True,
) -> str:
    """Lines over a common axis, told apart by colour, dashes and markers, with a legend.

    Args:
        series: Name → (across, down) of its points; values that are not finite are left out.
        caption: What runs down.
        unit: What runs across.
        height: In pixels.
        legend: Whether to say which line is which.
    """
    points = {
        name: [(x, y) for x, y in zip(*line, strict=True) if math.isfinite(x) and math.isfinite(y)]
        for name, line in series.items()
    }
    every = [point for line in points.values() for point in line]
    if not every:
        return sentence(f"{caption}: nothing to draw yet.")
    across = Scale(min(x for x, _ in every), max(x for x, _ in every))
    lows, highs = min(y for _, y in every), max(y for _, y in every)
    room = 0.05 * (highs - lows) or 0.05 * abs(highs) or 0.05
    down = Scale(lows - room, highs + room)
    marks = "".join(_line(line, number, across, down, height) for number, line in enumerate(points.values()))
    label = f"{caption}: " + "; ".join(
        f"{name} from {line[0][1]:.4g} to {line[-1][1]:.4g}" for name, line in points.items() if line
    )
    picture = plot(
        marks,
        label=label,
        caption=caption,
        height=height,
        across=[(100 * across(tick), f"{tick:g}") for tick in across.ticks() if tick == int(tick)],
        down=[(height * (1 - down(tick)), f"{tick:.4g}") for tick in down.ticks()],
        unit=unit,
    )
    return picture + (_legend(points) if legend else "")


def _line(points: list[tuple[float, float]], number: int, across: Scale, down: Scale, height: int) -> str:
    colour, dashes, marker = LINES[number % len(LINES)]
    places = [(100 * across(x), height * (1 - down(y))) for x, y in points]
    # A polyline knows no percentages: it is stretched from a box of its own, its stroke is not.
    path = element(
        "polyline",
        {
            "points": " ".join(f"{x:.3f},{y:.2f}" for x, y in places),
            "fill": "none",
            "stroke": colour,
            "stroke-width": 2,
            "stroke-dasharray": dashes,
            "vector-effect": "non-scaling-stroke",
        },
    )
    box = {"viewBox": f"0 0 100 {height}", "preserveAspectRatio": "none", "width": "100%", "height": height}
    dots = "".join(
        element(
            "svg",
            {"x": f"{x:.3f}%", "y": f"{y:.2f}", "overflow": "visible"},
            element("path", {"d": marker, "fill": colour}),
        )
        for x, y in places
    )
    return element("svg", box, path) + dots


def _legend(names: Iterable[str]) -> str:
    entries = []
    for number, name in enumerate(names):
        colour, dashes, marker = LINES[number % len(LINES)]
        line = {
            "x1": 0,
            "x2": 34,
            "y1": 6,
            "y2": 6,
            "stroke": colour,
            "stroke-width": 2,
            "stroke-dasharray": dashes,
        }
        dot = {"d": marker, "fill": colour, "transform": "translate(17 6)"}
        sample = element("line", line) + element("path", dot)
        picture = element("svg", {"width": 34, "height": 12, "aria-hidden": "true"}, sample)
        entries.append(element("span", {}, picture + cut(name)))
    return element("div", {"class": "legend"}, "".join(entries))


def _anchor(percent: float) -> str:
    """Text at the edges stays within the drawing."""
    return "start" if percent < 2 else "end" if percent > 98 else "middle"
