"""Is attention right? Many videos' worth of frames taken away, and of frames that are known to have made a label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dmlkit.errors import UsageError, choose
from dmlkit.explorer.sources import ModelSource
from dmlkit.metrics import (
    deletion_curve,
    ground_truth_precision,
    insertion_curve,
    mean_interval,
    occlusion,
    random_importance,
)
from dmlkit.metrics.faithfulness import Score

QUESTIONS = {"remove": "encoded again without the frames", "mask": "the frames' weights set to 0"}
"""What taking a frame away means."""

CURVES = {"deletion": deletion_curve, "insertion": insertion_curve}
PLACES = 10
"""At how many places a curve is looked at: clips of AudioSet have ten frames."""


@dataclass(frozen=True)
class Faithfulness:
    """What the study found.

    Args:
        areas: A row an order of frames (index `order`): `deletion` (low is good), `insertion` (high is good), each
            with `_low` and `_high`; and `deletion_against_random`, `insertion_against_random`, the mean difference
            from random orders of the same videos, with its interval.
        curves: A row an order, curve and place: `order`, `curve`, `share`, `score`, `low`, `high`.
        planted: A row a kind of class (index `kind`) for labels that lie in part of their frames: `labels`, and
            for each of attention, contribution, occlusion and uniform the mean average precision with `_low` and
            `_high`. Empty where nobody knows.
        videos, run, data, generated, question: What was measured on what.
    """

    areas: pd.DataFrame
    curves: pd.DataFrame
    planted: pd.DataFrame
    videos: int
    run: str
    data: str
    generated: bool
    question: str


def faithfulness_study(
    run_or_source,
    data=None,
    *,
    videos: int = 100,
    split: str = "validate",
    question: str = "remove",
    seeds: int = 5,
) -> Faithfulness | None:
    """Take frames away in the order of attention, of their contributions, of occlusion and at random.

    The score that is followed is that of the class which the model scores highest, in each video. Occlusion takes
    every frame away alone, by the same question; in the view, occlusion always masks. The random orders' score is the
    mean over their seeds.

    Args:
        run_or_source: A `Run` with attention, the path of one, a keras model, or a `ModelSource`, whose first run
            is meant; None where the data set cannot serve one.
        data: The data set or its path; not needed with a source.
        videos: The part's first videos, at most. A video of one frame has no order and is left out.
        split: The part; a source has its own.
        question: "remove" encodes the video again without the frames; "mask" sets their weights to 0.
        seeds: Random orders a video.

    Returns:
        What was found; None without a run.

    Raises:
        UsageError: An unknown question, a run without attention, or no video with two frames.
        DataError: The run or the data cannot be read.
    """
    choose(QUESTIONS, question, what="question")
    source = run_or_source
    if source is None:
        return None
    if not isinstance(source, ModelSource):
        source = ModelSource(run_or_source, data, split=split, max_videos=videos)
    curves, planted = [], []
    for number, name in enumerate(list(source.videos)[:videos]):
        looked = _Video(source, name, question)
        if looked.frames > 1:
            curves.append(looked.curves(seeds=seeds, seed=number))
        planted.extend(looked.planted())
    if not curves:
        raise UsageError(f"No video of {source.data} has two frames, so there is no order of frames to test.")
    grid = np.linspace(0, 1, PLACES + 1)
    return Faithfulness(
        areas=_areas(curves),
        curves=_mean_curves(curves, grid),
        planted=_planted(planted),
        videos=len(curves),
        run=source.runs[0],
        data=source.data,
        generated=source.generated,
        question=question,
    )


class _Video:
    """One video: how its frames are ordered by each way, and what its scores become without some of them."""

    def __init__(self, source: ModelSource, name: str, question: str):
        self.source, self.run = source, source.opened[0]
        clips, parts, _ = source.look(name)
        self.clip, self.parts, self.name = clips[0], parts[0], name
        self.frames = len(self.clip.frames)
        if question == "remove":
            self.scores = lambda kept: self.run.removed_scores(self.clip, kept)
        else:
            self.scores = lambda kept: self.run.masked_scores(self.parts, kept)
        self.weights = self.parts.weights.astype(np.float64)
        self.without = occlusion(self.scores, self.frames)  # (frames, classes)

    def importance(self, label: int) -> dict[str, np.ndarray]:
        """Way of ordering → (frames,) importance for a class."""
        ways = {"attention": self.weights}
        if self.run.linear:
            ways["contribution"] = self.weights * self.run.contributions(self.parts, [label])[:, 0]
        return ways | {"occlusion": self.without[:, label]}

    def curves(self, *, seeds: int, seed: int) -> dict[tuple[str, str], tuple]:
        """(order, curve) → shares, scores, area, for the class that is scored highest."""
        label = int(self.parts.scores.argmax())
        ways = {way: [each] for way, each in self.importance(label).items()}
        ways["random"] = random_importance(self.frames, seeds=seeds, seed=seed)
        asked: list[np.ndarray] = []
        self._draw(ways, lambda kept: asked.append(kept) or np.zeros(len(kept)))
        # Every choice of frames at once, each only once: a recurrent encoder takes many videos as fast as one.
        rows = np.unique(np.concatenate(asked), axis=0)
        scores = dict(zip(map(bytes, rows), self.scores(rows)[:, label].tolist(), strict=True))
        return self._draw(ways, lambda kept: np.array([scores[bytes(row)] for row in kept]))

    @staticmethod
    def _draw(ways: dict, score: Score) -> dict[tuple[str, str], tuple]:
        found = {}
        for curve, draw in CURVES.items():
            for way, orders in ways.items():
                drawn = [draw(score, each, steps=PLACES) for each in orders]
                found[way, curve] = (
                    drawn[0].shares,
                    np.mean([each.scores for each in drawn], axis=0),
                    np.mean([each.area for each in drawn]),
                )
        return found

    def planted(self) -> list[dict]:
        """For each label that lies in part of the frames: its kind, and each way's average precision."""
        kinds, rows = self.source.dataset.class_kinds, []
        for label, made in self.source.truth.get(self.name, {}).items():
            right = np.isin(self.clip.frames, made)
            if right.any() and not right.all():
                ways = self.importance(label) | {"uniform": np.full(self.frames, 1 / self.frames)}
                found = {way: ground_truth_precision(each, right) for way, each in ways.items()}
                rows.append({"kind": kinds[label] if kinds else "all classes"} | found)
        return rows


def _areas(curves: list[dict]) -> pd.DataFrame:
    ways = list(dict.fromkeys(way for way, _ in curves[0]))
    rows = {}
    for way in ways:
        row = {}
        for curve in CURVES:
            areas = np.array([each[way, curve][2] for each in curves])
            row |= _mean(curve, areas)
            if way != "random":
                row |= _mean(f"{curve}_against_random", areas - [each["random", curve][2] for each in curves])
        rows[way] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("order")


def _mean_curves(curves: list[dict], grid: np.ndarray) -> pd.DataFrame:
    rows = []
    for way, curve in curves[0]:
        # Short videos have fewer places than the grid: between two of them the line is straight, as in the area.
        lines = np.array([np.interp(grid, *each[way, curve][:2]) for each in curves])
        for place, share in enumerate(grid):
            row = _mean("score", lines[:, place])
            rows.append((way, curve, share, row["score"], row["score_low"], row["score_high"]))
    return pd.DataFrame(rows, columns=["order", "curve", "share", "score", "low", "high"])


def _planted(rows: list[dict]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame()
    every = pd.DataFrame(rows)
    ways = [name for name in every.columns if name != "kind"]
    found = {}
    for kind, part in [*every.groupby("kind", sort=False), ("all", every)]:
        found[kind] = {"labels": len(part)}
        for way in ways:
            found[kind] |= _mean(way, part[way].to_numpy())
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("kind")


def _mean(name: str, values: np.ndarray) -> dict[str, float]:
    low, high = mean_interval(values)
    return {name: float(np.mean(values)), f"{name}_low": low, f"{name}_high": high}
