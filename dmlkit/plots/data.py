"""The data: one video over time, and the distribution of labels and frames."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

import dmlkit.plots.style as style
from dmlkit.errors import one_line, shorten


class Survey(NamedTuple):
    """Counts from one pass over a split."""

    split: str
    videos_of_class: np.ndarray  # (classes,) videos that carry each label
    labels_of_video: np.ndarray  # (videos,)
    frames_of_video: np.ndarray  # (videos,); empty at video level
    ids: np.ndarray  # (videos,) text


def survey(dataset, split: str = "train", *, max_videos: int | None = 20_000) -> Survey:
    """Count labels and frames in one pass over a labelled split, of at most `max_videos`."""
    counts = np.zeros(dataset.num_classes, np.int64)
    labels, frames, ids = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.str_)]
    for batch in dataset.batches(split, batch_size=512, max_videos=max_videos):
        counts += (batch["labels"] > 0).sum(axis=0)
        labels.append((batch["labels"] > 0).sum(axis=1))
        frames.append(batch.get("num_frames", frames[0]))
        ids.append(batch["id"])
    return Survey(split, counts, *map(np.concatenate, (labels, frames, ids)))


def most_frequent(counted: Survey, dataset, *, rows: int = 10) -> pd.DataFrame:
    """The most frequent classes: name, kind where the data set states kinds, videos, and the share of all labels."""
    order = np.argsort(-counted.videos_of_class, kind="stable")[:rows]
    videos = counted.videos_of_class[order]
    columns = {"class": [one_line(dataset.class_names[index]) for index in order]}
    if dataset.class_kinds:
        columns["kind"] = [dataset.class_kinds[index] for index in order]
    columns |= {"videos": videos, "share of all labels": videos / max(1, counted.videos_of_class.sum())}
    return pd.DataFrame(columns, index=order)


@style.plotted
def data_survey(counted: Survey, dataset, *, title: str = "Labels and frames") -> style.Plot | None:
    """Class frequencies, labels per video and frames per video."""
    if not len(counted.labels_of_video):
        return None
    frames = counted.frames_of_video
    columns = 3 if len(frames) else 2
    figure, axes = style.canvas(title, dataset, 1, columns, width=3.2 * columns, height=3.2)
    seen = np.sort(counted.videos_of_class[counted.videos_of_class > 0])[::-1]
    axes[0].loglog(np.arange(1, len(seen) + 1), seen, marker="o", markersize=4 if len(seen) < 100 else 0)
    style.plain_log(axes[0].xaxis)
    style.plain_log(axes[0].yaxis)
    axes[0].set(xlabel="class, by frequency rank", ylabel=f"videos in the {counted.split} split")
    sizes, videos = np.unique(counted.labels_of_video, return_counts=True)
    axes[1].bar(sizes, videos, color=style.COLORS[2], edgecolor=style.INK, linewidth=0.7)
    axes[1].set(xlabel="labels per video", ylabel="videos", xlim=(sizes.min() - 0.6, sizes.max() + 0.6))
    axes[1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    rows = {"videos per class": seen, "labels per video": counted.labels_of_video}
    if columns == 3:
        bins = np.arange(frames.min(), frames.max() + 2) - 0.5 if np.ptp(frames) < 60 else 40
        axes[2].hist(frames, bins=bins, color=style.COLORS[1], edgecolor=style.INK, linewidth=0.5)
        axes[2].set(xlabel="frames per video (1 per second)", ylabel="videos")
        rows["frames per video"] = frames
    summary = pd.concat({name: pd.Series(values).describe() for name, values in rows.items()}, axis=1)
    return style.finished(figure, summary.loc[["count", "mean", "min", "max"]].T, digits=2)


@style.plotted
def video(batch: Mapping, dataset, *, kind=None, split="train", title="One video") -> style.Plot | None:
    """One video of a batch: each modality's features over time, with the frames that show each label where known.

    It is the one that has a label of the `kind` and the fewest others, the first where that is None. `split`, whose
    ground truth is looked up, is the batch's. Text features, of which a batch holds hashes only, are not drawn.
    """
    if not len(batch["id"]):
        return None
    row = 0
    if kind and dataset.class_kinds and "labels" in batch:
        has_label = np.asarray(batch["labels"]) > 0
        of_kind = has_label[:, np.equal(dataset.class_kinds, kind)].any(axis=1)
        row = int(np.where(of_kind, has_label.sum(axis=1), np.inf).argmin())
    video, labels = str(batch["id"][row]), np.flatnonzero(batch["labels"][row]) if "labels" in batch else []
    names = {index: class_title(dataset, index) for index in labels}
    features = {name: batch[name][row] for name, each in dataset.features.items() if each.in_frames}
    frames = int(batch["num_frames"][row]) if "num_frames" in batch else None
    truth = dataset.truth(split).get(video, {}) if frames else {}
    tracks = {index: truth[index] for index in labels if index in truth}
    ratios = [0.32 * len(tracks)] * bool(tracks) + [1.1] * len(features)
    size = {"width": 9.0, "height": 1.2 + 1.15 * sum(ratios), "height_ratios": ratios, "sharex": bool(frames)}
    figure, axes = style.canvas(f"{title}: {shorten(video, 24)}", dataset, len(ratios), **size)
    for ax, (modality, values) in zip(axes[-len(features) :], features.items(), strict=True):
        ax.set_ylabel(f"{modality}\n({values.shape[-1]} values)")
        if frames:
            # As many values and shades as are seen at this height: pixels are most of the SVG.
            shown = values[:frames, :: -(-values.shape[-1] // 48)].T
            cmap = colormaps["cividis"].resampled(16)
            ax.imshow(shown, cmap, aspect="auto", interpolation="none", origin="lower")
            ax.grid(False)
            ax.set_yticks([])
        else:
            ax.plot(values, linewidth=0.7, color=style.COLORS[0])
            ax.margins(x=0)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel("time (s)" if frames else "feature dimension")
    if tracks:
        _tracks(axes[0], tracks, names)
    else:
        axes[0].set_title(shorten(f"labels: {', '.join(names.values()) or 'none known'}", 110))
    counts = [f"in {len(tracks[index])} of {frames} frames" if index in tracks else "" for index in labels]
    return style.finished(figure, pd.DataFrame({"label": counts}, index=list(names.values()), dtype=object))


def class_title(dataset, index: int) -> str:
    """A class's name, and its kind in brackets where there are kinds and the name does not begin with it."""
    name = shorten(dataset.class_names[index], 34)
    kind = dataset.class_kinds[index] if dataset.class_kinds else ""
    return name if name.startswith(kind) else f"{name} ({shorten(kind, 20)})"


def runs_of_frames(frames: np.ndarray) -> list[tuple[int, int]]:
    """First and last frame of each uninterrupted run of sorted frame numbers."""
    parts = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts if len(part)]


def _tracks(ax: Axes, tracks: Mapping[int, np.ndarray], names: Mapping[int, str]) -> None:
    for place, seconds in enumerate(tracks.values()):
        runs = [(first - 0.5, last - first + 1) for first, last in runs_of_frames(seconds)]
        color, hatch = style.mark(place)["color"], style.HATCHES[place % len(style.HATCHES)]
        look = {"facecolor": color, "edgecolor": style.INK, "hatch": hatch, "linewidth": 0, "alpha": 0.55}
        ax.broken_barh(runs, (place - 0.35, 0.7), **look)
    ax.yaxis.tick_right()
    ax.set_ylabel("ground\ntruth")
    style.row_axis(ax, [shorten(names[index], 40) for index in tracks], half=0.35)
    ax.spines[:].set_visible(False)
