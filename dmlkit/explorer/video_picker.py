"""Which video is shown: by its id, by a class, or by a model's worst mistakes."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from dmlkit.errors import DataError, UsageError, nearest
from dmlkit.explorer.drawing import page, sentence
from dmlkit.text import shorten

# A menu of thousands is slow in every browser; any other video can be typed or set from Python.
OFFERED = 200
WORST = 50


class VideoPicker:
    """A menu of videos, and what puts which of them there.

    Args:
        source: Where the videos are.
        pick: Called with the id of a video chosen by hand.
    """

    def __init__(self, source, pick: Callable[[str], None]):
        self._source, self._pick, self._quiet, self._hint = source, pick, False, ""
        wide = widgets.Layout(width="auto", flex="1 1 22em", max_width="44em", min_width="12em")
        ways = {"in order": "order"}
        if hasattr(source, "worst") and source.classes:
            # Of several runs the first is asked, and the menu says so.
            whose = (
                f"worst mistakes of {shorten(source.runs[0])}" if len(source.runs) > 1 else "worst mistakes"
            )
            ways |= {"of a class": "class", whose: "worst"}
        self._by = widgets.Dropdown(
            options=list(ways.items()),
            description="Videos",
            layout=widgets.Layout(width="16em" if len(source.runs) == 1 else "26em"),
        )
        classes = [
            (f"{shorten(source.listing.class_names[label], 60)} ({count})", label)
            for label, count in _most_first(source)
        ]
        hidden = widgets.Layout(width="20em", display="none")
        self._class = widgets.Dropdown(options=classes, description="Class", layout=hidden)
        self._video = widgets.Dropdown(description="Video", layout=wide)
        self._id = widgets.Text(
            description="Id",
            placeholder="or type one",
            continuous_update=False,
            layout=widgets.Layout(width="16em"),
        )
        self._said = widgets.HTML(layout=widgets.Layout(margin="0", display="none"))
        row = (
            [self._by] * (len(ways) > 1)
            + [self._class, self._video]
            + [self._id] * (len(source.videos) > OFFERED)
        )
        box = widgets.Box(row, layout=widgets.Layout(flex_flow="row wrap", grid_gap="0 8px"))
        self.widget = widgets.VBox([box, self._said])
        self.widget.layout.display = "none" if len(source.videos) < 2 else None
        self._list()
        self._by.observe(lambda change: self._list(first=True), names="value")
        self._class.observe(lambda change: self._list(first=True), names="value")
        self._video.observe(lambda change: self._chosen(change.new), names="value")
        self._id.observe(lambda change: self._chosen(change.new.strip()), names="value")

    def choose(self, name: str) -> None:
        """Point the menu to a video chosen elsewhere."""
        self._quiet = True
        try:
            if name not in dict(self._video.options).values():
                self._video.options = [*self._video.options, (self._source.videos[name], name)]
            self._video.value = name
        finally:
            self._quiet = False

    def _list(self, *, first: bool = False) -> None:
        """Fill the menu; with `first`, show its first video."""
        way, videos = self._by.value, self._source.videos
        self._class.layout.display = None if way == "class" else "none"
        try:
            if way == "worst":
                options = [
                    (f"{name}: {said}", name) for name, said in self._source.worst(limit=WORST).items()
                ]
                total = len(options)
            else:
                ids = self._source.videos_of(self._class.value) if way == "class" else videos
                options = [(videos[name], name) for name in list(ids)[:OFFERED]]
                total = len(ids)
        except (DataError, UsageError) as error:
            self._say(str(error))
            return
        self._hint = (
            f"The menu holds the first {OFFERED} of {total:,} videos; type the id of any other."
            if total > OFFERED
            else ""
        )
        self._say(self._hint)
        self._quiet = True
        try:
            self._video.options = options
        finally:
            self._quiet = False
        if first and options:
            self._chosen(options[0][1])

    def _chosen(self, name: str | None) -> None:
        if self._quiet or not name:
            return
        if name not in self._source.videos:
            videos = self._source.videos
            self._say(f"There is no video {name!r} among {self._source.among}.{nearest(name, videos)}")
            return
        self._say(self._hint)
        self.choose(name)
        try:
            self._pick(name)
        except (DataError, UsageError) as error:
            self._say(str(error))

    def _say(self, text: str) -> None:
        self._said.value = page(sentence(text)) if text else ""
        self._said.layout.display = None if text else "none"


def _most_first(source) -> list[tuple[int, int]]:
    """Each class with the number of its videos; none where the source knows of none."""
    return sorted(getattr(source, "classes", {}).items(), key=lambda item: (-item[1], item[0]))
