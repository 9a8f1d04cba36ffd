"""Widgets for JupyterLab: look into a run by hand.

    AttentionViewer    which frames of a video a model looks at
    ResultsExplorer    runs side by side: curves, classes, one video's top 20
    LiveCurve          a training's curve, drawn while it trains

They draw with small SVG strings, so that a slider moves a mark and not a whole figure, and each leaves a still
picture in the notebook for readers without a kernel.

    drawing            axes, lines, tables as HTML with SVG inside
    attended           what a model made of some videos: weights and scores
    attention_drawing  the picture of one of them
"""

from dmlkit.explorer.attention_viewer import AttentionViewer
from dmlkit.explorer.live_curve import LiveCurve
from dmlkit.explorer.results_explorer import ResultsExplorer

__all__ = ["AttentionViewer", "LiveCurve", "ResultsExplorer"]
