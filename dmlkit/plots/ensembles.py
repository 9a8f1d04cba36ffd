"""Ensembles: their members, the ways to combine them, what each member adds, and how similar they are."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

import dmlkit.plots.style as style
from dmlkit.errors import shorten
from dmlkit.metrics import FOR_THIS_SEED
from dmlkit.plots.ladder import ladder
from dmlkit.plots.tables import as_runs

COMBINER_TITLES = {
    "algorithm_2": "Algorithm 2 (the paper's)",
    "uniform": "Uniform average",
    "majority": "Majority vote",
    "rank_mean": "Mean reciprocal rank",
    "optimized": "Optimized weights",
    "stacking": "Stacking",
}
TUNING, VALIDATION = "tuning GAP@20", "validation GAP@20"


def combiner_title(name: str) -> str:
    """The title of a way to combine; any other text with a capital first letter."""
    return COMBINER_TITLES.get(name, name[:1].upper() + name[1:])


@style.plotted
def ensemble_members(run, members, *, title: str = "The ensemble and its members") -> style.Plot | None:
    """GAP@20 of an ensemble's run and its members', with the weight of each; other runs are left out."""
    # Members of several seeds share a name, and are in the record's order.
    weights: dict[str, list[float]] = {}
    for member in run.record["members"]:
        weights.setdefault(member["name"], []).append(member["weight"])
    shown = [(each, weights[each.name].pop(0)) for each in as_runs(members) if weights.get(each.name)]
    shown = [(each, f"{each.title} (weight {weight:.3f})") for each, weight in shown]
    rows = [{"title": name, "status": "trained", **each.metrics} for each, name in [*shown, (run, run.title)]]
    for row in rows:
        row["gap_low"], row["gap_high"] = row["gap_interval"]
    return ladder([*rows[:-1], rows[-1] | {"experiment": {"members": []}}], run, title=title)


@style.plotted
def combiners(table: pd.DataFrame, dataset=None, *, title: str = "Ways to combine") -> style.Plot | None:
    """GAP@20 of each combiner on the tuning split, which selects one, and on the validation split."""
    selected = 1 + int(np.argmax(table[TUNING].to_numpy()[1:]))  # the first row is the best member
    size = {"width": 9.4, "height": 1.6 + 0.4 * len(table)}
    figure, axes = style.canvas(title, dataset, 1, 2, sharey=True, **size)
    for place, row in enumerate(table.to_dict("records")):
        look = {"marker": "s" if place == 0 else "D" if place == selected else "o"}
        look["color"] = style.COLORS[1] if place == selected else style.COLORS[0]
        style.points(axes[0], row[TUNING], place, np.nan, np.nan, number=True, **look)
        style.points(axes[1], row[VALIDATION], place, row["from"], row["to"], number=True, **look)
    for ax, column in zip(axes, (TUNING, VALIDATION), strict=True):
        ax.axvline(table[column].iloc[0], color=style.GREY, linestyle="--", linewidth=1.1)
        ax.margins(x=0.15)
        ax.xaxis.set_major_locator(MaxNLocator(5))
    style.row_axis(axes[0], [shorten(combiner_title(name), 46) for name in table.index])
    axes[0].set_xlabel("GAP@20 on the tuning split\n(◆: selected; dashed: best member)")
    axes[1].set_xlabel(f"GAP@20 on the validation split\n(line: 95 % CI {FOR_THIS_SEED})")
    return style.finished(figure, table[[TUNING, VALIDATION, "from", "to"]].rename(index=combiner_title))


@style.plotted
def leave_one_out(table: pd.DataFrame, dataset=None, *, title: str = "Leave one out") -> style.Plot | None:
    """The ensemble's GAP@20 minus its GAP@20 without each member."""
    places = range(len(table))
    table = table.sort_values("adds, tuning", ascending=False, kind="stable")
    figure, (axes,) = style.canvas(title, dataset, height=1.55 + 0.38 * len(table))
    axes.axvline(0, color=style.GREY, linestyle="--", linewidth=1.1)
    label = f"validation split (line: paired 95 % CI {FOR_THIS_SEED})"
    style.points(axes, table["adds, validation"], places, table["from"], table["to"], label=label)
    look = {"color": style.COLORS[1], "fillstyle": "none", "label": "tuning split"}
    axes.plot(table["adds, tuning"], places, "D", **look)
    alone = table["alone"].items()
    style.row_axis(axes, [f"{shorten(name, 32)} (alone {gap:.3f})" for name, gap in alone])
    axes.margins(x=0.1)
    axes.set_xlabel("GAP@20 of the ensemble minus its GAP@20 without this member")
    figure.legend(loc="outside lower left", ncols=2)
    return style.finished(figure, table)


@style.plotted
def agreement(table: pd.DataFrame, dataset=None, *, title: str = "Agreement") -> style.Plot | None:
    """The share of each video's highest-scoring classes that two members have in common."""
    shares = table.mask(np.eye(len(table), dtype=bool))
    low, high = np.nanmin(shares), np.nanmax(shares)
    size = {"width": 4.6 + 0.62 * len(table), "height": 2.6 + 0.48 * len(table)}
    figure, (axes,) = style.canvas(title, dataset, **size)
    classes = f"{table.attrs.get('top_k', 20)} highest-scoring classes"
    label = f"share of each video's {classes}\nin common (0 to 1)"
    # Two members share one value, and a scale needs two.
    high = max(high, low + 0.01)
    style.heat_map(axes, shares, cmap="cividis", low=low, high=high, digits=2, label=label)
    return style.finished(figure, table, digits=2)
