"""Figures and tables of the notebooks.

A figure is a `Plot`: a matplotlib figure with alternative text. Every function takes `dataset`, whose name is shown,
and `title`, and returns None where there is nothing to show, so that a cell without runs shows nothing.
"""

from dmlkit.plots.attention import (
    attention,
    attention_on_truth,
    faithfulness,
    faithfulness_table,
    ground_truth_table,
    localization,
    localization_table,
)
from dmlkit.plots.data import data_survey, most_frequent, survey, video
from dmlkit.plots.ensembles import agreement, combiner_title, combiners, ensemble_members, leave_one_out
from dmlkit.plots.evaluation import calibration, gap_by_frames, label_pairs, precision_recall, reliability
from dmlkit.plots.ladder import (
    by_kind,
    comparison,
    cost,
    differences,
    frame_counts,
    fusions,
    gap_by_kind,
    ladder,
    learning_curves,
    paired_differences,
)
from dmlkit.plots.style import Plot
from dmlkit.plots.tables import Table, all_results, data_card, model_diagram, numbers, table
