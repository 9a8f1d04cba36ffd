"""The data as pictures: one video over time, and how labels and frames are spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from dmlkit.plots.given import headed
from dmlkit.plots.marks import COLORS, HATCHES, mark
from dmlkit.plots.plot import Plot, canvas, nothing, plain_log, shorten, styled
from dmlkit.plots.words import class_name, named_kind


@dataclass(frozen=True)
class Survey:
    """What one pass over a part of a data set counts.

    Args:
        split: The part.
        videos_of_class: (classes,) videos that carry each label.
        labels_of_video: (videos,) labels of each video.
        frames_of_video: (videos,) frames of each video; empty at video level.
    """

    split: str
    videos_of_class: np.ndarray
    labels_of_video: np.ndarray
    frames_of_video: np.ndarray


def survey(dataset, split: str = "train", *, max_videos: int | None = 20_000) -> Survey:
    """Count labels and frames in one pass over a part.

    Args:
        dataset: The data set.
        split: A labelled part.
        max_videos: Look at so many at most.
    """
    counts = np.zeros(dataset.num_classes, np.int64)
    labels, frames = [], []
    for batch in dataset.batches(split, batch_size=512, max_videos=max_videos):
        counts += (batch["labels"] > 0).sum(axis=0)
        labels.append((batch["labels"] > 0).sum(axis=1))
        if "num_frames" in batch:
            frames.append(batch["num_frames"])
    return Survey(split, counts, _joined(labels), _joined(frames))


def most_frequent(counted: Survey, dataset, *, rows: int = 10) -> pd.DataFrame:
    """The most frequent classes: name, kind where there are kinds, videos, and the share of all labels.

    Args:
        counted: What `survey` gives.
        dataset: The data set.
        rows: How many.
    """
    order = np.argsort(-counted.videos_of_class, kind="stable")[:rows]
    videos = counted.videos_of_class[order]
    columns = {"class": [class_name(dataset, index, 1000) for index in order]}
    if dataset.class_kinds:
        columns["kind"] = [dataset.class_kinds[index] for index in order]
    columns["videos"] = videos
    columns["share of all labels"] = videos / max(1, counted.videos_of_class.sum())
    return pd.DataFrame(columns, index=order)


@styled
def data_survey(counted: Survey, dataset, *, title: str = "Labels and frames") -> Plot:
    """How often each class occurs, how many labels a video has, and how many frames.

    Args:
        counted: What `survey` gives.
        dataset: The data set.
        title: Over the figure.
    """
    videos = len(counted.labels_of_video)
    if not videos:
        return nothing(f"the {counted.split} part holds no labelled video.", title=title)
    columns = 3 if len(counted.frames_of_video) else 2
    figure, axes = canvas(1, columns, width=3.2 * columns, height=3.2, title=headed(title, dataset))
    seen = np.sort(counted.videos_of_class[counted.videos_of_class > 0])[::-1]
    axes[0].loglog(np.arange(1, len(seen) + 1), seen, marker="o", markersize=4 if len(seen) < 100 else 0)
    plain_log(axes[0].xaxis)
    plain_log(axes[0].yaxis)
    axes[0].set(xlabel="class, by its frequency", ylabel=f"videos of the {counted.split} part")
    sizes, how_often = np.unique(counted.labels_of_video, return_counts=True)
    axes[1].bar(sizes, how_often, color=COLORS[2], edgecolor="#333333", linewidth=0.7)
    axes[1].set(xlabel="labels of a video", ylabel="videos")
    axes[1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes[1].set_xlim(min(0.4, sizes.min() - 0.6), sizes.max() + 0.6)
    said = (
        f"{videos:,} videos of the {counted.split} part carry {counted.labels_of_video.mean():.2f} labels on average; "
        f"{len(seen):,} of {dataset.num_classes:,} classes occur, the most frequent in {seen.max(initial=0):,} videos, "
        f"the rarest of them in {seen.min(initial=seen.max(initial=0)):,}"
    )
    if columns == 3:
        frames = counted.frames_of_video
        bins = np.arange(frames.min(), frames.max() + 2) - 0.5 if np.ptp(frames) < 60 else 40
        axes[2].hist(frames, bins=bins, color=COLORS[1], edgecolor="#333333", linewidth=0.5)
        axes[2].set(xlabel="frames of a video (seconds)", ylabel="videos")
        said += f"; frames a video: {frames.min()} to {frames.max()}, {frames.mean():.1f} on average"
    return Plot(figure, f"{headed(title, dataset)}. {said}.")


@styled
def video(
    batch: Mapping[str, np.ndarray],
    dataset,
    *,
    kind: str | None = None,
    split: str = "train",
    title: str = "One video",
) -> Plot:
    """One video of a batch: each modality's features over time, and above them where its labels were planted.

    Of a text there is nothing to see over time, nor its words, of which a batch holds hashes: it is counted.

    Args:
        batch: A batch of `dataset.batches(...)`.
        dataset: The data set.
        kind: Take the video that shows a label of this kind most plainly, where the data set states kinds.
        split: The part the batch is of: where its truth is looked up.
        title: Over the figure.
    """
    if not len(batch["id"]):
        return nothing("the batch holds no video.", title=title)
    row = _plainest_of_kind(batch, dataset, kind)
    title = f"{title}: {shorten(batch['id'][row], 24)}"
    frames = int(batch["num_frames"][row]) if "num_frames" in batch else None
    labels = np.flatnonzero(batch["labels"][row]) if "labels" in batch else []
    planted = dataset.truth(split).get(str(batch["id"][row]), {}) if frames else {}
    names = [named_kind(dataset, index, 34) for index in labels]
    said = f"{headed(title, dataset)}. Labels: {', '.join(names) or 'none given'}."
    modalities = {
        name: np.asarray(batch[name][row]) for name, each in dataset.features.items() if each.in_frames
    }
    for name in dataset.features.keys() - modalities.keys():
        said += f" The {name} holds {np.count_nonzero(batch[name][row])} different words."
    if frames is None:
        return Plot(_vectors(modalities, title, dataset, names), f"{said} One vector a modality.")
    tracks = {index: planted[index] for index in labels if index in planted}
    ratios = [0.32 * max(1, len(tracks))] if tracks else []
    ratios += [1.1] * len(modalities)
    figure, axes = canvas(
        len(ratios), 1, width=9.0, height=1.2 + 1.15 * sum(ratios), title=headed(title, dataset), sharex=True,
        height_ratios=ratios,
    )  # fmt: skip
    if tracks:
        _tracks(axes[0], tracks, dict(zip(labels, names, strict=True)))
        said += (
            " Planted: "
            + "; ".join(f"class {i} in {len(s)} of {frames} seconds" for i, s in tracks.items())
            + "."
        )
    for ax, (name, values) in zip(axes[-len(modalities) :], modalities.items(), strict=True):
        ax.imshow(values[:frames].T, aspect="auto", interpolation="nearest", origin="lower")
        ax.grid(False)
        ax.set_ylabel(f"{name}\n({values.shape[1]} numbers)")
        ax.set_yticks([])
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel("second of the video" + ("" if names else "; labels unknown"))
    if not tracks:
        axes[0].set_title(shorten(f"labels: {', '.join(names) or 'none given'}", 110))
    return Plot(figure, said)


def _tracks(ax, tracks: Mapping[int, np.ndarray], names: Mapping[int, str]) -> None:
    for place, seconds in enumerate(tracks.values()):
        for run in np.split(seconds, np.flatnonzero(np.diff(seconds) > 1) + 1):
            ax.broken_barh(
                [(run[0] - 0.5, run[-1] - run[0] + 1)], (place + 0.15, 0.7), facecolor=mark(place).color, alpha=0.55,
                hatch=HATCHES[place % len(HATCHES)], edgecolor="#333333", linewidth=0.6,
            )  # fmt: skip
    ax.set_yticks(np.arange(len(tracks)) + 0.5, [shorten(names[index], 40) for index in tracks])
    ax.yaxis.tick_right()
    ax.set_ylim(len(tracks), 0)
    ax.set_ylabel("planted")
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(False)


def _vectors(modalities: Mapping[str, np.ndarray], title: str, dataset, names: list[str]):
    figure, axes = canvas(
        len(modalities), 1, width=9.0, height=1.0 + 1.3 * len(modalities), title=headed(title, dataset)
    )
    for ax, (name, values) in zip(axes, modalities.items(), strict=True):
        ax.plot(values, linewidth=0.7, color=COLORS[0])
        ax.set_ylabel(name)
        ax.margins(x=0)
    axes[0].set_title(shorten(f"labels: {', '.join(names) or 'none given'}", 110))
    axes[-1].set_xlabel("number of the feature")
    return figure


def _plainest_of_kind(batch: Mapping[str, np.ndarray], dataset, kind: str | None) -> int:
    if kind is None or not dataset.class_kinds or "labels" not in batch:
        return 0
    classes = [index for index, each in enumerate(dataset.class_kinds) if each == kind]
    labels = np.asarray(batch["labels"]) > 0
    having = np.flatnonzero(labels[:, classes].any(axis=1))
    # Of those, the one with the fewest other labels shows the kind most plainly.
    return int(having[labels[having].sum(axis=1).argmin()]) if len(having) else 0


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
