"""What there is to see of an ensemble: its ways side by side, what each member adds, how alike the members are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dmlkit.plots.given import headed
from dmlkit.plots.plot import Plot, canvas, nothing, shorten, styled
from dmlkit.plots.words import Sentence, way_title

CHOSEN, OTHER = "#D55E00", "#0072B2"
TUNING, VALIDATION = "tuning GAP@20", "validation GAP@20"
FEW = "fewer runs are there than an ensemble needs."
# Of black and white, the one that is read on this much of the colour scale.
DARK = 0.55


@styled
def ways(table: pd.DataFrame, dataset=None, *, title: str = "Ways to combine") -> Plot:
    """GAP@20 of each way beside the best member: on the tuning part, where a way is chosen, and on the validation part.

    Args:
        table: What `dmlkit.compare_combiners` gives.
        dataset: The data set, to say what data it was.
        title: Over the figure.
    """
    if table.empty:
        return nothing(FEW, title=title)
    names = [way_title(name) for name in table.index]
    chosen = _chosen(table)
    places = np.arange(len(table))
    figure, axes = canvas(
        1, 2, width=9.4, height=1.6 + 0.4 * len(table), title=headed(title, dataset), sharey=True
    )
    for place, row in zip(places, table.to_dict("records"), strict=True):
        # The best member is no way: a square.
        look = {
            "marker": "s" if place == 0 else "D" if place == chosen else "o",
            "color": CHOSEN if place == chosen else OTHER,
            "markeredgecolor": "black",
            "markersize": 8,
            "linestyle": "none",
        }
        axes[0].plot(row[TUNING], place, **look)
        axes[1].plot([row["from"], row["to"]], [place, place], color=look["color"])
        axes[1].plot(row[VALIDATION], place, **look)
        for ax, value in zip(axes, (row[TUNING], row[VALIDATION]), strict=True):
            ax.annotate(
                f"{value:.4f}", (value, place), (0, 8), textcoords="offset points", ha="center", size=8.5
            )
    for ax, column in zip(axes, (TUNING, VALIDATION), strict=True):
        ax.axvline(table[column].iloc[0], color="#666666", linestyle="--", linewidth=1.1)
        ax.margins(x=0.15)
    _rows(axes, names)
    axes[0].set_xlabel("GAP@20 on the tuning part,\nby which a way is chosen (◆)")
    axes[1].set_xlabel("GAP@20 on the validation part\n(line: 95 % interval)")
    said = "; ".join(
        f"{name} {row[TUNING]:.4f} and {row[VALIDATION]:.4f}"
        for name, row in zip(names, table.to_dict("records"), strict=True)
    )
    return Plot(figure, f"{headed(title, dataset)}. GAP@20 on the tuning and the validation part: {said}.")


def say_ways(table: pd.DataFrame) -> Sentence:
    """Which way the tuning part chooses, and what came of it.

    Args:
        table: What `dmlkit.compare_combiners` gives.
    """
    if table.empty:
        return Sentence(f"There is nothing to combine here: {FEW}")
    best, way = table.iloc[0], table.iloc[_chosen(table)]
    gained = way[VALIDATION] - best[VALIDATION]
    return Sentence(
        f"By its GAP on the tuning part one chooses: {way_title(way.name)} ({way[TUNING]:.4f}). On the validation part "
        f"it reaches {way[VALIDATION]:.4f}, {abs(gained):.4f} {'above' if gained >= 0 else 'below'} the "
        f"{best.name} ({best[VALIDATION]:.4f})."
    )


@styled
def added(table: pd.DataFrame, dataset=None, *, title: str = "What each member adds") -> Plot:
    """The GAP@20 that an ensemble has because of each member: with it, minus without it.

    Args:
        table: What `dmlkit.training.leave_one_out` gives.
        dataset: The data set, to say what data it was.
        title: Over the figure.
    """
    if table.empty:
        return nothing("of fewer than three runs none can be left out.", title=title)
    table = table.sort_values("adds, tuning", ascending=False, kind="stable")
    figure, (axes,) = canvas(height=1.55 + 0.38 * len(table), title=headed(title, dataset))
    axes.axvline(0, color="#666666", linestyle="--", linewidth=1.1)
    for place, row in enumerate(table.to_dict("records")):
        axes.plot([row["from"], row["to"]], [place, place], color=OTHER)
        told = {"linestyle": "none", "markeredgecolor": "black"}
        axes.plot(
            row["adds, validation"], place, "o", color=OTHER, markersize=8, **told,
            label="on the validation part (line: 95 % interval, paired)" if place == 0 else None,
        )  # fmt: skip
        axes.plot(
            row["adds, tuning"], place, "D", markersize=6.5, markerfacecolor="none", markeredgewidth=1.4,
            **{**told, "markeredgecolor": CHOSEN}, label="on the tuning part" if place == 0 else None,
        )  # fmt: skip
    _rows([axes], [f"{shorten(name, 32)} (alone {alone:.3f})" for name, alone in table["alone"].items()])
    axes.margins(x=0.1)
    axes.set_xlabel("GAP@20 of the ensemble,\nminus its GAP@20 without this member")
    figure.legend(loc="outside lower left", ncols=2)
    said = "; ".join(
        f"{row.Index} {row[2]:+.4f} on the tuning part, {row[3]:+.4f} on the validation part"
        for row in table.itertuples()
    )
    return Plot(figure, f"{headed(title, dataset)}. GAP@20 gained by each: {said}.")


def say_added(table: pd.DataFrame) -> Sentence:
    """Which member an ensemble needs most, and which it would be better without.

    Args:
        table: What `dmlkit.training.leave_one_out` gives.
    """
    if table.empty:
        return Sentence("Of fewer than three runs none can be left out.")
    gains = table["adds, tuning"].sort_values(ascending=False, kind="stable")
    harmful = gains[gains < 0]
    without = (
        f"Without {', '.join(harmful.index)} it would be better, each taken away alone"
        if len(harmful)
        else "There is none without which it would be better"
    )
    return Sentence(
        f"On the tuning part the ensemble owes most to {gains.index[0]}, {gains.iloc[0]:+.4f}. {without}."
    )


@styled
def agreement(table: pd.DataFrame, dataset=None, *, title: str = "Classes in common") -> Plot:
    """How alike the members are: of each video's highest classes the share that two of them have in common.

    Args:
        table: What `dmlkit.compare_members` gives.
        dataset: The data set, to say what data it was.
        title: Over the figure.
    """
    if table.empty:
        return nothing(FEW, title=title)
    shares = table.to_numpy()
    highest = f"the {table.attrs.get('top_k', 20)} highest classes"
    apart = np.where(np.eye(len(table), dtype=bool), np.nan, shares)
    low = np.nanmin(apart)
    high = max(np.nanmax(apart), low + 0.01)  # a scale needs two ends, and two members have one share
    figure, (axes,) = canvas(
        width=4.6 + 0.62 * len(table), height=2.6 + 0.48 * len(table), title=headed(title, dataset)
    )
    image = axes.imshow(apart, vmin=low, vmax=high, aspect="auto")
    axes.set_facecolor("#F2F2F2")  # of a run with itself nothing is drawn
    for place in np.ndindex(shares.shape):
        bright = (shares[place] - low) / (high - low)
        one = place[0] == place[1]
        axes.text(
            place[1], place[0], "–" if one else f"{shares[place]:.2f}", ha="center", va="center", size=9.5,
            color="black" if one or bright > DARK else "white",
        )  # fmt: skip
    names = [shorten(name, 30) for name in table.index]
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), names, rotation=38, ha="right", rotation_mode="anchor")
    axes.grid(False)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.colorbar(image, ax=axes, label=f"share of\n{highest}", shrink=0.9)
    said = "; ".join(
        f"{table.index[one]} and {table.index[other]} {shares[one, other]:.2f}"
        for one in range(len(table))
        for other in range(one)
    )
    return Plot(figure, f"{headed(title, dataset)}. Share in common of {highest} of each video: {said}.")


def _chosen(table: pd.DataFrame) -> int:
    """The row of the way with the highest tuning GAP; the first row is the best member."""
    return 1 + int(np.argmax(table[TUNING].to_numpy()[1:]))


def _rows(axes: list[Axes], names: list[str]) -> None:
    """A row a name, the first at the top."""
    axes[0].set_yticks(range(len(names)), [shorten(name, 46) for name in names])
    axes[0].set_ylim(len(names) - 0.4, -0.7)
    for ax in axes:
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.grid(False, axis="y")
