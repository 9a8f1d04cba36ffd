"""Figures and tables of the notebooks.

A figure is a `Plot`: a matplotlib figure with alternative text. Every function takes `dataset`, whose name is shown,
and `title`, and returns None where there is nothing to show, so that a cell without runs shows nothing.

    style      Plot, canvas; colours, markers and line styles
    tables     table, all_results, numbers, data_summary, settings
    ladder     ladder, learning_curves, cost
    ablations  differences, comparison, by_kind, gap_by_kind, frame_counts, fusions
    attention  attention, attention_on_truth, faithfulness, faithfulness_table
    data       video, survey, data_survey, most_frequent
    ensembles  ensemble_members, combiners, leave_one_out, agreement
"""

from dmlkit.plots.ablations import (
    by_kind,
    comparison,
    differences,
    frame_counts,
    fusions,
    gap_by_kind,
    paired_differences,
)
from dmlkit.plots.attention import attention, attention_on_truth, faithfulness, faithfulness_table
from dmlkit.plots.data import data_survey, most_frequent, survey, video
from dmlkit.plots.ensembles import agreement, combiner_title, combiners, ensemble_members, leave_one_out
from dmlkit.plots.ladder import cost, ladder, learning_curves
from dmlkit.plots.style import Plot, nothing
from dmlkit.plots.tables import Table, all_results, data_summary, numbers, settings, table

__all__ = [
    "Plot", "Table", "agreement", "all_results", "attention", "attention_on_truth", "by_kind",
    "combiner_title", "combiners", "comparison", "cost", "data_summary", "data_survey", "differences",
    "ensemble_members", "faithfulness", "faithfulness_table", "frame_counts", "fusions", "gap_by_kind",
    "ladder", "learning_curves", "leave_one_out", "most_frequent", "nothing", "numbers",
    "paired_differences", "settings", "survey", "table", "video",
]  # fmt: skip
