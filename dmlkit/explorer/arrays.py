"""Explore arrays of one's own: no model of this package, no data set, no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dmlkit.errors import DataError, UsageError, readable
from dmlkit.explorer.evidence import (
    SUM_TOLERANCE,
    Evidence,
    class_numbers,
    class_scores,
    distinct,
    select_classes,
)
from dmlkit.explorer.widget import AttentionExplorer


def explore_arrays(
    weights, *, contributions=None, biases=None, logits=None, scores=None, occlusion=None,
    class_names: Sequence[str] | None = None, times=None, energy=None, change=None, ground_truth=None, true=None,
    run: str = "weights", data: str = "arrays", normalize: bool = False,
    video: str | None = None, classes: Sequence[int | str] | None = None, keep: int = 3,
) -> AttentionExplorer:  # fmt: skip
    """See attention weights, and what else is known of the frames, in the view of `explore`.

    One video is given as plain arrays; several as a list (or an array with one more axis, or a dict by id), and then
    the other arrays, except `biases` and `class_names`, are given in the same form, with None for unknown ones.

    Args:
        weights: (frames,) not negative, a sum of 1.
        contributions: (frames, classes) w_k·h_t.
        biases: (classes,) b_k, the same for all videos; zeros where not given.
        logits: (frames,) of which `weights` is the softmax; −∞ where the weight is 0 is allowed.
        scores: (classes,) probabilities, where there are no contributions to compute them from.
        occlusion: (frames, classes) the scores minus those without the frame.
        class_names: One name for each class.
        times: (frames,) seconds, ascending; 0, 1, 2, … where not given.
        energy, change: (frames,), or a dict of such by modality.
        ground_truth: Class (number or name) → (frames,) bool, the frames that made the label.
        true: The classes that are true, by number or name.
        run, data: The names of the model and of the data.
        normalize: Divide the weights by their sum.
        video, classes, keep: As for `explore`.

    Raises:
        UsageError: Arguments that contradict each other, an unknown class or video.
        DataError: Arrays of a wrong shape, numbers that are not finite, weights that are no weights.
    """
    arrays = {"contributions": contributions, "logits": logits, "scores": scores, "occlusion": occlusion}
    arrays |= {"times": times, "energy": energy, "change": change, "ground_truth": ground_truth, "true": true}
    source = ArraySource(_by_video(weights, arrays), biases, class_names, run, data, normalize)
    return AttentionExplorer(source, video=video, classes=classes, keep=keep)


class ArraySource:
    """Videos given as arrays, with the interface of a `ModelSource`."""

    can_remove = generated = False
    note = None

    def __init__(self, videos: Mapping, biases, class_names, run: str, data: str, normalize: bool):
        self.runs, self.data, self.title = [run], data, "Attention weights" if run == "weights" else run
        self.videos, self.class_counts = {name: name for name in videos}, {}
        self.scope = f"these {len(videos):,} videos"
        self._biases, self._names, self._normalize = biases, class_names, normalize
        self._evidence = {name: self._make(name, **arrays) for name, arrays in videos.items()}

    def evidence(
        self, video: str, *, classes: Sequence[int | str] | None = None, removed=()
    ) -> tuple[Evidence]:
        """The evidence of a video, as `ModelSource.evidence` gives it; frames cannot be removed."""
        if len(removed):
            raise UsageError("Removing frames takes a model that encodes the video again. Mask them instead.")
        full = self._evidence[video]
        default = select_classes(full.scores, full.true)
        chosen = default if classes is None else list(self.class_numbers(classes))
        if unknown := set(chosen) - set(full.classes):
            raise UsageError(f"{video!r} has {len(full.classes)} classes. Received: class {min(unknown)}.")
        arrays = {name: getattr(full, name) for name in ("scores", "biases", "contributions", "occlusion")}
        columns = {name: None if array is None else array[..., chosen] for name, array in arrays.items()}
        return (replace(full, classes=chosen, names=[full.names[label] for label in chosen], **columns),)

    def class_numbers(self, classes: Sequence[int | str], argument: str = "classes") -> tuple[int, ...]:
        """Classes by number or name as numbers, each once; a `UsageError` where there is no such class."""
        return class_numbers(classes, self._class_names, argument=argument, data=self.data)

    def _make(self, video, *, ground_truth, true, times, energy, change, **arrays) -> Evidence:
        """One video with all its classes."""
        arrays = {name: _numbers(array, name) for name, array in arrays.items() if array is not None}
        weights, scores, biases = arrays["weights"], arrays.get("scores"), self._biases
        linear, total = "contributions" in arrays, float(weights.sum())
        if self._normalize and np.isfinite(total) and total > 0:
            arrays["weights"] = weights = weights / total
        elif weights.size and abs(total - 1) > SUM_TOLERANCE and weights.min() >= 0:
            received = f"Received: a sum of {total:g}; normalize=True divides by it."
            raise DataError(f"Video {video!r}: the weights must sum to 1. {received}")
        if linear and (scores is not None or "occlusion" in arrays):
            raise UsageError("Contributions determine the scores: give them, or scores and occlusion.")
        if not linear and (biases is not None or (scores is None and "occlusion" in arrays)):
            raise UsageError("biases need contributions, and occlusion needs scores.")
        if scores is not None and ((scores < 0) | (scores > 1)).any():
            raise DataError(f"scores: expected probabilities between 0 and 1. Received: {scores}.")
        shape = np.shape(arrays.get("contributions", scores))
        count = shape[-1] if shape else 0
        names = [f"class {label}" for label in range(count)] if self._names is None else list(self._names)
        self._class_names = distinct(readable(names), what="class")
        times = np.arange(weights.size) if times is None else _numbers(times, "times")
        if (np.diff(times) <= 0).any():
            raise DataError(f"times: expected ascending seconds. Received: {times}.")
        if not isinstance(ground_truth or {}, Mapping):
            raise UsageError(f"ground_truth: expected a dict by class. Received: {ground_truth!r:.80}.")
        truth = {self.class_numbers([k], "ground_truth")[0]: row for k, row in (ground_truth or {}).items()}
        if not all(np.isin(row, (0, 1)).all() for row in truth.values()):
            raise DataError(f"ground_truth: expected booleans, one a frame. Received: {ground_truth!r:.80}.")
        if linear:
            arrays["biases"] = np.zeros(count) if biases is None else biases
        if "logits" in arrays:
            arrays["logits"] = _check_logits(arrays["logits"], weights, video)
        arrays |= {"times": times, "energy": _by_modality(energy), "change": _by_modality(change)}
        arrays |= {"true": None if true is None else self.class_numbers(true, "true"), "ground_truth": truth}
        arrays |= {"scores": np.zeros(count) if scores is None else scores, "classes": range(count)}
        evidence = Evidence(video=video, run=self.runs[0], names=self._class_names if count else (), **arrays)
        scores = class_scores(evidence, evidence.weights.astype(np.float64))
        return evidence if scores is None else replace(evidence, scores=scores)


def _by_video(weights, arrays: Mapping) -> dict[str, dict]:
    """Id → the arrays of one video, out of dicts by id, lists, or one video's own."""
    listed = hasattr(weights, "__len__") and not isinstance(weights, str | bytes)
    if not listed or getattr(weights, "ndim", 1) == 0:
        raise UsageError(f"weights: expected numbers, or those of several videos. Received: {weights!r:.80}.")
    if not isinstance(weights, Mapping):
        if len(weights) == 0 or np.ndim(weights[0]) == 0:
            return {"video": {"weights": weights, **arrays}}
        number = range(len(weights))
        lists = {name: rows for name, rows in arrays.items() if rows is not None} | {"weights": weights}
        for name, rows in lists.items():
            if isinstance(rows, Mapping) or len(rows) != len(weights):
                many = f"expected one for each of {len(weights)} videos"
                raise UsageError(f"{name}: {many}. Received: {rows!r:.60}.")
        none = dict.fromkeys(arrays)
        return {f"video {k}": none | {name: rows[k] for name, rows in lists.items()} for k in number}
    for name, given in arrays.items():
        if given is not None and (not isinstance(given, Mapping) or set(given) - set(weights)):
            raise UsageError(f"{name}: expected a dict by id, as the weights. Received: {given!r:.80}.")
    if len(set(map(str, weights))) < len(weights):
        raise UsageError(f"weights: expected ids that differ as text. Received: {list(weights)}.")
    rows = {"weights": weights, **{name: given or {} for name, given in arrays.items()}}
    return {str(video): {name: each.get(video) for name, each in rows.items()} for video in weights}


def _numbers(values, name: str) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.size and array.dtype.kind not in "biuf":
            raise ValueError
    except ValueError:
        raise UsageError(f"{name}: expected an array of numbers. Received: {values!r:.80}.") from None
    return array.astype(np.float64)


def _check_logits(logits: np.ndarray, weights: np.ndarray, video: str) -> np.ndarray | None:
    """The logits, if they are those of the weights; None where some are −∞, as the weights say the same."""
    if logits.shape != weights.shape or not np.isfinite(logits.max(initial=-np.inf)):
        return logits  # `Evidence` reports wrong shapes and numbers that are not finite
    shares = np.exp(logits - logits.max())
    if (difference := float(np.abs(shares / shares.sum() - weights).max())) > SUM_TOLERANCE:
        raise UsageError(f"{video!r}: weights and softmax of the logits differ by up to {difference:.3g}.")
    return None if np.isneginf(logits).any() else logits


def _by_modality(values) -> dict[str, np.ndarray]:
    rows = values if isinstance(values, Mapping) else {} if values is None else {"features": values}
    return {str(key): _numbers(row, "energy and change") for key, row in rows.items()}
