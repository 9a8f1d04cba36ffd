"""What a rung costs: GAP against the seconds its training took and the parameters it has."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dmlkit.plots.given import as_rows, headed
from dmlkit.plots.marks import marks
from dmlkit.plots.plot import Plot, canvas, nothing, plain_log, shorten, styled


@styled
def cost(rows: pd.DataFrame | list[dict], dataset=None, *, title: str = "What a rung costs") -> Plot:
    """GAP@20 against training time and parameters, each point led to its name.

    Args:
        rows: `study.ladder()`, `study.beside()` or `study.results(...)`. An ensemble costs its members' seconds.
        dataset: The data set, to say what data it was.
        title: Over the figure.
    """
    rows = as_rows(rows).dropna(subset=["gap", "training_seconds", "parameters"])
    rows = rows.sort_values("gap", ascending=False, ignore_index=True)
    if rows.empty:
        return nothing("no rung has been trained yet.", title=title)
    figure, axes = canvas(
        1, 2, width=9.4, height=max(3.6, 1.3 + 0.27 * len(rows)), title=headed(title, dataset), sharey=True
    )
    drawn = marks(list(rows["name"]))
    for ax, column in zip(axes, ("training_seconds", "parameters"), strict=True):
        for gap, value, mark in zip(rows["gap"], rows[column], drawn, strict=True):
            ax.plot(
                max(value, 1e-3), gap, mark.marker, color=mark.color, markersize=9, markeredgecolor="black"
            )
        ax.set_xscale("log")
        ax.margins(x=0.12, y=0.12)
    axes[0].set(ylabel="GAP@20 on the validation part", xlabel="training time (seconds)")
    axes[1].set(xlabel="parameters")
    for ax in axes:
        plain_log(ax.xaxis)
    _names(axes[1], rows, drawn)
    said = "; ".join(
        f"{row['title']} {row['gap']:.4f} after {row['training_seconds']:,.0f} s "
        f"with {row['parameters']:,.0f} parameters"
        for row in rows.to_dict("records")
    )
    return Plot(figure, f"{headed(title, dataset)}. GAP@20 against training time and parameters: {said}.")


def _names(ax, rows: pd.DataFrame, drawn: list) -> None:
    """The names in a column at the right, evenly apart, each led to its point: none can cover another."""
    places = np.linspace(0.98, 0.02, len(rows)) if len(rows) > 1 else [0.5]
    for row, mark, place in zip(rows.to_dict("records"), drawn, places, strict=True):
        ax.annotate(
            shorten(row["title"], 30),
            xy=(row["parameters"], row["gap"]),
            xytext=(1.06, place),
            textcoords="axes fraction",
            va="center",
            size=9.5,
            arrowprops={
                "arrowstyle": "-",
                "color": mark.color,
                "linewidth": 0.7,
                "shrinkB": 5,
                "relpos": (0, 0.5),
            },
        )
        ax.plot(
            1.035,
            place,
            mark.marker,
            color=mark.color,
            markeredgecolor="black",
            transform=ax.transAxes,
            clip_on=False,
        )
