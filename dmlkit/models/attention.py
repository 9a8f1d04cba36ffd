"""What each frame does in a trained model: its weights, its exact contributions, and explanations by gradients."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import keras
import numpy as np
from keras import ops
from scipy.special import expit

from dmlkit.errors import UsageError, choose
from dmlkit.models.build import copies_of
from dmlkit.models.inputs import (
    ZERO_BYTE,
    LastFrame,
    ReverseFrames,
    check_codings,
    frame_mask,
    softmax_over_frames,
)
from dmlkit.models.poolings import AttentionPooling, ClusterPooling, DeepBag, FeatureAttention, MeanPooling

WEIGHTS = {
    "attention": ("attention", AttentionPooling),
    "heads": ("heads", AttentionPooling),
    "by_class": ("scores", FeatureAttention),
    "by_feature": ("feature_attention", FeatureAttention),
    "mean": ("mean", MeanPooling),
    "clusters": ("clusters", ClusterPooling),
    "none": ("", ()),
}
"""Kind of a model, by what weighs its frames → the name and class of that layer."""

METHODS = ("gradient_input", "integrated_gradients", "occlusion")
STEPS = 32  # midpoints of integrated gradients: trained Bi-GRUs' gaps are 0.1 % of the logit's change at most
MAX_OCCLUSIONS = 300  # windows of a video
FRAMES_AT_ONCE = 9600  # rows times frames in one call, which bounds the memory
TINY, EPSILON = 1e-30, 6e-8  # the least score and 1 - score in single precision whose logit is finite


@dataclass(frozen=True)
class FrameParts:
    """What a model computes for one batch; for one video, the same without the first axis.

    Weights sum to 1 over the frames, exactly 0 on padding, in G groups: the heads of each copy. Their last axis is 1
    (the same for all classes), the classes (kind "by_class") or the features of a state (kind "by_feature").
    """

    scores: np.ndarray  # (batch, classes) the model's
    states: np.ndarray  # (batch, time, size) what is pooled; those of several copies follow one another
    weights: np.ndarray | None  # (batch, time, G, 1 | classes | features)
    logits: np.ndarray | None  # the same shape, of which the weights are the softmax over the frames
    rollout: np.ndarray | None  # (batch, time) a sum of 1; see `FrameProbe.parts`
    assignment: np.ndarray | None  # (batch, time, clusters) a sum of 1 for each frame and copy


@dataclass(frozen=True)
class Contributions:
    """Exact terms: output_k = Σ_t Σ_p weights[t, parts[p][0], k or 0] · values[t, p, k] + biases[k].

    The output is the class's logit (`link` "sigmoid") or its score ("identity"). Under the kind "by_feature" the values
    have the weights in them already.
    """

    values: np.ndarray  # (n, P, K)
    parts: tuple[tuple[int, str | None], ...]  # (P,) group, and modality or None for all of them
    biases: np.ndarray  # (K,)
    link: str


@dataclass(frozen=True)
class Terms:
    """An explanation of one video; `gap` is Σ terms - (logit - the baseline's logit)."""

    values: np.ndarray  # (n, M, K)
    modalities: tuple[str, ...]  # (M,)
    gap: np.ndarray | None  # (K,); None for occlusion, whose terms are no parts of a sum


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
            f"Attention weights need a model of one copy with pooling 'attention' or 'multi_head_attention'. Received: "
            f"model '{model.name}', which has no such layer. `dmlkit.explore` shows what frames do in any model."
        )
    weights = FrameProbe(model).parts(inputs).weights[..., 0]
    return weights[..., 0] if weights.shape[-1] == 1 else weights


class FrameProbe:
    """A frame-level model whose weights, states and explanations can be read; its graphs are built once and kept.

    `kind` is a name in `WEIGHTS`, `groups` the names of the groups of weights. `reweightable`: weights are a softmax
    over the frames. `maskable`: the pooling can leave frames out. `linear`: contributions are exact, with `by_modality`
    those of each modality too. `columns` are the model's classes that are read, in the order by which they are
    numbered here; None for all. A model that is not of `build` has the kind "none", and its inputs are explained.

    Raises:
        UsageError: The model is no graph from inputs of frames to one score a class.

    Paper: §Attention.
    """

    def __init__(self, model: keras.Model, *, columns: Sequence[int] | None = None):
        inputs = [tuple(each.shape) for each in getattr(model, "inputs", None) or ()]
        outputs = [tuple(each.shape) for each in getattr(model, "outputs", None) or ()]
        if 3 not in map(len, inputs) or [len(each) for each in outputs] != [2]:
            raise UsageError(
                f"Frames can be explained of a functional model from inputs (batch, time, size) to scores (batch, "
                f"classes). Received: {getattr(model, 'name', model)!s:.80} with inputs {inputs}, outputs {outputs}."
            )
        copies = [output._keras_history.operation for output in copies_of(model)]
        self._copies = [_Copy(each) for each in (copies if len(copies) > 1 else [model])]
        self._model, self._scorer = model, _compiled(model.inputs, model.outputs[0])
        self._columns = np.arange(outputs[0][1]) if columns is None else np.asarray(columns)
        first, several = self._copies[0], len(copies) > 1
        self.kind, self._modalities = first.kind, tuple(first.values)
        self.reweightable = self.kind in ("attention", "heads", "by_class", "mean")
        copies = [f"copy {i}" for i, _ in enumerate(copies, 1)]
        copies = copies if several and self.kind not in ("mean", "clusters", "none") else [""]
        heads = [f"head {i + 1}" for i in range(first.heads)] if first.heads > 1 else [""]
        self.groups = tuple(", ".join(filter(None, (copy, head))) for copy in copies for head in heads)
        self.maskable = first.head is not None
        self.linear = first.dense is not None and (self.kind == "by_class" or not several)
        self.by_modality = self.linear and self.kind != "by_class" and first.segments is not None
        self._segments = first.segments if self.by_modality else {None: slice(None)}

    def scores(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """(batch, classes) scores alone, which take less memory than all parts; `inputs` as for `attention_weights`."""
        return self._scorer.predict_on_batch(list(self._batch(inputs).values()))[:, self._columns]

    def parts(self, inputs: Mapping[str, np.ndarray]) -> FrameParts:
        """Scores, states and weights of one batch; `inputs` as for `attention_weights`.

        The rollout is w (A_L + I)/2 ··· (A_1 + I)/2: each A_l a Transformer layer's attention, the mean over its
        heads, and w the pooling's weights (over groups and classes their mean, without weights uniform, for "last" the
        last frame). Of several encoders, in a late fusion or in copies, it is the mean.

        Source: Abnar and Zuidema 2020, "Quantifying attention flow in transformers", §3.
        """
        batch, parts = self._batch(inputs), {}
        found = [copy.parts(batch) for copy in self._copies]
        for name in FrameParts.__dataclass_fields__:
            arrays = [each[name] for each in found if each.get(name) is not None]
            if not arrays:
                parts[name] = None
            elif name in ("scores", "rollout"):
                parts[name] = np.mean(arrays, axis=0, dtype=np.float32)
            else:  # the mean of several copies has but one group of weights
                several = len(self.groups) > 1 or name not in ("weights", "logits")
                parts[name] = np.concatenate(arrays if several else arrays[:1], axis=2).astype(np.float32)
        for name in ("scores", "weights", "logits") if self.kind == "by_class" else ("scores",):
            parts[name] = parts[name][..., self._columns]
        return FrameParts(**parts)

    def weights_of(self, part: FrameParts, classes: Sequence[int]) -> np.ndarray | None:
        """One video's weights (n, G, 1), or (n, G, K) where each class has its own; None without weights.

        Under feature attention these are Σ_d |w_kd| α_td / Σ_d |w_kd|, w being the classifier's kernel; where the
        classifier is not linear, the mean over the features, the same for all classes.
        """
        if self.kind == "by_class":
            return part.weights[..., list(classes)]
        if self.kind != "by_feature":
            return part.weights
        if self._copies[0].dense is None:
            return part.weights.mean(axis=-1, keepdims=True)
        kernels = [np.abs(copy.kernel(self._columns[list(classes)])[0]) + TINY for copy in self._copies]
        own = [part.weights[:, i] @ (each / each.sum(axis=0)) for i, each in enumerate(kernels)]
        return np.stack(own, axis=1).astype(np.float32)

    def contributions(self, part: FrameParts, classes: Sequence[int]) -> Contributions | None:
        """What each frame of one video adds to the classes, exactly; None where the model's scores are no such sum."""
        if not self.linear:
            return None
        states = np.split(part.states.astype(np.float64), len(self._copies), axis=-1)
        maps = [copy.kernel(self._columns[list(classes)]) for copy in self._copies]
        kernel, biases = maps[0]
        if self.kind == "by_class":
            values = [expit(x @ w + b) / len(maps) for x, (w, b) in zip(states, maps, strict=True)]
            pairs, biases, link = [(i, None) for i in range(len(maps))], np.zeros_like(biases), "identity"
        else:
            frames = states[0] * part.weights[:, 0] if self.kind == "by_feature" else states[0]
            pairs, values, link = [], [], "sigmoid"
            for head, rows in enumerate(np.split(kernel, self._copies[0].heads)):
                for name, places in self._segments.items():
                    pairs.append((head, name))
                    values.append(frames[:, places] @ rows[places])
        values, biases = np.stack(values, axis=1).astype(np.float32), biases.astype(np.float32)
        return Contributions(values, tuple(pairs), biases, link)

    def pooled_scores(self, states: np.ndarray, num_frames: np.ndarray) -> np.ndarray:
        """(rows, classes) scores from states (rows, time, size) on, of which the first `num_frames` (rows,) are pooled.

        A masked frame is one that is left out. The pooling "last" reads no states of frames: a `UsageError`.
        """
        if not self.maskable:
            message = "The model pools no frames' states, so no frame can be masked. Remove or mute it."
            raise UsageError(message)
        states, num_frames = np.asarray(states, np.float32), np.asarray(num_frames, np.int32)
        pairs = zip(self._copies, np.split(states, len(self._copies), axis=-1), strict=True)
        found = [copy.head.predict_on_batch([each, num_frames]) for copy, each in pairs]
        return np.mean(found, axis=0, dtype=np.float32)[:, self._columns]

    def explain(self, features: Mapping[str, np.ndarray], classes: Sequence[int], *, method: str) -> Terms:
        """How each frame of each modality of one video acts on the scores of some classes; texts are held fixed.

        z are the normalized features, which the fusion reads, and z0 those of a missing modality (byte 127, or 0.0).

            gradient_input        (z - z0) · ∂logit/∂z
            integrated_gradients  (z - z0) · the mean of ∂logit/∂z over the path from z0 to z, at `STEPS` midpoints
            occlusion             the score minus the score with z0 in place of a frame's modality; more than 300
                                  frames are replaced in windows of consecutive ones, which share the difference

        `features` are the model's inputs: (n, size) frames by modality, a text (size,). A `UsageError` is raised for
        an unknown method, other features, and gradients of a model by others that reads bytes.

        Source: Sundararajan, Taly, Yan 2017, "Axiomatic attribution for deep networks", §3 (integrated gradients).
        """
        choose(dict.fromkeys(METHODS), method, what="explanation")
        inputs = {name: np.asarray(each)[None] for name, each in features.items()}
        counts = {each.shape[1] for each in inputs.values() if each.ndim == 3}
        if len(counts) != 1:
            raise UsageError(f"Modalities must have the same number of frames. Received: {sorted(counts)}.")
        (count,), classes = counts, list(classes)
        inputs = self._batch(inputs | {"num_frames": np.array([count], np.int32)})
        missing = {name: ZERO_BYTE if inputs[name].dtype == np.uint8 else 0.0 for name in self._modalities}
        silent = inputs | {name: np.full_like(inputs[name], value) for name, value in missing.items()}
        if count == 0 or not classes:
            values = np.zeros((count, len(self._modalities), len(classes)), np.float32)
            return Terms(values, self._modalities, None if method == "occlusion" else values.sum(axis=(0, 1)))
        if method == "occlusion":
            return Terms(self._occlusion(inputs, silent, classes), self._modalities, None)
        steps = [1.0] if method == "gradient_input" else ((np.arange(STEPS) + 0.5) / STEPS).tolist()
        return self._path_gradients(inputs, silent, classes, steps)

    def _occlusion(self, inputs, silent, classes) -> np.ndarray:
        count = inputs[self._modalities[0]].shape[1]
        windows = np.array_split(np.arange(count), min(count, MAX_OCCLUSIONS))
        cases = [(window, i) for window in windows for i in range(len(self._modalities))]
        terms, full = np.zeros((count, len(self._modalities), len(classes)), np.float32), self.scores(inputs)
        for some in _batches(cases, count):
            changed = {name: np.repeat(each, len(some), axis=0) for name, each in inputs.items()}
            for row, (window, i) in enumerate(some):
                name = self._modalities[i]
                changed[name][row, window] = silent[name][0, window]
            for (window, i), scores in zip(some, self.scores(changed), strict=True):
                terms[window, i] = (full[0] - scores)[classes] / len(window)
        return terms

    def _path_gradients(self, inputs, silent, classes, steps) -> Terms:
        """The mean over the steps of (z - z0) · ∂logit/∂z at z0 + step · (z - z0), and its gap."""
        count, copies = inputs[self._modalities[0]].shape[1], len(self._copies)
        ends, starts = (self._fused(each) for each in (inputs, silent))
        framed = len(self._modalities) * copies
        fixed, starts = ends[framed:], [np.asarray(each, np.float32) for each in starts[:framed]]
        changes = [np.asarray(end, np.float32) - start for end, start in zip(ends, starts, strict=False)]
        terms, gap = np.zeros((len(classes), count, len(self._modalities))), np.zeros(len(classes))
        # Place on the path → its weight among the terms, and that of its logit in the gap; a row each for every class.
        places = {step: (1 / len(steps), 0) for step in steps}
        for end, sign in ((0.0, 1), (1.0, -1)):
            places[end] = (places.get(end, (0, 0))[0], sign)
        cases = [(k, place, *weights) for k in range(len(classes)) for place, weights in places.items()]
        for some in _batches(cases, count):
            rows, places, shares, signs = map(np.array, zip(*some, strict=True))
            selection = self._columns[classes][rows][:, None] == np.arange(self._model.output_shape[-1])
            places = places.astype(np.float32)[:, None, None]
            points = [start + places * change for start, change in zip(starts, changes, strict=True)]
            others = [np.repeat(each, len(some), axis=0) for each in fixed]
            gradients, logits = self._gradient(points, others, selection.astype(np.float32))
            np.add.at(gap, rows, signs * ops.convert_to_numpy(logits))
            for i, (gradient, change) in enumerate(zip(gradients, changes, strict=True)):
                products = np.einsum("rts,ts->rt", ops.convert_to_numpy(gradient), change[0])
                np.add.at(terms[:, :, i // copies], rows, shares[:, None] * products)
        gap = (gap + terms.sum(axis=(1, 2))).astype(np.float32)
        return Terms(terms.transpose(1, 2, 0).astype(np.float32), self._modalities, gap)

    def _fused(self, inputs) -> list[np.ndarray]:
        """What the fusions read, then what is held fixed: the first tensor of every copy, the second, …"""
        found = [copy.front.predict_on_batch(list(inputs.values())) for copy in self._copies]
        return [each for tensors in zip(*found, strict=True) for each in tensors]

    def _batch(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [each.name for each in self._model.inputs]
        if missing := [name for name in names if name not in inputs]:
            raise UsageError(
                f"The batch lacks {', '.join(missing)}. The model's inputs are: {', '.join(names)}. "
                f"Received: {', '.join(inputs)}."
            )
        check_codings(self._model, inputs)
        return {name: inputs[name] for name in names}

    @cached_property
    def _gradient(self) -> Callable:
        copies, several = self._copies, len(self._copies)
        if any("int" in each.dtype for each in copies[0].values.values()):
            raise UsageError(
                f"The model '{self._model.name}' reads bytes by layers that are not dmlkit's, and has no gradients "
                f"with respect to them. Use the explanation 'occlusion'."
            )
        last = copies[0].scores._keras_history.operation
        # The logits as they are, rather than of scores that may be rounded to 1.
        direct = several == 1 and isinstance(last, keras.layers.Dense)
        direct = direct and last.activation is keras.activations.sigmoid
        paths = [keras.Model(copy.path_inputs, last.input if direct else copy.scores) for copy in copies]

        def logits(points, fixed, selection):
            read = ([*points[i::several], *fixed[i::several]] for i in range(several))
            pairs = zip(paths, read, strict=True)
            found = [ops.cast(path(each, training=False), "float32") for path, each in pairs]
            if direct:
                return ops.sum((ops.matmul(found[0], last.kernel) + last.bias) * selection, axis=1)
            mean = sum(found) / several
            found = ops.log(ops.maximum(mean, TINY)) - ops.log(ops.maximum(1 - mean, EPSILON))
            return ops.sum(found * selection, axis=1)

        return _compile_gradient(logits, self._model.variables)


class _Copy:
    """One model of `build` as a graph, and its tensors where parts are read; a model by others has none of them."""

    def __init__(self, model: keras.Model):
        layers = {each.name: each for each in model.layers}
        inputs = {each.name: each for each in model.inputs}
        framed = [name for name, each in inputs.items() if len(each.shape) == 3]
        self.scores, self._num_frames = model.outputs[0], inputs.get("num_frames")
        # What the fusion reads of each modality: the output of the last of these layers that there is.
        read = dict(inputs)
        for step in ("over_frames", "zero_padding", "dequantize", "normalization"):
            read |= {name: layers[f"{name}_{step}"].output for name in inputs if f"{name}_{step}" in layers}
        self.values = {name: read[name] for name in framed}
        self.path_inputs = [*self.values.values(), *(read[name] for name in inputs if name not in framed)]
        self._modalities = sorted(inputs.keys() - {"num_frames"})  # as they are fused
        kinds = [kind for kind, (name, type_) in WEIGHTS.items() if isinstance(layers.get(name), type_)]
        self.kind = kinds[0] if kinds and self._num_frames is not None else "none"
        self._pooling = layers.get(WEIGHTS[self.kind][0])
        self.heads, self.head, outputs = getattr(self._pooling, "heads", 1), None, {"scores": self.scores}
        if self._pooling is None:
            self.states = self._states_of_last(model)
        else:
            states = self._pooling.input[0]
            self.states = states._keras_history.operation.input if self.kind == "by_class" else states
            self.head = _compiled([self.states, self._num_frames], self.scores)
        if self.kind in ("attention", "heads"):
            _, outputs["weights"], outputs["logits"] = self._pooling.output
        elif self.kind in ("by_class", "by_feature"):
            outputs["logits"] = self._pooling.input[1]
        if isinstance(self._pooling, DeepBag):  # which assigns nothing
            self.kind = "none"
        # Of each Transformer, (batch, time, time) of its layers, the lowest first; a text's sees no frames.
        attentions = {name: [] for name in ("encoder", *(f"encoder_{name}" for name in framed))}
        for layer in model.layers:
            encoder = layer.name.rpartition("_")[0]
            if isinstance(layer, keras.layers.MultiHeadAttention) and encoder in attentions:
                states, _, mask = layer.input
                attentions[encoder].append(_HeadMean(layer)(states, mask))
        outputs |= {"states": self.states, "attentions": list(filter(None, attentions.values()))}
        self.front, self._reader = _compiled(model.inputs, self.path_inputs), _compiled(model.inputs, outputs)

    def parts(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | None]:
        """What `FrameParts` holds, of this copy and with all its classes."""
        read, lengths = self._reader.predict_on_batch(list(batch.values())), batch.get("num_frames")
        states, weights = read["states"], None
        if self._pooling is not None:
            mask = ops.convert_to_numpy(frame_mask(states, lengths))
            weights = mask / np.maximum(mask.sum(axis=1, keepdims=True), 1)
        elif read["attentions"]:
            weights = np.eye(states.shape[1])[np.maximum(lengths, 1) - 1]
        if self.kind in ("attention", "heads"):
            for name in ("weights", "logits"):
                read[name] = np.reshape(read[name], (*states.shape[:2], self.heads, 1))
        elif self.kind in ("by_class", "by_feature"):
            shares = softmax_over_frames(read["logits"], lengths)
            read |= {
                "weights": ops.convert_to_numpy(shares)[:, :, None],
                "logits": read["logits"][:, :, None],
            }
        elif self.kind == "mean":
            read["weights"] = weights[:, :, None, None]
        elif self.kind == "clusters":
            read["assignment"] = ops.convert_to_numpy(self._pooling.assign(states, lengths, False)[0])
        weights, flows = read["weights"].mean(axis=(2, 3)) if "weights" in read else weights, []
        for attentions in read["attentions"]:
            flow = weights
            for attention in reversed(attentions):
                flow = (flow + np.einsum("bt,bts->bs", flow, attention)) / 2
            flows.append(flow)
        return read | {"rollout": np.mean(flows, axis=0) if flows else None}

    @cached_property
    def dense(self) -> list[keras.layers.Dense] | None:
        """The dense layers from what is pooled to the logits, the last first; None where there is more than these.

        With the kind "by_class": the one that scores the frames.
        """
        layer, found = self.scores._keras_history.operation, []
        if self.kind == "by_class":
            return [self._pooling.input[0]._keras_history.operation] if layer is self._pooling else None
        # A dropout does nothing when a model scores.
        while isinstance(layer, keras.layers.Dense | keras.layers.Dropout):
            found += [layer] if isinstance(layer, keras.layers.Dense) else []
            layer = layer.input._keras_history.operation
        activations = [each.activation.__name__ for each in found]
        is_sum = layer is self._pooling and self.kind not in ("clusters", "none")
        # In 16 bits the pooled vector is rounded.
        exact = (
            is_sum
            and layer.compute_dtype == "float32"
            and activations in (["sigmoid"], ["sigmoid", "linear"])
        )
        return found if exact else None

    def kernel(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The dense layers as one linear map: (size, columns) and (columns,), both float64."""
        kernel, bias = np.eye(self.dense[0].units)[:, columns], np.zeros(len(columns))
        for layer in self.dense:
            bias = bias + ops.convert_to_numpy(layer.bias).astype(np.float64) @ kernel
            kernel = ops.convert_to_numpy(layer.kernel).astype(np.float64) @ kernel
        return kernel, bias

    @property
    def segments(self) -> dict[str, slice | np.ndarray] | None:
        """Modality → its entries of a state; None where an entry depends on more than one."""
        if len(self._modalities) == 1:
            return {self._modalities[0]: slice(None)}
        fusion = self.states._keras_history.operation
        if fusion.name not in ("fusion", "fusion_alignment"):
            return None
        ends = np.cumsum([each.shape[-1] for each in fusion.input if len(each.shape) == 3])
        return dict(zip(self._modalities, np.split(np.arange(ends[-1]), ends[:-1]), strict=True))

    def _states_of_last(self, model: keras.Model):
        """The states whose ends the pooling "last" reads; where there are none, what is fused."""
        found = []
        for _, nodes in sorted(model._nodes_by_depth.items()):
            for node in nodes:
                if isinstance(node.operation, LastFrame):
                    states, second = node.input_tensors[0], node.outputs[0]._keras_history.node_index
                    # Of two directions, the second one's.
                    found.append(ReverseFrames()(states, self._num_frames) if second else states)
        found = [ops.cast(each, "float32") for each in found or self.values.values()]
        return found[0] if len(found) == 1 else ops.concatenate(found, axis=-1)


class _HeadMean(keras.layers.Layer):
    """The attention (batch, time, time) of a layer of self-attention, the mean over its heads."""

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


def _batches(cases: list, frames: int) -> Iterator[list]:
    cases, size = iter(cases), max(1, FRAMES_AT_ONCE // frames)
    return iter(lambda: list(islice(cases, size)), [])


def _compile_gradient(function: Callable, variables: Sequence) -> Callable:
    """A compiled function (points, *others) → (∂ sum of function(points, *others) / ∂ points, function(...)).

    Keras has no gradients of its own: they are those of its backend, which it has imported.
    """
    backend = importlib.import_module(keras.backend.backend())
    if keras.backend.backend() == "jax":

        def total(points, others, state):
            with keras.StatelessScope(zip(variables, state, strict=True)):
                values = function(points, *others)
            return ops.sum(values), values

        compiled = backend.jit(backend.grad(total, has_aux=True))
        return lambda points, *others: compiled(points, others, [each.value for each in variables])
    if keras.backend.backend() == "torch":

        def gradient(points, *others):
            points = [ops.convert_to_tensor(each).requires_grad_() for each in points]
            values = function(points, *others)
            return backend.autograd.grad(values.sum(), points), values

        return gradient

    @backend.function(reduce_retracing=True, jit_compile=False)
    def gradient(points, *others):
        with backend.GradientTape() as tape:
            tape.watch(points)
            values = function(points, *others)
        return tape.gradient(values, points, unconnected_gradients="zero"), values

    return gradient
