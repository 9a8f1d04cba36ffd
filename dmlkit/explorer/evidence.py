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

FORMAT = 2  # of the JSON that `scene` writes
MAX_CLASSES = 20  # included unless they are chosen
SUM_TOLERANCE = 1e-3  # a softmax in single precision over thousands of frames sums closer to 1


@dataclass(kw_only=True, eq=False)
class Evidence:
    """One video as one model sees it; a `DataError` where the arrays are not finite or do not fit together.

    Runs side by side include the same classes. Paper: §Attention.
    """

    video: str
    run: str
    times: np.ndarray  # (frames,) seconds from the start of the video
    weights: np.ndarray  # (frames,) attention weights α_t, a sum of 1
    logits: np.ndarray | None = None  # (frames,) e_t, whose softmax are the weights; None where not known
    classes: tuple[int, ...] = ()  # those included
    names: tuple[str, ...] = ()  # of `classes`
    scores: np.ndarray = ()  # (classes,) probabilities
    # (frames, classes) w_k·h_t and (classes,) b_k, so that a class's logit is Σ_t α_t (w_k·h_t) + b_k; None where the
    # classifier is not linear.
    contributions: np.ndarray | None = None
    biases: np.ndarray | None = None
    # (frames, classes) the score minus the score with this frame alone masked; None where contributions give it.
    occlusion: np.ndarray | None = None
    true: tuple[int, ...] | None = None  # the labels, also those not included; None where they are not known
    # Class → (frames,) which made the label; modality → (frames,) norm of the features, and distance to the previous
    # frame, first 0.
    ground_truth: Mapping[int, np.ndarray] = field(default_factory=dict)
    energy: Mapping[str, np.ndarray] = field(default_factory=dict)
    change: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        frames, count = (np.size(self.weights),), (len(self.classes),)
        shapes = {"times": frames, "weights": frames, "logits": frames, "scores": count, "biases": count}
        shapes |= {"contributions": frames + count, "occlusion": frames + count}
        for name, shape in shapes.items():
            if getattr(self, name) is not None:
                setattr(self, name, self._array(name, getattr(self, name), shape))
        for name in ("energy", "change", "ground_truth"):
            rows = getattr(self, name).items()
            setattr(self, name, {key: self._array(f"{name} {key}", row, frames) for key, row in rows})
        self.ground_truth = {int(label): row != 0 for label, row in self.ground_truth.items()}
        self.classes, self.names = tuple(map(int, self.classes)), tuple(map(str, self.names))
        self.true = None if self.true is None else tuple(map(int, self.true))
        total = float(self.weights.sum(dtype=np.float64))
        if len(self.names) != count[0]:
            raise self._error(f"expected one name for each of {count[0]} classes. Received: {self.names}.")
        if (self.weights < 0).any():
            at = int(self.weights.argmin())
            raise self._error(f"weights cannot be negative. Received: {self.weights[at]:g} at frame {at}.")
        if frames[0] and abs(total - 1) > SUM_TOLERANCE:
            raise self._error(f"the weights must sum to 1. Received: a sum of {total:g}; see normalize=True.")
        if (np.diff(self.times) <= 0).any():
            raise self._error(f"times must be ascending seconds. Received: {self.times}.")
        if (np.abs(self.scores - 0.5) > 0.5 + SUM_TOLERANCE).any():
            raise self._error(f"scores must be probabilities between 0 and 1. Received: {self.scores}.")

    @property
    def frames(self) -> int:
        """The number of frames."""
        return len(self.weights)

    @property
    def linear(self) -> bool:
        """Whether a class's logit is exactly a weighted sum over frames."""
        return self.contributions is not None

    def to_json(self) -> dict:
        """A dict that `json` can write: arrays in base64, the rest as lists."""
        made = {str(label): np.flatnonzero(row).tolist() for label, row in self.ground_truth.items()}
        return _pack(vars(self) | {"ground_truth": made})

    def _error(self, message: str) -> DataError:
        return DataError(f"Video {self.video!r}, {self.run}: {message}")

    def _array(self, name: str, values, shape: tuple[int, ...]) -> np.ndarray:
        try:
            values = np.asarray(values, np.float32)
        except ValueError:
            raise self._error(f"{name}: expected an array of numbers. Received: {values!r:.80}.") from None
        if values.shape != shape:
            given = f"{np.size(self.weights)} weights and {len(self.classes)} classes"
            message = f"must have the shape {shape}, as there are {given}. Received: {values.shape}."
            raise self._error(f"{name} {message}")
        if not np.isfinite(values).all():
            bad = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
            at = bad[0] if len(bad) == 1 else bad
            raise self._error(f"{name} holds {values[bad]} at {at}; only finite numbers can be drawn.")
        return values


def select_classes(scores: np.ndarray, true: Sequence[int] | None, also: Iterable[int] = ()) -> list[int]:
    """The classes included: the true ones and the highest of (classes,) scores, highest first; then those `also`."""
    required = [label for label in true or () if label < len(scores)][:MAX_CLASSES]
    ranked = np.argsort(-scores, kind="stable").tolist()
    chosen = list(dict.fromkeys([*required, *ranked]))[:MAX_CLASSES]
    return list(dict.fromkeys([*sorted(chosen, key=ranked.index), *also]))


def reweight(
    evidence: Evidence, *, masked=(), top: int | None = None, temperature: float = 1.0, uniform: bool = False
) -> np.ndarray | None:
    """(frames,) the attention weights α_t without the masked frames, a sum of 1; None where no frame has a weight left.

    `masked` holds numbers of frames or (frames,) bool. Of the others the `top` with the highest logits are kept, of
    equal ones the earlier. The logits are divided by `temperature`, or every kept frame has the same weight.
    """
    with np.errstate(divide="ignore"):  # without logits log α_t serves, which differs by a constant
        logits = np.log(evidence.weights, dtype=np.float64) if evidence.logits is None else evidence.logits
    logits = logits.astype(np.float64)
    kept = ~frame_mask(masked, evidence.frames)
    if top is not None:
        order = np.argsort(-logits, kind="stable")
        kept[order[kept[order]][top:]] = False
    if not kept.any():
        return None
    if uniform:
        return kept / kept.sum()
    logits = np.where(kept, logits / temperature, -np.inf)
    # Frames whose weight was 0 from the start cannot be compared with each other.
    return softmax(logits) if np.isfinite(logits.max()) else None


def class_scores(evidence: Evidence, weights: np.ndarray | None) -> np.ndarray | None:
    """(classes,) σ(Σ_t α_t (w_k·h_t) + b_k); None without weights, or where the classifier is not linear."""
    if weights is None or not evidence.linear:
        return None
    return expit(weights @ evidence.contributions.astype(np.float64) + evidence.biases)


def frame_mask(frames, count: int) -> np.ndarray:
    """(count,) bool from frame numbers, or from a mask already; a `UsageError` for frames that do not exist."""
    frames = np.asarray(frames if isinstance(frames, np.ndarray) else list(frames))
    if frames.dtype == bool and frames.shape == (count,):
        return frames.copy()
    if frames.size and not (frames.dtype.kind in "iu" and 0 <= frames.min() <= frames.max() < count):
        raise UsageError(f"The video has frames 0 to {count - 1}. Received: {frames.tolist()}.")
    return np.isin(np.arange(count), frames)


def scene(videos: Mapping, source, *, live: bool = False, note: str | None = None, media=None) -> dict:
    """The content of the view, in a notebook and in a saved page, as a dict for JSON.

    `videos` maps ids to the evidence of each of the source's runs, or to why the video cannot be read, `media` to
    what `media_of` found.
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
    return {"format": FORMAT, **about, "videos": entries, "live": live, "note": notes}


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
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise UsageError(f"{name}: expected a list. Received: {value!r:.80}.")
    return list(value)


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
