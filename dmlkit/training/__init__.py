"""Training: an experiment and data in, a run on disk out."""

from dmlkit.quiet import start_up_lines_hidden

with start_up_lines_hidden():
    import keras  # noqa: F401

from dmlkit.training.beyond import best_together, everything
from dmlkit.training.building import build_model
from dmlkit.training.ensembling import ensemble, made_of
from dmlkit.training.evaluating import evaluate
from dmlkit.training.frame_study import frame_study
from dmlkit.training.loop import train
from dmlkit.training.named_ensemble import train_ensemble
from dmlkit.training.redrawing import mapping_redrawn
from dmlkit.training.scoring import predict
from dmlkit.training.side_questions import fusion_study, fusion_variants, side_questions
from dmlkit.training.submitting import submit
from dmlkit.training.walk import Walk
from dmlkit.training.ways import compare_members, compare_ways, leave_one_out

__all__ = [
    "Walk",
    "best_together",
    "build_model",
    "compare_members",
    "compare_ways",
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
    "side_questions",
    "submit",
    "train",
    "train_ensemble",
]
