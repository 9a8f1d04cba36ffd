"""Which frames of a video a model looks at, and what its scores become without them."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np

from dmlkit.errors import DataError, UsageError, nearest
from dmlkit.explorer.attention_state import AttentionState
from dmlkit.explorer.attention_widget import AttentionWidget
from dmlkit.explorer.evidence import Evidence, scene
from dmlkit.explorer.given import class_key, several, whole
from dmlkit.explorer.saved_view import saved_view
from dmlkit.explorer.video_picker import VideoPicker
from dmlkit.explorer.weighing import optimize_weights, scores_of

DRAWN = 3


class AttentionExplorer(AttentionState):
    """The attention of one to three models on a video, live in a notebook and whole in a saved page.

    Hands change `frame`, `masked`, `removed`, `temperature`, `top`, `uniform`, `classes`, `shown` in the view, code
    reads and sets them here; `weights` and `scores` follow.

    Args:
        source: A `ModelSource` or an `ArraySource`.
        video: Its id; None takes the first. Where it cannot be read, the view says why, and another can be chosen.
        classes: The classes drawn, by number or name; None takes the true ones, then the highest scores.
        keep: How many videos a saved page carries, the chosen one first.

    Raises:
        UsageError: An unknown video or class.
        DataError: There are no videos; later, when `video` is set, the video cannot be read.

    Paper: §Attention, α_t.
    """

    def __init__(
        self, source, *, video: str | None = None, classes: Sequence[int | str] | None = None, keep: int = 3
    ):
        if not source.videos:
            raise DataError(f"There are no videos to look at in {source.data}.")
        if whole(keep, "keep") < 1:
            raise UsageError(f"A saved page carries at least the chosen video. Received: keep={keep}.")
        super().__init__(AttentionWidget(self._encode))
        self.source, self.keep, self._encoded = source, keep, None
        self._wanted = None if classes is None else [class_key(each) for each in several(classes, "classes")]
        self._picker = VideoPicker(source, self._pick)
        self.widget = widgets.VBox([self._picker.widget, self._widget])
        self._choose(next(iter(source.videos)) if video is None else video)

    @property
    def video(self) -> str:
        """The id of the chosen video; setting it gives back all frames and chooses the heaviest."""
        return self._video

    @video.setter
    def video(self, name: str) -> None:
        self._choose(name)
        self._raise()
        if self._problem:
            raise DataError(self._problem)  # the view says it as well

    @property
    def frames(self) -> int:
        """How many frames the first run read of the video."""
        return self.evidence[0].frames if self.evidence else 0

    @property
    def weights(self) -> np.ndarray | None:
        """(frames,) the first run's weights as the view shows them; None where every frame is taken away."""
        return self.weighed()[0]

    @property
    def scores(self) -> dict[str, float] | None:
        """Class → the first run's score as the view shows it; None where only the model could say it."""
        return self._named_scores(0)

    def scores_by_run(self) -> dict[str, dict[str, float] | None]:
        """Run → `scores`, also of runs that are not shown."""
        return {name: self._named_scores(place) for place, name in enumerate(self.source.runs)}

    def _named_scores(self, place: int) -> dict[str, float] | None:
        scores = self.weighed(place)[1]
        return None if scores is None else dict(zip(self.evidence[place].names, scores.tolist(), strict=True))

    def _choose(self, name: str) -> None:
        if name not in self.source.videos:
            raise UsageError(
                f"There is no video {name!r} among {self.source.among}.{nearest(name, self.source.videos)}"
            )
        self._show(name)
        self._picker.choose(name)

    def _pick(self, name: str) -> None:
        """A video chosen by hand: there is no cell that could show an error."""
        self._show(name)
        self._raised = None

    def _show(self, name: str) -> None:
        try:
            self.evidence = self._look(name)
            said, self._problem = (
                scene({name: self.evidence}, **self._head(live=self.source.can_remove)),
                None,
            )
        except DataError as error:
            self.evidence, self._problem = (), str(error)
            said = scene({}, **self._head(live=False))
            said["videos"] = [self.unread(name, error)]
        self._video, self._encoded = name, None
        heaviest = int(self.evidence[0].weights.argmax()) if self.frames else 0
        self._held = True
        with self._widget.hold_sync():
            state = {"masked": [], "removed": []}
            shown = self._widget.shown or list(self.source.runs)
            for key, value in (state | {"frame": heaviest, "shown": shown}).items():
                setattr(self._widget, key, value)
            if self.evidence:
                # A choice of classes stays from video to video; without one, each video shows its own.
                self._widget.classes = self._numbers(self._wanted) if self._wanted else self._first_classes()
            self._widget.scene = said
        self._held = False
        self._changed()

    def unread(self, name: str, error: Exception) -> dict:
        """A video of a scene that cannot be read, and why."""
        runs = [{"run": run, "video": name, "problem": str(error)} for run in self.source.runs]
        return {"id": name, "label": self.source.videos[name], "runs": runs}

    def _look(self, name: str) -> tuple[Evidence, ...]:
        """The evidence of a video; the classes asked for are carried besides those that say most."""
        found = self.source.evidence(name)
        wanted = self._wanted or ()
        if self._carries(wanted, found):
            return found
        return self.source.evidence(name, classes=list(dict.fromkeys([*found[0].names, *wanted])))

    def _carries(self, classes: Sequence[int | str], evidence: Sequence[Evidence] | None = None) -> bool:
        known = {
            each for one in evidence or self.evidence for pair in (one.classes, one.names) for each in pair
        }
        return known.issuperset(classes)

    def _head(self, *, live: bool) -> dict:
        source = self.source
        labels = {"labels": source.videos} if len(source.videos) <= 5000 else {}
        known = {
            "title": source.title,
            "data": source.data,
            "generated": source.generated,
            "note": source.note,
        }
        return {**known, **labels, "live": live}

    def _first_classes(self) -> list[int]:
        if not self.evidence:
            return []
        lead = self.evidence[0]
        true = [label for label in lead.true or () if label in lead.classes]
        # By its own scores: the classes carried stand in the order of all runs together.
        highest = [lead.classes[at] for at in np.argsort(-lead.scores, kind="stable")]
        return list(dict.fromkeys([*true, *highest]))[:DRAWN]

    def _encode(self, video: str, frames: Sequence[int]) -> list[dict]:
        if video != self.video:
            raise UsageError(f"{video} is no longer shown.")
        return [each.to_json() for each in self._without(frames)]

    def _without(self, frames: Sequence[int]) -> tuple[Evidence, ...]:
        """The evidence without some frames; the last one asked for is kept."""
        key = tuple(frames)
        if self._encoded is None or self._encoded[0] != key:
            classes = self.evidence[0].classes if self.evidence else ()
            self._encoded = key, self.source.evidence(self.video, classes=classes, removed=key)
        return self._encoded[1]

    def encoded(self, place: int = 0) -> Evidence:
        """A run's evidence without the frames removed."""
        return self._without(self.removed)[place] if self.removed else self.evidence[place]

    def weighed(self, place: int = 0) -> tuple[np.ndarray | None, np.ndarray | None]:
        """(frames,) weights and (carried,) scores of a run as the view shows them, None where there are none.

        Args:
            place: Of the run.
        """
        if not self.evidence:
            return None, None
        if len(self.removed) == self.frames:
            return None, None
        own = self.evidence[place]
        part = self.encoded(place)
        lead = self.evidence[0].times
        # Frames are numbered as the first run read them; another may have read others of the same video.
        nearest_lead = np.abs(lead[None, :] - part.times[:, None]).argmin(axis=1)
        masked = np.flatnonzero(np.isin(nearest_lead, self.masked))
        settings = {"top": self.top, "temperature": self.temperature, "uniform": self.uniform}
        weights = optimize_weights(part, masked=masked, **settings)
        if weights is None:
            return None, None
        full = np.zeros(own.frames)
        full[np.isin(own.times, part.times)] = weights
        neutral = (
            not len(masked)
            and self.temperature == 1
            and not self.uniform
            and (self.top or part.frames) >= part.frames
        )
        scores = part.scores if neutral else scores_of(part, weights)
        return full, None if scores is None else np.asarray(scores, float)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, object]:
        """The widget where there is a kernel; the whole scene, a picture and words for every other reader."""
        return {**self.widget._repr_mimebundle_(), **saved_view(self)}
