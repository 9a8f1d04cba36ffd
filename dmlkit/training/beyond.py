"""What chapter 08 asks of a study: the best rungs together, and every rung in one table."""

from __future__ import annotations

import pandas as pd

from dmlkit.experiments import (
    ABLATIONS,
    GROUPS,
    AnyExperiment,
    Ensemble,
    Experiment,
    beyond_for,
    ladder_for,
)
from dmlkit.runs import to_frame
from dmlkit.training.rows import COLUMNS
from dmlkit.training.side_questions import fusion_variants
from dmlkit.training.study import Study

BEST = 5
OF_BEST = "ensemble-of-best"

# Of these, only what is trained is told of: nobody misses the others.
EXTRA = ("beside", "recipe", "ensemble")
# Group of rungs → what each of them is called in a table of all.
PARTS = {
    "fusions": "fusion",
    "poolings": "pooling",
    "encoders": "encoder",
    "classifiers": "classifier",
    "tricks": "trick",
    "recipes": "recipe",
}


def best_ensemble_members(study: Study, *, most: int = BEST) -> Ensemble:
    """The trained rungs with the highest GAP on the tuning part, which is where their weights are found too.

    A recipe is not among them: its conditions, and so perhaps its videos, are others.

    Args:
        study: The study: its ladder and what is trained beyond it.
        most: How many.

    Returns:
        The ensemble, not trained yet; with fewer than two members where fewer rungs are trained.
    """
    groups = [group for group in GROUPS if group != "recipes"]
    rungs = study.rungs | beyond_for(study.dataset.level, *groups)
    there = study.there(*(rung for rung in rungs.values() if isinstance(rung, Experiment)))
    ranked = sorted(there.values(), key=lambda run: -run.tuning_gap)
    return Ensemble(
        name=OF_BEST,
        title=f"Ensemble of the {min(most, len(ranked))} best",
        members=tuple(run.name for run in ranked[:most]),
        by="optimized",
        chapter="beyond",
    )


def everything(study: Study) -> pd.DataFrame:
    """The ladder and what is beyond it, as far as these data can serve it, and what else is trained.

    Returns:
        The columns of `study.ladder()`, and `part`: which of these a rung belongs to.
    """
    rows = {
        row["name"]: row | {"part": part}
        for part, rungs in _parts(study).items()
        for row in study.results(rungs)
        if row["status"] == "trained" or (row["status"] == "not trained" and part not in EXTRA)
    }
    return to_frame(list(rows.values()), columns=[*COLUMNS, "part"]).set_index("title")


def _parts(study: Study) -> dict[str, dict[str, AnyExperiment]]:
    ladder, level = ladder_for(study.dataset.level), study.dataset.level
    trained = study.finished(*{rung.chapter for rung in ladder.values()} - {"beyond"})
    of_all = tuple(name for name, run in trained.items() if run.record["kind"] == "training")
    together = [Ensemble(name="ensemble-of-all", title="Ensemble of all rungs", members=of_all)]
    together += [best_ensemble_members(study)]
    return {
        "ladder": {name: rung for name, rung in ladder.items() if rung.chapter != "beyond"},
        "beside": ABLATIONS | fusion_variants(study.rungs, study.profile),
        **{PARTS[group]: beyond_for(level, group) for group in GROUPS},
        "ensemble": {rung.name: rung for rung in together if len(rung.members) > 1},
    }
