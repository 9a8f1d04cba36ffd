"""Experiments side by side: GAP@20, learning curves, and GAP@20 against cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

import dmlkit.plots.style as style
from dmlkit.errors import shorten
from dmlkit.plots.tables import Results, absence, as_runs, result_rows, short_title

VALIDATION_GAP = "GAP@20 on the validation split"

# Group of experiments → its place in the cycle of marks; the ladder's is the plainest.
GROUPS = {
    "ladder": 0, "ablation": 6, "fusion": 8, "pooling": 1, "encoder": 2, "classifier": 3, "trick": 4,
    "recipe": 5, "ensemble": 7,
}  # fmt: skip
COSTS = {
    "training_seconds": "training time (s)",
    "parameters": "parameters",
    "scoring_seconds": "time to score 1,000 videos (s)",
}
TRAINING_COSTS = ("training_seconds", "parameters")


@style.plotted
def ladder(results: Results, dataset=None, *, title: str = "The ladder so far") -> style.Plot | None:
    """GAP@20 of each experiment as a bar with its 95 % interval; where there is no run, the reason."""
    rows = result_rows(results)
    right = np.nanmax([0.05, *rows["gap"], *rows["gap_high"]])
    figure, (axes,) = style.canvas(height=1.25 + 0.36 * len(rows), title=title, source=dataset)
    for place, row in enumerate(rows.to_dict("records")):
        if np.isnan(row["gap"]):
            reason = shorten(absence(row) or "no run", 88)
            axes.text(0.006 * right, place, reason, va="center", style="italic", color=style.GREY, size=9)
            continue
        ensemble = isinstance(row["experiment"], dict) and "members" in row["experiment"]
        look = {"color": "#E9C46A", "hatch": "//"} if ensemble else {"color": "#56B4E9"}
        axes.barh(place, row["gap"], height=0.62, edgecolor="#333333", linewidth=0.8, **look)
        low, high = row["gap_low"], row["gap_high"]
        style.points(axes, [row["gap"]], [place], [low], [high], marker="|", color="black")
        end = np.nanmax([row["gap"], high])
        axes.text(end + 0.012 * right, place, f"{row['gap']:.4f}", va="center")
    style.row_axis(axes, list(rows["title"]), longest=44)
    axes.set_xlim(0, 1.12 * right)
    axes.set_xlabel(f"{VALIDATION_GAP}; line: 95 % CI over videos")
    status = [absence(row) or None for row in rows.to_dict("records")]
    shown = rows.set_index("title")[["gap", "gap_low", "gap_high"]].assign(status=status)
    return style.finished(figure, shown)


@style.plotted
def learning_curves(runs, *, title: str = "Learning curves") -> style.Plot | None:
    """The training loss and the tuning GAP@20 of every run by epoch; a ring marks the selected epoch."""
    runs = [run for run in as_runs(runs) if len(run.history)]
    if not runs:
        return None
    rows, height = {}, max(3.4, 1.2 + 0.24 * len(runs))
    figure, axes = style.canvas(1, 2, width=9.4, height=height, title=title, source=runs[0])
    for run, look in zip(runs, style.marks([run.name for run in runs]), strict=True):
        history, label = run.history, shorten(run.title, 30)
        for ax, column in zip(axes, ("loss", "tuning_gap"), strict=True):
            line = {"color": look.color, "marker": look.marker, "linestyle": look.line, "label": label}
            ax.plot(history["epoch"], history[column], markersize=5, **line)
        best = history[history["epoch"] == run.record.get("best_epoch")]
        ring = {"markersize": 12, "fillstyle": "none", "color": look.color}
        axes[1].plot(best["epoch"], best["tuning_gap"], "o", **ring)
        last, highest = history["loss"].iloc[-1], history["tuning_gap"].max()
        rows[run.title] = {"last loss": last, "highest GAP@20": highest}
    axes[0].set(xlabel="epoch", ylabel="training loss (nats per video)")
    axes[1].set(xlabel="epoch", ylabel="GAP@20 on the tuning split")
    for ax in axes:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(runs) > 1:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return style.finished(figure, rows)


@style.plotted
def cost(results: Results, dataset=None, *, against=TRAINING_COSTS, title="GAP@20 against cost"):
    """GAP@20 with its 95 % interval against two of `COSTS`, and the Pareto front of each.

    An ensemble costs what its members cost. Of more than a dozen experiments only those on a front are numbered.
    """
    rows = result_rows(results)
    rows["title"] = [short_title(row) for row in rows.to_dict("records")]
    rows["scoring_seconds"] = 1000 / rows["videos_per_second"]
    rows["part"] = rows["part"].where(rows["part"].isin(list(GROUPS)), "ladder")
    rows = rows.dropna(subset=["gap"]).sort_values("gap", ascending=False, ignore_index=True, kind="stable")
    if rows.empty:
        return None
    fronts = [pareto_front(rows[column], rows["gap"]) for column in against]
    numbered = rows.index if len(rows) <= 12 else sorted({*fronts[0], *fronts[1]})
    numbers = {at: number for number, at in enumerate(numbered, start=1)}
    height = max(4.2, 1.9 + 0.24 * len(numbers))
    figure, axes = style.canvas(1, 2, width=9.4, height=height, title=title, source=dataset, sharey=True)
    for ax, column, front in zip(axes, against, fronts, strict=True):
        _scatter(ax, rows, column, front, numbers)
    axes[0].set_ylabel(VALIDATION_GAP)
    groups = [group for group in GROUPS if group in set(rows["part"])]
    for group in groups:
        look = style.mark(GROUPS[group])
        axes[0].plot([], [], look.marker, color=look.color, markeredgecolor="black", label=group)
    figure.legend(loc="outside lower center", ncols=len(groups))
    names = [f"{number}  {shorten(rows['title'][at], 38)}" for at, number in numbers.items()]
    axes[1].text(1.05, 1.0, "\n".join(names), transform=axes[1].transAxes, va="top", size=9, linespacing=1.55)
    return style.finished(figure, rows.loc[list(numbers)].set_index("title")[["gap", *against]])


def pareto_front(costs: pd.Series, gaps: pd.Series) -> list[int]:
    """Labels of the rows that no other equals or beats at the same cost or less, the cheapest first."""
    known = (
        pd.DataFrame({"cost": costs, "gap": gaps})
        .dropna()
        .sort_values(["cost", "gap"], ascending=[True, False], kind="stable")
    )
    higher = known["gap"] > known["gap"].cummax().shift(fill_value=-np.inf)
    return list(known.index[higher])


def _scatter(ax: Axes, rows: pd.DataFrame, column: str, front: list[int], numbers: dict[int, int]) -> None:
    ax.set_xlabel(COSTS[column])
    known = rows.dropna(subset=[column])
    if known.empty:
        ax.text(0.5, 0.5, "not measured in these runs", ha="center", color=style.GREY, transform=ax.transAxes)
        ax.set_xticks([])
        return
    values = known[column].clip(lower=1e-3)
    ax.step(values[front], rows["gap"][front], where="post", color="#333333", linewidth=1.1, zorder=1)
    ax.vlines(values, known["gap_low"], known["gap_high"], color="#999999", linewidth=1, zorder=1)
    for at, value in values.items():
        gap, look = rows["gap"][at], style.mark(GROUPS[rows["part"][at]])
        ax.plot(value, gap, look.marker, color=look.color, markersize=8, markeredgecolor="black")
        if at in numbers:
            weight = "bold" if at in front else "normal"
            where = {"xytext": (-4, 6), "textcoords": "offset points", "ha": "right"}
            ax.annotate(str(numbers[at]), (value, gap), weight=weight, size=9.5, **where)
    ax.set_xscale("log")
    ax.margins(x=0.12, y=0.12)
    style.plain_log(ax.xaxis)
