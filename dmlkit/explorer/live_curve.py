"""A training's curve, drawn while it trains."""

from __future__ import annotations

from collections.abc import Mapping

from IPython.display import DisplayHandle

from dmlkit.explorer.drawing import curves, element, page, sentence


class LiveCurve:
    """Loss and GAP on the tuning part, epoch by epoch: `train(..., on_epoch=LiveCurve())`.

    It shows itself with the first epoch and then redraws in place. What the notebook keeps is the last
    drawing, so that a saved page shows the whole curve without a kernel.
    """

    def __init__(self):
        self.rows: list[dict] = []
        self._shown: DisplayHandle | None = None

    def __call__(self, row: Mapping[str, float]) -> None:
        """Take the history's row of the epoch that has just finished.

        Args:
            row: With `epoch`, `loss` and `tuning_gap`. An epoch that does not follow the last begins anew.
        """
        if self.rows and row["epoch"] <= self.rows[-1]["epoch"]:
            self.rows.clear()
            self._shown = None
        self.rows.append(dict(row))
        if self._shown is None:
            self._shown = DisplayHandle()
            self._shown.display(self)
        else:
            self._shown.update(self)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        """The drawing so far."""
        if not self.rows:
            return {"text/html": page(sentence("No epoch has finished yet.")), "text/plain": "no epoch yet"}
        epochs = [row["epoch"] for row in self.rows]
        last = self.rows[-1]
        pictures = (
            curves(
                {title: (epochs, [row[name] for row in self.rows])},
                caption=title,
                unit="epoch",
                height=120,
                legend=False,
            )
            for title, name in (("Training loss", "loss"), ("GAP@20 on the tuning part", "tuning_gap"))
        )
        said = f"epoch {last['epoch']}: loss {last['loss']:.3f}, tuning GAP@20 {last['tuning_gap']:.4f}"
        drawing = element(
            "div", {"class": "beside"}, "".join(element("div", {}, picture) for picture in pictures)
        )
        return {"text/html": page(sentence(said), drawing), "text/plain": said}
