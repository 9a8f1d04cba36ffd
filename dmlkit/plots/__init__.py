"""The figures, tables and sentences of the notebooks.

Every figure is a `Plot`: a matplotlib figure and the sentence that says the same without eyes. None of the
functions fails where there is nothing to show: the figure then says why. What is drawn says what data it is.

    ladder, ensemble_members         GAP@20 with its interval
    ways, added, agreement           ways to combine, what each member adds, how alike they are
    steps                            each rung against the one it builds on, with the paired interval
    learning_curves                  loss and tuning GAP, epoch by epoch
    by_kind, gap_by_kind             what each rung is able to see
    cost, frontier                   GAP against seconds and parameters; what nothing cheaper beats
    frames, fusions                  the side questions of chapters 03 and 04
    video, survey, data_survey       the data, with `most_frequent`
    attention, attention_on_truth    weights over time beside what was planted
    faithfulness                     whether attention is an explanation, with `say_faithfulness`
    table, everything, numbers       tables
    data_note, say_difference, ...   sentences whose numbers were computed
"""

from dmlkit.plots.attention import attention, attention_on_truth, say_attention
from dmlkit.plots.cost import cost
from dmlkit.plots.curves import learning_curves
from dmlkit.plots.data import data_survey, most_frequent, survey, video
from dmlkit.plots.ensembles import added, agreement, say_added, say_ways, ways
from dmlkit.plots.faithfulness import faithfulness, faithfulness_numbers, say_faithfulness
from dmlkit.plots.frontier import frontier
from dmlkit.plots.kinds import by_kind, gap_by_kind
from dmlkit.plots.ladder import ensemble_members, ladder
from dmlkit.plots.plot import Plot, nothing
from dmlkit.plots.steps import steps
from dmlkit.plots.studies import frames, fusions, say_frames
from dmlkit.plots.tables import everything, numbers, table
from dmlkit.plots.told import say_steps
from dmlkit.plots.words import (
    Sentence,
    data_note,
    say_best,
    say_conditions,
    say_difference,
    say_ensemble,
    way_title,
)

__all__ = [
    "Plot",
    "Sentence",
    "added",
    "agreement",
    "attention",
    "attention_on_truth",
    "by_kind",
    "cost",
    "data_note",
    "data_survey",
    "ensemble_members",
    "everything",
    "faithfulness",
    "faithfulness_numbers",
    "frames",
    "frontier",
    "fusions",
    "gap_by_kind",
    "ladder",
    "learning_curves",
    "most_frequent",
    "nothing",
    "numbers",
    "say_added",
    "say_attention",
    "say_best",
    "say_conditions",
    "say_difference",
    "say_ensemble",
    "say_faithfulness",
    "say_frames",
    "say_steps",
    "say_ways",
    "steps",
    "survey",
    "table",
    "video",
    "way_title",
    "ways",
]
