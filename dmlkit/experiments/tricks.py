"""Ways to train one and the same model otherwise: each trick alone, on the rung that it is measured against.

    dmlkit train attention-mixup --data DIR        frame level: `attention` with one trick
    dmlkit train hidden-concat-ema --data DIR      video level: `hidden-concat` with one trick

A trick changes fields of the profile, whichever it is, and nothing of the model. The values are usual ones and were not
tuned on anything. Every rung is scored as its base is: on all the frames and modalities that a video has.

Differs from the paper: it trains on whole videos and their plain labels. Random frames are its §Future work, the others
are from Zou et al. 2017 and later solutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dmlkit.errors import choose
from dmlkit.experiments.ladder import ATTENTION, VIDEO_LADDER
from dmlkit.experiments.rung import Ensemble, Experiment


@dataclass(frozen=True, kw_only=True)
class Trick:
    """What a training does otherwise.

    Args:
        title: Name for people, behind the base's.
        changes: Fields of `Profile` and their values.
        teachers: Level of the data → the names of rungs that teach.
        levels: Of the data that it can change anything for.
    """

    title: str
    changes: Mapping[str, object] = field(default_factory=dict)
    teachers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    levels: tuple[str, ...] = ("frame", "video")


TRICKS: dict[str, Trick] = {
    # Half, so that it means the same for 20 frames as for 300; frames drawn this way stay in their order of time.
    "random-frames": Trick(
        title="half of the frames, drawn anew each epoch", changes={"frame_share": 0.5}, levels=("frame",)
    ),
    "modality-dropout": Trick(title="modality dropout", changes={"modality_dropout": 0.2}),
    "label-smoothing": Trick(title="label smoothing", changes={"label_smoothing": 0.1}),
    "mixup": Trick(title="mixup", changes={"mixup": 0.4}),
    # About the last 100 steps: a small fraction of the shortest budget that is worth a score.
    "ema": Trick(title="moving average of the weights", changes={"ema": 0.99}),
    "cosine": Trick(title="cosine rate", changes={"schedule": "cosine"}),
    # Two, so that even a budget of two epochs can be divided.
    # It goes on to its last cycle's end: the models at the ends of all cycles are what `CHECKPOINTS` combines.
    "cyclic": Trick(
        title="cyclic rate",
        changes={"schedule": "cyclic", "cycles": 2, "checkpoints": 2, "patience": 1_000},
    ),
    "class-balance": Trick(title="class-balanced sampling", changes={"class_balance": 0.5}),
    # What the base and the rungs nearest to it say together; the base is among them, so the student is no smaller.
    "distilled": Trick(
        title="distilled from three",
        teachers={
            "frame": ("bi-lstm", "bi-gru-concat", "attention"),
            "video": ("lr", "mixture-of-experts", "hidden-concat"),
        },
    ),
}

BASES: dict[str, Experiment] = {"frame": ATTENTION, "video": VIDEO_LADDER["hidden-concat"]}
"""Level of the data → the rung that is trained with each trick."""

CHECKPOINTS: dict[str, Ensemble] = {
    level: Ensemble(
        name=f"{base.name}-checkpoints",
        title=f"{base.title}, checkpoints of one training",
        members=(f"{base.name}-cyclic",),
        member_runs="checkpoints",
        chapter="beyond",
    )
    for level, base in BASES.items()
}
"""Level of the data → the base's models at the ends of one training's cycles, combined (Huang et al., 2017)."""


def trick_ablations(level: str) -> dict[str, Experiment]:
    """Name → the base rung of a level with one trick, in the order of `TRICKS`.

    Args:
        level: `"frame"` or `"video"`.

    Raises:
        UsageError: An unknown level.
    """
    base = choose(BASES, level, what="level")
    rungs = [
        replace(
            base,
            name=f"{base.name}-{name}",
            title=f"{base.title}, {trick.title}",
            chapter="beyond",
            trick=name,
            teachers=trick.teachers.get(level, ()),
            paper_gap=None,
        )
        for name, trick in TRICKS.items()
        if level in trick.levels
    ]
    return {rung.name: rung for rung in rungs}
