"""A trained model with attention, opened on a data set: one video's parts, and its scores with frames taken away."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from dmlkit.data import FRAME_CHOICES, dequantize, frame_seed
from dmlkit.errors import UsageError
from dmlkit.experiments import EXPERIMENTS, Experiment
from dmlkit.models import ENCODERS, AttentionParts, AttentionProbe
from dmlkit.predictions import Predictions
from dmlkit.runs import Run, load_run
from dmlkit.text import shorten

# Videos encoded at once when frames are taken away: more would not be quicker on two cores.
ROWS = 64


@dataclass(frozen=True)
class Clip:
    """The frames of one video that a model reads.

    Args:
        frames: (n,) their numbers in the video, which are its seconds.
        features: Modality → (n, size), as the records hold them.
        texts: Text → (size,) its bag of tokens, the same whatever frames are taken away.
    """

    frames: np.ndarray
    features: dict[str, np.ndarray]
    texts: dict[str, np.ndarray] = field(default_factory=dict)


class OpenedRun:
    """A model with attention on a data set it fits.

    Args:
        run_or_model: A `Run`, the path of one, or a keras model.
        dataset: What `open_dataset` gives.

    Attributes:
        title: What the model is called.
        linear: Whether its logits are weighted sums over frames, exactly.

    Raises:
        UsageError: The model has no attention, the data have no frames, or the model was made for other data.
        DataError: The run or its model cannot be read.
    """

    def __init__(self, run_or_model, dataset):
        if isinstance(run_or_model, str | os.PathLike):
            run_or_model = load_run(run_or_model)
        if not isinstance(run_or_model, Run) and not hasattr(run_or_model, "layers"):
            raise UsageError(
                f"run: expected a run, the path of one, or a keras model. Received: {run_or_model!r:.80}."
            )
        self.run = run_or_model if isinstance(run_or_model, Run) else None
        self._dataset = dataset
        self._choice, self._max_frames = "first", None
        if dataset.level != "frame":
            raise UsageError(
                f"Attention weighs frames, and {dataset.name} holds one vector a video. Open frame-level data."
            )
        if self.run:
            _check_run(self.run)
            profile = self.run.record["profile"]
            self._choice, self._max_frames = profile["frame_choice"], profile["max_frames"]
        model = self.run.model if self.run else run_or_model
        self.title = shorten(self.run.title if self.run else model.name, 80)
        if "attention" not in {layer.name for layer in model.layers}:
            raise UsageError(f"The model '{self.title}' has no attention. {who_has_attention()}")
        _check_fit(model, dataset)
        self._opened = AttentionProbe(model)
        self.linear = self._opened.linear

    @cached_property
    def on_its_own_data(self) -> bool:
        """Whether these are bit for bit the data it was trained on; True where nobody knows."""
        return self.run is None or self.run.record["data"]["fingerprint"] == self._dataset.fingerprint

    def predictions(self, split: str) -> Predictions | None:
        """What the run said of this part when it was trained; None where it did not look at it."""
        return self.run.predictions if self.run and split == "validate" and self.on_its_own_data else None

    def predict(self, split: str, videos: int) -> np.ndarray:
        """(videos, classes) scores of the first videos of a part, by a pass of the model."""
        settings = {"frame_choice": self._choice, "max_frames": self._max_frames, "max_videos": videos}
        batches = self._dataset.batches(split, batch_size=ROWS, **settings)
        return np.concatenate([self._opened.parts(batch).scores for batch in batches])

    def clip(self, video: dict[str, np.ndarray]) -> Clip:
        """The frames it reads of one video.

        Args:
            video: A batch of one, with all its frames.
        """
        length = int(video["num_frames"][0])
        frames = np.arange(length)
        if self._max_frames is not None and length > self._max_frames:
            seed = frame_seed(str(video["id"][0]), seed=0, epoch=0)
            frames = frames[FRAME_CHOICES[self._choice](length, self._max_frames, seed=seed)]
        features = self._dataset.features
        return Clip(
            frames,
            {name: video[name][0, frames] for name, each in features.items() if each.in_frames},
            {name: video[name][0] for name, each in features.items() if not each.in_frames},
        )

    def warm(self, clip: Clip) -> None:
        """Make the graphs for any number of videos and frames, so that no later video waits for one.

        A graph is made for the first shape it meets, and once more, for all others, at the first other one.
        """
        length = len(clip.frames)
        padded = {name: np.pad(each, ((0, 1), (0, 0))) for name, each in clip.features.items()}
        longer = replace(clip, features=padded)
        self._parts(clip, np.ones((1, length), bool))
        parts = self._parts(longer, np.ones((2, length + 1), bool))
        if not self.linear:
            for rows in (1, 2):
                self._opened.classify(np.zeros((rows, parts.states.shape[2]), np.float32))

    def parts(self, clip: Clip) -> AttentionParts:
        """The video taken apart: scores (classes,), weights and logits (n,), states (n, size)."""
        found = self._parts(clip, np.ones((1, len(clip.frames)), bool))
        return AttentionParts(found.scores[0], found.weights[0], found.logits[0], found.states[0])

    def contributions(self, parts: AttentionParts, classes) -> np.ndarray | None:
        """(n, classes) w·h_t of some classes; None where the classifier is not linear."""
        return self._opened.contributions(parts.states, classes)

    def told(self, parts: AttentionParts, classes) -> dict[str, np.ndarray | None]:
        """What each frame says of some classes: `contributions` and `biases`, or `occlusion` where not linear."""
        if self.linear:
            return {
                "contributions": self.contributions(parts, classes),
                "biases": self._opened.biases(classes),
            }
        without = self.masked_scores(parts, ~np.eye(len(parts.weights), dtype=bool))
        return {"occlusion": parts.scores[list(classes)] - without[:, list(classes)]}

    def masked_scores(self, parts: AttentionParts, kept: np.ndarray) -> np.ndarray:
        """Scores with the weights of some frames set to 0 and the others renormalised; the states stay.

        Args:
            parts: Of the video.
            kept: (rows, n) bool. A row that keeps nothing is scored as a video without frames.

        Returns:
            (rows, classes).
        """
        scores = np.empty((len(kept), len(parts.scores)), np.float32)
        for start in range(0, len(kept), 512):
            rows = kept[start : start + 512]
            says = np.where(rows, parts.logits, -np.inf)
            highest = np.where(rows.any(axis=1), says.max(axis=1, initial=-np.inf), 0.0)
            shares = np.exp(says - highest[:, None])
            weights = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-30)
            scores[start : start + 512] = self._opened.classify((weights @ parts.states).astype(np.float32))
        return scores

    def removed_scores(self, clip: Clip, kept: np.ndarray) -> np.ndarray:
        """Scores of the video encoded again without some frames.

        Args:
            clip: The video.
            kept: (rows, n) bool. A row that keeps nothing is scored as a video without frames.

        Returns:
            (rows, classes).
        """
        if not len(kept):
            return np.empty((0, self._dataset.num_classes), np.float32)
        # Rows of about one length together: each group is padded to its longest.
        order = np.argsort(kept.sum(axis=1), kind="stable")
        groups = np.split(kept[order], range(ROWS, len(kept), ROWS))
        scores = np.empty((len(kept), self._dataset.num_classes), np.float32)
        scores[order] = np.concatenate([self._parts(clip, rows).scores for rows in groups])
        return scores

    def _parts(self, clip: Clip, kept: np.ndarray) -> AttentionParts:
        """The video once for each row, with the frames kept moved together."""
        lengths = kept.sum(axis=1).astype(np.int32)
        longest = max(1, int(lengths.max()))
        # The kept frames of each row first, in their order; what follows is padding and does not matter.
        order = np.argsort(~kept, axis=1, kind="stable")[:, :longest]
        inputs = {name: values[order] for name, values in clip.features.items()}
        inputs |= {name: np.repeat(bag[None], len(kept), axis=0) for name, bag in clip.texts.items()}
        return self._opened.parts(inputs | {"num_frames": lengths})


def without(clip: Clip, removed: np.ndarray) -> Clip:
    """The clip without some of its frames.

    Args:
        clip: The video.
        removed: (n,) bool.
    """
    features = {name: each[~removed] for name, each in clip.features.items()}
    return replace(clip, frames=clip.frames[~removed], features=features)


def energy_and_change(clip: Clip, dataset) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Each modality's norm of the features frame by frame, and their distance to the frame before; texts have none.

    Args:
        clip: The video.
        dataset: Says how the features are coded.
    """
    energy, change = {}, {}
    for name, values in clip.features.items():
        byte = dataset.features[name].coding == "byte"
        values = dequantize(values) if byte else values.astype(np.float32)
        energy[name] = np.linalg.norm(values, axis=1)
        change[name] = np.linalg.norm(np.diff(values, axis=0, prepend=values[:1]), axis=1)
    return energy, change


def who_has_attention() -> str:
    """Which poolings, encoders and experiments weigh frames, in two sentences."""
    names = [
        name
        for name, each in EXPERIMENTS.items()
        if isinstance(each, Experiment) and each.pooling == "attention" and not each.trick
    ]
    return (
        f"Only the pooling 'attention' weighs frames, behind any encoder of frame-level data ({', '.join(ENCODERS)}). "
        f"The experiments that have it are {', '.join(names)}."
    )


def _check_run(run: Run) -> None:
    if run.record["kind"] != "training":
        raise UsageError(f"{run.name} is an ensemble and weighs no frames. {who_has_attention()}")
    if run.experiment.pooling != "attention":
        raise UsageError(
            f"{run.name} has no attention: its pooling is '{run.experiment.pooling}'. {who_has_attention()}"
        )


def _check_fit(model, dataset) -> None:
    wanted = {name: each.shape[-1] for name, each in model.input.items() if name != "num_frames"}
    there = {name: feature.size for name, feature in dataset.features.items()}
    if wanted != there or model.output_shape[-1] != dataset.num_classes:
        raise UsageError(
            f"The model was made for other data: it reads {_sizes(wanted)} and scores {model.output_shape[-1]} "
            f"classes, and {dataset.name} holds {_sizes(there)} and {dataset.num_classes} classes. Open the data set "
            "that it was trained on."
        )


def _sizes(features: dict[str, int]) -> str:
    return ", ".join(f"{name} ({size})" for name, size in sorted(features.items()))
