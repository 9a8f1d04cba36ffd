"""What the attention explorer reads: trained models on one split of a data set.

Keras and TensorFlow are loaded with the first model.
"""

import base64
import os
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import compress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from dmlkit.data import VideoReader, open_for
from dmlkit.data.schema import TEXT
from dmlkit.errors import DataError, UsageError, choose, nearest, readable, shorten
from dmlkit.explorer.evidence import (
    EXPLANATIONS,
    Evidence,
    as_list,
    distinct,
    first_drawn,
    frame_mask,
    select_classes,
    whole_number,
)
from dmlkit.explorer.explored_model import ExploredModel
from dmlkit.explorer.media import media_of
from dmlkit.extraction.clips import CLIP, clip_dataset, is_clip
from dmlkit.runs import Run, load_run

MAX_RUNS = 3
MOST_FRAMES, CELLS = 200_000, 300  # that are searched for similar ones; of a matrix of similarities
APART = 2  # frames as near as this to one of a list are not listed again
MIN_PROBABILITY = 1e-4  # stored scores may be 0 for true labels: their cross-entropy is bounded


class Source:
    """Videos and what is known of them, under names of `runs` and `data`, with `class_names`.

    `vectors(video, of)` gives (frames, size) what frames are compared by, `times(video)` their (frames,) seconds, and
    `_index` the states of all videos by id, of length 1, every k-th frame's; and k.
    """

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

    def similarity(self, video: str, *, of: str = "states", cells: int = CELLS) -> dict:
        """The cosine similarity of a video's frames to each other, as `scene` takes it.

        It is of the first run's states, or of the features of the modality `of`; consecutive frames share a cell where
        there are more than `cells`, which then is their mean. A vector of zeros has the similarity 0.
        """
        vectors = unit(self.vectors(video, of))
        step = max(1, -(-len(vectors) // whole_number(cells, "cells", least=1)))
        starts = np.arange(0, len(vectors), step)
        # The mean over two stretches of frames is the product of their mean vectors.
        means = np.add.reduceat(vectors, starts) if len(starts) else vectors
        means /= np.diff([*starts, len(vectors)])[:, None]
        values = np.round((np.clip(means @ means.T, -1, 1) + 1) * 127.5).astype(np.uint8)
        packed = {"u8": base64.b64encode(values.tobytes()).decode("ascii")}
        shape = {"cells": len(starts), "frames": len(vectors), "step": step}
        return {"of": of, "video": video, **shape, "values": packed}

    def similar(self, video: str, frames: Sequence[int], *, limit: int = 20) -> tuple[list[dict], str]:
        """The frames of all videos that are nearest to any of some frames of one, the nearest first, and a note.

        Each is a dict of `video`, `frame`, `seconds` and `similarity`, the cosine of the first run's states. Frames
        within two of the given ones, or of one already listed, are left out.
        """
        index, step = self._index
        own = unit(self.vectors(video, "states"))
        wanted = np.flatnonzero(frame_mask(frames, len(own)))
        if not len(wanted):
            raise UsageError("Choose one frame or more, to which similar ones are looked for.")
        rows = []
        for name, each in index.items():
            highest = (each.astype(np.float32) @ own[wanted].T).max(axis=1)
            rows += [(value, name, at * step) for at, value in enumerate(highest.tolist())]
        found, listed = [], {video: wanted.tolist()}
        for value, name, frame in sorted(rows, key=lambda row: -row[0]):
            if len(found) == limit:
                break
            if all(abs(frame - other) > APART for other in listed.setdefault(name, [])):
                listed[name].append(frame)
                seconds = float(self.times(name)[frame])
                found.append({"video": name, "frame": frame, "seconds": seconds, "similarity": value})
        every = f", one frame in {step} compared" if step > 1 else ""
        return found, f"Cosine similarity of the states of {self.runs[0]} over {len(index):,} videos{every}."


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
        if clip := is_clip(data):
            data, split = clip_dataset(several[0], data), CLIP
        trained_on = [run.record["data"] for run in several]
        self.dataset, matches = open_for(data, zip((run.path for run in several), trained_on, strict=True))
        self.split, self._run = split, several[0]
        max_videos = whole_number(max_videos, "max_videos", least=1)
        pairs = zip(several, matches, strict=True)
        self.models = [ExploredModel(each, self.dataset, matched) for each, matched in pairs]
        self.runs = distinct([shorten(run.title, 80) for run in several], what="run")
        weighs = all(each.weighs for each in self.models)
        self.title = f"{'Attention' if weighs else 'Frames'} of {' and '.join(self.runs)}"
        self.data, self.generated = shorten(self.dataset.name, 80), self.dataset.generated
        self.class_names, groups = readable(self.dataset.class_names), {}
        for label, group in enumerate(self.dataset.class_groups or self.dataset.class_kinds or ()):
            groups.setdefault(shorten(group) or "other", []).append(label)
        self.class_groups = groups
        self.open_video = lru_cache(maxsize=8)(self._open_video)
        # Videos are found by their places among those that were scored, or that are listed.
        foreign = [each["fingerprint"] not in (None, self.dataset.fingerprint) for each in trained_on]
        scored = split == "validate" and trained_on[0]["fingerprint"] == self.dataset.fingerprint
        self._stored = self._run.predictions if scored else None
        self._cap = self._run.record["profile"]["max_validate_videos"] if scored else max_videos
        # JupyterLab answers the browser in another thread than that of the cells.
        self._reading = Lock()
        self._reader = VideoReader(self.dataset, split, max_videos=self._cap)
        self._ids, self.labels = self._list_videos(max_videos)
        self._position = {name: at for at, name in enumerate(distinct(self._ids, what="video"))}
        counts = np.zeros(0, int) if self.labels is None else self.labels.sum(axis=0)
        frequent = np.argsort(-counts, kind="stable").tolist()
        self.class_counts = {label: int(counts[label]) for label in frequent if counts[label]}
        self.ground_truth = self.dataset.truth(split)
        count, total, notes = len(self._position), self.dataset.num_videos(split), []
        self.scope = f"these {total:,} videos"
        if any(foreign) and not clip:
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

    def worst(self, *, limit: int = 50) -> dict[str, "Mistake"]:
        """The videos of the highest cross-entropy by id, the highest first.

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
            found[ids[row]] = Mistake("; ".join(texts), lowest if true.any() else None)
        return found

    def evidence(
        self, video: str, *, classes=(), drawn=(), removed: Sequence[int] = (), muted: Mapping | None = None,
        masked: Sequence[int] = (), explanation: str = "own", by_modality: bool = False,
    ) -> tuple[Evidence, ...]:  # fmt: skip
        """What each model computes for a video, with the true classes, those that any model scores highest, and others.

        Frames are numbered as the first run reads them; the other runs leave out those of the same times.

        Args:
            video: Its id.
            classes: Classes that are included besides, by number or name.
            drawn: The classes explained where each takes long; by default the first few.
            removed: Frames without which the video is encoded.
            muted: Modality → frames where it is replaced by the value of a missing one.
            masked: Frames left out of the pooling, their states unchanged. Only runs whose scores do not follow
                from the arrays heed them; their evidence is then not `reweightable`.
            explanation: A name in `EXPLANATIONS`.
            by_modality: Whether the terms of "own" are those of each modality.

        Raises:
            UsageError: An unknown video, class, modality, explanation or frame, or no frame is left.
            DataError: The video cannot be read, or its scores are not finite.
        """
        choose(EXPLANATIONS, explanation, what="explanation")
        clips, parts, true = self.open_video(video)
        highest, drawn = np.max([each.scores for each in parts], axis=0), self.class_numbers(drawn)
        chosen = select_classes(highest, true, (*self.class_numbers(classes), *drawn))
        settings = {"drawn": drawn or first_drawn(true, chosen), "explanation": explanation}
        settings |= {"by_modality": by_modality}
        names, lead = [self.class_names[label] for label in chosen], clips[0].frames
        removed, masked = (lead[frame_mask(frames, len(lead))] for frames in (removed, masked))
        muted = {name: lead[frame_mask(each, len(lead))] for name, each in (muted or {}).items()}
        modalities = {name: each for name, each in self.dataset.features.items() if each.in_frames}
        for name in muted:
            choose(modalities, name, what="modality")
        found = []
        for run, model, clip, part in zip(self.runs, self.models, clips, parts, strict=True):
            if len(removed) or any(map(len, muted.values())):
                clip = model.change(clip, removed, muted)
                if not len(clip.frames):
                    raise UsageError(f"No frame of {video} is left to encode. Give some of them back.")
                part = model.parts(clip)
            values = clip.decoded()
            energy = {name: np.linalg.norm(each, axis=1) for name, each in values.items()}
            steps = {name: np.diff(each, axis=0, prepend=each[:1]) for name, each in values.items()}
            change = {name: np.linalg.norm(each, axis=1) for name, each in steps.items()}
            finite = all(np.isfinite(each).all() for each in (part.scores, part.weights) if each is not None)
            if not finite and all(np.isfinite(row).all() for row in energy.values()):
                why = "its scores are not finite, so its training has diverged. Train it with a lower learning rate."
                raise DataError(f"Video {video!r}, {run}: {why}")
            kept = ~np.isin(clip.frames, masked)
            truth = self.ground_truth.get(video, {}).items()
            arrays = {"times": self._seconds(clip.frames), "energy": energy, "change": change, "true": true}
            arrays |= {"ground_truth": {label: np.isin(clip.frames, frames) for label, frames in truth}}
            arrays |= model.arrays(clip, part, chosen, kept=kept, **settings)
            found.append(Evidence(video=video, run=run, classes=chosen, names=names, **arrays))
        return tuple(found)

    def vectors(self, video: str, of: str) -> np.ndarray:
        """(frames, size) the first run's states of a video, or the features of a modality that it reads."""
        (clip, *_), (part, *_), _ = self.open_video(video)
        return choose({"states": part.states} | clip.decoded(), of, what="vectors of frames")

    def times(self, video: str) -> np.ndarray:
        """(frames,) the seconds of the frames that the first run reads of a video."""
        return self._seconds(self.models[0].clip(self._read(self._position[video])).frames)

    def _seconds(self, frames: np.ndarray) -> np.ndarray:
        """The middle of the time that an extracted frame is of; in other data frames are numbered by seconds."""
        return (frames + 0.5) / self.dataset.fps if self.dataset.extractor else frames

    @cached_property
    def _index(self) -> tuple[dict[str, np.ndarray], int]:
        names, found, step = list(self._position), {}, 1
        skipped = self._run.record["data"]["skipped"]["records"]
        settings = {"max_videos": self._cap} | ({"on_fault": f"skip {skipped}"} if skipped else {})
        for video, states in self.models[0].states(self.split, **settings):
            # Records that a training skipped are not among the ids, and those behind a cap are not listed.
            if len(found) < len(names) and video == self._ids[len(found)]:
                found[names[len(found)]] = unit(states[::step]).astype(np.float16)
            if sum(map(len, found.values())) > MOST_FRAMES:
                step, found = 2 * step, {name: each[::2] for name, each in found.items()}
        return found, step

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
                with self._reading:
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


class Mistake(NamedTuple):
    """Lowest score of a true class and highest of any other as a text; the missed class, None where none is true."""

    text: str
    missed: int | None


def _open(run_or_model) -> Run:
    """A run, given as such or by its path; a keras model as one, whose data are known by its inputs and outputs."""
    run = load_run(run_or_model) if isinstance(run_or_model, str | os.PathLike) else run_or_model
    if not isinstance(run, Run) and not hasattr(run, "layers"):
        raise UsageError(f"expected a run, the path of one, or a keras model. Received: {run!r:.80}.")
    if isinstance(run, Run) and run.record["kind"] == "ensemble":
        members = shorten(", ".join(each["name"] for each in run.record["members"]), 200)
        raise UsageError(f"{run.name} is an ensemble, which reads no frames. Explore its members: {members}.")
    inputs = {each.name: each for each in getattr(run, "inputs", None) or ()}
    framed = any(len(each.shape) == 3 for each in inputs.values())
    if not (run.record["data"]["level"] == "frame" if isinstance(run, Run) else framed):
        why = "reads one vector a video, so it has no frames to look at"
        raise UsageError(f"The model {run.name} {why}. Choose one that was trained on frames.")
    if not isinstance(run, Run):
        features = {}
        for name, each in inputs.items():
            if name != "num_frames":
                coding = TEXT if len(each.shape) == 2 else "byte" if each.dtype == "uint8" else "float"
                features[name] = {"size": each.shape[-1], "coding": coding}
        data = {"level": "frame", "features": features, "num_classes": run.output_shape[-1]}
        data |= {"class_names": None, "fingerprint": None, "skipped": {"records": 0}}
        profile, model = {"frame_choice": "first", "max_frames": None}, run
        run = Run(Path(model.name), {"experiment": {"title": model.name}, "profile": profile, "data": data})
        run.model = model
    return run


def unit(vectors: np.ndarray) -> np.ndarray:
    """(frames, size) vectors divided by their lengths; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
