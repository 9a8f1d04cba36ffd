"""Evidence out of anybody's arrays: no model of ours, no data set, no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dmlkit.errors import DataError, UsageError, nearest
from dmlkit.explorer.evidence import SUM, Evidence, highest_and_true
from dmlkit.explorer.given import (
    ascending,
    attention_logits,
    check_logits,
    class_key,
    count_classes,
    flags,
    numbers,
    probabilities,
    rows,
    several,
)
from dmlkit.explorer.listing import distinct
from dmlkit.explorer.weighing import class_logits, sigmoid
from dmlkit.text import readable


class ArraySource:
    """Weights of frames, and what else is known of them.

    One video is given as plain arrays; several as a list (or an array with one more axis, or a dict by id), and
    then every other argument is given once for each video, None for those it is not known of.

    Args:
        weights: (frames,) not negative, a sum of 1.
        contributions: (frames, classes) w_k·h_t.
        biases: (classes,) b_k; zeros where there are none. The same for all videos.
        logits: (frames,) what the softmax of `weights` was taken of; −∞ where the weight is 0 is allowed.
        scores: (classes,) probabilities, where there are no contributions to compute them from.
        occlusion: (frames, classes) the scores less those without the frame.
        class_names: One name for each class; names that come again are told by their place.
        times: (frames,) seconds, ascending; 0, 1, 2, … where not given.
        energy, change: (frames,), or by modality a dict of such.
        planted: Class (number or name) → (frames,) bool.
        true: The classes that are true, by number or name.
        run: What the model is called.
        data: What the data are called.
        normalize: Divide the weights by their sum.

    Raises:
        UsageError: Arrays that do not go together; the message says which and how.
        DataError: NaN or infinite numbers, or weights that are no weights.
    """

    can_remove = False
    generated = False
    note = None

    def __init__(
        self,
        weights,
        *,
        contributions=None,
        biases=None,
        logits=None,
        scores=None,
        occlusion=None,
        class_names: Sequence[str] | None = None,
        times=None,
        energy=None,
        change=None,
        planted=None,
        true=None,
        run: str = "weights",
        data: str = "arrays",
        normalize: bool = False,
    ):
        self.runs, self.data, self.title = [run], data, "Attention weights" if run == "weights" else run
        told = {
            "contributions": contributions,
            "logits": logits,
            "scores": scores,
            "occlusion": occlusion,
            "times": times,
            "energy": energy,
            "change": change,
            "planted": planted,
            "true": true,
        }
        ids, videos = _videos(weights, told)
        self._biases, self._names, self._normalize = biases, class_names, normalize
        self._found = {name: self._evidence(name, video) for name, video in zip(ids, videos, strict=True)}
        self.videos = {name: name for name in ids}
        self.among = f"these {len(ids):,} videos"

    def evidence(
        self, video: str, *, classes: Sequence[int | str] | None = None, removed=()
    ) -> tuple[Evidence]:
        """What was given of a video.

        Args:
            video: Its id.
            classes: Which classes are carried, by number or name; None: the highest scores and the true ones.
            removed: Must stay empty.

        Raises:
            UsageError: An unknown video or class, or frames to remove: that takes a model.
        """
        if video not in self._found:
            raise UsageError(f"There is no video {video!r}.{nearest(video, self._found)}")
        if len(removed):
            raise UsageError(
                "Removing frames encodes the video again, and there is no model here. Mask them."
            )
        whole = self._found[video]
        carried = (
            highest_and_true(whole.scores, whole.true)
            if classes is None
            else [self._number(each, whole) for each in classes]
        )
        return (_only(whole, carried),)

    def _evidence(self, name: str, video: Mapping) -> Evidence:
        """A video with all its classes."""
        weights = numbers(video["weights"], "weights")
        if weights.ndim != 1:
            raise UsageError(f"Weights have the shape (frames,) for each video. Received: {weights.shape}.")
        total = float(weights.sum())
        if self._normalize and total > 0 and np.isfinite(total):
            weights = weights / total
        elif len(weights) and np.isfinite(total) and abs(total - 1) > SUM and weights.min() >= 0:
            raise DataError(
                f"The weights of video {name!r} must sum to 1. Received: a sum of {total:g}. If their shares are what "
                "you mean, pass normalize=True."
            )
        contributions, scores, biases = video["contributions"], video["scores"], self._biases
        if contributions is not None and (scores is not None or video["occlusion"] is not None):
            raise UsageError("Contributions say the scores exactly: give them, or scores and occlusion.")
        if contributions is None and biases is not None:
            raise UsageError("Biases belong to contributions, and there are none.")
        classes = count_classes(contributions, scores, video["occlusion"], len(weights))
        names = [f"class {label}" for label in range(classes)] if self._names is None else list(self._names)
        if len(names) != classes and classes:
            raise UsageError(
                f"class_names: expected one name for each class. Received: {len(names)} names, {classes} classes."
            )
        self._all = distinct(readable(names), what="class")
        if contributions is not None and biases is None:
            biases = np.zeros(classes)
        if classes and contributions is None and scores is None:
            raise UsageError("Occlusion is told of scores, and there are none. Give them, or contributions.")
        logits = attention_logits(video["logits"], weights)
        check_logits(logits, weights, name)
        true, planted = video["true"], video["planted"]
        if planted is not None and not isinstance(planted, Mapping):
            raise UsageError(f"planted: expected a dict, class → frames. Received: {planted!r:.80}.")
        evidence = Evidence(
            video=name,
            run=self.runs[0],
            times=np.arange(len(weights)) if video["times"] is None else ascending(video["times"]),
            weights=weights,
            # Where some are −∞ the weights' own logarithms say the same, and can be sent.
            logits=None if logits is not None and np.isneginf(logits).any() else logits,
            classes=tuple(range(classes)),
            names=tuple(self._all[:classes]),
            scores=np.zeros(classes) if scores is None else probabilities(scores),
            contributions=None if contributions is None else numbers(contributions, "contributions"),
            biases=None if contributions is None else numbers(biases, "biases"),
            occlusion=None if video["occlusion"] is None else numbers(video["occlusion"], "occlusion"),
            true=None if true is None else [self._label(each, "true") for each in several(true, "true")],
            planted={
                self._label(label, "planted"): flags(row, f"planted {label!r}", len(weights))
                for label, row in (planted or {}).items()
            },
            energy=rows(video["energy"], "energy"),
            change=rows(video["change"], "change"),
        )
        if evidence.linear:
            scored = sigmoid(class_logits(evidence, evidence.weights.astype(np.float64)))
            object.__setattr__(evidence, "scores", scored.astype(np.float32))
        return evidence

    def _label(self, each: int | str, what: str = "classes") -> int:
        each = class_key(each, what)
        if isinstance(each, str):
            if each not in self._all:
                raise UsageError(
                    f"There is no class {each!r} among the class_names.{nearest(each, self._all)}"
                )
            return self._all.index(each)
        # Without scores or names nobody knows how many classes there are.
        if each < 0 or (self._all and each >= len(self._all)):
            most = f" to {len(self._all) - 1}" if self._all else " and above"
            raise UsageError(f"{what}: expected classes 0{most}; there is no class {each}. Received: {each}.")
        return each

    def _number(self, each: int | str, whole: Evidence) -> int:
        label = self._label(each)
        if label not in whole.classes:
            raise UsageError(f"There is no class {each!r} among the {len(whole.classes)} with scores.")
        return label


def _videos(weights, told: Mapping) -> tuple[list[str], list[dict]]:
    """Each video's arrays by themselves."""
    if isinstance(weights, Mapping):
        ids = [str(name) for name in weights]
        twice = next((name for name in ids if ids.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"weights: expected ids that differ as text. Received: {twice!r} twice.")
        for what, given in told.items():
            if given is not None and (not isinstance(given, Mapping) or set(map(str, given)) - set(ids)):
                raise UsageError(f"With weights by id, {what} is a dict by id too.")
        byname = {what: {str(k): v for k, v in (given or {}).items()} for what, given in told.items()}
        videos = [
            {"weights": row} | {what: given.get(str(name)) for what, given in byname.items()}
            for name, row in weights.items()
        ]
        return ids, videos
    if (
        isinstance(weights, str | bytes)
        or not hasattr(weights, "__getitem__")
        or getattr(weights, "ndim", 1) == 0
    ):
        raise UsageError(
            f"weights: expected (frames,) numbers, or a list or a dict of several videos'. Received: {weights!r:.80}."
        )
    if len(weights) == 0 or np.ndim(weights[0]) == 0:
        return ["video"], [{"weights": weights, **told}]
    count = len(weights)
    for what, given in told.items():
        if given is not None and (isinstance(given, Mapping) or len(given) != count):
            received = "a dict" if isinstance(given, Mapping) else len(given)
            raise UsageError(
                f"There are {count} videos, so {what} is given {count} times. Received: {received}."
            )
    split = [
        {what: None if given is None else given[row] for what, given in told.items()} for row in range(count)
    ]
    return [f"video {row}" for row in range(count)], [
        {"weights": row, **each} for row, each in zip(weights, split, strict=True)
    ]


def _only(whole: Evidence, carried: Sequence[int]) -> Evidence:
    """The evidence with some of its classes."""
    carried = list(carried)
    cut = {name: getattr(whole, name) for name in whole.__dataclass_fields__}
    for name in ("contributions", "occlusion"):
        cut[name] = None if cut[name] is None else cut[name][:, carried]
    cut["biases"] = None if whole.biases is None else whole.biases[carried]
    cut |= {
        "classes": carried,
        "scores": whole.scores[carried],
        "names": [whole.names[label] for label in carried],
    }
    return Evidence(**cut)
