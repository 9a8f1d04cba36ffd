"""The view in a live notebook: the JavaScript module, and what it shares with Python."""

from __future__ import annotations

from collections.abc import Callable

import anywidget
import traitlets

from dmlkit.explorer.saved_view import MODULE, STYLE

STATE = ("frame", "masked", "removed", "temperature", "top", "uniform", "classes", "shown")
"""What hands change in the view and Python can set as well."""


class AttentionWidget(anywidget.AnyWidget):
    """One drawing of a scene; its state is the same on both sides.

    Args:
        encode: (video, frames) → the evidence of each run without these frames, as JSON.
    """

    _esm = MODULE
    _css = STYLE

    scene = traitlets.Dict().tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
    masked = traitlets.List(traitlets.Int()).tag(sync=True)
    removed = traitlets.List(traitlets.Int()).tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    top = traitlets.Int(None, allow_none=True).tag(sync=True)
    uniform = traitlets.Bool(False).tag(sync=True)
    classes = traitlets.List(traitlets.Int()).tag(sync=True)
    shown = traitlets.List(traitlets.Unicode()).tag(sync=True)
    # Kept, not only sent: a view that opens later shows it as well.
    problem = traitlets.Unicode("").tag(sync=True)

    _repeated = ("", 0)

    def __init__(self, encode: Callable[[str, list[int]], list[dict]], **state):
        super().__init__(**state)
        self._encode = encode
        self.on_msg(self._asked)

    def _asked(self, _, message: dict, buffers) -> None:
        """Answer a view that wants the video encoded again. It waits for an answer, also for a bad one."""
        if message.get("kind") != "remove":
            return
        try:
            answer = {"kind": "evidence", "runs": self._encode(message["video"], message["frames"])}
        except Exception as error:
            answer = {"kind": "failed", "text": say_error(error)}
        # Every view of this widget hears the answer; what was asked, and by whom, tells whose it is.
        self.send({**answer, **{name: message.get(name) for name in ("view", "number", "video", "frames")}})

    @traitlets.validate("problem")
    def _counted(self, proposal) -> str:
        """The same problem again is counted: a value that stays the same would not be told."""
        said = proposal["value"]
        times = self._repeated[1] + 1 if said and said == self._repeated[0] else 1
        self._repeated = (said, times)
        return f"{said} ({times} times)" if times > 1 else said


def say_error(error: Exception) -> str:
    """An error in a sentence; ours speak for themselves."""
    from dmlkit.errors import DataError, UsageError

    return str(error) if isinstance(error, DataError | UsageError) else f"{type(error).__name__}: {error}"
