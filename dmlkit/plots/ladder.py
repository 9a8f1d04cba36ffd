"""Experiments side by side: GAP@20, learning curves, cost, paired differences, kinds of classes, and two ablations."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

import dmlkit.plots.style as style
from dmlkit.data import KINDS
from dmlkit.errors import counted, shorten
from dmlkit.experiments import baseline_of
from dmlkit.metrics import FOR_THIS_SEED, compare_gaps, global_average_precision, too_few, top_pairs
from dmlkit.plots.data import survey
from dmlkit.plots.tables import Rows, Table, absence, as_runs, intervals_over, numbers, of_seed, result_rows

VALIDATION_GAP = "GAP@20 on the validation split"

# Group of experiments → its place in the cycle of marks; the ladder's is the plainest.
GROUPS = {
    "ladder": 0, "ablation": 6, "fusion": 8, "pooling": 1, "encoder": 2, "classifier": 3, "trick": 4,
    "recipe": 5, "ensemble": 7,
}  # fmt: skip
COSTS = {"seconds_an_epoch": "seconds per epoch (median after the first)", "parameters": "parameters"}
FREQUENCIES = "label frequencies alone"
CURVES = {
    "training loss": {"linestyle": "-"},
    "tuning loss": {"linestyle": "--", "linewidth": 1.2, "fillstyle": "none"},
    "kept epoch": {"linestyle": "none", "marker": "o", "markersize": 10, "fillstyle": "none"},
}


@style.plotted
def ladder(results: Rows, dataset=None, *, title: str = "The ladder so far") -> style.Plot | None:
    """GAP@20 of each experiment as a bar with its 95 % interval; where there is no run, the reason.

    Of several seeds the mean is shown, with a point for the lowest and one for the highest.
    """
    rows = result_rows(results)
    right = np.nanmax([0.05, *rows["gap"], *rows["gap_high"]])
    figure, (axes,) = style.canvas(title, dataset, height=1.25 + 0.36 * len(rows))
    rows["status"] = [absence(row) or None for row in rows.to_dict("records")]
    for place, row in enumerate(rows.to_dict("records")):
        if np.isnan(row["gap"]):
            reason = shorten(row["status"] or "no run", 88)
            axes.text(0.006 * right, place, reason, va="center", style="italic", color=style.GREY, size=9)
            continue
        ensemble = isinstance(row["experiment"], dict) and "members" in row["experiment"]
        look = {"color": style.COLORS[5], "hatch": "//"} if ensemble else {"color": style.COLORS[6]}
        axes.barh(place, row["gap"], height=0.62, edgecolor=style.INK, linewidth=0.8, **look)
        style.points(axes, row["gap"], place, row["gap_low"], row["gap_high"], marker="|", color=style.INK)
        end = np.nanmax([row["gap"], row["gap_high"]])
        axes.text(end + 0.012 * right, place, f"{row['gap']:.4f}", va="center")
        axes.plot([row["gap_min"], row["gap_max"]], [place, place], ".", color=style.INK, markersize=5)
    style.row_axis(axes, [shorten(title, 44) for title in rows["title"]])
    axes.set_xlim(0, 1.12 * right)
    several = bool(rows["seeds"].notna().any())
    points = "\npoints: lowest and highest seed" * several
    axes.set_xlabel(f"{VALIDATION_GAP}; line: 95 % CI {intervals_over(rows)}{points}")
    rows["seeds"] = rows["seeds"].astype("Int64")
    shown = ["gap", "gap_low", "gap_high", *["gap_min", "gap_max", "seeds"] * several, "status"]
    return style.finished(figure, rows.set_index("title")[shown])


@style.plotted
def learning_curves(runs, *, title: str = "Learning curves") -> style.Plot | None:
    """Losses and tuning GAP@20 of every run by epoch, with the epoch whose weights were kept; outliers are cut off."""
    runs = [run for run in as_runs(runs) if len(run.history)]
    if not runs:
        return None
    rows, (training, tuning, kept) = {}, CURVES.values()
    size = {"width": 9.4, "height": max(4.0, 2.0 + 0.24 * len(runs))}
    figure, axes = style.canvas(of_seed(title, runs), runs[0], 1, 2, **size)
    for run, look in zip(runs, style.marks([run.name for run in runs]), strict=True):
        history = run.history.set_index("epoch").reindex(columns=["loss", "tuning_loss", "tuning_gap"])
        if run.record.get("profile", {}).get("ridge"):  # its training loss is a squared error
            history["loss"] = np.nan
        for ax, column, own in zip((axes[0], *axes), history, (training, tuning, training), strict=True):
            look["markevery"] = -(-len(history) // 12)  # each marker is an element of the SVG
            ax.plot(history[column], label=shorten(run.title, 30), markersize=5, **look | own)
            ax.plot(history[column].filter([run.record.get("best_epoch")]), **look | kept | {"markevery": 1})
        loss, tuning_loss, _ = history.iloc[-1]
        rows[run.title] = {"last training loss": loss, "last tuning loss": tuning_loss}
        rows[run.title]["highest GAP@20"] = history["tuning_gap"].max()
    for ax, label in zip(axes, ("loss (nats per video)", "GAP@20 on the tuning split"), strict=True):
        ax.set(xlabel="epoch", ylabel=label)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _cut_outliers(ax)
    axes[0].set_xlabel("epoch\n(training: mean over it, all terms;\ntuning: after it, cross-entropy)")
    handles = [Line2D([], [], color=style.GREY, label=label, **look) for label, look in CURVES.items()]
    handles += axes[1].get_legend_handles_labels()[0] if len(runs) > 1 else []
    figure.legend(handles=handles, loc="outside right upper")
    return style.finished(figure, rows)


def _cut_outliers(ax: Axes) -> None:
    """Limit a panel to where most values are; at its edge a triangle and the value where a curve is furthest beyond."""
    curves = {line: pd.Series(line.get_ydata(), line.get_xdata()).dropna() for line in ax.lines}
    values = np.concatenate([*curves.values()])
    box = boxplot_stats(values[np.isfinite(values)], whis=4, autorange=True)[0]
    if len(box["fliers"]):
        margin = 0.06 * (box["whishi"] - box["whislo"])
        ax.set_ylim(box["whislo"] - margin, box["whishi"] + margin)
    (low, high), beyond = ax.set_ylim(ax.get_ylim()), {}
    for line, curve in curves.items():
        for edge, marker, distance in ((low, "v", low - curve), (high, "^", curve - high)):
            if distance.gt(0).any():
                place = distance.idxmax(), edge
                ax.plot(*place, marker, color=line.get_color(), clip_on=False)
                beyond.setdefault(place, []).append(curve[place[0]])
    for place, values in beyond.items():
        text = " to ".join(dict.fromkeys(f"{value:.3g}" for value in (min(values), max(values))))
        ax.annotate(text, place, (8, 0), textcoords="offset points", va="center", size=8.5)


@style.plotted
def cost(results: Rows, dataset=None, *, title: str = "GAP@20 against cost") -> style.Plot | None:
    """GAP@20 with its 95 % interval against each of `COSTS`, and the Pareto front of each.

    An ensemble has its members' parameters, and no epochs. Of more than a dozen experiments only those on a front are
    numbered.
    """
    rows = result_rows(results, short_titles=True)
    rows["part"] = rows["part"].where(rows["part"].isin(list(GROUPS)), "ladder")
    rows = rows.dropna(subset=["gap"]).sort_values("gap", ascending=False, ignore_index=True, kind="stable")
    if rows.empty:
        return None
    fronts = [pareto_front(rows[column], rows["gap"]) for column in COSTS]
    numbered = rows.index if len(rows) <= 12 else sorted({*fronts[0], *fronts[1]})
    numbering = {at: number for number, at in enumerate(numbered, start=1)}
    size = {"width": 9.4, "height": max(4.2, 1.9 + 0.24 * len(numbering))}
    figure, axes = style.canvas(title, dataset, 1, 2, sharey=True, **size)
    for ax, column, front in zip(axes, COSTS, fronts, strict=True):
        _scatter(ax, rows, column, front, numbering)
    axes[0].set_ylabel(f"{VALIDATION_GAP}\n(line: 95 % CI {intervals_over(rows)})")
    for group in sorted(set(rows["part"]), key=[*GROUPS].index):
        look = style.mark(GROUPS[group])
        axes[0].plot([], [], look["marker"], color=look["color"], markeredgecolor=style.INK, label=group)
    figure.legend(loc="outside lower center", ncols=len(GROUPS))
    names = "\n".join(f"{number}  {shorten(rows['title'][at], 38)}" for at, number in numbering.items())
    where = ((0, 0), (0, -46)) if style.is_narrow() else ((1, 1), (14, 0))
    look = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top", "size": 9}
    axes[1].annotate(names, *where, linespacing=1.55, **look)
    return style.finished(figure, rows.loc[list(numbering)].set_index("title")[["gap", *COSTS]])


def pareto_front(costs: pd.Series, gaps: pd.Series) -> list[int]:
    """Labels of the rows that no other equals or beats at the same cost or less, the cheapest first."""
    known = pd.DataFrame({"cost": costs, "gap": gaps}).dropna()
    known = known.sort_values(["cost", "gap"], ascending=[True, False], kind="stable")
    return list(known.index[known["gap"] > known["gap"].cummax().shift(fill_value=-np.inf)])


def _scatter(ax: Axes, rows: pd.DataFrame, column: str, front: list[int], numbering: dict[int, int]) -> None:
    ax.set_xlabel(COSTS[column])
    known = rows.dropna(subset=[column])
    if known.empty:
        reason = "not measured: fewer than four epochs"
        ax.text(0.5, 0.5, reason, ha="center", color=style.GREY, transform=ax.transAxes)
        ax.set_xticks([])
        return
    values = known[column].clip(lower=1e-3)
    ax.step(values[front], rows["gap"][front], where="post", color=style.INK, linewidth=1.1, zorder=1)
    ax.vlines(values, known["gap_low"], known["gap_high"], color=style.GREY, linewidth=1, zorder=1)
    for at, value in values.items():
        gap, look = rows["gap"][at], style.mark(GROUPS[rows["part"][at]])
        ax.plot(value, gap, look["marker"], color=look["color"], markersize=8, markeredgecolor=style.INK)
        if at in numbering:
            # On either side by turns: the next lower one may be close below.
            side, place = ("right", (-4, 6)) if numbering[at] % 2 else ("left", (4, 6))
            look = {"textcoords": "offset points", "size": 9.5, "weight": "bold" if at in front else "normal"}
            ax.annotate(str(numbering[at]), (value, gap), place, ha=side, **look)
    ax.set_xscale("log")
    ax.margins(x=0.12, y=0.12)
    style.plain_log(ax.xaxis)


def paired_differences(runs, against=None) -> pd.DataFrame:
    """GAP@20 of each run minus that of its baseline, where both were scored on the same videos.

    A baseline is the experiment that differs by one change (`experiments.BASELINES`), where that is missing the
    nearest one below it; an ensemble's is the best of its members; that of any other run is the run before it. Runs
    under further seeds (`Run.siblings`) count into their mean. `low` and `high` are the paired 95 % interval; `over`,
    `significant`, `verdict` and `seed_bound` are those of `metrics.GapComparison`.

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
        sides = [[each, *each.siblings] for each in (run, baseline)]
        aligned = ((each.predictions.in_order_of(scored.ids) for each in side) for side in sides)
        pairs = ([top_pairs(each.scores, scored.labels) for each in side] for side in aligned)
        compared = compare_gaps(*pairs, resamples=500)
        trick = run.record["experiment"].get("trick")
        seeds = (", ".join(str(each.record.get("seed", "–")) for each in side) for side in sides)
        rows.append({
            "experiment": run.name, "against": baseline.name,
            "name": run.title.removeprefix(f"{baseline.title}, ") if trick else run.title,
            "baseline": baseline.title, "gap": compared.a.mean, "baseline_gap": compared.b.mean,
            "difference": compared.difference, "low": compared.interval.low, "high": compared.interval.high,
            "over": compared.over, "significant": compared.significant, "verdict": compared.verdict,
            "seed_bound": compared.seed_bound, "videos": compared.videos, "seeds": " / ".join(seeds),
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
    return by_name.get(name, earlier[-1] if earlier and not (fixed and first) else None)


@style.plotted
def differences(rows: pd.DataFrame, dataset=None, *, title: str = "Paired differences") -> style.Plot | None:
    """`paired_differences` as a forest plot; filled and bold where a difference is significant."""
    figure, (axes,) = style.canvas(title, dataset, height=1.35 + 0.52 * len(rows))
    left, right = min(0, rows["low"].min()), max(0, rows["high"].max())
    span = max(right - left, 1e-4)
    axes.axvline(0, color=style.INK, linewidth=1.2)
    for place, row in enumerate(rows.to_dict("records")):
        face, weight = (style.COLORS[0], "bold") if row["significant"] else (style.PAPER, "normal")
        style.points(axes, row["difference"], place, row["low"], row["high"], markerfacecolor=face)
        value, interval = f"{row['difference']:+.4f}", f"{row['low']:+.4f} to {row['high']:+.4f}"
        axes.text(right + 0.06 * span, place - 0.16, value, va="center", weight=weight)
        axes.text(right + 0.06 * span, place + 0.22, interval, va="center", size=8)
    wrapped = rows[["name", "baseline"]].map(lambda text: textwrap.fill(shorten(text, 120), 41))
    style.row_axis(axes, [f"{name}\nagainst {baseline}" for name, baseline in wrapped.to_numpy()])
    # The numbers have the right of the panel to themselves.
    axes.set_xticks([tick for tick in axes.get_xticks() if left - 0.05 * span <= tick <= right + 0.05 * span])
    axes.set_xlim(left - 0.05 * span, right + 0.4 * span)
    of_one_seed = "one seed a side: no test" if (rows["over"] == FOR_THIS_SEED).all() else ""
    test = too_few(rows["videos"].min()) or of_one_seed or "filled, bold: significant"
    note = f"line: paired 95 % CI {intervals_over(rows)}; {test}"
    axes.set_xlabel(f"difference in GAP@20, validation split\n({note})")
    return style.finished(figure, rows.set_index("name")[["baseline", "difference", "low", "high"]])


@style.plotted
def comparison(rows: pd.DataFrame, dataset=None, *, title: str = "Comparison") -> Table | None:
    """`paired_differences` as a table: both values, the difference with its 95 % interval and test, videos, seeds."""
    rows = rows.set_index("name")
    shown = rows[["gap", "baseline", "baseline_gap"]].copy()
    shown["difference"], low, high = (
        rows[each].map("{:+.4f}".format) for each in ("difference", "low", "high")
    )
    shown[f"95 % CI {intervals_over(rows)}"] = low + " to " + high
    shown["result"] = rows["verdict"]
    if rows["seed_bound"].notna().any():
        shown["seeds alone"] = rows["seed_bound"].map("±{:.4f}".format, na_action="ignore").fillna("–")
    shown[["videos (n)", "seeds"]] = rows[["videos", "seeds"]]
    text = [{"selector": "td", "props": "white-space: normal; min-width: 9em;"}]
    return numbers(shown, dataset, title=title).set_table_styles({"result": text}, overwrite=False)


def class_groups(dataset, labels: np.ndarray, *, by: str = "kind") -> dict[str, np.ndarray]:
    """Name → classes that occur: by "kind" where there are kinds, else in quarters of the labels."""
    counts, groups = labels.sum(axis=0), {}
    if by == "kind" and dataset.class_kinds:
        for kind in dict.fromkeys([*KINDS, *dataset.class_kinds]):
            groups[kind] = np.flatnonzero(np.equal(dataset.class_kinds, kind))
    else:
        order = np.argsort(-counts, kind="stable")
        order = order[counts[order] > 0]
        # The share of labels before a class decides, so that the most frequent one opens the first quarter.
        before = (np.cumsum(counts[order]) - counts[order]) / max(1, counts.sum())
        for place, name in enumerate(("most frequent", "second", "third", "rarest")):
            classes = order[np.minimum((before * 4).astype(int), 3) == place]
            groups[f"{name} quarter of the labels ({counted(len(classes), 'class', 'classes')})"] = classes
    return {name: classes for name, classes in groups.items() if counts[classes].sum()}


def gap_by_kind(runs, dataset, *, by: str = "kind") -> pd.DataFrame:
    """GAP@20 of every run (a row) within each of `class_groups` (a column); first, that of each class's frequency.

    The frequencies are those of the training split (of 20,000 videos at most), which is what a model could know.
    """
    runs = as_runs(runs)
    if not runs:
        return pd.DataFrame()
    labels = runs[0].predictions.labels
    constant = np.broadcast_to(survey(dataset).videos_of_class.astype(np.float32), labels.shape)
    scored = [(constant, labels), *((run.predictions.scores, run.predictions.labels) for run in runs)]
    columns = {
        name: [global_average_precision(scores[:, classes], truth[:, classes]) for scores, truth in scored]
        for name, classes in class_groups(dataset, labels, by=by).items()
    }
    return pd.DataFrame(columns, index=[FREQUENCIES, *(run.title for run in runs)])


def by_kind(runs, dataset, *, by: str = "kind", title: str | None = None) -> style.Plot | None:
    """GAP@20 of every run within each of `class_groups`, as a heat map."""
    kinds = by == "kind" and dataset.class_kinds
    title = title or f"GAP@20 by {'kind of class' if kinds else 'label frequency'}"
    return _groups(gap_by_kind(runs, dataset, by=by), dataset, title=of_seed(title, runs))


@style.plotted
def _groups(frame: pd.DataFrame, dataset, *, title: str) -> style.Plot:
    figure, (axes,) = style.canvas(title, dataset, height=1.7 + 0.36 * len(frame))
    style.heat_map(axes, frame, cmap="Blues", low=0, high=1, digits=3, label="GAP@20 (0 to 1)")
    axes.set_xlabel("GAP@20 on the validation split, restricted to the classes of each column")
    return style.finished(figure, frame, digits=3)


@style.plotted
def frame_counts(
    study: pd.DataFrame, dataset=None, *, title: str = "Fewer frames", split="tuning", by="frames chosen"
) -> style.Plot | None:
    """GAP@20 against the number of frames, a line for each `choice` (`training.frame_study`, `gap_by_frames`)."""
    counts, choices = list(dict.fromkeys(study["frames"])), study.groupby("choice", sort=False)
    figure, (axes,) = style.canvas(title, dataset, width=7.4, height=3.6)
    for number, (choice, rows) in enumerate(choices):
        # Shifted a little, so that intervals do not overlap.
        x = rows["frames"].map(counts.index) + 0.09 * (number - (len(choices) - 1) / 2)
        ends = style.interval_lengths(rows["gap"], rows["gap_low"], rows["gap_high"])
        axes.errorbar(x, rows["gap"], yerr=ends, capsize=3, label=choice, **style.mark(number))
    axes.set_ylabel(f"GAP@20 on the {split} split\n(bar: 95 % CI {FOR_THIS_SEED})")
    axes.set_xticks(range(len(counts)), [str(count) for count in counts])
    axes.set_xlabel("frames per video" + ", at most" * (split == "tuning"))
    figure.legend(loc="outside right center", title=by)
    shown = study.set_axis(study["choice"] + " " + study["frames"].astype(str), axis=0)
    return style.finished(figure, shown[["gap", "gap_low", "gap_high"]])


@style.plotted
def fusions(study: pd.DataFrame, dataset=None, *, title: str = "Fusion variants") -> style.Plot | None:
    """GAP@20 of fusions and variants, and how far their projections lie apart (`training.fusion_study`)."""
    names, size = list(dict.fromkeys(study["fusion"])), {"width": 9.4, "height": 1.5 + 0.38 * len(study)}
    figure, axes = style.canvas(title, dataset, 1, 2, sharey=True, **size)
    for place, row in enumerate(study.to_dict("records")):
        look, distance = style.mark(names.index(row["fusion"])), row["relative_distance"]
        marker = {"marker": look["marker"], "color": look["color"]}
        style.points(axes[0], row["gap"], place, row["gap_low"], row["gap_high"], number=True, **marker)
        if np.isnan(distance):
            axes[1].text(0.01, place, "no projections", va="center", color=style.GREY, size=9)
        else:
            axes[1].barh(place, distance, height=0.5, color=look["color"], edgecolor=style.INK, linewidth=0.7)
            axes[1].text(distance + 0.02, place, f"{distance:.2f}", va="center", size=9)
    style.row_axis(axes[0], [shorten(title, 46) for title in study["title"]])
    axes[0].margins(x=0.15)
    axes[0].xaxis.set_major_locator(MaxNLocator(5))
    axes[0].set_xlabel(f"{VALIDATION_GAP}\n(line: 95 % CI {FOR_THIS_SEED})")
    axes[1].set_xlim(0, max(1.2, 1.15 * study["relative_distance"].max()))
    axes[1].set_xlabel("relative distance of the projections\n(0: identical, 1: orthogonal on average)")
    shown = study.set_index("title")[["gap", "gap_low", "gap_high", "relative_distance"]]
    return style.finished(figure, shown)
