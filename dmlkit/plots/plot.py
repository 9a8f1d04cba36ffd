"""What every figure shares: the style, the way it is shown, and the sentence that stands for it."""

from __future__ import annotations

import functools
import io
import textwrap
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from dmlkit.text import one_line, shorten

STYLE = Path(__file__).with_name("dmlkit.mplstyle")

P = ParamSpec("P")


class Plot:
    """A figure and its alternative text; shown as a picture where it is a cell's last line.

    Args:
        figure: The matplotlib figure. It belongs to no window, so nothing has to be closed.
        alt: What the figure shows, for readers who do not see it.
    """

    def __init__(self, figure: Figure, alt: str):
        self.figure = figure
        self.alt = one_line(alt)
        FigureCanvasAgg(figure)

    def __repr__(self) -> str:
        return self.alt

    def png(self) -> bytes:
        """The figure as a PNG picture."""
        file = io.BytesIO()
        with style.context(STYLE), warnings.catch_warnings():
            # A class name in a script the font does not hold is drawn as boxes; that is no news for a notebook.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            self.figure.savefig(file, format="png")
        return file.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the figure as a PNG file."""
        Path(path).write_bytes(self.png())

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        return {"image/png": self.png(), "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


def styled(draw: Callable[P, Plot]) -> Callable[P, Plot]:
    """Draw under the house's style, whatever the notebook has set."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Plot:
        with style.context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def canvas(
    rows: int = 1,
    columns: int = 1,
    *,
    title: str,
    width: float = 8.0,
    height: float = 4.0,
    sharex: bool = False,
    sharey: bool = False,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure with its title at the left, and its axes row by row.

    Args:
        rows, columns: Of axes.
        title: Stands over the figure.
        width, height: In inches.
        sharex, sharey, height_ratios: As for matplotlib's `Figure.subplots`.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(shorten(title, round(8.2 * width)), x=0.01, ha="left")
    axes = figure.subplots(
        rows, columns, squeeze=False, sharex=sharex, sharey=sharey, height_ratios=height_ratios
    )
    return figure, list(axes.flat)


@styled
def nothing(why: str, *, title: str = "Nothing to show") -> Plot:
    """A figure that says why there is none.

    Args:
        why: One sentence.
        title: What would have been shown.
    """
    figure = Figure(figsize=(8.0, 0.9))
    figure.text(0.012, 0.8, shorten(title, 88), va="center", size=12, weight="bold")
    figure.text(
        0.012, 0.38, textwrap.fill(shorten(why, 300), 110), va="center", color="#444444", style="italic"
    )
    return Plot(figure, f"{title}: {why}")


def plain_log(axis: Axis) -> None:
    """Numbers on a logarithmic axis written out, at 1, 2 and 5 of each power where that leaves few."""
    low, high = np.log10(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < 2.5 else (1,)))
    axis.set_major_formatter(EngFormatter(sep=""))
    axis.set_minor_formatter(NullFormatter())
