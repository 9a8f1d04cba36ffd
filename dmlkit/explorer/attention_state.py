"""What hands change in the view of attention, as code reads and sets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dmlkit.errors import DataError, UsageError, nearest
from dmlkit.explorer.attention_widget import STATE, AttentionWidget, say_error
from dmlkit.explorer.given import class_key, number, several, whole, yes_or_no

NEUTRAL = {"masked": [], "removed": [], "temperature": 1.0, "top": None, "uniform": False}


class AttentionState:
    """The state that a view and Python share, checked where code sets it, and who is told when it changes.

    What inherits it has `source`, `video`, `evidence`, `frames` and `_show`, `_without`, `_carries`.

    Args:
        widget: The view.
    """

    def __init__(self, widget: AttentionWidget):
        self._widget, self._wanted, self._raised, self._held = widget, None, None, False
        self.callbacks: list[Callable] = []
        widget.observe(self._changed, names=list(STATE))

    @property
    def frame(self) -> int:
        """The chosen frame, counted from 0."""
        return self._widget.frame

    @frame.setter
    def frame(self, frame: int) -> None:
        frame = whole(frame, "frame")
        if not 0 <= frame < max(self.frames, 1):
            raise UsageError(f"{self.video} has the frames 0 to {self.frames - 1}. Received: frame={frame}.")
        self._set(frame=frame)

    @property
    def masked(self) -> tuple[int, ...]:
        """The frames whose weight is zero; the others share it, and their states stay."""
        return tuple(self._widget.masked)

    @masked.setter
    def masked(self, frames: Sequence[int]) -> None:
        self._set(masked=self._frames(frames))

    @property
    def removed(self) -> tuple[int, ...]:
        """The frames without which the video is encoded again."""
        return tuple(self._widget.removed)

    @removed.setter
    def removed(self, frames: Sequence[int]) -> None:
        frames = self._frames(frames)
        if frames:
            self._without(frames)  # what cannot be encoded says so here, and nothing has changed
        self._set(removed=frames)

    @property
    def temperature(self) -> float:
        """What the attention's logits are divided by before the softmax."""
        return self._widget.temperature

    @temperature.setter
    def temperature(self, temperature: float) -> None:
        temperature = number(temperature, "temperature")
        if not (np.isfinite(temperature) and temperature > 0):
            raise UsageError(f"The temperature must be above 0. Received: temperature={temperature!r}.")
        self._set(temperature=temperature)

    @property
    def top(self) -> int | None:
        """How many frames are kept, the heaviest; None for all."""
        return self._widget.top

    @top.setter
    def top(self, top: int | None) -> None:
        top = None if top is None else whole(top, "top")
        if top is not None and top < 1:
            raise UsageError(f"At least one frame is kept. Received: top={top}.")
        self._set(top=top)

    @property
    def uniform(self) -> bool:
        """Whether every frame kept weighs the same."""
        return self._widget.uniform

    @uniform.setter
    def uniform(self, uniform: bool) -> None:
        self._set(uniform=yes_or_no(uniform, "uniform"))

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes whose contributions are drawn; set them by number or name."""
        return tuple(self._widget.classes)

    @classes.setter
    def classes(self, classes: Sequence[int | str]) -> None:
        classes = [class_key(each) for each in several(classes, "classes")]
        if not self._carries(classes):
            masked, removed, frame = self.masked, self.removed, self.frame
            before, self._wanted = self._wanted, classes
            try:
                self._show(self.video)
            except UsageError:
                self._wanted = before
                raise
            if self._problem:
                raise DataError(self._problem)
            self._set(masked=list(masked), removed=list(removed), frame=frame)
        self._wanted = self._numbers(classes)
        self._set(classes=self._wanted)

    @property
    def shown(self) -> tuple[str, ...]:
        """The runs drawn, by name."""
        return tuple(self._widget.shown)

    @shown.setter
    def shown(self, names: Sequence[str]) -> None:
        names = several(names, "shown, names of runs")
        for name in names:
            if name not in self.source.runs:
                raise UsageError(f"There is no run {name!r} here.{nearest(name, self.source.runs)}")
        self._set(shown=names)

    def reset(self) -> None:
        """Give back all frames and the model's own weights."""
        self._set(**NEUTRAL)

    def on_change(self, callback: Callable[[AttentionState], object]) -> Callable[[], None]:
        """Call a function with this explorer whenever something was changed, here or by hand.

        What it raises is shown in the view, and raised here as well where code made the change.

        Returns:
            A function that ends it.
        """
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def _numbers(self, classes: Sequence[int | str]) -> list[int]:
        known = {
            name: label
            for each in self.evidence
            for label, name in zip(each.classes, each.names, strict=True)
        }
        found = []
        for each in classes:
            label = known.get(each) if isinstance(each, str) else each
            if label not in known.values():
                hint = nearest(each, known) if isinstance(each, str) else ""
                raise UsageError(f"The view carries no class {each!r} of {self.video}.{hint}")
            found.append(label)
        return found

    def _frames(self, frames: Sequence[int]) -> list[int]:
        frames = several(frames, "frames")
        found = sorted({whole(frame, "frames") for frame in frames})
        if found and not 0 <= found[0] <= found[-1] < self.frames:
            raise UsageError(f"{self.video} has the frames 0 to {self.frames - 1}. Received: {frames}.")
        return found

    def _set(self, **state) -> None:
        self._raised, self._held = None, True
        before = [getattr(self._widget, name) for name in state]
        with self._widget.hold_sync():
            for name, value in state.items():
                setattr(self._widget, name, value)
        self._held = False
        # A callback that sets what is set already must not call itself for ever.
        if before != list(state.values()):
            self._changed()
        self._raise()

    def _raise(self) -> None:
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def _changed(self, change=None) -> None:
        if self._held:
            return  # several at once are one change
        if change is not None and change.name == "classes":
            self._wanted = list(change.new)  # chosen by hand
        for callback in list(self.callbacks):
            try:
                callback(self)
            except Exception as error:
                self._raised = error
                name = getattr(callback, "__name__", repr(callback))
                self._widget.problem = f"A callback failed, {name}: {say_error(error)}"
                break
        else:
            self._widget.problem = ""
