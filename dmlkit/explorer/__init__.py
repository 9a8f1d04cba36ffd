"""Widgets for JupyterLab: look into a run by hand.

    explore            which frames of a video a model looks at, and its scores without them
    explore_arrays     the same of anybody's arrays
    faithfulness_study is attention right? Many videos with frames taken away
    ResultsExplorer    runs side by side: curves, classes, one video's top 20
    LiveCurve          a training's curve, drawn while it trains

The attention's view is one JavaScript module, `attention_view.js`, which the report inlines as well; the others draw
with small SVG strings. Each leaves a still picture in the notebook for readers without a kernel.

    opening            `explore` and `explore_arrays`
    attention_explorer what they give: a video, its weights and its scores as set
    attention_state    what hands change in it, as code reads and sets it
    attention_widget   the view in a live notebook, and what it shares with Python
    video_picker       which video: by id, by a class, by a model's worst mistakes
    saved_view         the forms that need no kernel: the scene, a picture, a table, words
    evidence           what one model made of one video, as plain arrays and as JSON
    sources            where it comes from: models on a part of the data
    array_source       or anybody's arrays
    opened_run         a model with attention on a data set, taken apart video by video
    listing            the videos of a part that can be chosen
    mistakes           how wrong a model was about each video
    given              what somebody gave, checked before it is used
    weighing           masking by arithmetic, as the browser does it
    still              a figure and words of one video
    faithfulness       the study
    comparing          what several runs said of the same videos
    tables             classes with their scores as HTML
    drawing            axes, lines, tables as HTML with SVG inside

The names below are loaded when first used, so that a view of plain arrays loads no TensorFlow.
"""

from __future__ import annotations

import importlib

_HOME_OF = {
    "AttentionExplorer": "attention_explorer",
    "explore": "opening",
    "explore_arrays": "opening",
    "faithfulness_study": "faithfulness",
    "LiveCurve": "live_curve",
    "ResultsExplorer": "results_explorer",
}

__all__ = [
    "AttentionExplorer",
    "LiveCurve",
    "ResultsExplorer",
    "explore",
    "explore_arrays",
    "faithfulness_study",
]


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module 'dmlkit.explorer' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"dmlkit.explorer.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
