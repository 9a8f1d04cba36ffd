"""Training: an experiment and data in, a run on disk out."""

from dmlkit.runtime import quiet_startup

with quiet_startup():
    import keras  # noqa: F401

from dmlkit.training.beyond import best_ensemble_members, everything
from dmlkit.training.ensembling import ensemble, made_of
from dmlkit.training.evaluating import evaluate
from dmlkit.training.frame_study import frame_study
from dmlkit.training.named_ensemble import train_ensemble
from dmlkit.training.redrawing import mapping_redrawn
from dmlkit.training.scoring import predict
from dmlkit.training.side_questions import ablations_for, fusion_study, fusion_variants
from dmlkit.training.study import Study
from dmlkit.training.submitting import submit
from dmlkit.training.trainer import build_model, train
from dmlkit.training.ways import compare_combiners, compare_members, leave_one_out

__all__ = [
    "Study",
    "ablations_for",
    "best_ensemble_members",
    "build_model",
    "compare_combiners",
    "compare_members",
    "ensemble",
    "evaluate",
    "everything",
    "frame_study",
    "fusion_study",
    "fusion_variants",
    "leave_one_out",
    "made_of",
    "mapping_redrawn",
    "predict",
    "submit",
    "train",
    "train_ensemble",
]
