"""What each frame does in a trained model: its weights, its exact contributions, and explanations by gradients.

Keras has no gradients of its own: `_compile_gradient` takes those of whichever backend Keras has loaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
from keras import ops
from scipy.special import expit

from dmlkit.errors import UsageError, choose
from dmlkit.models.build import copies_of
from dmlkit.models.fusions import Alignment
from dmlkit.models.inputs import LastFrame, ReverseFrames, check_codings, frame_mask, softmax_over_frames
from dmlkit.models.poolings import AttentionPooling, DeepBag, FeatureAttention, MeanPooling, _ClusterPooling

WEIGHTS = {
    "attention": "Attention weight",
    "heads": "Attention weight by head",
    "by_class": "Class's own attention weight",
    "by_feature": "Class's own weight, the mean over the features it reads",
    "mean": "Weight of the mean",
    "clusters": "Assignment of frames to clusters",
    "none": "No weights",
}
"""Kind of a model → what its weights are."""

STEPS = 32  # midpoints on the path of integrated gradients
MAX_OCCLUSIONS = 300  # parts of a video that are silenced one by one
FRAMES_AT_ONCE = 9600  # rows times frames in one call, which bounds the memory
LEAST_SCORE, LEAST_COUNTERSCORE = 1e-30, 6e-8  # a logit is finite: of the score, and of one minus the score

# Layer → its class and the kind of a model that has it; the first one found counts.
_POOLINGS = {
    "attention": (AttentionPooling, "attention"),
    "heads": (AttentionPooling, "heads"),
    "feature_attention": (FeatureAttention, "by_feature"),
    "mean": (MeanPooling, "mean"),
    "clusters": (_ClusterPooling, "clusters"),
    "scores": (FeatureAttention, "by_class"),
}


def attention_weights(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The attention weight of each frame of each video.

    Args:
        model: A model with pooling "attention" or "multi_head_attention", of one copy.
        inputs: A batch: the modalities by name, (batch, time, size), and `num_frames` (batch,). Other
            entries (ids, labels) are ignored.

    Returns:
        (batch, time) float32, with several heads (batch, time, heads): exactly 0 on padding, a sum of 1 over each
        video's frames.

    Raises:
        UsageError: The model has no attention, or the batch lacks one of its inputs or has it in another coding.

    Paper: §Attention, α_t.
    """
    if not {"attention", "heads"} & {layer.name for layer in model.layers}:
        raise UsageError(
            f"Attention weights need a model with pooling 'attention' or 'multi_head_attention', of one copy. "
            f"Received: model '{model.name}', which has no layer of that name. Build or load one with such a "
            f"pooling; `dmlkit.explore` shows what frames do in any model."
        )
    weights = FrameProbe(model).parts(inputs).weights[..., 0]
    return weights[..., 0] if weights.shape[-1] == 1 else weights


@dataclass(frozen=True)
class FrameParts:
    """What a model computes for one batch; for one video where the first axis is taken away.

    G groups of weights are the heads of each copy. The weights' last axis has one entry for all classes alike, one for
    each class (kind "by_class"), or one for each feature of a state (kind "by_feature").
    """

    scores: np.ndarray  # (batch, classes) the model's
    states: np.ndarray  # (batch, time, size) what is pooled; those of several copies follow one another
    weights: np.ndarray | None  # (batch, time, G, 1 | classes | features) a sum of 1 over the frames
    logits: np.ndarray | None  # the same shape, of which the weights are the softmax over the frames
    rollout: np.ndarray | None  # (batch, time) a sum of 1; see `FrameProbe.parts`
    assignment: np.ndarray | None  # (batch, time, clusters) a sum of 1 over the clusters


@dataclass(frozen=True)
class Contributions:
    """Exact terms of one video: Σ_t Σ_p weights[t, parts[p][0], k or 0] · values[t, p, k] + biases[k].

    This is the class's logit (`link` "sigmoid") or its score ("identity"). Where `weighted`, the weights are in the
    values already, and the sum is Σ_t Σ_p values[t, p, k] + biases[k].
    """

    values: np.ndarray  # (n, P, K)
    parts: tuple[tuple[int, str | None], ...]  # (P,) group and modality, None where it is all of them
    biases: np.ndarray  # (K,)
    link: str
    weighted: bool = False


@dataclass(frozen=True)
class Terms:
    """An explanation of one video by frame, modality and class; `gap` is Σ terms − (logit − the baseline's logit)."""

    values: np.ndarray  # (n, M, K)
    modalities: tuple[str, ...]  # (M,)
    gap: np.ndarray | None  # (K,); None for occlusion, whose terms are no parts of a sum


class FrameProbe:
    """Any frame-level model, whose weights, states and explanations can be read for any video.

    Graphs are built once and kept. `kind` is a name in `WEIGHTS`; `groups` names the groups of weights. `reweightable`:
    the weights are a softmax of logits over the frames; `maskable`: the pooling can leave out frames. `linear`: there
    are exact contributions, `by_modality` also for each modality. `columns` are the model's classes that are read, in
    the order by which they are numbered here; None for all.

    Raises:
        UsageError: The model is no graph of layers from frames to one score a class.

    Paper: §Attention.
    """

    def __init__(self, model: keras.Model, *, columns: Sequence[int] | None = None):
        inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
        framed = any(len(each.shape) == 3 for each in inputs)
        if not framed or len(outputs) != 1 or len(outputs[0].shape) != 2:
            raise UsageError(
                f"Frames are explained of a keras functional model with inputs of frames (batch, time, size) and one "
                f"output, the scores (batch, classes). Received: model '{getattr(model, 'name', model)!s:.80}' with "
                f"inputs {[tuple(each.shape) for each in inputs]} and outputs {[tuple(o.shape) for o in outputs]}."
            )
        copies = [output._keras_history.operation for output in copies_of(model)]
        self.model, self._columns = model, slice(None) if columns is None else np.asarray(columns)
        self._copies = [_Copy(copy) for copy in copies] if len(copies) > 1 else [_Copy(model)]
        first, count = self._copies[0], len(self._copies)
        self.kind, self._inputs = first.kind, [each.name for each in inputs]
        self.reweightable = self.kind in ("attention", "heads", "by_class", "mean")
        heads = [f"head {i}" for i in range(1, first.heads + 1)] if first.heads > 1 else [""]
        copies = (
            [f"copy {i}" for i in range(1, count + 1)]
            if count > 1 and self.kind not in ("mean", "clusters", "none")
            else [""]
        )
        self.groups = tuple(", ".join(filter(None, (copy, head))) for copy in copies for head in heads)
        self.maskable = first.pooled is not None
        self.linear = first.linear and (count == 1 or self.kind == "by_class")
        segments = first.segments
        self.by_modality = self.linear and self.kind != "by_class" and segments is not None
        self._segments = segments if self.by_modality else {None: np.arange(first.states.shape[-1])}
        self._modalities = tuple(first.values)

    def scores(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """(batch, classes) scores alone, without the parts' memory; `inputs` as for `attention_weights`."""
        found = [copy.scorer.predict_on_batch(self._batch(inputs)) for copy in self._copies]
        return np.mean(found, axis=0, dtype=np.float32)[:, self._columns]

    def parts(self, inputs: Mapping[str, np.ndarray]) -> FrameParts:
        """Scores, states and weights of one batch; `inputs` as for `attention_weights`.

        `rollout` is that of a Transformer's layers, (A_L + I)/2 ··· (A_1 + I)/2 with each A_l the mean over the heads,
        under the pooling's weights (their mean over groups and classes; the same for all frames where the pooling has
        none; that of the last frame for "last"). It is the mean over copies, and over the encoders of a late fusion.

        Source: Abnar and Zuidema 2020, "Quantifying attention flow in transformers", §3.
        """
        batch = self._batch(inputs)
        found = [copy.parts(batch) for copy in self._copies]
        joined = {"scores": np.mean([each["scores"] for each in found], axis=0)[:, self._columns]}
        joined["states"] = np.concatenate([each["states"] for each in found], axis=-1)
        for name in ("weights", "logits", "assignment"):
            arrays = [each[name] for each in found if each.get(name) is not None]
            axis = -1 if name == "assignment" else 2
            arrays = arrays[:1] if self.kind == "mean" else arrays
            joined[name] = np.concatenate(arrays, axis=axis) if arrays else None
            if self.kind == "by_class" and arrays:
                joined[name] = joined[name][..., self._columns]
        rollouts = [each["rollout"] for each in found if each["rollout"] is not None]
        joined["rollout"] = np.mean(rollouts, axis=0) if rollouts else None
        kept = {name: None if each is None else np.asarray(each, np.float32) for name, each in joined.items()}
        return FrameParts(**kept)

    def weights_of(self, part: FrameParts, classes: Sequence[int]) -> np.ndarray | None:
        """The weights of one video, (n, G, 1), or (n, G, K) where each class has its own; None where there are none.

        Under feature attention a class's own are Σ_d |w_kd| α_td / Σ_d |w_kd|, w being the classifier's kernel, and
        the mean over the features for all classes alike where the classifier is not linear.
        """
        if self.kind == "by_class":
            return part.weights[..., list(classes)]
        if self.kind != "by_feature":
            return part.weights
        if not self._copies[0].linear:
            return part.weights.mean(axis=-1, keepdims=True)
        own = []
        for group, copy in enumerate(self._copies):
            shares = np.abs(copy.kernel(self._numbers(classes))[0])
            # A class that reads no feature at all has the mean.
            shares = np.where(shares.sum(axis=0) > 0, shares, 1.0)
            own.append(part.weights[:, group] @ (shares / shares.sum(axis=0)))
        return np.stack(own, axis=1).astype(np.float32)

    def contributions(self, part: FrameParts, classes: Sequence[int]) -> Contributions | None:
        """What each frame of one video adds to each class, exactly; None where the scores are no such sum."""
        if not self.linear:
            return None
        columns, states = self._numbers(classes), part.states.astype(np.float64)
        if self.kind == "by_class":
            pieces = np.split(states, len(self._copies), axis=-1)
            pairs = (copy.kernel(columns) for copy in self._copies)
            values = [expit(x @ kernel + bias) for x, (kernel, bias) in zip(pieces, pairs, strict=True)]
            parts = tuple((group, None) for group in range(len(values)))
            values, biases = np.stack(values, axis=1) / len(values), np.zeros(len(columns))
            return Contributions(values.astype(np.float32), parts, biases.astype(np.float32), "identity")
        kernel, biases = self._copies[0].kernel(columns)
        weighted = self.kind == "by_feature"
        if weighted:
            states = states * part.weights[:, 0]
        kernels = np.split(kernel, self._copies[0].heads)
        pairs = [(head, name) for head in range(len(kernels)) for name in self._segments]
        values = [
            states[:, self._segments[name]] @ kernels[head][self._segments[name]] for head, name in pairs
        ]
        values = np.stack(values, axis=1).astype(np.float32)
        return Contributions(values, tuple(pairs), biases.astype(np.float32), "sigmoid", weighted)

    def pooled_scores(self, states: np.ndarray, num_frames: np.ndarray) -> np.ndarray:
        """(rows, classes) scores from (rows, time, size) states and (rows,) valid frames: what pools them, and after.

        Masked frames are those left out, the ones kept moved to the front. A `UsageError` for the pooling "last".
        """
        if not self.maskable:
            raise UsageError("The pooling 'last' reads no states of single frames, so none can be masked.")
        pieces = np.split(np.asarray(states, np.float32), len(self._copies), axis=-1)
        lengths = np.asarray(num_frames, np.int32)
        pairs = zip(self._copies, pieces, strict=True)
        found = [copy.head.predict_on_batch([piece, lengths]) for copy, piece in pairs]
        return np.mean(found, axis=0, dtype=np.float32)[:, self._columns]

    def explain(self, features: Mapping[str, np.ndarray], classes: Sequence[int], *, method: str) -> Terms:
        """How each frame of each modality of one video acts on the logit of some classes' scores.

        z are the normalized features, which the fusion reads, and z0 is the normalized value of a missing modality
        (byte 127, or 0.0). Texts are held fixed.

            gradient_input        (z − z0) · ∂logit(z)/∂z
            integrated_gradients  (z − z0) · the mean of ∂logit/∂z over the path from z0 to z, at `STEPS` midpoints
            occlusion             the score minus the score where z0 is in the place of a frame's modality; of more than
                                  300 frames, consecutive ones are replaced together and share the difference

        Args:
            features: Modality → (n, size) frames of one video, a text's (size,), as the model's inputs.
            classes: The classes.
            method: One of the three.

        Raises:
            UsageError: An unknown method, wrong features, or bytes that a foreign model reads as such.

        Source: Sundararajan, Taly, Yan 2017, "Axiomatic attribution for deep networks", §3 (integrated gradients).
        """
        methods = {
            "gradient_input": self._gradients,
            "integrated_gradients": self._gradients,
            "occlusion": self._occlusion,
        }
        explain = choose(methods, method, what="explanation")
        inputs = {name: np.asarray(each)[None] for name, each in features.items()}
        frames = {each.shape[1] for each in inputs.values() if each.ndim == 3}
        if len(frames) != 1:
            raise UsageError(f"Modalities need the same number of frames. Received: {sorted(frames)}.")
        count, columns = frames.pop(), self._numbers(classes)
        if count == 0 or len(columns) == 0:
            empty = np.zeros((count, len(self._modalities), len(columns)), np.float32)
            return Terms(empty, self._modalities, None if method == "occlusion" else empty.sum(axis=(0, 1)))
        inputs["num_frames"] = np.array([count], np.int32)
        missing = {name: 127 if each.dtype == np.uint8 else 0.0 for name, each in inputs.items()}
        inputs = self._batch(inputs)
        silent = {
            name: np.full_like(each, missing[name]) if name in self._modalities else each
            for name, each in inputs.items()
        }
        ends = [copy.front.predict_on_batch(inputs) for copy in self._copies]
        starts = [copy.front.predict_on_batch(silent) for copy in self._copies]
        modalities = len(self._modalities)
        values = [np.asarray(each, np.float32) for end in ends for each in end[:modalities]]
        baseline = [np.asarray(each, np.float32) for start in starts for each in start[:modalities]]
        fixed = [np.asarray(each) for end in ends for each in end[modalities:]]
        return explain(values, baseline, fixed, columns, method=method)

    def _gradients(self, values, baseline, fixed, columns, *, method) -> Terms:
        whole = method == "gradient_input"
        places = np.ones(1) if whole else (np.arange(STEPS) + 0.5) / STEPS
        count, modalities, classes = values[0].shape[1], len(self._modalities), len(columns)
        terms = np.zeros((classes, count, modalities))
        differences = [end - start for end, start in zip(values, baseline, strict=True)]
        pairs = [(k, place) for k in range(classes) for place in places]
        for chunk in _chunks(len(pairs), count):
            rows, shares = zip(*pairs[chunk], strict=True)
            shares, selection = (
                np.array(shares, np.float32)[:, None, None],
                np.zeros((len(rows), self._width)),
            )
            selection[range(len(rows)), columns[list(rows)]] = 1
            points = [start + shares * each for start, each in zip(baseline, differences, strict=True)]
            others = [np.repeat(each, len(rows), axis=0) for each in fixed]
            gradients = self._gradient(points, others, selection.astype(np.float32))
            for i, (gradient, difference) in enumerate(zip(gradients, differences, strict=True)):
                product = np.einsum("rts,ts->rt", ops.convert_to_numpy(gradient), difference[0])
                np.add.at(terms[:, :, i % modalities], list(rows), product / len(places))
        ends = [np.concatenate(pair) for pair in zip(baseline, values, strict=True)]
        logits = self._path.predict_on_batch([*ends, *(np.repeat(each, 2, axis=0) for each in fixed)])
        gap = terms.sum(axis=(1, 2)) - np.diff(logits[:, columns], axis=0)[0]
        return Terms(terms.transpose(1, 2, 0).astype(np.float32), self._modalities, gap.astype(np.float32))

    def _occlusion(self, values, baseline, fixed, columns, *, method) -> Terms:
        count, modalities = values[0].shape[1], len(self._modalities)
        windows = np.array_split(np.arange(count), min(count, MAX_OCCLUSIONS))
        terms = np.zeros((count, modalities, len(columns)), np.float32)
        full = self._scores_at(values, fixed)[:, columns]
        pairs = [(window, i) for window in windows for i in range(modalities)]
        for chunk in _chunks(len(pairs), count):
            points = [np.repeat(each, len(pairs[chunk]), axis=0) for each in values]
            for row, (window, modality) in enumerate(pairs[chunk]):
                for i in range(modality, len(points), modalities):
                    points[i][row, window] = baseline[i][0, window]
            without = self._scores_at(points, [np.repeat(each, len(points[0]), axis=0) for each in fixed])
            for (window, modality), scores in zip(pairs[chunk], without[:, columns], strict=True):
                terms[window, modality] = (full[0] - scores) / len(window)
        return Terms(terms, self._modalities, None)

    def _scores_at(self, points, fixed) -> np.ndarray:
        return expit(self._path.predict_on_batch([*points, *fixed]))

    def _numbers(self, classes: Sequence[int]) -> np.ndarray:
        """Classes as numbered here → the model's columns."""
        return np.arange(self._width)[self._columns][list(classes)]

    @property
    def _width(self) -> int:
        return self.model.output_shape[-1]

    def _batch(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if missing := [name for name in self._inputs if name not in inputs]:
            raise UsageError(
                f"The batch lacks {', '.join(missing)}. The model's inputs are: {', '.join(self._inputs)}. "
                f"Received: {', '.join(inputs)}."
            )
        check_codings(self.model, inputs)
        return {name: inputs[name] for name in self._inputs}

    @cached_property
    def _path(self) -> keras.Model:
        """All copies from normalized features on: [values of each copy, what is fixed of each copy] → logits."""
        if len(self._copies) == 1 and self._copies[0].logits is not None:
            return _compiled(self._copies[0].path_inputs, self._copies[0].logits)
        values, fixed, scores = [], [], []
        for copy in self._copies:
            new = [keras.Input(batch_shape=each.shape, dtype=each.dtype) for each in copy.path_inputs]
            scores.append(keras.Model(copy.path_inputs, copy.scores)(new))
            values, fixed = values + new[: len(copy.values)], fixed + new[len(copy.values) :]
        mean = ops.cast(sum(scores[1:], scores[0]), "float32") / len(scores)
        # What saturates in single precision has a finite logit, and no gradient.
        logits = ops.log(ops.maximum(mean, LEAST_SCORE)) - ops.log(ops.maximum(1 - mean, LEAST_COUNTERSCORE))
        return _compiled([*values, *fixed], logits)

    @cached_property
    def _gradient(self) -> Callable:
        def total(points, fixed, selection):
            return ops.sum(self._path([*points, *fixed], training=False) * selection)

        if any(
            not np.issubdtype(np.dtype(each.dtype), np.inexact) for each in self._copies[0].values.values()
        ):
            raise UsageError(
                f"The model '{self.model.name}' reads bytes by layers that are not dmlkit's, and has no gradients "
                f"with respect to them. Use the explanation 'occlusion'."
            )
        return _compile_gradient(total, self.model.variables)


class _Copy:
    """One model of `build` as a graph, and its tensors where the parts are read; a model by others has none of them."""

    def __init__(self, model: keras.Model):
        layers = {layer.name: layer for layer in model.layers}
        self.inputs = {each.name: each for each in model.inputs}
        self.scores, self._num_frames = model.outputs[0], self.inputs.get("num_frames")
        framed = [name for name, each in self.inputs.items() if len(each.shape) == 3]
        texts = [name for name, each in self.inputs.items() if len(each.shape) == 2]
        steps = ("normalization", "dequantize", "zero_padding", "over_frames")  # the last of those there are
        found = {name: [layers.get(f"{name}_{step}") for step in steps] for name in (*framed, *texts)}
        read = {
            name: next((each.output for each in row if each is not None), None) for name, row in found.items()
        }
        if self._num_frames is None or None in read.values():
            read, fixed = self.inputs, [name for name in self.inputs if name not in framed]
        else:
            read, fixed = read | {"num_frames": self._num_frames}, [*texts, "num_frames"]
        # Modality → the tensor that the fusion reads, and the others that are held fixed.
        self.values = {name: read[name] for name in framed}
        self._sources = {id(each): name for name, each in read.items() if name != "num_frames"}
        self.path_inputs = [*self.values.values(), *(read[name] for name in fixed)]
        self.kind, self.heads, self.pooled, self._read = "none", 1, None, {}
        for name, (kind_of_layer, kind) in _POOLINGS.items():
            if isinstance(pooling := layers.get(name), kind_of_layer):
                self._pooling, self.states, self.pooled = pooling, pooling.input[0], pooling.output
                self.kind = "none" if isinstance(pooling, DeepBag) else kind
                if kind in ("attention", "heads"):
                    self.pooled, self._read["weights"], self._read["logits"] = pooling.output
                    self.heads = pooling.heads
                elif kind in ("by_class", "by_feature"):
                    self._read["logits"] = pooling.input[1]
                if kind == "by_class":
                    self.states = layers["frame_logits"].input
                break
        else:
            self.states = self._states_of_last()
        self.front = _compiled(self.inputs, self.path_inputs)
        self.scorer = _compiled(self.inputs, self.scores)
        if self.pooled is not None:
            self.head = _compiled([self.states, self._num_frames], self.scores)
        self._rollouts = [self._attention_of(layers, name) for name in ("", *(f"_{each}" for each in framed))]
        self._rollouts = [each for each in self._rollouts if each]
        self._read |= {"states": self.states, "scores": self.scores, "rollouts": self._rollouts}
        self._reader = _compiled(self.inputs, self._read)

    def parts(self, batch: Mapping[str, np.ndarray]) -> dict:
        """What `FrameParts` holds, of this copy and with all its classes."""
        read = self._reader.predict_on_batch(batch)
        states, lengths = read["states"], batch.get("num_frames")
        if self.pooled is not None:
            mask = ops.convert_to_numpy(frame_mask(states, lengths))
            uniform = mask / np.maximum(mask.sum(axis=1, keepdims=True), 1)
        if self.kind in ("attention", "heads"):
            for name in ("weights", "logits"):
                read[name] = np.reshape(read[name], (*states.shape[:2], self.heads, 1))
        elif self.kind in ("by_class", "by_feature"):
            read["weights"] = ops.convert_to_numpy(softmax_over_frames(read["logits"], lengths))[:, :, None]
            read["logits"] = read["logits"][:, :, None] if self.kind == "by_class" else None
        elif self.kind == "mean":
            read["weights"] = uniform[:, :, None, None]
        elif self.kind == "clusters":
            read["assignment"] = ops.convert_to_numpy(self._pooling.assign(states, lengths, False)[0])
        read["rollout"] = None
        if self._rollouts:
            if "weights" in read:
                row = read["weights"].mean(axis=(2, 3))
            else:
                row = (
                    uniform
                    if self.pooled is not None
                    else np.eye(states.shape[1])[np.maximum(lengths, 1) - 1]
                )
            found = []
            for attentions in read["rollouts"]:
                flow = row
                for attention in reversed(attentions):
                    flow = (flow + np.einsum("bt,bts->bs", flow, attention)) / 2
                found.append(flow)
            read["rollout"] = np.mean(found, axis=0)
        return read

    @cached_property
    def _dense(self) -> list[keras.layers.Dense] | None:
        """The layers from the pooled vector to the logits, the last first; None where they are not linear."""
        if self.kind == "by_class":
            is_last = self.scores is self._pooling.output
            return [self._pooling.input[0]._keras_history.operation] if is_last else None
        layer, found = self.scores._keras_history.operation, []
        while isinstance(
            layer, keras.layers.Dense | keras.layers.Dropout
        ):  # which does nothing when a model scores
            activation = keras.activations.linear if found else keras.activations.sigmoid
            if isinstance(layer, keras.layers.Dense):
                if layer.activation is not activation:
                    return None
                found.append(layer)
            layer = layer.input._keras_history.operation
        is_whole = (
            self.pooled is not None and layer is self._pooling and self.kind not in ("clusters", "none")
        )
        # In 16 bits the pooled vector is rounded.
        return found if is_whole and found and layer.compute_dtype == "float32" else None

    @property
    def linear(self) -> bool:
        """Whether the logits are linear in the pooled vector; with `by_class`, whether scores are those pooled."""
        return self._dense is not None

    def kernel(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The linear map from the pooled vector to some logits: (size, columns) and (columns,) float64."""
        (first, *others) = self._dense
        kernel, bias = _numbers_of(first.kernel)[:, columns], _numbers_of(first.bias)[columns]
        for layer in others:
            kernel, bias = _numbers_of(layer.kernel) @ kernel, bias + _numbers_of(layer.bias) @ kernel
        return kernel, bias

    @property
    def logits(self):
        """The logits' tensor, where a dense layer with a sigmoid gives the scores; else None."""
        layer = self.scores._keras_history.operation
        if not isinstance(layer, keras.layers.Dense) or layer.activation is not keras.activations.sigmoid:
            return None
        return ops.matmul(ops.cast(layer.input, "float32"), layer.kernel) + layer.bias

    @property
    def segments(self) -> dict[str, np.ndarray] | None:
        """Modality → its entries of a state, where each entry depends on one modality alone; else None."""
        state = self.states
        while isinstance(state._keras_history.operation, keras.layers.Dropout):
            state = _arguments(state)[0]
        joined = isinstance(state._keras_history.operation, keras.layers.Concatenate | Alignment)
        pieces = [each for each in _arguments(state) if len(each.shape) == 3] if joined else [state]
        found, start = {}, 0
        for piece in pieces:
            names = {self._sources[id(each)] for each in _ancestors(piece) if id(each) in self._sources}
            if len(names) != 1:
                return None
            found.setdefault(names.pop(), []).extend(range(start, start := start + piece.shape[-1]))
        return {name: np.array(places) for name, places in found.items()}

    def _states_of_last(self):
        """The states (batch, time, size) whose ends the pooling "last" reads; without such ends, what is fused."""
        found = []
        for each in _ancestors(self.scores):
            layer, place, _ = each._keras_history
            if isinstance(layer, LastFrame):
                states = _arguments(each)[0]
                # Of two directions the second is in reverse.
                found.append(ReverseFrames()(states, self._num_frames) if place else states)
        found = found or list(self.values.values())
        return (
            found[0]
            if len(found) == 1
            else ops.concatenate([ops.cast(each, "float32") for each in found], -1)
        )

    def _attention_of(self, layers, suffix: str) -> list:
        """(batch, time, time) attention of each layer of a Transformer, the mean over its heads, the first first."""
        found, number = [], 1
        while isinstance(layer := layers.get(f"encoder{suffix}_{number}"), keras.layers.MultiHeadAttention):
            states, _, mask = layer._inbound_nodes[0].input_tensors
            found.append(_SelfAttention(layer)(states, mask))
            number += 1
        return found


class _SelfAttention(keras.layers.Layer):
    """(batch, time, time) weights of a Transformer's layer, the mean over its heads."""

    def __init__(self, attention):
        super().__init__(dtype=attention.dtype_policy)
        self.attention = attention

    def call(self, states, mask):
        settings = {"attention_mask": mask, "return_attention_scores": True}
        return ops.mean(self.attention(states, states, **settings)[1], axis=1)


def _compiled(inputs, outputs) -> keras.Model:
    model = keras.Model(inputs, outputs)
    # Eagerly, a recurrent layer would walk its frames one by one in Python.
    model.compile(jit_compile=False)
    return model


def _arguments(tensor) -> list:
    layer, place, _ = tensor._keras_history
    return layer._inbound_nodes[place].input_tensors


def _ancestors(tensor) -> list:
    """A tensor of a graph and all that it is computed from, the nearest first."""
    found = {id(tensor): tensor}
    queue = [tensor]
    for each in queue:
        new = {id(one): one for one in _arguments(each) if id(one) not in found}
        found |= new
        queue += new.values()
    return queue


def _numbers_of(variable) -> np.ndarray:
    return ops.convert_to_numpy(variable).astype(np.float64)


def _chunks(rows: int, frames: int) -> Iterator[slice]:
    size = max(1, FRAMES_AT_ONCE // frames)
    return (slice(start, start + size) for start in range(0, rows, size))


def _compile_gradient(total: Callable, variables: Sequence) -> Callable:
    """A compiled function of (points, *others) that gives ∂ total(points, *others) / ∂ points, a list of arrays."""
    backend = keras.backend.backend()
    library = importlib.import_module(backend)
    if backend == "jax":

        def pure(points, others, state):
            with keras.StatelessScope(zip(variables, state, strict=True)):
                return total(points, *others)

        gradient = library.jit(library.grad(pure))
        return lambda points, *others: gradient(points, others, [each.value for each in variables])
    if backend == "torch":

        def gradient(points, *others):
            points = [ops.convert_to_tensor(each).requires_grad_() for each in points]
            return library.autograd.grad(total(points, *others), points)

        return gradient

    @library.function(reduce_retracing=True, jit_compile=False)
    def gradient(points, *others):
        with library.GradientTape() as tape:
            tape.watch(points)
            value = total(points, *others)
        return tape.gradient(value, points, unconnected_gradients="zero")

    return lambda points, *others: gradient(
        *library.nest.map_structure(library.convert_to_tensor, (points, *others))
    )
