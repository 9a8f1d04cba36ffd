"""Plain arrays as a source of the attention explorer: weights, and what else is known of the frames. No model."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy.special import softmax

from dmlkit.errors import DataError, UsageError, choose, readable
from dmlkit.explorer.evidence import (
    MASKING,
    SUM_TOLERANCE,
    Evidence,
    as_array,
    as_list,
    class_scores,
    distinct,
    reweight,
    select_classes,
)
from dmlkit.explorer.sources import Source, unit

AXES = {"weights": ("frames", "groups"), "logits": ("frames", "groups"), "scores": ("classes",)}
AXES |= {"contributions": ("frames", "groups", "classes"), "occlusion": ("frames", "classes")}
AXES |= {"states": ("frames", "size")}  # "groups" only where these have names


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
        self._states, self._evidence, names = {}, {}, []
        for name, each in videos.items():
            self._evidence[name] = self._make(name, **each)
            names.append(self.class_names)
        self.class_names = max(names, key=len, default=())  # a video may have fewer classes than another

    def evidence(
        self, video: str, *, classes=(), removed=(), muted=None, explanation="own", by_modality=False, **_
    ) -> tuple[Evidence]:
        """The evidence of a video, as `ModelSource.evidence` gives it; what would take a model is refused."""
        if len(removed) or muted:
            raise UsageError(
                "Only a model can encode a video without removed or muted frames. Mask them instead."
            )
        if explanation != "own" or by_modality:
            raise UsageError("Arrays are drawn as they are: there is no model to explain by other terms.")
        full, wanted = self._evidence[video], self.class_numbers(classes)
        if unknown := set(wanted) - set(range(len(self.class_names))):
            raise UsageError(f"classes: neither scores nor contributions are given of {min(unknown)}.")
        chosen = [k for k in select_classes(full.scores, full.true, wanted) if k in full.classes]
        arrays = {name: getattr(full, name) for name in ("scores", "biases", "contributions", "terms")}
        columns = {name: None if array is None else array[..., chosen] for name, array in arrays.items()}
        columns |= {"term_classes": chosen if full.term_classes else ()}
        return (replace(full, classes=chosen, names=[full.names[label] for label in chosen], **columns),)

    def _make(self, video: str, *, times, ground_truth, true, energy, change, **given) -> Evidence:
        """One video with all its classes; `given` are the arrays of `AXES`."""
        given = {
            name: self._array(video, name, each)
            for name, each in given.items()
            if each is not None or name == "weights"
        }
        weights, linear, ground_truth = given["weights"], "contributions" in given, ground_truth or {}
        if linear and ("scores" in given or "occlusion" in given):
            raise UsageError("Contributions determine the scores: give them, or scores and occlusion.")
        if not linear and (self._biases is not None or ("occlusion" in given and "scores" not in given)):
            raise UsageError("biases need contributions, and occlusion needs scores.")
        if not isinstance(ground_truth, Mapping):
            raise UsageError(f"ground_truth: expected a dict by class. Received: {ground_truth!r:.80}.")
        if not all(np.isin(as_array(row, "ground_truth"), (0, 1)).all() for row in ground_truth.values()):
            raise DataError(f"ground_truth: expected booleans, one a frame. Received: {ground_truth!r:.80}.")
        if self._normalize and len(weights) and (total := weights.sum(axis=0)).all():
            weights = weights / total
        count = given["contributions" if linear else "scores"].shape[-1] if linear or "scores" in given else 0
        names = [""] * count if self._given_names is None else as_list(self._given_names, "class_names")
        self.class_names = distinct(readable(names), what="class")  # class 0, class 1, …
        known = {"weights": weights, "times": np.arange(len(weights)) if times is None else times}
        known |= {"groups": self._groups or ("",), "scores": given.get("scores", np.zeros(count))}
        if linear:
            known |= {
                "contributions": given["contributions"],
                "parts": [*enumerate([None] * weights.shape[1])],
            }
            known |= {"biases": np.zeros(count) if self._biases is None else self._biases}
        elif "occlusion" in given:
            known |= {"terms": given["occlusion"][:, None], "term_classes": range(count)}
            known |= {"terms_title": MASKING}
        known |= {"true": None if true is None else self.class_numbers(true, "true")}
        known["ground_truth"] = {
            self.class_numbers([k], "ground_truth")[0]: row for k, row in ground_truth.items()
        }
        known |= {"energy": _by_modality(energy), "change": _by_modality(change)}
        names = self.class_names if count else ()
        evidence = Evidence(video=video, run=self.runs[0], classes=range(count), names=names, **known)
        if (logits := given.get("logits")) is not None:
            # `Evidence` refuses wrong shapes and numbers that are not finite; but where a weight is 0, −∞ is its logit.
            comparable = (
                logits.shape == weights.shape and np.isfinite(logits.max(axis=0, initial=-np.inf)).all()
            )
            if comparable and len(logits):
                error = float(np.abs(softmax(logits, axis=0) - weights).max())
                if error > SUM_TOLERANCE:
                    raise UsageError(f"{video!r}: weights and softmax of the logits differ by {error:.3g}.")
                logits = None if np.isneginf(logits).any() else logits
            evidence = replace(evidence, logits=logits)
        self._states[video] = states = given.get("states")
        if states is not None and (len(states) != len(weights) or not np.isfinite(states).all()):
            what = f"expected {len(weights)} rows of finite numbers, one a frame"
            raise DataError(f"{video!r}, states: {what}. Received: an array of the shape {states.shape}.")
        scores = class_scores(evidence, reweight(evidence))
        return evidence if scores is None else replace(evidence, scores=scores)

    def _array(self, video: str, name: str, values) -> np.ndarray:
        """An array with the axes of `AXES`, the one of groups also where it is not given; weights for all classes."""
        axes = [axis for axis in AXES[name] if axis != "groups" or self._groups]
        array = as_array(values, f"{video!r}, {name}", np.float64)
        if array.ndim != len(axes):
            message = f"{name} must be an array ({', '.join(axes)}). Received: one of the shape {array.shape}"
            hint = (
                " Several groups of weights need their names: groups=[…]." if "groups" in AXES[name] else ""
            )
            raise UsageError(f"{video!r}: {message}.{hint}")
        array = array[:, None] if len(axes) < len(AXES[name]) else array
        return array[:, :, None] if name in ("weights", "logits") else array

    def vectors(self, video: str, of: str) -> np.ndarray:
        """(frames, size) the states given; `of` is always "states"."""
        if (states := self._states[video]) is None:
            raise UsageError(f"No states of {video!r} were given to compare frames by. Give states=…")
        return choose({"states": states}, of, what="vectors of frames")

    def times(self, video: str) -> np.ndarray:
        """(frames,) seconds."""
        return self._evidence[video].times

    @cached_property
    def _index(self) -> tuple[dict[str, np.ndarray], int]:
        return {name: unit(each) for name, each in self._states.items() if each is not None}, 1


def _by_video(weights, arrays: Mapping, grouped: bool) -> dict[str, dict]:
    """Id → the arrays of one video, out of dicts by id, lists, or one video's own."""
    shape = tuple(getattr(weights, "shape", ()))
    if not grouped and len(shape) == 2 and shape[1] == 1 < shape[0]:
        several = f"list(weights) for {len(weights)} videos of one frame"
        raise UsageError(
            f"weights: {shape} is one column. Give weights[:, 0] for one video, or {several} each."
        )
    given = {name: rows for name, rows in arrays.items() if rows is not None}
    if not isinstance(weights, Mapping):
        listed = as_list(weights, "weights")
        if not listed or as_array(listed[0], "weights").ndim == grouped:
            return {"video": {"weights": listed, **arrays}}
        ids = [f"video {number}" for number in range(len(listed))]
        for name, rows in given.items():
            if len(rows := as_list(rows, name)) != len(ids):
                raise UsageError(
                    f"{name}: expected one for each of {len(ids)} videos. Received: {rows!r:.60}."
                )
            given[name] = dict(zip(ids, rows, strict=True))
        weights = dict(zip(ids, listed, strict=True))
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
