"""Is attention right? Scores while frames are taken away, and how well planted frames are found."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from dmlkit.plots.marks import HATCHES, mark
from dmlkit.plots.plot import Plot, canvas, nothing, shorten, styled
from dmlkit.plots.words import Sentence

ORDERS = {
    "attention": "attention",
    "contribution": "attention × what the frame says",
    "occlusion": "occlusion (each frame alone)",
    "random": "random order",
    "uniform": "uniform weights",
}
"""Way of ordering frames → what a legend calls it. Its place is that of its mark. `order_names` says how each frame
alone is taken away: the view's occlusion masks it, a study's is asked by the study's own question."""

TAKEN = {"remove": "removed", "mask": "masked"}

QUESTIONS = {"remove": "the video encoded again without the frames", "mask": "the frames' weights set to 0"}


@styled
def faithfulness(study, *, title: str = "Is attention right?") -> Plot:
    """The score of each video's highest class while frames are taken away and given, and planted frames found.

    Args:
        study: What `dmlkit.explorer.faithfulness_study` gives; None where there is no run with attention.
        title: Over the figure.
    """
    if study is None:
        return nothing("no model with attention was trained on this data set.", title=title)
    names = order_names(study)
    data = "generated data" if study.generated else shorten(study.data)
    panels = 2 + (not study.planted.empty)
    figure, axes = canvas(
        1, panels, width=4.2 * panels + 0.6, height=3.9, title=f"{title} · {study.run} · {data}"
    )
    for ax, (curve, heading) in zip(
        axes,
        (("deletion", "taken away first: low is good"), ("insertion", "given first: high is good")),
        strict=False,
    ):
        _curves(ax, study.curves[study.curves["curve"] == curve], names)
        ax.set_title(f"{curve}: {heading}", size=9.5)
        ax.set_xlabel("share of the frames " + ("taken away" if curve == "deletion" else "given"))
    axes[0].set_ylabel("score of the highest class")
    handles, labels = axes[0].get_legend_handles_labels()
    if panels == 3:
        for way, patch in _planted(axes[2], study.planted).items():
            if names[way] not in labels:
                handles, labels = [*handles, patch], [*labels, names[way]]
    figure.legend(handles, labels, loc="outside lower left", ncols=5)
    return Plot(figure, f"{title} {say_faithfulness(study)}")


def say_faithfulness(study) -> Sentence:
    """How far attention is an explanation here, with the numbers that show it.

    Args:
        study: As for `faithfulness`.
    """
    if study is None:
        return Sentence("There is no model with attention here, so there is nothing to ask.")
    areas, planted = study.areas, study.planted
    said = [
        "Attention is not by itself an explanation: a weight says how much of a frame's state goes on, and not what "
        "that state says, nor which frames made it.",
        f"How far it is one was asked of {study.run} on {study.videos:,} videos of {study.data}, "
        f"{QUESTIONS[study.question]}; occlusion is each frame {TAKEN[study.question]} alone.",
    ]
    for curve, begins in (("deletion", "Taken away heaviest first"), ("insertion", "Given heaviest first")):
        said.append(
            f"{begins}, frames leave an area of {_number(areas, 'attention', curve)} under the score "
            f"({areas.loc['random', curve]:.3f} in random orders, {areas.loc['occlusion', curve]:.3f} by occlusion): "
            f"attention {_against(areas, curve)}."
        )
    if planted.empty:
        said.append("Nobody knows which frames made these labels, so whether it finds them cannot be asked.")
    else:
        row = planted.loc["all"]
        said.append(
            f"The frames that made a label are found with an average precision of "
            f"{_number(planted, 'all', 'attention')} ({row['uniform']:.3f} by uniform weights, "
            f"{row['occlusion']:.3f} by occlusion; {int(row['labels']):,} labels that lie in part of their video)."
        )
    if study.generated:
        said.append("These are generated data: what holds here need not hold for real videos.")
    return Sentence(" ".join(said))


def order_names(study) -> dict[str, str]:
    """`ORDERS`, with what taking a frame away alone means in this study.

    Args:
        study: As for `faithfulness`.
    """
    return ORDERS | {"occlusion": f"occlusion (each frame {TAKEN[study.question]} alone)"}


def faithfulness_numbers(study) -> pd.DataFrame:
    """The areas and the planted frames found, a row a way of ordering frames: for `numbers`.

    Args:
        study: As for `faithfulness`.
    """
    if study is None:
        return pd.DataFrame(columns=["deletion area", "insertion area"])
    table = study.areas[["deletion", "insertion"]].add_suffix(" area")
    if not study.planted.empty:
        found = study.planted.loc["all"]
        ways = [way for way in ORDERS if way in found.index]
        table = table.reindex([way for way in ORDERS if way in {*table.index, *ways}])
        table["planted frames found"] = pd.Series({way: float(found[way]) for way in ways})
    return table.rename(index=order_names(study))


def _curves(ax, curves, names: dict[str, str]) -> None:
    for place, (way, name) in enumerate(names.items()):
        rows = curves[curves["order"] == way]
        if rows.empty:
            continue
        look = mark(place)
        ax.fill_between(rows["share"], rows["low"], rows["high"], color=look.color, alpha=0.15, linewidth=0)
        ax.plot(rows["share"], rows["score"], color=look.color, linestyle=look.line, marker=look.marker,
                markersize=4, label=name)  # fmt: skip
    ax.set(xlim=(-0.02, 1.02), ylim=(0, 1.02))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _planted(ax, planted) -> dict[str, Patch]:
    """Bars a kind of class; each way's look, for the legend."""
    looks = {}
    ways = [way for way in ORDERS if way in planted.columns]
    height = 0.8 / len(ways)
    for row, way in enumerate(ways):
        look, y = (
            mark(list(ORDERS).index(way)),
            np.arange(len(planted)) + (row - (len(ways) - 1) / 2) * height,
        )
        values = planted[way].to_numpy()
        off = np.array([values - planted[f"{way}_low"], planted[f"{way}_high"] - values]).clip(0)
        ax.barh(y, values, height=height * 0.9, color=look.color, alpha=0.85, hatch=HATCHES[row % len(HATCHES)],
                edgecolor="white", xerr=off, error_kw={"elinewidth": 1, "ecolor": "#222222"})  # fmt: skip
        looks[way] = Patch(facecolor=look.color, hatch=HATCHES[row % len(HATCHES)], edgecolor="white")
    kinds = [f"{shorten(kind, 18)}\n({int(count):,})" for kind, count in planted["labels"].items()]
    ax.set(yticks=range(len(planted)), yticklabels=kinds, xlim=(0, 1.02), ylim=(len(planted) - 0.45, -0.55))
    ax.set_title("planted frames found (labels): high is good", size=9.5)
    ax.set_xlabel("average precision")
    return looks


def _number(table, row: str, column: str) -> str:
    at = table.loc[row]
    return f"{at[column]:.3f} [{at[f'{column}_low']:.3f}, {at[f'{column}_high']:.3f}]"


def _against(areas, curve: str) -> str:
    """What the paired difference from random orders means."""
    at, name = areas.loc["attention"], f"{curve}_against_random"
    low, high = at[f"{name}_low"], at[f"{name}_high"]
    by = f"paired difference {at[name]:+.3f} [{low:+.3f}, {high:+.3f}]"
    better, worse = (high < 0, low > 0) if curve == "deletion" else (low > 0, high < 0)
    if better or worse:
        return f"is {'better' if better else 'worse'} than random orders of the same videos ({by})"
    return f"cannot be told from random orders of the same videos ({by})"
