"""Widgets for JupyterLab, each with a still picture for readers without a kernel.

The view of attention is JavaScript, the modules of `attention_view/`, which a report includes as well. The names below
are loaded when first used.
"""

from dmlkit.runtime import import_lazily

__getattr__, __dir__, __all__ = import_lazily(
    __name__,
    {
        "faithfulness": ["faithfulness_study", "ground_truth_study"],
        "results": ["LiveCurve", "ResultsExplorer"],
        "widget": ["AttentionExplorer", "explore", "explore_arrays"],
    },
)
