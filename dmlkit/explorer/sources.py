"""Sources of the attention explorer: trained models on one split of a data set, or plain arrays.

Keras and TensorFlow are loaded with the first model; plain arrays need neither.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from dmlkit.data import FRAME_CHOICES, Match, VideoReader, dequantize, frame_seed, open_for
from dmlkit.data.schema import TEXT
from dmlkit.errors import DataError, UsageError, nearest, readable, shorten
from dmlkit.experiments import EXPERIMENTS, Experiment
from dmlkit.explorer.evidence import (
    SUM_TOLERANCE,
    Evidence,
    as_list,
    class_scores,
    distinct,
    frame_mask,
    reweight,
    select_classes,
    whole_number,
)
from dmlkit.explorer.media import media_of
from dmlkit.runs import Run, load_run

MAX_RUNS = 3
ROWS = 64  # videos encoded at once when frames are removed: more are not faster on two cores
OCCLUSION = "occlusion: score minus score without the frame"
MIN_PROBABILITY = 1e-4  # stored scores may be 0 for true labels: their cross-entropy is bounded


class Source:
    """Videos and what is known of them, under names of `runs` and `data`, with `class_names`."""

    class_groups: Mapping[str, list[int]] = {}  # the vocabulary's vertical, or kind → its classes

    def class_numbers(self, classes: Sequence[int | str], argument: str = "classes") -> tuple[int, ...]:
        """Classes by number or name as numbers, each once; a `UsageError` where there is no such class."""
        names, found = self.class_names, []
        for each in as_list(classes, argument):
            if isinstance(each, str):
                label = names.index(each) if each in names else -1
            else:
                label = whole_number(each, f"{argument}, names or numbers of classes")
            if label < 0 or (names and label >= len(names)):
                hint = nearest(each, names) if isinstance(each, str) else ""
                raise UsageError(
                    f"{argument}: {self.data} has no class {each!r} among its {len(names)}.{hint}"
                )
            found.append(label)
        return tuple(dict.fromkeys(found))

    def media(self, video: str, *, live: bool) -> dict | None:
        """What `media_of` finds of a video."""
        return None


class ModelSource(Source):
    """Up to three trained models on one split of a data set: the arguments are those of `explore`."""

    can_remove = True

    def __init__(self, runs, data, *, split: str = "validate", max_videos: int = 5000):
        several = list(runs) if isinstance(runs, list | tuple) else [runs]
        if not 1 <= len(several) <= MAX_RUNS:
            raise UsageError(f"Between 1 and {MAX_RUNS} runs fit side by side. Received: {len(several)}.")
        if not isinstance(data, str | os.PathLike) and not hasattr(data, "level"):
            raise UsageError(f"data: expected a data set or its path. Received: {data!r:.80}.")
        several = [_open(each) for each in several]
        trained_on = [run.record["data"] for run in several]
        self.dataset, matches = open_for(data, zip((run.path for run in several), trained_on, strict=True))
        self.split, self._run = split, several[0]
        max_videos = whole_number(max_videos, "max_videos", least=1)
        pairs = zip(several, matches, strict=True)
        self.models = [ExploredModel(each, self.dataset, matched) for each, matched in pairs]
        self.runs = distinct([shorten(run.title, 80) for run in several], what="run")
        self.title = f"Attention of {' and '.join(self.runs)}"
        self.data, self.generated = shorten(self.dataset.name, 80), self.dataset.generated
        self.class_names = readable(self.dataset.class_names)
        self.open_video = lru_cache(maxsize=8)(self._open_video)
        # Videos are found by their places among those that were scored, or that are listed.
        foreign = [each["fingerprint"] not in (None, self.dataset.fingerprint) for each in trained_on]
        scored = split == "validate" and trained_on[0]["fingerprint"] == self.dataset.fingerprint
        self._stored = self._run.predictions if scored else None
        cap = self._run.record["profile"]["max_validate_videos"] if scored else max_videos
        self._reader = VideoReader(self.dataset, split, max_videos=cap)
        self._ids, self.labels = self._list_videos(max_videos)
        self._position = {name: at for at, name in enumerate(distinct(self._ids, what="video"))}
        counts = np.zeros(0, int) if self.labels is None else self.labels.sum(axis=0)
        frequent = np.argsort(-counts, kind="stable").tolist()
        self.class_counts = {label: int(counts[label]) for label in frequent if counts[label]}
        self.ground_truth = self.dataset.truth(split)
        count, total, notes = len(self._position), self.dataset.num_videos(split), []
        self.scope = f"these {total:,} videos"
        if any(foreign):
            notes.append(f"Trained on other data than these: {', '.join(compress(self.runs, foreign))}.")
        if total > count:
            why = f"set by max_videos={max_videos}" if count == max_videos else "those that were scored"
            self.scope = f"{count:,} of {total:,} videos ({why})"
            notes.append(f"Videos to choose from: {self.scope} of the split '{split}'.")
        notes += dict.fromkeys(note for each in matches for note in each.notes)
        self.note = " ".join(notes) or None

    def _list_videos(self, most: int) -> tuple[list[str], np.ndarray | None]:
        """The videos' ids as the records have them, and (videos, classes) bool or None."""
        if self._stored:
            return self._stored.ids.tolist()[:most], self._stored.labels[:most] != 0
        # One frame a video is enough to know its id and labels.
        batches = list(self.dataset.batches(self.split, batch_size=256, max_frames=1, max_videos=most))
        if not batches:
            raise DataError(f"The '{self.split}' split of {self.dataset.name} holds no videos.")
        ids = [name for batch in batches for name in batch["id"].tolist()]
        return ids, np.concatenate([b["labels"] > 0 for b in batches]) if "labels" in batches[0] else None

    @cached_property
    def videos(self) -> dict[str, str]:
        """Id → the video's name in menus: its id and its labels."""
        if self.labels is None:
            return {name: name for name in self._position}
        short = [shorten(name) for name in self.class_names]
        texts = (", ".join(short[k] for k in np.flatnonzero(row)) or "no label" for row in self.labels)
        pairs = zip(self._position, texts, strict=True)
        return {name: f"{shorten(name, 60)} · {text}" for name, text in pairs}

    def videos_of(self, label: int | str) -> list[str]:
        """The ids of the videos of a class; a `UsageError` for an unknown one, or a split without labels."""
        column = self._need_labels()[:, self.class_numbers([label])[0]]
        return [name for name, has_it in zip(self._position, column, strict=True) if has_it]

    def worst(self, *, limit: int = 50) -> dict[str, str]:
        """The videos of the highest cross-entropy, id → lowest score of a true class and highest of any other.

        The first run's stored predictions serve where it has them; else its model scores every video once.
        """
        labels, scores, ids = self._need_labels(), self._scores, list(self._position)
        right = np.where(labels, scores, 1 - scores.astype(np.float32))
        losses = -np.log(np.clip(right, MIN_PROBABILITY, 1)).sum(axis=1)
        found = {}
        for row in np.argsort(-losses, kind="stable")[:limit].tolist():
            own, true = scores[row].astype(np.float32), labels[row]
            lowest, highest = int(np.where(true, own, 2).argmin()), int(np.where(true, -1, own).argmax())
            extremes = [("true", lowest)] * bool(true.any()) + [("false", highest)] * (not true.all())
            texts = [f"{shorten(self.class_names[k])} ({kind}) {own[k]:.2f}" for kind, k in extremes]
            found[ids[row]] = "; ".join(texts)
        return found

    def evidence(self, video: str, *, classes=(), removed: Sequence[int] = ()) -> tuple[Evidence, ...]:
        """What each model computes for a video without the `removed` frames, as the first run numbers them.

        It includes `classes`, the true ones and those that any model scores highest.
        """
        clips, parts, true = self.open_video(video)
        highest = np.max([each.scores for each in parts], axis=0)
        chosen = select_classes(highest, true, self.class_numbers(classes))
        names = [self.class_names[label] for label in chosen]
        seconds = clips[0].frames[frame_mask(removed, len(clips[0].frames))]
        found = []
        for run, model, clip, part in zip(self.runs, self.models, clips, parts, strict=True):
            if len(seconds):
                kept = ~np.isin(clip.frames, seconds)
                features = {k: each[kept] if each.ndim == 2 else each for k, each in clip.features.items()}
                clip = Clip(clip.frames[kept], features)
                if not len(clip.frames):
                    raise UsageError(f"No frame of {video} is left to encode. Give some of them back.")
                part = model.parts(clip)
            energy, change = {}, {}
            for name, values in clip.features.items():
                if values.ndim == 2:
                    values = dequantize(values) if values.dtype == np.uint8 else values.astype(np.float32)
                    energy[name] = np.linalg.norm(values, axis=1)
                    change[name] = np.linalg.norm(np.diff(values, axis=0, prepend=values[:1]), axis=1)
            if not np.isfinite(part.weights).all() and all(np.isfinite(row).all() for row in energy.values()):
                why = "its weights are not finite, so its training has diverged. Train it with a lower learning rate."
                raise DataError(f"Video {video!r}, {run}: {why}")
            truth = self.ground_truth.get(video, {}).items()
            arrays = {"times": clip.frames, "weights": part.weights[:, None, None]}
            arrays |= {"logits": part.logits[:, None, None]}
            arrays |= {"scores": part.scores[chosen], "energy": energy, "change": change, "true": true}
            arrays |= {"ground_truth": {label: np.isin(clip.frames, frames) for label, frames in truth}}
            arrays |= model.class_terms(part, chosen)
            found.append(Evidence(video=video, run=run, classes=chosen, names=names, **arrays))
        return tuple(found)

    def media(self, video: str, *, live: bool) -> dict | None:
        """The pictures, the file and the page of a video, as `media_of` describes them."""
        if not (self.dataset.thumbnails or self.dataset.media or self.dataset.link):
            return None
        batch = self._read(self._position[video])
        about = {"frames": int(batch["num_frames"][0]), "start": float(batch["start"][0])}
        return media_of(self.dataset, str(batch["id"][0]), **about, live=live)

    def _open_video(self, video: str) -> tuple:
        """The clip that each model reads of a video, what it computes, and the true labels (None: not known)."""
        if video not in self._position:
            raise UsageError(
                f"There is no video {video!r} among {self.scope}.{nearest(video, self._position)}"
            )
        batch = self._read(self._position[video])
        clips = [model.clip(batch) for model in self.models]
        pairs = list(zip(self.models, clips, strict=True))
        for model, clip in pairs if not self.open_video.cache_info().currsize else ():
            model.warm_up(clip)
        true = tuple(np.flatnonzero(batch["labels"][0]).tolist()) if "labels" in batch else None
        return clips, [model.parts(clip) for model, clip in pairs], true

    def _read(self, place: int) -> dict[str, np.ndarray]:
        """The video at a place; further on by as many as a training skipped, of which it stored no scores."""
        skipped = self._run.record["data"]["skipped"]["records"]
        for index in range(place, place + skipped + 1):
            try:
                batch = self._reader.read(index)
            except DataError:
                if index == place + skipped:
                    raise
            else:
                if batch["id"][0] == self._ids[place]:
                    return batch
        raise DataError(f"Video {self._ids[place]!r} is not where the run read it. Train the run again.")

    def _need_labels(self) -> np.ndarray:
        if self.labels is None:
            raise UsageError(f"The '{self.split}' split of {self.dataset.name} has no labels.")
        return self.labels

    @cached_property
    def _scores(self) -> np.ndarray:
        count = len(self._position)
        return self._stored.scores[:count] if self._stored else self.models[0].scores(self.split, count)


class Clip(NamedTuple):
    """The frames (n,) that a model reads of one video, and modality → (n, size) features, or a text's (size,)."""

    frames: np.ndarray
    features: dict[str, np.ndarray]


def _open(run_or_model) -> Run:
    """A run, given as such or by its path; a keras model as one, whose data are known by its inputs and outputs."""
    from dmlkit.models import ENCODERS

    run = load_run(run_or_model) if isinstance(run_or_model, str | os.PathLike) else run_or_model
    if not isinstance(run, Run) and not hasattr(run, "layers"):
        raise UsageError(f"expected a run, the path of one, or a keras model. Received: {run!r:.80}.")
    model = run.model if isinstance(run, Run) else run
    if "attention" not in {layer.name for layer in model.layers}:
        some = [each for each in EXPERIMENTS.values() if isinstance(each, Experiment) and not each.trick]
        experiments = ", ".join(each.name for each in some if each.pooling == "attention")
        raise UsageError(
            f"The model {run.name} has no attention. Only the pooling 'attention' weighs frames, with any of "
            f"{', '.join(ENCODERS)}. Experiments: {experiments}."
        )
    if not isinstance(run, Run):
        features = {}
        for name, each in model.input.items():
            if name != "num_frames":
                coding = TEXT if len(each.shape) == 2 else "byte" if each.dtype == "uint8" else "float"
                features[name] = {"size": each.shape[-1], "coding": coding}
        data = {"level": "frame", "features": features, "num_classes": model.output_shape[-1]}
        data |= {"class_names": None, "fingerprint": None, "skipped": {"records": 0}}
        profile = {"frame_choice": "first", "max_frames": None}
        run = Run(Path(model.name), {"experiment": {"title": model.name}, "profile": profile, "data": data})
        run.model = model
    return run


class ExploredModel:
    """A run's model with attention, and how a data set is read for it."""

    def __init__(self, run: Run, dataset, matched: Match):
        from dmlkit.models import FrameProbe

        self._dataset, self._match, profile = dataset, matched, run.record["profile"]
        self._choice, self._max_frames = profile["frame_choice"], profile["max_frames"]
        self._modalities = [name for name in dataset.features if name in run.model.input]
        self._probe = FrameProbe(run.model, columns=matched.columns)
        self.linear = self._probe.linear

    def scores(self, split: str, videos: int) -> np.ndarray:
        """(videos, classes) scores of at most so many videos of a split."""
        settings = {"frame_choice": self._choice, "max_frames": self._max_frames, "max_videos": videos}
        batches = self._dataset.batches(split, batch_size=ROWS, **settings)
        return np.concatenate([self._probe.scores(self._inputs(batch)) for batch in batches])

    def clip(self, batch: dict[str, np.ndarray]) -> Clip:
        """The frames it reads of a batch of one video with all its frames."""
        batch, length = self._inputs(batch), int(batch["num_frames"][0])
        frames = np.arange(length)
        if self._max_frames is not None and length > self._max_frames:
            seed = frame_seed(str(batch["id"][0]), seed=0, epoch=0)
            frames = frames[FRAME_CHOICES[self._choice](length, self._max_frames, seed=seed)]
        first = {name: batch[name][0] for name in self._modalities}
        return Clip(frames, {name: each[frames] if each.ndim == 2 else each for name, each in first.items()})

    def _inputs(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A batch as the model reads it; values are checked batch by batch."""
        matched = replace(self._match)
        batch = matched.inputs(batch)
        for note in matched.check_values():
            warnings.warn(note, stacklevel=2)
        return batch

    def warm_up(self, clip: Clip) -> None:
        """Trace the graphs: Keras does so for the first shape it meets, and for all others at the second."""
        longer = {k: np.pad(v, ((0, 1), (0, 0))) if v.ndim == 2 else v for k, v in clip.features.items()}
        self.parts(clip)
        states = self._parts(clip._replace(features=longer), np.ones((2, len(clip.frames) + 1), bool)).states
        for rows in () if self.linear else (1, 2):
            self._probe.pooled_scores(states[:rows], np.ones(rows, np.int32))

    def parts(self, clip: Clip):
        """`FrameParts` of one video: scores (classes,), weights and logits (n,), states (n, size)."""
        found = self._parts(clip, np.ones((1, len(clip.frames)), bool))
        one = {name: None if each is None else each[0] for name, each in vars(found).items()}
        one["weights"], one["logits"] = one["weights"][:, 0, 0], one["logits"][:, 0, 0]
        return replace(found, **one)

    def class_terms(self, parts, classes: Sequence[int]) -> dict[str, np.ndarray]:
        """How each frame acts on some classes: `contributions` (n, classes) and `biases`, or `occlusion`."""
        if self.linear:
            found = self._probe.contributions(parts, classes)
            return {"contributions": found.values.sum(axis=1, keepdims=True), "biases": found.biases}
        without = self.masked_scores(parts, ~np.eye(len(parts.weights), dtype=bool))
        terms = parts.scores[list(classes)] - without[:, list(classes)]
        return {"terms": terms[:, None], "term_classes": classes, "terms_title": OCCLUSION}

    def masked_scores(self, parts, kept: np.ndarray) -> np.ndarray:
        """(rows, classes) scores where only the frames of `kept` (rows, n) have weights; the states stay."""
        order = np.argsort(~kept, axis=1, kind="stable")
        return self._probe.pooled_scores(parts.states[order], kept.sum(axis=1))

    def removed_scores(self, clip: Clip, kept: np.ndarray) -> np.ndarray:
        """(rows, classes) scores of the video encoded with only the frames of `kept` (rows, n)."""
        scores = np.empty((len(kept), self._dataset.num_classes), np.float32)
        order = np.argsort(kept.sum(axis=1), kind="stable")  # each group is padded to its longest row
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            scores[rows] = self._parts(clip, kept[rows]).scores
        return scores

    def _parts(self, clip: Clip, kept: np.ndarray):
        """`FrameParts` of the video once for each row, the frames kept moved to the front."""
        lengths = kept.sum(axis=1).astype(np.int32)
        order = np.argsort(~kept, axis=1, kind="stable")[:, : max(1, int(lengths.max()))]
        rows, features = len(kept), clip.features.items()
        inputs = {k: v[order] if v.ndim == 2 else np.repeat(v[None], rows, 0) for k, v in features}
        return self._probe.parts(inputs | {"num_frames": lengths})


class ArraySource(Source):
    """Videos given as plain arrays: the arguments are those of `explore_arrays`, `arrays` the optional ones by name."""

    can_remove = generated = False

    def __init__(
        self, weights, arrays: Mapping, biases, class_names, run: str, data: str, normalize: bool, groups=()
    ):
        self.runs, self.data, self.title = [run], data, "Attention weights" if run == "weights" else run
        self._biases, self._given_names, self._normalize = biases, class_names, normalize
        self._groups = distinct(readable(as_list(groups or (), "groups, names")), what="group")
        videos = _by_video(weights, arrays, bool(self._groups))
        self.videos, self.class_counts = {name: name for name in videos}, {}
        self.scope, self.note = f"these {len(videos):,} videos", None
        self._evidence = {name: self._make(name, **each) for name, each in videos.items()}

    def evidence(self, video: str, *, classes=(), removed: Sequence[int] = (), **_) -> tuple[Evidence]:
        """The evidence of a video, as `ModelSource.evidence` gives it; frames cannot be removed."""
        if len(removed):
            raise UsageError("Removing frames takes a model that encodes the video again. Mask them instead.")
        full = self._evidence[video]
        chosen = select_classes(full.scores, full.true, self.class_numbers(classes))
        if unknown := set(chosen) - set(full.classes):
            raise UsageError(f"{video!r} has {len(full.classes)} classes. Received: class {min(unknown)}.")
        arrays = {name: getattr(full, name) for name in ("scores", "biases", "contributions", "terms")}
        columns = {name: None if array is None else array[..., chosen] for name, array in arrays.items()}
        columns |= {"term_classes": chosen if full.term_classes else ()}
        return (replace(full, classes=chosen, names=[full.names[label] for label in chosen], **columns),)

    def _make(self, video, *, weights, logits, times, ground_truth, true, energy, change, states, **arrays):
        """One video with all its classes; `arrays` are contributions, scores and occlusion."""
        linear, occluded = arrays["contributions"] is not None, arrays["occlusion"] is not None
        scores, biases, ground_truth = arrays["scores"], self._biases, ground_truth or {}
        if linear and (scores is not None or occluded):
            raise UsageError("Contributions determine the scores: give them, or scores and occlusion.")
        if not linear and (biases is not None or (scores is None and occluded)):
            raise UsageError("biases need contributions, and occlusion needs scores.")
        if not isinstance(ground_truth, Mapping):
            raise UsageError(f"ground_truth: expected a dict by class. Received: {ground_truth!r:.80}.")
        if not all(np.isin(row, (0, 1)).all() for row in ground_truth.values()):
            raise DataError(f"ground_truth: expected booleans, one a frame. Received: {ground_truth!r:.80}.")
        # From (frames,) and (frames, groups) to (frames, groups, 1).
        weights, logits = (
            each if each is None else self._by_group(each, video) for each in (weights, logits)
        )
        if self._normalize and len(weights) and (total := np.sum(weights, axis=0)).all():
            weights = np.divide(weights, total)
        count = (0, *np.shape(arrays["contributions"] if linear else scores))[-1]
        names = [""] * count if self._given_names is None else self._given_names  # class 0, class 1, …
        self.class_names = distinct(readable(names), what="class")
        truth = {self.class_numbers([k], "ground_truth")[0]: row for k, row in ground_truth.items()}
        known = {"scores": np.zeros(count) if scores is None else scores, "groups": self._groups or ("",)}
        if linear:
            terms = arrays["contributions"] if self._groups else np.expand_dims(arrays["contributions"], -2)
            known |= {"contributions": terms, "parts": [(at, None) for at in range(len(known["groups"]))]}
            known |= {"biases": np.zeros(count) if biases is None else biases}
        elif occluded:
            known |= {"terms": np.expand_dims(arrays["occlusion"], -2), "term_classes": range(count)}
            known |= {"terms_title": OCCLUSION}
        known |= {"times": np.arange(len(weights)) if times is None else times, "weights": weights}
        known |= {"true": None if true is None else self.class_numbers(true, "true"), "ground_truth": truth}
        known |= {"energy": _by_modality(energy), "change": _by_modality(change)}
        names = self.class_names if count else ()
        evidence = Evidence(video=video, run=self.runs[0], classes=range(count), names=names, **known)
        if logits is not None:
            # `Evidence` refuses wrong shapes and numbers that are not finite; but where a weight is 0, −∞ is its logit.
            if (
                logits.shape == evidence.weights.shape
                and np.isfinite(logits.max(axis=0, initial=-np.inf)).all()
            ):
                error = float(np.abs(softmax(logits, axis=0) - evidence.weights).max())
                if error > SUM_TOLERANCE:
                    raise UsageError(f"{video!r}: weights and softmax of the logits differ by {error:.3g}.")
                logits = None if np.isneginf(logits).any() else logits
            evidence = replace(evidence, logits=logits)
        scores = class_scores(evidence, reweight(evidence))
        return evidence if scores is None else replace(evidence, scores=scores)

    def _by_group(self, values, video: str) -> np.ndarray:
        """Weights or logits, (frames,) or (frames, groups), as (frames, groups, 1)."""
        expected = "(frames, groups)" if self._groups else "(frames,)"
        try:
            values = np.asarray(values, np.float64)
        except ValueError:
            raise DataError(f"{video!r}: expected an array of numbers. Received: {values!r:.80}.") from None
        if values.ndim != (2 if self._groups else 1):
            message = f"weights and logits are {expected}. Received: an array of the shape {values.shape}"
            raise UsageError(f"{video!r}: {message}. Several groups of weights need their names: groups=[…].")
        return values[:, :, None] if self._groups else values[:, None, None]


def _by_video(weights, arrays: Mapping, grouped: bool) -> dict[str, dict]:
    """Id → the arrays of one video, out of dicts by id, lists, or one video's own."""
    shape = tuple(getattr(weights, "shape", ()))
    if not grouped and len(shape) == 2 and shape[1] == 1 < shape[0]:
        several = f"list(weights) for {len(weights)} videos of one frame"
        raise UsageError(
            f"weights: {shape} is one column. Give weights[:, 0] for one video, or {several} each."
        )
    listed = hasattr(weights, "__len__") and not isinstance(weights, str | bytes)
    if not listed or getattr(weights, "ndim", 1) == 0:
        raise UsageError(f"weights: expected numbers, or those of several videos. Received: {weights!r:.80}.")
    given = {name: rows for name, rows in arrays.items() if rows is not None}
    if not isinstance(weights, Mapping):
        if len(weights) == 0 or np.ndim(weights[0]) == grouped:
            return {"video": {"weights": weights, **arrays}}
        ids = [f"video {number}" for number in range(len(weights))]
        for name, rows in given.items():
            if isinstance(rows, Mapping) or len(rows) != len(ids):
                raise UsageError(
                    f"{name}: expected one for each of {len(ids)} videos. Received: {rows!r:.60}."
                )
            given[name] = dict(zip(ids, rows, strict=True))
        weights = dict(zip(ids, weights, strict=True))
    for name, rows in given.items():
        if not isinstance(rows, Mapping) or set(rows) - set(weights):
            raise UsageError(f"{name}: expected a dict by id, as the weights. Received: {rows!r:.80}.")
    if len(set(map(str, weights))) < len(weights):
        raise UsageError(f"weights: expected ids that differ as text. Received: {list(weights)}.")
    rows, names = given | {"weights": weights}, ["weights", *arrays]
    return {str(video): {name: rows.get(name, {}).get(video) for name in names} for video in weights}


def _by_modality(values) -> dict:
    rows = values if isinstance(values, Mapping) else {} if values is None else {"features": values}
    return {str(name): row for name, row in rows.items()}
