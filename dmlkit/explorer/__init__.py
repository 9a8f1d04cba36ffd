"""Widgets for JupyterLab, each with a still picture for readers without a kernel.

    widget        `explore`, `explore_arrays` and the attention explorer: weights by frame, masks, scores without frames
    sources       its videos: trained models on one split of a data set, or plain arrays
    evidence      what one model computed for one video, and the arithmetic of masking
    saved_view    the view in a saved notebook: scene, picture, table
    faithfulness  many videos with frames removed in the order of attention
    results       runs side by side; the curve of a training while it runs

The view itself is one JavaScript module, `attention_view.js`, which a report includes as well. The names below are
loaded when first used.
"""

from dmlkit.runtime import import_lazily

__getattr__, __dir__, __all__ = import_lazily(
    __name__,
    {
        "faithfulness": ["faithfulness_study"],
        "results": ["LiveCurve", "ResultsExplorer"],
        "widget": ["AttentionExplorer", "explore", "explore_arrays"],
    },
)
