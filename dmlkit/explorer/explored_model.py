"""A trained model as the attention explorer sees it: what it reads of a video, its scores, and what its frames do."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from dmlkit.data import FRAME_CHOICES, Match, dequantize, frame_seed
from dmlkit.data.schema import ZERO_BYTE
from dmlkit.errors import UsageError
from dmlkit.explorer.evidence import EXPLANATIONS, MASKING, WEIGHT_TITLES
from dmlkit.runs import Run

ROWS = 64  # videos encoded at once when frames are removed: more are not faster on two cores
MOST_ROWS = 300  # of masks that pool a video again, to explain its frames


class Clip(NamedTuple):
    """The frames (n,) that a model reads of one video, and modality → (n, size) features, or a text's (size,)."""

    frames: np.ndarray
    features: dict[str, np.ndarray]

    def decoded(self) -> dict[str, np.ndarray]:
        """Modality → (n, size) features as numbers, without the texts."""
        framed = {name: each for name, each in self.features.items() if each.ndim == 2}
        return {k: dequantize(v) if v.dtype == np.uint8 else v.astype(np.float32) for k, v in framed.items()}


class ExploredModel:
    """A frame-level run's model, and how a data set is read for it.

    `linear`: the frames' contributions are exact. `maskable`: its pooling can leave out frames.
    """

    def __init__(self, run: Run, dataset, matched: Match):
        from dmlkit.models import FrameProbe

        self._dataset, self._match, profile = dataset, matched, run.record["profile"]
        self._choice, self._max_frames = profile["frame_choice"], profile["max_frames"]
        self._probe = probe = FrameProbe(run.model, columns=matched.columns)
        inputs = {each.name for each in run.model.inputs}
        self._modalities = [name for name in dataset.features if name in inputs]
        self.linear, self.maskable, self.weighs = probe.linear, probe.maskable, probe.kind in WEIGHT_TITLES
        pooling = run.record["experiment"].get("pooling")
        none = f"The pooling '{pooling}' weighs no frames" if pooling else "The model weighs no frames"
        self._about = {"kind": probe.kind, "title": WEIGHT_TITLES.get(probe.kind, none)}
        self._pools_fast = probe.kind in ("attention", "mean")
        self._about |= {"groups": probe.groups, "maskable": probe.maskable}

    def scores(self, split: str, videos: int) -> np.ndarray:
        """(videos, classes) scores of at most so many videos of a split."""
        batches = self._batches(split, max_videos=videos)
        return np.concatenate([self._probe.scores(self._inputs(batch)) for batch in batches])

    def states(self, split: str, **settings) -> Iterator[tuple[str, np.ndarray]]:
        """Id and states (n, size) of each video of a split; `settings` are those of `Dataset.batches`."""
        for batch in self._batches(split, **settings):
            states = self._probe.parts(self._inputs(batch)).states
            for name, each, length in zip(batch["id"].tolist(), states, batch["num_frames"], strict=True):
                yield name, each[:length]

    def _batches(self, split: str, **settings):
        settings |= {"frame_choice": self._choice, "max_frames": self._max_frames, "batch_size": ROWS}
        return self._dataset.batches(split, **settings)

    def clip(self, batch: dict[str, np.ndarray]) -> Clip:
        """The frames it reads of a batch of one video with all its frames."""
        batch, length = self._inputs(batch), int(batch["num_frames"][0])
        frames = np.arange(length)
        if self._max_frames is not None and length > self._max_frames:
            seed = frame_seed(str(batch["id"][0]), seed=0, epoch=0)
            frames = frames[FRAME_CHOICES[self._choice](length, self._max_frames, seed=seed)]
        first = {name: batch[name][0] for name in self._modalities}
        return Clip(frames, {name: each[frames] if each.ndim == 2 else each for name, each in first.items()})

    def _inputs(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A batch as the model reads it; values are checked batch by batch."""
        matched = replace(self._match)
        batch = matched.inputs(batch)
        for note in matched.check_values():
            warnings.warn(note, stacklevel=2)
        return batch

    def change(self, clip: Clip, removed: np.ndarray, muted: Mapping[str, np.ndarray]) -> Clip:
        """The clip without the frames of some times, others with the value of a missing one in a modality's place."""
        kept, features = ~np.isin(clip.frames, removed), dict(clip.features)
        for name in set(muted) & set(features):
            features[name] = features[name].copy()
            missing = ZERO_BYTE if features[name].dtype == np.uint8 else 0
            features[name][np.isin(clip.frames, muted[name])] = missing
        features = {k: each[kept] if each.ndim == 2 else each for k, each in features.items()}
        return Clip(clip.frames[kept], features)

    def warm_up(self, clip: Clip) -> None:
        """Trace the graphs: Keras does so for the first shape it meets, and for all others at the second."""
        self.parts(clip)
        longer = {k: np.pad(v, ((0, 1), (0, 0))) if v.ndim == 2 else v for k, v in clip.features.items()}
        order, lengths = np.tile(np.arange(n := len(clip.frames) + 1), (2, 1)), np.full(2, n, np.int32)
        states = self._probe.parts(_ordered(clip._replace(features=longer), order, lengths)).states
        for rows in (1, 2) if self.weighs and not self.linear else ():
            self._probe.pooled_scores(states[:rows, : rows + 1], np.ones(rows, np.int32))

    def parts(self, clip: Clip):
        """`FrameParts` of one video: scores (classes,), states (n, size), weights and logits (n, groups, …) or None."""
        n = len(clip.frames)
        found = self._probe.parts(_ordered(clip, np.arange(n)[None], np.array([n], np.int32)))
        arrays = {name: each for name, each in vars(found).items() if each is not None}
        return replace(found, **{k: each[0] if k == "scores" else each[0, :n] for k, each in arrays.items()})

    def arrays(self, clip: Clip, parts, classes: Sequence[int], *, kept: np.ndarray, **explanation) -> dict:
        """Weights, scores and terms of one video, as `Evidence` has them; `explanation` as for `class_terms`.

        Where the frames that are not `kept` (n,) bool change scores in a way that the arrays cannot tell, they are
        masked here.
        """
        from_arrays = self._probe.reweightable and self._is_exact(**explanation)
        masked = self.maskable and not kept.all() and not from_arrays
        if masked:
            if not kept.any():
                raise UsageError("Every frame is masked, so there are no scores. Show some of them.")
            changes = {"scores": self.masked_scores(parts, kept[None])[0]}
            if parts.weights is not None:
                logits = np.zeros_like(parts.weights) if parts.logits is None else parts.logits
                changes["weights"] = softmax(np.where(kept[:, None, None], logits, -np.inf), axis=0)
            if parts.assignment is not None:
                changes["assignment"] = parts.assignment * kept[:, None]
            parts = replace(parts, **changes)
        weights, chosen, logits = self._probe.weights_of(parts, classes), list(classes), parts.logits
        found = {"weights": weights, "reweightable": self._probe.reweightable and not masked}
        if found["reweightable"] and logits is not None:
            found["logits"] = logits[..., chosen] if self._probe.kind == "by_class" else logits
        if self._probe.kind == "by_feature" and weights.shape[2] != len(chosen):
            found["title"] = "Attention weight, the mean over the features"
        found |= {"scores": parts.scores[chosen], "rollout": parts.rollout, "assignment": parts.assignment}
        terms = self.class_terms(clip, parts, classes, kept=kept if masked else None, **explanation)
        return self._about | found | terms

    def class_terms(
        self, clip: Clip, parts, classes: Sequence[int], *, drawn: Sequence[int] = (), kept: np.ndarray | None = None,
        explanation: str = "own", by_modality: bool = False,
    ) -> dict:  # fmt: skip
        """How each frame of a video acts on some classes, as attributes of `Evidence`.

        "own" are exact `contributions`, or exact `terms` under feature attention; where there are none, occlusion by
        masking for models that weigh frames, else gradient × input. By modality, what cannot be split exactly is
        replaced by integrated gradients. These and occlusion are of the classes `drawn`, or of all where there are
        none; `kept` is (n,) bool where other frames are masked in `parts`.
        """
        own, probe = explanation == "own", self._probe
        if self._is_exact(explanation, by_modality):
            found = probe.contributions(parts, classes)
            values, pairs = found.values, found.parts
            if not by_modality:
                pairs = tuple(dict.fromkeys((group, None) for group, _ in found.parts))
                groups = [[group == each for each, _ in found.parts] for group, _ in pairs]
                values = np.stack([values[:, those].sum(axis=1) for those in groups], axis=1)
            known = {"biases": found.biases, "link": found.link}
            known |= {"terms_title": f"contribution to the {'logit' if found.link == 'sigmoid' else 'score'}"}
            if probe.kind != "by_feature":
                return known | {"contributions": values, "parts": pairs}
            known |= {"terms": values, "term_modalities": [name or "" for _, name in pairs], "exact": True}
            return known | {"term_classes": classes}
        if own and self.weighs and not by_modality:
            kept = np.ones(len(clip.frames), bool) if kept is None else kept
            # Where each row is pooled again, neighbours of many frames are masked together and share the difference.
            count = min(n := len(kept), n if self._pools_fast else MOST_ROWS)
            window = np.arange(n) * count // max(n, 1)
            without = self.masked_scores(parts, kept & (window != np.arange(count)[:, None]))
            share = kept / np.maximum(np.bincount(window, kept), 1)[window]
            terms = ((parts.scores - without)[window] * share[:, None])[:, None, list(classes)]
            return {"terms": terms, "term_classes": classes, "terms_title": MASKING}
        method = explanation if not own else "integrated_gradients" if self.weighs else "gradient_input"
        explained = list(drawn) if drawn and method != "gradient_input" else list(classes)
        found = probe.explain(clip.features, explained, method=method)
        title = EXPLANATIONS[method] + (", before masking" if kept is not None else "")
        terms = {"terms": found.values, "term_modalities": found.modalities, "term_classes": explained}
        return terms | {"terms_title": title, "gap": found.gap}

    def _is_exact(self, explanation: str = "own", by_modality: bool = False, **_) -> bool:
        return explanation == "own" and self.linear and (self._probe.by_modality or not by_modality)

    def masked_scores(self, parts, kept: np.ndarray) -> np.ndarray:
        """(rows, classes) scores where only the frames of `kept` (rows, n) are pooled; their states stay.

        Without any frame it is the score of a pooled vector of zeros. A `UsageError` where `maskable` is False.
        """
        if not self._pools_fast or not kept.size:
            pooled = self._probe.pooled_scores
            return self._in_groups(kept, lambda order, lengths: pooled(parts.states[order], lengths))
        # One weighted sum for each row, which as the only valid frame is its own pooling: many times as fast.
        pooled, columns = [], [np.zeros(kept.shape[1])] if parts.logits is None else parts.logits[..., 0].T
        for states, column in zip(np.split(parts.states, len(columns), axis=1), columns, strict=True):
            logits = np.where(kept | ~kept.any(axis=1, keepdims=True), column.astype(np.float64), -np.inf)
            pooled.append((softmax(logits, axis=1) * kept) @ states)
        rows = np.pad(np.concatenate(pooled, axis=1)[:, None], ((0, 0), (0, 1), (0, 0)))
        return self._probe.pooled_scores(rows, np.ones(len(rows), np.int32))

    def removed_scores(self, clip: Clip, kept: np.ndarray) -> np.ndarray:
        """(rows, classes) scores of the video encoded with only the frames of `kept` (rows, n)."""
        score = self._probe.scores
        return self._in_groups(kept, lambda order, lengths: score(_ordered(clip, order, lengths)))

    def _in_groups(self, kept: np.ndarray, score: Callable) -> np.ndarray:
        """`score` of some rows at a time: of the order (rows, t) in which frames are read, and of how many (rows,)."""
        scores = np.empty((len(kept), self._dataset.num_classes), np.float32)
        by_length = np.argsort(kept.sum(axis=1), kind="stable")  # each group is padded to its longest row
        for start in range(0, len(kept), ROWS):
            rows = by_length[start : start + ROWS]
            scores[rows] = score(*_in_front(kept[rows]))
        return scores


def _in_front(kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frames (rows, t) with those of `kept` (rows, n) in front, and how many these are (rows,)."""
    lengths = kept.sum(axis=1).astype(np.int32)
    return np.argsort(~kept, axis=1, kind="stable")[:, : max(1, int(lengths.max(initial=1)))], lengths


def _ordered(clip: Clip, order: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
    """A model's inputs: the clip once for each row of `order`."""
    features = clip.features.items()
    if not order.shape[1]:  # a video without frames has one of padding
        order = np.zeros((len(order), 1), int)
        features = [(k, np.zeros((1, v.shape[1]), v.dtype) if v.ndim == 2 else v) for k, v in features]
    inputs = {k: v[order] if v.ndim == 2 else np.repeat(v[None], len(order), axis=0) for k, v in features}
    return inputs | {"num_frames": lengths}
