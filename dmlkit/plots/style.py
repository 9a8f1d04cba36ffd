"""The style of every figure: `Plot`, the canvas, parts of axes, and the colour, marker and line of each experiment."""

import functools
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from dmlkit.errors import one_line, shorten
from dmlkit.experiments import LADDER, VIDEO_LADDER

STYLE = Path(__file__).with_name("dmlkit.mplstyle")

# Okabe and Ito's colours, with markers, line styles and hatches that distinguish curves without colour.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#8C510A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
LINES = ("-", "--", "-.", (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5)))
HATCHES = ("///", "...", "xx", "\\\\\\", "ooo")
GREY = "#666666"

# No two of the first 72 share both colour and marker; without colour, no two of the first 45 look alike.
_PLACES = {name: place for place, name in enumerate({**LADDER, **VIDEO_LADDER})}


class Plot:
    """A figure with its alternative text, shown as a picture where it is a cell's last line."""

    def __init__(self, figure: Figure, alt: str):
        self.figure = figure
        self.alt = one_line(alt)
        FigureCanvasAgg(figure)

    def __repr__(self) -> str:
        return self.alt

    def png(self) -> bytes:
        """The figure as a PNG image."""
        file = io.BytesIO()
        with style.context(STYLE), warnings.catch_warnings():
            # Class names may be in a script that the font lacks: boxes are drawn, and no warning is shown.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            self.figure.savefig(file, format="png")
        return file.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the figure as a PNG file."""
        Path(path).write_bytes(self.png())

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        return {"image/png": self.png(), "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


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
            free = [each for each in range(len(_PLACES), len(_PLACES) + 72) if each not in places]
            places[at] = next((each for each in free if each % len(COLORS) not in colors), free[0])
    return [mark(place) for place in places]


def plotted(draw: Callable) -> Callable:
    """Draw in the project's style, whatever the notebook has set; None where the first argument is None or empty."""

    @functools.wraps(draw)
    def drawn(subject, *args, **kwargs):
        if subject is None or (hasattr(subject, "__len__") and not len(subject)):
            return None
        with style.context(STYLE):
            return draw(subject, *args, **kwargs)

    return drawn


def canvas(title: str, source, rows=1, columns=1, *, width=8.0, height=4.0, **subplots) -> tuple:
    """A figure of (width, height) inches under its title `with_data`, and the list of its axes, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(shorten(with_data(title, source), round(8.2 * width)), x=0.01, ha="left")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **subplots).flat)


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
        known = {column: value for column, value in row.items() if not pd.isna(value)}
        cells = [f"{k} {v:,.{digits}f}" if isinstance(v, float) else f"{k} {v}" for k, v in known.items()]
        rows.append(f"{name}: {', '.join(cells)}")
    return Plot(figure, f"{figure.get_suptitle()}. {'; '.join(rows)}.")


def row_axis(axes: Axes, labels: Sequence[str]) -> None:
    """One row for each label, the first at the top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.65)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)


def points(axes: Axes, values, places, low, high, *, marker: str = "o", color=COLORS[0], **look) -> None:
    """One value or several, each in its row, with horizontal 95 % intervals; NaN ends draw no interval."""
    look = {"markersize": 8, "markeredgecolor": "black", "markeredgewidth": 0.9, "capsize": 4, **look}
    ends = interval_lengths(values, low, high)
    axes.errorbar(values, places, xerr=ends, fmt=marker, color=color, ecolor=color, **look)


def interval_lengths(values, low, high) -> np.ndarray:
    """(2, values) how far intervals reach below and above their values, as matplotlib's error bars take it."""
    values, low, high = (np.atleast_1d(each).astype(float) for each in (values, low, high))
    return np.clip([values - low, high - values], 0, None)


def number_above(axes: Axes, value: float, place: float) -> None:
    """A value written above its point."""
    axes.annotate(f"{value:.4f}", (value, place), (0, 7), textcoords="offset points", ha="center", size=8.5)


def heat_map(axes: Axes, frame: pd.DataFrame, *, cmap: str, low: float, high: float, digits: int):
    """A frame as shades with its numbers, white on dark ones; NaN is left empty. Returns the image."""
    image = axes.imshow(frame, cmap=cmap, vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(frame.to_numpy(float)):
        text = "–" if np.isnan(value) else f"{value:.{digits}f}"
        luminance = np.dot(image.to_rgba(value)[:3], (0.3, 0.59, 0.11))
        color = "black" if np.isnan(value) or luminance > 0.5 else "white"
        axes.text(column, row, text, ha="center", va="center", color=color)
    axes.set_yticks(range(len(frame)), [shorten(name, 40) for name in frame.index])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return image


def plain_log(axis: Axis) -> None:
    """Numbers on a logarithmic axis written out, at 1, 2 and 5 of each power where that leaves few."""
    low, high = np.log10(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < 2.5 else (1,)))
    axis.set_major_formatter("{x:g}" if low < 0 and high < 3 else EngFormatter(sep=""))
    axis.set_minor_formatter(NullFormatter())
