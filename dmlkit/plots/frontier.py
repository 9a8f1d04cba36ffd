"""GAP against cost over many rungs: which of them nothing beats at the same cost or less."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dmlkit.plots.given import as_rows, called, headed
from dmlkit.plots.marks import mark
from dmlkit.plots.plot import Plot, canvas, nothing, plain_log, shorten, styled

# Part → its place in the cycle of marks; the ladder's is the plainest.
PLACES = {
    "ladder": 0,
    "beside": 6,
    "fusion": 8,
    "pooling": 1,
    "encoder": 2,
    "classifier": 3,
    "trick": 4,
    "recipe": 5,
    "ensemble": 7,
}
COSTS = {
    "training_seconds": "training time (seconds)",
    "scoring": "time to score 1,000 videos (seconds)",
}


@styled
def frontier(rows: pd.DataFrame | list[dict], dataset=None, *, title: str = "GAP against cost") -> Plot:
    """GAP@20 against the time of training and of scoring, a mark a rung; numbered is what nothing cheaper beats.

    Args:
        rows: `training.everything(study)`, or other rows; those without a `part` are the ladder's.
        dataset: The data set, to say what data it was.
        title: Over the figure.
    """
    rows = priced(rows)
    if rows.empty:
        return nothing("no rung has been trained yet.", title=title)
    unbeaten = {column: _unbeaten(rows, column) for column in COSTS}
    numbered = sorted({*unbeaten["training_seconds"], *unbeaten["scoring"]}, key=lambda at: -rows["gap"][at])
    numbers = {at: number for number, at in enumerate(numbered, start=1)}
    figure, axes = canvas(
        1, 2, width=9.4, height=max(4.6, 1.9 + 0.24 * len(numbers)), title=headed(title, dataset), sharey=True
    )
    for ax, (column, label) in zip(axes, COSTS.items(), strict=True):
        _draw(ax, rows, column, unbeaten[column], numbers)
        ax.set_xlabel(label)
    axes[0].set_ylabel("GAP@20 on the validation part")
    parts = [part for part in PLACES if part in set(rows["part"])]
    figure.legend(
        handles=[_handle(part) for part in parts],
        loc="outside lower center",
        ncols=len(parts),
        columnspacing=1.2,
        handletextpad=0.2,
    )
    names = [f"{number}  {shorten(rows['title'][at], 38)}" for at, number in numbers.items()]
    axes[1].text(1.05, 1.0, "\n".join(names), transform=axes[1].transAxes, va="top", size=9, linespacing=1.55)
    return Plot(figure, _in_words(headed(title, dataset), rows, unbeaten))


def priced(rows: pd.DataFrame | list[dict]) -> pd.DataFrame:
    """The rows that have a GAP, the highest first, with their `part` and the seconds to score 1,000 videos."""
    frame = as_rows(rows)
    frame["title"] = [called(row) for row in frame.to_dict("records")]
    frame["scoring"] = 1000 / frame["videos_per_second"]
    frame["part"] = frame["part"].where(frame["part"].isin(list(PLACES)), "ladder")
    return frame.dropna(subset=["gap"]).sort_values("gap", ascending=False, ignore_index=True, kind="stable")


def _unbeaten(rows: pd.DataFrame, column: str) -> list[int]:
    """Places of the rows that no other equals or beats at the same cost or less, the cheapest first."""
    known = rows.dropna(subset=[column]).sort_values([column, "gap"], ascending=[True, False], kind="stable")
    found: list[int] = []
    for at in known.index:
        if not found or rows["gap"][at] > rows["gap"][found[-1]]:
            found.append(at)
    return found


def _draw(ax: Axes, rows: pd.DataFrame, column: str, unbeaten: list[int], numbers: dict[int, int]) -> None:
    known = rows.dropna(subset=[column])
    if known.empty:
        ax.text(
            0.5, 0.5, "not measured in these runs", ha="center", style="italic", color="#666666",
            transform=ax.transAxes,
        )  # fmt: skip
        ax.set_xticks([])
        return
    ax.step(
        rows[column][unbeaten], rows["gap"][unbeaten], where="post", color="#333333", linewidth=1.1, zorder=1
    )
    for at in known.index:
        look = mark(PLACES[rows["part"][at]])
        ax.plot(
            rows[column][at], rows["gap"][at], look.marker, color=look.color, markersize=8,
            markeredgecolor="black", markeredgewidth=0.8, alpha=1.0 if at in unbeaten else 0.75,
        )  # fmt: skip
        if at in unbeaten:
            ax.annotate(
                str(numbers[at]), (rows[column][at], rows["gap"][at]), (-4, 6), textcoords="offset points",
                ha="right", weight="bold", size=9.5,
            )  # fmt: skip
    ax.set_xscale("log")
    ax.margins(x=0.12, y=0.12)
    plain_log(ax.xaxis)
    if known[column].min() < 1:  # 0.2 is read more easily than 200m
        ax.xaxis.set_major_formatter("{x:g}")


def _handle(part: str) -> Line2D:
    look = mark(PLACES[part])
    return Line2D(
        [], [], linestyle="", marker=look.marker, color=look.color, markeredgecolor="black", markersize=8,
        label=part,
    )  # fmt: skip


def _in_words(title: str, rows: pd.DataFrame, unbeaten: dict[str, list[int]]) -> str:
    said = []
    for column, label in COSTS.items():
        listed = "; ".join(
            f"{rows['title'][at]} {rows['gap'][at]:.4f} at {rows[column][at]:,.2f}" for at in unbeaten[column]
        )
        said.append(f"By {label}, what nothing cheaper beats: {listed or 'not measured'}.")
    missing = int(np.count_nonzero(rows["scoring"].isna()))
    more = f" Of {missing} the time of scoring was not measured." if missing else ""
    return f"{title}. GAP@20 of {len(rows)} rungs against cost. {' '.join(said)}{more}"
