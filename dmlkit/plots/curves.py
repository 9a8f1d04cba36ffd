"""How training went: loss and GAP on the tuning part, epoch by epoch."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dmlkit.plots.given import as_runs, headed
from dmlkit.plots.marks import Mark, marks
from dmlkit.plots.plot import Plot, canvas, nothing, shorten, styled


@styled
def learning_curves(runs, *, title: str = "Learning curves") -> Plot:
    """The training loss and the tuning part's GAP@20 of every run; a ring marks the epoch that was kept.

    Args:
        runs: Name → run, or runs. Ensembles have no curve and are left out.
        title: Over the figure.
    """
    runs = [run for run in as_runs(runs) if len(run.history)]
    if not runs:
        return nothing("no run here was trained epoch by epoch.", title=title)
    height = max(3.4, 1.2 + 0.24 * len(runs))
    figure, axes = canvas(1, 2, width=9.4, height=height, title=headed(title, runs[0]))
    for run, mark in zip(runs, marks([run.name for run in runs]), strict=True):
        _draw(axes, run.history, mark, label=shorten(run.title, 30), kept=run.record.get("best_epoch"))
    _axes(axes)
    if len(runs) > 1:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper")
    return Plot(figure, f"{headed(title, runs[0])}. {' '.join(_in_words(run) for run in runs)}")


def _draw(axes: list[Axes], history: pd.DataFrame, mark: Mark, *, label: str, kept: int | None) -> None:
    for ax, column in zip(axes, ("loss", "tuning_gap"), strict=True):
        ax.plot(
            history["epoch"], history[column], color=mark.color, marker=mark.marker, linestyle=mark.line,
            markersize=5, label=label,
        )  # fmt: skip
    best = history[history["epoch"] == kept]
    axes[1].plot(best["epoch"], best["tuning_gap"], "o", markersize=12, fillstyle="none", color=mark.color)


def _axes(axes: list[Axes]) -> None:
    axes[0].set(xlabel="epoch", ylabel="training loss (nats a video)")
    axes[1].set(xlabel="epoch", ylabel="GAP@20 on the tuning part")
    for ax in axes:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _in_words(run) -> str:
    first, last = run.history.iloc[0], run.history.iloc[-1]
    return (
        f"{run.title}: loss from {first['loss']:.2f} to {last['loss']:.2f}, tuning GAP from "
        f"{first['tuning_gap']:.3f} to {run.history['tuning_gap'].max():.3f} at best, in {len(run.history)} epochs."
    )
