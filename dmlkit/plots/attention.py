"""Where a model looks: attention over a video's frames beside what was planted there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dmlkit.plots.given import headed
from dmlkit.plots.marks import mark
from dmlkit.plots.plot import Plot, canvas, nothing, shorten, styled
from dmlkit.plots.words import Sentence, class_name, named_kind

# Shares of a video's frames: up to which something is an event, and up to which weights can gather on it.
FEW, SHORT = 0.15, 0.5


@styled
def attention(
    weights: Mapping[str, np.ndarray],
    batch: Mapping[str, np.ndarray],
    dataset,
    *,
    split: str = "validate",
    videos: int = 3,
    title: str = "Attention over time",
) -> Plot:
    """The weight of every second of some videos, beside the seconds in which a label was planted.

    Videos are taken whose labels lie in part of their frames, where there are such; else the first ones.

    Args:
        weights: Model's title → (batch, time) weights, 0 on padding.
        batch: The batch they were computed on.
        dataset: The data set.
        split: The part the batch is of: where its truth is looked up.
        videos: How many.
        title: Over the figure.
    """
    if not weights:
        return nothing("no model with attention was trained on this data set.", title=title)
    truth = dataset.truth(split)
    chosen = _telling(batch, truth)[:videos]
    figure, axes = canvas(
        len(chosen), 1, width=9.0, height=0.9 + 1.75 * len(chosen), title=headed(title, dataset)
    )
    said = []
    for ax, row in zip(axes, chosen, strict=True):
        frames = int(batch["num_frames"][row])
        top = max(float(each[row, :frames].max()) for each in weights.values())
        for place, (name, each) in enumerate(weights.items()):
            look = mark(place)
            ax.plot(
                np.arange(frames), each[row, :frames], color=look.color, linestyle=look.line, marker=look.marker,
                markersize=3, linewidth=1.4, label=shorten(name, 40),
            )  # fmt: skip
            said.append(
                f"{name} looks hardest at second {int(each[row, :frames].argmax())} of {batch['id'][row]}"
            )
        ax.axhline(
            1 / frames, color="#777777", linewidth=0.9, linestyle=":", label="the same for every frame"
        )
        planted = _short_ones(truth.get(str(batch["id"][row]), {}), frames)
        ax.set(xlim=(-0.5, frames - 0.5), ylim=(0, top * (1.08 + 0.24 * len(planted))), ylabel="weight")
        for place, (index, seconds) in enumerate(planted.items()):
            height = top * (1.18 + 0.24 * place)
            _spans(ax, seconds, height, color=mark(place + 2).color, name=named_kind(dataset, index, 34))
            said.append(f"class {index} was planted from second {seconds.min()} to {seconds.max()}")
        ax.set_title(f"video {shorten(batch['id'][row], 24)}: {_labels(dataset, batch, row)}", size=9.5)
    axes[-1].set_xlabel(
        "second of the video; barred and shaded: where a label was planted"
        if truth
        else "second of the video"
    )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3)
    return Plot(figure, f"{headed(title, dataset)}. {'; '.join(said)}.")


def attention_on_truth(
    weights: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray], dataset, *, split: str = "validate"
) -> pd.DataFrame:
    """Kind of class → its planted frames' share of a video, and their share of each model's weight.

    A model that weighs every frame the same gives planted frames just their share of the video. Empty where
    the data set has no truth.

    Args:
        weights, batch, dataset, split: As for `attention`.
    """
    truth = dataset.truth(split)
    rows: dict[str, list] = {}
    for row, video in enumerate(batch["id"]):
        frames = int(batch["num_frames"][row])
        for index, seconds in truth.get(str(video), {}).items():
            seconds = seconds[seconds < frames]
            if not len(seconds):
                continue
            kind = dataset.class_kinds[index] if dataset.class_kinds else "all classes"
            shares = [each[row, seconds].sum() for each in weights.values()]
            rows.setdefault(kind, []).append([len(seconds) / frames, *shares])
    columns = ["share of the frames", *(f"share of the weight, {name}" for name in weights)]
    return pd.DataFrame({kind: np.mean(values, axis=0) for kind, values in rows.items()}, index=columns).T


def say_attention(shares: pd.DataFrame) -> Sentence:
    """Whether the weights gather on the frames that made a label, kind by kind.

    Args:
        shares: What `attention_on_truth` gives.
    """
    if shares.empty:
        return Sentence("Nobody knows which frames made these labels, so the weights can only be looked at.")
    partly = shares[shares["share of the frames"] < SHORT]
    said = []
    for kind, row in partly.iterrows():
        models = ", ".join(
            f"{row[name]:.1%} of the weight ({name.removeprefix('share of the weight, ')})"
            for name in shares.columns[1:]
        )
        said.append(f"{kind}: {row['share of the frames']:.1%} of the frames hold {models}")
    return Sentence(
        f"Planted frames and the weight they get. {'; '.join(said) or 'No kind is short enough to tell'}."
    )


def _telling(batch: Mapping[str, np.ndarray], truth: Mapping) -> list[int]:
    """The rows of a batch: those with something planted in few of their frames first, the plainest of them in front."""
    order = []
    for row, video in enumerate(batch["id"]):
        frames = int(batch["num_frames"][row])
        planted = _short_ones(truth.get(str(video), {}), frames)
        share = min((len(seconds) / frames for seconds in planted.values()), default=1.0)
        order.append((share > FEW, len(planted), share, row))
    return [row for *_, row in sorted(order)]


def _short_ones(planted: Mapping[int, np.ndarray], frames: int) -> dict[int, np.ndarray]:
    inside = {index: seconds[seconds < frames] for index, seconds in planted.items()}
    return {index: seconds for index, seconds in inside.items() if 0 < len(seconds) < 0.9 * frames}


def _spans(ax, seconds: np.ndarray, height: float, *, color: str, name: str) -> None:
    """Shade runs of seconds, bar them above the curves, and name the bar on the side that has room."""
    for run in np.split(seconds, np.flatnonzero(np.diff(seconds) > 1) + 1):
        ax.axvspan(run[0] - 0.5, run[-1] + 0.5, facecolor=color, alpha=0.13, linewidth=0)
        ax.plot(
            [run[0] - 0.4, run[-1] + 0.4], [height, height], color=color, linewidth=4, solid_capstyle="butt"
        )
    at_right = seconds.mean() < np.mean(ax.get_xlim())
    ax.annotate(
        name, (seconds.max() + 0.4 if at_right else seconds.min() - 0.4, height), (6 if at_right else -6, 0),
        textcoords="offset points", ha="left" if at_right else "right", va="center", size=8.5,
    )  # fmt: skip


def _labels(dataset, batch: Mapping[str, np.ndarray], row: int) -> str:
    if "labels" not in batch:
        return "labels unknown"
    names = [class_name(dataset, index, 26) for index in np.flatnonzero(batch["labels"][row])]
    return shorten(", ".join(names) or "no label", 100)
