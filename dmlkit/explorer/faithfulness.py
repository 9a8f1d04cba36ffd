"""Is attention faithful? Scores while frames are removed in several orders, and frames known to have made a label."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from dmlkit import metrics
from dmlkit.errors import UsageError, choose
from dmlkit.explorer.sources import ModelSource
from dmlkit.plots.attention import QUESTIONS

CURVES = {"deletion": metrics.deletion_curve, "insertion": partial(metrics.deletion_curve, insert=True)}
STEPS = 10  # at how many shares of the frames a curve is evaluated: clips of AudioSet have ten frames


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
        videos: How many of the split's videos, at most. A video of one frame is left out.
        split: The split; a source has its own.
        question: "remove" encodes the video again without the frames; "mask" sets their weights to 0.
        seeds: Random orders a video.

    Raises:
        UsageError: An unknown question, a run without attention, or no video with two frames.
        DataError: The run or the data cannot be read.
    """
    choose(QUESTIONS, question, what="question")
    if (source := run_or_source) is None:
        return None
    if not isinstance(source, ModelSource):
        source = ModelSource(run_or_source, data, split=split, max_videos=videos)
    names = enumerate(list(source.videos)[:videos])
    found = [_study_video(source, name, question, seeds=seeds, seed=seed) for seed, name in names]
    curves = [each for each, _ in found if each]
    if not curves:
        raise UsageError(f"No video of {source.data} has two frames, so there is no order of frames to test.")
    labels, kinds = pd.DataFrame([row for _, rows in found for row in rows]), {}
    if len(labels):
        for kind, rows in [*labels.groupby("kind", sort=False), ("all", labels)]:
            kinds[kind] = {"labels": len(rows)} | _means(rows.drop(columns=["kind", "video"]), rows["video"])
    areas, rows, shares = {}, [], np.linspace(0, 1, STEPS + 1)
    values = {key: np.stack([each[key] for each in curves]) for key in curves[0]}
    for (order, curve), each in values.items():
        columns = {curve: each[:, -1]}
        if order != "random":
            columns[f"{curve}_against_random"] = each[:, -1] - values["random", curve][:, -1]
        areas.setdefault(order, {}).update(_means(columns))
        means = [_means({"score": scores}).values() for scores in each.T[:-1]]
        rows += [(order, curve, share, *mean) for share, mean in zip(shares, means, strict=True)]
    areas = pd.DataFrame.from_dict(areas, orient="index").rename_axis("order")
    truth = pd.DataFrame.from_dict(kinds, orient="index").rename_axis("kind")
    means = pd.DataFrame(rows, columns=["order", "curve", "share", "score", "low", "high"])
    conditions = (len(curves), source.runs[0], source.data, source.generated, question)
    return Faithfulness(areas, means, truth, *conditions)


def _study_video(source: ModelSource, name: str, question: str, **random) -> tuple[dict, list[dict]]:
    """(order, curve) → scores at the shares and area of one video; a row for each label that a part of it made."""
    (clip, *_), (parts, *_), _ = source.open_video(name)
    model, kinds, frames = source.models[0], source.dataset.class_kinds, len(clip.frames)
    methods = {"remove": partial(model.removed_scores, clip), "mask": partial(model.masked_scores, parts)}
    score, weights = methods[question], parts.weights.mean(axis=(1, 2), dtype=np.float64)
    occlusion = metrics.occlusion(score, frames)  # (frames, classes)

    def importance(label: int) -> dict[str, np.ndarray]:
        found = {"attention": weights}
        if model.linear:
            found["contribution"] = (
                weights * model.class_terms(clip, parts, [label])["contributions"][:, 0, 0]
            )
        return found | {"occlusion": occlusion[:, label]}

    precisions = []
    for label, made in source.ground_truth.get(name, {}).items():
        right = np.isin(clip.frames, made)
        if right.any() and not right.all():
            criteria = importance(label) | {"uniform": np.ones(frames)}
            row = {each: metrics.ground_truth_precision(values, right) for each, values in criteria.items()}
            precisions.append({"kind": kinds[label] if kinds else "all classes", "video": name} | row)
    if frames < 2:
        return {}, precisions
    label = int(parts.scores.argmax())
    orders = {each: [values] for each, values in importance(label).items()}
    orders["random"] = metrics.random_importance(frames, **random)
    requested: list[np.ndarray] = []
    _curves(orders, lambda kept: requested.append(kept) or np.zeros(len(kept)))
    # All choices of frames at once, each only once: a recurrent encoder takes many videos as fast as one.
    rows = np.unique(np.concatenate(requested), axis=0)
    scores = dict(zip(map(bytes, rows), score(rows)[:, label].tolist(), strict=True))
    return _curves(orders, lambda kept: np.array([scores[bytes(row)] for row in kept])), precisions


def _curves(orders: dict, score: Callable[[np.ndarray], np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    found, shares = {}, np.linspace(0, 1, STEPS + 1)
    for curve, compute in CURVES.items():
        for order, importances in orders.items():
            each = [compute(score, importance, steps=STEPS) for importance in importances]
            # Short videos have fewer shares; a curve is linear between them, as in its area.
            scores = np.interp(shares, each[0].shares, np.mean([one.scores for one in each], axis=0))
            found[order, curve] = np.append(scores, np.mean([one.area for one in each]))
    return found


def _means(table: Mapping[str, np.ndarray], videos=None) -> dict[str, float]:
    """Each column's mean, with the ends of its interval over videos as `_low` and `_high`."""
    found = {}
    for name, values in table.items():
        low, high = metrics.mean_interval(values, videos=videos)
        found |= {name: float(pd.Series(values).mean()), f"{name}_low": low, f"{name}_high": high}
    return found
