"""Runs in detail: precision and recall, calibration, pairs of labels, and GAP@20 by number of frames."""

from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, triu

import dmlkit.plots.style as style
from dmlkit.errors import readable, shorten
from dmlkit.metrics import gap_interval_of_pairs, gap_of_pairs, precision_recall_curve, top_k_pairs, top_pairs
from dmlkit.plots.data import Survey
from dmlkit.plots.tables import as_runs, of_seed
from dmlkit.predictions import Predictions


def precision_recall(runs, dataset=None, *, title: str = "Precision and recall") -> style.Plot | None:
    """The precision–recall curve of the pairs that GAP@20 ranks: each video's 20 highest scores, pooled."""
    curves = []
    for run in as_runs(runs):
        curve = precision_recall_curve(top_pairs(run.predictions.scores, run.predictions.labels))
        points = np.linspace(0, len(curve[0]) - 1, 400).astype(int)  # enough for a line
        curves.append((run, *(values[points] for values in curve)))
    return _precision_recall(curves, dataset, title=of_seed(title, runs))


@style.plotted
def _precision_recall(curves: list[tuple], dataset, *, title: str) -> style.Plot:
    figure, (axes,) = style.canvas(title, dataset, height=4.4)
    looks = style.marks([run.name for run, *_ in curves])
    for (run, precision, recall), look in zip(curves, looks, strict=True):
        axes.plot(recall, precision, **look | {"marker": ""}, label=shorten(run.title, 34))
    rows = {run.title: {"area (GAP@20)": run.gap} for run, *_ in curves}
    axes.set(xlabel="recall of all true labels", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    figure.legend(loc="outside right upper")
    return style.finished(figure, rows)


def reliability(predictions: Predictions, *, bins: int = 10) -> pd.DataFrame:
    """Pairs (video, class) in bins of equal width of their score: pairs, mean score, share of true pairs.

    A score at an edge is in the bin below it. Pairs whose score was not kept are left out; so are empty bins.
    """
    edges, sums = np.linspace(0, 1, bins + 1), np.zeros((3, bins))
    for block in predictions.blocks():
        scores, true = (each[block.is_kept].astype(float) for each in (block.scores, block.labels))
        place = np.searchsorted(edges[1:-1], scores)
        sums += [np.bincount(place, weights, minlength=bins) for weights in (None, scores, true)]
    names = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
    frame = pd.DataFrame(sums.T, names, ["pairs", "mean score", "share true"]).query("pairs > 0")
    return frame.div(frame["pairs"], axis=0).assign(pairs=frame["pairs"].astype(int))


def calibration(runs, dataset=None, *, title: str = "Calibration") -> style.Plot | None:
    """The `reliability` of runs as a diagram, with the expected calibration error and the pairs of each bin.

    The error is the mean over the bins, weighted by their pairs, of |mean score - share true|.
    """
    curves = [(run, reliability(run.predictions)) for run in as_runs(runs)]
    return _calibration(curves, dataset, title=of_seed(title, runs))


@style.plotted
def _calibration(curves: list[tuple], dataset, *, title: str) -> style.Plot:
    size, rows = {"height": 5.2, "sharex": True, "height_ratios": (3, 1)}, {}
    figure, axes = style.canvas(title, dataset, 2, **size)
    axes[0].plot([0, 1], [0, 1], color=style.GREY, linewidth=1, label="calibrated")
    for (run, bins), look in zip(curves, style.marks([run.name for run, _ in curves]), strict=True):
        kept = run.predictions.kept
        error = np.average((bins["mean score"] - bins["share true"]).abs(), weights=bins["pairs"])
        over = f",\nover each video's {kept} highest" if kept else ""
        label = f"{shorten(run.title, 34)}\n(ECE {error:.4f}{over})"
        axes[0].plot(bins["mean score"], bins["share true"], label=label, **look)
        axes[1].plot(bins["mean score"], bins["pairs"], **look)
        shares = {f"true at {name}": share for name, share in bins["share true"].items()}
        rows[run.title] = {"expected calibration error": error} | shares
    axes[0].set(ylabel="share of true pairs")
    axes[1].set(xlabel="predicted probability (mean of a bin)", ylabel="pairs", yscale="log")
    style.plain_log(axes[1].yaxis)
    figure.legend(loc="outside right upper")
    return style.finished(figure, rows)


def label_pairs(run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Confused pairs of classes (one is missed, another in its place), and pairs missed together; most videos first.

    A label is missed where it is not among the n classes with the highest scores, n being the number of the video's
    labels (no more than were kept), as in PERR; one of those n classes that is not a label is in its place.
    """
    predictions, counts = run.predictions, [0, 0, 0]
    for block in predictions.blocks():
        labels = csr_array(block.labels, dtype=np.int64)
        n = np.minimum(block.labels.sum(axis=1), predictions.kept or predictions.num_classes)
        ranked = top_k_pairs(block.kept_scores, max(1, n.max())).classes
        videos, places = np.nonzero(np.arange(ranked.shape[1]) < n[:, None])
        best = csr_array((np.ones_like(videos), (videos, ranked[videos, places])), shape=labels.shape)
        missed, wrong = labels - labels * best, best - labels * best
        products = (missed.T @ wrong, triu(missed.T @ missed, k=1), labels.T @ labels)
        counts = [total + product for total, product in zip(counts, products, strict=True)]
    confused, both_missed, together = counts[0].tocoo(), counts[1].tocoo(), counts[2].toarray()
    names = np.array(readable(run.class_names or [""] * predictions.num_classes), object)

    def table(pairs, other: str) -> pd.DataFrame:
        a, b = pairs.coords
        rows = {"missed": names[a], other: names[b], "videos": pairs.data}
        rows |= {"videos with the missed label": together[a, a], "videos with both": together[a, b]}
        rows = pd.DataFrame(rows).sort_values("videos", ascending=False, ignore_index=True, kind="stable")
        return rows.set_axis(pd.RangeIndex(1, len(rows) + 1, name="rank"))

    return table(confused, "in its place"), table(both_missed, "also missed")


def gap_by_frames(runs, counted: Survey) -> pd.DataFrame:
    """GAP@20 of runs with its 95 % interval, within quarters of the videos by their number of frames.

    The columns are those of `training.frame_study`, with a run's title as `choice`. Videos that `counted` does not
    hold (once) are left out; empty at video level.
    """
    counts, rows = pd.Series(counted.frames_of_video, counted.ids[: len(counted.frames_of_video)]), []
    counts = counts[~counts.index.duplicated(keep=False)]
    for run in as_runs(runs) if len(counts) else ():
        frames = pd.Series(counts.reindex(run.predictions.ids).to_numpy()).dropna()
        edges = np.unique(frames.quantile([0.25, 0.5, 0.75]))
        for _, part in frames.groupby(np.searchsorted(edges, frames)):
            own = run.predictions.take(part.index)
            own = top_pairs(own.scores, own.labels)
            name = f"{part.min():.0f} to {part.max():.0f}\n({len(part):,} videos)"
            interval = gap_interval_of_pairs(own, resamples=300)
            rows.append((name, run.title, gap_of_pairs(own), *interval, len(part)))
    return pd.DataFrame(rows, columns=["frames", "choice", "gap", "gap_low", "gap_high", "videos"])
