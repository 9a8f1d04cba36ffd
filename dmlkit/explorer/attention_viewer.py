"""Which frames of a video a model looks at, as a widget."""

from __future__ import annotations

import ipywidgets as widgets
import numpy as np

from dmlkit.errors import UsageError, nearest
from dmlkit.explorer.attended import AttendedVideo, attended_videos, model_of
from dmlkit.explorer.attention_drawing import bars, frame_sentence, mark, still
from dmlkit.explorer.drawing import element, page, sentence
from dmlkit.explorer.tables import readable, top_classes, top_classes_table
from dmlkit.printable import shorten


class AttentionViewer:
    """Pick a video, move through its frames, and see how much each weighs.

    Everything is scored once, at the start; from then on a move of the slider changes a mark and a sentence.

    Args:
        run_or_model: A `Run` with attention, the path of one, or a keras model.
        dataset: The frame-level data set that it was trained on.
        split: The part whose videos are shown.
        videos: How many, from the first on.
        top_k: Classes listed beside the picture.
        frame_choice, max_frames: The frames read of each video; a run's own where None.

    Raises:
        UsageError: It has no attention, or the data set does not fit.

    Paper: §Attention, α_t.
    """

    def __init__(
        self,
        run_or_model,
        dataset,
        *,
        split: str = "validate",
        videos: int = 20,
        top_k: int = 10,
        frame_choice: str | None = None,
        max_frames: int | None = None,
    ):
        model, title, frames = model_of(run_or_model)
        self.title = shorten(title, 80)
        self.videos = attended_videos(
            model,
            dataset,
            split=split,
            videos=videos,
            frame_choice=frame_choice or frames.get("frame_choice", "first"),
            max_frames=max_frames or frames.get("max_frames"),
        )
        self.class_names = readable(dataset.class_names)
        self.top_k = top_k
        said = not dataset.generated or "generated" in dataset.name
        name = shorten(dataset.name, 80)
        self._data = name if said else f"{name} (generated)"
        self._build()

    @property
    def video(self) -> str:
        """The id of the chosen video; set it to choose another."""
        return self._picker.value

    @video.setter
    def video(self, name: str) -> None:
        if name not in self.videos:
            raise UsageError(
                f"There is no video {name!r} among the {len(self.videos)} shown.{nearest(name, self.videos)}"
            )
        self._picker.value = name

    @property
    def frame(self) -> int:
        """The chosen frame, counted from 0; set it to choose another."""
        return self._slider.value

    @frame.setter
    def frame(self, frame: int) -> None:
        if not 0 <= frame < len(self.weights):
            raise UsageError(
                f"{self.video} has the frames 0 to {len(self.weights) - 1}. Received: frame={frame}."
            )
        self._slider.value = int(frame)

    @property
    def weights(self) -> np.ndarray:
        """(frames,) the attention weights of the chosen video."""
        return self._chosen.weights

    @property
    def scores(self) -> np.ndarray:
        """(classes,) the model's scores of the chosen video."""
        return self._chosen.scores

    @property
    def _chosen(self) -> AttendedVideo:
        return self.videos[self.video]

    def _build(self) -> None:
        self._picker = widgets.Dropdown(
            options=[(self._name(video), video.id) for video in self.videos.values()],
            description="Video",
            layout=widgets.Layout(width="100%", max_width="44em"),
        )
        self._slider = widgets.IntSlider(
            description="Frame",
            layout=widgets.Layout(flex="1 1 14em", min_width="12em", width="auto"),
            readout=False,
        )
        play = widgets.Play(interval=250, show_repeat=False, layout=widgets.Layout(flex="0 0 auto"))
        # Between slider and player no kernel is needed.
        self._links = [widgets.jslink((play, name), (self._slider, name)) for name in ("min", "max", "value")]
        # The mark lies upon the bars, in one cell of a grid: moving it leaves them as they are.
        self._bars, self._mark = (
            widgets.HTML(layout=widgets.Layout(grid_area="1 / 1 / 2 / 2", margin="0", width="100%"))
            for _ in range(2)
        )
        self._mark.add_class("dmlkit-mark")
        self._sentence = widgets.HTML(layout=widgets.Layout(margin="0"))
        self._classes = widgets.HTML(layout=widgets.Layout(margin="0"))
        picture = widgets.GridBox(
            [self._bars, self._mark],
            layout=widgets.Layout(flex="3 1 24em", min_width="min(16em, 100%)", grid_template_columns="100%"),
        )
        beside = widgets.VBox(
            [self._sentence, self._classes],
            layout=widgets.Layout(flex="2 1 17em", min_width="min(16em, 100%)"),
        )
        self.widget = widgets.VBox(
            [
                widgets.HTML(page(sentence(f"{self.title} on {self._data}"))),
                self._picker,
                widgets.Box(
                    [self._slider, play], layout=widgets.Layout(flex_flow="row wrap", max_width="44em")
                ),
                widgets.Box(
                    [picture, beside], layout=widgets.Layout(flex_flow="row wrap", grid_gap="8px 24px")
                ),
            ]
        )
        self.widget.add_class("dmlkit-attention")
        self._picker.observe(lambda change: self._show_video(), names="value")
        self._slider.observe(lambda change: self._show_frame(), names="value")
        self._show_video()

    def _show_video(self) -> None:
        video = self._chosen
        self._bars.value = MARK_STYLE + page(bars(video, names=self.class_names))
        self._classes.value = page(self._table(video))
        self._slider.max = len(video.weights) - 1
        self._slider.value = int(video.weights.argmax())
        self._show_frame()

    def _show_frame(self) -> None:
        self._mark.value = mark(self._chosen, self.frame)
        self._sentence.value = frame_sentence(self._chosen, self.frame, names=self.class_names)

    def _table(self, video: AttendedVideo) -> str:
        table = top_classes(video.scores, names=self.class_names, true=video.true, top_k=self.top_k)
        return top_classes_table(table, caption="The video's classes (✓ true label)")

    def _name(self, video: AttendedVideo) -> str:
        if not video.true:
            return shorten(video.id, 60)
        return (
            f"{shorten(video.id, 60)}: {', '.join(shorten(self.class_names[label]) for label in video.true)}"
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        """The widget where there is a kernel, and for every other reader the chosen video as a still picture."""
        video = self._chosen
        said = frame_sentence(video, self.frame, names=self.class_names)
        picture = (
            still(video, self.frame, names=self.class_names),
            element("div", {}, said + self._table(video)),
        )
        fallback = page(
            sentence(f"{self.title} on {self._data}. {self._name(video)}"),
            element("div", {"class": "beside"}, "".join(picture)),
            sentence(
                "Open this notebook in JupyterLab and run it to pick a video and move through its frames."
            ),
        )
        plain = (
            f"{self.title} on {self._data}: {len(self.videos)} videos; {video.id}, frame {self.frame + 1} of "
            f"{len(video.weights)}, weight {video.weights[self.frame]:.4f}"
        )
        return {**self.widget._repr_mimebundle_(), "text/html": fallback, "text/plain": plain}


# The bars below keep their tooltips.
MARK_STYLE = "<style>.dmlkit-mark { pointer-events: none; }</style>"
