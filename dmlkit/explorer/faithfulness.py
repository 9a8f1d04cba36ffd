"""Do weights and explanations find the frames that a score depends on? Frames removed in order, and the ground truth.

A criterion gives each frame of a video a number for one class, the highest first. Contributions, gradients and
occlusion are signed: frames that speak against the class come last.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from dmlkit import metrics
from dmlkit.errors import DataError, UsageError, choose
from dmlkit.explorer.evidence import distinct, weighted_terms
from dmlkit.explorer.explored_model import Clip, ExploredModel
from dmlkit.explorer.sources import ModelSource
from dmlkit.plots.attention import QUESTIONS
from dmlkit.plots.tables import as_runs

CURVES = {"deletion": metrics.deletion_curve, "insertion": partial(metrics.deletion_curve, insert=True)}
OCCLUSIONS = {"remove": "occlusion", "mask": "masking"}  # question → what it is called of each frame alone
KEYS = ["kind", "video", "label"]  # of a row of precisions
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
    """Take frames away in the order of weights, contributions, gradients, occlusion, and at random.

    The score is that of the class which the model scores highest, in each video. The criteria are those that the model
    has: weights only where it weighs frames, contributions only where they are exact. Occlusion takes every frame away
    alone, in the same sense as `question`. The random orders' score is the mean over their seeds.

    Args:
        run_or_source: A frame-level `Run`, the path of one, a keras model, or a `ModelSource`, of which the first run
            is studied; None where the data set has no such run.
        data: The data set or its path; not needed with a source.
        videos: How many of the split's videos, at most. A video of one frame is left out.
        split: The split; a source has its own.
        question: "remove" encodes the video again without the frames; "mask" sets their weights to 0.
        seeds: Random orders a video.

    Raises:
        UsageError: An unknown question, a run that reads no frames, "mask" where it cannot leave out frames' states, or
            no video with two frames.
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
            kinds[kind] = {"labels": len(rows)} | _means(rows.drop(columns=KEYS), rows["video"])
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


def ground_truth_study(runs, data, *, videos: int = 100, split: str = "validate") -> pd.DataFrame:
    """How well weights and explanations of each run rank the frames that made a label.

    Only labels made by a part of a video's frames count, each with the explanation of its own class. Of a run with
    `siblings` each label has the mean over the seeds.

    Args:
        runs: Frame-level runs in a mapping or a list, or one; paths and keras models as well.
        data, videos, split: As for `faithfulness_study`.

    Returns:
        A row a run (its title) and criterion (a name in `plots.attention.ORDERS`): `seeds`, `labels`, `precision`, the
        mean average precision over labels, and `difference`, its paired difference from uniform weights, both with the
        ends of their interval over videos as `_low` and `_high`. Empty where no such frames are known.

    Raises:
        UsageError: A run that reads no frames.
        DataError: A run or the data cannot be read.
    """
    found: dict[tuple[str, str], dict] = {}
    for run in [runs] if isinstance(runs, str | os.PathLike) else as_runs(runs):
        members, rows = [run, *getattr(run, "siblings", ())], []
        for member in members:
            source = ModelSource(member, data, split=split, max_videos=videos)
            for name in filter(source.ground_truth.get, list(source.videos)[:videos]):
                rows += _explain(source, name, OCCLUSIONS)[1]
        table = pd.DataFrame(rows, columns=[*rows[0]] if rows else KEYS).drop(columns="kind")
        table = table.groupby(KEYS[1:]).mean()
        title = distinct([*dict.fromkeys(each for each, _ in found), source.runs[0]], what="run")[-1]
        counts, owners = {"seeds": len(members), "labels": len(table)}, table.index.get_level_values("video")
        for criterion, values in table.items():
            columns = {"precision": values, "difference": values - table["uniform"]}
            found[title, criterion] = counts | _means(columns, owners)
    index = pd.MultiIndex.from_tuples(found, names=["run", "criterion"])
    return pd.DataFrame([*found.values()], index=index)


def _study_video(source: ModelSource, name: str, question: str, **random) -> tuple[dict, list[dict]]:
    """(order, curve) → scores at the shares and area of one video; a row for each label that a part of it made."""
    (clip, *_), (parts, *_), _ = source.open_video(name)
    if len(clip.frames) < 2:
        return {}, []
    label = int(parts.scores.argmax())
    criteria, precisions = _explain(source, name, [question], also=[label])
    orders = {each: values[:, -1:].T for each, values in criteria.items()}
    orders["random"] = metrics.random_importance(len(clip.frames), **random)
    requested: list[np.ndarray] = []
    _curves(orders, lambda kept: requested.append(kept) or np.zeros(len(kept)))
    # All choices of frames at once, each only once: a recurrent encoder takes many videos as fast as one.
    rows = np.unique(np.concatenate(requested), axis=0)
    scores = _scorer(source.models[0], clip, parts, question)(rows)[:, label].tolist()
    scores = dict(zip(map(bytes, rows), scores, strict=True))
    return _curves(orders, lambda kept: np.array([scores[bytes(row)] for row in kept])), precisions


def _scorer(model: ExploredModel, clip: Clip, parts, question: str) -> Callable[[np.ndarray], np.ndarray]:
    """From the frames that are kept, (rows, n) bool, to (rows, classes) scores."""
    methods = {"remove": partial(model.removed_scores, clip), "mask": partial(model.masked_scores, parts)}
    return methods[question]


def _explain(source: ModelSource, name: str, questions: Iterable[str], also=()) -> tuple[dict, list[dict]]:
    """Criterion → (n, labels) numbers of a video's frames, and a row for each label that a part of them made.

    The labels are these, and those `also`. A row has `KEYS` and each criterion's average precision.
    """
    (clip, *_), (parts, *_), _ = source.open_video(name)
    model, found, frames, made = source.models[0], {}, len(clip.frames), {}
    for label, seconds in source.ground_truth.get(name, {}).items():
        if 0 < (right := np.isin(clip.frames, seconds)).sum() < frames:
            made[label] = right
    if not (labels := [*made, *also]):
        return {}, []
    settings = {"explanation": "gradient_input", "by_modality": False}
    arrays = model.arrays(clip, parts, labels, kept=np.ones(frames, bool), **settings)
    weights = arrays["weights"]
    if weights is not None and arrays["kind"] != "mean":  # of which all are equal
        found["attention"] = parts.weights.mean(axis=(1, 2))[:, None]  # over heads, classes or features
        if parts.weights.shape[2] > 1:
            found["own"] = weights.mean(axis=1)
    if arrays["rollout"] is not None:
        found["rollout"] = arrays["rollout"][:, None]
    if model.linear:
        exact = model.class_terms(clip, parts, labels)
        if "contributions" in exact:
            exact["terms"] = weighted_terms(weights, exact["contributions"], exact["parts"])
        found["contribution"] = exact["terms"].sum(axis=1)
    found["gradient_input"] = arrays["terms"].sum(axis=1)  # over modalities
    integrated = model.class_terms(clip, parts, labels, explanation="integrated_gradients")
    found["integrated_gradients"] = integrated["terms"].sum(axis=1)
    for question in questions:
        if question == "remove" or model.maskable:
            scorer = _scorer(model, clip, parts, question)
            found[OCCLUSIONS[question]] = metrics.occlusion(scorer, frames)[:, labels]
    if not all(np.isfinite(values).all() for values in found.values()):
        why = "its training has diverged. Train it with a lower learning rate."
        raise DataError(f"Video {name!r}, {source.runs[0]}: explanations are not finite; {why}")
    found = {each: np.broadcast_to(values, (frames, len(labels))) for each, values in found.items()}
    criteria = found | {"uniform": np.ones((frames, len(labels)))}
    kinds, rows = source.dataset.class_kinds, []
    for at, (label, right) in enumerate(made.items()):
        keys = (kinds[label] if kinds else "all classes", name, label)
        precisions = [metrics.ground_truth_precision(values[:, at], right) for values in criteria.values()]
        rows.append(dict(zip([*KEYS, *criteria], [*keys, *precisions], strict=True)))
    return found, rows


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
