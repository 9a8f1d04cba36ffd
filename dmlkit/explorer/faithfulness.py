"""Is attention faithful? Scores while frames are removed in several orders, and frames known to have made a label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from dmlkit import metrics
from dmlkit.errors import UsageError, choose
from dmlkit.explorer.sources import ModelSource

QUESTIONS = {"remove": "encoded again without the frames", "mask": "the frames' weights set to 0"}
CURVES = {"deletion": metrics.deletion_curve, "insertion": metrics.insertion_curve}
STEPS = 10
"""At how many shares of the frames a curve is evaluated: clips of AudioSet have ten frames."""


@dataclass(frozen=True)
class Faithfulness:
    """The study's results; means have their interval as `_low` and `_high`.

    Args:
        areas: A row an order of frames (index `order`): `deletion` (low is good), `insertion` (high is good), and
            `deletion_against_random`, `insertion_against_random`, the mean difference from random orders.
        curves: A row an order, curve and share: `order`, `curve`, `share`, `score`, `low`, `high`.
        ground_truth: A row a kind of class (index `kind`) for labels made by a part of the frames: `labels`, and each
            criterion's mean average precision of these frames. Empty where they are not known.
        videos, run, data, generated, question: What was measured on what.
    """

    areas: pd.DataFrame
    curves: pd.DataFrame
    ground_truth: pd.DataFrame
    videos: int
    run: str
    data: str
    generated: bool
    question: str


def faithfulness_study(
    run_or_source, data=None, *, videos: int = 100, split="validate", question="remove", seeds: int = 5
) -> Faithfulness | None:
    """Take frames away in the order of attention, of their contributions, of occlusion and at random.

    The score is that of the class which the model scores highest, in each video. Occlusion takes every frame away
    alone, in the same sense as `question`. The random orders' score is the mean over their seeds.

    Args:
        run_or_source: A `Run` with attention, the path of one, a keras model, or a `ModelSource`, of which the first
            run is studied; None where the data set has no such run.
        data: The data set or its path; not needed with a source.
        videos: The split's first videos, at most. A video of one frame is left out.
        split: The split; a source has its own.
        question: "remove" encodes the video again without the frames; "mask" sets their weights to 0.
        seeds: Random orders a video.

    Returns:
        The results; None without a run.

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
    curves, precisions = [], []
    for seed, name in enumerate(list(source.videos)[:videos]):
        video = _Video(source, name, question)
        if video.frames > 1:
            curves.append(video.curves(metrics.random_importance(video.frames, seeds=seeds, seed=seed)))
        precisions.extend(video.precisions())
    if not curves:
        raise UsageError(f"No video of {source.data} has two frames, so there is no order of frames to test.")
    labels, kinds = pd.DataFrame(precisions), {}
    if precisions:
        for kind, rows in [*labels.groupby("kind", sort=False), ("all", labels)]:
            kinds[kind] = {"labels": len(rows)} | _means(rows.drop(columns="kind"))
    truth = pd.DataFrame.from_dict(kinds, orient="index").rename_axis("kind")
    conditions = (len(curves), source.runs[0], source.data, source.generated, question)
    return Faithfulness(_areas(curves), _mean_curves(curves), truth, *conditions)


class _Video:
    """One video: the importance of its frames by several criteria, and its scores without some of them."""

    def __init__(self, source: ModelSource, name: str, question: str):
        (self.clip, *_), (self.parts, *_), _ = source.open_video(name)
        self.model, self.kinds = source.models[0], source.dataset.class_kinds
        self.made, self.frames = source.ground_truth.get(name, {}), len(self.clip.frames)
        removes = partial(self.model.removed_scores, self.clip), partial(self.model.masked_scores, self.parts)
        self.scores = removes[question == "mask"]
        self.occlusion = metrics.occlusion(self.scores, self.frames)  # (frames, classes)

    def importance(self, label: int) -> dict[str, np.ndarray]:
        """Criterion → (frames,) importance for a class."""
        found = {"attention": self.parts.weights.astype(np.float64)}
        if self.model.linear:
            terms = self.model.class_terms(self.parts, [label])["contributions"][:, 0]
            found["contribution"] = found["attention"] * terms
        return found | {"occlusion": self.occlusion[:, label]}

    def curves(self, random: np.ndarray) -> dict[tuple[str, str], tuple]:
        """(order, curve) → shares, scores, area, for the class that is scored highest."""
        label = int(self.parts.scores.argmax())
        orders = {name: [each] for name, each in self.importance(label).items()} | {"random": random}
        requested: list[np.ndarray] = []
        _curves(orders, lambda kept: requested.append(kept) or np.zeros(len(kept)))
        # All choices of frames at once, each only once: a recurrent encoder takes many videos as fast as one.
        rows = np.unique(np.concatenate(requested), axis=0)
        scores = dict(zip(map(bytes, rows), self.scores(rows)[:, label].tolist(), strict=True))
        return _curves(orders, lambda kept: np.array([scores[bytes(row)] for row in kept]))

    def precisions(self) -> list[dict]:
        """For each label that a part of the frames made: its kind, and each criterion's average precision."""
        rows = []
        for label, made in self.made.items():
            right = np.isin(self.clip.frames, made)
            if right.any() and not right.all():
                importance = self.importance(label) | {"uniform": np.ones(self.frames)}
                row = {name: metrics.ground_truth_precision(each, right) for name, each in importance.items()}
                rows.append({"kind": self.kinds[label] if self.kinds else "all classes"} | row)
        return rows


def _curves(orders: dict, score: Callable[[np.ndarray], np.ndarray]) -> dict[tuple[str, str], tuple]:
    found = {}
    for curve, compute in CURVES.items():
        for order, importances in orders.items():
            each = [compute(score, importance, steps=STEPS) for importance in importances]
            scores, areas = [one.scores for one in each], [one.area for one in each]
            found[order, curve] = each[0].shares, np.mean(scores, axis=0), np.mean(areas)
    return found


def _areas(curves: list[dict]) -> pd.DataFrame:
    areas = pd.DataFrame([{key: found[2] for key, found in each.items()} for each in curves])
    rows = {}
    for order in dict.fromkeys(order for order, _ in curves[0]):
        columns = {}
        for curve in CURVES:
            columns[curve] = areas[order, curve]
            if order != "random":
                columns[f"{curve}_against_random"] = areas[order, curve] - areas["random", curve]
        rows[order] = _means(pd.DataFrame(columns))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("order")


def _mean_curves(curves: list[dict]) -> pd.DataFrame:
    rows, shares = [], np.linspace(0, 1, STEPS + 1)
    for order, curve in curves[0]:
        # Short videos have fewer shares; a curve is linear between them, as in its area.
        lines = np.array([np.interp(shares, *each[order, curve][:2]) for each in curves])
        means = [_means(pd.DataFrame({"score": scores})).values() for scores in lines.T]
        rows += [(order, curve, share, *mean) for share, mean in zip(shares, means, strict=True)]
    return pd.DataFrame(rows, columns=["order", "curve", "share", "score", "low", "high"])


def _means(table: pd.DataFrame) -> dict[str, float]:
    """Each column's mean, with the ends of its interval as `_low` and `_high`."""
    found = {}
    for name, values in table.items():
        low, high = metrics.mean_interval(values.to_numpy())
        found |= {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
    return found
