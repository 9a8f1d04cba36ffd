"""The style of every figure: `Plot`, the canvas, parts of axes, and the colour, marker and line of each experiment.

A figure is shown as SVG without a background, whose inks follow the reader's light or dark theme, in two layouts: as
it is drawn, and drawn again for a phone, `NARROW` inches wide.
"""

import base64
import functools
import html
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from dmlkit.errors import one_line, shorten
from dmlkit.experiments import LADDER, VIDEO_LADDER

STYLE = Path(__file__).with_name("dmlkit.mplstyle")
# The SVG of the narrow layout in a notebook's output; only the report's pages read it.
NARROW_MIME = "application/vnd.dmlkit.narrow-svg"
NARROW, WIDEST = 3.6, 8.5  # inches; JupyterLab cuts what is wider than a cell's output
CHARACTERS = 46  # of a line of text in the narrow layout

# Ink of text and outlines, of what is less important, of the grid, and of the page behind a figure.
INK, GREY, GRID, PAPER = "#1f2124", "#595d63", "#dedad1", "#fdfcfa"
DARK = {INK: "#e4e2dd", GREY: "#a6a9ae", GRID: "#363a40", PAPER: "#16181b"}
_RULES = "".join(
    f'[style*="{kind}: {light}"],[{kind}="{light}"]{{{kind}:{dark}!important}}'
    for light, dark in DARK.items()
    for kind in ("fill", "stroke")
)
THEME = f"<style>@media (prefers-color-scheme:dark){{{_RULES}}}</style>"

PLATE = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.5}  # behind text that lines may cross

# After Okabe and Ito, each with a contrast of 3:1 or more on light and on dark pages; markers, line styles and hatches
# distinguish curves without colour.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#C96FA1", INK, "#B58000", "#3A98D2", "#A0622D")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
LINES = ("-", "--", "-.", (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5)))
HATCHES = ("///", "---", "xx", "\\\\\\", "++", "|||")  # of lines: dots take 150 kB of SVG

PAPER_GAP = "paper's GAP@20 (its own data)"
# Column → what it is called in every table, figure and alternative text; of others, `_` becomes a space.
HEADINGS = {
    "part": "group", "gap": "GAP@20", "interval": "95 % CI", "range": "seeds", "map": "mAP", "hit_at_one": "Hit@1",
    "perr": "PERR", "seconds_an_epoch": "seconds per epoch", "paper_gap": PAPER_GAP, "gap_low": "CI low",
    "gap_high": "CI high", "gap_min": "lowest seed", "gap_max": "highest seed", "low": "CI low", "high": "CI high",
    "from": "CI low", "to": "CI high", "loss": "training loss", "tuning_loss": "tuning loss",
    "tuning_gap": "tuning GAP@20", "baseline_gap": "baseline's GAP@20",
}  # fmt: skip

# No two of the first 72 share both colour and marker; without colour, no two of the first 45 look alike.
_PLACES = {name: place for place, name in enumerate({**LADDER, **VIDEO_LADDER})}
_narrow = ContextVar("narrow", default=False)


def is_narrow() -> bool:
    """Whether what is drawn now is the narrow layout."""
    return _narrow.get()


class Plot:
    """A figure with its alternative text, shown as a picture where it is a cell's last line."""

    def __init__(self, figure: Figure, alt: str):
        self.figure, self.alt = figure, one_line(alt)
        self._again: Callable[[], Plot] = lambda: self  # `plotted` draws it again
        FigureCanvasAgg(figure)
        if is_narrow():
            _fit(figure)

    def __repr__(self) -> str:
        return self.alt

    @functools.cached_property
    def narrow(self) -> "Plot":
        """The same drawn `NARROW` inches wide, panels below one another."""
        context = copy_context()
        context.run(_narrow.set, True)
        return context.run(self._again)

    def svg(self) -> str:
        """The figure as an SVG element: no background, text as text, inks that follow the reader's theme."""
        about = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        svg = self._drawn(format="svg", metadata=about, facecolor="none").decode("utf-8")
        # Ids are hashes of coordinates, whose last bits differ from one layout to the next: they become numbers.
        for number, name in enumerate(re.findall(r'id="([a-zA-Z]+[0-9a-f]{10})"', svg)):
            svg = svg.replace(f'"{name}"', f'"id{number}"').replace(f"#{name}", f"#id{number}")
        head, _, body = svg[svg.index("<svg") :].partition(">")
        return f"{head}>{THEME}{body}"

    def png(self) -> bytes:
        """The figure as a PNG image, on white: for what shows no SVG."""
        return self._drawn(format="png")

    def _drawn(self, **options) -> bytes:
        file = io.BytesIO()
        with style.context(STYLE), warnings.catch_warnings():
            # Class names may be in a script that the font lacks: boxes are drawn, and no warning is shown.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            if layout := self.figure.get_layout_engine():
                layout.execute(self.figure)
                self.figure.set_layout_engine("none")  # every picture has the same layout, made once
            self.figure.savefig(file, **options)
        return file.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the figure as a file: SVG where its name ends in `.svg`, else PNG."""
        svg = Path(path).suffix.lower() == ".svg"
        Path(path).write_bytes(self.svg().encode("utf-8") if svg else self.png())

    def markup(self) -> str:
        """The figure as HTML: the SVG that fits the window, as an image."""
        wide, narrow = (
            f"data:image/svg+xml;base64,{base64.b64encode(each.svg().encode()).decode()}"
            for each in (self, self.narrow)
        )
        source = f'<source media="(max-width: 40rem)" srcset="{narrow}">'
        alt = html.escape(self.alt)
        return f'<picture>{source}<img src="{wide}" alt="{alt}" style="max-width: 100%"></picture>'

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        pictures = {"image/svg+xml": self.svg(), NARROW_MIME: self.narrow.svg(), "image/png": self.png()}
        about = {name: {"alt": self.alt} for name in ("image/svg+xml", "image/png")}
        return pictures | {"text/plain": self.alt}, about


class _NarrowFigure(Figure):
    """A figure whose legends are below it, in as many columns as there is room for."""

    def legend(self, *args, **options) -> Legend:
        options |= {"loc": "outside lower left", "ncols": 1}
        legend = super().legend(*args, **options)
        longest = max((len(text.get_text()) for text in legend.get_texts()), default=0)
        if (columns := CHARACTERS // (longest + 9)) > 1:
            legend.remove()
            legend = super().legend(*args, **options | {"ncols": columns})
        for text in legend.get_texts():
            text.set_text(_lines(text.get_text(), 0.85))
        return legend


def mark(place: int) -> dict:
    """The colour, marker and line style of the curve at a place of the cycle, as `Axes.plot` takes them."""
    cycles = {"color": COLORS, "marker": MARKERS, "linestyle": LINES}
    return {name: values[place % len(values)] for name, values in cycles.items()}


def marks(names: Sequence[str]) -> list[dict]:
    """A mark for each experiment, the same in every figure; those outside the ladder, or repeated, take unused ones."""
    places = [None if name in names[:at] else _PLACES.get(name) for at, name in enumerate(names)]
    for at, place in enumerate(places):
        if place is None:
            colors = {taken % len(COLORS) for taken in places if taken is not None}
            free = (each for each in range(len(_PLACES), len(_PLACES) + 72) if each not in places)
            places[at] = min(free, key=lambda each: each % len(COLORS) in colors)
    return [mark(place) for place in places]


def plotted(draw: Callable) -> Callable:
    """Draw in the project's style, whatever the notebook has set; None where the first argument is None or empty."""

    @functools.wraps(draw)
    def drawn(subject, *args, **kwargs):
        if subject is None or (hasattr(subject, "__len__") and not len(subject)):
            return None
        with style.context(STYLE):
            shown = draw(subject, *args, **kwargs)
        if isinstance(shown, Plot):
            shown._again = functools.partial(drawn, subject, *args, **kwargs)
        return shown

    return drawn


def canvas(title: str, source, rows=1, columns=1, *, width=8.0, height=4.0, **subplots) -> tuple:
    """A figure of (width, height) inches under its title `with_data`, and the list of its axes, row by row."""
    width, side_by_side = min(width, WIDEST), columns
    kind, title = Figure, shorten(with_data(title, source), round(8.2 * width))
    if is_narrow():
        kind, title, width, height = _NarrowFigure, textwrap.fill(title, 34), NARROW, height * columns
        rows, columns = rows * columns, 1
    figure = kind(figsize=(width, height), layout="constrained")
    figure.side_by_side = side_by_side  # how many panels are, in the wide layout
    figure.suptitle(title, x=0.01, ha="left")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **subplots).flat)


def _fit(figure: Figure) -> None:
    """Lay out a narrow figure: lines that fit, labels of vertical axes above them, every panel as high as it takes."""
    panels, above = [axes for axes in figure.axes if axes.get_subplotspec()], ""
    for place, axes in enumerate(panels):
        # Side by side, the label at the left is of every panel in its row that has none.
        shared = place % figure.side_by_side and axes.get_yticks().size
        above = axes.get_ylabel() or (above if shared else "")
        titles = [axes.get_title(loc="left"), " ".join(above.split())]
        axes.set_title("\n".join(_lines(text, 0.85) for text in titles if text), size=9.5)
        axes.set(ylabel="", xlabel=_lines(axes.get_xlabel()))
        for text in axes.texts:
            text.set_text(_lines(text.get_text()))
        # Empty where a formatter makes them.
        names = [label.get_text().split("\n") for label in axes.get_xticklabels()]
        if len(names) * max((len(line) for lines in names for line in lines), default=0) > CHARACTERS:
            axes.tick_params(axis="x", labelrotation=90)
    if below := figure.get_supxlabel():
        figure.supxlabel(_lines(below, 1.1), x=0.01, ha="left", size=9)
    grid, layout = panels[0].get_gridspec(), figure.get_layout_engine()
    share = 0.8 * figure.get_figheight() / sum(grid.get_height_ratios())
    heights = (min(2.3, share * ratio) for ratio in grid.get_height_ratios())
    heights = [getattr(axes, "inches", height) for axes, height in zip(panels, heights, strict=True)]
    grid.set_height_ratios(heights)
    figure.set_figheight(sum(heights) + 2 * len(panels) + 3)  # room for any text; what is too much goes again
    layout.execute(figure)
    drawn = figure.get_figheight() * sum(axes.get_position().height for axes in panels)
    figure.set_figheight(figure.get_figheight() + sum(heights) - drawn)
    layout.execute(figure)
    figure.set_layout_engine("none")


def _lines(text: str, share: float = 1.0) -> str:
    """A text in lines that fit the narrow layout, broken again where one does not."""
    longest, width = max(map(len, text.split("\n"))), round(share * CHARACTERS)
    return text if longest <= width else textwrap.fill(" ".join(text.split()), width)


def with_data(title: str, source) -> str:
    """A title followed by the data it is about; `source` is a data set, a run, or None where neither is known."""
    if source is None:
        return title
    data = getattr(source, "record", {}).get("data") or {"name": source.name, "generated": source.generated}
    return f"{title} · {'generated data' if data['generated'] else shorten(data['name'], 60)}"


def finished(figure: Figure, frame: pd.DataFrame | dict, *, digits: int = 4) -> Plot:
    """The plot of a figure whose alternative text is its title and the numbers it is drawn from, row by row."""
    frame, rows = pd.DataFrame.from_dict(frame, orient="index") if isinstance(frame, dict) else frame, []
    for name, row in zip(frame.index, frame.to_dict("records"), strict=True):
        known = {heading(column): value for column, value in row.items() if not pd.isna(value)}
        formats = (f",.{digits}f" if isinstance(value, float) else "" for value in known.values())
        cells = (f"{each} {known[each]:{form}}" for each, form in zip(known, formats, strict=True))
        rows.append(f"{name}: {', '.join(cells)}")
    return Plot(figure, f"{figure.get_suptitle()}. {'; '.join(rows)}.")


def heading(column: str) -> str:
    """The heading of a column."""
    return HEADINGS.get(column, str(column).replace("_", " "))


def row_axis(axes: Axes, labels: Sequence[str], *, half: float = 0.31) -> None:
    """One row for each label, the first at the top; what is drawn reaches `half` a row up and down.

    In the narrow layout the labels are above their rows.
    """
    rows = len(labels)
    axes.set_yticks(range(rows), labels)
    axes.set_ylim(rows - 0.4, -0.65)
    for each in axes.get_shared_y_axes().get_siblings(axes):
        each.grid(False, axis="y")
        each.tick_params(axis="y", length=0)
        if is_narrow():
            _label_above(each, labels, half, half, least=0.2)


def _label_above(axes: Axes, labels: Sequence[str], up: float, down: float, *, least: float = 0) -> None:
    """Labels above their rows, of which `up` and `down` are drawn on, and `least` inches above and below the middle."""
    labels = [_lines(label.replace("\n", " ")) for label in labels]
    text = 0.16 * max(label.count("\n") + 1 for label in labels)  # inches
    pitch = max(2.2 * least + text, (text + 0.08) / (1 - up - down))
    above, below = max(least, up * pitch + 0.03), max(least + 0.04, down * pitch + 0.03)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    where = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "bottom", "size": 9}
    for place, label in enumerate(labels):
        axes.annotate(label, (0, place), (1, 72 * above), bbox=PLATE, **where)
    top, bottom = -(above + text) / pitch, len(labels) - 1 + below / pitch
    axes.set_ylim(bottom, top)
    axes.inches = pitch * (bottom - top)


def points(
    axes: Axes, values, places, low, high, *, marker: str = "o", color=COLORS[0], number: bool = False, **look
) -> None:
    """One value or several, each in its row, with horizontal 95 % intervals; NaN ends draw no interval.

    The `number` of a single value is written above it; in the narrow layout below it, where no label is.
    """
    look = {
        "markersize": 8,
        "markeredgecolor": INK,
        "markeredgewidth": 0.9,
        "capsize": 4,
        "color": color,
        **look,
    }
    axes.errorbar(values, places, xerr=interval_lengths(values, low, high), fmt=marker, **look)
    if number:
        look = {"textcoords": "offset points", "ha": "center", "size": 8.5, "bbox": PLATE}
        side = {"xytext": (0, -7), "va": "top"} if is_narrow() else {"xytext": (0, 7)}
        axes.annotate(f"{values:.4f}", (values, places), **look, **side)


def interval_lengths(values, low, high) -> np.ndarray:
    """(2, values) how far intervals reach below and above their values, as matplotlib's error bars take it."""
    values, low, high = np.array([values, low, high], float).reshape(3, -1)
    return np.clip([values - low, high - values], 0, None)


def heat_map(
    axes: Axes, frame: pd.DataFrame, *, cmap: str, low: float, high: float, digits: int, label: str
) -> None:
    """A frame as shades with its numbers, white on dark ones, and a colour bar with its label; NaN is left empty."""
    narrow, (rows, columns) = is_narrow(), frame.shape
    names = [textwrap.fill(shorten(name, 50), 18) for name in frame.columns]
    values = frame.to_numpy(float)
    # Narrow, a row leaves the upper part of its place to its label.
    edges = np.ravel([(row - (0.12 if narrow else 0.5), row + 0.5) for row in range(rows)])
    gaps = np.full((2 * rows - 1, columns), np.nan)
    gaps[::2] = values
    look = {"cmap": cmap, "vmin": low, "vmax": high, "edgecolor": PAPER, "linewidth": 0.6}
    mesh = axes.pcolormesh(np.arange(columns + 1) - 0.5, edges, gaps, **look)
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.{digits}f}"
        luminance = np.dot(mesh.to_rgba(value)[:3], (0.3, 0.59, 0.11))
        color = INK if np.isnan(value) else "black" if luminance > 0.5 else "white"
        look = {"ha": "center", "va": "center", "color": color, "size": 8.5 if narrow else 10}
        axes.text(column, row + 0.19 * narrow, text, **look)
    if narrow:
        _label_above(axes, [shorten(name, 60) for name in frame.index], 0.12, 0.5)
    else:
        axes.set_yticks(range(rows), [shorten(name, 40) for name in frame.index])
        axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xticks(range(columns), names, rotation=90 if narrow or columns > 5 else 0)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    look = {"location": "bottom", "label": _lines(label)} if narrow else {"pad": 0.02, "label": label}
    axes.figure.colorbar(mesh, ax=axes, aspect=30, **look).outline.set_visible(False)


def plain_log(axis: Axis) -> None:
    """Numbers on a logarithmic axis written out, at 1, 2 and 5 of each power where that leaves few."""
    low, high = np.log10(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < 2.5 else (1,)))
    axis.set_major_formatter("{x:g}" if low < 0 and high < 3 else EngFormatter(sep=""))
    axis.set_minor_formatter(NullFormatter())
