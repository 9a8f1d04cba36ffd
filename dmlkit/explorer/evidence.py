"""What one model made of one video, as plain arrays: all that the attention view shows or computes with.

Numpy alone, so that a view of anybody's arrays needs no model of ours. Numbers are held in single precision,
which is what travels to the browser: Python and JavaScript compute from the same bits.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from dmlkit.errors import DataError

FORMAT = 1
"""The version of the JSON that `Evidence.to_json` and `scene` write."""

CARRIED = 20
"""How many classes travel with a video where nobody chose them."""

# A softmax in single precision over thousands of frames still sums to 1 within this.
SUM = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """One video as one model saw it.

    Args:
        video: The video's id.
        run: What the model is called.
        times: (frames,) seconds from the start of the video.
        weights: (frames,) the attention's, a sum of 1.
        logits: (frames,) the attention's e_t before its softmax; None where only the weights are known.
        classes: The classes carried, the same for all runs side by side: a source orders them by the highest score
            that any of its runs gives, or as they were asked for, so sort by `scores` for this run's own order.
        names: Their names.
        scores: (carried,) probabilities.
        contributions: (frames, carried) w_k·h_t, so that a class's logit is Σ_t α_t (w_k·h_t) + b_k; None where the
            classifier is not linear.
        biases: (carried,) b_k; None without contributions.
        occlusion: (frames, carried) the score less the score with this frame alone masked; None where contributions
            say it exactly.
        true: The video's labels, also those not carried; None where they are not known.
        planted: Class → (frames,) whether the frame made that label; empty where the data do not say.
        energy: Modality → (frames,) norm of the features.
        change: Modality → (frames,) distance to the frame before; 0 for the first.

    Raises:
        DataError: An array has another shape, or holds what is no number; weights are negative or do not sum to 1.

    Paper: §Attention.
    """

    video: str
    run: str
    times: np.ndarray
    weights: np.ndarray
    logits: np.ndarray | None = None
    classes: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    contributions: np.ndarray | None = None
    biases: np.ndarray | None = None
    occlusion: np.ndarray | None = None
    true: tuple[int, ...] | None = None
    planted: Mapping[int, np.ndarray] = field(default_factory=dict)
    energy: Mapping[str, np.ndarray] = field(default_factory=dict)
    change: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        frames, carried = np.size(self.weights), len(self.classes)
        shapes = {
            "times": (frames,),
            "weights": (frames,),
            "logits": (frames,),
            "scores": (carried,),
            "contributions": (frames, carried),
            "biases": (carried,),
            "occlusion": (frames, carried),
        }
        for name, shape in shapes.items():
            if getattr(self, name) is not None:
                self._set(name, self._numbers(name, getattr(self, name), shape))
        for name in ("energy", "change"):
            rows = {}
            for key, row in getattr(self, name).items():
                rows[str(key)] = self._numbers(name if key == name else f"{name} {key}", row, (frames,))
            self._set(name, rows)
        planted = {int(label): np.asarray(row, bool) for label, row in self.planted.items()}
        for label, row in planted.items():
            self._check_shape(f"planted {label}", row, (frames,))
        self._set("planted", planted)
        self._set("classes", tuple(int(label) for label in self.classes))
        self._set("names", tuple(str(name) for name in self.names))
        self._set("true", None if self.true is None else tuple(int(label) for label in self.true))
        if len(self.names) != carried:
            raise DataError(
                f"{self._who}: expected one name for each of {carried} classes. Received: {self.names}."
            )
        if (self.contributions is None) != (self.biases is None):
            raise DataError(f"{self._who}: contributions and biases come together, or neither does.")
        check_weights(self.weights, who=self._who)

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.weights)

    @property
    def linear(self) -> bool:
        """Whether a class's logit is a weighted sum over frames, exactly."""
        return self.contributions is not None

    def to_json(self) -> dict:
        """As what `json` writes: arrays of numbers in base64, the rest as lists."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in said.items():
            if isinstance(value, np.ndarray):
                said[name] = _pack(value)
            elif isinstance(value, tuple):
                said[name] = list(value)
        said["planted"] = {str(label): np.flatnonzero(row).tolist() for label, row in self.planted.items()}
        for name in ("energy", "change"):
            said[name] = {key: _pack(row) for key, row in getattr(self, name).items()}
        return said

    @classmethod
    def from_json(cls, said: Mapping) -> Evidence:
        """What `to_json` wrote.

        Raises:
            DataError: It is something else.
        """
        try:
            values = {each.name: said[each.name] for each in fields(cls)}
            for name, value in values.items():
                if isinstance(value, Mapping) and "f32" in value:
                    values[name] = _unpack(value)
            frames = len(values["weights"])
            values["planted"] = {
                int(label): np.isin(np.arange(frames), numbers) for label, numbers in said["planted"].items()
            }
            for name in ("energy", "change"):
                values[name] = {key: _unpack(row) for key, row in said[name].items()}
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"This is not the evidence of one video: {error!r}.") from error

    @property
    def _who(self) -> str:
        return f"Video {self.video!r}, {self.run}"

    def _set(self, name: str, value) -> None:
        object.__setattr__(self, name, value)  # the class is frozen for everybody else

    def _numbers(self, name: str, values, shape: tuple[int, ...]) -> np.ndarray:
        values = np.asarray(values, np.float32)
        self._check_shape(name, values, shape)
        if not np.isfinite(values).all():
            bad = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
            raise DataError(
                f"{self._who}: {name} holds {values[bad]} at {bad[0] if len(bad) == 1 else bad}, which is no "
                "number, so there is nothing to draw."
            )
        return values

    def _check_shape(self, name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
        if values.shape != shape:
            raise DataError(
                f"{self._who}: {name} must have the shape {shape}, as there are {np.size(self.weights)} weights and "
                f"{len(self.classes)} classes. Received: {values.shape}."
            )


def highest_and_true(scores: np.ndarray, true: Sequence[int] | None) -> list[int]:
    """The classes that are carried where nobody chose them: `CARRIED` of them, the highest score first.

    Args:
        scores: (classes,).
        true: The video's labels, which are always among them.
    """
    must = [label for label in true or () if label < len(scores)][:CARRIED]
    others = [label for label in np.argsort(-scores, kind="stable").tolist() if label not in set(must)]
    return sorted(must + others[: CARRIED - len(must)], key=lambda label: (-scores[label], label))


def check_weights(weights: np.ndarray, *, who: str) -> None:
    """Refuse what is no weighting of frames.

    Args:
        weights: (frames,) finite numbers.
        who: Whose they are, for the message.

    Raises:
        DataError: A weight is negative, or they do not sum to 1. No frames at all are no fault.
    """
    if not len(weights):
        return
    if weights.min() < 0:
        raise DataError(
            f"{who}: weights cannot be negative. Received: {weights.min():g} at frame {int(weights.argmin())}."
        )
    total = float(np.sum(weights, dtype=np.float64))
    if abs(total - 1) > SUM:
        raise DataError(f"{who}: the weights must sum to 1. Received: a sum of {total:g}.")


def scene(
    videos: Mapping[str, Sequence[Evidence]],
    *,
    title: str,
    data: str,
    generated: bool,
    labels: Mapping[str, str] | None = None,
    live: bool = False,
    note: str | None = None,
) -> dict:
    """What the view is given, in a notebook as in a saved page: a dict that `json` can write.

    Args:
        videos: Id → the evidence of each run, the runs in one order.
        title: Over the view.
        data: What the data set is called.
        generated: Whether its videos were made up.
        labels: Id → what the picker calls the video; the id where it has none.
        live: Whether a kernel answers.
        note: One sentence under the title.
    """
    labels = labels or {}
    carried = [
        {"id": name, "label": labels.get(name, name), "runs": [each.to_json() for each in runs]}
        for name, runs in videos.items()
    ]
    head = {"format": FORMAT, "title": title, "data": data, "generated": generated}
    return {**head, "videos": carried, "live": live, "note": note}


def _pack(values: np.ndarray) -> dict:
    little = np.ascontiguousarray(values, "<f4")
    return {"f32": base64.b64encode(little.tobytes()).decode("ascii"), "shape": list(values.shape)}


def _unpack(said: Mapping) -> np.ndarray:
    raw = base64.b64decode(said["f32"], validate=True)
    return np.frombuffer(raw, "<f4").astype(np.float32).reshape(said["shape"])
