"""Runs side by side, as a widget."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import ipywidgets as widgets
import pandas as pd

from dmlkit.errors import DataError, UsageError, nearest
from dmlkit.explorer.comparing import common_videos, precision_by_class, same_data
from dmlkit.explorer.drawing import curves, element, page, sentence
from dmlkit.explorer.tables import ORDERS, precision_table, top_classes, top_classes_table
from dmlkit.runs import Run, list_runs
from dmlkit.text import readable, shorten


class ResultsExplorer:
    """Pick runs; see their curves, their average precision by class, and one video's top 20 under two of them.

    It reads what the runs left on disk: no model is loaded.

    Args:
        runs_folder: The folder below which the runs lie.
        dataset: Where given, its class names are shown, and only runs on it are offered.
        videos: How many videos the picker offers; any other can be chosen from Python.
        rows: Classes shown in the table of average precisions.
        top_k: Classes shown of a video.

    Raises:
        DataError: There is no finished run to look at.
    """

    def __init__(
        self,
        runs_folder: str | os.PathLike,
        dataset=None,
        *,
        videos: int = 200,
        rows: int = 20,
        top_k: int = 20,
    ):
        self.choices = _choices(Path(runs_folder), dataset)
        self.class_names = None if dataset is None else readable(dataset.class_names)
        self.offered, self.rows, self.top_k = videos, rows, top_k
        self._build()

    @property
    def runs(self) -> tuple[str, ...]:
        """The folders of the chosen runs, as `choices` names them; set it to choose others."""
        return tuple(self._runs.value)

    @runs.setter
    def runs(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.choices:
                raise UsageError(f"There is no run {name!r} here.{nearest(name, self.choices)}")
        self._runs.value = tuple(names)

    @property
    def video(self) -> str | None:
        """The id of the chosen video; None where the runs have none in common. Set it to choose another."""
        return self._video.value

    @video.setter
    def video(self, name: str) -> None:
        if name not in self._common:
            raise UsageError(
                f"The chosen runs did not all score a video {name!r}.{nearest(name, self._common)}"
            )
        if name not in dict(self._video.options).values():
            self._video.options = [*self._video.options, (self._name(name), name)]
        self._video.value = name

    @property
    def precision(self) -> pd.DataFrame:
        """Average precision by class of the chosen runs, over the videos that all of them scored.

        A row a class that occurs: `name`, `videos`, and a column a run.
        """
        return self._precision

    @property
    def top(self) -> dict[str, pd.DataFrame]:
        """The chosen video's top classes under the first two chosen runs, as `top_classes` gives them."""
        if self.video is None:
            return {}
        found = {}
        for title, run in list(self._chosen.items())[:2]:
            told, row = run.predictions, self._common[self.video][title]
            true = told.labels[row].nonzero()[0].tolist()
            found[title] = top_classes(
                told.scores[row].astype("float32"), names=self._class_names(run), true=true, top_k=self.top_k
            )
        return found

    def _build(self) -> None:
        wide = widgets.Layout(width="100%", max_width="60em")
        self._runs = widgets.SelectMultiple(
            options=[
                (f"{shorten(run.title, 60)}, GAP@20 {run.gap:.4f} ({name})", name)
                for name, run in self.choices.items()
            ],
            rows=min(8, len(self.choices)),
            description="Runs",
            layout=wide,
        )
        self._order = widgets.Dropdown(options=list(ORDERS), description="Order by", layout=wide)
        self._video = widgets.Dropdown(description="Video", layout=wide)
        self._curves, self._classes, self._tops = (widgets.HTML() for _ in range(3))
        self.widget = widgets.VBox(
            [self._runs, self._curves, self._order, self._classes, self._video, self._tops],
            layout=widgets.Layout(grid_gap="8px"),
        )
        self.widget.add_class("dmlkit-results")
        self._runs.value = _best_two(self.choices)
        self._show_runs()
        self._runs.observe(lambda change: self._show_runs(), names="value")
        self._order.observe(lambda change: self._show_classes(), names="value")
        self._video.observe(lambda change: self._show_tops(), names="value")

    def _show_runs(self) -> None:
        chosen = {name: self.choices[name] for name in self.runs}
        kept = same_data(chosen)
        self._left_out = [run.title for name, run in chosen.items() if name not in kept]
        titles = [run.title for run in kept.values()]
        self._chosen = {
            run.title if titles.count(run.title) == 1 else f"{run.title} ({name})": run
            for name, run in kept.items()
        }
        self._common = common_videos(self._chosen)
        self._precision = precision_by_class(self._chosen, self._common, names=self._class_names)
        self._curves.value = page(self._drawn_curves())
        self._show_classes()
        before = self.video
        self._video.options = [(self._name(name), name) for name in list(self._common)[: self.offered]]
        if self._common:
            self.video = before if before in self._common else next(iter(self._common))
        self._show_tops()

    def _show_classes(self) -> None:
        caption = f"Average precision by class, over {len(self._common):,} videos"
        self._classes.value = page(
            precision_table(self._precision, order=self._order.value, rows=self.rows, caption=caption)
        )

    def _show_tops(self) -> None:
        tables = [
            top_classes_table(table, caption=f"{title}: top {self.top_k} (✓ true label)")
            for title, table in self.top.items()
        ]
        self._tops.value = page(element("div", {"class": "beside"}, "".join(tables)))

    def _drawn_curves(self) -> str:
        if not self._chosen:
            return sentence("Choose one run or more (with Ctrl or Shift held).")
        histories = {title: run.history for title, run in self._chosen.items() if len(run.history)}
        parts = [
            element(
                "div",
                {},
                curves(
                    {title: (history["epoch"], history[column]) for title, history in histories.items()},
                    caption=caption,
                    unit="epoch",
                ),
            )
            for caption, column in (("GAP@20 on the tuning part", "tuning_gap"), ("Training loss", "loss"))
        ]
        said = ""
        if bare := [title for title in self._chosen if title not in histories]:
            said += sentence(f"Combined, not trained, and so without a curve: {', '.join(bare)}.")
        if self._left_out:
            said += sentence(
                f"On other data than the first, and so not compared: {', '.join(self._left_out)}."
            )
        return said + element("div", {"class": "beside"}, "".join(parts))

    def _class_names(self, run: Run) -> Sequence[str]:
        return self.class_names or [f"class {number}" for number in range(run.predictions.scores.shape[1])]

    def _name(self, video: str) -> str:
        title, row = next(iter(self._common[video].items()))
        run = self._chosen[title]
        names = self._class_names(run)
        labels = run.predictions.labels[row].nonzero()[0]
        return f"{shorten(video, 60)}: {', '.join(shorten(names[label]) for label in labels)}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        """The widget where there is a kernel, and for every other reader what is chosen now."""
        still = page(
            self._curves.value,
            self._classes.value,
            sentence("" if self.video is None else self._name(self.video)),
            self._tops.value,
            sentence("Open this notebook in JupyterLab and run it to choose runs, classes and videos."),
        )
        plain = f"{len(self.choices)} runs; chosen: {', '.join(self._chosen) or 'none'}; video {self.video}"
        return {**self.widget._repr_mimebundle_(), "text/html": still, "text/plain": plain}


def _choices(folder: Path, dataset) -> dict[str, Run]:
    """The runs to choose from by their folder below `folder`, the highest GAP first."""
    found = list_runs(folder)
    if dataset is not None:
        found = [run for run in found if run.record["data"]["fingerprint"] == dataset.fingerprint]
    if not found:
        on = "" if dataset is None else f" on {dataset.name}"
        raise DataError(
            f"There is no finished run{on} below {folder}. Train one first, with `dmlkit train` or a notebook."
        )
    found.sort(key=lambda run: -run.gap)
    return {run.path.relative_to(folder).as_posix(): run for run in found}


def _best_two(choices: dict[str, Run]) -> tuple[str, ...]:
    return tuple(list(same_data(choices))[:2])
