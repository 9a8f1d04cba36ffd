"""Runs side by side as a widget, and the curve of a training while it runs."""

import html
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from string import ascii_uppercase

import ipywidgets as widgets
import numpy as np
import pandas as pd
from IPython.display import DisplayHandle

from dmlkit.errors import DataError, UsageError, counted, nearest, readable, renamed, shorten
from dmlkit.explorer.saved_view import paragraphs
from dmlkit.metrics import average_precision_by_class, top_k_pairs
from dmlkit.plots.ladder import learning_curves
from dmlkit.predictions import Predictions
from dmlkit.runs import Run, list_runs

# How classes can be ordered: name → sort key of the table of average precisions.
ORDERS = {
    "largest difference": lambda table: table.iloc[:, 2:].min(axis=1) - table.iloc[:, 2:].max(axis=1),
    "lowest precision": lambda table: table.iloc[:, 2:].mean(axis=1),
    "most videos": lambda table: -table["videos"],
    "name": lambda table: table["name"].str.casefold(),
}
ALL, WITH, WITHOUT = "all videos", "videos labelled with the class", "videos not labelled with it"
# Text has the colour of JupyterLab's theme, and bars are transparent.
TABLES = """<style>.dmlkit-table { font-size: 12px; line-height: 1.4 } .dmlkit-table p { margin: 4px 0 }
.dmlkit-table > div { max-height: 21em; overflow: auto }
.dmlkit-table :is(td, th) { padding: 1px 6px; text-align: left }
.dmlkit-table i { background: linear-gradient(90deg, #4a9ad466 var(--value), transparent 0); display: block;
font-style: normal; min-width: 4em } .dmlkit-pair { display: flex; flex-wrap: wrap; gap: 8px 16px }
.dmlkit-pair .dmlkit-table > div { max-height: none }</style>"""
TOP_K = 20
LISTED = 200  # so many videos are in the list at first
EPSILON = 1e-7  # scores are kept so far from 0 and 1, as in the loss of a training


class ResultsExplorer:
    """Choose runs; see their training curves, average precision by class, and the videos on which they disagree.

    It reads the runs' files: no model is loaded. The first two chosen runs are A and B.

    Args:
        runs_folder: The folder of the runs, at any depth.
        dataset: Where given, its class names are shown, and only runs on it are offered.

    Attributes:
        choices: Folder below `runs_folder` → run, the highest GAP first.
        precision: Average precision by class over the videos that all chosen runs scored: `name`, `videos`, and a
            column a run.
        videos: The videos by id, in the chosen order: the largest absolute value first. A column for each order there
            can be: `disagreement` of A and B, `losses` of A, the difference of both, that of the chosen class's scores.

    Raises:
        DataError: There is no finished run.
    """

    def __init__(self, runs_folder: str | os.PathLike, dataset=None):
        folder, found, on = Path(runs_folder), list_runs(runs_folder), ""
        if dataset is not None:
            names, on = dataset.class_names if dataset.named else None, f" on {dataset.name}"
            found = [run for run in found if _is_on(run, dataset.fingerprint, names)]
        if not found:
            raise DataError(f"There is no finished run{on} below {folder}. `dmlkit train` trains one.")
        found.sort(key=lambda run: -run.gap)
        self.choices = {run.path.relative_to(folder).as_posix(): run for run in found}
        self.class_names = None if dataset is None else dataset.class_names
        self._busy, self._number, self._precisions = False, None, {}
        runs = self.choices.items()
        options = [(f"{shorten(run.title, 60)}, GAP@20 {run.gap:.4f} ({name})", name) for name, run in runs]
        chosen = {"options": options, "value": list(_same_data(self.choices))[:2], "rows": min(8, len(runs))}
        wide = widgets.Layout(width="100%", max_width="60em")
        part = {"layout": widgets.Layout(width="auto", flex="1 1 17em")}
        row = widgets.Layout(flex_flow="row wrap", max_width="60em")
        self._runs = widgets.SelectMultiple(description="Runs", layout=wide, **chosen)
        self._order = widgets.Dropdown(options=list(ORDERS), description="Order by", **part)
        self._class = widgets.Combobox(description="Class", placeholder="a name or number", **part)
        self._sort = widgets.Dropdown(description="Order by", **part)
        self._show = widgets.Dropdown(options=[ALL, WITH, WITHOUT], description="Show", **part)
        typed = {"placeholder": "id of a video", "continuous_update": False}
        self._id = widgets.Text(description="Go to", **typed, **part)
        back, forth = (widgets.Button(description=f"{text} video") for text in ("Previous", "Next"))
        self._video = widgets.Select(description="Videos", rows=9, layout=wide)
        texts = (widgets.HTML() for _ in range(5))
        self._curves, self._classes, self._problem, self._count, self._tops = texts
        parts = [self._runs, self._curves, widgets.Box([self._order, self._class], layout=row), self._classes]
        parts += [widgets.Box([self._sort, self._show, self._id, back, forth], layout=row)]
        parts += [self._problem, self._count, self._video, self._tops]
        self.widget = widgets.VBox(parts, layout=widgets.Layout(grid_gap="8px"))
        self._update({"owner": self._runs})
        for each in (self._runs, self._order, self._class, self._sort, self._show, self._video):
            each.observe(self._update, names="value")
        self._id.observe(lambda change: self._go_to(change["new"].strip()), names="value")
        back.on_click(lambda _: self._step(-1))
        forth.on_click(lambda _: self._step(1))

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
        """The chosen video's id; None where none is listed. Set it to choose another."""
        return self._video.value

    @video.setter
    def video(self, name: str) -> None:
        if name not in self._measures.index:
            hint = nearest(name, self._measures.index, 3)
            raise UsageError(f"The chosen runs did not all score a video {shorten(name)!r}.{hint}")
        if name not in self.videos.index:
            self._show.value = ALL
        if name not in dict(self._video.options).values():
            self._video.options = [*self._video.options, (self._line(name), name)]
        self._video.value = name

    @property
    def top(self) -> dict[str, pd.DataFrame]:
        """The chosen video's `class`, `name`, `score`, `true` by rank, for the first two runs; also true ones below.

        Of two runs, also the rank in the other. A class whose score was not kept has neither rank nor score.
        """
        found, place = {}, self._measures.index.get_indexer([self.video])
        for title in list(self._scored)[: 2 if self.video else 0]:
            one = self._scored[title].take(place)
            scores = pd.Series(np.where(one.is_kept[0], one.scores[0].astype(np.float32), np.nan))
            true = False if one.labels is None else one.labels[0]
            table = pd.DataFrame({"class": scores.index, "name": self._names, "score": scores, "true": true})
            found[title] = table.assign(rank=scores.rank(ascending=False, method="first").astype("Int64"))
        if len(found) == 2:
            a, b = found.values()
            a["rank in B"], b["rank in A"] = b["rank"], a["rank"]
        for title, table in found.items():
            table = table.sort_values("rank", kind="stable").set_index("rank")
            found[title] = table[table["true"] | (table.index <= TOP_K)]
        return found

    def _update(self, change: Mapping) -> None:
        """Show what follows from a choice, from the widget that has changed downwards; each may set those below."""
        if self._busy:
            return
        self._busy, changed, number = True, change["owner"], self._number
        try:
            if changed is self._runs:
                self._show_runs()
            if changed in (self._runs, self._order, self._class):
                self._show_classes()
            if self._number != number:
                self._show.value = ALL if self._number is None else WITH
            if changed in (self._runs, self._sort, self._show) or self._number != number:
                self._show_videos(self.video if changed is self._runs else None)
            self._show_tops()
        finally:
            self._busy = False

    def _show_runs(self) -> None:
        chosen = {name: self.choices[name] for name in self.runs}
        kept = _same_data(chosen)
        taken = ["name", "videos", *(run.title for run in kept.values())]
        found = [run.predictions.ids for run in kept.values()] or [np.empty(0, str)]
        common = np.unique(reduce(np.intersect1d, found))  # the videos that all of them scored
        self._scored = {}
        for name, run in kept.items():
            title = f"{run.title} ({name})" if taken.count(run.title) > 1 else run.title
            ids, first = np.unique(run.predictions.ids, return_index=True)
            self._scored[title] = run.predictions.take(first[np.isin(ids, common)])
        scored = list(self._scored.values())
        self._letters = dict(zip(self._scored, ascii_uppercase, strict=False))
        labelled = all(each.take(slice(1)).labels is not None for each in scored)
        self.precision = pd.DataFrame(columns=["name", "videos", *self._scored])
        self._measures = measures = pd.DataFrame(index=pd.Index(common, dtype=object))
        if len(common):
            names = next(iter(kept.values())).class_names or self.class_names
            self._names = readable(names or [""] * scored[0].num_classes)
            if len(scored) > 1:
                measures["disagreement of A and B"] = disagreement(*scored[:2])
            if labelled:
                labels = scored[0].labels
                table = pd.DataFrame({"name": self._names, "videos": labels.sum(axis=0)}).rename_axis("class")
                for run, (title, predictions) in zip(kept.values(), self._scored.items(), strict=True):
                    key = run.predictions, common.tobytes()  # of 3,862 classes it takes seconds
                    if key not in self._precisions:
                        self._precisions[key] = average_precision_by_class(predictions.kept_scores, labels)
                    table[title] = self._precisions[key]
                self.precision = table[table["videos"] > 0]
                measures["loss of A"] = losses(scored[0])
                if len(scored) > 1:
                    measures["loss of A − loss of B"] = measures["loss of A"] - losses(scored[1])
        foreign = [run.title for name, run in chosen.items() if name not in kept]
        notes = {
            "; ".join(f"{letter}: {title}" for title, letter in self._letters.items()): kept,
            "No run is chosen. Choose one run, or several with Ctrl or Shift held.": not kept,
            "Choose a second run to see where two disagree.": len(chosen) == 1,
            f"On other data than the first, and so not compared: {', '.join(foreign)}.": foreign,
            "These runs scored no video in common: there is nothing to compare.": kept and not len(common),
            "The videos have no labels: there is no average precision, and no loss.": not labelled,
        }
        plot = learning_curves(kept)
        shown = paragraphs(*(note for note, holds in notes.items() if holds))
        self._curves.value = shown + (plot.markup() if plot else "")

    def _show_classes(self) -> None:
        """The classes whose name or number is searched for, in their order; where it is one, that is chosen."""
        table, text = self.precision, self._class.value.strip()
        table = self.precision = table.loc[ORDERS[self._order.value](table).sort_values(kind="stable").index]
        numbers = {f"{number}: {name}": number for number, name in table["name"].items()}
        found = [numbers[each] for each in numbers if text.casefold() in each.casefold()]
        found = [numbers[text]] if text in numbers else found
        self._class.options, self._number = list(numbers), found[0] if text and len(found) == 1 else None
        self._show.disabled = self._number is None
        shown = table.loc[found].rename(columns=self._letters)
        if len(self._letters) == 2:
            shown["A − B"] = shown["A"] - shown["B"]
        over = f"{counted(len(self._measures), 'video')}: {len(found):,} of {len(table):,} classes"
        caption = f"Average precision by class over {over}"
        self._classes.value = _table(shown, self._letters.values(), caption) if len(table) else ""

    def _show_videos(self, chosen: str | None) -> None:
        """The videos in their order; the first is chosen where `chosen` is not among them."""
        table, number, scored = self._measures, self._number, list(self._scored.values())
        if number is not None and len(scored) > 1:
            a, b = (_of_class(each, number) for each in scored[:2])
            table = table.assign(**{"score of A − score of B for the class": a - b})
        if number is not None and self._show.value != ALL:
            table = table[_of_class(scored[0], number, "labels") == (self._show.value == WITH)]
        orders = [*table, "id"]
        order = self._sort.value if self._sort.value in orders else orders[0]
        self._sort.options, self._sort.value = orders, order
        if order != "id":
            table = table.sort_values(order, key=lambda values: -values.abs(), kind="stable")
        self.videos, more = table, f"; the first {LISTED} are listed" if len(table) > LISTED else ""
        self._count.value = paragraphs(f"{counted(len(table), 'video')}{more}" if len(scored) else "")
        self._video.options = [(self._line(name), name) for name in table.index[:LISTED]]
        if len(table):
            self.video = chosen if chosen in table.index else table.index[0]

    def _show_tops(self) -> None:
        tables = []
        for title, table in self.top.items():
            caption = f"{self._letters[title]}: {title}, top {TOP_K}"
            tables.append(_table(table.drop(columns="class"), ["score"], caption))
        self._tops.value = f'<div class="dmlkit-pair">{"".join(tables)}</div>'

    def _go_to(self, name: str) -> None:
        """Choose the video whose id was typed, or say why there is none."""
        self._problem.value = ""
        try:
            self.video = name or self.video
        except UsageError as error:
            self._problem.value = paragraphs(str(error))

    def _step(self, by: int) -> None:
        """Choose the video so many places further down the order, where there is one."""
        at = self.videos.index.get_indexer([self.video])[0] + by
        if 0 <= at < len(self.videos):
            self.video = self.videos.index[at]

    def _line(self, video: str) -> str:
        """A video as it is listed: the value by which it is ordered, its id, and its true classes."""
        labels = next(iter(self._scored.values())).take(self._measures.index.get_indexer([video])).labels
        true = [] if labels is None else np.flatnonzero(labels[0])
        order, signed = self._sort.value, "+" * ("−" in self._sort.value)
        value = f"{self.videos.at[video, order]:{signed}.3f}  " if order in self.videos else ""
        return f"{value}{shorten(video, 60)}: {', '.join(shorten(self._names[label]) for label in true)}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        """The widget where there is a kernel, and what is chosen now for every other reader."""
        video = "" if self.video is None else f"By {self._sort.value}: {self._line(self.video)}"
        hint = "Run this notebook in JupyterLab to choose runs, classes and videos."
        shown = [self._curves.value, self._classes.value, paragraphs(video), self._tops.value]
        plain = f"{len(self.choices)} runs; chosen: {', '.join(self._scored) or 'none'}; video {self.video}"
        texts = {"text/html": "".join(shown) + paragraphs(hint), "text/plain": plain}
        return self.widget._repr_mimebundle_() | texts


def disagreement(a: Predictions, b: Predictions, top_k: int = TOP_K) -> np.ndarray:
    """How far two runs' scores of the same videos lie apart: (videos,).

    The mean absolute difference over the classes that either has among its `top_k` highest. A score that was not
    kept is that of `Predictions.scores`: the most that it can be.
    """
    found = []
    for blocks in zip(a.blocks(), b.blocks(), strict=True):
        either = np.zeros((len(blocks[0].ids), a.num_classes), bool)
        for block in blocks:
            classes, scores = block.kept_pairs()
            top = np.take_along_axis(classes, top_k_pairs(scores, top_k).classes, axis=1)
            np.put_along_axis(either, top, True, axis=1)
        videos, classes = np.nonzero(either)
        one, other = (block.scores[videos, classes].astype(np.float32) for block in blocks)
        found.append(np.bincount(videos, np.abs(one - other)) / np.bincount(videos))
    return np.concatenate(found)


def losses(predictions: Predictions) -> np.ndarray:
    """The binary cross-entropy of each labelled video in nats, summed over the classes as in training: (videos,).

    Of the classes whose scores were not kept the true ones count, with the most that their scores can be, and the
    others do not: the loss in a split that was cut to the highest scores is a lower bound.
    """
    found = []
    for block in predictions.blocks():
        true = np.nonzero(block.labels)
        scores = (block.kept_pairs()[1], block.kept_scores[true], block.scores[true])
        kept, absent, right = (np.clip(each.astype(np.float32), EPSILON, 1 - EPSILON) for each in scores)
        loss, change = -np.log1p(-kept).sum(axis=1, dtype=np.float64), np.log1p(-absent) - np.log(right)
        found.append(loss + np.bincount(true[0], change, minlength=len(loss)))
    return np.concatenate(found)


def _of_class(predictions: Predictions, number: int, what: str = "scores") -> np.ndarray:
    """The `scores` or `labels` of all videos for one class: (videos,) float."""
    return np.concatenate([getattr(block, what)[:, number] for block in predictions.blocks()]).astype(float)


class LiveCurve:
    """Losses and GAP@20 on the tuning split, epoch by epoch: `train(..., on_epoch=LiveCurve())`.

    It takes its place where it is made, above what the training prints there, and redraws in it; the notebook keeps the
    last picture.
    """

    def __init__(self):
        self.rows: list[dict] = []
        self._display = DisplayHandle()
        self._display.display(self)

    def __call__(self, row: Mapping[str, float]) -> None:
        """Add an epoch's row of the history; one that does not follow the last starts a new curve."""
        if self.rows and row["epoch"] <= self.rows[-1]["epoch"]:
            self.rows = []
        self.rows.append(dict(row))
        self._display.update(self)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict | tuple[dict, dict]:
        """The picture so far; nothing before the first epoch, and so where a run was trained before."""
        if not self.rows:
            return {"text/html": "", "text/plain": ""}
        last, best = self.rows[-1], max(self.rows, key=lambda row: row["tuning_gap"])
        so_far = f"best so far epoch {best['epoch']}"
        run = Run(Path(), {"experiment": {"name": "", "title": so_far}, "best_epoch": best["epoch"]})
        run.record["data"] = {"name": so_far, "generated": False}
        run.history = pd.DataFrame(self.rows)
        return learning_curves(run, title=f"Training, epoch {last['epoch']}")._repr_mimebundle_()


def _is_on(run: Run, fingerprint: str, names: Sequence[str] | None) -> bool:
    """Whether a run is of the data with this fingerprint, and its classes have these names, as far as known."""
    return run.record["data"]["fingerprint"] == fingerprint and not renamed(names, run.class_names)


def _same_data(runs: Mapping[str, Run]) -> dict[str, Run]:
    """The runs on the same data as the first."""
    first = next(iter(runs.values()), None)
    data = first and (first.record["data"]["fingerprint"], first.class_names)
    return {name: run for name, run in runs.items() if _is_on(run, *data)}


def _table(table: pd.DataFrame, bars: Iterable[str], caption: str) -> str:
    """A table as HTML that scrolls where it is long, with a bar behind each number between 0 and 1."""
    bar = '<i style="--value: {0:.1%}">{0:.3f}</i>'.format
    shown = dict.fromkeys(bars, lambda value: "not kept" if np.isnan(value) else bar(value))
    shown |= {"name": lambda name: html.escape(shorten(name, 60)), "true": {True: "✓", False: ""}.get}
    rows = table.reset_index()
    rows = rows.assign(**rows.select_dtypes("Int64").astype(object).fillna("not kept"))
    rows = rows.to_html(formatters=shown, float_format="{:.3f}".format, border=0, escape=False, index=False)
    return f'<div class="dmlkit-table">{paragraphs(shorten(caption, 120))}{TABLES}<div>{rows}</div></div>'
