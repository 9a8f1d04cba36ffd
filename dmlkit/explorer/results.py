"""Runs side by side as a widget, and the curve of a training while it runs."""

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pandas as pd
from IPython.display import DisplayHandle

from dmlkit.errors import DataError, UsageError, nearest, readable, renamed, shorten
from dmlkit.explorer.saved_view import paragraphs, picture
from dmlkit.metrics import average_precision_by_class
from dmlkit.plots.ladder import learning_curves
from dmlkit.plots.style import Plot, canvas, plotted
from dmlkit.runs import Run, list_runs

# How classes can be ordered: name → sort key of the table of average precisions.
ORDERS = {
    "largest difference": lambda table: table.iloc[:, 2:].min(axis=1) - table.iloc[:, 2:].max(axis=1),
    "lowest precision": lambda table: table.iloc[:, 2:].mean(axis=1),
    "most videos": lambda table: -table["videos"],
    "name": lambda table: table["name"].str.casefold(),
}
CURVES = {"loss": "training loss", "tuning_gap": "GAP@20 on the tuning split"}


class ResultsExplorer:
    """Choose runs; see their training curves, average precision by class, and one video's top classes.

    It reads the runs' files: no model is loaded.

    Args:
        runs_folder: The folder of the runs, at any depth.
        dataset: Where given, its class names are shown, and only runs on it are offered.
        videos: How many videos the menu offers; any other can be set from Python.
        rows: Classes shown in the table of average precisions.
        top_k: Classes shown of a video.

    Attributes:
        choices: Folder below `runs_folder` → run, the highest GAP first.
        precision: Average precision by class over the videos that all chosen runs scored: `name`, `videos`, and a
            column a run.

    Raises:
        DataError: There is no finished run.
    """

    def __init__(self, runs_folder: str | os.PathLike, dataset=None, *, videos=200, rows=20, top_k=20):
        folder = Path(runs_folder)
        named = dataset.class_names if dataset is not None and dataset.named else None
        found = list_runs(folder)
        if dataset is not None:
            found = [run for run in found if _is_on(run, dataset.fingerprint, named)]
        if not found:
            on = "" if dataset is None else f" on {dataset.name}"
            raise DataError(f"There is no finished run{on} below {folder}. `dmlkit train` trains one.")
        found.sort(key=lambda run: -run.gap)
        self.choices = {run.path.relative_to(folder).as_posix(): run for run in found}
        self.class_names = None if dataset is None else dataset.class_names
        self.max_videos, self.max_rows, self.top_k = videos, rows, top_k
        wide, best = widgets.Layout(width="100%", max_width="60em"), _same_data(self.choices)
        runs = self.choices.items()
        named = [(f"{shorten(run.title, 60)}, GAP@20 {run.gap:.4f} ({name})", name) for name, run in runs]
        chosen = {"options": named, "value": list(best)[:2], "rows": min(8, len(named))}
        self._runs = widgets.SelectMultiple(description="Runs", layout=wide, **chosen)
        self._order = widgets.Dropdown(options=list(ORDERS), description="Order by", layout=wide)
        self._video = widgets.Dropdown(description="Video", layout=wide)
        self._curves, self._classes, self._tops = (widgets.HTML() for _ in range(3))
        parts = [self._runs, self._curves, self._order, self._classes, self._video, self._tops]
        self.widget = widgets.VBox(parts, layout=widgets.Layout(grid_gap="8px"))
        self._show_runs()
        self._runs.observe(lambda change: self._show_runs(), names="value")
        self._order.observe(lambda change: self._show_classes(), names="value")
        self._video.observe(lambda change: self._show_tops(), names="value")

    @property
    def runs(self) -> tuple[str, ...]:
        """The chosen runs' folders, as in `choices`; set it to choose others."""
        return tuple(self._runs.value)

    @runs.setter
    def runs(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.choices:
                raise UsageError(f"There is no run {name!r} here.{nearest(name, self.choices)}")
        self._runs.value = tuple(names)

    @property
    def video(self) -> str | None:
        """The chosen video's id; None where the runs have none in common. Set it to choose another."""
        return self._video.value

    @video.setter
    def video(self, name: str) -> None:
        if name not in self._rows.index:
            hint = nearest(name, self._rows.index)
            raise UsageError(f"The chosen runs did not all score a video {name!r}.{hint}")
        if name not in dict(self._video.options).values():
            self._video.options = [*self._video.options, (self._label(name), name)]
        self._video.value = name

    @property
    def top(self) -> dict[str, pd.DataFrame]:
        """The chosen video's `class`, `name`, `score`, `true` by rank, for the first two runs; also true ones below."""
        found = {}
        for title, run in list(self._chosen.items())[: 2 if self.video else 0]:
            row = self._rows.at[self.video, title]
            scores, true = run.predictions.scores[row].astype(np.float32), run.predictions.labels[row] != 0
            order = np.argsort(-scores, kind="stable")
            names = np.array(self._names(run), object)[order]
            columns = {"class": order, "name": names, "score": scores[order], "true": true[order]}
            table = pd.DataFrame(columns, index=pd.RangeIndex(1, len(order) + 1, name="rank"))
            found[title] = table[(table.index <= self.top_k) | table["true"]].copy()
        return found

    def _show_runs(self) -> None:
        chosen = {name: self.choices[name] for name in self.runs}
        kept = _same_data(chosen)
        titles = [run.title for run in kept.values()]
        pairs = zip(titles, kept, strict=True)
        unique = [f"{title} ({name})" if titles.count(title) > 1 else title for title, name in pairs]
        self._chosen = dict(zip(unique, kept.values(), strict=True))
        # Video → its row in each run's predictions, for the videos that all of them scored.
        ids = {title: run.predictions.ids.tolist() for title, run in self._chosen.items()}
        rows = [pd.Series({v: row for row, v in enumerate(each)}, name=title) for title, each in ids.items()]
        self._rows = pd.concat(rows, axis=1, join="inner") if rows else pd.DataFrame()
        self.precision = self._measure()
        notes = [] if kept else ["Choose one run or more (with Ctrl or Shift held)."]
        if foreign := [run.title for name, run in chosen.items() if name not in kept]:
            notes.append(f"On other data than the first, and so not compared: {', '.join(foreign)}.")
        plot = learning_curves(self._chosen)
        self._curves.value = paragraphs(*notes) + (picture(plot.png(), plot.alt) if plot else "")
        self._show_classes()
        before = self.video
        self._video.options = [(self._label(name), name) for name in self._rows.index[: self.max_videos]]
        if len(self._rows):
            self.video = before if before in self._rows.index else self._rows.index[0]
        self._show_tops()

    def _measure(self) -> pd.DataFrame:
        if self._rows.empty:
            return pd.DataFrame(columns=["name", "videos", *self._chosen])
        title, run = next(iter(self._chosen.items()))
        labels = run.predictions.labels[self._rows[title]]
        table = pd.DataFrame({"name": self._names(run), "videos": (labels != 0).sum(axis=0)})
        for title, run in self._chosen.items():
            table[title] = average_precision_by_class(run.predictions.kept_scores[self._rows[title]], labels)
        return table[table["videos"] > 0].rename_axis("class")

    def _show_classes(self) -> None:
        if self.precision.empty:
            self._classes.value = paragraphs("The chosen runs have no videos in common.")
            return
        order = ORDERS[self._order.value](self.precision).sort_values(kind="stable").index
        table, runs = self.precision.loc[order[: self.max_rows]].copy(), list(self._chosen)
        if len(runs) == 2:
            table["difference"] = table[runs[1]] - table[runs[0]]
        caption = f"Average precision by class over {len(self._rows):,} videos: {len(table)} of {len(order)} classes"
        self._classes.value = _table(table, runs, caption=caption)

    def _show_tops(self) -> None:
        tables = []
        for title, table in self.top.items():
            table["true"] = np.where(table["true"], "✓", "")
            tables.append(_table(table, ["score"], caption=f"{title}: top {self.top_k}"))
        style = "display: flex; flex-wrap: wrap; gap: 8px 32px"
        self._tops.value = f'<div style="{style}">{"".join(tables)}</div>'

    def _names(self, run: Run) -> Sequence[str]:
        return readable(run.class_names or self.class_names or [""] * run.predictions.num_classes)

    def _label(self, video: str) -> str:
        title, run = next(iter(self._chosen.items()))
        true, names = run.predictions.labels[self._rows.at[video, title]].nonzero()[0], self._names(run)
        return f"{shorten(video, 60)}: {', '.join(shorten(names[label]) for label in true)}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        """The widget where there is a kernel, and what is chosen now for every other reader."""
        video = "" if self.video is None else self._label(self.video)
        hint = "Run this notebook in JupyterLab to choose runs, classes and videos."
        shown = [self._curves.value, self._classes.value, paragraphs(video), self._tops.value]
        plain = f"{len(self.choices)} runs; chosen: {', '.join(self._chosen) or 'none'}; video {self.video}"
        texts = {"text/html": "".join(shown) + paragraphs(hint), "text/plain": plain}
        return self.widget._repr_mimebundle_() | texts


class LiveCurve:
    """Loss and GAP on the tuning split, epoch by epoch: `train(..., on_epoch=LiveCurve())`.

    It shows itself after the first epoch and then redraws in place; the notebook keeps the last picture.
    """

    def __init__(self):
        self.rows: list[dict] = []
        self._display: DisplayHandle | None = None

    def __call__(self, row: Mapping[str, float]) -> None:
        """Add an epoch's `epoch`, `loss` and `tuning_gap`; one that does not follow the last starts a new curve."""
        if self.rows and row["epoch"] <= self.rows[-1]["epoch"]:
            self.rows, self._display = [], None
        self.rows.append(dict(row))
        if self._display is None:
            self._display = DisplayHandle()
            self._display.display(self)
        else:
            self._display.update(self)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, object]:
        """The picture so far."""
        if not self.rows:
            return {"text/plain": "No epoch has finished yet."}
        last = self.rows[-1]
        plain = f"epoch {last['epoch']}: loss {last['loss']:.3f}, tuning GAP@20 {last['tuning_gap']:.4f}"
        return {"image/png": _draw_epochs(self.rows).png(), "text/plain": plain}


@plotted
def _draw_epochs(rows: list[dict]) -> Plot:
    history = pd.DataFrame(rows).set_index("epoch")
    figure, axes = canvas(f"Training, epoch {history.index[-1]}", None, 1, 2, width=9.0, height=2.6)
    for ax, column in zip(axes, ("loss", "tuning_gap"), strict=True):
        ax.plot(history[column], marker="o", markersize=4)
        ax.set(title=CURVES[column], xlabel="epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
    return Plot(figure, "")


def _is_on(run: Run, fingerprint: str, names: Sequence[str] | None) -> bool:
    """Whether a run is of the data with this fingerprint, and its classes have these names, as far as known."""
    return run.record["data"]["fingerprint"] == fingerprint and not renamed(names, run.class_names)


def _same_data(runs: Mapping[str, Run]) -> dict[str, Run]:
    """The runs on the same data as the first."""
    first = next(iter(runs.values()), None)
    data = first and (first.record["data"]["fingerprint"], first.class_names)
    return {name: run for name, run in runs.items() if _is_on(run, *data)}


def _table(table: pd.DataFrame, bars: list[str], *, caption: str) -> str:
    """A table as HTML, with a bar behind each number between 0 and 1."""
    table = table.assign(name=table["name"].map(lambda name: shorten(name, 60)))
    style = table.style.format(precision=3, escape="html").set_caption(html.escape(shorten(caption, 120)))
    style = style.format_index(lambda name: shorten(name, 60), escape="html", axis=1)
    return style.bar(subset=bars, vmin=0, vmax=1, color="#8ab8e6", height=60).to_html()
