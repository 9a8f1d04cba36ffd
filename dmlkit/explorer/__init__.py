"""Widgets for JupyterLab: look into a run by hand.

    AttentionViewer    which frames of a video a model looks at
    ResultsExplorer    runs side by side: curves, classes, one video's top 20
    LiveCurve          a training's curve, drawn while it trains

They draw with small SVG strings, so that a slider moves a mark and not a whole figure, and each leaves a still
picture in the notebook for readers without a kernel.

    drawing            axes, lines, tables as HTML with SVG inside
    attended           what a model made of some videos: weights and scores
    attention_drawing  the picture of one of them
    evidence           what one model made of one video, as plain arrays and as JSON

The names below are loaded when first used, so that a view of plain arrays loads no TensorFlow.
"""

from __future__ import annotations

import importlib

_HOME_OF = {
    "AttentionViewer": "attention_viewer",
    "LiveCurve": "live_curve",
    "ResultsExplorer": "results_explorer",
}

__all__ = ["AttentionViewer", "LiveCurve", "ResultsExplorer"]


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module 'dmlkit.explorer' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"dmlkit.explorer.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
