"""What a model with attention made of some videos: weights, scores, and what is known of the truth."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from dmlkit.data.frame_choice import FRAME_CHOICES, seed_of
from dmlkit.errors import DataError, UsageError, choose
from dmlkit.experiments import EXPERIMENTS, Experiment
from dmlkit.models import with_attention
from dmlkit.runs import Run, load_run


@dataclass(frozen=True)
class AttendedVideo:
    """One video as the model saw it.

    Args:
        id: Its name in the data.
        weights: (frames,) the attention's, a sum of 1.
        scores: (classes,) the model's.
        true: Its labels; None where the part has none.
        times: (frames,) seconds from the start of the video, one frame a second.
        planted: Class → (frames,) whether this frame made that label; empty where the data do not say.
    """

    id: str
    weights: np.ndarray
    scores: np.ndarray
    true: tuple[int, ...] | None
    times: np.ndarray
    planted: dict[int, np.ndarray]


def attended_videos(
    model,
    dataset,
    *,
    split: str,
    videos: int,
    frame_choice: str = "first",
    max_frames: int | None = None,
) -> dict[str, AttendedVideo]:
    """Score the first videos of a part and keep the weights.

    Args:
        model: A model with pooling "attention".
        dataset: What `open_dataset` gives.
        split: The part.
        videos: How many at most.
        frame_choice, max_frames: The frames read of each video.

    Returns:
        Id → video, in the order of the data.

    Raises:
        UsageError: The model has no attention, or was made for other data.
        DataError: The part holds no videos.
    """
    if dataset.level != "frame":
        raise UsageError(
            f"Attention weighs frames, and {dataset.name} holds one vector a video. Open frame-level data."
        )
    if videos < 1:
        raise UsageError(f"There must be at least one video to look at. Received: videos={videos}.")
    choose(FRAME_CHOICES, frame_choice, what="frame choice")
    extended = with_attention(model)
    _check_fit(model, dataset)
    settings = {"batch_size": min(videos, 16), "max_videos": videos}
    chosen = dataset.batches(split, frame_choice=frame_choice, max_frames=max_frames, **settings)
    truth, found = dataset.truth(split), {}
    # The second reading tells how long each video was, so that a chosen frame knows its second.
    for batch, whole in zip(chosen, dataset.batches(split, **settings), strict=True):
        outputs = extended({name: batch[name] for name in model.input}, training=False)
        weights, scores = np.asarray(outputs["attention_weights"]), np.asarray(outputs["scores"])
        for row, (name, length) in enumerate(
            zip(batch["id"].tolist(), whole["num_frames"].tolist(), strict=True)
        ):
            frames = np.arange(length)
            if max_frames is not None and length > max_frames:
                frames = frames[
                    FRAME_CHOICES[frame_choice](length, max_frames, seed=seed_of(name, seed=0, epoch=0))
                ]
            found[name] = AttendedVideo(
                id=name,
                weights=weights[row, : len(frames)],
                scores=scores[row],
                true=tuple(np.flatnonzero(batch["labels"][row]).tolist()) if "labels" in batch else None,
                times=frames.astype(float),
                planted={label: np.isin(frames, made) for label, made in truth.get(name, {}).items()},
            )
    if not found:
        raise DataError(f"The '{split}' part of {dataset.name} holds no videos.")
    return found


def model_of(run_or_model) -> tuple:
    """A model with attention, what it is called, and how its frames were chosen.

    Args:
        run_or_model: A `Run`, the path of one, or a keras model.

    Raises:
        UsageError: It has no attention; the message says which experiments have.
    """
    if isinstance(run_or_model, str | os.PathLike):
        run_or_model = load_run(run_or_model)
    if isinstance(run_or_model, Run):
        run = run_or_model
        if run.record["kind"] != "training":
            raise UsageError(f"{run.name} is an ensemble and weighs no frames. {_who_has_attention()}")
        if run.experiment.pooling != "attention":
            raise UsageError(
                f"{run.name} has no attention: its pooling is '{run.experiment.pooling}'. {_who_has_attention()}"
            )
        return (
            run.model,
            run.title,
            {name: run.record["profile"][name] for name in ("frame_choice", "max_frames")},
        )
    if "attention" not in {layer.name for layer in run_or_model.layers}:
        raise UsageError(f"The model '{run_or_model.name}' has no attention. {_who_has_attention()}")
    return run_or_model, run_or_model.name, {}


def _who_has_attention() -> str:
    names = [
        each.name
        for each in EXPERIMENTS.values()
        if isinstance(each, Experiment) and each.pooling == "attention"
    ]
    return (
        "Only the pooling 'attention' weighs frames, behind any encoder that reads them; the experiments that "
        f"have it are {', '.join(names)}."
    )


def _check_fit(model, dataset) -> None:
    wanted = {name for name in model.input if name != "num_frames"}
    if wanted != set(dataset.features) or model.output_shape[-1] != dataset.num_classes:
        raise UsageError(
            f"The model was made for other data: it reads {', '.join(sorted(wanted))} and scores "
            f"{model.output_shape[-1]} classes, and {dataset.name} holds {', '.join(sorted(dataset.features))} and "
            f"{dataset.num_classes} classes. Open the data set that it was trained on."
        )
