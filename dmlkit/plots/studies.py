"""The side questions: how many frames, chosen how (03); where mappings start and how close they are held (04)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from dmlkit.plots.given import headed
from dmlkit.plots.marks import mark
from dmlkit.plots.plot import Plot, canvas, nothing, shorten, styled
from dmlkit.plots.words import Sentence


@styled
def frames(study: pd.DataFrame, dataset=None, *, title: str = "Fewer frames") -> Plot:
    """GAP@20 and seconds against the number of frames read, a line for each way of choosing them.

    Args:
        study: What `dmlkit.training.frame_study` gives; empty where there are no frames.
        dataset: The data set, to say what data it was.
        title: Over the figure.
    """
    if study is None or study.empty:
        return nothing("this data set has no frames to choose from.", title=title)
    counts = list(dict.fromkeys(study["frames"]))
    places = {count: place for place, count in enumerate(counts)}
    figure, axes = canvas(1, 2, width=9.0, height=3.6, title=headed(title, dataset))
    choices = list(dict.fromkeys(study["choice"]))
    for number, choice in enumerate(choices):
        rows = study[study["choice"] == choice]
        # A little apart, so that the intervals do not lie on one another.
        x = rows["frames"].map(places) + 0.09 * (number - (len(choices) - 1) / 2)
        look = mark(number)
        below, above = rows["gap"] - rows["gap_low"], rows["gap_high"] - rows["gap"]
        axes[0].errorbar(
            x, rows["gap"], yerr=[below, above], color=look.color, marker=look.marker, linestyle=look.line,
            capsize=3, label=choice,
        )  # fmt: skip
        axes[1].plot(
            x, rows["seconds"], color=look.color, marker=look.marker, linestyle=look.line, label=choice
        )
    axes[0].set_ylabel("GAP@20 on the tuning part (line: 95 % interval)")
    axes[1].set_ylabel(f"seconds to read and score {study['videos'].iloc[0]:,} videos")
    axes[1].set_ylim(bottom=0)
    for ax in axes:
        ax.set_xticks(range(len(counts)), [str(count) for count in counts])
        ax.set_xlabel("frames of a video, at most")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", title="frames chosen")
    said = "; ".join(
        f"{row['choice']} {row['frames']}: GAP {row['gap']:.4f}, {row['seconds']:.1f} s"
        for row in study.to_dict("records")
    )
    return Plot(figure, f"{headed(title, dataset)}. {said}.")


def say_frames(study: pd.DataFrame) -> Sentence:
    """What a choice of few frames keeps of the GAP of all, in one sentence.

    Args:
        study: What `dmlkit.training.frame_study` gives.
    """
    if study is None or study.empty:
        return Sentence("This data set has no frames, so there is none to leave out.")
    every = study.iloc[-1]
    few = study[study["frames"] == study["frames"].iloc[0]]
    best, worst = few.loc[few["gap"].idxmax()], few.loc[few["gap"].idxmin()]
    if best["gap"] == worst["gap"]:
        return Sentence(
            f"With all frames the model reaches GAP@20 {every['gap']:.4f}, and with at most {best['frames']} frames "
            f"{best['gap']:.4f}, however they are chosen."
        )
    return Sentence(
        f"With all frames the model reaches GAP@20 {every['gap']:.4f}. With at most {best['frames']} frames it reaches "
        f"{best['gap']:.4f} where they are chosen {best['choice']}, and {worst['gap']:.4f} where they are chosen "
        f"{worst['choice']}, in {best['seconds'] / max(every['seconds'], 1e-9):.0%} of the time for the former."
    )


@styled
def fusions(
    study: pd.DataFrame,
    dataset=None,
    *,
    title: str = "Three fusions, their starts and their alignment_weight",
) -> Plot:
    """GAP@20 of the fusions and their variants, and how far apart their projections lie.

    Args:
        study: What `dmlkit.training.fusion_study` gives; empty where there is one modality only.
        dataset: The data set, to say what data it was.
        title: Over the figure.
    """
    if study is None or study.empty:
        return nothing("this data set has one modality only, so there is nothing to fuse.", title=title)
    rows = study.to_dict("records")
    places = np.arange(len(rows))
    figure, axes = canvas(
        1, 2, width=9.4, height=1.5 + 0.38 * len(rows), title=headed(title, dataset), sharey=True
    )
    fusions_seen = list(dict.fromkeys(study["fusion"]))
    for place, row in zip(places, rows, strict=True):
        look = mark(fusions_seen.index(row["fusion"]))
        axes[0].plot([row["gap_low"], row["gap_high"]], [place, place], color=look.color)
        axes[0].plot(row["gap"], place, look.marker, color=look.color, markeredgecolor="black", markersize=8)
        axes[0].annotate(
            f"{row['gap']:.4f}",
            (row["gap"], place),
            (0, 6),
            textcoords="offset points",
            ha="center",
            size=8.5,
        )
        if np.isnan(row["separation"]):
            axes[1].text(0.01, place, "no projections", va="center", style="italic", color="#666666", size=9)
        else:
            axes[1].barh(
                place, row["separation"], height=0.5, color=look.color, edgecolor="black", linewidth=0.7
            )
            axes[1].text(row["separation"] + 0.02, place, f"{row['separation']:.2f}", va="center", size=9)
    axes[0].set_yticks(places, [shorten(row["title"], 46) for row in rows])
    axes[0].set_ylim(len(rows) - 0.4, -0.7)
    axes[0].margins(x=0.15)
    axes[0].xaxis.set_major_locator(MaxNLocator(5))
    axes[0].set_xlabel("GAP@20 on the validation part (line: 95 % interval)")
    axes[1].set_xlim(0, max(1.2, 1.15 * np.nanmax([1.0, *study["separation"]])))
    axes[1].set_xlabel("distance of the projections over their lengths\n(0: the same, 1: nothing in common)")
    for ax in axes:
        ax.grid(False, axis="y")
    said = "; ".join(
        f"{row['title']} {row['gap']:.4f}"
        + ("" if np.isnan(row["separation"]) else f", projections {row['separation']:.2f} apart")
        for row in rows
    )
    return Plot(figure, f"{headed(title, dataset)}. GAP@20: {said}.")
