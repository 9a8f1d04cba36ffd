"""The attention explorer: which frames of a video a model attends to, and what its scores become without them.

What the browser changes and what Python sets pass the same traits and validators of one anywidget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from numbers import Real

import anywidget
import numpy as np
from traitlets import Any, Dict, TraitType, Unicode, observe, validate

from dmlkit.errors import DataError, DmlkitError, UsageError, nearest, shorten
from dmlkit.explorer.evidence import Evidence, as_list, class_scores, reweight, scene, whole_number
from dmlkit.explorer.saved_view import DRAWN_CLASSES, MODULE, STYLE, saved_view
from dmlkit.explorer.sources import ArraySource, ModelSource

DEFAULTS = {"masked": (), "removed": (), "temperature": 1.0, "top": None, "uniform": False}
STATE = (*DEFAULTS, "frame", "classes", "shown")  # what browser and Python change
MENU_VIDEOS = 200  # thousands are slow in every browser; the id of any other video can be typed


def explore(
    run_or_model, data, *, video: str | None = None, split="validate", classes=None, keep=3, max_videos=5000
) -> AttentionExplorer:
    """See which frames of a video a model attends to, and what its scores become without them.

    The view's `weights` and `scores` are those of the first run; `scores_by_run()` gives every run's.

    Args:
        run_or_model: A `Run` with attention, the path of one, a keras model, or a list of up to three.
        data: The frame-level data set it was trained on, or its path.
        video: The id of the first video shown; None takes the first of the split.
        split: The split whose videos can be chosen.
        classes: The classes drawn, by number or name.
        keep: How many videos a saved page includes.
        max_videos: How many of the split's videos can be chosen, at most.

    Raises:
        UsageError: A model without attention, other data, an unknown video or class.
    """
    source = ModelSource(run_or_model, data, split=split, max_videos=max_videos)
    return AttentionExplorer(source, video=video, classes=classes, keep=keep)


def explore_arrays(
    weights, *, contributions=None, biases=None, logits=None, scores=None, occlusion=None,
    groups: Sequence[str] | None = None, states=None, class_names: Sequence[str] | None = None,
    times=None, energy=None, change=None, ground_truth=None, true=None,
    run: str = "weights", data: str = "arrays", normalize: bool = False,
    video: str | None = None, classes: Sequence[int | str] | None = None, keep: int = 3,
) -> AttentionExplorer:  # fmt: skip
    """See attention weights, and what else is known of the frames, in the view of `explore`, without TensorFlow.

    One video is given as plain arrays; several as a list (or an array with one more axis, or a dict by id), and then
    the other arrays, except `biases` and `class_names`, are given in the same form, with None for unknown ones.

    Args:
        weights: (frames,) not negative, a sum of 1; with `groups` (frames, groups), each group's sum is 1.
        contributions: (frames, classes) w_k·h_t; with `groups` (frames, groups, classes).
        biases: (classes,) b_k, the same for all videos; zeros where not given.
        logits: (frames,) of which `weights` is the softmax; −∞ where the weight is 0 is allowed.
        scores: (classes,) probabilities, where there are no contributions to compute them from.
        occlusion: (frames, classes) the scores minus those without the frame.
        groups: Names of several groups of weights, as of an attention's heads.
        states: (frames, size) what similar frames are found by.
        class_names: One name for each class.
        times: (frames,) seconds, ascending; 0, 1, 2, … where not given.
        energy, change: (frames,), or a dict of such by modality.
        ground_truth: Class (number or name) → (frames,) bool, the frames that made the label.
        true: The classes that are true, by number or name.
        run, data: The names of the model and of the data.
        normalize: Divide the weights by their sum.
        video, classes, keep: As for `explore`.

    Raises:
        UsageError: Arguments that contradict each other, an unknown class or video.
        DataError: Arrays of a wrong shape, numbers that are not finite, weights that are no weights.
    """
    arrays = {"contributions": contributions, "logits": logits, "scores": scores, "occlusion": occlusion}
    arrays |= {"times": times, "energy": energy, "change": change, "ground_truth": ground_truth, "true": true}
    arrays |= {"states": states}
    source = ArraySource(weights, arrays, biases, class_names, run, data, normalize, groups)
    return AttentionExplorer(source, video=video, classes=classes, keep=keep)


class AttentionExplorer(anywidget.AnyWidget):
    """The attention of one to three models on a video, live in a notebook and complete in a saved page.

    Args:
        source: A `ModelSource` or an `ArraySource`.
        video: The id of the first video; None takes the first. If it cannot be read, the view shows why.
        classes: The classes drawn, by number or name; None takes the true ones, then the highest scores.
        keep: How many videos a saved page includes, the chosen one first.

    Attributes:
        video: The chosen video's id; setting it restores all frames and selects the one with the highest weight.
        frame: The selected frame, counted from 0.
        masked: Frames whose weight is zero; the others share it, and their states stay.
        removed: Frames without which the video is encoded again.
        temperature: What the attention's logits are divided by before the softmax.
        top: How many frames are kept, those with the highest weights; None for all.
        uniform: Whether every kept frame has the same weight.
        classes: The classes whose contributions are drawn; set them by number or name.
        shown: The runs drawn, by name.

    Raises:
        UsageError: An unknown video or class; later, a value out of its range.
        DataError: There are no videos; later, when `video` is set, the video cannot be read.

    Paper: §Attention, α_t.
    """

    _esm, _css = MODULE, STYLE
    scene, menu = Dict().tag(sync=True), Dict().tag(sync=True)
    problem = Unicode().tag(sync=True)
    video = TraitType()
    # Untyped: the validators below also accept numpy's numbers, and raise a `UsageError`.
    frame, temperature, uniform = (TraitType(value).tag(sync=True) for value in (0, 1.0, False))
    masked, removed, classes, shown = (TraitType(()).tag(sync=True) for _ in range(4))
    top = Any(None).tag(sync=True)

    def __init__(self, source, *, video=None, classes: Sequence[int | str] | None = None, keep: int = 3):
        if not source.videos:
            raise DataError(f"There are no videos to look at in {source.data}.")
        self.source, self.keep = source, whole_number(keep, "keep", least=1)
        self.evidence: tuple[Evidence, ...] = ()
        self.callbacks: list[Callable] = []
        self.chosen_classes = None if classes is None else source.class_numbers(classes)
        self._encoded, self._busy = (None, ()), True
        super().__init__()
        self.shown = source.runs
        self.video = next(iter(source.videos)) if video is None else video
        self._open(self.video)
        self.menu = self._menu("order")
        self._busy = False
        self.on_msg(self._answer)
        self.observe(self._changed, names=STATE)

    def __repr__(self) -> str:
        return f"AttentionExplorer({self.source.title} on {self.source.data}, video={self.video!r})"

    @property
    def frames(self) -> int:
        """The number of frames the first run read of the video."""
        return self.evidence[0].frames if self.evidence else 0

    @property
    def weights(self) -> np.ndarray | None:
        """(frames,) the first run's weights as the view shows them; None where no frame is left."""
        return self.state_of(0)[0]

    @property
    def scores(self) -> dict[str, float] | None:
        """Class → the first run's score as the view shows it; None where only the model could compute it."""
        return next(iter(self.scores_by_run().values()))

    def scores_by_run(self) -> dict[str, dict[str, float] | None]:
        """Run → `scores`, also of runs that are not shown."""
        found = dict.fromkeys(self.source.runs)
        for run, evidence in enumerate(self.evidence):
            if (scores := self.state_of(run)[1]) is not None:
                found[evidence.run] = dict(zip(evidence.names, scores.tolist(), strict=True))
        return found

    def reset(self) -> None:
        """Restore all frames and the model's own weights."""
        with self._one_change():
            for name, value in DEFAULTS.items():
                setattr(self, name, value)
        self._changed()

    def on_change(self, callback: Callable[[AttentionExplorer], object]) -> Callable[[], None]:
        """Call a function with this explorer after each change, by Python or in the browser, until it is stopped.

        Returns a function that stops it. An exception of the callback is shown in the view, and raised by the
        statement that made the change.
        """
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def state_of(self, run: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """(frames,) weights and (classes,) scores of the run at a position as the view shows them, or None."""
        if not self.evidence or len(self.removed) == self.frames:
            return None, None
        full, encoded = self.evidence[run], self.encoded()[run]
        # Frames are numbered as the first run read them; another may have read others of the same video.
        lead = np.abs(self.evidence[0].times[None, :] - encoded.times[:, None]).argmin(axis=1)
        masked = np.isin(lead, self.masked)
        settings = {name: getattr(self, name) for name in ("top", "temperature", "uniform")}
        weights = reweight(encoded, masked=masked, **settings)
        if weights is None:
            return None, None
        laid_out = np.zeros(full.frames)
        laid_out[np.isin(full.times, encoded.times)] = weights.mean(axis=(1, 2))
        own = not masked.any() and (self.top or encoded.frames) >= encoded.frames and not self.uniform
        own = own and self.temperature == 1
        return laid_out, encoded.scores.astype(float) if own else class_scores(encoded, weights)

    def encoded(self, removed: Sequence[int] | None = None) -> tuple[Evidence, ...]:
        """Each run's evidence without some frames, by default those removed; the last one is kept."""
        removed = self.removed if removed is None else tuple(removed)
        if not removed:
            return self.evidence
        key = (self.video, removed, classes := self.evidence[0].classes)
        if self._encoded[0] != key:
            self._encoded = key, self.source.evidence(self.video, classes=classes, removed=removed)
        return self._encoded[1]

    def scene_of(self, names: Sequence[str], *, live: bool, note: str | None = None) -> dict:
        """Some videos as the browser draws them; those that cannot be read with the reason."""
        videos = {}
        for name in names:
            shown = self.evidence if name == self.video else ()
            try:
                videos[name] = shown or self.source.evidence(name, classes=self.chosen_classes or ())
            except DmlkitError as error:
                videos[name] = error
        readable = (name for name, found in videos.items() if not isinstance(found, DmlkitError))
        media = {name: self.source.media(name, live=live) for name in readable}
        return scene(videos, self.source, live=live, note=note, media=media)

    def _open(self, name: str) -> DataError | None:
        """Show a video with all its frames; returns why it cannot be read."""
        self.evidence, problem, classes = (), None, self.chosen_classes
        try:
            self.evidence = self.source.evidence(name, classes=classes or ())
        except DataError as error:
            problem = error
        if classes is None and self.evidence:
            lead = self.evidence[0]
            known = [label for label in (*(lead.true or ()), *lead.classes) if label in lead.classes]
            classes = list(dict.fromkeys(known))[:DRAWN_CLASSES]
        with self._one_change():
            self.masked = self.removed = ()
            self.frame = int(self.evidence[0].mean_weights.argmax()) if self.frames else 0
            self.classes = classes or ()
            self.scene = self.scene_of([name], live=self.source.can_remove and not problem)
        self._changed()
        return problem

    def _menu(self, order: str, label: int | None = None) -> dict:
        """The videos that the browser offers: in the split's order, of a class, or by worst mistakes."""
        source, orders = self.source, {"order": "in order"}
        if source.class_counts:
            orders |= {"class": "of a class", "worst": f"worst mistakes of {shorten(source.runs[0])}"}
        classes = [[k, f"{shorten(source.class_names[k], 60)} ({n})"] for k, n in source.class_counts.items()]
        if label is None and classes:
            label = classes[0][0]
        if order == "worst":
            videos = [[name, f"{name}: {each.text}"] for name, each in source.worst(limit=50).items()]
        else:
            ids = source.videos_of(label) if order == "class" else source.videos
            videos = [[name, source.videos[name]] for name in ids]
        menu = {"order": order, "label": label, "videos": videos[:MENU_VIDEOS], "total": len(videos)}
        return menu | {"all": len(source.videos), "orders": list(orders.items()), "classes": classes}

    def _answer(self, _, message: dict, buffers) -> None:
        """Answer the browser: `open` a video, fill the `menu`, or `remove` frames, which waits also for an error."""
        kind = message.get("kind")
        try:
            if kind in ("menu", "open"):
                self.problem = ""
                if kind == "menu":
                    self.menu = self._menu(message["order"], message["label"])
                self.video = self.menu["videos"][0][0] if kind == "menu" else message["video"]
                return
            if message["video"] != self.video:
                raise UsageError(f"{message['video']} is no longer shown.")
            runs = [each.to_json() for each in self.encoded(message["frames"])]
            answer = {"kind": "evidence", "runs": runs}
        except Exception as error:
            answer = {"kind": "failed", "text": _describe_error(error)}
            if kind != "remove":
                self.problem = self.problem or answer["text"]  # a callback's stays
                return
        # Every view of this widget receives the answer; the request identifies the one that sent it.
        self.send({**answer, **{name: message.get(name) for name in ("view", "number", "video", "frames")}})

    @contextmanager
    def _one_change(self):
        """Several assignments as one message to the browser and one change for the callbacks."""
        before, self._busy = self._busy, True
        try:
            with self.hold_sync():
                yield
        finally:
            self._busy = before

    def _changed(self, change=None) -> None:
        if self._busy:
            return
        if change is not None and change.name == "classes":
            self.chosen_classes = change.new
        self.problem = ""
        for callback in list(self.callbacks):
            try:
                callback(self)
            except Exception as error:
                name = getattr(callback, "__name__", repr(callback))
                self.problem = f"A callback failed, {name}: {_describe_error(error)}"
                if self._property_lock:
                    return  # a message of the browser is handled, so nobody could catch it
                raise

    @observe("video")
    def _video_changed(self, change) -> None:
        if not self._busy and (problem := self._open(change.new)):
            raise problem  # the view shows it as well

    @validate("video")
    def _check_video(self, proposal) -> str:
        name, videos = proposal["value"], self.source.videos
        if not isinstance(name, str) or name not in videos:
            raise UsageError(f"There is no video {name!r} among {self.source.scope}.{nearest(name, videos)}")
        return name

    @validate("frame", "masked", "removed")
    def _check_frames(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        several = [value] if name == "frame" else as_list(value, name)
        frames = sorted({whole_number(each, name) for each in several})
        if frames and not 0 <= frames[0] <= frames[-1] < max(self.frames, name == "frame"):
            raise UsageError(f"{self.video} has the frames 0 to {self.frames - 1}. Received: {name}={value}.")
        if name == "removed" and not self._property_lock:
            self.encoded(frames)  # raises where they cannot be removed
        return frames[0] if name == "frame" else tuple(frames)

    @validate("temperature", "top", "uniform", "shown")
    def _check_setting(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        truth = isinstance(value, bool | np.bool_)
        if name == "top":
            return whole_number(value, name, least=1)
        if name == "shown":
            runs = tuple(as_list(value, "shown, names of runs"))
            for run in set(runs) - set(self.source.runs):
                raise UsageError(f"There is no run {run!r} here.{nearest(run, self.source.runs)}")
            return runs
        if name == "uniform" and not truth:
            raise UsageError(f"uniform: expected True or False. Received: {value!r:.80}.")
        if name == "temperature" and (truth or not isinstance(value, Real) or not 0 < value < np.inf):
            raise UsageError(f"temperature: expected a number above 0. Received: temperature={value!r:.80}.")
        return bool(value) if truth else float(value)

    @validate("classes")
    def _check_classes(self, proposal) -> tuple[int, ...]:
        numbers = self.source.class_numbers(proposal["value"])
        if not self._busy and not (self.evidence and set(numbers) <= set(self.evidence[0].classes)):
            self.evidence = self.source.evidence(self.video, classes=(*(self.chosen_classes or ()), *numbers))
            self.scene = self.scene_of([self.video], live=self.source.can_remove)
        return numbers

    def _repr_mimebundle_(self, **kwargs) -> dict[str, object]:
        """The widget where there is a kernel; the scene, a picture and a table for every other reader."""
        return {**super()._repr_mimebundle_(**kwargs)[0], **saved_view(self)}


def _describe_error(error: Exception) -> str:
    return str(error) if isinstance(error, DmlkitError) else f"{type(error).__name__}: {error}"
