"""The attention explorer: what a model makes of the frames of a video, and what its scores become without them.

What the browser changes and what Python sets pass the same traits and validators of one anywidget.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real

import anywidget
import numpy as np
import pandas as pd
from traitlets import Dict, TraitType, Unicode, observe, validate

from dmlkit.errors import DataError, DmlkitError, UsageError, choose, nearest, shorten
from dmlkit.explorer.arrays import ArraySource
from dmlkit.explorer.evidence import (
    DRAWN_CLASSES,
    EXPLANATIONS,
    Evidence,
    as_list,
    class_scores,
    first_drawn,
    reweight,
    scene,
    whole_number,
)
from dmlkit.explorer.saved_view import MODULE, STYLE, frame_weights, saved_view, terms_by_modality
from dmlkit.explorer.sources import ModelSource

OWN = {"explanation": "own", "by_modality": False}
DEFAULTS = {"removed": (), "muted": {}, "masked": (), "temperature": 1.0, "top": None, "uniform": False}
# What browser and Python change, in the order in which several are set: the later are checked against the earlier.
STATE = ("explanation", "by_modality", "shown", "classes", *DEFAULTS)
STATE += ("frame", "range", "window", "common_scale", "tab")
TABS, CHOICES = dict.fromkeys(("frames", "similarity")), dict.fromkeys(("true", "top", "changed"))
MENU_VIDEOS = 200  # thousands are slow in every browser; the id of any other video can be typed


def explore(
    run_or_model, data, *, video=None, split="validate", classes=None, keep=3, max_videos=5000, state=None
) -> AttentionExplorer:
    """See what a model makes of the frames of a video: their weights, their effect, the scores without them.

    The view's `weights` and `scores` are those of the first run; `scores_by_run()` gives every run's.

    Args:
        run_or_model: A `Run` trained on frames, the path of one, a keras model, or a list of up to three.
        data: The frame-level data set it was trained on, or its path; or a video or audio file, whose features are
            extracted as those of the (first) run's training.
        video: The id of the first video shown; None takes the first of the split.
        split: The split whose videos can be chosen.
        classes: The classes drawn, by number or name.
        keep: How many videos a saved page includes.
        max_videos: How many of the split's videos can be chosen, at most.
        state: What `AttentionExplorer.state` gave, or some of it.

    Raises:
        UsageError: A model that reads no frames, other data, an unknown video or class.
    """
    source = ModelSource(run_or_model, data, split=split, max_videos=max_videos)
    runs = run_or_model if isinstance(run_or_model, list | tuple) else [run_or_model]
    text = ", ".join(map(_literal, runs))
    text = f"[{text}]" if len(runs) > 1 else text
    given = {"split": (split, "validate"), "keep": (keep, 3), "max_videos": (max_videos, 5000)}
    more = "".join(f", {name}={value!r}" for name, (value, default) in given.items() if value != default)
    code = f"dmlkit.explore({text}, {_literal(data)}{more}"
    return AttentionExplorer(source, video=video, classes=classes, keep=keep, state=state, code=code)


def _literal(given) -> str:
    """A run, a data set or a path in the code of a call; `model` for what has no path."""
    path = given if hasattr(given, "layers") else getattr(given, "path", given)  # Keras models have one too
    return repr(os.fspath(path)) if isinstance(path, str | os.PathLike) else "model"


def explore_arrays(
    weights, *, contributions=None, biases=None, logits=None, scores=None, occlusion=None,
    groups: Sequence[str] | None = None, states=None, class_names: Sequence[str] | None = None,
    times=None, energy=None, change=None, ground_truth=None, true=None,
    run: str = "weights", data: str = "arrays", normalize: bool = False,
    video: str | None = None, classes: Sequence[int | str] | None = None, keep: int = 3, state=None,
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
        video, classes, keep, state: As for `explore`.

    Raises:
        UsageError: Arguments that contradict each other, an unknown class or video.
        DataError: Arrays of a wrong shape, numbers that are not finite, weights that are no weights.
    """
    arrays = {"contributions": contributions, "logits": logits, "scores": scores, "occlusion": occlusion}
    arrays |= {"times": times, "energy": energy, "change": change, "ground_truth": ground_truth, "true": true}
    arrays |= {"states": states}
    source = ArraySource(weights, arrays, biases, class_names, run, data, normalize, groups)
    return AttentionExplorer(source, video=video, classes=classes, keep=keep, state=state)


class AttentionExplorer(anywidget.AnyWidget):
    """The frames of a video as one to three models see them, live in a notebook and complete in a saved page.

    Args:
        source: A `ModelSource` or an `ArraySource`.
        video: The id of the first video; None takes the state's, or the first. An unreadable one is shown as such.
        classes: The classes drawn, by number or name; None takes the true ones, then the highest scores.
        keep: How many videos a saved page includes, the chosen one first.
        state: What `state` gave, or some of it.
        code: The call that makes this explorer, without its closing parenthesis, for the reader to copy.

    Attributes:
        video: The chosen video's id; setting it restores all frames and selects the one with the highest weight.
        frame: The selected frame, counted from 0.
        range: None, or the first and the last of several selected frames.
        masked: Frames whose weight is zero; the others share it, and their states stay.
        removed: Frames without which the video is encoded again.
        muted: Modality → frames where it is replaced by the value of a missing one; the video is encoded again.
        temperature: What the attention's logits are divided by before the softmax.
        top: How many frames are kept, those with the highest weights; None for all.
        uniform: Whether every kept frame has the same weight.
        classes: The classes whose contributions are drawn; set them by number or name.
        shown: The runs drawn, by name.
        explanation: How the effect of frames is computed, a name in `dmlkit.explorer.evidence.EXPLANATIONS`. The
            browser knows scores under `temperature`, `top` and `uniform` with "own" only; `scores` where that is exact.
        by_modality: Whether it is that of each modality.
        common_scale: Whether the contributions of all classes have one scale.
        window: None, or the first and the last frame of those that are drawn.
        tab: "frames", or "similarity" for that of the frames to each other.

    Raises:
        UsageError: An unknown video or class; later, a value out of its range, or one that applies to no shown run.
        DataError: There are no videos; later, when `video` is set, the video cannot be read.

    Paper: §Attention, α_t.
    """

    _esm, _css = MODULE, STYLE
    scene, menu = Dict().tag(sync=True), Dict().tag(sync=True)
    problem = Unicode().tag(sync=True)
    video = TraitType()
    # Untyped: `_check` also accepts numpy's numbers, and raises a `UsageError`.
    explanation, tab = (TraitType(value).tag(sync=True) for value in ("own", "frames"))
    by_modality, common_scale, uniform = (TraitType(value).tag(sync=True) for value in (False, True, False))
    shown, classes, removed, masked = (TraitType(()).tag(sync=True) for _ in range(4))
    muted, frame, temperature = (TraitType(value).tag(sync=True) for value in ({}, 0, 1.0))
    top, range, window = (TraitType(None, allow_none=True).tag(sync=True) for _ in "123")

    def __init__(
        self, source, *, video=None, classes: Sequence[int | str] | None = None, keep: int = 3,
        state: Mapping | None = None, code: str | None = None,
    ):  # fmt: skip
        if not source.videos:
            raise DataError(f"There are no videos to look at in {source.data}.")
        self.source, self.keep, self.code = source, whole_number(keep, "keep", least=1), code
        self.evidence: tuple[Evidence, ...] = ()
        self.callbacks: list[Callable] = []
        self.chosen_classes = None if classes is None else source.class_numbers(classes)
        self._missed, self._compared, self._encoded, self._busy = {}, "states", {}, True
        self._computed = OWN  # what the evidence was made with
        super().__init__()
        self.shown = source.runs
        state = self._check_state({} if state is None else state)
        self.video = video or state.get("video") or next(iter(source.videos))
        self._open(self.video)
        self.menu = self._menu("order")
        if self.evidence:
            self._assign(state | {"video": self.video})
        self._busy = False
        self.on_msg(self._answer)
        self.observe(self._changed, names=STATE)

    def __repr__(self) -> str:
        return f"AttentionExplorer({self.source.title} on {self.source.data}, video={self.video!r})"

    @property
    def state(self) -> dict:
        """All that can be chosen, as a dict that JSON can hold; set it, or some of it, to restore a view.

        The video is set first, which restores all its frames; a `UsageError` for what does not exist changes nothing.
        """
        values = {"video": self.video} | {name: getattr(self, name) for name in STATE}
        values["muted"] = {name: list(frames) for name, frames in self.muted.items()}
        return {name: list(each) if isinstance(each, tuple) else each for name, each in values.items()}

    @state.setter
    def state(self, values: Mapping) -> None:
        values, before, chosen = self._check_state(values), self.state, self.chosen_classes
        try:
            self._assign(values)
        except DmlkitError:
            self._assign(before)
            self.chosen_classes = chosen
            raise
        self._changed()

    @property
    def frames(self) -> int:
        """The number of frames the first run read of the video."""
        return self.evidence[0].frames if self.evidence else 0

    @property
    def weights(self) -> np.ndarray | None:
        """(frames,) the first run's weights as the view shows them, the mean of several groups of weights.

        Where each class has weights of its own, they are those of the first class drawn. None where no frame is left,
        and for a model that weighs no frames.
        """
        encoded, weights, _ = self.state_of(0) if self.evidence else (None, None, None)
        if weights is None:
            return None
        drawn = [label for label in self.classes if label in encoded.classes]
        values = pd.Series(frame_weights(encoded, weights, next(iter(drawn), None)), encoded.times)
        return values.reindex(self.evidence[0].times, fill_value=0).to_numpy()

    @property
    def scores(self) -> dict[str, float] | None:
        """Class → the first run's score as the view shows it; None where nothing could compute it."""
        return next(iter(self.scores_by_run().values()))

    def scores_by_run(self) -> dict[str, dict[str, float] | None]:
        """Run → `scores`, also of runs that are not shown."""
        found = dict.fromkeys(self.source.runs)
        for run, evidence in enumerate(self.evidence):
            if (scores := self.state_of(run)[2]) is not None:
                found[evidence.run] = dict(zip(evidence.names, scores.tolist(), strict=True))
        return found

    @property
    def selection(self) -> pd.DataFrame:
        """What is drawn of the frames in `range`, or of the selected frame: a row a run, frame and drawn class.

        The columns are video, run, frame (as the first run counts them), seconds, class, weight (the mean of several
        groups) and contribution (what `explanation` computes), with one for each modality where it is drawn by these.
        A removed frame has the weight 0 and no contribution. Without a class there is one row a frame and run.
        """
        first, last = self.range or (self.frame, self.frame)
        tables = []
        for run, full in enumerate(self.evidence if self.frames else ()):
            encoded, weights, _ = self.state_of(run)
            terms, modalities, explained = terms_by_modality(encoded, weights)
            about = {"video": self.video, "run": full.run, "frame": self._lead(full), "seconds": full.times}
            drawn = [label for label in self.classes if label in full.classes] or [None]
            for label in drawn if full.run in self.shown else ():
                name = None if label is None else full.names[full.classes.index(label)]
                about |= {"class": name, "weight": np.nan, "contribution": np.nan}
                table = pd.DataFrame(about, index=full.times)  # frames that are not encoded are left empty
                if weights is not None:
                    own = pd.Series(frame_weights(encoded, weights, label), encoded.times)
                    table["weight"] = own.reindex(full.times, fill_value=0)
                if label in explained:
                    split = pd.DataFrame(terms[..., explained.index(label)], encoded.times, modalities)
                    table["contribution"] = split.sum(axis=1)
                    table = table.join(split.add_prefix("contribution ")) if len(modalities) > 1 else table
                tables.append(table[table["frame"].between(first, last)])
        columns = ["video", "run", "frame", "seconds", "class", "weight", "contribution"]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)

    def similar(self, frames: Sequence[int] | None = None, *, limit: int = 20) -> pd.DataFrame:
        """The frames of the split that are nearest to some frames, by the first run's states, the nearest first.

        Columns: video, frame, seconds, similarity (cosine); `attrs["note"]` describes what was compared.

        Args:
            frames: Frames of this video; None takes those of `range`, or the selected one.
            limit: How many are listed, at most.
        """
        first, last = self.range or (self.frame, self.frame)
        frames = np.arange(first, last + 1) if frames is None else frames
        rows, note = self.source.similar(self.video, frames, limit=whole_number(limit, "limit", least=1))
        table = pd.DataFrame(rows, columns=["video", "frame", "seconds", "similarity"])
        table.attrs["note"] = note
        return table

    def show_classes(self, choice: str) -> None:
        """Draw the true classes, those with the highest scores, or those whose scores the changes moved most.

        Args:
            choice: "true", "top" or "changed"; of the scores as the view shows them, in any shown run.
        """
        choose(CHOICES, choice, what="choice of classes")
        labels = self.evidence[0].true if self.evidence else None
        if choice == "true" and not labels:
            raise UsageError(f"No label of {self.video} is known. Choose the highest scores instead.")
        if choice != "true":
            runs = [at for at, evidence in enumerate(self.evidence) if evidence.run in self.shown]
            scored = [(self.evidence[at].scores, self.state_of(at)[2]) for at in runs]
            changes = [
                after - before * (choice == "changed") for before, after in scored if after is not None
            ]
            if not changes:
                raise UsageError("No scores are known here. Undo the changes, or name the classes.")
            values = np.abs(changes).max(axis=0)
            if choice == "changed" and not (values > 1e-6).any():
                raise UsageError("No score has changed. Mask, mute or remove frames first.")
            labels = np.array(self.evidence[0].classes)[np.argsort(-values, kind="stable")[:DRAWN_CLASSES]]
        self.classes = labels

    def reset(self) -> None:
        """Restore all frames in every modality, and the model's own weights."""
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

    def state_of(self, run: int) -> tuple[Evidence, np.ndarray | None, np.ndarray | None]:
        """The run's evidence of the frames that are encoded, their weights and the scores as the view shows them.

        Weights are (frames, groups, 1 or classes), scores (classes,). Both are None where no frame is left, and where a
        setting does not apply to the run; weights also where the model weighs no frames.
        """
        full = self.evidence[run]
        if len({*self.masked, *self.removed}) >= self.frames:
            return full, None, None
        encoded = self.encoded()[run]
        masked = np.isin(self._lead(encoded), self.masked)
        settings = {name: getattr(self, name) for name in ("top", "temperature", "uniform")}
        changed = self.uniform or self.temperature != 1 or (self.top or encoded.frames) < encoded.frames
        if not changed and (self._masked_by_model(full) or not masked.any()):
            return encoded, encoded.weights, encoded.scores.astype(float)
        encoded = self.encoded(masked=())[run]
        weights, exact = reweight(encoded, masked=masked, **settings), encoded
        if weights is not None and encoded.contributions is None and self._computed != OWN:
            exact = self.encoded(masked=(), **OWN)[run]  # other terms do not determine the scores
        return encoded, weights, class_scores(exact, weights)

    def encoded(self, **changes) -> tuple[Evidence, ...]:
        """Each run's evidence with frames `removed`, `muted` or `masked`, by default as they are now.

        Masked frames matter only for runs whose arrays do not determine the scores without them.
        """
        changes = {name: getattr(self, name) for name in ("removed", "muted", "masked")} | changes
        if not any(map(self._masked_by_model, self.evidence)):
            changes["masked"] = ()
        if not any(changes.values()):
            return self.evidence
        key = json.dumps(changes, sort_keys=True)
        if key not in self._encoded:
            classes = {"classes": self.evidence[0].classes, "drawn": self.classes}
            # The newest few: what callbacks, `scores` and the saved page ask for again.
            newest = list(self._encoded.items())[-3:]
            self._encoded = dict(newest) | {key: self._explained(self.video, **classes, **changes)}
        return self._encoded[key]

    def scene_of(self, names: Sequence[str], *, live: bool, note: str | None = None, **settings) -> dict:
        """Some videos as the browser draws them; those that cannot be read with the reason."""
        videos, media, chosen, similarity = {}, {}, self.chosen_classes or (), None
        for name in names:
            shown = self.evidence if name == self.video else ()
            try:
                videos[name] = shown or self._explained(name, classes=chosen, drawn=chosen)
            except DmlkitError as error:
                videos[name] = error
            else:
                media[name] = self.source.media(name, live=live)
        if settings.get("tab", self.tab) == "similarity" and self.video in media:
            similarity = self.source.similarity(self.video, of=settings.get("of", self._compared))
        about = {"code": self.code if live else None, "similarity": similarity, "media": media}
        return scene(videos, self.source, live=live, note=note, **about)

    def _live_scene(self, **settings) -> dict:
        return self.scene_of([self.video], live=self.source.can_remove and bool(self.evidence), **settings)

    def _explained(self, name: str, **settings) -> tuple[Evidence, ...]:
        """A video's evidence, explained as is chosen."""
        chosen = {"explanation": self.explanation, "by_modality": self.by_modality}
        return self.source.evidence(name, **chosen | settings)

    def _explain_again(self, classes: Sequence[int], **settings) -> None:
        """The video's evidence with some classes drawn, and what the browser draws of it."""
        included = (*(self.chosen_classes or ()), *classes)
        self.evidence = self._explained(self.video, classes=included, drawn=classes, **settings)
        self._encoded = {}
        # The browser waits for a new scene, also where nothing in it is new.
        self.scene = self._live_scene() | {"explained": settings}

    def _lead(self, evidence: Evidence) -> np.ndarray:
        """Each frame's number as the first run counts them: another may have read others of the same video."""
        return np.abs(self.evidence[0].times[None, :] - evidence.times[:, None]).argmin(axis=1)

    def _masked_by_model(self, evidence: Evidence) -> bool:
        """Whether only the model can compute the scores without some frames' weights."""
        from_arrays = evidence.reweightable and evidence.contributions is not None
        return self.source.can_remove and evidence.maskable and not from_arrays

    def _check_state(self, values: Mapping) -> dict:
        if not isinstance(values, Mapping):
            raise UsageError(f"state: expected a dict, as `state` gives it. Received: {values!r:.80}.")
        for name in values:
            choose(dict.fromkeys(("video", *STATE)), name, what="key of a state")
        return dict(values)

    def _assign(self, values: Mapping) -> None:
        """Set some of the state, the video first."""
        with self._one_change():
            if (video := values.get("video", self.video)) != self.video:
                self.video = video
                if problem := self._open(video):
                    raise problem
            for name in STATE:
                if name in values and not (name == "classes" and values[name] is None):
                    setattr(self, name, values[name])
                    if name == "classes":
                        self.chosen_classes = self.classes

    def _open(self, name: str) -> DataError | None:
        """Show a video with all its frames; returns why it cannot be read."""
        self.evidence, self._encoded, problem, missed = (), {}, None, self._missed.get(name)
        classes = [*([] if missed is None else [missed]), *(self.chosen_classes or ())]
        try:
            self.evidence = self._explained(name, classes=classes, drawn=classes)
            lead = self.evidence[0]
            if self.chosen_classes is None:
                drawn = first_drawn(lead.true, lead.classes)
                classes = list(dict.fromkeys((*classes, *drawn)))[:DRAWN_CLASSES]
            if lead.term_classes and not set(classes) <= set(lead.term_classes):
                self.evidence = self._explained(name, classes=classes, drawn=classes)
        except DataError as error:
            self.evidence, problem = (), error
        with self._one_change():
            self.masked = self.removed = ()
            self.muted, self.range, self.window = {}, None, None
            weights = self.evidence[0].mean_weights if self.frames else None
            self.frame = 0 if weights is None else int(weights.argmax())
            self.classes = classes
            try:
                self.scene = self._live_scene()
            except UsageError:  # there is nothing to compare this video's frames by
                self.tab = "frames"
                self.scene = self._live_scene()
        self._changed()
        return problem

    def _menu(self, order: str, label: int | None = None) -> dict:
        """The videos that the browser offers: in the split's order, of a class, or by worst mistakes."""
        source, orders = self.source, {"order": "in order"}
        if source.class_counts:
            orders |= {"class": "of a class", "worst": f"worst mistakes of {shorten(source.runs[0])}"}
        classes = [[k, f"{shorten(source.class_names[k], 60)} ({n})"] for k, n in source.class_counts.items()]
        label = next(iter(source.class_counts), None) if label is None else label
        # A video chosen among the worst mistakes shows the label that was missed.
        worst = source.worst(limit=50) if order == "worst" else {}
        self._missed = {name: each.missed for name, each in worst.items()}
        ids = source.videos_of(label) if order == "class" else source.videos
        videos = [[name, f"{name}: {each.text}"] for name, each in worst.items()]
        videos = videos or [[name, source.videos[name]] for name in ids]
        menu = {"order": order, "label": label, "videos": videos[:MENU_VIDEOS], "total": len(videos)}
        return menu | {"all": len(source.videos), "orders": list(orders.items()), "classes": classes}

    def _answer(self, _, message: dict, buffers) -> None:
        """Do as the browser asks; it waits for an answer to `evidence` and `similar`, also for an error."""
        answer, waits = None, message.get("kind") in ("evidence", "similar")
        try:
            answer = self._obey(message)
        except Exception as error:
            answer = {"kind": "failed", "text": _describe_error(error)}
            if not waits:
                self.problem = self.problem or answer["text"]  # a callback's stays
        if waits:
            # Every view of this widget receives the answer; the request identifies the one that sent it.
            self.send(answer | {name: message.get(name) for name in ("view", "number", "video")})

    def _obey(self, message: dict) -> dict | None:
        """The answer with `evidence` or `similar` frames; None when it sets what is shown."""
        kind = message.get("kind")
        if kind == "evidence":
            if message["video"] != self.video:
                raise UsageError(f"{message['video']} is no longer shown.")
            runs = self.encoded(**{name: message[name] for name in ("removed", "muted", "masked")})
            return {"kind": kind, "runs": [each.to_json() for each in runs]}
        if kind == "similar":
            table = self.similar(message["frames"], limit=message["limit"])
            return {"kind": kind, "rows": table.to_dict("records"), "note": table.attrs["note"]}
        self.problem = ""
        if kind == "menu":
            self.menu = self._menu(message["order"], message["label"])
        if kind in ("menu", "open"):
            name = self.menu["videos"][0][0] if kind == "menu" else message["video"]
            if name == self.video and self._missed.get(name) is not None:
                self._open(name)
            self.video = name
        elif kind == "classes":
            self.show_classes(message["choice"])
        elif kind == "similarity":
            self.scene = self._live_scene(tab="similarity", of=message["of"])
            self._compared, self.tab = message["of"], "similarity"
        return None

    def set_state(self, sync_data: Mapping) -> None:
        """Set what the browser changed. What cannot be computed is a problem shown there, and keeps its value."""
        before = {name: getattr(self, name) for name in sync_data if name in STATE}
        try:
            super().set_state(sync_data)
        except Exception as error:
            for name, value in before.items():
                setattr(self, name, value)
            self.problem = ""  # the same one again is a change as well
            self.problem = _describe_error(error)

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

    @validate("video", *STATE)
    def _check(self, proposal):
        """The value of a trait as it is kept; a `UsageError` where it is wrong, or applies to no shown run."""
        name, value = proposal["trait"].name, proposal["value"]
        value = _checked(self, name, value)
        shown = [each for each in self.evidence if each.run in self.shown]
        if shown and name in DEFAULTS and value != DEFAULTS[name]:
            maskable = any(each.maskable for each in shown)
            if name == "masked" and not maskable:
                raise UsageError("No run shown can leave masked frames out. Remove or mute frames instead.")
            if name in ("temperature", "top", "uniform") and not any(each.reweightable for each in shown):
                why = f"{name}: no run shown has weights that are a softmax over frames."
                raise UsageError(f"{why} {'Mask, remove' if maskable else 'Remove'} or mute frames.")
        if name in ("removed", "muted") and value and not self._property_lock:
            self.encoded(**{name: value})  # raises where there is no model, or no such modality
        if name in self._computed:
            settings = {each: getattr(self, each) for each in self._computed} | {name: value}
            if self.evidence and settings != self._computed:
                self._explain_again(self.classes, **settings)
            self._computed = settings
        elif name == "classes":
            known = [each.term_classes or each.classes for each in self.evidence]
            if not all(set(value) <= set(each) for each in known):
                self._explain_again(value)
        elif name == "tab" and value == "similarity" and self.evidence and not self.scene.get("similarity"):
            self.scene = self._live_scene(tab=value)
        return value

    def _repr_mimebundle_(self, **kwargs) -> dict[str, object]:
        """The widget where there is a kernel; the scene, a picture and a table for every other reader."""
        return {**super()._repr_mimebundle_(**kwargs)[0], **saved_view(self)}


def _checked(view: AttentionExplorer, name: str, value):
    """The value of a trait as it is kept; a `UsageError` where it is none."""
    match name:
        case "video":
            if isinstance(value, str) and value in view.source.videos:
                return value
            hint = nearest(value, view.source.videos)
            raise UsageError(f"There is no video {value!r} among {view.source.scope}.{hint}")
        case "classes":
            return view.source.class_numbers(value)
        case "explanation" | "tab":
            choose(EXPLANATIONS if name == "explanation" else TABS, str(value), what=name)
            return str(value)
        case "shown":
            runs = tuple(map(str, as_list(value, "shown, names of runs")))
            for run in runs:
                choose(dict.fromkeys(view.source.runs), run, what="run")
            return runs
        case "frame":
            return _frame_numbers(view, name, [value])[0]
        case "masked" | "removed":
            return _frame_numbers(view, name, value)
        case "top":
            return None if value is None else whole_number(value, name, least=1)
        case "temperature":
            expected = "a number above 0"
            if isinstance(value, Real) and not isinstance(value, bool) and 0 < value < np.inf:
                return float(value)
        case "muted":
            expected = "a dict, modality → frames"
            if isinstance(value, Mapping):
                muted = {modality: _frame_numbers(view, name, each) for modality, each in value.items()}
                return {modality: frames for modality, frames in muted.items() if frames}
        case "range" | "window":
            expected = f"None or the first and the last of the frames 0 to {view.frames - 1}"
            ends = () if value is None else tuple(whole_number(each, name) for each in as_list(value, name))
            if value is None or (len(ends) == 2 and 0 <= ends[0] <= ends[1] < view.frames):
                return ends or None
        case _:
            expected = "True or False"
            if isinstance(value, bool | np.bool_):
                return bool(value)
    raise UsageError(f"{name}: expected {expected}. Received: {value!r:.80}.")


def _frame_numbers(view: AttentionExplorer, name: str, value) -> tuple[int, ...]:
    frames = tuple(sorted({whole_number(each, name) for each in as_list(value, name)}))
    if frames and not 0 <= frames[0] <= frames[-1] < max(view.frames, name == "frame"):
        raise UsageError(f"{view.video} has the frames 0 to {view.frames - 1}. Received: {name}={value}.")
    return frames


def _describe_error(error: Exception) -> str:
    return str(error) if isinstance(error, DmlkitError) else f"{type(error).__name__}: {error}"
