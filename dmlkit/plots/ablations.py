"""What one change does: paired differences in GAP@20, GAP@20 by kind of class, and the studies of 03 and 04."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

import dmlkit.plots.style as style
from dmlkit.data import KINDS
from dmlkit.errors import shorten
from dmlkit.experiments import baseline_of
from dmlkit.metrics import compare_gaps, global_average_precision, top_pairs
from dmlkit.plots.tables import Table, as_runs, numbers

RESAMPLES = 500
FREQUENCIES = "label frequencies alone"
DISTANCE = "relative_distance"  # a column of `fusion_study`
QUARTERS = ("most frequent", "second", "third", "rarest")


def paired_differences(runs, against=None) -> pd.DataFrame:
    """GAP@20 of each run minus that of its baseline, on the same videos.

    A baseline is the experiment that differs by one change (`experiments.BASELINES`), where that is missing the
    nearest one below it; an ensemble's is the best of its members; that of any other run is the run before it. There
    is a row for each run whose baseline was scored on the same videos; `low` and `high` are the paired 95 % bootstrap
    interval over videos, and `significant` is whether it excludes 0.

    Args:
        runs: Name → run, or runs, in the ladder's order.
        against: Runs that serve as baselines only; where None, the first of `runs` is one.

    Differs from the paper: it states no intervals.
    """
    runs, rows = as_runs(runs), []
    pool, runs = (runs[:1], runs[1:]) if against is None else (as_runs(against), runs)
    pool = [run for run in pool if run.name not in {each.name for each in runs}]
    for run in runs:
        baseline, scored = _baseline(run, pool, fixed=against is not None), run.predictions
        pool.append(run)
        other = baseline and baseline.predictions.in_order_of(scored.ids)
        if not other or not np.array_equal(other.labels, scored.labels):
            continue
        sides = ([top_pairs(each.scores, other.labels)] for each in (scored, other))
        compared = compare_gaps(*sides, resamples=RESAMPLES)
        low, high = compared.interval
        trick = run.record["experiment"].get("trick")
        rows.append({
            "name": run.title.removeprefix(f"{baseline.title}, ") if trick else run.title,
            "baseline": baseline.title, "gap": run.gap, "baseline_gap": baseline.gap, "difference": compared.difference,
            "low": low, "high": high, "significant": low > 0 or high < 0, "videos": len(other.ids),
            "seeds": " / ".join(str(each.record.get("seed", "–")) for each in (run, baseline)),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _baseline(run, earlier: list, *, fixed: bool):
    """The run among the earlier ones that this one is compared with; None where there is none."""
    by_name = {each.name: each for each in earlier}
    members = [by_name[each["name"]] for each in run.record.get("members", ()) if each["name"] in by_name]
    if members:
        return max(members, key=lambda each: each.gap)
    name = first = baseline_of(run.name)
    while name and name not in by_name:
        name = baseline_of(name)
    if name:
        return by_name[name]
    return earlier[-1] if earlier and not (fixed and first) else None


def _wrapped(text: str) -> str:
    return textwrap.fill(shorten(text, 120), 41)


@style.plotted
def differences(rows: pd.DataFrame, dataset=None, *, title: str = "Paired differences") -> style.Plot | None:
    """`paired_differences` as a forest plot; filled and bold where the interval excludes 0."""
    figure, (axes,) = style.canvas(height=1.35 + 0.52 * len(rows), title=title, source=dataset)
    left, right = min(0, rows["low"].min()), max(0, rows["high"].max())
    span = max(right - left, 1e-4)
    axes.axvline(0, color="#333333", linewidth=1.2)
    for place, row in enumerate(rows.to_dict("records")):
        face, weight = (style.COLORS[0], "bold") if row["significant"] else ("white", "normal")
        style.points(axes, [row["difference"]], [place], [row["low"]], [row["high"]], markerfacecolor=face)
        value, interval = f"{row['difference']:+.4f}", f"{row['low']:+.4f} to {row['high']:+.4f}"
        axes.text(right + 0.06 * span, place - 0.16, value, va="center", weight=weight)
        axes.text(right + 0.06 * span, place + 0.22, interval, va="center", size=8)
    style.row_axis(axes, [""] * len(rows))
    pairs = zip(rows["name"].map(_wrapped), rows["baseline"].map(_wrapped), strict=True)
    axes.set_yticklabels([f"{name}\nagainst {baseline}" for name, baseline in pairs])
    axes.set_xlim(left - 0.05 * span, right + 0.4 * span)
    axes.set_xlabel(
        "difference in GAP@20, validation split\n(line: paired 95 % CI; filled, bold: it excludes 0)"
    )
    return style.finished(figure, rows.set_index("name")[["baseline", "difference", "low", "high"]])


@style.plotted
def comparison(rows: pd.DataFrame, dataset=None, *, title: str = "Comparison") -> Table | None:
    """`paired_differences` as a table: both values, the difference with its 95 % interval, videos and seeds."""
    shown = rows.set_index("name")[["gap", "baseline", "baseline_gap"]]
    shown["difference"] = [f"{value:+.4f}" for value in rows["difference"]]
    shown["95 % CI"] = [f"{row.low:+.4f} to {row.high:+.4f}" for row in rows.itertuples()]
    shown["CI excludes 0"] = np.where(rows["significant"], "yes", "no")
    shown["videos (n)"], shown["seeds"] = rows["videos"].to_numpy(), rows["seeds"].to_numpy()
    shown = shown.rename(columns={"gap": "GAP@20", "baseline_gap": "baseline's GAP@20"})
    return numbers(shown, dataset, title=title)


def class_groups(dataset, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Name → classes: by kind where there are kinds, else in quarters of the labels; only those that occur."""
    counts = labels.sum(axis=0)
    if dataset.class_kinds:
        kinds, known = np.asarray(dataset.class_kinds), [*KINDS, *dataset.class_kinds]
        names = sorted(set(dataset.class_kinds), key=known.index)
        groups = {str(kind): np.flatnonzero(kinds == kind) for kind in names}
    else:
        order = np.argsort(-counts, kind="stable")
        order = order[counts[order] > 0]
        # The share of labels before a class decides, so that the most frequent one opens the first quarter.
        before = (np.cumsum(counts[order]) - counts[order]) / max(1, counts.sum())
        quarters = [order[np.minimum((before * 4).astype(int), 3) == place] for place in range(4)]
        groups = {
            f"{name} quarter of the labels ({len(classes):,} class{'es' * (len(classes) != 1)})": classes
            for name, classes in zip(QUARTERS, quarters, strict=True)
        }
    return {name: classes for name, classes in groups.items() if counts[classes].sum()}


def gap_by_kind(runs, dataset) -> pd.DataFrame:
    """GAP@20 of every run (a row) within each group of classes (a column); first, that of each class's frequency."""
    runs = as_runs(runs)
    if not runs:
        return pd.DataFrame()
    labels = runs[0].predictions.labels
    constant = np.broadcast_to(labels.mean(axis=0, dtype=np.float32), labels.shape)
    scored = [(FREQUENCIES, constant, labels)]
    scored += [(run.title, run.predictions.scores, run.predictions.labels) for run in runs]
    columns = {
        name: [global_average_precision(scores[:, classes], truth[:, classes]) for _, scores, truth in scored]
        for name, classes in class_groups(dataset, labels).items()
    }
    return pd.DataFrame(columns, index=[title for title, *_ in scored])


@style.plotted
def by_kind(runs, dataset, *, title: str = "GAP@20 by kind of class") -> style.Plot | None:
    """GAP@20 of every run within each group of classes, as a heat map."""
    frame = gap_by_kind(runs, dataset)
    if frame.empty:
        return None
    figure, (axes,) = style.canvas(height=1.7 + 0.36 * len(frame), title=title, source=dataset)
    style.heat_map(axes, frame, cmap="Blues", low=0, high=1, digits=3)
    axes.set_xticks(range(frame.shape[1]), [textwrap.fill(shorten(name, 60), 18) for name in frame.columns])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.axhline(0.5, color="white", linewidth=3)
    axes.set_xlabel("GAP@20 on the validation split, restricted to the classes of each column")
    return style.finished(figure, frame, digits=3)


@style.plotted
def frame_counts(study: pd.DataFrame, dataset=None, *, title: str = "Fewer frames") -> style.Plot | None:
    """GAP@20 and time against the number of frames read, for each way of choosing them (`training.frame_study`)."""
    counts, choices = list(dict.fromkeys(study["frames"])), list(dict.fromkeys(study["choice"]))
    figure, axes = style.canvas(1, 2, width=9.0, height=3.6, title=title, source=dataset)
    for number, choice in enumerate(choices):
        rows, look = study[study["choice"] == choice], style.mark(number)
        # Shifted a little, so that intervals do not overlap.
        x = rows["frames"].map(counts.index) + 0.09 * (number - (len(choices) - 1) / 2)
        line = {"color": look.color, "marker": look.marker, "linestyle": look.line, "label": choice}
        off = np.clip([rows["gap"] - rows["gap_low"], rows["gap_high"] - rows["gap"]], 0, None)
        axes[0].errorbar(x, rows["gap"], yerr=off, capsize=3, **line)
        axes[1].plot(x, rows["seconds"], **line)
    axes[0].set_ylabel("GAP@20 on the tuning split (bar: 95 % CI)")
    axes[1].set(ylabel=f"seconds to read and score {study['videos'].iloc[0]:,} videos", ylim=(0, None))
    for ax in axes:
        ax.set_xticks(range(len(counts)), [str(count) for count in counts])
        ax.set_xlabel("frames per video, at most")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", title="frames chosen")
    shown = study.set_axis(study["choice"] + " " + study["frames"].astype(str), axis=0)
    return style.finished(figure, shown[["gap", "gap_low", "gap_high", "seconds"]])


@style.plotted
def fusions(study: pd.DataFrame, dataset=None, *, title: str = "Fusion variants") -> style.Plot | None:
    """GAP@20 of fusions and variants, and how far their projections lie apart (`training.fusion_study`)."""
    names, height = list(dict.fromkeys(study["fusion"])), 1.5 + 0.38 * len(study)
    figure, axes = style.canvas(1, 2, width=9.4, height=height, title=title, source=dataset, sharey=True)
    for place, row in enumerate(study.to_dict("records")):
        look, distance = style.mark(names.index(row["fusion"])), row[DISTANCE]
        ends = [row["gap_low"]], [row["gap_high"]]
        style.points(axes[0], [row["gap"]], [place], *ends, marker=look.marker, color=look.color)
        style.number_above(axes[0], row["gap"], place)
        if np.isnan(distance):
            axes[1].text(0.01, place, "no projections", va="center", color=style.GREY, size=9)
        else:
            axes[1].barh(place, distance, height=0.5, color=look.color, edgecolor="black", linewidth=0.7)
            axes[1].text(distance + 0.02, place, f"{distance:.2f}", va="center", size=9)
    style.row_axis(axes[0], list(study["title"]))
    axes[0].margins(x=0.15)
    axes[0].xaxis.set_major_locator(MaxNLocator(5))
    axes[0].set_xlabel("GAP@20 on the validation split (line: 95 % CI)")
    axes[1].set_xlim(0, max(1.2, 1.15 * study[DISTANCE].max()))
    axes[1].set_xlabel("relative distance of the projections\n(0: identical, 1: orthogonal on average)")
    axes[1].grid(False, axis="y")
    return style.finished(figure, study.set_index("title")[["gap", "gap_low", "gap_high", DISTANCE]])
