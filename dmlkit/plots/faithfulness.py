"""Is attention right? Scores while frames are taken away, and how well planted frames are found."""

from __future__ import annotations

import numpy as np
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
"""Way of ordering frames → what a legend calls it. Its place is that of its mark."""

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
        _curves(ax, study.curves[study.curves["curve"] == curve])
        ax.set_title(f"{curve}: {heading}", size=9.5)
        ax.set_xlabel("share of the frames " + ("taken away" if curve == "deletion" else "given"))
    axes[0].set_ylabel("score of the highest class")
    handles, labels = axes[0].get_legend_handles_labels()
    if panels == 3:
        _planted(axes[2], study.planted)
    figure.legend(handles, labels, loc="outside lower left", ncols=4)
    return Plot(figure, f"{title} {say_faithfulness(study)}")


def say_faithfulness(study) -> Sentence:
    """How far attention is an explanation here, with the numbers that show it.

    Args:
        study: As for `faithfulness`.
    """
    if study is None:
        return Sentence("There is no model with attention here, so there is nothing to ask.")
    said = [
        "Attention is not by itself an explanation: a weight says how much of a frame's state goes on, and not what "
        "that state says, nor which frames made it."
    ]
    said.append(
        f"How far it is one was asked of {study.run} on {study.videos:,} videos of {study.data}, "
        f"{QUESTIONS[study.question]}."
    )
    areas = study.areas
    rest = [way for way in ("contribution", "occlusion") if way in areas.index]
    for curve, better in (("deletion", "lower"), ("insertion", "higher")):
        others = ", ".join(f"{ORDERS[way]} {_number(areas, way, curve)}" for way in [*rest, "random"])
        by_attention = f"{_number(areas, 'attention', curve)} by attention ({better} is better)"
        said.append(
            f"{curve.capitalize()} area {by_attention}, {others}: attention {_against(areas, curve)}."
        )
    said.append("Occlusion asks the model itself, frame by frame, what the curves ask.")
    planted = study.planted
    if planted.empty:
        said.append("Nobody knows which frames made these labels, so whether it finds them cannot be asked.")
    else:
        row = planted.loc["all"]
        ways = [
            way for way in ("attention", "contribution", "occlusion", "uniform") if way in planted.columns
        ]
        found = ", ".join(f"{ORDERS[way]} {_number(planted, 'all', way)}" for way in ways)
        said.append(
            f"Average precision of the frames that made a label ({int(row['labels']):,} labels that lie in part of "
            f"their video): {found}."
        )
        kinds = [
            f"{kind} {planted.loc[kind, 'attention']:.2f} against {planted.loc[kind, 'uniform']:.2f} of uniform weights"
            for kind in planted.index[:-1]
        ]
        if len(kinds) > 1:
            said.append(f"Attention by kind: {'; '.join(kinds)}.")
    if study.generated:
        said.append("These are generated data: what holds here need not hold for real videos.")
    return Sentence(" ".join(said))


def _curves(ax, curves) -> None:
    for place, (way, name) in enumerate(ORDERS.items()):
        rows = curves[curves["order"] == way]
        if rows.empty:
            continue
        look = mark(place)
        ax.fill_between(rows["share"], rows["low"], rows["high"], color=look.color, alpha=0.15, linewidth=0)
        ax.plot(rows["share"], rows["score"], color=look.color, linestyle=look.line, marker=look.marker,
                markersize=4, label=name)  # fmt: skip
    ax.set(xlim=(-0.02, 1.02), ylim=(0, 1.02))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _planted(ax, planted) -> None:
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
        ax.annotate(way, (0.012, y[0]), size=7.5, va="center", color="black",
                    bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.85})  # fmt: skip
    kinds = [f"{shorten(kind, 18)}\n({int(count):,})" for kind, count in planted["labels"].items()]
    ax.set(yticks=range(len(planted)), yticklabels=kinds, xlim=(0, 1.02), ylim=(len(planted) - 0.45, -0.55))
    ax.set_title("planted frames found (labels): high is good", size=9.5)
    ax.set_xlabel("average precision")


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
