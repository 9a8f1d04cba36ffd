"""What one model computed for one video, as plain arrays, and the effect of masking frames.

Needs numpy and scipy only, so that arrays of one's own can be explored without a model. Arrays are single precision,
as they travel to the browser: `attention_view/` computes the same functions from the same bits.
"""

import base64
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, softmax

from dmlkit.errors import DataError, UsageError

FORMAT = 3  # of the JSON that `scene` writes
MAX_CLASSES, DRAWN_CLASSES = 20, 3  # included, and drawn of these, unless they are chosen
SUM_TOLERANCE = 1e-3  # a softmax in single precision over thousands of frames sums closer to 1
WEIGHT_TITLES = {
    "attention": "Attention weight",
    "heads": "Attention weight by head",
    "by_class": "Class's own attention weight",
    "by_feature": "Class's own weight, the mean over the features it reads",
    "mean": "Weight of the mean",
}
"""Kind of a model that weighs frames → what the weights are."""
EXPLANATIONS = {
    "own": "the model's own terms",
    "gradient_input": "gradient × input (approximation)",
    "integrated_gradients": "integrated gradients (approximation)",
    "occlusion": "occlusion: score minus score without the frame's modality",
}
"""Name → what the terms of frames are."""
MASKING = "occlusion by masking: score minus score with this frame's weight at zero"
OUTPUTS = {"sigmoid": expit, "identity": np.asarray}  # from a class's output to its score


@dataclass(kw_only=True, eq=False)
class Evidence:
    """One video as one model sees it; a `DataError` where the arrays are not finite or do not fit together.

    Frames are explained by `contributions`, which the weights turn into terms, or by `terms` as they are:

        output_k = Σ_p Σ_t weights[t, parts[p][0], k] contributions[t, p, k] + biases[k];  score_k = link(output_k)

    Runs side by side include the same classes. Paper: §Attention.
    """

    video: str
    run: str
    times: np.ndarray  # (frames,) seconds from the start of the video
    kind: str = "attention"  # a name in `dmlkit.models.attention.WEIGHTS`
    title: str = "Attention weight"  # what the weights are, or why there are none
    groups: tuple[str, ...] = ("",)  # the heads, or a model's copies
    # (frames, groups, 1 or classes) a sum of 1 over the frames, for all classes alike or each class's own; None where
    # the model weighs no frames. The logits, of which they are the softmax, are None where they are not known.
    weights: np.ndarray | None = None
    logits: np.ndarray | None = None
    reweightable: bool = True  # whether masked weights follow from the arrays; else from the model alone
    maskable: bool = True  # whether leaving out frames' states has a meaning
    classes: tuple[int, ...] = ()  # those included
    names: tuple[str, ...] = ()  # of `classes`
    scores: np.ndarray = ()  # (classes,) probabilities
    contributions: np.ndarray | None = None  # (frames, parts, classes) before they are weighted
    parts: tuple[tuple[int, str | None], ...] = (
        (0, None),
    )  # group and modality (None: not split) of each part
    biases: np.ndarray | None = None  # (classes,)
    link: str = "sigmoid"  # or "identity": the output is the score
    # (frames, modalities, term classes), with the modalities' names, ("",) where not split, and numbers of classes.
    terms: np.ndarray | None = None
    term_modalities: tuple[str, ...] = ("",)
    term_classes: tuple[int, ...] = ()
    terms_title: str = "contribution to the logit"
    gap: np.ndarray | None = None  # (term classes,) Σ terms − (logit − the baseline's logit)
    exact: bool = False  # whether Σ terms + biases are the logits
    rollout: np.ndarray | None = None  # (frames,) attention rollout of a Transformer, a sum of 1
    assignment: np.ndarray | None = None  # (frames, clusters) soft assignment
    true: tuple[int, ...] | None = None  # the labels, also those not included; None where they are not known
    # Class → (frames,) which made the label; modality → (frames,) norm of the features, and distance to the previous
    # frame, first 0.
    ground_truth: Mapping[int, np.ndarray] = field(default_factory=dict)
    energy: Mapping[str, np.ndarray] = field(default_factory=dict)
    change: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        self.classes, self.term_classes = tuple(map(int, self.classes)), tuple(map(int, self.term_classes))
        self.names, self.groups = tuple(map(str, self.names)), tuple(map(str, self.groups))
        self.parts = tuple((int(group), modality) for group, modality in self.parts)
        self.true = None if self.true is None else tuple(map(int, self.true))
        n = self._count()
        count, groups, parts, terms = map(len, (self.classes, self.groups, self.parts, self.term_classes))
        by_group = [(n, groups, 1), (n, groups, count)]
        shapes = {"times": [(n,)], "weights": by_group, "logits": by_group, "scores": [(count,)]}
        shapes |= {"contributions": [(n, parts, count)], "biases": [(count,)], "gap": [(terms,)]}
        shapes |= {"terms": [(n, len(self.term_modalities), terms)], "rollout": [(n,)]}
        shapes |= {"assignment": [(n, *np.shape(self.assignment)[1:2])]}
        for name, allowed in shapes.items():
            if getattr(self, name) is not None:
                setattr(self, name, self._array(name, getattr(self, name), *allowed))
        for name in ("energy", "change", "ground_truth"):
            rows = getattr(self, name).items()
            setattr(self, name, {key: self._array(f"{name} {key}", row, (n,)) for key, row in rows})
        self.ground_truth = {int(label): row != 0 for label, row in self.ground_truth.items()}
        if len(self.names) != count:
            raise self._error(f"expected one name for each of {count} classes. Received: {self.names}.")
        if (np.diff(self.times) <= 0).any():
            raise self._error(f"times must be ascending seconds. Received: {self.times}.")
        if (np.abs(self.scores - 0.5) > 0.5 + SUM_TOLERANCE).any():
            raise self._error(f"scores must be probabilities between 0 and 1. Received: {self.scores}.")
        if self.weights is not None:
            self._check_weights()
        given = [getattr(self, name) is not None for name in ("contributions", "weights", "biases", "terms")]
        if given[0] and given != [True, True, True, False]:
            raise self._error("contributions need weights and biases, and take the place of terms.")
        if set(self.term_classes) - set(self.classes) or {part[0] for part in self.parts} - set(
            range(groups)
        ):
            raise self._error(f"terms of {self.term_classes} or parts {self.parts} of what is not included.")

    @property
    def frames(self) -> int:
        """The number of frames."""
        return len(self.times)

    @property
    def mean_weights(self) -> np.ndarray | None:
        """(frames,) the weights' mean over groups and classes; None where the model weighs no frames."""
        return None if self.weights is None else self.weights.mean(axis=(1, 2))

    def to_json(self) -> dict:
        """A dict that `json` can write: arrays in base64, the rest as lists."""
        made = {str(label): np.flatnonzero(row).tolist() for label, row in self.ground_truth.items()}
        return _pack(vars(self) | {"ground_truth": made})

    def _count(self) -> int:
        return len(np.atleast_1d(self.times if self.weights is None else self.weights))

    def _check_weights(self) -> None:
        if (self.weights < 0).any():
            at = tuple(np.argwhere(self.weights < 0)[0])
            raise self._error(f"weights cannot be negative. Received: {self.weights[at]:g} at frame {at[0]}.")
        totals = self.weights.sum(axis=0, dtype=np.float64)
        if self.frames and (np.abs(totals - 1) > SUM_TOLERANCE).any():
            group, column = np.unravel_index(np.abs(totals - 1).argmax(), totals.shape)
            of = f" of {self.groups[group]}" if self.groups[group] else ""
            message = f"the weights{of} must sum to 1. Received: a sum of {totals[group, column]:g}"
            raise self._error(f"{message}; see normalize=True.")

    def _error(self, message: str) -> DataError:
        return DataError(f"Video {self.video!r}, {self.run}: {message}")

    def _array(self, name: str, values, *shapes: tuple[int, ...]) -> np.ndarray:
        values = as_array(values, f"Video {self.video!r}, {self.run}: {name}")
        if values.shape not in shapes:
            allowed = " or ".join(map(str, dict.fromkeys(shapes)))
            given = f"{self._count()} frames"
            message = f"must have the shape {allowed}, as there are {given} and {len(self.classes)} classes"
            raise self._error(f"{name} {message}. Received: {values.shape}.")
        if not np.isfinite(values).all():
            bad = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
            at = bad[0] if values.size == len(values) else bad
            raise self._error(f"{name} holds {values[bad]} at {at}; only finite numbers can be drawn.")
        return values


def select_classes(scores: np.ndarray, true: Sequence[int] | None, also: Iterable[int] = ()) -> list[int]:
    """The classes included: the true ones and the highest of (classes,) scores, highest first; then those `also`."""
    required = [label for label in true or () if label < len(scores)][:MAX_CLASSES]
    ranked = np.argsort(-scores, kind="stable").tolist()
    chosen = list(dict.fromkeys([*required, *ranked]))[:MAX_CLASSES]
    return list(dict.fromkeys([*sorted(chosen, key=ranked.index), *also]))


def first_drawn(true: Sequence[int] | None, classes: Sequence[int]) -> list[int]:
    """The classes drawn unless they are chosen, of those included: the true ones first."""
    return [label for label in dict.fromkeys((*(true or ()), *classes)) if label in classes][:DRAWN_CLASSES]


def reweight(
    evidence: Evidence, *, masked=(), top: int | None = None, temperature: float = 1.0, uniform: bool = False
) -> np.ndarray | None:
    """The weights without the masked frames, a sum of 1 over frames, of the evidence's shape.

    `masked` holds numbers of frames or (frames,) bool. Of the others the `top` with the highest logits are kept, in
    each group and, where classes have weights of their own, for each class; of equal ones the earlier. The logits are
    divided by `temperature`, or every kept frame has the same weight.

    None where no frame has a weight left, where the model weighs no frames, and where the arrays do not determine the
    weights (`reweightable` is False, and anything is changed).
    """
    kept, frames = ~frame_mask(masked, evidence.frames), evidence.frames
    changed = uniform or temperature != 1 or not kept.all() or (top is not None and top < frames)
    if evidence.weights is None or not kept.any() or (changed and not evidence.reweightable):
        return None
    if not evidence.reweightable:
        return evidence.weights.astype(np.float64)
    with np.errstate(divide="ignore"):  # without logits log α_t serves, which differs by a constant
        logits = np.log(evidence.weights, dtype=np.float64) if evidence.logits is None else evidence.logits
    logits = logits.astype(np.float64)
    kept = np.broadcast_to(kept[:, None, None], logits.shape).copy()
    if top is not None:
        order = np.argsort(-logits, axis=0, kind="stable")
        ranked = np.take_along_axis(kept, order, axis=0)
        np.put_along_axis(kept, order, ranked & (ranked.cumsum(axis=0) <= top), axis=0)
    if uniform:
        return kept / kept.sum(axis=0)
    logits = np.where(kept, logits / temperature, -np.inf)
    # Frames whose weight was 0 from the start cannot be compared with each other.
    return softmax(logits, axis=0) if np.isfinite(logits.max(axis=0)).all() else None


def weighted_terms(
    weights: np.ndarray | None, contributions: np.ndarray | None, parts: Sequence[tuple[int, str | None]]
) -> np.ndarray | None:
    """(frames, parts, classes) what each frame and part adds to each output, of arrays as `Evidence` has them.

    None without weights, or where there are no contributions.
    """
    if weights is None or contributions is None:
        return None
    return weights[:, [group for group, _ in parts]] * contributions.astype(np.float64)


def class_scores(evidence: Evidence, weights: np.ndarray | None) -> np.ndarray | None:
    """(classes,) link(Σ `weighted_terms` + biases); None where those are."""
    terms = weighted_terms(weights, evidence.contributions, evidence.parts)
    return None if terms is None else OUTPUTS[evidence.link](terms.sum(axis=(0, 1)) + evidence.biases)


def frame_mask(frames, count: int) -> np.ndarray:
    """(count,) bool from frame numbers, or from a mask already; a `UsageError` for frames that do not exist."""
    frames = np.asarray(frames if isinstance(frames, np.ndarray) else list(frames))
    if frames.dtype == bool and frames.shape == (count,):
        return frames.copy()
    if frames.size and not (frames.dtype.kind in "iu" and 0 <= frames.min() <= frames.max() < count):
        raise UsageError(f"The video has frames 0 to {count - 1}. Received: {frames.tolist()}.")
    return np.isin(np.arange(count), frames)


def scene(
    videos: Mapping, source, *, live: bool = False, note: str | None = None, code: str | None = None,
    similarity: Mapping | None = None, media: Mapping | None = None,
) -> dict:  # fmt: skip
    """The content of the view, in a notebook and in a saved page, as a dict for JSON.

    Args:
        videos: Id → the evidence of each of the source's runs, or why the video cannot be read.
        source: A `Source`.
        live: Whether a kernel answers; then the vocabulary has the names of all classes.
        note: What to tell the reader besides the source's own note.
        code: The call that makes this view, without its closing parenthesis.
        similarity: What `ModelSource.similarity` returns, of a video's frames.
        media: Id → what `media_of` found.
    """
    entries = []
    for name, evidence in videos.items():
        if isinstance(evidence, Exception):
            records = [{"run": run, "video": name, "problem": str(evidence)} for run in source.runs]
        else:
            records = [each.to_json() for each in evidence]
        entries.append({"id": name, "label": source.videos.get(name, name), "runs": records})
        entries[-1] |= {"media": media[name]} if media and media.get(name) else {}
    about = {name: getattr(source, name) for name in ("title", "data", "generated")}
    notes = " ".join(filter(None, [source.note, note])) or None
    vocabulary = {"total": len(source.class_names), "groups": source.class_groups}
    vocabulary |= {"names": dict(enumerate(source.class_names))} if live else {}
    optional = {name: each for name, each in (("code", code), ("similarity", similarity)) if each}
    made = {"format": FORMAT, **about, "videos": entries, "live": live, "note": notes}
    return made | {"vocabulary": vocabulary} | optional


def whole_number(value, name: str, *, least: int | None = None) -> int:
    """An argument as an int; a `UsageError` where it is something else (0.5, True, "a") or below `least`."""
    try:
        number = operator.index(None if isinstance(value, bool | np.bool_) else value)
    except TypeError:
        raise UsageError(f"{name}: expected a whole number. Received: {value!r:.80}.") from None
    if least is not None and number < least:
        raise UsageError(f"{name}: expected at least {least}. Received: {name}={number}.")
    return number


def as_list(value, name: str) -> list:
    """An argument as a list; a `UsageError` where it is a text, a dict or a single value."""
    single = isinstance(value, str | bytes | Mapping) or getattr(value, "ndim", 1) == 0
    if single or not isinstance(value, Iterable):
        raise UsageError(f"{name}: expected a list. Received: {value!r:.80}.")
    return list(value)


def as_array(values, name: str, dtype=np.float32) -> np.ndarray:
    """Numbers as an array; a `DataError` where they are none, or rows differ in length."""
    try:
        return np.asarray(values, dtype)
    except (TypeError, ValueError):
        raise DataError(f"{name}: expected an array of numbers. Received: {values!r:.80}.") from None


def distinct(names: Sequence[str], *, what: str) -> list[str]:
    """The names, with their position appended to repeated ones; `what` stands for empty ones."""
    found: dict[str, None] = {}
    for position, name in enumerate(names, 1):
        while not name or name in found:
            name = f"{name or what} ({position})"
        found[name] = None
    return list(found)


def _pack(value):
    """Arrays in base64 and tuples as lists, also within dicts."""
    if isinstance(value, np.ndarray):
        encoded = base64.b64encode(np.ascontiguousarray(value, "<f4").tobytes())
        return {"f32": encoded.decode("ascii"), "shape": list(value.shape)}
    if isinstance(value, Mapping):
        return {name: _pack(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value
