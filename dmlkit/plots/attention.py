"""Attention over a video's frames with the ground truth, and whether it is faithful to the scores."""

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

import dmlkit.plots.style as style
from dmlkit.errors import shorten
from dmlkit.metrics import FOR_THIS_SEED, too_few
from dmlkit.plots.data import class_title, runs_of_frames
from dmlkit.plots.tables import Table, numbers

# What frames are ordered by → its name in figures and tables; its place is that of its mark.
ORDERS = {
    "attention": "attention weight", "contribution": "exact contribution", "gradient_input": "gradient × input",
    "integrated_gradients": "integrated gradients", "occlusion": "occlusion (removed)", "random": "random order",
    "uniform": "uniform weights", "own": "class's own weight", "rollout": "attention rollout",
    "masking": "occlusion (masked)",
}  # fmt: skip
# How segments are scored → its name in figures, and the place of its mark.
SEGMENT_METHODS = {
    "video": ("the video's score", 6), "clip": ("as a clip", 0), "contribution": ("attention × contribution", 1),
    "trained": ("as a clip, trained on segments", 2),
}  # fmt: skip
QUESTIONS = {"remove": "frames removed, the rest encoded again", "mask": "frames' weights set to 0"}


@style.plotted
def attention(weights, batch, dataset, *, split="validate", videos=3, title="Attention") -> style.Plot | None:
    """The weight of every second of some videos, with the seconds that show a label where they are known.

    Args:
        weights: Model's title → (batch, time) weights, 0 on padding.
        batch: The batch they were computed on; videos whose labels lie in part of their frames come first.
        split: The split the batch is from, whose ground truth is looked up.
        videos: How many.
    """
    truth, rows, found = dataset.truth(split), {}, []
    for video, frames in zip(batch["id"], batch["num_frames"], strict=True):
        inside = ((index, each[each < frames]) for index, each in truth.get(str(video), {}).items())
        # Class → its seconds, where they are not nearly all of the video.
        found.append({index: each for index, each in inside if 0 < len(each) < 0.9 * frames})
    shortest = [min(map(len, local.values()), default=np.inf) for local in found]
    chosen = np.argsort(shortest / batch["num_frames"], kind="stable")[:videos]
    figure, axes = style.canvas(title, dataset, len(chosen), width=9.0, height=0.9 + 1.75 * len(chosen))
    for ax, row in zip(axes, chosen, strict=True):
        frames, video = int(batch["num_frames"][row]), str(batch["id"][row])
        top = max(float(each[row, :frames].max()) for each in weights.values())
        for place, (name, each) in enumerate(weights.items()):
            values, look = each[row, :frames], {"markersize": 3, "linewidth": 1.4, **style.mark(place)}
            # Each marker is an element of the SVG.
            ax.plot(values, markevery=-(-frames // 12), label=shorten(name, 40), **look)
            rows[f"{name}, video {video}"] = {"highest": values.max(), "at second": f"{values.argmax()}"}
        ax.axhline(1 / frames, color=style.GREY, linewidth=0.9, linestyle=":", label="uniform weights")
        local = found[row]
        ax.set(xlim=(-0.5, frames - 0.5), ylim=(0, top * (1.12 + 0.24 * len(local))), ylabel="weight")
        for place, (index, seconds) in enumerate(local.items()):
            name, color = class_title(dataset, index), style.mark(place + 2)["color"]
            _mark_seconds(ax, seconds, top * (1.18 + 0.24 * place), color=color, name=name)
            rows[f"{name} in video {video}"] = {"seconds": f"{seconds.min()} to {seconds.max()}"}
        labels = np.flatnonzero(batch["labels"][row]) if "labels" in batch else []
        names = ", ".join(shorten(dataset.class_names[index], 26) for index in labels)
        ax.set_title(shorten(f"video {shorten(video, 24)}: {names or 'no label known'}", 120), size=9.5)
    axes[-1].set_xlabel("time (s)" + ("; shaded: seconds that show a label (ground truth)" if truth else ""))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return style.finished(figure, rows)


def attention_on_truth(weights: Mapping, batch: Mapping, dataset, *, split: str = "validate") -> pd.DataFrame:
    """Kind of class → the share of a video's frames that show a label, and the share of weight on them.

    Uniform weights put the same share on these frames as their share of the video. The arguments are those of
    `attention`; empty without ground truth.
    """
    truth, rows = dataset.truth(split), {}
    for row, video in enumerate(batch["id"]):
        frames = int(batch["num_frames"][row])
        for index, seconds in truth.get(str(video), {}).items():
            seconds = seconds[seconds < frames]
            if len(seconds):
                kind = dataset.class_kinds[index] if dataset.class_kinds else "all classes"
                shares = [each[row, seconds].sum() for each in weights.values()]
                rows.setdefault(kind, []).append([len(seconds) / frames, *shares])
    columns = ["share of the frames", *(f"share of the weight, {name}" for name in weights), "labels"]
    means = {kind: [*np.mean(values, axis=0), len(values)] for kind, values in rows.items()}
    return pd.DataFrame.from_dict(means, orient="index", columns=columns)


@style.plotted
def localization(study: pd.DataFrame, dataset=None, *, title: str = "Localization") -> style.Plot | None:
    """mAP@K of each run and way to score segments, and its difference from the reference (`localization_study`)."""
    size = {"width": 9.4, "height": 1.9 + 0.42 * len(study)}
    figure, axes = style.canvas(title, dataset, 1, 2, sharey=True, **size)
    names, drawn = [], {}
    for place, ((run, method), row) in enumerate(study.iterrows()):
        name, mark = SEGMENT_METHODS["trained" if row["on_segments"] else method]
        look = {"color": style.mark(mark)["color"], "marker": style.mark(mark)["marker"], "number": True}
        names.append(shorten(run, 50) if row["on_segments"] else f"{shorten(run, 30)}: {name}")
        style.points(axes[0], row["map_at_k"], place, row["map_at_k_low"], row["map_at_k_high"], **look)
        if not np.isnan(row["difference"]):
            ends = row["difference_low"], row["difference_high"]
            style.points(axes[1], row["difference"], place, *ends, **look)
        columns = [
            "map_at_k",
            "map_at_k_low",
            "map_at_k_high",
            "difference",
            "difference_low",
            "difference_high",
        ]
        drawn[names[-1]] = row[columns].astype(float).to_dict()
    axes[1].axvline(0, color=style.GREY, linestyle="--", linewidth=1.1)
    for ax in axes:
        ax.margins(x=0.15)
    style.row_axis(axes[0], names)
    axes[0].set_xlabel("mAP@K of rated segments\n(line: 95 % CI over videos)")
    axes[1].set_xlabel("difference from its videos' scores\n(▲: from the first run's clips)")
    return style.finished(figure, drawn)


@style.plotted
def localization_table(study: pd.DataFrame, dataset=None, *, title: str = "Localization") -> Table | None:
    """The numbers of `localization`, and what each difference is from."""
    names = [f"{run}: {SEGMENT_METHODS[method][0]}" for run, method in study.index]
    rows, shown = study.set_axis(names, axis=0), pd.DataFrame(index=names)
    shown["mAP@K"] = [_with_interval(rows, name, "map_at_k") for name in names]
    shown["difference"] = [_with_interval(rows, name, "difference", "+") for name in names]
    against = [f"{run}: {SEGMENT_METHODS[method][0]}" for run, method in study["against"]]
    shown["compared with"] = [
        "–" if name == other else other for name, other in zip(names, against, strict=True)
    ]
    first = study.iloc[0]
    about = f"{first['rated']:,} ratings of {first['segments']:,} segments, 95 % CI {FOR_THIS_SEED}"
    return numbers(shown, dataset, title=f"{title}: {about}")


@style.plotted
def faithfulness(study, *, title: str = "Faithfulness") -> style.Plot | None:
    """Deletion and insertion curves, and precision on ground-truth frames (`explorer.faithfulness_study`)."""
    truth, data = study.ground_truth, SimpleNamespace(name=study.data, generated=study.generated)
    panels, title = 3 if len(truth) else 2, f"{title} · {study.run}"
    figure, axes = style.canvas(title, data, 1, panels, width=0.6 + 4.2 * panels, height=4.3)
    kinds = (("deletion", "low", "removed"), ("insertion", "high", "kept"))
    for ax, (curve, better, done) in zip(axes, kinds, strict=False):
        curves = study.curves[study.curves["curve"] == curve]
        for place, (order, name) in enumerate(ORDERS.items()):
            rows, look = curves[curves["order"] == order], style.mark(place)
            if not rows.empty:
                band = {"color": look["color"], "alpha": 0.15, "linewidth": 0}
                ax.fill_between(rows["share"], rows["low"], rows["high"], **band)
                label = name if ax is axes[0] else None  # once in the legend
                ax.plot(rows["share"], rows["score"], label=label, markersize=4, **look)
        ax.set(xlim=(-0.02, 1.02), ylim=(0, 1.02), xlabel=f"share of frames {done}")
        ax.set_title(f"{curve}: {better} is better", size=9.5)
    axes[0].set_ylabel(f"score of the highest class\n(band: 95 % CI {FOR_THIS_SEED})")
    if len(truth):
        _precision_bars(axes[2], truth)
    figure.legend(loc="outside lower left", ncols=4)
    areas = study.areas[["deletion", "insertion"]].add_suffix(" area").rename(index=ORDERS)
    return style.finished(figure, areas, digits=3)


@style.plotted
def faithfulness_table(study, dataset=None, *, title: str = "Faithfulness") -> Table | None:
    """Areas under deletion and insertion curves, and precision on ground-truth frames, with 95 % intervals."""
    areas, truth = study.areas, study.ground_truth
    orders = [order for order in ORDERS if order in areas.index or order in truth.columns]
    shown = pd.DataFrame(index=[ORDERS[order] for order in orders])
    for curve, better in (("deletion", "low"), ("insertion", "high")):
        shown[f"{curve} ({better} is better)"] = [_with_interval(areas, order, curve) for order in orders]
        against = f"{curve}_against_random"
        shown[f"{curve} − random"] = [_with_interval(areas, order, against, "+") for order in orders]
    shown["precision on ground truth"] = [_with_interval(truth, "all", order) for order in orders]
    about = (f"{study.videos:,} videos, {QUESTIONS[study.question]}", f"95 % CI {FOR_THIS_SEED}")
    about = filter(None, (*about, too_few(study.videos)))
    return numbers(shown, dataset, title=f"{title}: {'; '.join(about)}")


@style.plotted
def ground_truth_table(study, dataset=None, *, title: str = "Frames that made a label") -> Table | None:
    """A row a run and criterion of `explorer.ground_truth_study`: average precision, and what uniform weights have."""
    rows, uniform = (
        study.drop(index="uniform", level="criterion"),
        study["precision"].xs("uniform", level="criterion"),
    )
    shown = rows[["labels"]].set_axis([f"{run}: {ORDERS[order]}" for run, order in rows.index], axis=0)
    shown["average precision"] = [_with_interval(rows, row, "precision") for row in rows.index]
    shown["uniform weights"] = [uniform[run] for run, _ in rows.index]
    shown["difference"] = [_with_interval(rows, row, "difference", "+") for row in rows.index]
    seeds = study["seeds"].max()
    over = f"95 % CI {FOR_THIS_SEED if seeds == 1 else f'over videos, of the mean over {seeds} seeds'}"
    return numbers(shown, dataset, title=f"{title}: average precision of the ranking; {over}", digits=3)


def _with_interval(table: pd.DataFrame, row, column: str, sign: str = "") -> str:
    if row not in table.index or column not in table.columns or pd.isna(table.loc[row, column]):
        return "–"
    value, low, high = (table.loc[row, f"{column}{end}"] for end in ("", "_low", "_high"))
    return f"{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def _precision_bars(ax: Axes, truth: pd.DataFrame) -> None:
    """Average precision on ground-truth frames by kind of class, one bar for each order of frames."""
    orders = [order for order in ORDERS if order in truth.columns]
    height = 0.8 / len(orders)
    look = {"height": height * 0.9, "alpha": 0.85, "edgecolor": style.PAPER}
    look["error_kw"] = {"elinewidth": 1, "ecolor": style.INK}
    for row, order in enumerate(orders):
        places = np.arange(len(truth)) + (row - (len(orders) - 1) / 2) * height
        look["xerr"] = style.interval_lengths(truth[order], truth[f"{order}_low"], truth[f"{order}_high"])
        look |= {
            "color": style.mark([*ORDERS].index(order))["color"],
            "hatch": style.HATCHES[row % len(style.HATCHES)],
        }
        # A curve of the same order has the legend entry already.
        ax.barh(places, truth[order], label=ORDERS[order] if order == "uniform" else None, **look)
    counts = truth["labels"].items()
    style.row_axis(ax, [f"{shorten(kind, 18)}\n(n = {count:,.0f})" for kind, count in counts], half=0.4)
    ax.set(xlim=(0, 1.02), xlabel="average precision (line: 95 % CI)")
    ax.set_title("ground truth: high is better", size=9.5)


def _mark_seconds(ax: Axes, seconds: np.ndarray, height: float, *, color: str, name: str) -> None:
    """Shade runs of seconds, draw bars above the curves, and write the name where there is room."""
    for first, last in runs_of_frames(seconds):
        ax.axvspan(first - 0.5, last + 0.5, facecolor=color, alpha=0.13, linewidth=0)
        ax.plot([first - 0.4, last + 0.4], [height, height], color=color, linewidth=4, solid_capstyle="butt")
    right = int(seconds.mean() < np.mean(ax.get_xlim()))
    ends = (seconds.min() - 0.4, seconds.max() + 0.4)
    look = {"textcoords": "offset points", "va": "center", "size": 8.5, "ha": "left" if right else "right"}
    if style.is_narrow():  # above its bar, towards the side that has room
        ax.annotate(shorten(name, 30), (ends[1 - right], height), (0, 7), **look)
    else:
        ax.annotate(name, (ends[right], height), (6 if right else -6, 0), **look)
