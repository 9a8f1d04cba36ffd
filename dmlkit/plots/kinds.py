"""What each rung is able to see: GAP@20 within one kind of classes at a time."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd

from dmlkit.data.synthetic_kinds import KINDS
from dmlkit.metrics import global_average_precision
from dmlkit.plots.given import as_runs, headed
from dmlkit.plots.plot import Plot, canvas, nothing, shorten, styled

FREQUENCIES = "label frequencies alone"
_ORDER = {kind: place for place, kind in enumerate(KINDS)}
QUARTERS = ("most frequent", "second", "third", "rarest")


def class_groups(dataset, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The classes in groups: by their kinds where the data set states them, else by how frequent they are.

    Without kinds, classes are put in the order of their frequency and cut where a quarter, a half and three
    quarters of all true labels are reached, so that each group speaks of about as many labels as the others.

    Args:
        dataset: The data set.
        labels: (videos, classes) true labels of the part that is measured.

    Returns:
        The group's name → its classes. Groups without a single true label are left out.
    """
    counts = labels.sum(axis=0)
    if dataset.class_kinds:
        kinds = np.asarray(dataset.class_kinds)
        # The generated data's kinds in the order in which they are told, others as they come.
        named = sorted(dict.fromkeys(dataset.class_kinds), key=lambda kind: _ORDER.get(kind, len(_ORDER)))
        groups = {str(kind): np.flatnonzero(kinds == kind) for kind in named}
    else:
        order = np.argsort(-counts, kind="stable")
        order = order[counts[order] > 0]
        # The share of labels before a class decides, so that the most frequent one opens the first quarter.
        before = (np.cumsum(counts[order]) - counts[order]) / max(1, counts.sum())
        quarter = np.minimum((before * 4).astype(int), 3)
        groups = {
            _quarter(name, np.count_nonzero(quarter == place)): order[quarter == place]
            for place, name in enumerate(QUARTERS)
        }
    return {name: classes for name, classes in groups.items() if counts[classes].sum()}


def gap_by_kind(runs, dataset) -> pd.DataFrame:
    """GAP@20 of every run within each group of classes: a row a run, a column a group.

    The first row is what scores that are the same for every video reach, each class's being its frequency.

    Args:
        runs: Name → run, or runs, scored on the same part.
        dataset: The data set.
    """
    runs = as_runs(runs)
    if not runs:
        return pd.DataFrame()
    labels = runs[0].predictions.labels
    groups = class_groups(dataset, labels)
    constant = np.broadcast_to(labels.mean(axis=0, dtype=np.float32), labels.shape)
    rows = {FREQUENCIES: {name: _gap(constant, labels, classes) for name, classes in groups.items()}}
    for run in runs:
        scores, truth = run.predictions.scores, run.predictions.labels
        rows[run.title] = {name: _gap(scores, truth, classes) for name, classes in groups.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


@styled
def by_kind(runs, dataset, *, title: str = "What each rung is able to see") -> Plot:
    """GAP@20 of every run within each group of classes, as a table of shades with the numbers in it.

    Args:
        runs: Name → run, or runs, scored on the same part.
        dataset: The data set.
        title: Over the figure.
    """
    frame = gap_by_kind(runs, dataset)
    if frame.empty:
        return nothing("there is no run to measure.", title=title)
    values = frame.to_numpy()
    figure, (axes,) = canvas(height=1.7 + 0.36 * len(frame), title=headed(title, dataset))
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(values.shape):
        dark = values[row, column] > 0.55
        axes.text(
            column, row, f"{values[row, column]:.3f}", ha="center", va="center", color="w" if dark else "k"
        )
    axes.set_xticks(range(values.shape[1]), [_wrapped(name) for name in frame.columns])
    axes.set_yticks(range(len(frame)), [shorten(name, 40) for name in frame.index])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.axhline(0.5, color="white", linewidth=3)
    columns = (
        "" if dataset.class_kinds else ".\nA column: classes that hold about a quarter of all true labels"
    )
    axes.set_xlabel(f"GAP@20 over the classes of one column alone, on the validation part{columns}")
    said = "; ".join(
        f"{name}: " + ", ".join(f"{group} {value:.3f}" for group, value in row.items())
        for name, row in frame.to_dict("index").items()
    )
    return Plot(figure, f"{headed(title, dataset)}. GAP@20 by kind of class. {said}.")


def _quarter(name: str, classes: int) -> str:
    return f"{name} quarter of the labels ({classes:,} {'class' if classes == 1 else 'classes'})"


def _gap(scores: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> float:
    return global_average_precision(scores[:, classes].astype(np.float32), labels[:, classes])


def _wrapped(name: str) -> str:
    return textwrap.fill(shorten(name, 60), 18)
