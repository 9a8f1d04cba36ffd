"""Training: an experiment and data in, a run on disk out; runs scored, combined and studied.

trainer, state   one training, its folder and checkpoints
prediction       scores of a split by a model, a run or several runs
ensembles        runs combined from their stored scores
study            many experiments on one data set
"""

from dmlkit.runtime import quiet_startup

with quiet_startup():
    import keras  # noqa: F401

from dmlkit.training.ensembles import (
    compare_combiners,
    compare_members,
    ensemble,
    ensemble_members,
    leave_one_out,
)
from dmlkit.training.prediction import evaluate, predict, score_split, submit
from dmlkit.training.study import (
    Study,
    all_results,
    best_ensemble_members,
    frame_study,
    fusion_study,
    mapping_resampling,
    train_ensemble,
)
from dmlkit.training.trainer import build_model, train

__all__ = [
    "Study",
    "all_results",
    "best_ensemble_members",
    "build_model",
    "compare_combiners",
    "compare_members",
    "ensemble",
    "ensemble_members",
    "evaluate",
    "frame_study",
    "fusion_study",
    "leave_one_out",
    "mapping_resampling",
    "predict",
    "score_split",
    "submit",
    "train",
    "train_ensemble",
]
