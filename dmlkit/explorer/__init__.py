"""Widgets for JupyterLab, each with a still picture for readers without a kernel.

    widget        `explore` and the attention explorer: weights by frame, masks, scores without frames
    arrays        `explore_arrays`: the same view for arrays of one's own
    sources       trained models on one split of a data set
    evidence      what one model computed for one video, and the arithmetic of masking
    saved_view    the view in a saved notebook: scene, picture, table
    faithfulness  many videos with frames removed in the order of attention
    results       runs side by side; the curve of a training while it runs

The view itself is one JavaScript module, `attention_view.js`, which a report includes as well. The names below are
loaded when first used: a view of plain arrays loads no TensorFlow.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "AttentionExplorer": "widget",
    "LiveCurve": "results",
    "ResultsExplorer": "results",
    "explore": "widget",
    "explore_arrays": "arrays",
    "faithfulness_study": "faithfulness",
}

__all__ = [*_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'dmlkit.explorer' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dmlkit.explorer.{_HOMES[name]}"), name)
